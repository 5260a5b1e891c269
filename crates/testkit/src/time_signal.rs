//! Reads the time signal: which second of which recording is heard, and when it was captured.
//!
//! A telegram of 72 bits stands at the start of each second of a recording: 100 bits a second, 0 is 2600 Hz and 1 is
//! 3200 Hz; sync byte 0xD5, 24 bits second of the recording, 32 bits milliseconds since 00:00 UTC, 8 bits CRC. The
//! reader compares the two frequencies bit by bit, so it needs no level and no start, and takes audio that was
//! resampled or went through a codec. Beside it stands a steady sine that names the second (mod 100).

use livetape_audio::{FrameCount, SampleFormat, Spec};
use std::f64::consts::TAU;

/// What a telegram says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Telegram {
    /// Where it starts, in frames from the first one given; right within 1 ms.
    pub at: FrameCount,
    /// Second of the recording (mod 2^24): this frame has the number `second * rate`.
    pub second: u32,
    /// When this frame was captured, in milliseconds since 00:00 UTC.
    pub time_of_day_ms: u32,
}

/// Frequency is measured on a grid of this many steps each second.
const STEPS_PER_SECOND: u64 = 4_000;
/// Steps of one bit, and how many of them at either edge may belong to the neighbour.
const BIT: usize = 40;
const EDGE: usize = 4;
const BITS: usize = 72;
const SYNC: u128 = 0xD5;
/// Milliseconds of a day: a time of day is one of them.
const DAY_MS: u128 = 86_400_000;
/// How clearly one frequency is the stronger one, averaged over a telegram: 1 without noise; noise alone gives 0.5,
/// and 0.7 once in a billion times.
const CLEAR: f64 = 0.7;
/// The strongest bit of a telegram has less than so many times the amplitude of the weakest.
const LEVELS: f64 = 8.0;
/// A voice below this amplitude is silence.
const SILENCE: f64 = 1e-4;

/// Every whole telegram in `samples` (one channel).
pub fn decode(samples: &[f32], rate: u32) -> Vec<Telegram> {
    let voices = Voices::of(samples, rate);
    let (mut found, mut step) = (Vec::new(), 0);
    while step + BITS * BIT <= voices.steps() {
        // Eight bits of checksum let one of 256 misreadings pass; few of those are a time of day.
        let Some(telegram) = voices.telegram(step).filter(|bits| bits >> 8 & 0xFFFF_FFFF < DAY_MS) else {
            step += 1;
            continue;
        };
        // Steps around the right one read the same; the best of them stands just on the bits.
        let same = (step..step + BIT).filter(|&s| voices.telegram(s).is_some_and(|t| t == telegram));
        let best = same.max_by(|&a, &b| voices.sharpness(a).total_cmp(&voices.sharpness(b))).unwrap_or(step);
        found.push(Telegram {
            at: FrameCount::new(start_of(best as u64, rate)),
            second: (telegram >> 40 & 0xFF_FFFF) as u32,
            time_of_day_ms: (telegram >> 8 & 0xFFFF_FFFF) as u32,
        });
        step = best + BITS * BIT;
    }
    found
}

/// Every whole telegram in `pcm`.
pub fn decode_pcm(pcm: &[u8], spec: Spec) -> Vec<Telegram> {
    decode(&mono(pcm, spec), spec.rate())
}

/// Whole frames as one channel from -1 to 1: the mean of all.
pub fn mono(pcm: &[u8], spec: Spec) -> Vec<f32> {
    let sample = spec.format().bytes() as usize;
    let mean = |frame: &[u8]| {
        let sum: f64 = frame.chunks_exact(sample).map(|bytes| value(bytes, spec.format())).sum();
        (sum / f64::from(spec.channels())) as f32
    };
    pcm.chunks_exact(spec.frame_bytes() as usize).map(mean).collect()
}

fn value(bytes: &[u8], format: SampleFormat) -> f64 {
    // Left-justified in 32 bits, all integers have the same full scale.
    let justified = bytes.iter().fold(0_u32, |n, &b| n >> 8 | u32::from(b) << 24);
    match format {
        SampleFormat::F32 => f64::from(f32::from_bits(justified)),
        _ => f64::from(justified as i32) / 2_147_483_648.0,
    }
}

/// The second of the recording (mod 100) that the steady sine names. Takes the first second of `samples` and needs 0.2 s;
/// less than a second can mistake a long pip (1 kHz) for second 70. If the second changes within, the longer part wins.
/// `None` when there is no such sine.
pub fn tone_second(samples: &[f32], rate: u32) -> Option<u32> {
    let samples = samples.get(..rate as usize).unwrap_or(samples);
    if samples.len() < rate as usize / 5 {
        return None;
    }
    let n = samples.len() as f64;
    let windowed: Vec<f64> =
        (0..).zip(samples).map(|(i, &x)| f64::from(x) * (1.0 - (TAU * f64::from(i) / n).cos())).collect();
    let energy: f64 = windowed.iter().map(|x| x * x).sum();
    let (second, power) = (0..100_u32)
        .map(|s| (s, goertzel(&windowed, f64::from(300 + 10 * s) / f64::from(rate))))
        .max_by(|a, b| a.1.total_cmp(&b.1))?;
    // A pure sine has power = energy * n / 3 behind this window; noise has about energy at each frequency.
    (energy > n * SILENCE * SILENCE && power > energy * n / 3.0 * 0.2).then_some(second)
}

/// Power of `samples` at `frequency` cycles for each sample (Goertzel).
fn goertzel(samples: &[f64], frequency: f64) -> f64 {
    let k = 2.0 * (TAU * frequency).cos();
    let (a, b) = samples.iter().fold((0.0, 0.0), |(a, b), x| (x + k * a - b, a));
    a * a + b * b - k * a * b
}

/// First sample of a step.
const fn start_of(step: u64, rate: u32) -> u64 {
    step * rate as u64 / STEPS_PER_SECOND
}

/// The two frequencies, mixed down to zero and summed up: the strength in any stretch is one subtraction.
struct Voices {
    zero: Vec<(f64, f64)>,
    one: Vec<(f64, f64)>,
    samples_per_step: f64,
}

impl Voices {
    fn of(samples: &[f32], rate: u32) -> Self {
        let samples_per_step = f64::from(rate) / STEPS_PER_SECOND as f64;
        Self { zero: sums(samples, rate, 2_600), one: sums(samples, rate, 3_200), samples_per_step }
    }

    fn steps(&self) -> usize {
        self.zero.len().saturating_sub(1)
    }

    /// Amplitudes of (0, 1) in the steps `from..to`.
    fn strengths(&self, from: usize, to: usize) -> (f64, f64) {
        let samples = (to - from) as f64 * self.samples_per_step;
        let strength = |sums: &[(f64, f64)]| match (sums.get(from), sums.get(to)) {
            (Some(a), Some(b)) => 2.0 * (b.0 - a.0).hypot(b.1 - a.1) / samples,
            _ => 0.0,
        };
        (strength(&self.zero), strength(&self.one))
    }

    /// The telegram that starts at `step`, if one does.
    fn telegram(&self, step: usize) -> Option<u128> {
        let (mut bits, mut clear) = (0_u128, 0.0);
        let (mut weakest, mut strongest) = (f64::MAX, 0.0_f64);
        for n in 0..BITS {
            let start = step + n * BIT;
            let (zero, one) = self.strengths(start + EDGE, start + BIT - EDGE);
            let (power, strong) = (zero * zero + one * one, zero.max(one));
            if strong < SILENCE {
                return None;
            }
            bits = bits << 1 | u128::from(one > zero);
            clear += (one * one - zero * zero).abs() / power;
            (weakest, strongest) = (weakest.min(strong), strongest.max(strong));
            if n == 7 && bits != SYNC {
                return None;
            }
        }
        // The CRC does not see lost zeros, if silence reads as zeros at the end: that is what the levels are for.
        let level = strongest < LEVELS * weakest;
        (level && clear > CLEAR * BITS as f64 && crc8(bits >> 8) == (bits & 0xFF) as u8).then_some(bits)
    }

    /// Largest where a telegram's bits fall just into their places.
    fn sharpness(&self, step: usize) -> f64 {
        let bit = |n| {
            let (zero, one) = self.strengths(step + n * BIT, step + (n + 1) * BIT);
            (zero - one).abs()
        };
        (0..BITS).map(bit).sum()
    }
}

/// At each step, the sum of all samples before it, mixed down by `hertz`.
fn sums(samples: &[f32], rate: u32, hertz: u64) -> Vec<(f64, f64)> {
    let (mut sums, mut sum, mut step) = (vec![(0.0, 0.0)], (0.0, 0.0), 1);
    for (n, &sample) in (0_u64..).zip(samples) {
        let phase = TAU * (n * hertz % u64::from(rate)) as f64 / f64::from(rate);
        let (sin, cos) = phase.sin_cos();
        sum = (sum.0 + f64::from(sample) * cos, sum.1 - f64::from(sample) * sin);
        if n + 1 == start_of(step, rate) {
            sums.push(sum);
            step += 1;
        }
    }
    sums
}

/// CRC-8, polynomial 0x07, of the 56 bits between sync and CRC.
fn crc8(bits: u128) -> u8 {
    bits.to_be_bytes()
        .iter()
        .skip(9)
        .fold(0, |crc, byte| (0..8).fold(crc ^ byte, |crc, _| if crc & 0x80 == 0 { crc << 1 } else { crc << 1 ^ 0x07 }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(n: usize, amplitude: f64) -> Vec<f32> {
        let mut state = 1_u64;
        let mut next = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 40) as f64 / (1 << 23) as f64 - 1.0
        };
        (0..n).map(|_| (amplitude * next()) as f32).collect()
    }

    #[test]
    fn nothing_is_found_where_nothing_is() {
        for amplitude in [1.0, 0.001] {
            assert_eq!(decode(&noise(30 * 48_000, amplitude), 48_000), []);
            assert_eq!(tone_second(&noise(48_000, amplitude), 48_000), None);
        }
        let silence = [0.0; 48_000];
        assert_eq!(decode(&silence, 48_000), []);
        assert_eq!(tone_second(&silence, 48_000), None);
        for hertz in [440.0, 2_600.0, 3_200.0, 2_900.0] {
            let tone: Vec<f32> = (0..96_000).map(|n| (TAU * hertz * f64::from(n) / 48_000.0).sin() as f32).collect();
            assert_eq!(decode(&tone, 48_000), [], "{hertz} Hz");
        }
        assert_eq!(decode(&[], 48_000), []);
        assert_eq!(decode(&[1.0; 10], 8_000), []);
    }

    #[test]
    fn samples_of_every_format_have_one_scale() {
        let spec = |format, channels| Spec::new(format, 48_000, channels).unwrap();
        assert_eq!(mono(&[0, 0x40, 0, 0xC0], spec(SampleFormat::S16, 1)), [0.5, -0.5]);
        assert_eq!(mono(&[0, 0, 0x40, 0, 0, 0xC0], spec(SampleFormat::S24, 1)), [0.5, -0.5]);
        assert_eq!(mono(&[0, 0, 0, 0x40], spec(SampleFormat::S32, 1)), [0.5]);
        assert_eq!(mono(&0.5_f32.to_le_bytes(), spec(SampleFormat::F32, 1)), [0.5]);
        assert_eq!(mono(&[0, 0x40, 0, 0, 9], spec(SampleFormat::S16, 2)), [0.25], "the mean; half frames are left out");
    }
}

//! A signal that says where in the recording it is and what time it is, to ears and to programs.
//!
//! Three voices are added up, 0.9 of full scale at most; everything is below 4 kHz, so that it works from 8 kHz up.
//! 1. A steady sine of 300 + 10·(s mod 100) Hz during second `s` of the recording.
//! 2. A telegram at the start of each second of the recording: 72 bits, 100 a second, 0 is 2600 Hz, 1 is 3200 Hz.
//!    Sync byte 0xD5; 24 bits second of the recording; 32 bits milliseconds since 00:00 UTC at its first frame; 8 bits
//!    CRC (polynomial 0x07) of the 56 bits before. Most significant bit first.
//! 3. A pip of 1 kHz at each full second UTC, a long one at the full minute; then, from one second after it, strokes
//!    for the hour, the tens of minutes and the minutes, each group higher than the last.

use super::voice::Waveform;
use livetape_audio::{Frame, Spec, WallTime};
use std::f64::consts::TAU;

const POSITION: f64 = 0.25;
const TELEGRAM: f64 = 0.15;
const PIP: f64 = 0.3;
const STROKE: f64 = 0.2;

const SYNC: u64 = 0xD5;
const BITS: u32 = 72;
const BITS_PER_SECOND: u64 = 100;

const MILLI: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLI;
const MINUTE: u64 = 60 * SECOND;
const DAY: u64 = 1_440 * MINUTE;

/// The waveform. All its sines have whole periods in what they are counted from, so phases need no memory.
#[derive(Debug)]
pub struct TimeSignal {
    spec: Spec,
    /// The telegram of this second; none if playing began within it.
    telegram: Option<u128>,
}

impl TimeSignal {
    /// The signal at the rate of `spec`.
    pub const fn new(spec: Spec) -> Self {
        Self { spec, telegram: None }
    }
}

impl Waveform for TimeSignal {
    fn sample(&mut self, frame: Frame, time: WallTime) -> f64 {
        let rate = u64::from(self.spec.rate());
        let (second, within) = (frame.get() / rate, frame.get() % rate);
        if within == 0 {
            self.telegram = Some(telegram(second, nanos_of_day(time) / MILLI));
        }
        let seconds = within as f64 / rate as f64;
        let bit = (within * BITS_PER_SECOND / rate) as u32;
        let fsk = match self.telegram {
            Some(telegram) if bit < BITS => {
                let one = telegram >> (BITS - 1 - bit) & 1 == 1;
                TELEGRAM * sine(if one { 3_200.0 } else { 2_600.0 }, seconds)
            }
            _ => 0.0,
        };
        let position = POSITION * sine((300 + 10 * (second % 100)) as f64, seconds);
        position + fsk + time_of_day(nanos_of_day(time))
    }
}

fn sine(hertz: f64, seconds: f64) -> f64 {
    (TAU * hertz * seconds).sin()
}

fn nanos_of_day(time: WallTime) -> u64 {
    time.unix_nanos().rem_euclid(DAY as i64).unsigned_abs()
}

fn telegram(second: u64, millis_of_day: u64) -> u128 {
    let body = SYNC << 56 | (second & 0xFF_FFFF) << 32 | millis_of_day;
    let crc = crc8(body & 0xFF_FFFF_FFFF_FFFF);
    u128::from(body) << 8 | u128::from(crc)
}

/// CRC-8 with polynomial 0x07, over the lower 56 bits, most significant first.
fn crc8(bits: u64) -> u8 {
    bits.to_be_bytes()
        .iter()
        .skip(1)
        .fold(0, |crc, byte| (0..8).fold(crc ^ byte, |crc, _| if crc & 0x80 == 0 { crc << 1 } else { crc << 1 ^ 0x07 }))
}

/// Pips and strokes.
fn time_of_day(nanos: u64) -> f64 {
    let in_minute = nanos % MINUTE;
    let pip_len = if in_minute < SECOND { 500 * MILLI } else { 60 * MILLI };
    let pip = PIP * note(1_000.0, nanos % SECOND, pip_len);
    pip + STROKE * strokes(nanos / MINUTE, in_minute)
}

/// The strokes of a minute of the day: hours, tens of minutes, minutes.
fn strokes(minute: u64, in_minute: u64) -> f64 {
    const EACH: u64 = 250 * MILLI;
    let mut start = SECOND;
    for (count, hertz) in [(minute / 60, 1_200.0), (minute % 60 / 10, 1_500.0), (minute % 10, 1_900.0)] {
        let end = start + count * EACH;
        if (start..end).contains(&in_minute) {
            return note(hertz, (in_minute - start) % EACH, 100 * MILLI);
        }
        start = end + SECOND;
    }
    0.0
}

/// A sine of `len` nanoseconds, `at` nanoseconds after it began; it begins and ends softly.
fn note(hertz: f64, at: u64, len: u64) -> f64 {
    const SOFT: u64 = 5 * MILLI;
    if at >= len {
        return 0.0;
    }
    let edge = at.min(len - at).min(SOFT) as f64 / SOFT as f64;
    edge * sine(hertz, at as f64 / SECOND as f64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use livetape_audio::{FrameCount, SampleFormat};

    fn spec(rate: u32) -> Spec {
        Spec::new(SampleFormat::S16, rate, 1).unwrap()
    }

    fn samples(signal: &mut TimeSignal, first: u64, time: WallTime, frames: u64) -> Vec<f32> {
        let spec = signal.spec;
        let one = |n| signal.sample(Frame::new(first) + n, time.after_frames(n, spec)) as f32;
        (0..frames).map(FrameCount::new).map(one).collect()
    }

    fn at(s: &str) -> WallTime {
        s.parse().unwrap()
    }

    #[test]
    fn the_crc_is_the_usual_one() {
        let seven = |s: &[u8]| s.iter().fold(0, |n, &b| n << 8 | u64::from(b));
        assert_eq!(crc8(seven(b"\0\0\0\0\0\0\x01")), 0x07);
        assert_eq!(crc8(seven(b"1234567")), 0x78);
    }

    #[test]
    fn peaks_stay_below_the_limit_and_no_click_is_heard() {
        // A minute with many strokes, pips and telegrams on top of each other.
        let rate = 48_000;
        let mut signal = TimeSignal::new(spec(rate));
        let samples = samples(&mut signal, 77 * 48_000, at("2026-11-20T23:58:59.9Z"), 15 * 48_000);
        let peak = samples.iter().fold(0.0_f32, |m, s| m.max(s.abs()));
        assert!((0.7..=0.9).contains(&peak), "{peak}");
        // The steepest that the sines can be; a click would be a jump.
        let steepest = samples.windows(2).map(|w| (w[1] - w[0]).abs()).fold(0.0, f32::max);
        assert!(steepest < 0.2, "{steepest}");
    }

    #[test]
    fn strokes_tell_the_time() {
        // 14:37: 14 strokes, 3, 7. Counted by their beginnings.
        let minute = 14 * 60 + 37;
        let loud = |ms: u64| (0..20).any(|k| strokes(minute, ms * MILLI + k * 1_030_000).abs() > 0.1);
        let starts: Vec<u64> = (1..2_400).map(|n| n * 25).filter(|&ms| loud(ms) && !loud(ms - 25)).collect();
        assert_eq!(starts.len(), 14 + 3 + 7, "{starts:?}");
        assert_eq!(starts[0], 1_000);
        assert_eq!(starts[14], 1_000 + 14 * 250 + 1_000);
        assert_eq!(starts[17], 1_000 + 14 * 250 + 1_000 + 3 * 250 + 1_000);
        assert_eq!(strokes(0, SECOND), 0.0, "midnight has none");
    }

    #[test]
    fn no_telegram_when_begun_within_a_second() {
        let rate = 8_000;
        let t = at("2026-11-20T12:00:30.2Z");
        let mut signal = TimeSignal::new(spec(rate));
        samples(&mut signal, 4_000, t, 3_999);
        assert_eq!(signal.telegram, None);
        samples(&mut signal, 8_000, t, 1);
        assert_eq!(signal.telegram, Some(telegram(1, ((12 * 60) * 60 + 30) * 1_000 + 200)));
    }
}

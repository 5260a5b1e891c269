//! A tone that says which second is heard: 300 + 10·(s mod 100) Hz during second `s`, and its detection in any
//! 0.2 s or more of audio. It survives players, resampling and codecs, where counting PCM does not.

use livetape_audio::{Frame, FrameCount};
use std::f64::consts::TAU;

const AMPLITUDE: f64 = 0.25;

/// Frames `first`, `first + 1`, … of the tone as s16le, in `channels` equal channels.
pub fn pcm(first: Frame, count: FrameCount, rate: u32, channels: u16) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(usize::try_from(count.get()).unwrap_or(0) * usize::from(channels) * 2);
    for n in first.get()..first.get() + count.get() {
        let second = n / u64::from(rate);
        // A whole number of periods fits into each second, so the phase starts anew in each without a click.
        let at = (n % u64::from(rate)) as f64 / f64::from(rate);
        let sample = (AMPLITUDE * (TAU * hertz(second) * at).sin() * f64::from(i16::MAX)).round() as i16;
        for _ in 0..channels {
            bytes.extend_from_slice(&sample.to_le_bytes());
        }
    }
    bytes
}

fn hertz(second: u64) -> f64 {
    (300 + 10 * (second % 100)) as f64
}

/// The second (mod 100) whose tone is in `samples` (one channel); `None` when none of the tones is clearly there.
pub fn second(samples: &[f32], rate: u32) -> Option<u64> {
    let n = samples.len() as f64;
    if samples.len() < rate as usize / 5 {
        return None;
    }
    // A Hann window keeps a tone out of the rows of its neighbours 10 Hz away.
    let windowed: Vec<f64> =
        samples.iter().enumerate().map(|(i, s)| f64::from(*s) * (0.5 - 0.5 * (TAU * i as f64 / n).cos())).collect();
    let energy: f64 = windowed.iter().map(|x| x * x).sum();
    let (second, power) =
        (0..100).map(|s| (s, power(&windowed, hertz(s) / f64::from(rate)))).max_by(|a, b| a.1.total_cmp(&b.1))?;
    // A pure tone through this window has power = energy * n / 3; half of it is still clear.
    (energy > 0.0 && power > energy * n / 6.0).then_some(second)
}

/// Goertzel's algorithm: the power of `samples` at `frequency` cycles for each sample.
fn power(samples: &[f64], frequency: f64) -> f64 {
    let k = 2.0 * (TAU * frequency).cos();
    let (a, b) = samples.iter().fold((0.0, 0.0), |(a, b), x| (x + k * a - b, a));
    a * a + b * b - k * a * b
}

/// One channel of s16le audio as numbers from -1 to 1.
pub fn channel_s16(pcm: &[u8], channels: usize, which: usize) -> Vec<f32> {
    pcm.chunks_exact(channels * 2)
        .map(|frame| f32::from(i16::from_le_bytes([frame[which * 2], frame[which * 2 + 1]])) / 32768.0)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for rate in [8_000, 44_100, 48_000] {
            for s in [0, 1, 50, 99, 100, 142] {
                let start = Frame::new(s * u64::from(rate) + 100);
                let pcm = pcm(start, FrameCount::new(u64::from(rate) * 4 / 10), rate, 2);
                assert_eq!(second(&channel_s16(&pcm, 2, 1), rate), Some(s % 100), "{rate} Hz, second {s}");
            }
        }
    }

    #[test]
    fn neither_silence_nor_noise_is_a_tone() {
        assert_eq!(second(&[0.0; 24_000], 48_000), None);
        let mut state = 1_u32;
        let noise: Vec<f32> = (0..24_000)
            .map(|_| {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 8) as f32 / 8_388_608.0 - 1.0
            })
            .collect();
        assert_eq!(second(&noise, 48_000), None);
        assert_eq!(second(&[0.1; 100], 48_000), None, "too short to say");
    }
}

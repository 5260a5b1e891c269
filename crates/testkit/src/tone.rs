//! The steady sine of the time signal and nothing else, for sources that push faster than real time: 300 + 10·(s mod
//! 100) Hz during second `s`. [`crate::time_signal::tone_second`] reads it.

use livetape_audio::{Frame, FrameCount};
use std::f64::consts::TAU;
use std::sync::{Arc, Mutex, PoisonError};

/// From 0 to 1.
pub const AMPLITUDE: f64 = 0.25;

/// Frames `first`, `first + 1`, … of the tone as s16le, in `channels` equal channels.
pub fn pcm(first: Frame, count: FrameCount, rate: u32, channels: u16) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(usize::try_from(count.get()).unwrap_or(0) * usize::from(channels) * 2);
    let (period, samples) = (u64::from(rate), period(rate));
    for n in first.get()..first.get() + count.get() {
        // A whole number of periods fits into each second, so the phase starts anew in each without a click.
        let hertz = 300 + 10 * (n / period % 100);
        let sample = samples[(hertz * (n % period) % period) as usize].to_le_bytes();
        for _ in 0..channels {
            bytes.extend_from_slice(&sample);
        }
    }
    bytes
}

/// A sine of 1 Hz. Any other of whole hertz consists of the same samples: a backlog of minutes takes no minute.
fn period(rate: u32) -> Arc<[i16]> {
    static KNOWN: Mutex<Vec<Arc<[i16]>>> = Mutex::new(Vec::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(samples) = known.iter().find(|samples| samples.len() == rate as usize) {
        return Arc::clone(samples);
    }
    let sample = |n: u32| AMPLITUDE * (TAU * f64::from(n) / f64::from(rate)).sin() * f64::from(i16::MAX);
    let samples: Arc<[i16]> = (0..rate).map(|n| sample(n).round() as i16).collect();
    known.push(Arc::clone(&samples));
    samples
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time_signal::{mono, tone_second};
    use livetape_audio::{SampleFormat, Spec};

    #[test]
    fn there_and_back() {
        for rate in [8_000, 44_100, 48_000] {
            for s in [0, 1, 50, 99, 100, 142] {
                let start = Frame::new(s * u64::from(rate) + 100);
                let pcm = pcm(start, FrameCount::new(u64::from(rate) * 3 / 10), rate, 2);
                let samples = mono(&pcm, Spec::new(SampleFormat::S16, rate, 2).unwrap());
                assert_eq!(tone_second(&samples, rate).map(u64::from), Some(s % 100), "{rate} Hz, second {s}");
            }
        }
    }
}

//! What generators play. Pure: the same frames at the same times are the same bytes.

use super::encode;
use super::time_signal::TimeSignal;
use crate::random::Random;
use crate::source_spec::{SourceSpec, SourceSpecError};
use livetape_audio::{Frame, FrameCount, Spec, WallTime};
use std::f64::consts::TAU;

/// Something that can be played from any frame on.
pub trait Voice: Send + 'static {
    /// Appends `frames` frames, the first of which is number `first` and is captured at `time`.
    fn render(&mut self, first: Frame, time: WallTime, frames: FrameCount, out: &mut Vec<u8>);
}

/// The voice of a generator; `None` for sources that are none.
///
/// # Errors
/// If it cannot make audio of this shape.
pub fn voice(source: &SourceSpec, spec: Spec) -> Result<Option<Box<dyn Voice>>, SourceSpecError> {
    source.check(spec)?;
    Ok(match source {
        SourceSpec::TimeSignal => Some(Box::new(Mono::new(TimeSignal::new(spec), spec))),
        SourceSpec::Tone => Some(Box::new(Mono::new(Tone::new(spec), spec))),
        SourceSpec::Noise => Some(Box::new(Mono::new(Noise::default(), spec))),
        SourceSpec::Silence => Some(Box::new(Mono::new(Silence, spec))),
        SourceSpec::Counting => Some(Box::new(Counting)),
        SourceSpec::Stdin | SourceSpec::File(_) | SourceSpec::Device(_) => None,
        SourceSpec::Relay(_) | SourceSpec::Push | SourceSpec::None => None,
    })
}

/// One sample after another, from -1.0 to 1.0.
pub trait Waveform: Send + 'static {
    /// The sample of a frame that is captured at `time`. Called for each frame in turn.
    fn sample(&mut self, frame: Frame, time: WallTime) -> f64;
}

/// A waveform, the same in all channels.
#[derive(Debug)]
pub struct Mono<W> {
    waveform: W,
    spec: Spec,
}

impl<W> Mono<W> {
    /// `waveform` in the shape of `spec`.
    pub const fn new(waveform: W, spec: Spec) -> Self {
        Self { waveform, spec }
    }
}

impl<W: Waveform> Voice for Mono<W> {
    fn render(&mut self, first: Frame, time: WallTime, frames: FrameCount, out: &mut Vec<u8>) {
        for n in (0..frames.get()).map(FrameCount::new) {
            let sample = self.waveform.sample(first + n, time.after_frames(n, self.spec));
            for _ in 0..self.spec.channels() {
                encode::put(out, self.spec.format(), sample);
            }
        }
    }
}

/// A sine of 440 Hz at a quarter of full scale.
#[derive(Debug)]
pub struct Tone {
    rate: u64,
}

impl Tone {
    const HERTZ: f64 = 440.0;
    const AMPLITUDE: f64 = 0.25;

    /// The tone at the rate of `spec`.
    pub fn new(spec: Spec) -> Self {
        Self { rate: u64::from(spec.rate()) }
    }
}

impl Waveform for Tone {
    fn sample(&mut self, frame: Frame, _time: WallTime) -> f64 {
        // A second holds whole periods, so the phase needs the place within it only, and stays exact for ever.
        let seconds = (frame.get() % self.rate) as f64 / self.rate as f64;
        Self::AMPLITUDE * (TAU * Self::HERTZ * seconds).sin()
    }
}

/// White noise, evenly spread over a quarter of full scale.
#[derive(Debug)]
pub struct Noise {
    random: Random,
    amplitude: f64,
}

impl Noise {
    /// Noise that is the same for the same seed, up to `amplitude`.
    pub const fn new(seed: u64, amplitude: f64) -> Self {
        Self { random: Random::new(seed), amplitude }
    }
}

impl Default for Noise {
    /// Another noise each time.
    fn default() -> Self {
        Self { random: Random::seeded(), amplitude: 0.25 }
    }
}

impl Waveform for Noise {
    fn sample(&mut self, _frame: Frame, _time: WallTime) -> f64 {
        self.amplitude * (2.0 * self.random.unit() - 1.0)
    }
}

/// Nothing to be heard.
#[derive(Debug)]
pub struct Silence;

impl Waveform for Silence {
    fn sample(&mut self, _frame: Frame, _time: WallTime) -> f64 {
        0.0
    }
}

/// Counting PCM: s16 stereo, the low 16 bits of the frame's number left, the high 16 bits right.
#[derive(Debug)]
pub struct Counting;

impl Voice for Counting {
    fn render(&mut self, first: Frame, _time: WallTime, frames: FrameCount, out: &mut Vec<u8>) {
        for n in 0..frames.get() {
            // Low half first: the little-endian bytes of the number are the two little-endian samples.
            out.extend_from_slice(&((first + FrameCount::new(n)).get() as u32).to_le_bytes());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use livetape_audio::SampleFormat;

    #[test]
    fn every_generator_fills_every_shape() {
        let t = WallTime::from_unix_nanos(1_763_649_000_000_000_000);
        for source in [SourceSpec::TimeSignal, SourceSpec::Tone, SourceSpec::Noise] {
            for format in SampleFormat::ALL {
                for (rate, channels) in [(8_000, 1), (11_025, 2), (192_000, 8)] {
                    let spec = Spec::new(format, rate, channels).unwrap();
                    let mut out = Vec::new();
                    let n = FrameCount::new(441);
                    voice(&source, spec).unwrap().unwrap().render(Frame::new(5), t, n, &mut out);
                    assert_eq!(out.len() as u64, spec.bytes(n), "{source} {spec}");
                    let frame = spec.frame_bytes() as usize;
                    let sample = format.bytes() as usize;
                    let same = |f: &[u8]| f.chunks(sample).all(|s| s == &f[..sample]);
                    assert!(out.chunks(frame).all(same), "all channels carry the same");
                    assert!(out.iter().any(|&b| b != 0), "not silence");
                }
            }
        }
    }

    #[test]
    fn counting_counts_past_16_and_32_bits() {
        let mut out = Vec::new();
        let t = WallTime::default();
        Counting.render(Frame::new(0xFFFF), t, FrameCount::new(2), &mut out);
        assert_eq!(out, [0xFF, 0xFF, 0, 0, 0, 0, 1, 0]);
        out.clear();
        Counting.render(Frame::new((1 << 32) + 3), t, FrameCount::new(1), &mut out);
        assert_eq!(out, [3, 0, 0, 0]);
    }
}

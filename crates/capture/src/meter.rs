//! How loud a source is, for people who watch it. Measuring costs a source only when somebody asked for it.

use crate::desk::Desk;
use crate::sources::{Piece, Source, SourceError};
use livetape_audio::{Frame, FrameCount, Spec};
use livetape_codec::convert;
use std::sync::{Arc, Mutex, PoisonError};

/// A sample this near to full scale has been clipped, or will be.
const CLIP: f64 = 0.9999;

/// Loudness of one channel over some time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Loudness {
    /// The largest sample, full scale 1.0.
    pub peak: f64,
    /// The sum of the squares of all samples.
    squares: f64,
    /// Samples at full scale.
    pub clipped: u64,
}

/// Loudness of all channels over some time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Level {
    /// Of each channel.
    pub channels: Vec<Loudness>,
    /// How long.
    pub frames: FrameCount,
}

impl Level {
    /// The root mean square of a channel, full scale 1.0; zero while nothing was measured.
    pub fn rms(&self, channel: &Loudness) -> f64 {
        if self.frames.is_zero() { 0.0 } else { (channel.squares / self.frames.get() as f64).sqrt() }
    }

    fn measure(&mut self, samples: &[f64], spec: Spec) {
        let channels = usize::from(spec.channels());
        self.channels.resize(channels, Loudness::default());
        for frame in samples.chunks_exact(channels) {
            for (channel, sample) in self.channels.iter_mut().zip(frame) {
                let loud = sample.abs();
                channel.peak = channel.peak.max(loud);
                channel.squares += loud * loud;
                channel.clipped += u64::from(loud >= CLIP);
            }
        }
        self.frames = self.frames + FrameCount::new((samples.len() / channels) as u64);
    }
}

/// Measures a source. Whoever holds another copy of it reads.
#[derive(Clone, Debug, Default)]
pub struct Meter(Arc<Mutex<Level>>);

impl Meter {
    /// What was measured since this was last asked.
    pub fn take(&self) -> Level {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A source and its meter.
pub(crate) struct Metered<S> {
    pub(crate) source: S,
    pub(crate) meter: Meter,
}

impl<S: Source> Source for Metered<S> {
    fn spec(&self) -> Spec {
        self.source.spec()
    }

    fn begin(&mut self, next: Frame) {
        self.source.begin(next);
    }

    fn desk(&self) -> Option<Desk> {
        self.source.desk()
    }

    fn can_wait(&self) -> bool {
        self.source.can_wait()
    }

    fn waits_for_answer(&self) -> bool {
        self.source.waits_for_answer()
    }

    async fn next(&mut self) -> Result<Option<Piece>, SourceError> {
        let piece = self.source.next().await?;
        if let Some(Piece::Audio(chunk)) = &piece {
            let (spec, mut samples) = (self.source.spec(), Vec::new());
            convert::read(spec.format(), &chunk.pcm, &mut samples);
            self.meter.0.lock().unwrap_or_else(PoisonError::into_inner).measure(&samples, spec);
        }
        Ok(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use livetape_audio::SampleFormat;

    #[test]
    fn peak_rms_and_clipping_of_each_channel() {
        let spec = Spec::new(SampleFormat::S16, 48_000, 2).unwrap();
        let mut level = Level::default();
        for n in 0..480 {
            let sine = (f64::from(n) / 48.0 * std::f64::consts::TAU).sin();
            level.measure(&[0.5 * sine, -1.0], spec);
        }
        let [left, right] = &level.channels[..] else { panic!() };
        assert!((left.peak - 0.5).abs() < 1e-9 && (level.rms(left) - 0.125_f64.sqrt()).abs() < 1e-9);
        assert_eq!((left.clipped, right.peak, right.clipped, level.rms(right)), (0, 1.0, 480, 1.0));
        assert_eq!(Level::default().rms(left), 0.0);
    }
}

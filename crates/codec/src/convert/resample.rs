//! Another rate, by Fourier transform: the first frame stays the first, and the length is that of the input at the new rate,
//! rounded up.

use super::ConvertError;
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Indexing, Resampler as _, WindowFunction};
use std::fmt;

/// Frames of one transform, at least.
const CHUNK: u32 = 1024;

/// Frames of one transform: an even multiple of the smallest, so that half of it, which is the delay, is a whole number of
/// frames at both rates, and the first frame lies exactly on the first.
pub(crate) const fn chunk(from: u32, to: u32) -> usize {
    let (mut a, mut b) = (from, to);
    while b != 0 {
        (a, b) = (b, a % b);
    }
    let smallest = from / a;
    (smallest * CHUNK.div_ceil(smallest).next_multiple_of(2)) as usize
}

pub(super) struct Resampler {
    rates: (u32, u32),
    channels: usize,
    fft: Fft<f64>,
    /// What waits for a whole chunk.
    waiting: Vec<f64>,
    out: Vec<f64>,
    /// Frames of the resampler's own delay that are still to come.
    delay: usize,
    /// Frames that came, and that went.
    came: u64,
    went: u64,
}

impl fmt::Debug for Resampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resampler")
            .field("rates", &self.rates)
            .field("channels", &self.channels)
            .finish_non_exhaustive()
    }
}

impl Resampler {
    pub(super) fn new(from: u32, to: u32, channels: u16) -> Result<Self, ConvertError> {
        let channels = usize::from(channels);
        let window = WindowFunction::BlackmanHarris2;
        let fft = Fft::new_custom(from as usize, to as usize, chunk(from, to), 1, channels, window, FixedSync::Input);
        let fft = fft.map_err(|error| ConvertError::Resample { from, to, why: error.to_string() })?;
        let delay = fft.output_delay();
        Ok(Self { rates: (from, to), channels, fft, waiting: Vec::new(), out: Vec::new(), delay, came: 0, went: 0 })
    }

    /// Takes frames in; what is ready comes out.
    pub(super) fn push(&mut self, samples: &[f64]) -> Result<&[f64], ConvertError> {
        self.out.clear();
        self.came += (samples.len() / self.channels) as u64;
        self.waiting.extend_from_slice(samples);
        let waiting = std::mem::take(&mut self.waiting);
        let mut rest = waiting.as_slice();
        while let Some((chunk, after)) = rest.split_at_checked(self.fft.input_frames_next() * self.channels) {
            self.step(chunk, None)?;
            rest = after;
        }
        self.waiting = rest.to_vec();
        Ok(&self.out)
    }

    /// Nothing follows: what is left comes out, and the next that comes is the first again.
    pub(super) fn finish(&mut self) -> Result<&[f64], ConvertError> {
        self.out.clear();
        let whole = (u128::from(self.came) * u128::from(self.rates.1)).div_ceil(u128::from(self.rates.0)) as u64;
        let mut left = std::mem::take(&mut self.waiting);
        while self.went < whole {
            let frames = left.len() / self.channels;
            left.resize(self.fft.input_frames_next() * self.channels, 0.0);
            self.step(&left, Some(frames))?;
            left.clear();
        }
        let spare = usize::try_from(self.went - whole).unwrap_or(usize::MAX).saturating_mul(self.channels);
        self.out.truncate(self.out.len().saturating_sub(spare));
        self.fft.reset();
        (self.delay, self.came, self.went) = (self.fft.output_delay(), 0, 0);
        Ok(&self.out)
    }

    /// One chunk, of which only the first frames count if so.
    fn step(&mut self, chunk: &[f64], frames: Option<usize>) -> Result<(), ConvertError> {
        let (from, to) = self.rates;
        let failed = |why: String| ConvertError::Resample { from, to, why };
        let (channels, most) = (self.channels, self.fft.output_frames_next());
        let input =
            InterleavedSlice::new(chunk, channels, chunk.len() / channels).map_err(|e| failed(e.to_string()))?;
        let mut fresh = vec![0.0; most * channels];
        let mut output = InterleavedSlice::new_mut(&mut fresh, channels, most).map_err(|e| failed(e.to_string()))?;
        let part = frames.map(|frames| Indexing::new().partial_len(frames));
        let done = self.fft.process_into_buffer(&input, &mut output, part.as_ref());
        let (_, made) = done.map_err(|error| failed(error.to_string()))?;
        let late = self.delay.min(made);
        self.delay -= late;
        self.went += (made - late) as u64;
        self.out.extend_from_slice(fresh.get(late * channels..made * channels).unwrap_or_default());
        Ok(())
    }
}

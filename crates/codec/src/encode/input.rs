//! PCM of a recording to the samples that an encoder takes: the channels that are heard, at its rate.
//!
//! Every frame that comes out depends on a fixed stretch of what goes in, wherever one begins; so what follows may be made
//! in any order, and comes out the same.

use super::{EncodeError, Encoding};
use crate::convert::{self, chunk};
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler as _, WindowFunction};
use std::ops::Range;

pub(super) struct Input {
    encoding: Encoding,
    /// Frames of a chunk that go in, frames that come out, and by how many of those they are late; none at the same rate.
    chunk: Option<(i64, i64, i64)>,
    fft: Option<Fft<f64>>,
}

impl Input {
    pub(super) fn new(encoding: Encoding) -> Self {
        let (from, to) = (encoding.spec().rate(), encoding.rate());
        let chunk = (from != to).then(|| {
            let frames = chunk(from, to) as i64;
            let made = frames * i64::from(to) / i64::from(from);
            (frames, made, made / 2)
        });
        Self { encoding, chunk, fft: None }
    }

    /// The chunks that frames of the rendition come from; each comes out together with a part of the one before it.
    fn chunks(range: &Range<i64>, (_, made, late): (i64, i64, i64)) -> Range<i64> {
        let first = range.start.saturating_add(late).div_euclid(made);
        let last = range.end.saturating_sub(1).saturating_add(late).div_euclid(made);
        first.saturating_sub(1)..last.saturating_add(1)
    }

    /// Frames of the recording that frames of the rendition are made of.
    pub(super) fn needs(&self, range: Range<i64>) -> Range<i64> {
        let Some(chunk) = self.chunk else { return range };
        let chunks = Self::chunks(&range, chunk);
        chunks.start.saturating_mul(chunk.0)..chunks.end.saturating_mul(chunk.0)
    }

    /// Frames of the rendition, from the PCM of the frames that they need; what is missing at the end is silence.
    pub(super) fn samples(&mut self, range: Range<i64>, pcm: &[u8]) -> Result<Vec<f32>, EncodeError> {
        let (spec, pick) = (self.encoding.spec(), self.encoding.pick());
        let (mut all, mut picked) = (Vec::new(), Vec::new());
        convert::read(spec.format(), pcm, &mut all);
        pick.apply(&all, spec, &mut picked);
        let needs = self.needs(range.clone());
        let frames = usize::try_from(needs.end - needs.start).unwrap_or(0);
        picked.resize(frames.saturating_mul(pick.len()), 0.0);
        let made = match self.chunk {
            None => picked,
            Some(chunk) => self.resample(&range, &picked, chunk)?,
        };
        // What is no number would not stay where it is.
        Ok(made.iter().map(|&sample| if sample.is_finite() { sample as f32 } else { 0.0 }).collect())
    }

    fn resample(
        &mut self,
        range: &Range<i64>,
        samples: &[f64],
        chunk: (i64, i64, i64),
    ) -> Result<Vec<f64>, EncodeError> {
        let failed = |why: &dyn std::fmt::Display| EncodeError::Library(format!("the resampler refused: {why}"));
        let (from, to, channels) = (self.encoding.spec().rate(), self.encoding.rate(), self.encoding.pick().len());
        let fft = match &mut self.fft {
            Some(fft) => fft,
            none => {
                let (frames, window) = (chunk.0 as usize, WindowFunction::BlackmanHarris2);
                let fft = Fft::new_custom(from as usize, to as usize, frames, 1, channels, window, FixedSync::Input);
                none.insert(fft.map_err(|why| failed(&why))?)
            }
        };
        fft.reset();
        if fft.output_delay() as i64 != chunk.2 {
            return Err(failed(&format!("it is {} frames late", fft.output_delay())));
        }
        let mut out = Vec::new();
        for input in samples.chunks_exact(chunk.0 as usize * channels) {
            let (frames, most) = (input.len() / channels, fft.output_frames_next());
            let input = InterleavedSlice::new(input, channels, frames).map_err(|why| failed(&why))?;
            let at = out.len();
            out.resize(at + most * channels, 0.0);
            let fresh = out.get_mut(at..).unwrap_or_default();
            let mut output = InterleavedSlice::new_mut(fresh, channels, most).map_err(|why| failed(&why))?;
            let (_, made) = fft.process_into_buffer(&input, &mut output, None).map_err(|why| failed(&why))?;
            out.truncate(at + made * channels);
        }
        let first = Self::chunks(range, chunk).start * chunk.1 - chunk.2;
        let (skip, len) = ((range.start - first) as usize * channels, (range.end - range.start) as usize * channels);
        let wanted = out.get(skip..skip + len).map(<[f64]>::to_vec);
        wanted.ok_or_else(|| failed(&format!("{} samples came out", out.len())))
    }
}

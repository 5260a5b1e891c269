//! Samples to the shape of a stream: channels, rate, encoding. What is right already is not touched.

mod mix;
mod resample;
mod sample;

pub use mix::Mix;
pub(crate) use resample::chunk;
pub use sample::{read, write};

use livetape_audio::{ChannelLayout, Spec};
use resample::Resampler;

/// What comes in: any rate and number of channels, within reason.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sound {
    /// Frames per second, 1 to 1,000,000.
    pub rate: u32,
    /// Samples per frame, 1 to 32.
    pub channels: u16,
    /// Which loudspeaker each channel is for, if that is known.
    pub layout: ChannelLayout,
}

impl Sound {
    /// The highest rate that can be converted.
    pub const MAX_RATE: u32 = 1_000_000;
    /// The most channels that can be converted.
    pub const MAX_CHANNELS: u16 = 32;

    /// The loudspeakers of two channels and more, if they are known. One channel is mono and two are stereo, whatever is said.
    pub(crate) fn known(self) -> Option<ChannelLayout> {
        let layout = if self.channels == 2 { ChannelLayout::usual(2) } else { self.layout };
        Some(layout).filter(|layout| self.channels > 1 && layout.channels() == self.channels)
    }

    /// Of channels for no known loudspeakers.
    pub const fn new(rate: u32, channels: u16) -> Self {
        Self { rate, channels, layout: ChannelLayout::UNKNOWN }
    }
}

impl From<Spec> for Sound {
    fn from(spec: Spec) -> Self {
        Self { rate: spec.rate(), channels: spec.channels(), layout: spec.layout() }
    }
}

/// Why something cannot be converted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConvertError {
    /// Beyond all reason.
    #[error("{} channels at {} Hz cannot be converted: at most {} channels and {} Hz", .0.channels, .0.rate, Sound::MAX_CHANNELS, Sound::MAX_RATE)]
    Sound(Sound),
    /// The resampler does not take it.
    #[error("{from} Hz cannot be resampled to {to} Hz: {why}")]
    Resample {
        /// Rate of what comes.
        from: u32,
        /// Rate of the stream.
        to: u32,
        /// What it says.
        why: String,
    },
}

/// Turns what comes in into PCM of one spec, without a frame more or less than its length says.
#[derive(Debug)]
pub struct Converter {
    from: Sound,
    to: Spec,
    mix: Mix,
    resampler: Option<Resampler>,
    mixed: Vec<f64>,
}

impl Converter {
    /// From one shape to another.
    ///
    /// # Errors
    /// [`ConvertError`] when `from` is beyond all reason.
    pub fn new(from: Sound, to: Spec) -> Result<Self, ConvertError> {
        if !(1..=Sound::MAX_RATE).contains(&from.rate) || !(1..=Sound::MAX_CHANNELS).contains(&from.channels) {
            return Err(ConvertError::Sound(from));
        }
        let resampler = match from.rate == to.rate() {
            true => None,
            false => Some(Resampler::new(from.rate, to.rate(), to.channels())?),
        };
        Ok(Self { from, to, mix: Mix::new(from, to), resampler, mixed: Vec::new() })
    }

    /// What it takes.
    pub const fn from(&self) -> Sound {
        self.from
    }

    /// How channels are adapted.
    pub const fn mix(&self) -> &Mix {
        &self.mix
    }

    /// Takes whole frames in and appends the PCM that is ready to `out`.
    ///
    /// # Errors
    /// [`ConvertError::Resample`] if the resampler fails, which is a bug.
    pub fn push(&mut self, samples: &[f64], out: &mut Vec<u8>) -> Result<(), ConvertError> {
        self.mixed.clear();
        self.mix.apply(samples, &mut self.mixed);
        match &mut self.resampler {
            None => write(self.to.format(), &self.mixed, out),
            Some(resampler) => write(self.to.format(), resampler.push(&self.mixed)?, out),
        }
        Ok(())
    }

    /// Nothing follows: appends what is left to `out`. The converter can be used anew.
    ///
    /// # Errors
    /// As [`Converter::push`].
    pub fn finish(&mut self, out: &mut Vec<u8>) -> Result<(), ConvertError> {
        if let Some(resampler) = &mut self.resampler {
            write(self.to.format(), resampler.finish()?, out);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;

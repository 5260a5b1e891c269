//! What a source's audio is to look like, as far as anybody has said.

use livetape_audio::{SampleFormat, Spec, SpecError};

/// What was said of a spec; the source fills in the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Encoding of a sample.
    pub format: Option<SampleFormat>,
    /// Frames per second.
    pub rate: Option<u32>,
    /// Samples per frame.
    pub channels: Option<u32>,
}

impl Shape {
    /// With what is built in where nothing was said: 48 kHz, stereo, 16 bits.
    ///
    /// # Errors
    /// If there are no such specs.
    pub fn spec(self) -> Result<Spec, SpecError> {
        let format = self.format.unwrap_or(SampleFormat::S16);
        Spec::new(format, self.rate.unwrap_or(48_000), self.channels.unwrap_or(2))
    }

    /// With what the source has by itself where nothing was said.
    ///
    /// # Errors
    /// As [`Shape::spec`].
    pub fn over(self, own: Spec) -> Result<Spec, SpecError> {
        let Self { format, rate, channels } = self;
        let (rate, channels) = (rate.unwrap_or(own.rate()), channels.unwrap_or(own.channels().into()));
        Spec::new(format.unwrap_or(own.format()), rate, channels)
    }
}

impl From<Spec> for Shape {
    fn from(spec: Spec) -> Self {
        Self { format: Some(spec.format()), rate: Some(spec.rate()), channels: Some(spec.channels().into()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_said_counts_and_the_rest_is_filled_in() {
        let own = Spec::new(SampleFormat::S24, 44_100, 1).unwrap();
        let rate = Shape { rate: Some(96_000), ..Shape::default() };
        assert_eq!(rate.spec(), Spec::new(SampleFormat::S16, 96_000, 2));
        assert_eq!(rate.over(own), Spec::new(SampleFormat::S24, 96_000, 1));
        assert_eq!((Shape::from(own).spec(), Shape::default().over(own)), (Ok(own), Ok(own)));
        assert!(Shape { channels: Some(65_538), ..rate }.over(own).is_err(), "must not wrap to 2");
    }
}

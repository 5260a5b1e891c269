//! What a source's audio is to look like, as far as anybody has said.

use livetape_audio::{ChannelLayout, SampleFormat, Spec, SpecError};

/// What was said of a spec; the source fills in the rest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shape {
    /// Encoding of a sample.
    pub format: Option<SampleFormat>,
    /// Frames per second.
    pub rate: Option<u32>,
    /// Samples per frame.
    pub channels: Option<u32>,
    /// Which loudspeaker each channel is for, which says how many there are, too; or that they are for none.
    pub layout: Option<ChannelLayout>,
}

impl Shape {
    /// How many channels were said, by their number or by what they are for.
    pub fn channels(self) -> Option<u32> {
        self.channels.or(self.layout.filter(|layout| layout.is_known()).map(|layout| layout.channels().into()))
    }

    /// With what is built in where nothing was said: 48 kHz, stereo, 16 bits.
    ///
    /// # Errors
    /// If there are no such specs.
    pub fn spec(self) -> Result<Spec, SpecError> {
        let format = self.format.unwrap_or(SampleFormat::S16);
        let spec = Spec::new(format, self.rate.unwrap_or(48_000), self.channels().unwrap_or(2))?;
        spec.for_speakers(self.layout.unwrap_or_default())
    }

    /// With what the source has by itself where nothing was said.
    ///
    /// # Errors
    /// As [`Shape::spec`].
    pub fn over(self, own: Spec) -> Result<Spec, SpecError> {
        let Self { format, rate, layout, .. } = self;
        let (rate, channels) = (rate.unwrap_or(own.rate()), self.channels().unwrap_or(own.channels().into()));
        let spec = Spec::new(format.unwrap_or(own.format()), rate, channels)?;
        match layout {
            Some(layout) => spec.for_speakers(layout),
            // Of another number of channels, nobody knows what they are for.
            None => Ok(spec.for_speakers(own.layout()).unwrap_or(spec)),
        }
    }
}

impl From<Spec> for Shape {
    fn from(spec: Spec) -> Self {
        let (rate, channels) = (Some(spec.rate()), Some(spec.channels().into()));
        Self { format: Some(spec.format()), rate, channels, layout: Some(spec.layout()) }
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
        let surround =
            Spec::new(SampleFormat::S24, 44_100, 6).and_then(|spec| spec.for_speakers(ChannelLayout::usual(6)));
        let layout = |shape: Shape| shape.over(surround.clone().unwrap()).map(Spec::layout);
        assert_eq!(layout(rate), Ok(ChannelLayout::usual(6)));
        assert_eq!(layout(Shape { channels: Some(4), ..rate }), Ok(ChannelLayout::UNKNOWN));
        let side = Shape { layout: Some("FL+FR+FC+LFE+SL+SR".parse().unwrap()), ..Shape::default() };
        assert_eq!(side.spec().unwrap().to_string(), "s16le;rate=48000;channels=6;layout=FL+FR+FC+LFE+SL+SR");
        assert_eq!(layout(side), Ok(side.layout.unwrap()));
        assert_eq!(Shape::from(side.spec().unwrap()).spec(), side.spec());
        assert!(Shape { channels: Some(5), ..side }.spec().is_err());
        assert_eq!(layout(Shape { layout: Some(ChannelLayout::UNKNOWN), ..rate }), Ok(ChannelLayout::UNKNOWN));
        assert!(Shape { channels: Some(65_538), ..rate }.over(own).is_err(), "must not wrap to 2");
    }
}

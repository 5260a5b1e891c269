//! What a sound card offers, and which of it is taken.

use crate::shape::Shape;
use cpal::{BufferSize, SampleFormat as CardFormat, StreamConfig, SupportedBufferSize, SupportedStreamConfigRange};
use livetape_audio::{SampleFormat, Spec};
use serde::Serialize;
use std::collections::BTreeSet;
use std::fmt;

/// Blocks of this many a second, if nobody says otherwise: the host's buffer has two of them, and has to last while the
/// machine is busy.
const BLOCKS_PER_SECOND: u32 = 20;
/// Largest block that a card is asked for that does not say what it can do.
const MAX_BUFFER: u32 = 1 << 16;
/// Rates that are taken if nobody says otherwise, the dearest first.
const USUAL_RATES: [u32; 2] = [48_000, 44_100];

/// What a person wants of a sound card.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Wish {
    /// Of what is recorded. What is not said is taken as the card offers it: 48 kHz and two channels if it can be, and s16
    /// in any case, whatever format the card gives.
    pub shape: Shape,
    /// Frames of a block that the card gives at once; its buffer has two of them. If it is not said, 50 ms of audio.
    pub buffer: Option<u32>,
}

impl fmt::Display for Wish {
    /// What a card may not offer of it: `1 channel, 96000 Hz, blocks of 480 frames`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let channels = self.shape.channels().map(|n| format!("{n} channel{}", if n == 1 { "" } else { "s" }));
        let rate = self.shape.rate.map(|rate| format!("{rate} Hz"));
        let buffer = self.buffer.map(|frames| format!("blocks of {frames} frames"));
        let said: Vec<String> = [channels, rate, buffer].into_iter().flatten().collect();
        if said.is_empty() { f.write_str("audio that can be recorded") } else { f.write_str(&said.join(", ")) }
    }
}

/// What was chosen.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Choice {
    /// For the host.
    pub(crate) config: StreamConfig,
    /// What the card gives.
    pub(crate) format: CardFormat,
    /// What is recorded.
    pub(crate) spec: Spec,
}

/// One thing that a card can do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Offer {
    /// Sample format: `s16`, `s24`, `s32`, `f32` as recorded, others by their usual names.
    pub format: String,
    /// Channels.
    pub channels: u16,
    /// Lowest rate, in Hz.
    pub min_rate: u32,
    /// Highest rate, in Hz.
    pub max_rate: u32,
    /// Least frames of a block, if the card says so.
    pub min_buffer: Option<u32>,
    /// Most frames of a block, if the card says so.
    pub max_buffer: Option<u32>,
}

impl From<&SupportedStreamConfigRange> for Offer {
    fn from(range: &SupportedStreamConfigRange) -> Self {
        let (min_buffer, max_buffer) = match *range.buffer_size() {
            SupportedBufferSize::Range { min, max } => (Some(min), Some(max)),
            SupportedBufferSize::Unknown => (None, None),
        };
        Self {
            format: name(range.sample_format()),
            channels: range.channels(),
            min_rate: range.min_sample_rate(),
            max_rate: range.max_sample_rate(),
            min_buffer,
            max_buffer,
        }
    }
}

fn name(format: CardFormat) -> String {
    match format {
        CardFormat::I16 => "s16".into(),
        CardFormat::I24 => "s24".into(),
        CardFormat::I32 => "s32".into(),
        other => other.to_string(),
    }
}

/// Takes what comes nearest to the wish; `None` if the card does not offer it.
pub(crate) fn choose(wish: Wish, offers: &[SupportedStreamConfigRange]) -> Option<Choice> {
    let format = wish.shape.format.unwrap_or(SampleFormat::S16);
    let order = preferred(format);
    let usable = |o: &&SupportedStreamConfigRange| {
        let known = order.contains(&o.sample_format()) && u32::from(o.channels()) <= Spec::MAX_CHANNELS;
        known && rate(wish, o).is_some() && buffer(wish, 0, o).is_some()
    };
    let usable: Vec<_> = offers.iter().filter(usable).collect();
    // First the channels, then the rate, then how the samples come: only that can be made good afterwards.
    let wanted = wish.shape.channels();
    let channels = usable.iter().map(|o| u32::from(o.channels()));
    let channels = channels.filter(|&n| wanted.is_none_or(|wanted| n == wanted)).min_by_key(|&n| (n.abs_diff(2), n))?;
    let offer = usable.into_iter().filter(|o| u32::from(o.channels()) == channels).min_by_key(|o| {
        let place = order.iter().position(|&f| f == o.sample_format());
        (rate(wish, o).map(unusual), place)
    })?;
    let rate = rate(wish, offer)?;
    let spec = Spec::new(format, rate, channels).ok()?;
    let spec = spec.for_speakers(wish.shape.layout.unwrap_or_default()).ok()?;
    let buffer_size = buffer(wish, rate, offer)?;
    let config = StreamConfig { channels: offer.channels(), sample_rate: rate, buffer_size };
    Some(Choice { config, format: offer.sample_format(), spec })
}

/// The rate at which this offer is taken.
fn rate(wish: Wish, offer: &SupportedStreamConfigRange) -> Option<u32> {
    let (low, high) = (offer.min_sample_rate().max(Spec::MIN_RATE), offer.max_sample_rate().min(Spec::MAX_RATE));
    let fits = |&rate: &u32| (low..=high).contains(&rate);
    match wish.shape.rate {
        Some(rate) => Some(rate).filter(fits),
        None => USUAL_RATES.into_iter().find(fits).or(Some(high).filter(fits)),
    }
}

/// How far a rate is from what people expect.
fn unusual(rate: u32) -> (usize, u32) {
    let place = USUAL_RATES.iter().position(|&usual| usual == rate).unwrap_or(USUAL_RATES.len());
    (place, rate.abs_diff(48_000))
}

/// The blocks in which this offer is taken.
fn buffer(wish: Wish, rate: u32, offer: &SupportedStreamConfigRange) -> Option<BufferSize> {
    let range = match *offer.buffer_size() {
        SupportedBufferSize::Range { min, max } if min <= max => Some(min..=max),
        _ => None,
    };
    match (wish.buffer, range) {
        (Some(frames), Some(range)) => range.contains(&frames).then_some(BufferSize::Fixed(frames)),
        (Some(frames), None) => (1..=MAX_BUFFER).contains(&frames).then_some(BufferSize::Fixed(frames)),
        (None, Some(range)) => Some(BufferSize::Fixed((rate / BLOCKS_PER_SECOND).clamp(*range.start(), *range.end()))),
        (None, None) => Some(BufferSize::Default),
    }
}

/// In which formats a card may give what is recorded in `format`: those without loss first.
fn preferred(format: SampleFormat) -> [CardFormat; 10] {
    use CardFormat::{F32, F64, I8, I16, I24, I32, U8, U16, U24, U32};
    match format {
        SampleFormat::S16 => [I16, U16, I24, U24, I32, U32, F32, F64, I8, U8],
        SampleFormat::S24 => [I24, U24, I32, U32, F32, F64, I16, U16, I8, U8],
        SampleFormat::S32 => [I32, U32, F64, I24, U24, F32, I16, U16, I8, U8],
        SampleFormat::F32 => [F32, F64, I24, U24, I32, U32, I16, U16, I8, U8],
    }
}

/// What a card offers, in a line.
pub(crate) struct Summary<'a>(pub(crate) &'a [Offer]);

impl fmt::Display for Summary<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("nothing");
        }
        let channels: BTreeSet<u32> = self.0.iter().map(|o| u32::from(o.channels)).collect();
        let rates: BTreeSet<(u32, u32)> = self.0.iter().map(|o| (o.min_rate, o.max_rate)).collect();
        let mut formats: Vec<&str> = Vec::new();
        self.0.iter().for_each(|o| {
            if !formats.contains(&o.format.as_str()) {
                formats.push(&o.format)
            }
        });
        let rates = rates.into_iter().map(|(a, b)| if a == b { a.to_string() } else { format!("{a} to {b}") });
        let word = if channels.len() == 1 && channels.contains(&1) { "channel" } else { "channels" };
        let rates = rates.collect::<Vec<_>>().join(", ");
        write!(f, "{} {word}; {rates} Hz; {}", runs(&channels), formats.join(", "))?;
        let least = self.0.iter().filter_map(|o| o.min_buffer).min();
        let most = self.0.iter().filter_map(|o| o.max_buffer).max();
        match least.zip(most) {
            Some((least, most)) => write!(f, "; blocks of {least} to {most} frames"),
            None => Ok(()),
        }
    }
}

/// `1, 2, 6 to 8`.
fn runs(numbers: &BTreeSet<u32>) -> String {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for &n in numbers {
        match runs.last_mut() {
            Some((_, last)) if *last + 1 == n => *last = n,
            _ => runs.push((n, n)),
        }
    }
    let text = |(a, b): (u32, u32)| match b - a {
        0 => a.to_string(),
        1 => format!("{a}, {b}"),
        _ => format!("{a} to {b}"),
    };
    runs.into_iter().map(text).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offer(format: CardFormat, channels: u16, rates: (u32, u32)) -> SupportedStreamConfigRange {
        let buffer = SupportedBufferSize::Range { min: 32, max: 4_096 };
        SupportedStreamConfigRange::new(channels, rates.0, rates.1, buffer, format)
    }

    fn taken(wish: Wish, offers: &[SupportedStreamConfigRange]) -> Option<(CardFormat, String, BufferSize)> {
        let choice = choose(wish, offers)?;
        assert_eq!((choice.config.channels, choice.config.sample_rate), (choice.spec.channels(), choice.spec.rate()));
        Some((choice.format, choice.spec.to_string(), choice.config.buffer_size))
    }

    fn rate(hertz: u32) -> Wish {
        Wish { shape: Shape { rate: Some(hertz), ..Shape::default() }, buffer: None }
    }

    #[test]
    fn what_nobody_said_is_taken_as_it_comes() {
        let usb = [
            offer(CardFormat::I16, 1, (44_100, 44_100)),
            offer(CardFormat::I16, 1, (48_000, 48_000)),
            offer(CardFormat::I32, 1, (48_000, 48_000)),
        ];
        let s16_mono = "s16le;rate=48000;channels=1".to_owned();
        assert_eq!(taken(Wish::default(), &usb), Some((CardFormat::I16, s16_mono, BufferSize::Fixed(2_400))));
        let deep = Wish { shape: Shape { format: Some(SampleFormat::S24), ..Shape::default() }, buffer: None };
        assert_eq!(taken(deep, &usb).unwrap().0, CardFormat::I32, "nothing is lost");
        let cd = Wish { shape: Shape { rate: Some(44_100), ..deep.shape }, buffer: Some(256) };
        let s24_mono = "s24le;rate=44100;channels=1".to_owned();
        assert_eq!(taken(cd, &usb), Some((CardFormat::I16, s24_mono, BufferSize::Fixed(256))));
        let many = [offer(CardFormat::F32, 18, (48_000, 48_000)), offer(CardFormat::F32, 6, (96_000, 384_000))];
        assert_eq!(taken(Wish::default(), &many).unwrap().1, "s16le;rate=192000;channels=6");
        let slow = [offer(CardFormat::I16, 2, (4_000, 16_000))];
        assert_eq!(taken(Wish::default(), &slow).unwrap().1, "s16le;rate=16000;channels=2");
        assert_eq!(taken(rate(192_000), &many).unwrap().2, BufferSize::Fixed(4_096));
    }

    #[test]
    fn what_was_said_is_meant() {
        let stereo = [offer(CardFormat::I16, 2, (44_100, 48_000))];
        let mono = Wish { shape: Shape { channels: Some(1), ..Shape::default() }, buffer: None };
        assert_eq!(taken(mono, &stereo), None);
        assert_eq!(taken(rate(96_000), &stereo), None);
        assert_eq!(taken(Wish { buffer: Some(16), ..Wish::default() }, &stereo), None);
        assert_eq!(taken(rate(45_000), &stereo).unwrap().1, "s16le;rate=45000;channels=2");
        let quadro = Wish { shape: Shape { layout: "FL+FR+BL+BR".parse().ok(), ..Shape::default() }, buffer: None };
        let four = [offer(CardFormat::I16, 2, (48_000, 48_000)), offer(CardFormat::I16, 4, (48_000, 48_000))];
        assert_eq!(taken(quadro, &four).unwrap().1, "s16le;rate=48000;channels=4;layout=FL+FR+BL+BR");
        assert_eq!((taken(quadro, &stereo), quadro.to_string().as_str()), (None, "4 channels"));
        let shape = Shape { channels: Some(1), rate: Some(96_000), ..Shape::default() };
        let all = Wish { buffer: Some(16), shape };
        assert_eq!(all.to_string(), "1 channel, 96000 Hz, blocks of 16 frames");
        assert_eq!(taken(Wish::default(), &[]), None);
        assert_eq!(taken(Wish::default(), &[offer(CardFormat::DsdU8, 2, (48_000, 48_000))]), None);
    }

    #[test]
    fn in_a_line_for_people() {
        let offers: Vec<Offer> = [1, 2, 4, 5, 6]
            .map(|channels| Offer::from(&offer(CardFormat::I16, channels, (44_100, 44_100))))
            .into_iter()
            .chain([Offer::from(&offer(CardFormat::F32, 2, (8_000, 48_000)))])
            .collect();
        assert_eq!(
            Summary(&offers).to_string(),
            "1, 2, 4 to 6 channels; 8000 to 48000, 44100 Hz; s16, f32; blocks of 32 to 4096 frames"
        );
        assert_eq!(Summary(&[]).to_string(), "nothing");
    }
}

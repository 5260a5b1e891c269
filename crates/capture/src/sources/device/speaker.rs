//! The other way: a sound card that plays.
//!
//! Who has audio puts it into a ring, as long as there is room; the host's thread takes it out, without a lock. What is
//! missing then is silence, and counted. A card that does not offer the rate or the channels of the audio gets it converted;
//! where it offers them, no sample is touched.

use super::card_id::CardId;
use super::cards::{CardError, Cards, Way};
use super::convert;
use super::offer::{self, Choice, Offer, Summary, Wish};
use super::quiet::Quiet;
use crate::shape::Shape;
use cpal::ErrorKind;
use cpal::SupportedStreamConfigRange;
use cpal::traits::{DeviceTrait, StreamTrait};
use livetape_audio::{FrameCount, SampleFormat, Spec};
use livetape_codec::convert::{Converter, Sound, read};
use rtrb::{Consumer, Producer, RingBuffer};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// Audio in the ring.
const ROOM: Duration = Duration::from_secs(2);
/// Playing begins with so much of it.
const AHEAD: Duration = Duration::from_millis(500);
/// How long to sleep while the ring is full.
const NAP: Duration = Duration::from_millis(5);
/// Hosts that say more than this are wrong.
const MOST_LATENCY: Duration = Duration::from_secs(2);
/// A card that takes nothing for longer hangs.
const HANGS: Duration = Duration::from_secs(10);

/// What the host's thread says.
#[derive(Default)]
struct Said {
    /// Frames that were missing.
    missing: AtomicU64,
    /// Nanoseconds until what is handed over now is heard, as far as the host knows.
    latency: AtomicU64,
    /// Nothing more comes: what is missing is not missed.
    ended: AtomicBool,
    /// The card is gone.
    gone: AtomicBool,
    /// What went wrong first.
    trouble: OnceLock<cpal::Error>,
}

/// A card that plays. Silent when dropped.
pub struct Speaker {
    card: CardId,
    /// What the card plays.
    spec: Spec,
    format: cpal::SampleFormat,
    /// From what comes to that, if it is something else.
    converter: Option<Converter>,
    /// The encoding of what comes.
    encoding: SampleFormat,
    stream: cpal::Stream,
    ring: Producer<u8>,
    playing: bool,
    /// Frames that fill the card's own buffer.
    buffer: FrameCount,
    said: Arc<Said>,
    samples: Vec<f64>,
    converted: Vec<u8>,
    _quiet: Quiet,
}

impl Speaker {
    /// Opens a card for audio of the shape `spec`: as it is, or else as near to it as the card can. May take as long as
    /// the card's driver does.
    ///
    /// # Errors
    /// [`CardError`] says why it cannot be used, and what to do.
    pub fn open(cards: &Cards, card: CardId, spec: Spec, buffer: Option<u32>) -> Result<Self, CardError> {
        let quiet = Quiet::new();
        let card = cards.by_name(&card);
        let device = cards.find(&card, Way::Out)?;
        let failed = |error: cpal::Error| CardError::of(&card, &error);
        let offers: Vec<_> = device.supported_output_configs().map_err(failed)?.collect();
        let wish = Wish { shape: spec.into(), buffer };
        // Only what can be made here: hosts offer more.
        let known: Vec<_> = offers.iter().filter(|offer| convert::plays(offer.sample_format())).copied().collect();
        let choice = nearest(wish, &known).ok_or_else(|| {
            let offers: Vec<Offer> = offers.iter().map(Offer::from).collect();
            CardError::Offers { card: card.clone(), wanted: wish.to_string(), offers: Summary(&offers).to_string() }
        })?;
        let frame_bytes = choice.format.sample_size() * usize::from(choice.config.channels);
        let room = usize::try_from(choice.spec.frames(ROOM).get()).unwrap_or(usize::MAX).saturating_mul(frame_bytes);
        let (ring, out) = RingBuffer::new(room);
        let said = Arc::new(Said::default());
        let (on_data, on_error) = (data(out, frame_bytes, Arc::clone(&said)), errors(Arc::clone(&said)));
        let stream = device.build_output_stream_raw(choice.config, choice.format, on_data, on_error, None);
        let stream = stream.map_err(failed)?;
        let buffer = stream.buffer_size().map_or(FrameCount::ZERO, |frames| FrameCount::new(u64::from(frames) * 2));
        let mut new = Self {
            card,
            // As many channels as are played are those: nothing is mixed.
            spec: choice.spec.for_speakers(spec.layout()).unwrap_or(choice.spec),
            format: choice.format,
            converter: None,
            encoding: spec.format(),
            stream,
            ring,
            playing: false,
            buffer,
            said,
            samples: Vec::new(),
            converted: Vec::new(),
            _quiet: quiet,
        };
        new.expect(spec)?;
        Ok(new)
    }

    /// What the card plays.
    pub const fn spec(&self) -> Spec {
        self.spec
    }

    /// What comes from now on has the shape `spec`.
    ///
    /// # Errors
    /// If that cannot be converted to what the card plays.
    pub fn turn_to(&mut self, spec: Spec) -> Result<(), CardError> {
        self.drain()?;
        self.expect(spec)
    }

    fn expect(&mut self, spec: Spec) -> Result<(), CardError> {
        let same = (spec.rate(), spec.channels()) == (self.spec.rate(), self.spec.channels());
        let from = Sound::from(spec);
        let converter = || Converter::new(from, self.spec).map_err(|error| self.failed(&error));
        self.converter = if same { None } else { Some(converter()?) };
        self.encoding = spec.format();
        Ok(())
    }

    /// Plays what the converter still holds.
    fn drain(&mut self) -> Result<(), CardError> {
        let Some(mut converter) = self.converter.take() else { return Ok(()) };
        let mut rest = Vec::new();
        converter.finish(&mut rest).map_err(|error| self.failed(&error))?;
        self.put(&rest, self.spec.format())
    }

    fn failed(&self, error: &impl std::fmt::Display) -> CardError {
        CardError::Failed { card: self.card.clone(), error: error.to_string() }
    }

    /// Plays whole frames after those before them; waits while there is no room.
    ///
    /// # Errors
    /// When the card is gone or takes nothing.
    pub fn play(&mut self, pcm: &[u8]) -> Result<(), CardError> {
        let Some(converter) = &mut self.converter else { return self.put(pcm, self.encoding) };
        self.samples.clear();
        read(self.encoding, pcm, &mut self.samples);
        let mut fitting = Vec::new();
        let pushed = converter.push(&self.samples, &mut fitting);
        pushed.map_err(|error| self.failed(&error))?;
        self.put(&fitting, self.spec.format())
    }

    /// Puts frames of what the card plays, encoded as is said, into the ring.
    fn put(&mut self, pcm: &[u8], encoding: SampleFormat) -> Result<(), CardError> {
        self.converted.clear();
        let mut converted = std::mem::take(&mut self.converted);
        convert::to_card(pcm, encoding, self.format, &mut converted);
        let mut rest = converted.as_slice();
        let mut since = Instant::now();
        while !rest.is_empty() {
            let (_, left) = self.ring.push_partial_slice(rest);
            if left.len() < rest.len() {
                since = Instant::now();
            }
            rest = left;
            self.begin(false)?;
            if !rest.is_empty() {
                self.check(since)?;
                std::thread::sleep(NAP);
            }
        }
        self.converted = converted;
        Ok(())
    }

    /// Waits until everything was heard. Gives the audio that did not come in time, as [`Speaker::missing`].
    ///
    /// # Errors
    /// When the card is gone or takes nothing.
    pub fn finish(mut self) -> Result<Duration, CardError> {
        self.drain()?;
        self.said.ended.store(true, Ordering::Release);
        self.begin(true)?;
        let (mut since, mut before) = (Instant::now(), usize::MAX);
        loop {
            let waiting = self.ring.buffer().capacity() - self.ring.slots();
            if waiting == 0 {
                break;
            }
            if waiting < before {
                (since, before) = (Instant::now(), waiting);
            }
            self.check(since)?;
            std::thread::sleep(NAP);
        }
        // A sound server has more of it than the card's buffer.
        let latency = Duration::from_nanos(self.said.latency.load(Ordering::Relaxed)).min(MOST_LATENCY);
        std::thread::sleep(self.spec.duration(self.buffer) + latency);
        Ok(self.missing())
    }

    /// Audio that did not come in time so far: silence was played instead.
    pub fn missing(&self) -> Duration {
        self.spec.duration(FrameCount::new(self.said.missing.load(Ordering::Relaxed)))
    }

    fn begin(&mut self, all: bool) -> Result<(), CardError> {
        let waiting = self.ring.buffer().capacity() - self.ring.slots();
        let frame = self.format.sample_size() * usize::from(self.spec.channels());
        let ahead = self.spec.duration(FrameCount::new((waiting / frame.max(1)) as u64));
        if !self.playing && (all || ahead >= AHEAD) {
            self.stream.play().map_err(|error| CardError::of(&self.card, &error))?;
            self.playing = true;
        }
        Ok(())
    }

    fn check(&self, since: Instant) -> Result<(), CardError> {
        if self.said.gone.load(Ordering::Acquire) {
            let why = self.said.trouble.get().map(|error| format!(": {error}")).unwrap_or_default();
            return Err(CardError::Failed { card: self.card.clone(), error: format!("the sound card is gone{why}") });
        }
        match (since.elapsed() > HANGS, self.said.trouble.get()) {
            (false, _) => Ok(()),
            (true, None) => Err(CardError::Silent(self.card.clone())),
            (true, Some(error)) => Err(self.failed(error)),
        }
    }
}

/// What the card offers that is nearest to the wish: that; its channels at another rate; its rate with other channels;
/// anything.
fn nearest(wish: Wish, offers: &[SupportedStreamConfigRange]) -> Option<Choice> {
    let Shape { format, rate, channels, .. } = wish.shape;
    let tries = [(rate, channels), (None, channels), (rate, None), (None, None)];
    let shapes = tries.map(|(rate, channels)| Shape { format, rate, channels, layout: None });
    shapes.into_iter().find_map(|shape| offer::choose(Wish { shape, ..wish }, offers))
}

/// The host's thread runs this: no lock, no allocation, no log line. What it leaves is silence.
fn data(
    mut ring: Consumer<u8>,
    frame_bytes: usize,
    said: Arc<Said>,
) -> impl FnMut(&mut cpal::Data, &cpal::OutputCallbackInfo) + Send + 'static {
    move |data, info| {
        let stamp = info.timestamp();
        let latency = stamp.playback.saturating_duration_since(stamp.callback);
        said.latency.store(latency.as_nanos() as u64, Ordering::Relaxed);
        fill(&mut ring, frame_bytes, &said, data.bytes_mut());
    }
}

fn fill(ring: &mut Consumer<u8>, frame_bytes: usize, said: &Said, out: &mut [u8]) {
    let whole = ring.slots().min(out.len()) / frame_bytes * frame_bytes;
    let missing = out.len() - whole;
    if let Some(out) = out.get_mut(..whole) {
        let _ = ring.pop_entire_slice(out);
    }
    if missing > 0 && !said.ended.load(Ordering::Acquire) {
        said.missing.fetch_add((missing / frame_bytes) as u64, Ordering::Relaxed);
    }
}

/// Likewise.
fn errors(said: Arc<Said>) -> impl FnMut(cpal::Error) + Send + 'static {
    move |error| match error.kind() {
        // What was missing then was counted where it was missed.
        ErrorKind::Xrun | ErrorKind::DeviceChanged | ErrorKind::RealtimeDenied => {}
        kind => {
            // The host goes on after any other: whether the card does, is seen by what it takes.
            let gone = matches!(
                kind,
                ErrorKind::DeviceNotAvailable | ErrorKind::HostUnavailable | ErrorKind::StreamInvalidated
            );
            let _ = said.trouble.set(error);
            said.gone.fetch_or(gone, Ordering::AcqRel);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use livetape_audio::ChannelLayout;

    #[test]
    fn what_is_missing_is_silence_and_counted() {
        let (mut ring, mut out) = RingBuffer::new(64);
        let said = Said::default();
        ring.push_entire_slice(&[7; 10]).unwrap();
        let mut block = [0; 16];
        let counted = allocation_counter::measure(|| fill(&mut out, 4, &said, &mut block));
        assert_eq!(counted.count_total, 0);
        assert_eq!(block, [7, 7, 7, 7, 7, 7, 7, 7, 0, 0, 0, 0, 0, 0, 0, 0], "whole frames only");
        assert_eq!(said.missing.load(Ordering::Relaxed), 2);
        ring.push_entire_slice(&[7; 2]).unwrap();
        said.ended.store(true, Ordering::Release);
        fill(&mut out, 4, &said, &mut block);
        assert_eq!(
            (&block[..4], said.missing.load(Ordering::Relaxed)),
            (&[7; 4][..], 2),
            "nothing is missed at the end"
        );
    }

    #[test]
    fn what_a_card_does_not_offer_is_converted_and_nothing_else() {
        let buffer = cpal::SupportedBufferSize::Range { min: 32, max: 4_096 };
        let range = |channels, (low, high)| {
            SupportedStreamConfigRange::new(channels, low, high, buffer, cpal::SampleFormat::I16)
        };
        let offers = [range(1, (8_000, 16_000)), range(2, (44_100, 44_100)), range(2, (48_000, 48_000))];
        for (rate, channels, taken) in
            [(44_100, 2, (44_100, 2)), (96_000, 2, (48_000, 2)), (8_000, 1, (8_000, 1)), (48_000, 6, (48_000, 2))]
        {
            let spec = Spec::new(SampleFormat::S24, rate, channels).unwrap();
            let spec = spec.for_speakers(ChannelLayout::usual(spec.channels())).unwrap();
            let spec = nearest(Wish { shape: spec.into(), buffer: None }, &offers).unwrap().spec;
            assert_eq!((spec.rate(), spec.channels(), spec.format()), (taken.0, taken.1, SampleFormat::S24));
        }
        assert!(nearest(Wish::default(), &[]).is_none());
    }
}

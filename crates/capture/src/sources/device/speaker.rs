//! The other way: a sound card that plays.
//!
//! Who has audio puts it into a ring, as long as there is room; the host's thread takes it out, without a lock. What is
//! missing then is silence, and counted.

use super::card_id::CardId;
use super::cards::{CardError, Cards, Way};
use super::convert;
use super::offer::{self, Offer, Summary, Wish};
use super::quiet::Quiet;
use cpal::ErrorKind;
use cpal::traits::{DeviceTrait, StreamTrait};
use livetape_audio::{FrameCount, Spec};
use rtrb::{Consumer, Producer, RingBuffer};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// Audio in the ring.
const ROOM: Duration = Duration::from_secs(2);
/// Playing begins with so much of it.
const AHEAD: Duration = Duration::from_millis(500);
/// How long to sleep while the ring is full.
const NAP: Duration = Duration::from_millis(5);
/// A card that takes nothing for longer hangs.
const HANGS: Duration = Duration::from_secs(10);

/// What the host's thread says.
#[derive(Default)]
struct Said {
    /// Frames that were missing.
    missing: AtomicU64,
    /// Nothing more comes: what is missing is not missed.
    ended: AtomicBool,
    /// The card is gone.
    gone: AtomicBool,
}

/// A card that plays. Silent when dropped.
pub struct Speaker {
    card: CardId,
    spec: Spec,
    format: cpal::SampleFormat,
    stream: cpal::Stream,
    ring: Producer<u8>,
    playing: bool,
    /// Frames that fill the card's own buffer.
    buffer: FrameCount,
    said: Arc<Said>,
    converted: Vec<u8>,
    _quiet: Quiet,
}

impl Speaker {
    /// Opens a card for audio of the shape `spec`. May take as long as the card's driver does.
    ///
    /// # Errors
    /// [`CardError`] says why it cannot be used, and what to do.
    pub fn open(cards: &Cards, card: CardId, spec: Spec, buffer: Option<u32>) -> Result<Self, CardError> {
        let quiet = Quiet::new();
        let device = cards.find(&card, Way::Out)?;
        let failed = |error: cpal::Error| CardError::of(&card, &error);
        let offers: Vec<_> = device.supported_output_configs().map_err(failed)?.collect();
        let wish = Wish { shape: spec.into(), buffer };
        // Only what can be made here: hosts offer more.
        let known: Vec<_> = offers.iter().filter(|offer| convert::plays(offer.sample_format())).copied().collect();
        let choice = offer::choose(wish, &known).ok_or_else(|| {
            let offers: Vec<Offer> = offers.iter().map(Offer::from).collect();
            CardError::Offers { card: card.clone(), wanted: wish.to_string(), offers: Summary(&offers).to_string() }
        })?;
        let frame_bytes = choice.format.sample_size() * usize::from(choice.config.channels);
        let room = usize::try_from(spec.frames(ROOM).get()).unwrap_or(usize::MAX).saturating_mul(frame_bytes);
        let (ring, out) = RingBuffer::new(room);
        let said = Arc::new(Said::default());
        let (on_data, on_error) = (data(out, frame_bytes, Arc::clone(&said)), errors(Arc::clone(&said)));
        let stream = device.build_output_stream_raw(choice.config, choice.format, on_data, on_error, None);
        let stream = stream.map_err(failed)?;
        let buffer = stream.buffer_size().map_or(FrameCount::ZERO, |frames| FrameCount::new(u64::from(frames) * 2));
        let (format, converted) = (choice.format, Vec::new());
        Ok(Self { card, spec, format, stream, ring, playing: false, buffer, said, converted, _quiet: quiet })
    }

    /// Plays whole frames after those before them; waits while there is no room.
    ///
    /// # Errors
    /// When the card is gone or takes nothing.
    pub fn play(&mut self, pcm: &[u8]) -> Result<(), CardError> {
        self.converted.clear();
        let mut converted = std::mem::take(&mut self.converted);
        convert::to_card(pcm, self.spec.format(), self.format, &mut converted);
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

    /// Waits until everything was heard.
    ///
    /// # Errors
    /// When the card is gone or takes nothing.
    pub fn finish(mut self) -> Result<FrameCount, CardError> {
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
        std::thread::sleep(self.spec.duration(self.buffer));
        Ok(self.missing())
    }

    /// Frames that did not come in time so far: silence was played instead.
    pub fn missing(&self) -> FrameCount {
        FrameCount::new(self.said.missing.load(Ordering::Relaxed))
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
            return Err(CardError::Failed { card: self.card.clone(), error: "the sound card is gone".into() });
        }
        if since.elapsed() > HANGS { Err(CardError::Silent(self.card.clone())) } else { Ok(()) }
    }
}

/// The host's thread runs this: no lock, no allocation, no log line. What it leaves is silence.
fn data(
    mut ring: Consumer<u8>,
    frame_bytes: usize,
    said: Arc<Said>,
) -> impl FnMut(&mut cpal::Data, &cpal::OutputCallbackInfo) + Send + 'static {
    move |data, _| fill(&mut ring, frame_bytes, &said, data.bytes_mut())
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
        _ => said.gone.store(true, Ordering::Release),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
}

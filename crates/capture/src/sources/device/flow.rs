//! From blocks of a sound card to pieces with their times, and to gaps where the card gave nothing.
//!
//! Without IO and without a clock: it is told what arrived when, and what the clocks say. What a gap has cost is measured
//! by the clock, from the moment at which the next frame was due to the moment at which the first one after it was
//! captured. That needs several blocks, because one may be seen late; they wait for each other.

use super::convert::{self, Convert};
use super::slips::Slips;
use super::tap::Mark;
use crate::clock::{CaptureClock, Reading};
use crate::drift::{CardClock, Drift};
use crate::sources::pieces::Pieces;
use crate::sources::{Chunk, Lost, Piece};
use livetape_audio::{FrameCount, GapReason, Spec, WallTime};
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// So much audio after a gap says when its first frame was captured.
const SETTLE: Duration = Duration::from_millis(250);
/// The machine slept if one of its clocks stood still for longer.
const SLEPT: Duration = Duration::from_millis(500);

/// The stretch before the present one, and the blocks after it while its end is being measured.
struct Settling {
    reason: GapReason,
    /// When the next frame was due, if there was one before it.
    due: Option<Instant>,
    /// How long the machine had slept by then.
    slept: Duration,
    blocks: Vec<(Mark, Vec<u8>)>,
    frames: FrameCount,
}

impl Default for Settling {
    /// At the beginning of all.
    fn default() -> Self {
        let (slept, frames) = (Duration::ZERO, FrameCount::ZERO);
        Self { reason: GapReason::Other, due: None, slept, blocks: Vec::new(), frames }
    }
}

/// The state machine. One for each sound card.
pub struct Flow {
    spec: Spec,
    convert: Convert,
    /// Bytes of a frame as the card gives it.
    card_frame: usize,
    card: CardClock,
    slips: Slips,
    wall: CaptureClock,
    slept: Duration,
    pieces: Pieces,
    /// Audio that is not a whole piece, and when its first frame was captured.
    pcm: Vec<u8>,
    time: Option<WallTime>,
    settling: Option<Settling>,
    ready: VecDeque<Piece>,
}

impl Flow {
    /// For a card that gives samples of `format`, to be recorded as `spec`. The machine has slept for `slept` so far.
    /// `None` if the format is no PCM that is known here.
    pub fn new(spec: Spec, format: cpal::SampleFormat, now: Reading, slept: Duration) -> Option<Self> {
        Some(Self {
            spec,
            convert: convert::from_card(format)?,
            card_frame: format.sample_size() * usize::from(spec.channels()),
            card: CardClock::new(spec),
            slips: Slips::default(),
            wall: CaptureClock::new(now),
            slept,
            pieces: Pieces::new(spec),
            pcm: Vec::new(),
            time: None,
            settling: Some(Settling::default()),
            ready: VecDeque::new(),
        })
    }

    /// The card gives another format now.
    pub fn reopened(&mut self, format: cpal::SampleFormat) {
        self.slips.forget();
        // Nothing else was chosen than what is known here.
        if let Some(convert) = convert::from_card(format) {
            self.convert = convert;
            self.card_frame = format.sample_size() * usize::from(self.spec.channels());
        }
    }

    /// How fast the card's clock is, if that is known.
    pub fn drift(&self) -> Option<Drift> {
        self.card.drift()
    }

    /// What is ready.
    #[allow(clippy::should_implement_trait, reason = "there may be more later")]
    pub fn next(&mut self) -> Option<Piece> {
        self.ready.pop_front()
    }

    /// What the clocks say now, and how long the machine has slept. To be called at least every second.
    pub fn observe(&mut self, now: Reading, slept: Duration) {
        self.wall.observe(now);
        if slept.saturating_sub(self.slept) > SLEPT {
            self.trouble(GapReason::Suspended);
        }
        // The two clocks behind this were not looked at in one moment: it can be too small.
        self.slept = slept.max(self.slept);
    }

    /// From here on, what arrives does not follow on what arrived before.
    pub fn trouble(&mut self, reason: GapReason) {
        if self.settling.as_ref().is_some_and(|settling| !settling.blocks.is_empty()) {
            self.settle();
        }
        self.flush();
        match &mut self.settling {
            // The machine slept, and what is said after that follows from it.
            Some(settling) if settling.reason == GapReason::Suspended => {}
            Some(settling) => settling.reason = reason,
            None => {
                let due = self.card.at(self.card.counted());
                self.settling = Some(Settling { reason, due, slept: self.slept, ..Settling::default() });
            }
        }
    }

    /// A block has arrived.
    pub fn block(&mut self, mark: Mark, card: Vec<u8>) {
        match &mut self.settling {
            Some(settling) => {
                settling.frames = settling.frames + mark.dropped + mark.frames;
                settling.blocks.push((mark, card));
                if self.spec.duration(settling.frames) >= SETTLE {
                    self.settle();
                }
            }
            None => self.take(mark, &card),
        }
    }

    /// Whether audio follows on audio.
    pub const fn is_settled(&self) -> bool {
        self.settling.is_none()
    }

    /// Says what the gap has cost, and goes on behind it.
    fn settle(&mut self) {
        let Some(Settling { reason, due, slept, blocks, .. }) = self.settling.take() else { return };
        let mut frames = FrameCount::ZERO;
        let latency = blocks.iter().map(|(mark, _)| mark.latency).min().unwrap_or_default();
        let began = blocks.iter().filter_map(|(mark, _)| {
            frames = frames + mark.dropped + mark.frames;
            Instant::from_std(mark.at).checked_sub(self.spec.duration(frames) + latency)
        });
        if let Some((due, began)) = due.zip(began.min()) {
            let lost = began.saturating_duration_since(due) + self.slept.saturating_sub(slept);
            self.ready.push_back(Piece::Gap(Lost { frames: self.spec.frames(lost), reason }));
        }
        self.card.begin();
        for (mark, _) in &blocks {
            self.card.arrived(mark.dropped + mark.frames, Instant::from_std(mark.at), mark.latency);
        }
        let mut at = FrameCount::ZERO;
        for (mark, card) in blocks {
            self.dropped(mark);
            at = at + mark.dropped;
            self.put(at, &card);
            at = at + mark.frames;
        }
    }

    fn take(&mut self, mark: Mark, card: &[u8]) {
        self.dropped(mark);
        let slip = self.card.arrived(mark.dropped + mark.frames, Instant::from_std(mark.at), mark.latency);
        if let Some(slip) = slip {
            self.flush();
            if let Some(lost) = self.slips.lost(Instant::from_std(mark.at), slip) {
                self.lost(self.spec.frames(lost));
            }
        }
        self.put(self.card.counted() - mark.frames, card);
    }

    /// Makes pieces of what a card gave from its frame `at` on.
    fn put(&mut self, at: FrameCount, card: &[u8]) {
        let (mut rest, mut taken) = (card, FrameCount::ZERO);
        while !rest.is_empty() {
            let whole = self.bytes(self.pieces.next());
            if self.pcm.is_empty() {
                self.time = self.card.at(at + taken).map(|moment| self.wall.at(moment));
                self.pcm.reserve_exact(whole);
            }
            let missing = self.spec.frames_in((whole - self.pcm.len().min(whole)) as u64).0;
            let bytes = usize::try_from(missing.get()).unwrap_or(usize::MAX).saturating_mul(self.card_frame);
            let Some((now, later)) = rest.split_at_checked(bytes.min(rest.len())) else { break };
            (self.convert)(now, self.spec.format(), &mut self.pcm);
            taken = taken + FrameCount::new((now.len() / self.card_frame.max(1)) as u64);
            rest = later;
            if self.pcm.len() >= whole {
                self.pieces.advance();
                self.cut();
            }
        }
    }

    /// Says what the rings had no room for.
    fn dropped(&mut self, mark: Mark) {
        if !mark.dropped.is_zero() {
            self.lost(mark.dropped);
        }
    }

    fn lost(&mut self, frames: FrameCount) {
        self.flush();
        self.ready.push_back(Piece::Gap(Lost { frames, reason: GapReason::Xrun }));
    }

    /// What there is of a piece goes.
    fn flush(&mut self) {
        if !self.pcm.is_empty() {
            self.cut();
        }
    }

    fn cut(&mut self) {
        let pcm = std::mem::take(&mut self.pcm).into();
        let time = self.time.take().unwrap_or_default();
        self.ready.push_back(Piece::Audio(Chunk { time, pcm }));
    }

    fn bytes(&self, frames: FrameCount) -> usize {
        usize::try_from(self.spec.bytes(frames)).unwrap_or(usize::MAX)
    }
}

#[cfg(test)]
mod tests;

//! Audio that was not captured: announced before the frame after it, and again in each call until that frame is durable.

use super::numbers::Place;
use super::store::Missing;
use livetape_audio::GapReason;
use std::collections::VecDeque;

/// Most gaps that wait. More of them are added to the newest, which is then in a wrong place, but of the right length.
const MOST: usize = 4096;

#[derive(Clone, Debug)]
pub(super) struct Gaps {
    /// In rising order of places.
    waiting: VecDeque<Missing>,
    /// How many of them were sent in this call.
    sent: usize,
    /// How many of them are in the store.
    stored: usize,
}

impl Gaps {
    pub(super) const fn new() -> Self {
        Self { waiting: VecDeque::new(), sent: 0, stored: 0 }
    }

    /// Those that a store has kept.
    pub(super) fn restored(mut gaps: Vec<Missing>) -> Self {
        gaps.sort_by_key(|gap| gap.at);
        let mut new = Self::new();
        gaps.into_iter().for_each(|gap| new.push(gap));
        new.stored = new.waiting.len();
        new
    }

    /// Adds one behind all others: to one of the same reason at the same place, if that was not sent yet.
    pub(super) fn push(&mut self, gap: Missing) {
        let full = self.waiting.len() >= MOST;
        let fixed = self.sent.max(self.stored);
        let last = self.waiting.iter_mut().enumerate().skip(fixed).rev();
        let mut near = last.take_while(|(_, old)| old.at == gap.at || full).map(|(_, old)| old);
        match near.find(|old| old.reason == gap.reason || full) {
            Some(old) => {
                old.frames = old.frames.zip(gap.frames).map(|(a, b)| a + b);
                old.reason = if old.reason == gap.reason { gap.reason } else { GapReason::Other };
            }
            None => self.waiting.push_back(gap),
        }
    }

    /// Whether nobody knows how much is missing at `place` already.
    pub(super) fn is_unknown(&self, place: Place) -> bool {
        self.waiting.iter().rev().take_while(|gap| gap.at == place).any(|gap| gap.frames.is_none())
    }

    /// The next one to be sent, if it stands before a frame that comes before `cursor` or is that.
    pub(super) fn next_to_send(&mut self, cursor: Place) -> Option<Missing> {
        let gap = self.waiting.get(self.sent).filter(|gap| gap.at <= cursor).copied();
        self.sent += usize::from(gap.is_some());
        gap
    }

    pub(super) fn has_to_send(&self) -> bool {
        self.sent < self.waiting.len()
    }

    /// The next one that is not in the store.
    pub(super) fn next_to_store(&self) -> Option<Missing> {
        self.waiting.get(self.stored).copied()
    }

    /// That one is in the store.
    pub(super) fn stored(&mut self) {
        self.stored = (self.stored + 1).min(self.waiting.len());
    }

    /// A new call: all have to be sent again.
    pub(super) const fn again(&mut self) {
        self.sent = 0;
    }

    /// Everything before `durable` is durable, and so are the gaps before that.
    pub(super) fn settle(&mut self, durable: Place) {
        while self.waiting.front().is_some_and(|gap| gap.at < durable) {
            self.waiting.pop_front();
            self.sent = self.sent.saturating_sub(1);
            self.stored = self.stored.saturating_sub(1);
        }
    }
}

//! What is said about frames: audio that was not captured before them, and what is playing from them on. Announced before
//! the frame, and again in each call until that is durable. The last title is said anew in each call, because the
//! recording may be another one.

use super::numbers::Place;
use super::store::{Missing, Note, Titled};
use livetape_audio::{FrameCount, GapReason, Title};
use std::collections::VecDeque;

/// Most gaps that wait. More of them are added to the newest, which is then in a wrong place, but of the right length.
const MOST_GAPS: usize = 4096;
/// Most titles that wait; the oldest are given up.
const MOST_TITLES: usize = 4096;

#[derive(Clone, Debug)]
pub(super) struct Notes {
    /// In rising order of places.
    waiting: VecDeque<Note>,
    /// How many of them were sent in this call.
    sent: usize,
    /// How many of them are in the store.
    stored: usize,
    titles: usize,
    /// The last title before all these, and whether it was sent in this call.
    playing: Option<(Title, bool)>,
    /// The last title that was pushed.
    newest: Option<Titled>,
    /// A title that waits for the frame from which on it is far enough from the last.
    early: Option<Title>,
    /// What is far enough.
    pub(super) distance: FrameCount,
}

impl Notes {
    pub(super) const fn new(distance: FrameCount) -> Self {
        Self {
            waiting: VecDeque::new(),
            sent: 0,
            stored: 0,
            titles: 0,
            playing: None,
            newest: None,
            early: None,
            distance,
        }
    }

    /// Those that a store has kept.
    pub(super) fn restored(mut notes: Vec<Note>, distance: FrameCount) -> Self {
        notes.sort_by_key(Note::at);
        let mut new = Self::new(distance);
        for note in notes {
            match note {
                Note::Gap(gap) => new.push_gap(gap),
                Note::Title(title) => new.push_title(title),
            }
        }
        new.stored = new.waiting.len();
        new
    }

    fn gaps(&self) -> usize {
        self.waiting.len() - self.titles
    }

    /// Adds a gap behind everything: to one of the same reason at the same place, if that was not sent yet.
    pub(super) fn push_gap(&mut self, gap: Missing) {
        let full = self.gaps() >= MOST_GAPS;
        let fixed = self.sent.max(self.stored);
        let last = self.waiting.iter_mut().enumerate().skip(fixed).rev();
        let mut near = last.map(|(_, note)| note).take_while(|note| note.at() == gap.at || full).filter_map(|note| {
            let Note::Gap(old) = note else { return None };
            Some(old)
        });
        match near.find(|old| old.reason == gap.reason || full) {
            Some(old) => {
                old.frames = old.frames.zip(gap.frames).map(|(a, b)| a + b);
                old.reason = if old.reason == gap.reason { gap.reason } else { GapReason::Other };
            }
            None => self.waiting.push_back(gap.into()),
        }
    }

    /// A title for the next frame that is captured.
    pub(super) fn say(&mut self, title: Title) {
        self.early = Some(title);
    }

    /// The frame at `place` was captured: the title that waits for it is put before it, if the last one is far enough away.
    pub(super) fn arrived(&mut self, place: Place) {
        let last = self.newest.as_ref();
        if last.is_some_and(|last| place.since(last.at) < self.distance) {
            return;
        }
        if let Some(title) = self.early.take().filter(|title| last.is_none_or(|last| last.title != *title)) {
            self.push_title(Titled { at: place, title });
        }
    }

    /// Where the last title stands.
    #[cfg(test)]
    pub(super) fn newest_place(&self) -> Option<Place> {
        self.newest.as_ref().map(|newest| newest.at)
    }

    fn push_title(&mut self, title: Titled) {
        if self.titles >= MOST_TITLES
            && let Some(oldest) = self.waiting.iter().position(|note| matches!(note, Note::Title(_)))
        {
            self.waiting.remove(oldest);
            self.sent -= usize::from(oldest < self.sent);
            self.stored -= usize::from(oldest < self.stored);
            self.titles -= 1;
        }
        self.titles += 1;
        self.newest = Some(title.clone());
        self.waiting.push_back(Note::Title(title));
    }

    /// Whether nobody knows how much is missing at `place` already.
    pub(super) fn is_unknown(&self, place: Place) -> bool {
        let mut there = self.waiting.iter().rev().take_while(|note| note.at() == place);
        there.any(|note| matches!(note, Note::Gap(gap) if gap.frames.is_none()))
    }

    /// The next one to be sent, if it stands before a frame that comes before `cursor` or is that.
    pub(super) fn next_to_send(&mut self, cursor: Place) -> Option<Note> {
        if let Some((title, sent @ false)) = &mut self.playing {
            *sent = true;
            return Some(Note::Title(Titled { at: cursor, title: title.clone() }));
        }
        let note = self.waiting.get(self.sent).filter(|note| note.at() <= cursor).cloned();
        self.sent += usize::from(note.is_some());
        note
    }

    pub(super) fn has_to_send(&self) -> bool {
        self.sent < self.waiting.len() || matches!(self.playing, Some((_, false)))
    }

    /// The next one that is not in the store.
    pub(super) fn next_to_store(&self) -> Option<Note> {
        self.waiting.get(self.stored).cloned()
    }

    /// That one is in the store.
    pub(super) fn stored(&mut self) {
        self.stored = (self.stored + 1).min(self.waiting.len());
    }

    /// A new call: all have to be sent again.
    pub(super) fn again(&mut self) {
        self.sent = 0;
        if let Some((_, sent)) = &mut self.playing {
            *sent = false;
        }
    }

    /// Nothing is wanted of what was captured until now. What is playing is said when that changes.
    pub(super) fn let_go(&mut self) {
        let newest = self.early.take().or_else(|| self.newest.take().map(|newest| newest.title));
        let playing = newest.or_else(|| self.playing.take().map(|(title, _)| title)).map(|title| (title, false));
        *self = Self { playing, ..Self::new(self.distance) };
    }

    /// Everything before `durable` is durable, and so is what was said before that.
    pub(super) fn settle(&mut self, durable: Place) {
        while let Some(note) = self.waiting.front().filter(|note| note.at() < durable).cloned() {
            self.waiting.pop_front();
            self.sent = self.sent.saturating_sub(1);
            self.stored = self.stored.saturating_sub(1);
            if let Note::Title(title) = note {
                self.titles -= 1;
                self.playing = Some((title.title, true));
            }
        }
    }
}

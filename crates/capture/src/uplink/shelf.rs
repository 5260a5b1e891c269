//! From memory to the store, and what happens when the store fails: it is left alone for a moment, memory and its bound
//! do what they can, and both ends of the trouble are told once.

use super::{Held, MOST_STORED, Record, STORE_RETRY, Shelf, Uplink};
use livetape_audio::FrameCount;
use std::time::Instant;

impl Shelf {
    /// Whether the record is kept now. Without a time, a store that has failed is tried at once.
    fn append(&mut self, record: &Record, now: Option<Instant>) -> bool {
        if self.failed.zip(now).is_some_and(|(failed, now)| now < failed + STORE_RETRY) {
            return false;
        }
        match (self.store.append(record), self.failed) {
            (Ok(()), None) => true,
            (Ok(()), Some(_)) => {
                tracing::info!("audio goes to the spool again");
                self.failed = None;
                true
            }
            (Err(error), before) => {
                if before.is_none() {
                    tracing::error!("{error}; audio is kept in memory, and the oldest is given up when that is full");
                }
                self.failed = Some(now.or(before).unwrap_or_else(Instant::now));
                false
            }
        }
    }
}

impl Uplink {
    /// Everything that is not durable goes to the store, so that it survives this process. Nothing that may not be wanted.
    pub(crate) fn save(&mut self, now: Option<Instant>) {
        if self.unanswered || self.shelf.is_none() || !(self.save_numbers(now) && self.save_notes(now)) {
            return;
        }
        let most = self.spec.frames_in(MOST_STORED).0;
        while let (Some(first), Some(shelf)) = (self.memory.pop_front(), &mut self.shelf) {
            let mut part = first.held.clone();
            part.chunk.pcm.truncate(usize::try_from(self.spec.bytes(most)).unwrap_or(usize::MAX));
            let (end, bytes) = (part.end(self.spec), part.chunk.pcm.len() as u64);
            if !shelf.append(&Record::Audio(part), now) {
                self.memory.push_front(first);
                return;
            }
            self.bytes -= bytes;
            let rest: Held = first.held.from(end, self.spec);
            if rest.chunk.frames(self.spec) > FrameCount::ZERO {
                self.memory.push_front(super::Waiting { held: rest, ..first });
            }
        }
    }

    /// Also says that nothing follows, if so.
    pub(crate) fn save_all(&mut self, now: Option<Instant>) {
        self.save(now);
        if self.ending
            && !self.unanswered
            && let Some(shelf) = &mut self.shelf
        {
            shelf.append(&Record::Ended, now);
        }
    }

    /// The newest numbers, if the store does not have them. Whether it has them now.
    pub(super) fn save_numbers(&mut self, now: Option<Instant>) -> bool {
        let Some(shelf) = self.shelf.as_mut().filter(|_| !self.unanswered) else { return true };
        if shelf.numbers == self.numbers {
            return true;
        }
        let stored = shelf.append(&Record::Numbers(self.numbers.clone()), now);
        if stored {
            shelf.numbers = self.numbers.clone();
        }
        stored
    }

    /// Gaps and titles that the store does not have. Whether it has them all now.
    pub(super) fn save_notes(&mut self, now: Option<Instant>) -> bool {
        let Some(shelf) = self.shelf.as_mut().filter(|_| !self.unanswered) else { return true };
        while let Some(note) = self.notes.next_to_store() {
            if !shelf.append(&Record::Note(note), now) {
                return false;
            }
            self.notes.stored();
        }
        true
    }

    /// The recording is sealed: nothing is left for a process after this one.
    pub(crate) fn finished(&mut self) {
        if let Some(shelf) = &mut self.shelf
            && let Err(error) = shelf.store.clear()
        {
            tracing::warn!("{error}; what is left there was recorded already");
        }
    }
}

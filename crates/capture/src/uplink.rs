//! What was captured and is not acknowledged yet: numbered, kept, sent again, and given up when it is too much.
//!
//! ```text
//!   oldest                                            newest
//!   [ in the store, if there is one ][ in memory          ]  <- push
//!          durable ^     ^ sent up to here: the cursor
//! ```
//!
//! Audio goes from memory to the store when the recorder is away, when it is not acknowledged in time, and when memory
//! is full. It goes away when it is durable, or at a bound, the oldest first, whether it was sent or not: what is
//! under way may still arrive, and then it was not lost. Until the recorder has answered for the first time nobody knows
//! whether any of it is wanted, so it stays in memory. Audio that is missing before the cursor's next frame is a gap
//! of known length. After each open everything that is not durable is sent again under the numbers of the new call.
//! Not here: clocks, sockets, tasks, waiting, files.

mod answers;
mod notes;
mod numbers;
mod outgoing;
mod sending;
mod shelf;
mod store;

pub use numbers::{Numbers, Place, Stretch};
pub use outgoing::{Outgoing, UplinkError, Waited};
pub use store::{Held, Missing, Note, Record, Restored, Store, Titled};

use crate::sources::{Chunk, Lost};
use crate::status::Status;
use livetape_audio::{Epoch, Frame, FrameCount, GapReason, Spec, Title};
use notes::Notes;
use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// What is unacknowledged for longer goes to the store.
const PATIENCE: Duration = Duration::from_secs(1);
/// How long a store that failed is left alone.
const STORE_RETRY: Duration = Duration::from_secs(1);
/// Titles keep a distance of so many seconds; of several within it, the last counts.
const TITLES: u64 = 1;
/// Most bytes of audio in one record of the store.
const MOST_STORED: u64 = 1 << 20;

/// An open stream, as the recorder answered.
#[derive(Clone, Copy, Debug)]
struct Line {
    epoch: Epoch,
    most: FrameCount,
    end_sent: bool,
}

#[derive(Debug)]
struct Waiting {
    held: Held,
    since: Instant,
}

/// A store, and how it does.
#[derive(Debug)]
struct Shelf {
    store: Box<dyn Store>,
    /// The numbers that it knows.
    numbers: Numbers,
    /// When it failed, while it does.
    failed: Option<Instant>,
}

/// The state machine. One for each source.
#[derive(Debug)]
pub struct Uplink {
    spec: Spec,
    limit: u64,
    line: Option<Line>,
    numbers: Numbers,
    /// The next frame to be sent.
    cursor: Place,
    /// The next frame to be captured.
    end: Place,
    notes: Notes,
    memory: VecDeque<Waiting>,
    /// Of all audio in `memory`.
    bytes: u64,
    shelf: Option<Shelf>,
    /// The numbers are of a process before, which may have sent more than is known here.
    restored: bool,
    /// The recorder has never answered, neither this process nor one before.
    unanswered: bool,
    ending: bool,
    /// The recorder is there.
    connected: bool,
    /// It wants nothing for now.
    standing_by: bool,
    captured: FrameCount,
    acknowledged: FrameCount,
    unwanted: FrameCount,
    missed: FrameCount,
    opened: u64,
    /// Of the audio that was sent last.
    waited: Waited,
}

impl Uplink {
    /// An empty one for audio of the shape `spec` that keeps at most `limit` bytes of it in memory.
    pub const fn new(spec: Spec, limit: u64) -> Self {
        Self {
            spec,
            limit,
            line: None,
            numbers: Numbers { recording: None, durable: Place::ZERO, until: None, stretches: Vec::new() },
            cursor: Place::ZERO,
            end: Place::ZERO,
            notes: Notes::new(FrameCount::new(spec.rate() as u64 * TITLES)),
            memory: VecDeque::new(),
            bytes: 0,
            shelf: None,
            restored: false,
            unanswered: true,
            ending: false,
            connected: false,
            standing_by: false,
            captured: FrameCount::ZERO,
            acknowledged: FrameCount::ZERO,
            unwanted: FrameCount::ZERO,
            missed: FrameCount::ZERO,
            opened: 0,
            waited: Waited::InStore,
        }
    }

    /// Also keeps audio in `store`, beginning with what that kept from a process before.
    #[must_use]
    pub fn with_store(mut self, store: Box<dyn Store>, restored: Option<Restored>) -> Self {
        if let Some(restored) = restored {
            let Restored { numbers, mut notes, end, ended } = restored;
            // The frame that a title was for may have been lost with the process.
            notes.retain(|note| note.at() <= end);
            self.captured = end.since(numbers.durable);
            (self.cursor, self.end, self.ending) = (end, end, ended);
            self.notes = Notes::restored(notes, self.notes.distance);
            self.unanswered = numbers.recording.is_none();
            self.numbers = numbers;
            self.restored = true;
        }
        self.shelf = Some(Shelf { store, numbers: self.numbers.clone(), failed: None });
        self
    }

    /// Whether it keeps audio in a store too.
    pub const fn has_store(&self) -> bool {
        self.shelf.is_some()
    }

    /// The store, for another uplink.
    pub fn into_store(self) -> Option<Box<dyn Store>> {
        self.shelf.map(|shelf| shelf.store)
    }

    /// The process is another one now, and what was to be captured meanwhile is missing.
    pub fn restarted(&mut self) {
        if !self.notes.is_unknown(self.end) {
            self.notes.push_gap(Missing { at: self.end, frames: None, reason: GapReason::SourceRestarted });
        }
        // The process before may have sent more than it has kept; under these places comes something else now.
        self.numbers.until = Some(self.numbers.until.unwrap_or(self.end));
        self.save_numbers(None);
        self.save_notes(None);
    }

    /// Whether the recorder wants nothing for now.
    pub const fn is_standing_by(&self) -> bool {
        self.standing_by
    }

    /// Whether the source has ended.
    pub const fn is_ending(&self) -> bool {
        self.ending
    }

    /// Whether the source has ended, and nobody wants to know.
    pub const fn is_over(&self) -> bool {
        self.ending && self.standing_by
    }

    /// The number that the next captured frame will get, as far as is known.
    pub fn upcoming(&self) -> Frame {
        self.numbers.number(self.numbers.durable) + self.waiting()
    }

    /// Whether an answer of the recorder is awaited.
    pub fn awaits_answer(&self) -> bool {
        !self.is_settled() || self.line.is_some_and(|line| line.end_sent)
    }

    /// Whether all audio that was captured is durable (or was given up).
    pub fn is_settled(&self) -> bool {
        self.waiting().is_zero()
    }

    fn spooled(&self) -> FrameCount {
        self.shelf.as_ref().map_or(FrameCount::ZERO, |shelf| shelf.store.waiting())
    }

    fn waiting(&self) -> FrameCount {
        self.spooled() + self.spec.frames_in(self.bytes).0
    }

    /// Whether much less waits than may.
    pub fn has_room(&self) -> bool {
        self.spec.bytes(self.waiting()) <= self.limit / 2
    }

    /// Takes in what was captured, as of `now`. At the limit, the oldest audio goes to the store, or is given up.
    ///
    /// # Errors
    /// If it is not whole frames.
    pub fn push(&mut self, chunk: Chunk, now: Instant) -> Result<(), UplinkError> {
        let bytes = chunk.pcm.len() as u64;
        let (frames, half) = self.spec.frames_in(bytes);
        if half > 0 {
            return Err(UplinkError::HalfFrame { bytes, spec: self.spec });
        }
        if frames.is_zero() {
            return Ok(());
        }
        self.captured = self.captured + frames;
        if self.standing_by {
            self.unwanted = self.unwanted + frames;
            return Ok(());
        }
        self.notes.arrived(self.end);
        self.bytes += bytes;
        self.memory.push_back(Waiting { held: Held { at: self.end, chunk }, since: now });
        self.end = self.end + frames;
        let late = self.memory.front().is_some_and(|w| now.saturating_duration_since(w.since) >= PATIENCE);
        if self.line.is_none() || late || self.bytes > self.limit {
            self.save(Some(now));
        }
        while self.bytes > self.limit
            && let Some(oldest) = self.memory.pop_front()
        {
            self.bytes -= oldest.held.chunk.pcm.len() as u64;
        }
        Ok(())
    }

    /// `lost` was not captured.
    pub fn gap(&mut self, lost: Lost) {
        self.missed = self.missed + lost.frames;
        if self.standing_by {
            return;
        }
        self.notes.push_gap(Missing { at: self.end, frames: Some(lost.frames), reason: lost.reason });
        if self.line.is_none() {
            self.save_notes(None);
        }
    }

    /// What is playing from the next frame on.
    pub fn title(&mut self, title: Title) {
        self.notes.say(title);
        if self.standing_by {
            self.notes.let_go();
        }
    }

    /// The source has ended by itself.
    pub fn end(&mut self) {
        self.ending = true;
        if self.standing_by {
            self.finished();
        }
    }

    /// How it is doing.
    pub fn status(&self) -> Status {
        let waiting = self.waiting();
        Status {
            begun: false,
            connected: self.connected,
            standing_by: self.standing_by,
            recording: self.numbers.recording,
            spec: Some(self.spec),
            captured: self.captured,
            acknowledged: self.acknowledged,
            given_up: self.captured - self.acknowledged - waiting - self.unwanted,
            unwanted: self.unwanted,
            missed: self.missed,
            opened: self.opened,
            spooled: self.spooled(),
            spooled_bytes: self.spec.bytes(self.spooled()),
            card: None,
        }
    }

    /// Bytes of audio in memory, its own and the store's.
    pub fn held(&self) -> u64 {
        self.bytes + self.shelf.as_ref().map_or(0, |shelf| shelf.store.held())
    }
}

#[cfg(test)]
mod tests;

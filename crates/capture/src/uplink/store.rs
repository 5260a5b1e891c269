//! What the uplink asks of a store: to keep audio that memory should not hold, in order, beyond the end of the process.

use super::numbers::{Numbers, Place};
use crate::sources::Chunk;
use livetape_audio::{FrameCount, GapReason, Instance, Spec, Title};
use std::fmt;

/// Audio at its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Place of its first frame.
    pub at: Place,
    /// The audio; not empty.
    pub chunk: Chunk,
}

impl Held {
    /// The place after its last frame.
    pub fn end(&self, spec: Spec) -> Place {
        self.at + self.chunk.frames(spec)
    }

    /// What of it is at `place` or later; empty if nothing is.
    #[must_use]
    pub fn from(mut self, place: Place, spec: Spec) -> Self {
        let skip = place.since(self.at);
        let bytes = usize::try_from(spec.bytes(skip)).unwrap_or(usize::MAX).min(self.chunk.pcm.len());
        self.chunk.pcm = self.chunk.pcm.split_off(bytes);
        self.chunk.time = self.chunk.time.after_frames(skip, spec);
        self.at = self.at + skip;
        self
    }
}

/// Audio that was not captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// The first frame after it.
    pub at: Place,
    /// How much, if known.
    pub frames: Option<FrameCount>,
    /// Why.
    pub reason: GapReason,
}

/// What is playing from a frame on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Titled {
    /// The first frame to which it applies.
    pub at: Place,
    /// The title; empty for none.
    pub title: Title,
}

/// What is said about a frame before it is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// Audio is missing before it.
    Gap(Missing),
    /// It begins something.
    Title(Titled),
}

impl Note {
    /// The frame.
    pub const fn at(&self) -> Place {
        match self {
            Self::Gap(gap) => gap.at,
            Self::Title(title) => title.at,
        }
    }
}

impl From<Missing> for Note {
    fn from(gap: Missing) -> Self {
        Self::Gap(gap)
    }
}

/// Something that is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// Audio, behind all that was kept before.
    Audio(Held),
    /// A note, anywhere.
    Note(Note),
    /// The newest numbers.
    Numbers(Numbers),
    /// Nothing follows: the source has ended by itself.
    Ended,
}

/// Keeps audio in order. At its bound it gives up the oldest by itself; the uplink sees that it is not there any more.
pub trait Store: Send + fmt::Debug {
    /// Keeps something, so that it survives the process.
    ///
    /// # Errors
    /// What went wrong; then nothing of it is kept.
    fn append(&mut self, record: &Record) -> Result<(), String>;

    /// The first audio at `from` or later; never empty. What cannot be read any more is given up.
    fn read(&mut self, from: Place) -> Option<Held>;

    /// What is durable, as the newest numbers say, is not needed any more.
    fn release(&mut self, numbers: &Numbers);

    /// Nothing of what is kept is wanted, as the newest numbers say: also no note at the very place up to which all is settled,
    /// which otherwise belongs to the frame that follows.
    fn let_go(&mut self, numbers: &Numbers);

    /// Forgets everything.
    ///
    /// # Errors
    /// What went wrong.
    fn clear(&mut self) -> Result<(), String>;

    /// What follows is of another source. Has to be cleared.
    fn begin(&mut self, instance: Instance, spec: Spec);

    /// Frames that are kept and not released.
    fn waiting(&self) -> FrameCount;

    /// Bytes of audio that it holds in memory.
    fn held(&self) -> u64;
}

/// What a store kept for a process that comes after.
#[derive(Clone, Debug)]
pub struct Restored {
    /// The newest numbers.
    pub numbers: Numbers,
    /// The gaps and titles.
    pub notes: Vec<Note>,
    /// The place after the last frame.
    pub end: Place,
    /// Whether the source had ended by itself.
    pub ended: bool,
}

//! One follower of one tail.

use crate::TracedChunk;
use crate::traced::Newest;
use livetape_audio::{Frame, Tail};
use std::ops::Range;
use tokio::sync::watch;

/// Follows one recording's tail. Sees the newest value, not every value in between.
#[derive(Clone, Debug)]
pub struct TailWatch {
    tail: watch::Receiver<Tail>,
    traced: Option<Newest>,
}

impl TailWatch {
    /// A follower of `receiver`.
    pub const fn new(receiver: watch::Receiver<Tail>) -> Self {
        Self { tail: receiver, traced: None }
    }

    /// A follower of a recording whose tail will never change.
    pub fn fixed(tail: Tail) -> Self {
        Self::new(watch::channel(tail).1)
    }

    /// One that also knows which chunk is traced.
    pub(crate) fn with(self, traced: &Newest) -> Self {
        Self { traced: Some(traced.clone()), ..self }
    }

    /// The traced chunk that begins within these frames, if one was told of lately.
    pub fn traced(&self, frames: &Range<Frame>) -> Option<TracedChunk> {
        self.traced.as_ref()?.of(frames)
    }

    /// The newest tail; a following [`TailWatch::changed`] waits for a newer one.
    pub fn current(&mut self) -> Tail {
        *self.tail.borrow_and_update()
    }

    /// Waits for a tail newer than the one last looked at. `false` when none can come any more: after sealing, or
    /// because the publisher has gone.
    pub async fn changed(&mut self) -> bool {
        self.tail.changed().await.is_ok()
    }
}

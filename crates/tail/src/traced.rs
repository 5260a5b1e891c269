//! The trace of a chunk, beside the tail that will cover it. Of thousands of chunks one is traced, and only while traces
//! are exported.

use livetape_audio::{Frame, RecordingId};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// A chunk of audio that is in a trace: what is done with it goes on there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TracedChunk {
    /// The recording that it is part of.
    pub recording: RecordingId,
    /// Its first frame.
    pub first: Frame,
    /// W3C trace context.
    pub traceparent: Arc<str>,
}

/// The newest one of a recording.
#[derive(Clone, Debug, Default)]
pub(crate) struct Newest(Arc<Mutex<Option<TracedChunk>>>);

impl Newest {
    pub(crate) fn replace(&self, chunk: TracedChunk) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(chunk);
    }

    /// It, if it begins within these frames.
    pub(crate) fn of(&self, frames: &Range<Frame>) -> Option<TracedChunk> {
        let newest = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        newest.as_ref().filter(|chunk| frames.contains(&chunk.first)).cloned()
    }
}

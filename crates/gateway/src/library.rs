//! The seam: *give me these frames of that recording; tell me its tail; list recordings*. Whether the frames come from
//! a folder or over the network, everything above this line is the same.

use bytes::Bytes;
use futures::future::BoxFuture;
use livetape_audio::{Frame, RecordingId, Tail, Timeline};
use livetape_store::{Catalogue, Recording};
use livetape_tail::TailWatch;
use std::ops::Range;
use std::sync::Arc;

/// Something could not be read. The text is for the log.
#[derive(Debug, thiserror::Error)]
#[error("{what}")]
pub struct ReadError {
    /// What could not be read.
    pub what: String,
    /// Why.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

/// Recordings, finished and growing. What is listed is answered from memory; what is read may take a while.
pub trait Library: Send + Sync + 'static {
    /// Which streams and recordings there are.
    fn catalogue(&self) -> &Catalogue;

    /// Follows a recording's tail. `None` when nothing is known: no such recording, or an open one that nobody
    /// writes any more.
    fn tail(&self, id: RecordingId) -> Option<TailWatch>;

    /// What is said about the frames before the tail.
    ///
    /// # Errors
    /// When it cannot be read.
    fn timeline(&self, recording: Arc<Recording>, tail: Tail) -> BoxFuture<'_, Result<Arc<Timeline>, ReadError>>;

    /// A reader of its own for one listener.
    fn reader(&self, recording: &Recording) -> Box<dyn FrameReader>;
}

/// Reads frames of one recording.
pub trait FrameReader: Send {
    /// The first of the asked frames, at least one and as many as can be had at once. Nobody asks past the tail or
    /// for an empty range.
    ///
    /// # Errors
    /// When they cannot be read, as after the recording was deleted.
    fn read(&mut self, frames: Range<Frame>) -> BoxFuture<'_, Result<Bytes, ReadError>>;
}

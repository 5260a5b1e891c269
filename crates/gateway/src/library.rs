//! The seam: *give me these frames of that recording; tell me its tail; list recordings*. Whether the frames come from
//! a folder or over the network, everything above this line is the same.

use bytes::Bytes;
use futures::future::BoxFuture;
use livetape_audio::{Frame, RecordingId, Tail, Timeline};
use livetape_store::{Catalogue, Measured, Peaks, Recording, Stored};
use livetape_tail::TailWatch;
use std::error::Error;
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
    pub source: Option<Box<dyn Error + Send + Sync>>,
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

    /// Waveform data of some frames, none after the tail, in at most `width` points.
    ///
    /// # Errors
    /// When it cannot be read.
    fn peaks(
        &self,
        recording: Arc<Recording>,
        frames: Range<Frame>,
        width: u32,
    ) -> BoxFuture<'_, Result<Peaks, ReadError>>;

    /// How loud some frames are, none after the tail, and each of their first `minutes`.
    ///
    /// # Errors
    /// When it cannot be read.
    fn loudness(
        &self,
        recording: Arc<Recording>,
        frames: Range<Frame>,
        minutes: u32,
    ) -> BoxFuture<'_, Result<Measured, ReadError>>;

    /// A reader of its own for one listener.
    fn reader(&self, recording: &Arc<Recording>) -> Box<dyn FrameReader>;
}

/// Reads frames of one recording.
pub trait FrameReader: Send {
    /// The first of the asked frames, at least one and as many as can be had at once. Nobody asks past the tail or
    /// for an empty range.
    ///
    /// # Errors
    /// When they cannot be read, as after the recording was deleted.
    fn read(&mut self, frames: Range<Frame>) -> BoxFuture<'_, Result<Block, ReadError>>;
}

/// Recorded audio: in memory, or where it lies on this machine.
#[derive(Clone, Debug)]
pub enum Block {
    /// It was read already.
    Memory(Bytes),
    /// It can be read, or sent as it lies.
    Stored(Stored),
}

impl Block {
    /// How many bytes.
    pub fn len(&self) -> usize {
        match self {
            Self::Memory(bytes) => bytes.len(),
            Self::Stored(stored) => stored.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Some of it; what is not there is left out.
    pub(crate) fn slice(&self, range: Range<usize>) -> Self {
        let end = range.end.min(self.len());
        let range = range.start.min(end)..end;
        match self {
            Self::Memory(bytes) => Self::Memory(bytes.slice(range)),
            Self::Stored(stored) => Self::Stored(stored.slice(range)),
        }
    }

    /// The bytes, in memory.
    ///
    /// # Errors
    /// When they cannot be read.
    pub async fn load(self) -> Result<Bytes, ReadError> {
        let stored = match self {
            Self::Memory(bytes) => return Ok(bytes),
            Self::Stored(stored) => stored,
        };
        match stored.read_now() {
            Ok(Some(bytes)) => Ok(bytes),
            // Whatever it is: to read them says so.
            Ok(None) | Err(_) => blocking("frames", move || stored.read()).await,
        }
    }
}

/// Runs what may wait for the disk where that holds up nobody else.
pub(crate) async fn blocking<T: Send + 'static, E: Into<Box<dyn Error + Send + Sync>> + Send + 'static>(
    what: &str,
    work: impl FnOnce() -> Result<T, E> + Send + 'static,
) -> Result<T, ReadError> {
    let done = tokio::task::spawn_blocking(work).await.map_err(|e| ReadError::new(what, e.into()))?;
    done.map_err(|e| ReadError::new(what, e.into()))
}

impl ReadError {
    pub(crate) fn new(what: &str, source: Box<dyn Error + Send + Sync>) -> Self {
        Self { what: format!("{what} of a recording could not be read: {source}"), source: Some(source) }
    }
}

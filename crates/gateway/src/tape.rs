//! One recording, as a listener holds it: its tail, and its frames from wherever they are quickest.

use crate::edge::{Edges, Feed};
use crate::library::{FrameReader, Library, ReadError};
use bytes::Bytes;
use livetape_audio::Frame;
use livetape_store::Recording;
use livetape_tail::TailWatch;
use std::ops::Range;
use std::sync::Arc;

pub(crate) struct Tape {
    pub(crate) recording: Arc<Recording>,
    pub(crate) tail: TailWatch,
    feed: Option<Arc<Feed>>,
    reader: Box<dyn FrameReader>,
}

impl Tape {
    /// For what exists already.
    pub(crate) fn open(library: &dyn Library, recording: Arc<Recording>) -> Option<Self> {
        let tail = library.tail(recording.id)?;
        let reader = library.reader(&recording);
        Some(Self { recording, tail, feed: None, reader })
    }

    /// For what is still to come.
    pub(crate) fn follow(library: &dyn Library, edges: &Edges, recording: Arc<Recording>) -> Option<Self> {
        let mut tape = Self::open(library, recording)?;
        if !tape.tail.current().is_sealed() {
            let feed = edges.follow(library, &tape.recording)?;
            tape.tail = feed.tail();
            tape.feed = Some(feed);
        }
        Some(tape)
    }

    /// The first of these frames: at least one, and never past the tail.
    pub(crate) async fn read(&mut self, frames: Range<Frame>) -> Result<Bytes, ReadError> {
        match self.feed.as_ref().and_then(|feed| feed.get(frames.clone())) {
            Some(bytes) => Ok(bytes),
            None => self.reader.read(frames).await,
        }
    }
}

//! One recording, as a listener holds it: its tail, and its frames from wherever they are quickest.

use crate::connection::Connection;
use crate::edge::{Edges, Feed, Pace};
use crate::library::{Block, FrameReader, Library, ReadError};
use livetape_audio::Frame;
use livetape_store::Recording;
use livetape_tail::TailWatch;
use std::ops::Range;
use std::sync::Arc;

pub(crate) struct Tape {
    pub(crate) recording: Arc<Recording>,
    pub(crate) tail: TailWatch,
    feed: Option<Arc<Feed>>,
    /// `None` only while it goes back.
    reader: Option<Box<dyn FrameReader>>,
    /// Who keeps the reader for the next request.
    connection: Option<Arc<Connection>>,
}

impl Tape {
    /// For what exists already. Who asks for range after range finds the file still open.
    pub(crate) fn open(library: &dyn Library, recording: Arc<Recording>, connection: &Arc<Connection>) -> Option<Self> {
        let tail = library.tail(recording.id)?;
        let reader = connection.reader_of(recording.id).unwrap_or_else(|| library.reader(&recording));
        Some(Self { recording, tail, feed: None, reader: Some(reader), connection: Some(connection.clone()) })
    }

    /// For what is still to come.
    pub(crate) fn follow(library: &dyn Library, edges: &Edges, recording: Arc<Recording>, pace: Pace) -> Option<Self> {
        let (tail, reader) = (library.tail(recording.id)?, Some(library.reader(&recording)));
        let mut tape = Self { recording, tail, feed: None, reader, connection: None };
        if !tape.tail.current().is_sealed() {
            let feed = edges.follow(library, &tape.recording)?;
            tape.tail = feed.tail(pace);
            tape.feed = Some(feed);
        }
        Some(tape)
    }

    /// The first of these frames: at least one, and never past the tail.
    pub(crate) async fn read(&mut self, frames: Range<Frame>) -> Result<Block, ReadError> {
        match self.feed.as_ref().and_then(|feed| feed.get(frames.clone())) {
            Some(bytes) => Ok(Block::Memory(bytes)),
            None => match &mut self.reader {
                Some(reader) => reader.read(frames).await,
                None => Err(ReadError::new("frames", "the reader is gone".into())),
            },
        }
    }
}

impl Drop for Tape {
    fn drop(&mut self) {
        if let (Some(connection), Some(reader)) = (&self.connection, self.reader.take()) {
            connection.keep_reader(self.recording.id, reader);
        }
    }
}

//! The library of a data folder on this machine.

use crate::library::{FrameReader, Library, ReadError};
use bytes::Bytes;
use futures::FutureExt;
use futures::future::BoxFuture;
use livetape_audio::{Frame, Generation, RecordingId, StreamName, Tail, Timeline};
use livetape_store::{Catalogue, DataDir, Page, Query, Recording, StoreError, TapeReader, TimelineFollower};
use livetape_tail::{TailWatch, Watch};
use std::collections::HashMap;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// Timelines that are kept open; the one that was not used for longest makes room.
const OPEN_TIMELINES: usize = 256;

/// Recordings in a folder, their catalogue, and who tells how far the growing ones go.
pub struct DirLibrary {
    dir: DataDir,
    catalogue: Arc<Catalogue>,
    tails: Arc<dyn Watch>,
    timelines: Mutex<Timelines>,
}

#[derive(Default)]
struct Timelines {
    uses: u64,
    open: HashMap<RecordingId, (u64, Arc<tokio::sync::Mutex<OpenTimeline>>)>,
}

struct OpenTimeline {
    follower: Option<TimelineFollower>,
    upto: Option<Tail>,
    shared: Arc<Timeline>,
}

impl DirLibrary {
    /// What `catalogue` lists, read from `dir`, as far as `tails` says.
    pub fn new(dir: DataDir, catalogue: Arc<Catalogue>, tails: Arc<dyn Watch>) -> Self {
        Self { dir, catalogue, tails, timelines: Mutex::default() }
    }

    fn open_timeline(&self, recording: &Recording) -> Arc<tokio::sync::Mutex<OpenTimeline>> {
        let mut timelines = self.timelines.lock().unwrap_or_else(PoisonError::into_inner);
        timelines.uses += 1;
        let uses = timelines.uses;
        if let Some((used, open)) = timelines.open.get_mut(&recording.id) {
            *used = uses;
            return open.clone();
        }
        if timelines.open.len() >= OPEN_TIMELINES
            && let Some(oldest) = timelines.open.iter().min_by_key(|(_, (used, _))| *used).map(|(id, _)| *id)
        {
            timelines.open.remove(&oldest);
        }
        let open = Arc::new(tokio::sync::Mutex::new(OpenTimeline {
            follower: Some(TimelineFollower::open(&self.dir, recording)),
            upto: None,
            shared: Arc::new(Timeline::new(recording.spec)),
        }));
        timelines.open.insert(recording.id, (uses, open.clone()));
        open
    }
}

impl Library for DirLibrary {
    fn streams(&self) -> Vec<StreamName> {
        self.catalogue.streams()
    }
    fn list(&self, query: &Query) -> Page {
        self.catalogue.list(query)
    }
    fn recording(&self, id: RecordingId) -> Option<Arc<Recording>> {
        self.catalogue.get(id)
    }
    fn latest(&self, stream: &StreamName) -> Option<Arc<Recording>> {
        self.catalogue.latest(stream)
    }
    fn previous(&self, id: RecordingId) -> Option<Arc<Recording>> {
        self.catalogue.previous(id)
    }

    fn tail(&self, id: RecordingId) -> Option<TailWatch> {
        // In this order: a sealed recording is in the catalogue before its tail is forgotten.
        self.tails.watch(id).or_else(|| {
            let tail = self.catalogue.get(id)?.sealed_tail(Generation::default())?;
            Some(TailWatch::fixed(tail))
        })
    }

    fn timeline(&self, recording: Arc<Recording>, tail: Tail) -> BoxFuture<'_, Result<Arc<Timeline>, ReadError>> {
        let open = self.open_timeline(&recording);
        async move {
            let mut open = open.lock_owned().await;
            if open.upto.is_some_and(|upto| upto.end >= tail.end && (upto.is_sealed() || !tail.is_sealed())) {
                return Ok(open.shared.clone());
            }
            // If the reading is given up half way, the next one begins anew.
            let follower = open.follower.take();
            let mut follower = follower.unwrap_or_else(|| TimelineFollower::open(&self.dir, &recording));
            let refreshed = tokio::task::spawn_blocking(move || {
                let result = follower.refresh(&tail);
                (follower, result)
            });
            let (follower, result) = refreshed.await.map_err(|e| read_error("a timeline", Box::new(e)))?;
            if follower.timeline().entries().len() != open.shared.entries().len() || tail.is_sealed() {
                open.shared = Arc::new(follower.timeline().clone());
            }
            open.follower = Some(follower);
            result.map_err(|e| read_error("a timeline", Box::new(e)))?;
            open.upto = Some(tail);
            Ok(open.shared.clone())
        }
        .boxed()
    }

    fn reader(&self, recording: &Recording) -> Box<dyn FrameReader> {
        Box::new(DirReader(Some(TapeReader::open(&self.dir, recording)), self.dir.clone(), recording.clone()))
    }
}

/// The reader, the folder and the recording to make it again if a reading was given up half way.
struct DirReader(Option<TapeReader>, DataDir, Recording);

impl FrameReader for DirReader {
    fn read(&mut self, frames: Range<Frame>) -> BoxFuture<'_, Result<Bytes, ReadError>> {
        let mut reader = self.0.take().unwrap_or_else(|| TapeReader::open(&self.1, &self.2));
        async move {
            let read = tokio::task::spawn_blocking(move || {
                let result = reader.read(frames);
                (reader, result)
            });
            let (reader, result): (_, Result<Bytes, StoreError>) =
                read.await.map_err(|e| read_error("frames", Box::new(e)))?;
            self.0 = Some(reader);
            result.map_err(|e| read_error("frames", Box::new(e)))
        }
        .boxed()
    }
}

fn read_error(what: &str, source: Box<dyn std::error::Error + Send + Sync>) -> ReadError {
    ReadError { what: format!("{what} of a recording could not be read: {source}"), source: Some(source) }
}

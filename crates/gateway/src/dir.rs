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
use tokio::sync::Semaphore;

/// Timelines that are kept open; the one that was not used for longest makes room.
const OPEN_TIMELINES: usize = 256;
/// Timelines that are read at once; each takes a file descriptor meanwhile.
const TIMELINE_READS: usize = 64;

/// Recordings in a folder, their catalogue, and who tells how far the growing ones go.
pub struct DirLibrary {
    dir: DataDir,
    catalogue: Arc<Catalogue>,
    tails: Arc<dyn Watch>,
    timelines: Mutex<Timelines>,
    reads: Arc<Semaphore>,
}

#[derive(Default)]
struct Timelines {
    uses: u64,
    open: HashMap<RecordingId, (u64, Arc<tokio::sync::Mutex<OpenTimeline>>)>,
}

struct OpenTimeline {
    follower: Option<TimelineFollower>,
    upto: Option<Tail>,
}

impl DirLibrary {
    /// What `catalogue` lists, read from `dir`, as far as `tails` says.
    pub fn new(dir: DataDir, catalogue: Arc<Catalogue>, tails: Arc<dyn Watch>) -> Self {
        Self { dir, catalogue, tails, timelines: Mutex::default(), reads: Arc::new(Semaphore::new(TIMELINE_READS)) }
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
            if let (Some(upto), Some(follower)) = (open.upto, &open.follower)
                && upto.end >= tail.end
                && (upto.is_sealed() || !tail.is_sealed())
            {
                return Ok(follower.shared());
            }
            let reading = self.reads.clone().acquire_owned().await;
            // If the reading is given up half way, the next one begins anew.
            let follower = open.follower.take();
            let mut follower = follower.unwrap_or_else(|| TimelineFollower::open(&self.dir, &recording));
            let refreshed = tokio::task::spawn_blocking(move || {
                let result = follower.refresh(&tail);
                drop(reading);
                (follower, result)
            });
            let (follower, result) = refreshed.await.map_err(|e| read_error("a timeline", Box::new(e)))?;
            let shared = follower.shared();
            open.follower = Some(follower);
            result.map_err(|e| read_error("a timeline", Box::new(e)))?;
            open.upto = Some(tail);
            Ok(shared)
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

#[cfg(test)]
mod tests {
    use super::*;
    use livetape_audio::{Anchor, Durable, Entry, Epoch, FrameCount, Instance, SampleFormat, Spec, State, WallTime};
    use livetape_store::{Disk, Faults, Op, TapeWriter};
    use livetape_tail::{MemoryTails, Publisher};
    use std::path::Path;
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    /// Counts how often files are opened.
    #[derive(Default)]
    struct Opened(AtomicUsize);

    impl Faults for Opened {
        fn check(&self, op: Op, _: &Path) -> std::io::Result<()> {
            self.0.fetch_add(usize::from(op == Op::Open), Relaxed);
            Ok(())
        }
    }

    fn recording(n: u8) -> Recording {
        Recording {
            id: RecordingId::new(1_763_649_000_000 + u64::from(n), &[n; 10]),
            stream: "live".parse().unwrap(),
            spec: Spec::new(SampleFormat::S16, 8_000, 1).unwrap(),
            source: "test".parse().unwrap(),
            title: "".parse().unwrap(),
            started: WallTime::default(),
            epoch: Epoch(1),
            instance: Instance::default(),
            segment_frames: FrameCount::new(8_000),
            seal: None,
        }
    }

    struct Room {
        library: DirLibrary,
        writer: TapeWriter,
        tails: Arc<MemoryTails>,
        opened: Arc<Opened>,
        _folder: tempfile::TempDir,
    }

    fn room() -> Room {
        let folder = tempfile::tempdir().unwrap();
        let opened = Arc::new(Opened::default());
        let data = DataDir::open(folder.path(), Disk::with_faults(opened.clone())).unwrap();
        let (catalogue, tails) = (Arc::new(Catalogue::default()), Arc::new(MemoryTails::default()));
        let writer = TapeWriter::create(&data, recording(1)).unwrap();
        catalogue.insert(recording(1));
        Room { library: DirLibrary::new(data, catalogue, tails.clone()), writer, tails, opened, _folder: folder }
    }

    impl Room {
        fn record(&mut self, frames: usize) -> Tail {
            let at = self.writer.written().end();
            self.writer.note(Entry::Anchor(Anchor { frame: at, time: WallTime::default() })).unwrap();
            self.writer.append(&[vec![1; frames * 2].into()], WallTime::default()).unwrap();
            let tail = Tail::open(self.writer.sync().unwrap(), Generation(1));
            self.tails.publish(self.writer.recording().id, tail);
            tail
        }
    }

    #[tokio::test]
    async fn a_timeline_is_read_when_the_tail_has_moved_and_not_again() {
        let mut room = room();
        let tail = room.record(10);
        let shared = Arc::new(recording(1));
        let first = room.library.timeline(shared.clone(), tail).await.unwrap();
        let opened = room.opened.0.load(Relaxed);
        for _ in 0..10 {
            let again = room.library.timeline(shared.clone(), tail).await.unwrap();
            assert!(Arc::ptr_eq(&first, &again));
        }
        assert_eq!(room.opened.0.load(Relaxed), opened);
        let tail = room.record(10);
        assert_eq!(room.library.timeline(shared.clone(), tail).await.unwrap().entries().len(), 2);
        // It is not copied when nobody keeps the one before.
        let held = Arc::as_ptr(&room.library.timeline(shared.clone(), tail).await.unwrap());
        let tail = room.record(10);
        assert_eq!(Arc::as_ptr(&room.library.timeline(shared.clone(), tail).await.unwrap()), held);
        // Given up half way: the next one is whole all the same.
        let tail = room.record(10);
        drop(room.library.timeline(shared.clone(), tail).now_or_never());
        assert_eq!(room.library.timeline(shared, tail).await.unwrap().entries().len(), 4);
    }

    #[tokio::test]
    async fn only_so_many_timelines_are_kept() {
        let room = room();
        for n in 0..=u8::MAX {
            room.library.open_timeline(&recording(n));
        }
        room.library.open_timeline(&recording(0));
        let other = Recording { id: RecordingId::new(1, &[9; 10]), ..recording(0) };
        room.library.open_timeline(&other);
        let open = &room.library.timelines.lock().unwrap().open;
        assert_eq!(open.len(), OPEN_TIMELINES);
        assert!(open.contains_key(&recording(0).id) && !open.contains_key(&recording(1).id), "the least used went");
    }

    #[tokio::test]
    async fn a_tail_is_known_until_and_after_the_seal() {
        let mut room = room();
        let id = room.writer.recording().id;
        assert!(room.library.tail(id).is_none(), "nobody has said anything");
        room.record(10);
        assert_eq!(room.library.tail(id).unwrap().current().end, Frame::new(10));
        let sealed = room.writer.seal(livetape_audio::SealReason::Operator, None, WallTime::default()).unwrap();
        room.library.catalogue.insert(sealed);
        room.tails.forget(id);
        let tail = room.library.tail(id).unwrap().current();
        assert_eq!((tail.end, tail.state), (Frame::new(10), State::Sealed));
        assert_eq!(Tail::sealed(Durable(Frame::new(10)), None, tail.generation), tail);
        let mut reader = room.library.reader(&recording(1));
        assert_eq!(reader.read(Frame::new(3)..Frame::new(5)).await.unwrap(), &[1; 4][..]);
        let past = reader.read(Frame::new(9)..Frame::new(11)).await.unwrap_err();
        assert!(past.to_string().contains("could not be read"), "{past}");
    }
}

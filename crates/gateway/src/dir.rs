//! The library of a data folder on this machine.

use crate::library::{Block, FrameReader, Library, ReadError, blocking};
use crate::timelines::{READS, Timelines, Upto, timelines};
use futures::FutureExt;
use futures::future::BoxFuture;
use livetape_audio::{Frame, Generation, RecordingId, Tail, Timeline};
use livetape_store::{
    Catalogue, DataDir, Measured, Peaks, PeaksReader, Recording, StoreError, TapeReader, TimelineFollower,
};
use livetape_tail::{TailWatch, Watch};
use std::error::Error;
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::{Mutex, Semaphore};

/// Recordings in a folder, their catalogue, and who tells how far the growing ones go.
pub struct DirLibrary {
    dir: DataDir,
    catalogue: Arc<Catalogue>,
    tails: Arc<dyn Watch>,
    timelines: Timelines<OpenTimeline>,
    reads: Arc<Semaphore>,
    /// Whether the catalogue knows how the files are cut.
    knows_files: bool,
}

struct OpenTimeline {
    follower: Option<TimelineFollower>,
    upto: Upto,
}

impl DirLibrary {
    /// What `catalogue` lists, read from `dir`, as far as `tails` says.
    pub fn new(dir: DataDir, catalogue: Arc<Catalogue>, tails: Arc<dyn Watch>) -> Self {
        let reads = Arc::new(Semaphore::new(READS));
        Self { dir, catalogue, tails, timelines: timelines(), reads, knows_files: true }
    }

    /// What a recorder elsewhere on this machine lists, which `catalogue` mirrors, read from its folder.
    pub fn mirrored(dir: DataDir, catalogue: Arc<Catalogue>, tails: Arc<dyn Watch>) -> Self {
        Self { knows_files: false, ..Self::new(dir, catalogue, tails) }
    }

    fn open_timeline(&self, recording: &Recording) -> Arc<Mutex<OpenTimeline>> {
        let begin = || {
            let follower = Some(TimelineFollower::open(&self.dir, recording));
            Mutex::new(OpenTimeline { follower, upto: Upto::default() })
        };
        self.timelines.open(recording.id, begin)
    }
}

/// How far a recording goes, as far as anybody says.
pub(crate) fn known_tail(tails: &dyn Watch, catalogue: &Catalogue, id: RecordingId) -> Option<TailWatch> {
    // In this order: a sealed recording is in the catalogue before its tail is forgotten.
    let mut told = tails.watch(id);
    if told.as_mut().is_some_and(|watch| watch.current().is_sealed()) {
        return told;
    }
    // A seal is final, and who tells tails may be late.
    let sealed = catalogue.get(id).and_then(|recording| recording.sealed_tail(Generation::default()));
    sealed.map(TailWatch::fixed).or(told)
}

impl Library for DirLibrary {
    fn catalogue(&self) -> &Catalogue {
        &self.catalogue
    }

    fn tail(&self, id: RecordingId) -> Option<TailWatch> {
        known_tail(&*self.tails, &self.catalogue, id)
    }

    fn timeline(&self, recording: Arc<Recording>, tail: Tail) -> BoxFuture<'_, Result<Arc<Timeline>, ReadError>> {
        let open = self.open_timeline(&recording);
        async move {
            let mut open = open.lock_owned().await;
            if let Some(follower) = open.follower.as_ref().filter(|_| open.upto.covers(&tail) && open.upto.is_fresh()) {
                return Ok(follower.shared());
            }
            let reading = self.reads.clone().acquire_owned().await;
            // If the reading is given up half way, the next one begins anew.
            let follower = open.follower.take();
            let mut follower = follower.unwrap_or_else(|| TimelineFollower::open(&self.dir, &recording));
            let refresh = move || {
                let result = follower.refresh(&tail);
                drop(reading);
                Ok::<_, StoreError>((follower, result))
            };
            let (follower, result) = blocking("a timeline", refresh).await?;
            let shared = follower.shared();
            open.follower = Some(follower);
            result.map_err(|e| ReadError::new("a timeline", e.into()))?;
            open.upto = Upto::now(tail);
            Ok(shared)
        }
        .boxed()
    }

    fn peaks(
        &self,
        recording: Arc<Recording>,
        frames: Range<Frame>,
        width: u32,
    ) -> BoxFuture<'_, Result<Peaks, ReadError>> {
        async move {
            let reading = self.reads.clone().acquire_owned().await;
            let (dir, knows_files) = (self.dir.clone(), self.knows_files);
            let read = move || {
                let recording = if knows_files { recording } else { described(&dir, &recording)? };
                let peaks = PeaksReader::open(&dir, recording).read(frames, width);
                drop(reading);
                Ok::<_, Box<dyn Error + Send + Sync>>(peaks?)
            };
            blocking("peaks", read).await
        }
        .boxed()
    }

    fn loudness(
        &self,
        recording: Arc<Recording>,
        frames: Range<Frame>,
        minutes: u32,
    ) -> BoxFuture<'_, Result<Measured, ReadError>> {
        async move {
            let reading = self.reads.clone().acquire_owned().await;
            let dir = self.dir.clone();
            let read = move || {
                let measured = Measured::read(&dir, &recording, frames, minutes);
                drop(reading);
                Ok::<_, Box<dyn Error + Send + Sync>>(measured?)
            };
            blocking("loudness", read).await
        }
        .boxed()
    }

    fn reader(&self, recording: &Arc<Recording>) -> Box<dyn FrameReader> {
        let tape = self.knows_files.then(|| TapeReader::shared(&self.dir, recording.clone()));
        Box::new(DirReader { tape, dir: self.dir.clone(), recording: recording.clone(), knows_files: self.knows_files })
    }
}

/// The tape, and what is needed to open it: first of all if the catalogue does not know how its files are cut, and again
/// when a reading was given up half way.
struct DirReader {
    tape: Option<TapeReader>,
    dir: DataDir,
    recording: Arc<Recording>,
    knows_files: bool,
}

impl FrameReader for DirReader {
    fn read(&mut self, frames: Range<Frame>) -> BoxFuture<'_, Result<Block, ReadError>> {
        async move {
            if let Some(tape) = &mut self.tape
                && let Ok(Some(found)) = tape.find_now(frames.clone())
            {
                return Ok(Block::Stored(found));
            }
            let (tape, dir, knows_files) = (self.tape.take(), self.dir.clone(), self.knows_files);
            let recording = self.recording.clone();
            let find = move || {
                let mut tape = match tape {
                    Some(tape) => tape,
                    None if knows_files => TapeReader::shared(&dir, recording),
                    None => TapeReader::shared(&dir, described(&dir, &recording)?),
                };
                let found = tape.find(frames);
                Ok::<_, Box<dyn Error + Send + Sync>>((tape, found))
            };
            let (tape, found) = blocking("frames", find).await?;
            self.tape = Some(tape);
            found.map(Block::Stored).map_err(|e| ReadError::new("frames", e.into()))
        }
        .boxed()
    }
}

/// The recording as its own folder describes it.
fn described(dir: &DataDir, recording: &Recording) -> Result<Arc<Recording>, Box<dyn Error + Send + Sync>> {
    let described = dir.load(&recording.stream, recording.id)?;
    if described.spec != recording.spec {
        return Err("its description is of another recording: is this the folder of this recorder?".into());
    }
    Ok(Arc::new(described))
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
            notes: Default::default(),
            locked: false,
            titled: false,
            genre: Default::default(),
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
    async fn a_tail_is_known_until_and_after_the_seal() {
        let mut room = room();
        let id = room.writer.recording().id;
        assert!(room.library.tail(id).is_none(), "nobody has said anything");
        room.record(10);
        assert_eq!(room.library.tail(id).unwrap().current().end, Frame::new(10));
        let sealed = room.writer.seal(livetape_audio::SealReason::Operator, None, WallTime::default()).unwrap();
        room.library.catalogue.insert(sealed);
        assert!(room.library.tail(id).unwrap().current().is_sealed(), "although nobody has told its tail");
        room.tails.forget(id);
        let tail = room.library.tail(id).unwrap().current();
        assert_eq!((tail.end, tail.state), (Frame::new(10), State::Sealed));
        assert_eq!(Tail::sealed(Durable(Frame::new(10)), None, tail.generation), tail);
        let mut reader = room.library.reader(&Arc::new(recording(1)));
        let block = reader.read(Frame::new(3)..Frame::new(5)).await.unwrap();
        assert_eq!(block.load().await.unwrap(), &[1; 4][..]);
        let past = reader.read(Frame::new(9)..Frame::new(11)).await.unwrap_err();
        assert!(past.to_string().contains("could not be read"), "{past}");
    }
}

//! A tape beside its model: what was given to it, and how much of that has to be there whatever happens.

use super::power::{Plan, Power};
use super::{FRAME, anchor, counting, folder, open_tail, path_of, read, recording, time_of};
use bytes::Bytes;
use livetape_audio::{Anchor, Entry, EventKind, Frame, SealReason};
use livetape_store::{DataDir, Disk, Recording, StoreError, TapeWriter, TimelineFollower, durable_end, verify::verify};
use std::sync::Arc;
use tempfile::TempDir;

pub struct Model {
    pub root: TempDir,
    pub power: Arc<Power>,
    pub dir: DataDir,
    pub recording: Recording,
    pub tape: Option<TapeWriter>,
    /// All audio that may be on the tape; what lies after `written` was refused by the disk.
    audio: Vec<u8>,
    written: u64,
    durable: u64,
    /// Everything that was noted, and how much of that is durable.
    entries: Vec<Entry>,
    durable_entries: usize,
    /// How many entries were noted before the audio that ends at a frame.
    noted_before: Vec<(u64, usize)>,
    attempt: u8,
}

impl Model {
    /// A data folder without a recording yet.
    pub fn new(segment_frames: u64) -> Self {
        let (root, power) = (folder(), Arc::new(Power::default()));
        let dir = DataDir::open(root.path(), Disk::with_faults(Arc::clone(&power) as _)).unwrap();
        Self {
            root,
            power,
            dir,
            recording: recording(1, segment_frames),
            tape: None,
            audio: Vec::new(),
            written: 0,
            durable: 0,
            entries: Vec::new(),
            durable_entries: 0,
            noted_before: Vec::new(),
            attempt: 0,
        }
    }

    pub fn create(&mut self) -> Result<(), StoreError> {
        self.tape = Some(TapeWriter::create(&self.dir, self.recording.clone())?);
        Ok(())
    }

    pub fn created(segment_frames: u64) -> Self {
        let mut model = Self::new(segment_frames);
        model.create().unwrap();
        model.note(anchor(0)).unwrap();
        model.sync().unwrap();
        model
    }

    pub fn tape(&mut self) -> &mut TapeWriter {
        self.tape.as_mut().unwrap()
    }

    pub const fn written(&self) -> u64 {
        self.written
    }

    /// Appends `frames` in chunks of `chunk` frames.
    pub fn append(&mut self, frames: u64, chunk: u64) -> Result<(), StoreError> {
        self.audio.truncate(self.written as usize * FRAME);
        let pcm = counting(self.written, frames, self.attempt);
        self.audio.extend_from_slice(&pcm);
        let chunks: Vec<Bytes> = pcm.chunks(chunk as usize * FRAME).map(|chunk| pcm.slice_ref(chunk)).collect();
        let (time, noted) = (time_of(self.written), self.entries.len());
        let appended = self.tape().append(&chunks, time);
        self.noted_before.push((self.written, noted));
        // A segment that was completed on the way is durable, and what was noted before.
        let durable = self.tape().durable().end().get();
        assert!(durable >= self.durable && durable * FRAME as u64 <= self.audio.len() as u64);
        if durable > self.durable {
            (self.durable, self.durable_entries) = (durable, noted);
        }
        let end = appended?.end().get();
        assert_eq!(end, self.written + frames);
        self.written = end;
        Ok(())
    }

    pub fn note(&mut self, entry: Entry) -> Result<(), StoreError> {
        self.entries.push(entry.clone());
        let result = self.tape().note(entry);
        if matches!(result, Err(StoreError::Timeline(_) | StoreError::Ahead { .. })) {
            self.entries.pop();
        }
        result
    }

    pub fn sync(&mut self) -> Result<(), StoreError> {
        let end = self.tape().sync()?.end().get();
        assert_eq!(end, self.written);
        (self.durable, self.durable_entries) = (end, self.entries.len());
        Ok(())
    }

    /// Goes back to what is durable, however often that takes.
    pub fn rewind(&mut self) {
        let end = (0..10).find_map(|_| self.tape().rewind().ok()).expect("ten attempts").end().get();
        assert_eq!(end, self.durable, "what is durable stays durable, and nothing else is");
        self.written = end;
        self.audio.truncate(end as usize * FRAME);
        // A segment that was completed has taken entries with it, perhaps without any audio.
        let kept = self.tape().timeline().entries().len();
        let noted = self.entries.len();
        self.entries.truncate(kept.max(self.durable_entries));
        // What spoke of a frame that did not come is gone, too.
        while self.entries.len() > kept {
            let gone = self.entries.pop().unwrap();
            assert!(!gone.stands_before(Frame::new(end)), "{gone:?} of {noted} entries");
        }
        self.durable_entries = kept;
        self.noted_before.retain(|&(at, _)| at < end);
        self.attempt = self.attempt.wrapping_add(1);
        let tape = self.tape.as_ref().unwrap();
        assert_eq!(tape.timeline().entries(), self.entries);
        assert_eq!(tape.written().end().get(), end);
    }

    /// The process ends without a word.
    pub fn kill(&mut self) {
        self.tape = None;
    }

    /// The process ends, and the power is cut.
    pub fn power_cut(&mut self, seed: u64) {
        self.tape = None;
        self.power.cut(&path_of(&self.dir, &self.recording), seed);
    }

    /// Opens the tape again and compares it with the model.
    pub fn recover(&mut self) -> Result<(), StoreError> {
        let before = durable_end(&self.dir, &self.recording)?;
        let (tape, recovery) = TapeWriter::recover(&self.dir, self.recording.clone(), time_of(0))?;
        let end = recovery.end.end().get();
        assert_eq!(before, recovery.end, "readers know it before");
        assert!(end >= self.durable, "{end} frames are left of {} durable ones: {recovery:?}", self.durable);
        assert!(end as usize * FRAME <= self.audio.len(), "{end} frames are more than were given: {recovery:?}");
        assert_eq!(tape.durable().end().get(), end);
        assert_eq!(tape.written().end().get(), end);
        self.check_entries(&tape, end, recovery.is_clean());
        self.audio.truncate(end as usize * FRAME);
        (self.written, self.durable) = (end, end);
        self.entries = tape.timeline().entries().to_vec();
        self.durable_entries = self.entries.len();
        self.noted_before.clear();
        self.attempt = self.attempt.wrapping_add(1);
        self.tape = Some(tape);
        self.power.plan(Plan::None);
        self.check();
        Ok(())
    }

    fn check_entries(&self, tape: &TapeWriter, end: u64, clean: bool) {
        let is_recovered = |e: &Entry| matches!(e, Entry::Event(event) if event.kind == EventKind::Recovered);
        let found = tape.timeline().entries();
        if !clean {
            let told = found.last().is_some_and(|last| is_recovered(last) && last.frame().get() == end);
            assert!(told || self.power.failed().is_some(), "an event says what was cut, unless the disk is full");
        }
        // What was noted before audio that is there is there, and so is everything durable.
        let noted = self.noted_before.iter().filter(|&&(at, _)| at < end).map(|&(_, noted)| noted);
        let sure = noted.chain([self.durable_entries]).max().unwrap_or(0);
        let stands = |entry: &&Entry| entry.stands_before(Frame::new(end));
        let (noted, expected) = (sure, self.entries[..sure].iter().filter(stands).collect::<Vec<_>>());
        let sure = expected.len();
        assert!(found.len() >= sure, "{found:?}\nof which these are sure: {expected:?}");
        assert!(found[..sure].iter().eq(expected));
        assert!(found.iter().all(|entry| entry.stands_before(Frame::new(end))), "{found:?}");
        let mut rest = self.entries[noted..].iter();
        // A recovery that died has perhaps said so too, and frames without any time get that of the index.
        let restored = Entry::Anchor(Anchor { frame: Frame::ZERO, time: time_of(0) });
        let is_own = |entry: &&Entry| !is_recovered(entry) && **entry != restored;
        let mut others = found[sure..].iter().filter(is_own);
        assert!(others.all(|entry| rest.any(|noted| noted == entry)), "made up: {found:?}");
    }

    /// Everything that readers see is as the model says.
    pub fn check(&self) {
        let end = self.durable;
        let stored = read(&self.dir, &self.recording, 0, end);
        assert!(stored == self.audio[..end as usize * FRAME], "the audio is not what was given");
        let mut follower = TimelineFollower::open(&self.dir, &self.recording);
        follower.refresh(&open_tail(end)).unwrap();
        let due = self.entries.iter().take_while(|entry| entry.frame() < Frame::new(end));
        let seen = follower.timeline().entries();
        assert!(seen.iter().eq(due.clone()), "{seen:?}\n{:?}", due.collect::<Vec<_>>());
    }

    /// Nothing is wrong with the files.
    pub fn verify(&self) {
        let mut bytes = 0;
        let verdict = verify(&self.dir, &self.recording, &mut |n| bytes += n).unwrap();
        assert!(verdict.findings.is_empty(), "{verdict:#?}");
        assert_eq!(verdict.bytes, bytes);
        assert!(verdict.bytes >= self.durable * FRAME as u64);
    }

    pub fn seal(&mut self) -> Result<(), StoreError> {
        let ended = time_of(self.written);
        let sealed = self.tape().seal(SealReason::Operator, None, ended)?;
        self.recording = sealed;
        Ok(())
    }

    /// Checks a sealed recording, as a reader finds it that has only the folder.
    pub fn check_sealed(&mut self) {
        self.tape = None;
        let end = self.recording.seal.unwrap().end.get();
        assert_eq!(end * FRAME as u64, self.audio.len() as u64);
        let dir = DataDir::open_read_only(self.root.path(), Disk::default()).unwrap();
        let scan = dir.scan().unwrap();
        assert_eq!((scan.recordings, scan.problems), (vec![self.recording.clone()], vec![]));
        assert!(read(&dir, &self.recording, 0, end) == self.audio);
        let mut follower = TimelineFollower::open(&dir, &self.recording);
        follower.refresh(&self.recording.sealed_tail(dir.generation()).unwrap()).unwrap();
        assert_eq!(follower.timeline().entries(), self.entries);
        let verdict = verify(&dir, &self.recording, &mut |_| {}).unwrap();
        assert!(verdict.findings.is_empty(), "{verdict:#?}");
        assert_eq!(verdict.bytes, self.audio.len() as u64);
        assert!(matches!(
            TapeWriter::recover(&self.dir, self.recording.clone(), time_of(0)),
            Err(StoreError::Sealed { .. })
        ));
    }
}

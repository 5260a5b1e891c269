//! The one owner of an open recording's files: append, note, sync, seal. What a crash leaves behind is `recovery`'s.

use crate::data_dir::DataDir;
use crate::error::StoreError;
use crate::flush::Flushed;
use crate::format::{self, RECORDING, TIMELINE};
use crate::growing::Growing;
use crate::keeping::Edit;
use crate::recording::{Recording, Seal, earliest};
use crate::segment::Segment;
use bytes::Bytes;
use livetape_audio::{
    Durable, Entry, Epoch, Frame, Instance, RecordingId, SealReason, SourceName, Timeline, Title, WallTime, Written,
};
use std::path::{Path, PathBuf};

/// Writes one open recording. At most one may exist for each.
///
/// After an append, a note or a sync has failed on the disk, what lies after the durable end is not known:
/// [`TapeWriter::rewind`] goes back to it, and until then nothing more is taken. Refused input changes nothing.
#[derive(Debug)]
pub struct TapeWriter {
    dir: DataDir,
    folder: PathBuf,
    recording: Recording,
    segment: Segment,
    timeline: Timeline,
    log: Growing,
    durable_log: LogMark,
    state: State,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    /// Something failed: only a rewind helps.
    Failed,
    /// The seal may be on disk already: only sealing again helps.
    Sealing,
}

/// How much of the timeline is durable.
#[derive(Clone, Copy, Debug)]
struct LogMark {
    bytes: u64,
    entries: usize,
}

impl TapeWriter {
    /// Begins a new recording. When this returns, it is in the data folder and survives a power cut.
    ///
    /// # Errors
    /// [`StoreError::Exists`], [`StoreError::ReadOnly`], [`StoreError::Full`], [`StoreError::Sealed`] when it is given
    /// a seal, and what the file system refuses. Nothing is left behind, if the file system allows.
    pub fn create(dir: &DataDir, recording: Recording) -> Result<Self, StoreError> {
        dir.writable()?;
        let folder = dir.folder(&recording);
        recording.check(&folder.join(RECORDING))?;
        if recording.seal.is_some() {
            return Err(StoreError::Sealed { id: recording.id });
        }
        dir.disk().create_dirs(&dir.stream_folder(&recording.stream))?;
        if folder.exists() {
            return Err(StoreError::Exists { path: folder });
        }
        dir.disk().create_dir(&folder)?;
        Self::create_files(dir, &folder, recording).inspect_err(|_| remove_folder(dir, &folder))
    }

    fn create_files(dir: &DataDir, folder: &Path, recording: Recording) -> Result<Self, StoreError> {
        let log = Growing::create(dir.disk(), &folder.join(TIMELINE), 0, u64::MAX)?;
        let segment = Segment::create(dir.disk(), folder, &recording, Frame::ZERO)?;
        // Last, because a folder is a recording as soon as it has this file.
        dir.disk().replace(&folder.join(RECORDING), &format::encode_recording(&recording))?;
        dir.disk().sync_dir(&dir.stream_folder(&recording.stream))?;
        let timeline = Timeline::new(recording.spec);
        Ok(Self::assemble(dir, recording, segment, timeline, log))
    }

    /// A writer of files that are durable as they are.
    pub(crate) fn assemble(
        dir: &DataDir,
        recording: Recording,
        segment: Segment,
        timeline: Timeline,
        log: Growing,
    ) -> Self {
        let durable_log = LogMark { bytes: log.used(), entries: timeline.entries().len() };
        let folder = dir.folder(&recording);
        Self { dir: dir.clone(), folder, recording, segment, timeline, log, durable_log, state: State::Open }
    }

    /// What is being recorded.
    pub const fn recording(&self) -> &Recording {
        &self.recording
    }

    /// Everything that was noted, durable or not.
    pub const fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// The end of what was appended.
    pub fn written(&self) -> Written {
        Written(self.segment.end())
    }

    /// The end of what survives a power cut.
    pub fn durable(&self) -> Durable {
        Durable(self.segment.durable_end())
    }

    fn id(&self) -> RecordingId {
        self.recording.id
    }

    fn ready(&self) -> Result<(), StoreError> {
        match self.state {
            State::Open if self.recording.seal.is_none() => Ok(()),
            State::Failed => Err(StoreError::NotRewound { id: self.id() }),
            State::Open | State::Sealing => Err(StoreError::Sealed { id: self.id() }),
        }
    }

    /// Remembers that a step failed.
    fn watch<T>(&mut self, result: Result<T, StoreError>) -> Result<T, StoreError> {
        if result.is_err() {
            self.state = State::Failed;
        }
        result
    }

    /// Appends audio as one block of the index: call it once for each sync round, with all chunks of the round. `time`
    /// is the time of day of the first frame. Where a segment is completed on the way, everything up to there is
    /// synced, so that [`TapeWriter::durable`] may move.
    ///
    /// # Errors
    /// [`StoreError::HalfFrame`] when a chunk is not whole frames; nothing was taken then. [`StoreError::Full`] and
    /// what the file system refuses: rewind, and append anew from the durable end.
    pub fn append(&mut self, chunks: &[Bytes], time: WallTime) -> Result<Written, StoreError> {
        self.ready()?;
        let frame_bytes = self.recording.spec.frame_bytes();
        if let Some(chunk) = chunks.iter().find(|chunk| chunk.len() % frame_bytes as usize != 0) {
            return Err(StoreError::HalfFrame { bytes: chunk.len(), frame_bytes });
        }
        let appended = match chunks {
            [one] => self.append_frames(one, time),
            many => self.append_frames(&many.concat(), time),
        };
        self.watch(appended)?;
        Ok(self.written())
    }

    fn append_frames(&mut self, mut frames: &[u8], mut time: WallTime) -> Result<(), StoreError> {
        let spec = self.recording.spec;
        // A block that reaches the disk proves its audio, so what was said about that audio has to be there before.
        self.log.sync()?;
        while !frames.is_empty() {
            if self.segment.room(&self.recording).is_zero() {
                self.roll()?;
            }
            let room = usize::try_from(spec.bytes(self.segment.room(&self.recording))).unwrap_or(usize::MAX);
            let (now, later) = frames.split_at_checked(room).unwrap_or((frames, &[]));
            self.segment.append(&self.recording, now, time)?;
            let (count, _) = spec.frames_in(now.len() as u64);
            (frames, time) = (later, time.after_frames(count, spec));
        }
        Ok(())
    }

    /// Goes on in a new segment.
    fn roll(&mut self) -> Result<(), StoreError> {
        self.sync_files()?;
        self.segment.finish(self.dir.disk(), &self.folder, &self.recording)?;
        self.segment = Segment::create(self.dir.disk(), &self.folder, &self.recording, self.segment.end())?;
        Ok(())
    }

    /// Puts an entry on the timeline; it is durable with the next sync. What is said about frames to come is noted
    /// before they are appended, at the frame after the last one written.
    ///
    /// # Errors
    /// [`StoreError::Ahead`], [`StoreError::TooLong`] and [`StoreError::Timeline`]: refused, nothing has changed.
    /// [`StoreError::Full`] and what the file system refuses: rewind.
    pub fn note(&mut self, entry: Entry) -> Result<(), StoreError> {
        self.ready()?;
        let (at, end) = (entry.frame(), self.written().end());
        if at > end {
            return Err(StoreError::Ahead { at, end });
        }
        let record = format::encode_entry(&entry)?;
        self.timeline.push(entry)?;
        let appended = self.log.append(&record);
        self.watch(appended)
    }

    /// Makes everything durable that was appended and noted.
    ///
    /// # Errors
    /// What the file system refuses. Nothing of it counts as durable then: rewind.
    pub fn sync(&mut self) -> Result<Durable, StoreError> {
        self.ready()?;
        let synced = self.sync_files();
        self.watch(synced)?;
        Ok(self.durable())
    }

    /// As [`TapeWriter::sync`], after a flush of the file system since the last append and the last note.
    ///
    /// # Errors
    /// As [`TapeWriter::sync`], where the files are on another file system.
    pub fn flushed(&mut self, flushed: Flushed) -> Result<Durable, StoreError> {
        self.ready()?;
        if !flushed.covers(self.segment.device()) {
            return self.sync();
        }
        self.log.settled();
        self.segment.settled();
        self.durable_log = LogMark { bytes: self.log.used(), entries: self.timeline.entries().len() };
        Ok(self.durable())
    }

    fn sync_files(&mut self) -> Result<(), StoreError> {
        // The timeline first: what is said about a frame is durable when the frame is.
        self.log.sync()?;
        self.segment.sync()?;
        self.durable_log = LogMark { bytes: self.log.used(), entries: self.timeline.entries().len() };
        Ok(())
    }

    /// Goes back to what is durable, in memory and on disk; what follows is written anew. Needed after a failure,
    /// allowed always. The durable end may be inside of what the failed append was given.
    ///
    /// # Errors
    /// What the file system refuses. Nothing is lost; try again later.
    pub fn rewind(&mut self) -> Result<Durable, StoreError> {
        if self.state != State::Failed {
            self.ready()?;
        }
        self.state = State::Failed;
        // First in memory, so that what is told from here on is right even if the disk still fails.
        let mark = self.mark_before(self.durable().end())?;
        let mut timeline = Timeline::new(self.recording.spec);
        for entry in self.timeline.entries().iter().take(mark.entries) {
            timeline.push(entry.clone())?;
        }
        (self.timeline, self.durable_log) = (timeline, mark);
        let disk = self.dir.disk();
        self.segment.rewind(disk, &self.folder, &self.recording)?;
        self.log = Growing::resume(disk, &self.folder.join(TIMELINE), mark.bytes, 0, u64::MAX)?;
        self.state = State::Open;
        Ok(self.durable())
    }

    /// The durable part of the timeline without what was said last about a frame that did not come.
    fn mark_before(&self, end: Frame) -> Result<LogMark, StoreError> {
        let mut mark = self.durable_log;
        let durable = self.timeline.entries().get(..mark.entries).unwrap_or_default();
        for entry in durable.iter().rev().take_while(|entry| !entry.stands_before(end)) {
            mark.bytes -= format::encode_entry(entry)?.len() as u64;
            mark.entries -= 1;
        }
        Ok(mark)
    }

    /// Writes down who pushes now; the title only as long as nobody else has given one. When this returns, it survives a power cut; after an error the old or the new is on
    /// disk, so a retry needs a later epoch.
    ///
    /// # Errors
    /// [`StoreError::Sealed`], [`StoreError::Full`], and what the file system refuses.
    pub fn update(
        &mut self,
        epoch: Epoch,
        instance: Instance,
        source: SourceName,
        title: Title,
        genre: Title,
    ) -> Result<(), StoreError> {
        if self.state != State::Failed {
            self.ready()?;
        }
        let title = if self.recording.titled { self.recording.title.clone() } else { title };
        self.replace(Recording { epoch, instance, source, title, genre, ..self.recording.clone() })
    }

    /// Writes down what those who keep the recording say about it. As durable as [`TapeWriter::update`].
    ///
    /// # Errors
    /// As [`TapeWriter::update`].
    pub fn edit(&mut self, edit: Edit) -> Result<(), StoreError> {
        if self.state != State::Failed {
            self.ready()?;
        }
        self.replace(edit.of(&self.recording))
    }

    fn replace(&mut self, recording: Recording) -> Result<(), StoreError> {
        self.describe(&recording)?;
        self.recording = recording;
        Ok(())
    }

    fn describe(&self, recording: &Recording) -> Result<(), StoreError> {
        self.dir.disk().replace(&self.folder.join(RECORDING), &format::encode_recording(recording))
    }

    /// Ends the recording: syncs, cuts reserved space, merges the index, and then says so in `recording.json`. After a
    /// crash on the way it is open and recovers. After a failure it ends at the durable end. Once sealed, sealing again
    /// changes nothing. `ended` is the latest time of day of its frames.
    ///
    /// # Errors
    /// [`StoreError::Full`], and what the file system refuses: seal again. If the seal may be on disk already, nothing
    /// more is appended meanwhile.
    pub fn seal(
        &mut self,
        reason: SealReason,
        next: Option<RecordingId>,
        ended: WallTime,
    ) -> Result<Recording, StoreError> {
        if self.recording.seal.is_some() {
            return Ok(self.recording.clone());
        }
        if self.state == State::Failed {
            self.rewind()?;
        }
        if self.state != State::Sealing {
            self.sync()?;
            let finished = self.segment.finish(self.dir.disk(), &self.folder, &self.recording);
            self.watch(finished)?;
        }
        let end = self.durable().end();
        let seal = Seal { end, earliest: earliest(&self.timeline, end), ended, reason, next };
        let sealed = Recording { seal: Some(seal), ..self.recording.clone() };
        if let Err(e) = self.describe(&sealed) {
            let on_disk = self.dir.load(&self.recording.stream, self.id());
            let still_open = on_disk.is_ok_and(|recording| recording.seal.is_none());
            self.state = if still_open { self.state } else { State::Sealing };
            return Err(e);
        }
        self.state = State::Open;
        self.recording = sealed;
        Ok(self.recording.clone())
    }
}

/// Best effort: a folder without `recording.json` is no recording.
fn remove_folder(dir: &DataDir, folder: &Path) {
    // First the file that makes it a recording.
    let _ = dir.disk().remove_file(&folder.join(RECORDING));
    for name in dir.disk().list(folder).unwrap_or_default() {
        let _ = dir.disk().remove_file(&folder.join(name));
    }
    let _ = dir.disk().remove_dir(folder);
}

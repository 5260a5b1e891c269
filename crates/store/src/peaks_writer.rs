//! Makes the peaks of one recording from its audio, while it is recorded or later: reads what is durable, and appends to
//! the files of all zooms. What a crash, a full disk or somebody else has left of them is found and made again.
//!
//! Nothing is synced and nobody waits for it: records prove themselves, and what is missing can always be made again.
//! Not here: when, and how much at a time.

use crate::data_dir::DataDir;
use crate::disk::{Disk, DiskFile};
use crate::error::StoreError;
use crate::format::derived::HEAD;
use crate::format::peaks::{FACTOR, LEVELS, Layout, peaks_name, record_frames};
use crate::reader::TapeReader;
use crate::recording::Recording;
use livetape_audio::peaks::{Gathered, hear};
use livetape_audio::{Frame, FrameCount};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Audio that is read at a time, in bytes.
const PIECE: u64 = 128 * 1024;
/// Records at the end of a file that are looked at for one that proves itself, before all are made again.
const LOOK_BACK: u64 = 64;
/// Records that are read at a time to make those of the next zoom.
const BATCH: u64 = 4096;

/// Writes the peaks of one recording. At most one may exist for each.
#[derive(Debug)]
pub struct PeaksWriter {
    disk: Disk,
    folder: PathBuf,
    recording: Arc<Recording>,
    levels: Vec<Level>,
    reader: TapeReader,
    end: Frame,
}

/// One zoom.
#[derive(Debug)]
struct Level {
    layout: Layout,
    path: PathBuf,
    /// Records in the file, and those that wait to be written.
    written: u64,
    waiting: Vec<u8>,
    records: u64,
    /// What the next record is made from, so far: of each channel, and from how many records of the zoom below.
    channels: Vec<Gathered>,
    parts: u64,
}

impl PeaksWriter {
    /// Goes on where the files end that are there, of which only frames before `end` count. Reads the last records, not
    /// the audio.
    ///
    /// # Errors
    /// [`StoreError::ReadOnly`], and what the file system refuses.
    pub fn open(dir: &DataDir, recording: Arc<Recording>, end: Frame) -> Result<Self, StoreError> {
        dir.writable()?;
        let (disk, folder) = (dir.disk().clone(), dir.folder(&recording));
        let reader = TapeReader::shared(dir, recording.clone());
        let mut levels: Vec<Level> = Vec::with_capacity(LEVELS);
        for number in 0..LEVELS {
            let limit = levels.last().map_or(end.get() / record_frames(0), |below| below.written / FACTOR);
            levels.push(Level::open(&disk, &folder, &recording, number, limit)?);
        }
        for number in 1..LEVELS {
            if let [.., below, level] = levels.get_mut(..=number).unwrap_or_default() {
                level.catch_up(&disk, below, record_frames(number - 1))?;
            }
        }
        let done = levels.first().map_or(0, |level| level.records * record_frames(0));
        Ok(Self { disk, folder, recording, levels, reader, end: Frame::new(done) })
    }

    /// Whether the peaks of a finished recording are all there, as far as the ends of the files say. Costs the same for
    /// any length.
    pub fn is_complete(dir: &DataDir, recording: &Recording) -> bool {
        let Some(seal) = recording.seal else { return false };
        let (disk, folder, end) = (dir.disk(), dir.folder(recording), seal.end.get());
        (0..LEVELS).all(|number| {
            let size = record_frames(number);
            let due = if number == 0 { end.div_ceil(size) } else { end / size };
            let level = Level::open(disk, &folder, recording, number, due);
            level.is_ok_and(|level| level.written == due)
        })
    }

    /// How far the peaks go.
    pub const fn end(&self) -> Frame {
        self.end
    }

    /// Goes on to `to`, which is durable, but reads only so many bytes of audio. If that is the end of a finished
    /// recording, the last record is made from fewer frames than the others.
    ///
    /// # Errors
    /// [`StoreError::is_missing`] when the recording was deleted, [`StoreError::Full`], and what the file system refuses.
    /// Open it anew then.
    pub fn advance(&mut self, to: Frame, most_bytes: u64) -> Result<Frame, StoreError> {
        let (spec, record) = (self.recording.spec, record_frames(0));
        let is_end = self.recording.seal.is_some_and(|seal| seal.end == to);
        let to = if is_end { to } else { Frame::new(to.get() / record * record) };
        let whole = |bytes: u64| FrameCount::new((spec.frames_in(bytes).0.get() / record).max(1) * record);
        let to = to.min(self.end + whole(most_bytes));
        while self.end < to {
            let mut audio = Vec::new();
            let piece = self.end..to.min(self.end + whole(PIECE));
            let mut at = piece.start;
            // Less where a segment ends.
            while at < piece.end {
                let bytes = self.reader.read(at..piece.end)?;
                at = at + spec.frames_in(bytes.len() as u64).0;
                audio.extend_from_slice(&bytes);
            }
            let bytes = usize::try_from(spec.bytes(FrameCount::new(record))).unwrap_or(usize::MAX);
            for frames in audio.chunks(bytes) {
                self.take_in(frames);
            }
            self.end = piece.end;
        }
        self.flush()?;
        Ok(self.end)
    }

    /// One record of the finest zoom, and what is complete with it.
    fn take_in(&mut self, frames: &[u8]) {
        let spec = self.recording.spec;
        let mut channels = vec![Gathered::default(); usize::from(spec.channels())];
        hear(spec, frames, &mut channels);
        let is_whole = spec.frames_in(frames.len() as u64).0.get() == record_frames(0);
        for (number, level) in self.levels.iter_mut().enumerate() {
            if number == 0 {
                level.put(&channels);
            } else if !level.merge(&channels) {
                return;
            } else {
                channels = level.complete();
            }
            // The end of a recording is found in the finest zoom only.
            if !is_whole {
                return;
            }
        }
    }

    /// The finest first: nothing is in a coarser one that is not in all finer ones.
    fn flush(&mut self) -> Result<(), StoreError> {
        for level in &mut self.levels {
            level.flush(&self.disk)?;
        }
        Ok(())
    }

    /// Forgets all peaks, so that they are made anew.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn discard(mut self) -> Result<Self, StoreError> {
        self.levels.clear();
        for number in (0..LEVELS).rev() {
            match self.disk.remove_file(&self.folder.join(peaks_name(number))) {
                Err(e) if !e.is_missing() => return Err(e),
                _ => self.levels.insert(0, Level::new(&self.folder, &self.recording, number)),
            }
        }
        self.end = Frame::ZERO;
        Ok(self)
    }
}

impl Level {
    fn new(folder: &Path, recording: &Recording, number: usize) -> Self {
        Self {
            layout: Layout::new(recording, number),
            path: folder.join(peaks_name(number)),
            written: 0,
            waiting: Vec::new(),
            records: 0,
            channels: vec![Gathered::default(); usize::from(recording.spec.channels())],
            parts: 0,
        }
    }

    /// What is there of it, and proves itself at its end: at most `limit` records.
    fn open(disk: &Disk, folder: &Path, recording: &Recording, number: usize, limit: u64) -> Result<Self, StoreError> {
        let mut level = Self::new(folder, recording, number);
        let file = match disk.open(&level.path) {
            Ok(file) => file,
            Err(e) if e.is_missing() => return Ok(level),
            Err(e) => return Err(e),
        };
        let mut head = [0; HEAD];
        if file.read_at(&mut head, 0)? == HEAD && head == *level.layout.head() {
            let there = level.layout.records(file.len()?).min(limit);
            let mut last = there;
            while last > 0 && !level.proves(&file, last - 1)? {
                last -= 1;
                if there - last >= LOOK_BACK {
                    last = 0;
                }
            }
            (level.written, level.records) = (last, last);
        }
        Ok(level)
    }

    fn proves(&self, file: &DiskFile, record: u64) -> Result<bool, StoreError> {
        let mut bytes = vec![0; self.layout.record_bytes()];
        let read = file.read_at(&mut bytes, self.layout.offset(record))?;
        Ok(self.layout.decode(record, bytes.get(..read).unwrap_or_default()).is_some())
    }

    /// Makes what is missing against the zoom below, whose records have `count` frames.
    fn catch_up(&mut self, disk: &Disk, below: &Self, count: u64) -> Result<(), StoreError> {
        let mut next = self.records * FACTOR;
        if next >= below.written {
            return Ok(());
        }
        let (file, size) = (disk.open(&below.path)?, below.layout.record_bytes());
        while next < below.written {
            let records = (below.written - next).min(BATCH);
            let mut bytes = vec![0; usize::try_from(records).unwrap_or(0) * size];
            file.read_at(&mut bytes, below.layout.offset(next))?;
            for record in bytes.chunks_exact(size) {
                let Some(points) = below.layout.decode(next, record) else {
                    return Err(StoreError::damaged(&below.path, format!("record {next} is not what was written")));
                };
                let mut channels = vec![Gathered::default(); self.channels.len()];
                channels.iter_mut().zip(points).for_each(|(channel, point)| channel.merge_point(point, count));
                if self.merge(&channels) {
                    self.complete();
                }
                next += 1;
            }
            self.flush(disk)?;
        }
        Ok(())
    }

    /// Takes in a record of the zoom below; whether one of this zoom is complete.
    fn merge(&mut self, channels: &[Gathered]) -> bool {
        self.channels.iter_mut().zip(channels).for_each(|(own, new)| own.merge(new));
        self.parts += 1;
        self.parts == FACTOR
    }

    /// Puts the record that is complete.
    fn complete(&mut self) -> Vec<Gathered> {
        let empty = vec![Gathered::default(); self.channels.len()];
        let complete = std::mem::replace(&mut self.channels, empty);
        self.parts = 0;
        self.put(&complete);
        complete
    }

    fn put(&mut self, channels: &[Gathered]) {
        self.layout.encode(self.records, channels.iter().map(Gathered::point), &mut self.waiting);
        self.records += 1;
    }

    fn flush(&mut self, disk: &Disk) -> Result<(), StoreError> {
        if self.waiting.is_empty() {
            return Ok(());
        }
        let file = match self.written {
            0 => {
                let file = disk.create(&self.path)?;
                file.write_all_at(self.layout.head(), 0)?;
                file
            }
            _ => disk.open_rw(&self.path)?,
        };
        let offset = self.layout.offset(self.written);
        // What stood there after the last record that counts must not be taken for what comes next.
        if file.len()? > offset {
            file.set_len(offset)?;
        }
        file.write_all_at(&self.waiting, offset)?;
        self.written = self.records;
        self.waiting.clear();
        Ok(())
    }
}

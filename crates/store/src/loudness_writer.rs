//! Measures how loud one recording is, from its audio, while it is recorded or later: a record for each minute, of which the
//! last one grows. What a crash, a full disk or somebody else has left of them is found and made again.
//!
//! Nothing is synced and nobody waits for it. Not here: when, and how much at a time.

use crate::data_dir::DataDir;
use crate::disk::{Disk, DiskFile};
use crate::error::StoreError;
use crate::format::derived::HEAD;
use crate::format::loudness::{Counted, LOUDNESS, Layout, RECORD, minute};
use crate::reader::TapeReader;
use crate::recording::Recording;
use livetape_audio::loudness::GatingBlocks;
use livetape_audio::{Frame, FrameCount};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Audio that is read at a time, in bytes.
const PIECE: u64 = 64 * 1024;
/// Records at the end of a file that are looked at for one that proves itself, before all are made again.
const LOOK_BACK: u64 = 64;
/// How much of the minute that grows has to be new before its record is written again.
const FRESH: Duration = Duration::from_secs(1);

/// Writes the loudness of one recording. At most one may exist for each.
pub struct LoudnessWriter {
    disk: Disk,
    path: PathBuf,
    recording: Arc<Recording>,
    layout: Layout,
    reader: TapeReader,
    blocks: GatingBlocks,
    /// The record that is next, and what it will say; its end is how far the audio was heard, from where blocks count.
    record: u64,
    counted: Counted,
    /// Up to where the file tells.
    written: Frame,
}

impl LoudnessWriter {
    /// Goes on after the last whole minute that is there, of which only frames before `end` count. Reads one record, not
    /// the audio.
    ///
    /// # Errors
    /// [`StoreError::ReadOnly`], and what the file system refuses.
    pub fn open(dir: &DataDir, recording: Arc<Recording>, end: Frame) -> Result<Self, StoreError> {
        dir.writable()?;
        let layout = Layout::new(&recording);
        let path = dir.folder(&recording).join(LOUDNESS);
        let (record, counted) = match file(dir.disk(), &path, &layout)? {
            Some(file) => last_whole(&file, &layout, end.get() / minute(recording.spec).get())?,
            None => Default::default(),
        };
        let before = counted.end.since(Frame::ZERO).get();
        let warm_up = recording.spec.frames(GatingBlocks::WARM_UP).get();
        Ok(Self {
            disk: dir.disk().clone(),
            reader: TapeReader::shared(dir, recording.clone()),
            blocks: GatingBlocks::new(recording.spec, Frame::new(before.saturating_sub(warm_up))),
            written: counted.end,
            path,
            recording,
            layout,
            record,
            counted,
        })
    }

    /// Whether all of a finished recording is measured, as far as the last record says.
    pub fn is_complete(dir: &DataDir, recording: &Recording) -> bool {
        let Some(end) = recording.seal.map(|seal| seal.end) else { return false };
        let Some(last) = end.get().div_ceil(minute(recording.spec).get()).checked_sub(1) else { return true };
        let layout = Layout::new(recording);
        let file = file(dir.disk(), &dir.folder(recording).join(LOUDNESS), &layout);
        let told = file.and_then(|file| file.map_or(Ok(None), |file| read(&file, &layout, last)));
        told.is_ok_and(|told| told.is_some_and(|told| told.end == end))
    }

    /// How far it is measured.
    pub const fn end(&self) -> Frame {
        self.counted.end
    }

    /// Goes on to `to`, which is durable, but reads only so many bytes of audio, and a little more after it was opened.
    ///
    /// # Errors
    /// [`StoreError::is_missing`] when the recording was deleted, [`StoreError::Full`], and what the file system refuses.
    /// Open it anew then.
    pub fn advance(&mut self, to: Frame, most_bytes: u64) -> Result<Frame, StoreError> {
        let spec = self.recording.spec;
        let whole = |bytes: u64| FrameCount::new(spec.frames_in(bytes).0.get().max(1));
        let to = to.min(self.counted.end + whole(most_bytes));
        while self.blocks.at() < to {
            let at = self.blocks.at();
            // A record is written when its minute is over.
            let stop = if at < self.counted.end { self.counted.end } else { self.minute_ends() };
            let audio = self.reader.read(at..to.min(stop).min(at + whole(PIECE)))?;
            let from = self.counted.end;
            let counted = &mut self.counted;
            self.blocks.hear(&audio, |end, lufs| {
                if end > from {
                    counted.blocks.count(lufs);
                }
            });
            self.counted.end = self.blocks.at().max(from);
            if self.counted.end == self.minute_ends() {
                self.write()?;
                self.record += 1;
            }
        }
        let is_over = self.recording.seal.is_some_and(|seal| seal.end == self.counted.end);
        if self.counted.end > self.written && (is_over || self.counted.end >= self.written + spec.frames(FRESH)) {
            self.write()?;
        }
        Ok(self.counted.end)
    }

    /// Where the minute ends that the next record is of.
    fn minute_ends(&self) -> Frame {
        Frame::new((self.record + 1) * minute(self.recording.spec).get())
    }

    fn write(&mut self) -> Result<(), StoreError> {
        let file = match file(&self.disk, &self.path, &self.layout)? {
            Some(_) => self.disk.open_rw(&self.path)?,
            None => {
                let file = self.disk.create(&self.path)?;
                file.write_all_at(&self.layout.head, 0)?;
                file
            }
        };
        file.write_all_at(&self.layout.encode(self.record, &self.counted), Layout::offset(self.record))?;
        self.written = self.counted.end;
        Ok(())
    }

    /// Forgets all, so that it is measured anew.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn discard(self, dir: &DataDir) -> Result<Self, StoreError> {
        match self.disk.remove_file(&self.path) {
            Err(error) if !error.is_missing() => Err(error),
            _ => Self::open(dir, self.recording, Frame::ZERO),
        }
    }
}

/// The file, if it is there and this recording's.
pub(crate) fn file(disk: &Disk, path: &std::path::Path, layout: &Layout) -> Result<Option<DiskFile>, StoreError> {
    let file = match disk.open(path) {
        Ok(file) => file,
        Err(error) if error.is_missing() => return Ok(None),
        Err(error) => return Err(error),
    };
    let mut head = [0; HEAD];
    Ok((file.read_at(&mut head, 0)? == HEAD && head == layout.head).then_some(file))
}

/// A record, if it is there and proves itself.
pub(crate) fn read(file: &DiskFile, layout: &Layout, record: u64) -> Result<Option<Counted>, StoreError> {
    let mut bytes = [0; RECORD];
    let read = file.read_at(&mut bytes, Layout::offset(record))?;
    Ok(layout.decode(record, bytes.get(..read).unwrap_or_default()))
}

/// What the last whole minute says, and the record after it: one of the first `limit`.
fn last_whole(file: &DiskFile, layout: &Layout, limit: u64) -> Result<(u64, Counted), StoreError> {
    let there = Layout::records(file.len()?).min(limit);
    for record in (there.saturating_sub(LOOK_BACK)..there).rev() {
        if let Some(counted) = read(file, layout, record)? {
            return Ok((record + 1, counted));
        }
    }
    Ok(Default::default())
}

//! Reading frames below the tail, with positioned reads. Knows nothing of the writer and does not disturb it.

use crate::data_dir::DataDir;
use crate::disk::{Disk, DiskFile};
use crate::error::StoreError;
use crate::format::Part;
use crate::recording::Recording;
use crate::segment::path;
use bytes::Bytes;
use livetape_audio::Frame;
use std::ops::Range;
use std::path::PathBuf;

/// Reads one recording. One for each listener: it keeps the segment open that it read last, and what it has open can
/// be read to its end even if the recording is deleted.
#[derive(Debug)]
pub struct TapeReader {
    disk: Disk,
    folder: PathBuf,
    recording: Recording,
    open: Option<(Frame, DiskFile)>,
}

impl TapeReader {
    /// A reader of `recording`. Opens nothing yet.
    pub fn open(dir: &DataDir, recording: &Recording) -> Self {
        Self { disk: dir.disk().clone(), folder: dir.folder(recording), recording: recording.clone(), open: None }
    }

    /// The asked frames up to the end of the segment that holds the first one: at least one frame, unless none is
    /// asked for. Call again for what is missing. The caller never asks past the tail and decides how much it holds
    /// in memory at a time.
    ///
    /// # Errors
    /// [`StoreError::is_missing`] when the recording was deleted, [`StoreError::Damaged`] when the frames are not
    /// there although they should be, and what the file system refuses.
    pub fn read(&mut self, frames: Range<Frame>) -> Result<Bytes, StoreError> {
        if frames.is_empty() {
            return Ok(Bytes::new());
        }
        let first = self.recording.segment_of(frames.start);
        let end = frames.end.min(first + self.recording.segment_frames);
        let offset = self.recording.offset(frames.start);
        let bytes = self.recording.spec.bytes(end.since(frames.start));
        let file = match self.open.take() {
            Some((segment, file)) if segment == first => file,
            _ => self.disk.open(&path(&self.folder, first, Part::Audio))?,
        };
        let (_, file) = self.open.insert((first, file));
        // Before memory is asked for: nobody gets more than the file has.
        let len = file.len()?;
        if offset.saturating_add(bytes) > len {
            let what = format!("it ends after {len} bytes, before frame {end} of the recording");
            return Err(StoreError::damaged(file.path(), what));
        }
        let mut buf = vec![0; usize::try_from(bytes).unwrap_or(usize::MAX)];
        let filled = file.read_at(&mut buf, offset)?;
        if filled < buf.len() {
            return Err(StoreError::damaged(file.path(), "it became shorter while it was read"));
        }
        Ok(buf.into())
    }
}

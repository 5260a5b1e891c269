//! Reading frames below the tail, with positioned reads. Knows nothing of the writer and does not disturb it.
//!
//! Where frames lie is found first ([`TapeReader::find`]); what is found can then be read, or handed to a socket as it
//! lies ([`Stored`]). Both can be tried without waiting for the disk, for those who have others to serve meanwhile.

use crate::data_dir::DataDir;
use crate::disk::{Disk, DiskFile};
use crate::error::StoreError;
use crate::format::Part;
use crate::pool::Block;
use crate::recording::Recording;
use crate::segment::path;
use bytes::Bytes;
use livetape_audio::Frame;
use std::io;
use std::ops::Range;
use std::os::fd::AsFd;
use std::path::PathBuf;
use std::sync::Arc;

/// The kernel reads so much at a time: where the end of it is in memory, the rest mostly is.
const READ_AHEAD: usize = 128 * 1024;

/// Reads one recording. One for each listener: it keeps the segment open that it read last, and what it has open can
/// be read to its end even if the recording is deleted.
#[derive(Debug)]
pub struct TapeReader {
    disk: Disk,
    folder: PathBuf,
    recording: Arc<Recording>,
    open: Option<Open>,
}

/// The segment that was read last.
#[derive(Debug)]
struct Open {
    first: Frame,
    file: Arc<DiskFile>,
    /// Bytes that it has at least: what lies below the tail is never cut.
    len: u64,
}

/// Bytes of recorded audio where they lie. They can be read to the end even if the recording is deleted.
#[derive(Clone, Debug)]
pub struct Stored {
    file: Arc<DiskFile>,
    offset: u64,
    len: usize,
}

impl TapeReader {
    /// A reader of `recording`. Opens nothing yet.
    pub fn open(dir: &DataDir, recording: &Recording) -> Self {
        Self::shared(dir, Arc::new(recording.clone()))
    }

    /// [`TapeReader::open`], for one of many.
    pub fn shared(dir: &DataDir, recording: Arc<Recording>) -> Self {
        Self { disk: dir.disk().clone(), folder: dir.folder(&recording), recording, open: None }
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
        self.find(frames)?.read()
    }

    /// Where the frames lie that [`TapeReader::read`] would read. At least one has to be asked for.
    ///
    /// # Errors
    /// As [`TapeReader::read`].
    pub fn find(&mut self, frames: Range<Frame>) -> Result<Stored, StoreError> {
        let first = self.recording.segment_of(frames.start);
        let open = match self.open.take() {
            Some(open) if open.first == first => open,
            _ => Open { first, file: Arc::new(self.disk.open(&path(&self.folder, first, Part::Audio))?), len: 0 },
        };
        let open = self.open.insert(open);
        let end = frames.end.min(first + self.recording.segment_frames);
        let offset = self.recording.offset(frames.start);
        let bytes = self.recording.spec.bytes(end.since(frames.start));
        // Before memory is asked for: nobody gets more than the file has.
        if offset.saturating_add(bytes) > open.len {
            open.len = open.file.len()?;
        }
        if offset.saturating_add(bytes) > open.len {
            let what = format!("it ends after {} bytes, before frame {end} of the recording", open.len);
            return Err(StoreError::damaged(open.file.path(), what));
        }
        Ok(Stored { file: Arc::clone(&open.file), offset, len: usize::try_from(bytes).unwrap_or(usize::MAX) })
    }

    /// [`TapeReader::find`], if that does not take the disk. `None` is no error.
    ///
    /// # Errors
    /// As [`TapeReader::read`].
    pub fn find_now(&mut self, frames: Range<Frame>) -> Result<Option<Stored>, StoreError> {
        let first = self.recording.segment_of(frames.start);
        if self.open.as_ref().is_none_or(|open| open.first != first) {
            let Some(file) = self.disk.open_now(&path(&self.folder, first, Part::Audio))? else { return Ok(None) };
            self.open = Some(Open { first, file: Arc::new(file), len: 0 });
        }
        self.find(frames).map(Some)
    }
}

impl Stored {
    /// How many bytes.
    pub const fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Some of them; what is not there is left out.
    #[must_use]
    pub fn slice(&self, range: Range<usize>) -> Self {
        let start = range.start.min(self.len);
        let len = range.end.min(self.len).saturating_sub(start);
        Self { file: Arc::clone(&self.file), offset: self.offset.saturating_add(start as u64), len }
    }

    /// Reads them.
    ///
    /// # Errors
    /// [`StoreError::Damaged`], and what the file system refuses.
    pub fn read(&self) -> Result<Bytes, StoreError> {
        let mut block = Block::new(self.len);
        if self.file.read_at(block.room(), self.offset)? < self.len {
            return Err(StoreError::damaged(self.file.path(), "it became shorter while it was read"));
        }
        Ok(block.filled())
    }

    /// Reads them, if that does not take the disk. `None` is no error.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn read_now(&self) -> Result<Option<Bytes>, StoreError> {
        let mut block = Block::new(self.len);
        Ok(self.file.read_now(block.room(), self.offset)?.then(|| block.filled()))
    }

    /// Whether [`Stored::send`] will hardly have to wait for the disk, as far as one byte of each piece says that the kernel reads
    /// at a time.
    pub fn is_at_hand(&self) -> bool {
        let last = self.len.saturating_sub(1);
        let is_here = |at: usize| self.file.read_now(&mut [0], self.offset.saturating_add(at as u64)).unwrap_or(false);
        // The end first: of what was not read at all that is missing, too.
        is_here(last) && (0..last).step_by(READ_AHEAD).skip(usize::from(last < READ_AHEAD)).all(is_here)
    }

    /// Hands some of the bytes from the `from`th on to a socket, without copying them, and says how many.
    ///
    /// # Errors
    /// What the socket and the file system refuse; [`io::ErrorKind::WouldBlock`] when the socket takes none now.
    pub fn send(&self, socket: &impl AsFd, from: usize) -> io::Result<usize> {
        let rest = self.slice(from..self.len);
        self.file.send(socket.as_fd(), rest.offset, rest.len)
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use rustix::fs::{Advice, fadvise};
    use std::num::NonZeroU64;

    #[test]
    fn what_is_missing_in_the_middle_is_not_at_hand() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("audio");
        std::fs::write(&path, vec![1; 8 * READ_AHEAD]).unwrap();
        let file = std::fs::File::open(&path).unwrap();
        file.sync_all().unwrap();
        let disk_file = Arc::new(Disk::default().open(&path).unwrap());
        let stored = Stored { file: Arc::clone(&disk_file), offset: 0, len: 8 * READ_AHEAD };
        stored.read().unwrap();
        assert!(stored.is_at_hand() && stored.slice(5..10).is_at_hand());
        fadvise(&file, 3 * READ_AHEAD as u64, NonZeroU64::new(2 * READ_AHEAD as u64), Advice::DontNeed).unwrap();
        // A file system in memory keeps it.
        let is_kept = disk_file.read_now(&mut [0], 4 * READ_AHEAD as u64).unwrap();
        assert_eq!(stored.is_at_hand(), is_kept);
        assert!(stored.slice(0..2 * READ_AHEAD).is_at_hand());
    }
}

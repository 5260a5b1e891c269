//! One call that makes everything durable that was written on a file system, instead of one for each file.
//!
//! For many open recordings that is one commit of the journal and one flush of the disk instead of hundreds. It is only
//! offered where it is known to do as much as a sync of each file does: on ext4, which flushes the disk's cache at its end, and
//! from Linux 5.8 on, which tells of writes that failed. It also writes what other programs have left unwritten on the
//! same file system; whether it pays is for the caller to find out.

use crate::data_dir::DataDir;
use crate::disk::DiskFile;
use crate::error::StoreError;

/// A file system that can be flushed.
#[derive(Debug)]
pub struct Flush {
    /// Held open from the beginning, so that no failed write before a flush goes unseen.
    folder: DiskFile,
    device: u64,
}

/// The proof of a flush: what was written before on this file system is durable.
#[derive(Clone, Copy, Debug)]
pub struct Flushed {
    device: u64,
}

impl Flush {
    /// The file system of a data folder; `None` where a flush would not do as much as syncs do.
    ///
    /// # Errors
    /// If the folder cannot be opened.
    pub fn of(dir: &DataDir) -> Result<Option<Self>, StoreError> {
        let folder = dir.disk().open(dir.path())?;
        let device = folder.device()?;
        Ok(folder.flushes_all().then_some(Self { folder, device }))
    }

    /// Makes everything durable.
    ///
    /// # Errors
    /// What the file system refuses; of which file that was, a sync of each tells.
    pub fn all(&self) -> Result<Flushed, StoreError> {
        self.folder.flush_all()?;
        Ok(Flushed { device: self.device })
    }
}

impl Flushed {
    /// Whether the files of this file system were among what was flushed.
    pub(crate) fn covers(self, device: u64) -> bool {
        self.device == device
    }
}

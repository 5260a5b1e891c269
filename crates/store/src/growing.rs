//! A file that is written at its end. Space is reserved ahead in steps, for a sync of reserved space costs a tenth.
//!
//! Its length in the file system therefore says nothing; what is in use is counted here.

use crate::disk::{Disk, DiskFile};
use crate::error::StoreError;
use std::path::Path;

#[derive(Debug)]
pub(crate) struct Growing {
    file: DiskFile,
    /// Bytes in use.
    used: u64,
    /// Length of the file.
    reserved: u64,
    /// How much is reserved at a time; nothing, where the file system cannot.
    step: u64,
    /// The file never gets longer than this.
    most: u64,
    dirty: bool,
}

impl Growing {
    /// A new, empty file. Its folder has to be synced.
    pub(crate) fn create(disk: &Disk, path: &Path, step: u64, most: u64) -> Result<Self, StoreError> {
        let file = disk.create(path)?;
        Ok(Self { file, used: 0, reserved: 0, step, most, dirty: false })
    }

    /// A file of which the first `used` bytes are good: cuts what follows, durably. A file that is not there is made.
    pub(crate) fn resume(disk: &Disk, path: &Path, used: u64, step: u64, most: u64) -> Result<Self, StoreError> {
        let file = disk.open_rw(path)?;
        let mut file = Self { file, used, reserved: 0, step, most, dirty: true };
        file.cut()?;
        Ok(file)
    }

    pub(crate) fn used(&self) -> u64 {
        self.used
    }

    pub(crate) fn file(&self) -> &DiskFile {
        &self.file
    }

    /// Writes at the end. After an error the bytes there are unknown, but [`Growing::used`] has not moved.
    pub(crate) fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let end = self.used.saturating_add(bytes.len() as u64);
        if self.step > 0 && end > self.reserved {
            let to = self.reserved.saturating_add(self.step).min(self.most).max(end);
            match self.file.allocate(self.reserved, to) {
                Ok(()) => self.reserved = to,
                // Not possible here, or no room for so much: what is needed now may still fit.
                Err(_) => self.step = 0,
            }
        }
        self.dirty = true;
        self.file.write_all_at(bytes, self.used)?;
        self.used = end;
        self.reserved = self.reserved.max(end);
        Ok(())
    }

    /// Makes all that was appended durable.
    pub(crate) fn sync(&mut self) -> Result<(), StoreError> {
        if self.dirty {
            self.file.sync_data()?;
            self.dirty = false;
        }
        Ok(())
    }

    /// Gives back reserved space: the file is as long as its content, durably.
    pub(crate) fn cut(&mut self) -> Result<(), StoreError> {
        let len = self.file.len()?;
        if len != self.used {
            self.dirty = true;
            self.file.set_len(self.used)?;
        }
        if self.dirty {
            self.file.sync_all()?;
        }
        self.reserved = self.used;
        self.dirty = false;
        Ok(())
    }
}

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
    /// No more is reserved before the file is in use so far.
    next: u64,
    /// The file never gets longer than this.
    most: u64,
    dirty: bool,
}

impl Growing {
    /// A new, empty file. Its folder has to be synced.
    pub(crate) fn create(disk: &Disk, path: &Path, step: u64, most: u64) -> Result<Self, StoreError> {
        let file = disk.create(path)?;
        Ok(Self { file, used: 0, reserved: 0, step, next: 0, most, dirty: false })
    }

    /// A file of which the first `used` bytes are good: cuts what follows, durably. A file that is not there is made.
    pub(crate) fn resume(disk: &Disk, path: &Path, used: u64, step: u64, most: u64) -> Result<Self, StoreError> {
        let file = disk.open_rw(path)?;
        let mut file = Self { file, used, reserved: 0, step, next: 0, most, dirty: true };
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
        if self.step > 0 && end > self.reserved && end >= self.next {
            self.reserve(end);
        }
        self.dirty = true;
        self.file.write_all_at(bytes, self.used)?;
        self.used = end;
        self.reserved = self.reserved.max(end);
        Ok(())
    }

    /// Reserves a step, if possible. If not, what is needed now may still fit.
    fn reserve(&mut self, end: u64) {
        let to = self.reserved.saturating_add(self.step).min(self.most).max(end);
        match self.file.allocate(self.reserved, to) {
            Ok(()) => self.reserved = to,
            Err(e) if e.is_unsupported() => self.step = 0,
            // No room for so much, or interrupted: that passes.
            Err(_) => self.next = end.saturating_add(self.step),
        }
    }

    /// Makes all that was appended durable.
    pub(crate) fn sync(&mut self) -> Result<(), StoreError> {
        if self.dirty {
            self.file.sync_data()?;
            self.dirty = false;
        }
        Ok(())
    }

    /// All that was appended is durable.
    pub(crate) const fn settled(&mut self) {
        self.dirty = false;
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::{Faults, Op};
    use std::io;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering::Relaxed};

    /// Refuses to reserve with this error number, and counts how often it was asked.
    #[derive(Default)]
    struct Refuses(AtomicI32, AtomicUsize);

    impl Faults for Refuses {
        fn check(&self, op: Op, _: &Path) -> io::Result<()> {
            if op != Op::Allocate {
                return Ok(());
            }
            self.1.fetch_add(1, Relaxed);
            match self.0.load(Relaxed) {
                0 => Ok(()),
                errno => Err(io::Error::from_raw_os_error(errno)),
            }
        }
    }

    /// How often it is tried to reserve while 12 pieces of half a step are written, of which the first is refused.
    fn attempts(errno: i32) -> usize {
        let folder = tempfile::tempdir().unwrap();
        let refuses = Arc::new(Refuses::default());
        refuses.0.store(errno, Relaxed);
        let disk = Disk::with_faults(refuses.clone());
        let path = folder.path().join("file");
        let mut file = Growing::create(&disk, &path, 1_000, u64::MAX).unwrap();
        for n in 0..12 {
            file.append(&[n; 500]).unwrap();
            refuses.0.store(0, Relaxed);
        }
        file.cut().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), (0..12).flat_map(|n| [n; 500]).collect::<Vec<u8>>());
        refuses.1.load(Relaxed)
    }

    #[test]
    fn what_failed_once_is_tried_again() {
        let (enospc, eintr, eopnotsupp, enosys) = (28, 4, 95, 38);
        assert_eq!(attempts(0), 6);
        assert_eq!((attempts(enospc), attempts(eintr)), (6, 6), "the first, and again a step later");
        assert_eq!((attempts(eopnotsupp), attempts(enosys)), (1, 1), "a file system that cannot will never");
    }
}

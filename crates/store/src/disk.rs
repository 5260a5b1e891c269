//! Every operation on the file system goes through here, so that tests can make each one fail by name and place.
//!
//! Not here: what the bytes mean, and when to sync.

mod all;
mod now;

use crate::error::StoreError;
use std::fmt;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// An operation that can fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    /// Opening a file that exists, for reading or writing.
    Open,
    /// Making a file or a folder.
    Create,
    /// Listing a folder.
    List,
    /// Reading from a file.
    Read,
    /// Writing to a file.
    Write,
    /// Making a file or a folder's entries durable.
    Sync,
    /// Reserving space.
    Allocate,
    /// Changing a file's length.
    Truncate,
    /// Renaming a file.
    Rename,
    /// Removing a file or an empty folder.
    Remove,
}

impl Op {
    /// Every operation.
    pub const ALL: [Self; 10] = [
        Self::Open,
        Self::Create,
        Self::List,
        Self::Read,
        Self::Write,
        Self::Sync,
        Self::Allocate,
        Self::Truncate,
        Self::Rename,
        Self::Remove,
    ];

    const fn verb(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Create => "create",
            Self::List => "list",
            Self::Read => "read",
            Self::Write => "write",
            Self::Sync => "sync",
            Self::Allocate => "allocate space for",
            Self::Truncate => "change the length of",
            Self::Rename => "rename",
            Self::Remove => "remove",
        }
    }
}

/// Decides which operations fail. Asked before each one; an error stands in for the operation.
pub trait Faults: Send + Sync {
    /// Whether `op` on `path` may go on.
    ///
    /// # Errors
    /// What the operation is to fail with.
    fn check(&self, op: Op, path: &Path) -> io::Result<()>;
}

/// The file system.
#[derive(Clone, Default)]
pub struct Disk {
    faults: Option<Arc<dyn Faults>>,
}

impl fmt::Debug for Disk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.faults.is_some() { "Disk(with faults)" } else { "Disk" })
    }
}

impl Disk {
    /// The real file system, with operations that fail when `faults` says so.
    pub fn with_faults(faults: Arc<dyn Faults>) -> Self {
        Self { faults: Some(faults) }
    }

    fn run<T>(&self, op: Op, path: &Path, f: impl FnOnce() -> io::Result<T>) -> Result<T, StoreError> {
        let result = self.faults.as_ref().map_or(Ok(()), |faults| faults.check(op, path)).and_then(|()| f());
        result.map_err(|source| StoreError::io(op.verb(), path, source))
    }

    fn file(&self, op: Op, path: &Path, options: &OpenOptions) -> Result<DiskFile, StoreError> {
        let file = self.run(op, path, || options.open(path))?;
        Ok(DiskFile { file, path: path.to_owned(), disk: self.clone() })
    }

    /// A file that exists, for reading.
    pub(crate) fn open(&self, path: &Path) -> Result<DiskFile, StoreError> {
        self.file(Op::Open, path, OpenOptions::new().read(true))
    }

    /// A file that exists or is made, for reading and writing.
    pub(crate) fn open_rw(&self, path: &Path) -> Result<DiskFile, StoreError> {
        self.file(Op::Open, path, OpenOptions::new().read(true).write(true).create(true).truncate(false))
    }

    /// A new, empty file; what had this name is gone.
    pub(crate) fn create(&self, path: &Path) -> Result<DiskFile, StoreError> {
        self.file(Op::Create, path, OpenOptions::new().read(true).write(true).create(true).truncate(true))
    }

    /// A new folder. Fails if it exists.
    pub(crate) fn create_dir(&self, path: &Path) -> Result<(), StoreError> {
        self.run(Op::Create, path, || fs::create_dir(path))
    }

    /// A folder and those above it, unless they exist. All that were made are durable.
    pub(crate) fn create_dirs(&self, path: &Path) -> Result<(), StoreError> {
        if path.is_dir() {
            return Ok(());
        }
        let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        self.create_dirs(parent)?;
        match self.create_dir(path) {
            Ok(()) => self.sync_dir(parent),
            Err(_) if path.is_dir() => Ok(()),
            Err(e) => Err(e),
        }
    }

    /// Names in a folder that are valid UTF-8, in no order; nothing of ours has another.
    pub(crate) fn list(&self, path: &Path) -> Result<Vec<String>, StoreError> {
        self.run(Op::List, path, || {
            let mut names = Vec::new();
            for entry in fs::read_dir(path)? {
                names.extend(entry?.file_name().into_string());
            }
            Ok(names)
        })
    }

    /// Makes the entries of a folder durable.
    pub(crate) fn sync_dir(&self, path: &Path) -> Result<(), StoreError> {
        self.run(Op::Sync, path, || File::open(path)?.sync_all())
    }

    pub(crate) fn rename(&self, from: &Path, to: &Path) -> Result<(), StoreError> {
        self.run(Op::Rename, from, || fs::rename(from, to))
    }

    pub(crate) fn remove_file(&self, path: &Path) -> Result<(), StoreError> {
        self.run(Op::Remove, path, || fs::remove_file(path))
    }

    pub(crate) fn remove_dir(&self, path: &Path) -> Result<(), StoreError> {
        self.run(Op::Remove, path, || fs::remove_dir(path))
    }

    /// How much room the file system of `path` has.
    pub(crate) fn space(&self, path: &Path) -> Result<Space, StoreError> {
        self.run(Op::Read, path, || {
            let stat = rustix::fs::statvfs(path)?;
            let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
            Ok(Space { free: bytes(stat.f_bavail), size: bytes(stat.f_blocks) })
        })
    }

    /// Replaces a file's content so that at every moment, power cuts included, it has the old or the new one.
    pub(crate) fn replace(&self, path: &Path, content: &[u8]) -> Result<(), StoreError> {
        let mut temporary = path.as_os_str().to_owned();
        temporary.push(".new");
        let temporary = PathBuf::from(temporary);
        let written = self.create(&temporary).and_then(|file| {
            file.write_all_at(content, 0)?;
            file.sync_all()?;
            self.rename(&temporary, path)
        });
        if written.is_err() {
            // Best effort: the next attempt overwrites it.
            let _ = self.remove_file(&temporary);
        }
        written?;
        path.parent().map_or(Ok(()), |folder| self.sync_dir(folder))
    }

    /// The whole of a file of at most `most` bytes.
    pub(crate) fn read_all(&self, path: &Path, most: u64) -> Result<Vec<u8>, StoreError> {
        self.open(path)?.read_all(most)
    }
}

/// Room on a file system, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    /// What an ordinary user may still write.
    pub free: u64,
    /// All of it.
    pub size: u64,
}

/// An open file. Only positioned reads and writes, so that one handle can do both.
#[derive(Debug)]
pub(crate) struct DiskFile {
    file: File,
    path: PathBuf,
    disk: Disk,
}

impl DiskFile {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The bare file, for its lock.
    pub(crate) fn into_file(self) -> File {
        self.file
    }

    fn run<T>(&self, op: Op, f: impl FnOnce() -> io::Result<T>) -> Result<T, StoreError> {
        self.disk.run(op, &self.path, f)
    }

    pub(crate) fn len(&self) -> Result<u64, StoreError> {
        self.run(Op::Read, || Ok(self.file.metadata()?.len()))
    }

    /// Fills `buf` from `offset` on; fewer bytes only where the file ends.
    pub(crate) fn read_at(&self, buf: &mut [u8], offset: u64) -> Result<usize, StoreError> {
        self.run(Op::Read, || {
            let mut filled = 0;
            while let Some(rest) = buf.get_mut(filled..).filter(|rest| !rest.is_empty()) {
                match self.file.read_at(rest, offset.saturating_add(filled as u64)) {
                    Ok(0) => break,
                    Ok(n) => filled += n,
                    Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                    Err(e) => return Err(e),
                }
            }
            Ok(filled)
        })
    }

    /// Everything, if that is at most `most` bytes.
    pub(crate) fn read_all(&self, most: u64) -> Result<Vec<u8>, StoreError> {
        let len = self.len()?;
        if len > most {
            let what = format!("it has {len} bytes, more than the {most} that it can have");
            return Err(StoreError::damaged(&self.path, what));
        }
        let mut bytes = vec![0; usize::try_from(len).unwrap_or(usize::MAX)];
        let filled = self.read_at(&mut bytes, 0)?;
        bytes.truncate(filled);
        Ok(bytes)
    }

    pub(crate) fn write_all_at(&self, bytes: &[u8], offset: u64) -> Result<(), StoreError> {
        self.run(Op::Write, || self.file.write_all_at(bytes, offset))
    }

    /// Makes the content durable, and of the rest what is needed to read it.
    pub(crate) fn sync_data(&self) -> Result<(), StoreError> {
        self.run(Op::Sync, || self.file.sync_data())
    }

    pub(crate) fn sync_all(&self) -> Result<(), StoreError> {
        self.run(Op::Sync, || self.file.sync_all())
    }

    pub(crate) fn set_len(&self, len: u64) -> Result<(), StoreError> {
        self.run(Op::Truncate, || self.file.set_len(len))
    }

    /// Reserves space, zero-filled, so that the file is `to` bytes long. Not every file system can.
    pub(crate) fn allocate(&self, from: u64, to: u64) -> Result<(), StoreError> {
        self.run(Op::Allocate, || allocate(&self.file, from, to))
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn allocate(file: &File, from: u64, to: u64) -> io::Result<()> {
    use rustix::fs::{FallocateFlags, fallocate};
    Ok(fallocate(file, FallocateFlags::empty(), from, to.saturating_sub(from))?)
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn allocate(_file: &File, _from: u64, _to: u64) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

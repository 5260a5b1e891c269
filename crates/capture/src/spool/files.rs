//! A spool's folder and its files, by their numbers.

use super::SpoolError;
use super::format::Foreign;
use super::records::Records;
use crate::uplink::Place;
use livetape_audio::StreamName;
use std::fmt;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

const EXTENSION: &str = "spool";

/// One file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub(super) file: u64,
    /// All audio in it is at this place or later.
    pub(super) first: Place,
    /// How much of it counts.
    pub(super) bytes: u64,
}

/// The folder of one stream, locked for as long as this lives.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    _lock: File,
    /// For tests: so many bytes still fit on the disk.
    #[cfg(test)]
    pub(crate) room: Option<std::sync::Arc<std::sync::atomic::AtomicU64>>,
}

impl fmt::Display for Folder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.path.display().fmt(f)
    }
}

fn io_error(what: &'static str, path: &Path) -> impl FnOnce(io::Error) -> SpoolError {
    let path = path.to_owned();
    move |error| SpoolError::Io { what, path, error }
}

impl Folder {
    /// The folder of a stream, made if it does not exist.
    ///
    /// # Errors
    /// If another process has it, or it cannot be made.
    pub(crate) fn lock(dir: &Path, stream: &StreamName) -> Result<Self, SpoolError> {
        let path = dir.join(stream.as_str());
        fs::create_dir_all(&path).map_err(io_error("make", &path))?;
        let name = path.join("LOCK");
        let lock = OpenOptions::new().write(true).create(true).truncate(false).open(&name);
        let lock = lock.map_err(io_error("open", &name))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self {
                path,
                _lock: lock,
                #[cfg(test)]
                room: None,
            }),
            Err(TryLockError::WouldBlock) => Err(SpoolError::Locked(path)),
            Err(TryLockError::Error(error)) => Err(io_error("lock", &name)(error)),
        }
    }

    fn name(&self, file: u64) -> PathBuf {
        self.path.join(format!("{file:020}.{EXTENSION}"))
    }

    /// The numbers of all files, in rising order.
    pub(super) fn list(&self) -> Result<Vec<u64>, SpoolError> {
        let mut files = Vec::new();
        let wrong = || io_error("list", &self.path);
        for entry in fs::read_dir(&self.path).map_err(wrong())? {
            let name = entry.map_err(wrong())?.file_name();
            let number = name.to_str().and_then(|name| name.strip_suffix(EXTENSION)?.strip_suffix('.'));
            let digits = number.filter(|number| number.len() == 20 && number.bytes().all(|b| b.is_ascii_digit()));
            files.extend(digits.and_then(|digits| digits.parse::<u64>().ok()));
        }
        files.sort_unstable();
        Ok(files)
    }

    /// A file for reading, and its length. Only a regular file is opened: another kind might block for ever.
    pub(super) fn read(&self, file: u64) -> io::Result<Result<Records, Foreign>> {
        let name = self.name(file);
        if !fs::symlink_metadata(&name)?.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        Records::open(File::open(&name)?)
    }

    pub(super) fn length(&self, file: u64) -> io::Result<u64> {
        fs::symlink_metadata(self.name(file)).map(|data| data.len())
    }

    /// A new file that holds `bytes`.
    pub(super) fn create(&self, file: u64, seed: u32, bytes: &[u8]) -> Result<SpoolFile, SpoolError> {
        let path = self.name(file);
        let made = OpenOptions::new().write(true).create_new(true).open(&path).map_err(io_error("make", &path))?;
        let new = self.file(path, made, seed);
        if let Err(error) = new.write(bytes, 0) {
            // What is there is of no use to anyone; if it stays, the next start sets it aside.
            let _ = fs::remove_file(&new.path);
            return Err(error);
        }
        Ok(new)
    }

    /// A file that was found, for appending; what does not count is cut. `None` if that does not work: then a new one
    /// is begun.
    pub(super) fn reopen(&self, segment: &Segment) -> Option<SpoolFile> {
        let path = self.name(segment.file);
        let records = self.read(segment.file).ok()?.ok()?;
        let file = OpenOptions::new().write(true).open(&path).ok()?;
        file.set_len(segment.bytes).ok()?;
        Some(self.file(path, file, records.head().seed))
    }

    fn file(&self, path: PathBuf, file: File, seed: u32) -> SpoolFile {
        SpoolFile {
            path,
            file,
            seed,
            #[cfg(test)]
            room: self.room.clone(),
        }
    }

    pub(super) fn remove(&self, file: u64) -> Result<(), SpoolError> {
        let path = self.name(file);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("remove", &path)(error)),
            _ => Ok(()),
        }
    }

    /// Gives a file a name under which nobody looks for it. Never overwrites another.
    pub(super) fn set_aside(&self, file: u64, why: &str) -> Result<(), SpoolError> {
        let from = self.name(file);
        let free = (0..1_000_u32).map(|n| self.path.join(format!("{file:020}.set-aside-{n}")));
        let to = free.into_iter().find(|to| fs::symlink_metadata(to).is_err());
        let to = to.ok_or_else(|| io_error("set aside", &from)(io::Error::other("there are a thousand already")))?;
        fs::rename(&from, &to).map_err(io_error("set aside", &from))?;
        tracing::error!("spool file {}: {why}; set aside as {}", from.display(), to.display());
        Ok(())
    }
}

/// A file that is appended to.
#[derive(Debug)]
pub(super) struct SpoolFile {
    path: PathBuf,
    file: File,
    pub(super) seed: u32,
    #[cfg(test)]
    room: Option<std::sync::Arc<std::sync::atomic::AtomicU64>>,
}

impl SpoolFile {
    /// Writes at the end, which the caller knows: what a failed write leaves there is written over.
    pub(super) fn write(&self, bytes: &[u8], at: u64) -> Result<(), SpoolError> {
        self.write_all(bytes, at).map_err(|error| {
            let _ = self.file.set_len(at);
            io_error("write", &self.path)(error)
        })
    }

    #[cfg(not(test))]
    fn write_all(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        self.file.write_all_at(bytes, at)
    }

    /// On a disk that may be full, after which as much as fits is there.
    #[cfg(test)]
    fn write_all(&self, bytes: &[u8], at: u64) -> io::Result<()> {
        use std::sync::atomic::Ordering::SeqCst;
        let room = self.room.as_ref().map_or(u64::MAX, |room| room.load(SeqCst));
        let fits = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
        self.file.write_all_at(bytes.get(..fits).unwrap_or_default(), at)?;
        if let Some(room) = &self.room {
            room.fetch_sub(fits as u64, SeqCst);
        }
        if fits < bytes.len() { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

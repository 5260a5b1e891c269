//! What can go wrong with recordings on disk. Every message names the file and, where there is something, what to do.

use livetape_audio::{Frame, RecordingId, TimelineError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

/// Why the store refused or failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// No room: disk, quota, or the largest size of a file. What was stored stays; make room and go on.
    #[error("no room to write {}: free disk space or raise the quota", path.display())]
    Full {
        /// What was being written.
        path: PathBuf,
    },
    /// Another recorder holds the data folder.
    #[error("{} is in use by another recorder: stop it, or choose another data folder", path.display())]
    Locked {
        /// The data folder.
        path: PathBuf,
    },
    /// The data folder was opened for reading.
    #[error("{} was opened for reading only", path.display())]
    ReadOnly {
        /// The data folder.
        path: PathBuf,
    },
    /// There is already something where a new recording was to be.
    #[error("{} exists already: a new recording needs a new id", path.display())]
    Exists {
        /// Its folder.
        path: PathBuf,
    },
    /// An operation of the file system failed.
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        /// The operation, as a verb.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A file of a later format.
    #[error("{} was written by a newer version (format {found}; this one knows up to {known}): upgrade to use it",
        path.display())]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The newest format that is known here.
        known: u64,
    },
    /// A file does not hold what it must.
    #[error("{} is damaged: {what}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        what: String,
    },
    /// A chunk of audio that is no whole number of frames.
    #[error("{bytes} bytes of audio are no whole number of frames of {frame_bytes} bytes")]
    HalfFrame {
        /// Length of the chunk.
        bytes: usize,
        /// Length of a frame.
        frame_bytes: u32,
    },
    /// A timeline entry about frames that were not written yet: recovery would cut it.
    #[error("a timeline entry stands at frame {at}, but only frames before {end} are written")]
    Ahead {
        /// Where the entry stands.
        at: Frame,
        /// How far the recording goes.
        end: Frame,
    },
    /// A timeline entry that is too long to be stored.
    #[error("a timeline entry of {bytes} bytes is too long: at most {max} are possible")]
    TooLong {
        /// Its length.
        bytes: usize,
        /// The limit.
        max: usize,
    },
    /// The timeline refused the entry.
    #[error(transparent)]
    Timeline(#[from] TimelineError),
    /// The recording is finished.
    #[error("recording {id} is sealed: nothing can be added to it")]
    Sealed {
        /// Which.
        id: RecordingId,
    },
    /// The recording is not finished.
    #[error("recording {id} is being recorded: seal it first")]
    Open {
        /// Which.
        id: RecordingId,
    },
    /// A write or sync failed before; what is on disk after the durable end is not known.
    #[error("recording {id} failed to write before: rewind it first")]
    NotRewound {
        /// Which.
        id: RecordingId,
    },
}

impl StoreError {
    pub(crate) fn io(what: &'static str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => Self::Full { path },
            _ => Self::Io { what, path, source },
        }
    }

    pub(crate) fn damaged(path: &Path, what: impl Into<String>) -> Self {
        Self::Damaged { path: path.to_owned(), what: what.into() }
    }

    /// Whether space is all that is missing: the same operation can succeed later.
    pub const fn is_full(&self) -> bool {
        matches!(self, Self::Full { .. })
    }

    /// Whether the file system cannot do this at all.
    pub(crate) fn is_unsupported(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == ErrorKind::Unsupported)
    }

    /// Whether a file is not there, as after a recording was deleted.
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Io { source, .. } if source.kind() == ErrorKind::NotFound)
    }
}

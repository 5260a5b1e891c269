//! What can be wrong with files, where, and what to do.

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Why files cannot be played, or not further.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// It cannot be opened or listed.
    #[error("{}: {error}", .path.display())]
    Open {
        /// Where.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// A pipe, a device, a socket.
    #[error("{}: this is {what}, not a file: pipe it in, cat {} | livetape run --source stdin", .path.display(), .path.display())]
    Kind {
        /// Which.
        path: PathBuf,
        /// What it is.
        what: &'static str,
    },
    /// A playlist that is none.
    #[error("{}: this playlist cannot be read: {why}", .path.display())]
    Playlist {
        /// Which.
        path: PathBuf,
        /// Why.
        why: String,
    },
    /// Nothing there.
    #[error("{}: there is no audio file in it", .0.display())]
    Empty(PathBuf),
    /// None of the files can be played.
    #[error("{}: none of its files can be played; the first: {first}", .path.display())]
    Nothing {
        /// The folder or the playlist.
        path: PathBuf,
        /// What is wrong with the first.
        first: Box<FileError>,
    },
    /// A file of which nothing can be played.
    #[error("{}: cannot be played: {why} (at byte {byte}). Is it an audio file? ffprobe FILE says what it is", .path.display())]
    Unplayable {
        /// Which.
        path: PathBuf,
        /// The byte at which its decoder stood.
        byte: u64,
        /// What is wrong.
        why: String,
    },
    /// A file breaks off.
    #[error(
        "{}: cannot be played past {}, byte {byte}: {why}. What can be saved of it: ffmpeg -i FILE NEW.flac",
        .path.display(), clock(*.position)
    )]
    Broken {
        /// Which.
        path: PathBuf,
        /// How much of it was played.
        position: Duration,
        /// The byte at which its decoder stood.
        byte: u64,
        /// What is wrong.
        why: String,
    },
    /// Something else.
    #[error("{}: {why}", .path.display())]
    Other {
        /// Where.
        path: PathBuf,
        /// What.
        why: String,
    },
}

impl FileError {
    pub(super) fn other(path: &Path, why: &impl Display) -> Self {
        Self::Other { path: path.to_owned(), why: why.to_string() }
    }
}

/// `0:03:07.250`
fn clock(d: Duration) -> String {
    let seconds = d.as_secs();
    format!("{}:{:02}:{:02}.{:03}", seconds / 3_600, seconds / 60 % 60, seconds % 60, d.subsec_millis())
}

//! Which files a path means: itself, the audio files of a folder in the order of their names, or what a playlist names.
//!
//! Everything has a bound: how deep folders and playlists go, how many files they name. What cannot be read on the way is
//! said and left out; only when the path itself cannot be read, that is an error.

use super::error::FileError;
use super::playlist;
use std::collections::HashSet;
use std::ffi::OsStr;
use std::fs::{self, File, Metadata, OpenOptions};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Folders in folders, playlists in playlists.
const MAX_DEPTH: usize = 8;
/// Most files.
const MAX_FILES: usize = 100_000;
/// What is looked for in folders. A file that is named is played whatever it is called.
const AUDIO: [&str; 23] = [
    "aac", "aif", "aifc", "aiff", "alac", "caf", "flac", "m4a", "m4b", "mka", "mkv", "mp1", "mp2", "mp3", "mp4", "oga",
    "ogg", "opus", "rf64", "wav", "wave", "weba", "webm",
];

/// The files that a path means, of which there is at least one.
///
/// # Errors
/// [`FileError`] if there are none.
pub(super) async fn of(path: PathBuf) -> Result<Vec<PathBuf>, FileError> {
    let top = path.clone();
    let listed = tokio::task::spawn_blocking(move || {
        let mut list = List::default();
        list.add(&path, 0)?;
        if list.files.is_empty() { Err(FileError::Empty(path)) } else { Ok(list.files) }
    });
    listed.await.map_err(|panic| FileError::other(&top, &panic))?
}

#[derive(Default)]
struct List {
    files: Vec<PathBuf>,
    /// Playlists and folders that are being read now, to find those that name themselves.
    open: HashSet<PathBuf>,
}

impl List {
    fn add(&mut self, path: &Path, depth: usize) -> Result<(), FileError> {
        let wrong = |error| FileError::Open { path: path.to_owned(), error };
        let data = fs::metadata(path).map_err(wrong)?;
        let lists = data.is_dir() || playlist::Kind::of(path).is_some();
        if self.files.len() >= MAX_FILES || (lists && depth > MAX_DEPTH) {
            return Err(FileError::other(
                path,
                &format!("only {MAX_FILES} files and {MAX_DEPTH} levels are looked at"),
            ));
        }
        if !data.is_dir() {
            regular(path, &data)?;
        }
        if !lists {
            self.files.push(path.to_owned());
            return Ok(());
        }
        let place = fs::canonicalize(path).map_err(wrong)?;
        if !self.open.insert(place.clone()) {
            return Err(FileError::other(path, &"it names itself"));
        }
        let inside = if data.is_dir() { folder(path) } else { playlist::read(path) };
        for entry in inside? {
            if let Err(error) = self.add(&entry, depth + 1) {
                tracing::error!("{error}; left out");
            }
        }
        self.open.remove(&place);
        Ok(())
    }
}

/// What is neither a folder nor a regular file might never end, or never begin.
fn regular(path: &Path, data: &Metadata) -> Result<(), FileError> {
    let kind = data.file_type();
    let what = match () {
        () if kind.is_file() => return Ok(()),
        () if kind.is_fifo() => "a pipe",
        () if kind.is_socket() => "a socket",
        () if kind.is_dir() => "a folder",
        () => "a device",
    };
    Err(FileError::Kind { path: path.to_owned(), what })
}

/// Opens a regular file. What looked like one may have been replaced: by a pipe, that nobody writes to.
pub(super) fn open(path: &Path) -> Result<File, String> {
    let nonblocking = rustix::fs::OFlags::NONBLOCK.bits() as i32;
    let file = OpenOptions::new().read(true).custom_flags(nonblocking).open(path).map_err(|e| e.to_string())?;
    let data = file.metadata().map_err(|e| e.to_string())?;
    match regular(path, &data) {
        Ok(()) if data.len() == 0 => Err("it is empty".into()),
        Ok(()) => Ok(file),
        Err(FileError::Kind { what, .. }) => Err(format!("this is {what}, not a file")),
        Err(error) => Err(error.to_string()),
    }
}

/// The folders and audio files of a folder, by name.
fn folder(path: &Path) -> Result<Vec<PathBuf>, FileError> {
    let wrong = |error| FileError::Open { path: path.to_owned(), error };
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(wrong)?.take(MAX_FILES) {
        let entry = entry.map_err(wrong)?.path();
        let hidden = entry.file_name().and_then(OsStr::to_str).is_none_or(|name| name.starts_with('.'));
        let extension = entry.extension().and_then(OsStr::to_str).unwrap_or_default().to_ascii_lowercase();
        if !hidden && (AUDIO.contains(&extension.as_str()) || entry.is_dir()) {
            found.push(entry);
        }
    }
    found.sort();
    Ok(found)
}

//! Which files a path means: itself, the audio files of a folder in the order of their names, or what a playlist names.
//!
//! Everything has a bound: how deep folders and playlists go, how many files they name, how much is looked at for that. What
//! cannot be read on the way is said and left out; only when the path itself cannot be read, that is an error.

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
/// Most names that are looked at, whether they are files or not; most playlists that are read. Those that name one another many
/// times mean more than anybody could ever look at.
const MAX_LOOKS: usize = 10 * MAX_FILES;
const MAX_PLAYLISTS: usize = 1_000;
/// So much of what is left out is said one by one.
const MAX_SAID: usize = 100;
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
        if list.left_out > MAX_SAID {
            let more = list.left_out - MAX_SAID;
            tracing::error!(path = %path.display(), more, "more of it could not be used, and was left out");
        }
        if list.files.is_empty() { Err(FileError::Empty(path)) } else { Ok(list.files) }
    });
    listed.await.map_err(|panic| FileError::other(&top, &panic))?
}

#[derive(Default)]
struct List {
    files: Vec<PathBuf>,
    /// Playlists and folders that are being read now, to find those that name themselves.
    open: HashSet<PathBuf>,
    /// Names and playlists that were looked at.
    looks: usize,
    playlists: usize,
    left_out: usize,
}

impl List {
    fn add(&mut self, path: &Path, depth: usize) -> Result<(), FileError> {
        let wrong = |error| FileError::Open { path: path.to_owned(), error };
        let most = |most: usize, what: &str| Err(FileError::other(path, &format!("only {most} {what} are looked at")));
        self.looks += 1;
        if self.looks > MAX_LOOKS {
            return most(MAX_LOOKS, "names");
        }
        let data = fs::metadata(path).map_err(wrong)?;
        let is_playlist = !data.is_dir() && playlist::Kind::of(path).is_some();
        let lists = data.is_dir() || is_playlist;
        if self.files.len() >= MAX_FILES {
            return most(MAX_FILES, "files");
        }
        if lists && depth > MAX_DEPTH {
            return most(MAX_DEPTH, "levels");
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
        self.playlists += usize::from(is_playlist);
        if self.playlists > MAX_PLAYLISTS {
            self.open.remove(&place);
            return most(MAX_PLAYLISTS, "playlists");
        }
        let inside = if data.is_dir() { self.folder(path) } else { playlist::read(path) };
        for entry in inside.inspect_err(|_| _ = self.open.remove(&place))? {
            if let Err(error) = self.add(&entry, depth + 1) {
                self.left_out += 1;
                if self.left_out <= MAX_SAID {
                    tracing::error!("{error}; left out");
                }
            }
            if self.looks > MAX_LOOKS {
                break;
            }
        }
        self.open.remove(&place);
        Ok(())
    }

    /// The folders and audio files of a folder, by name.
    fn folder(&mut self, path: &Path) -> Result<Vec<PathBuf>, FileError> {
        let wrong = |error| FileError::Open { path: path.to_owned(), error };
        let mut found = Vec::new();
        for entry in fs::read_dir(path).map_err(wrong)?.take(MAX_LOOKS.saturating_sub(self.looks)) {
            self.looks += 1;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn listed(path: &Path) -> List {
        let mut list = List::default();
        list.add(path, 0).unwrap();
        list
    }

    #[test]
    fn playlists_that_multiply_one_another_have_an_end() {
        let dir = tempfile::tempdir().unwrap();
        let name = |n: usize| format!("{n}.m3u");
        // A hundred to the power of seven files, none of which is there.
        for n in 0..7 {
            let next = if n < 6 { name(n + 1) } else { "gone.wav".into() };
            std::fs::write(dir.path().join(name(n)), format!("{next}\n").repeat(100)).unwrap();
        }
        let list = listed(&dir.path().join(name(0)));
        assert!(list.playlists > MAX_PLAYLISTS && list.files.is_empty(), "{} playlists", list.playlists);
        assert!(list.left_out > MAX_SAID && list.looks <= MAX_LOOKS, "{} looks", list.looks);
    }

    #[test]
    fn folders_that_are_named_again_and_again_have_an_end() {
        let dir = tempfile::tempdir().unwrap();
        let folder = dir.path().join("folder");
        std::fs::create_dir(&folder).unwrap();
        (0..200).for_each(|n| std::fs::write(folder.join(format!(".{n}")), "").unwrap());
        std::fs::write(dir.path().join("a.m3u"), "folder\n".repeat(20_000)).unwrap();
        let list = listed(&dir.path().join("a.m3u"));
        assert!((MAX_LOOKS..MAX_LOOKS + 300).contains(&list.looks), "{} looks", list.looks);
    }

    #[test]
    fn no_more_files_than_there_may_be() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.wav"), "x").unwrap();
        std::fs::write(dir.path().join("a.m3u"), "a.wav\n".repeat(MAX_FILES + 7)).unwrap();
        let list = listed(&dir.path().join("a.m3u"));
        assert_eq!((list.files.len(), list.left_out), (MAX_FILES, 7));
    }
}

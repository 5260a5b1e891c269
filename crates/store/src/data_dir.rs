//! The data folder: who may write it, and what is in it.

use crate::disk::Disk;
use crate::error::StoreError;
use crate::format::{self, LOCK, MAX_JSON, RECORDER, RECORDING};
use crate::recording::Recording;
use livetape_audio::{Generation, RecordingId, StreamName};
use std::ffi::OsStr;
use std::fs::{File, TryLockError};
use std::hash::{BuildHasher, Hasher, RandomState};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// A recorder that has been stopped may still be reading for a moment, for a waveform or to see how much room there is.
const PATIENCE: Duration = Duration::from_secs(1);
const NAP: Duration = Duration::from_millis(10);
/// As much as is allocated ahead at most, in bytes: a longer file has been recorded into.
const MAX_EMPTY: u64 = 64 << 20;

/// A data folder. Clones share it; the lock is held as long as one of them lives.
#[derive(Clone, Debug)]
pub struct DataDir {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    disk: Disk,
    generation: Generation,
    /// Held by the recorder; absent for readers.
    lock: Option<File>,
}

/// What was found in a data folder.
#[derive(Clone, Debug, Default)]
pub struct Scan {
    /// Its recordings, oldest first.
    pub recordings: Vec<Recording>,
    /// What looks as if it should be one. Left as it is.
    pub problems: Vec<Problem>,
}

/// A folder that is no valid recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The folder.
    pub path: PathBuf,
    /// What is wrong with it.
    pub what: String,
}

impl DataDir {
    /// Opens a data folder to record into: makes it if needed, locks it, raises its generation.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another recorder has it and keeps it for longer than a second, [`StoreError::Newer`] when a
    /// newer version wrote it, [`StoreError::Full`], and what the file system refuses.
    pub fn open(path: &Path, disk: Disk) -> Result<Self, StoreError> {
        disk.create_dirs(path)?;
        let lock = disk.open_rw(&path.join(LOCK))?.into_file();
        take(&lock, path)?;
        let generation = raised(read_generation(path, &disk)?);
        write_generation(path, &disk, generation)?;
        Ok(Self { inner: Arc::new(Inner { path: path.to_owned(), disk, generation, lock: Some(lock) }) })
    }

    /// Opens a data folder to read from it. Makes and changes nothing; a recorder may be at work in it.
    ///
    /// # Errors
    /// What the file system refuses, and [`StoreError::Newer`].
    pub fn open_read_only(path: &Path, disk: Disk) -> Result<Self, StoreError> {
        disk.list(path)?;
        let generation = read_generation(path, &disk)?;
        Ok(Self { inner: Arc::new(Inner { path: path.to_owned(), disk, generation, lock: None }) })
    }

    /// Which run of the recorder this is; of a reader, the last run that was. Zero, if there was none.
    pub fn generation(&self) -> Generation {
        self.inner.generation
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    pub(crate) fn disk(&self) -> &Disk {
        &self.inner.disk
    }

    /// The folder of a stream's recordings.
    pub(crate) fn stream_folder(&self, stream: &StreamName) -> PathBuf {
        self.path().join(stream.as_str())
    }

    /// The folder of a recording.
    pub(crate) fn folder(&self, recording: &Recording) -> PathBuf {
        self.stream_folder(&recording.stream).join(recording.id.to_string())
    }

    /// Refuses to write through a folder that was opened for reading.
    pub(crate) fn writable(&self) -> Result<(), StoreError> {
        match self.inner.lock {
            Some(_) => Ok(()),
            None => Err(StoreError::ReadOnly { path: self.path().to_owned() }),
        }
    }

    /// Everything that is in the folder. Reads one small file for each recording.
    ///
    /// # Errors
    /// Only when the data folder itself cannot be read; what is wrong inside is reported as [`Problem`].
    pub fn scan(&self) -> Result<Scan, StoreError> {
        let mut scan = Scan::default();
        for name in self.disk().list(self.path())? {
            let path = self.path().join(&name);
            // Hidden folders and that of fsck belong to others.
            if name.starts_with('.') || name == "lost+found" || !path.is_dir() {
                continue;
            }
            match name.parse::<StreamName>() {
                Ok(stream) => self.scan_stream(&stream, &path, &mut scan),
                Err(e) => scan.problems.push(Problem { path, what: e.to_string() }),
            }
        }
        scan.recordings.sort_by_key(|recording| recording.id);
        scan.problems.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(scan)
    }

    fn scan_stream(&self, stream: &StreamName, path: &Path, scan: &mut Scan) {
        let names = match self.disk().list(path) {
            Ok(names) => names,
            Err(e) => return scan.problems.push(Problem { path: path.to_owned(), what: e.to_string() }),
        };
        for name in names.into_iter().filter(|name| !name.starts_with('.')) {
            let path = path.join(&name);
            if !path.is_dir() {
                continue;
            }
            let read = name.parse().map_err(|e: livetape_audio::NameError| e.to_string());
            match read.and_then(|id| self.load(stream, id).map_err(|e| e.to_string())) {
                Ok(recording) => scan.recordings.push(recording),
                Err(_) if self.is_unfinished(&path) => {}
                Err(what) => scan.problems.push(Problem { path, what }),
            }
        }
    }

    /// Whether the process ended while a recording was being made in this folder: it has an id, but no description, without
    /// which nothing is recorded, and its files are empty. It is nothing to worry about, and goes with [`DataDir::tidy`].
    pub(crate) fn is_unfinished(&self, folder: &Path) -> bool {
        let name = folder.file_name().and_then(OsStr::to_str).unwrap_or_default();
        // First what is quick: nearly all of them are recordings.
        if folder.join(RECORDING).exists() || name.parse::<RecordingId>().is_err() {
            return false;
        }
        // A description on its way to its name may be whole.
        let is_empty = |name: &String| match name.strip_prefix(RECORDING) {
            Some(rest) => !rest.is_empty(),
            None => self.is_empty(&folder.join(name)).unwrap_or(false),
        };
        self.disk().list(folder).is_ok_and(|names| names.iter().all(is_empty))
    }

    /// Whether there is nothing in a file but what was allocated ahead: all of it is looked at, since audio may begin with silence.
    fn is_empty(&self, path: &Path) -> Result<bool, StoreError> {
        let (file, mut piece) = (self.disk().open(path)?, vec![0; 64 << 10]);
        let len = file.len()?;
        for offset in (0..len.min(MAX_EMPTY)).step_by(piece.len()) {
            piece.fill(0);
            file.read_at(&mut piece, offset)?;
            if piece.iter().any(|byte| *byte != 0) {
                return Ok(false);
            }
        }
        Ok(len <= MAX_EMPTY)
    }

    /// Reads a recording's own description.
    ///
    /// # Errors
    /// [`StoreError::Newer`], [`StoreError::Damaged`] also when it describes another recording, and what the file system
    /// refuses.
    pub fn load(&self, stream: &StreamName, id: RecordingId) -> Result<Recording, StoreError> {
        let path = self.stream_folder(stream).join(id.to_string()).join(RECORDING);
        let recording = format::decode_recording(&path, &self.disk().read_all(&path, MAX_JSON)?)?;
        if recording.id != id || recording.stream != *stream {
            let what = format!("it describes {}/{}, not what its folder is named", recording.stream, recording.id);
            return Err(StoreError::damaged(&path, what));
        }
        Ok(recording)
    }
}

/// Locks the folder of this path for whoever holds `lock`.
fn take(lock: &File, path: &Path) -> Result<(), StoreError> {
    let started = Instant::now();
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(()),
            Err(TryLockError::WouldBlock) if started.elapsed() < PATIENCE => std::thread::sleep(NAP),
            Err(TryLockError::WouldBlock) => return Err(StoreError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(e)) => return Err(StoreError::io("lock", path, e)),
        }
    }
}

/// The next run's generation: higher, and not that of a recorder that starts on a copy of the folder.
fn raised(last: Generation) -> Generation {
    // The lower 20 bits are drawn, those above them count: enough for a start each millisecond in 500 years.
    const DRAWN: u64 = (1 << 20) - 1;
    let drawn = RandomState::new().build_hasher().finish() & DRAWN;
    Generation((last.0 | DRAWN).saturating_add(1).saturating_add(drawn))
}

fn write_generation(path: &Path, disk: &Disk, generation: Generation) -> Result<(), StoreError> {
    let (path, content) = (path.join(RECORDER), format::encode_generation(generation));
    match disk.replace(&path, &content) {
        // A recorder has to be able to start on a full disk. These bytes have their place already, within one sector.
        Err(e) if e.is_full() && path.exists() => {
            let file = disk.open_rw(&path)?;
            file.write_all_at(&content, 0)?;
            file.sync_all()
        }
        result => result,
    }
}

fn read_generation(path: &Path, disk: &Disk) -> Result<Generation, StoreError> {
    let path = path.join(RECORDER);
    match disk.read_all(&path, MAX_JSON) {
        Ok(bytes) => format::decode_generation(&path, &bytes),
        Err(e) if e.is_missing() => Ok(Generation(0)),
        Err(e) => Err(e),
    }
}

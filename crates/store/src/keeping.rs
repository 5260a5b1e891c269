//! What those who keep recordings do to them: describe, lock, mark, delete. Here the finished ones; what is still being
//! recorded has a [`crate::TapeWriter`].
//!
//! Not here: whether it may be done. The caller sees to it that one thing at a time happens to a recording.

use crate::data_dir::DataDir;
use crate::disk::Space;
use crate::error::StoreError;
use crate::format::{self, RECORDING, TIMELINE};
use crate::recording::Recording;
use crate::timeline_log::Log;
use livetape_audio::{Entry, Notes, RecordingId, SealReason, StreamName, Title};
use std::path::Path;

/// What deleted recordings are called until they are gone. Nothing that is hidden is a recording.
const DELETED: &str = ".deleted";

/// What is to be different. Nothing, if nothing is said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Edit {
    /// The title. From then on sources do not change it.
    pub title: Option<Title>,
    /// The notes.
    pub notes: Option<Notes>,
    /// The lock.
    pub locked: Option<bool>,
    /// Somebody has ended it: if it was sealed because its source was lost, that is no longer why.
    pub ended: bool,
}

impl Edit {
    pub(crate) fn of(self, recording: &Recording) -> Recording {
        let mut edited = recording.clone();
        edited.titled |= self.title.is_some();
        edited.title = self.title.unwrap_or(edited.title);
        edited.notes = self.notes.unwrap_or(edited.notes);
        edited.locked = self.locked.unwrap_or(edited.locked);
        if let Some(seal) = edited.seal.as_mut().filter(|seal| self.ended && seal.reason == SealReason::SourceLost) {
            seal.reason = SealReason::Operator;
        }
        edited
    }
}

/// A recording that is deleted, but whose files may be there still.
#[derive(Debug)]
#[must_use = "its space is free only when it was purged"]
pub struct Deleted {
    dir: DataDir,
    stream: StreamName,
    id: RecordingId,
}

impl DataDir {
    /// Changes a finished recording. When this returns, it survives a power cut.
    ///
    /// # Errors
    /// [`StoreError::Open`], [`StoreError::ReadOnly`], [`StoreError::Full`], [`StoreError::is_missing`] when it was
    /// deleted, and what the file system refuses.
    pub fn edit(&self, stream: &StreamName, id: RecordingId, edit: Edit) -> Result<Recording, StoreError> {
        let edited = edit.of(&self.finished(stream, id)?);
        self.disk().replace(&self.folder(&edited).join(RECORDING), &format::encode_recording(&edited))?;
        Ok(edited)
    }

    /// Puts an entry at the end of a finished recording's timeline. When this returns, it survives a power cut. Readers
    /// that follow find it with their next refresh.
    ///
    /// # Errors
    /// As [`DataDir::edit`]; [`StoreError::Ahead`] and [`StoreError::TooLong`].
    pub fn annotate(&self, stream: &StreamName, id: RecordingId, entry: &Entry) -> Result<(), StoreError> {
        let recording = self.finished(stream, id)?;
        let (at, end) = (entry.frame(), recording.seal.map_or(entry.frame(), |seal| seal.end));
        if at > end {
            return Err(StoreError::Ahead { at, end });
        }
        let record = format::encode_entry(entry)?;
        let path = self.folder(&recording).join(TIMELINE);
        let file = self.disk().open_rw(&path)?;
        let before = file.len()?;
        let written = file.write_all_at(&record, before).and_then(|()| file.sync_all());
        if written.is_err() {
            // Best effort: what is left of a record is skipped by readers.
            let _ = file.set_len(before);
        }
        written
    }

    /// Everything on the timeline of a recording that nobody is writing.
    ///
    /// # Errors
    /// As [`DataDir::edit`].
    pub fn entries(&self, stream: &StreamName, id: RecordingId) -> Result<Vec<Entry>, StoreError> {
        let recording = self.finished(stream, id)?;
        let log = Log::read(self.disk(), &self.folder(&recording).join(TIMELINE))?;
        Ok(log.entries.into_iter().map(|(_, entry)| entry).collect())
    }

    /// Deletes a finished recording: when this returns, it is not there any more, whatever happens. Its files go when
    /// the answer is purged. Who is reading one of them reads on; who opens another finds it missing.
    ///
    /// # Errors
    /// As [`DataDir::edit`].
    pub fn delete(&self, stream: &StreamName, id: RecordingId) -> Result<Deleted, StoreError> {
        let recording = self.finished(stream, id)?;
        let deleted = Deleted { dir: self.clone(), stream: stream.clone(), id };
        self.disk().rename(&self.folder(&recording), &self.stream_folder(stream).join(deleted.name()))?;
        self.disk().sync_dir(&self.stream_folder(stream))?;
        Ok(deleted)
    }

    fn finished(&self, stream: &StreamName, id: RecordingId) -> Result<Recording, StoreError> {
        self.writable()?;
        let recording = self.load(stream, id)?;
        if recording.seal.is_none() {
            return Err(StoreError::Open { id });
        }
        Ok(recording)
    }

    /// Removes what beginnings and deletions have left behind when the process ended on the way, and folders of streams
    /// without recordings. Best effort. To be called before anything is recorded.
    pub fn tidy(&self) {
        if self.writable().is_err() {
            return;
        }
        for stream in self.disk().list(self.path()).unwrap_or_default() {
            if stream.parse::<StreamName>().is_err() {
                continue;
            }
            let folder = self.path().join(stream);
            for name in self.disk().list(&folder).unwrap_or_default() {
                let id = name.strip_prefix('.').and_then(|name| name.strip_suffix(DELETED));
                let path = folder.join(&name);
                if id.is_some_and(|id| id.parse::<RecordingId>().is_ok()) || self.is_unfinished(&path) {
                    let _ = self.remove_all(&path);
                }
            }
            // Only an empty one can be removed.
            let _ = self.disk().remove_dir(&folder);
        }
    }

    fn remove_all(&self, folder: &Path) -> Result<(), StoreError> {
        for name in self.disk().list(folder)? {
            self.disk().remove_file(&folder.join(name))?;
        }
        self.disk().remove_dir(folder)
    }

    /// How much room there is on the file system on which the data folder is.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn space(&self) -> Result<Space, StoreError> {
        self.disk().space(self.path())
    }
}

impl Deleted {
    fn name(&self) -> String {
        format!(".{}{DELETED}", self.id)
    }

    /// Removes the files. What cannot be removed now is removed by [`DataDir::tidy`].
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn purge(self) -> Result<(), StoreError> {
        self.dir.remove_all(&self.dir.stream_folder(&self.stream).join(self.name()))
    }
}

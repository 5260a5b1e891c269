//! Recordings of any length made of holes, for what must not depend on the length.

use anyhow::Result;
use livetape_audio::{Entry, Epoch, FrameCount, Instance, RecordingId, Spec, WallTime};
use livetape_store::{DataDir, Recording, sparse};
use tempfile::TempDir;

/// A folder for very many of them: in memory where there is some, because a disk syncs each several times.
///
/// # Errors
/// When the file system refuses.
pub fn folder() -> Result<TempDir> {
    Ok(tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir())?)
}

/// What to make.
#[derive(Clone, Debug)]
pub struct Sparse {
    /// Its stream.
    pub stream: &'static str,
    /// Shape of its silence.
    pub spec: Spec,
    /// When it began.
    pub started: WallTime,
    /// Its source, which may go on with it if it is open.
    pub instance: Instance,
    /// Its length.
    pub frames: FrameCount,
}

impl Sparse {
    /// Writes it as a recording that grows.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn open(self, dir: &DataDir) -> Result<Recording> {
        self.write(dir, false)
    }

    /// Writes it as a finished recording.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn sealed(self, dir: &DataDir) -> Result<Recording> {
        self.write(dir, true)
    }

    /// Writes it as a finished recording with a timeline that was made elsewhere.
    ///
    /// # Errors
    /// What the file system refuses.
    pub fn sealed_with(self, dir: &DataDir, timeline: &[Entry]) -> Result<Recording> {
        let recording = self.write(dir, true)?;
        sparse::timeline(dir, &recording, timeline)?;
        Ok(recording)
    }

    fn write(self, dir: &DataDir, sealed: bool) -> Result<Recording> {
        let Self { stream, spec, started, instance, frames } = self;
        let recording = Recording {
            id: RecordingId::new(started.unix_millis(), &[7; 10]),
            stream: stream.parse()?,
            spec,
            source: "test".parse()?,
            title: "".parse()?,
            started,
            epoch: Epoch(1),
            instance,
            segment_frames: Recording::default_segment_frames(spec),
            seal: None,
            notes: Default::default(),
            locked: false,
            titled: false,
            genre: Default::default(),
        };
        Ok(sparse::sparse_sealed_or_open(dir, recording, frames, sealed)?)
    }
}

//! Following a growing `timeline.log` below the tail, reading only what is new.

use crate::data_dir::DataDir;
use crate::disk::{Disk, DiskFile};
use crate::error::StoreError;
use crate::format::{ENTRY_HEAD, MAX_ENTRY, Record, TIMELINE, decode_entry};
use crate::recording::Recording;
use crate::timeline_log::Log;
use livetape_audio::{Spec, Tail, Timeline};
use std::path::PathBuf;
use std::sync::Arc;

/// Bytes that are read at a time; any record fits.
const PIECE: usize = 16 * (ENTRY_HEAD + MAX_ENTRY);

/// The timeline of a recording as far as its tail goes. One may serve many listeners.
#[derive(Debug)]
pub struct TimelineFollower {
    disk: Disk,
    path: PathBuf,
    spec: Spec,
    timeline: Arc<Timeline>,
    /// Where the last record that was taken in begins, and how it begins. If it is not there any more, the file was
    /// rewritten by a recovery.
    last: Option<(u64, Vec<u8>)>,
    /// Where the next record begins.
    at: u64,
}

impl TimelineFollower {
    /// A follower that has read nothing yet.
    pub fn open(dir: &DataDir, recording: &Recording) -> Self {
        let path = dir.folder(recording).join(TIMELINE);
        Self {
            disk: dir.disk().clone(),
            path,
            spec: recording.spec,
            timeline: Arc::new(Timeline::new(recording.spec)),
            last: None,
            at: 0,
        }
    }

    /// The entries so far.
    pub fn timeline(&self) -> &Timeline {
        &self.timeline
    }

    /// The entries so far, to keep. While it is kept, the next refresh that finds something new makes a copy.
    pub fn shared(&self) -> Arc<Timeline> {
        Arc::clone(&self.timeline)
    }

    /// Takes in entries about frames before the tail's end, or all of a sealed recording. Stops at a record that is
    /// not complete; in a sealed recording it goes on after it.
    ///
    /// # Errors
    /// [`StoreError::is_missing`] when the recording was deleted, and what the file system refuses. What was read
    /// before stays.
    pub fn refresh(&mut self, tail: &Tail) -> Result<(), StoreError> {
        let file = self.disk.open(&self.path)?;
        if !self.is_where_it_was(&file)? {
            self.start_over();
        }
        let torn = self.read_on(&file, tail)?;
        if torn && tail.is_sealed() {
            let log = Log::read(&self.disk, &self.path)?;
            self.start_over();
            self.at = log.bytes.len() as u64;
            for (_, entry) in log.entries {
                // What is out of order cannot be placed; `verify` reports it.
                let _ = Arc::make_mut(&mut self.timeline).push(entry);
            }
        }
        Ok(())
    }

    fn start_over(&mut self) {
        self.timeline = Arc::new(Timeline::new(self.spec));
        self.last = None;
        self.at = 0;
    }

    fn is_where_it_was(&self, file: &DiskFile) -> Result<bool, StoreError> {
        let Some((at, head)) = &self.last else { return Ok(true) };
        let mut found = vec![0; head.len()];
        Ok(file.read_at(&mut found, *at)? == head.len() && found == *head)
    }

    /// Reads to the tail or to the end of the file. Whether it stopped at something that is no record.
    fn read_on(&mut self, file: &DiskFile, tail: &Tail) -> Result<bool, StoreError> {
        let mut buf = vec![0; PIECE];
        loop {
            let n = file.read_at(&mut buf, self.at)?;
            let mut rest = buf.get(..n).unwrap_or_default();
            let mut taken = 0;
            let stopped = loop {
                match decode_entry(rest) {
                    Record::Entry(entry, _) if !tail.is_sealed() && entry.frame() >= tail.end => return Ok(false),
                    Record::Entry(entry, len) => {
                        let _ = Arc::make_mut(&mut self.timeline).push(entry);
                        self.last = rest.get(..ENTRY_HEAD).map(|head| (self.at, head.to_vec()));
                        rest = rest.get(len..).unwrap_or_default();
                        self.at += len as u64;
                        taken += len;
                    }
                    Record::Partial => break false,
                    Record::Damaged => break true,
                }
            };
            // A piece in which no record ends is the end: a whole record is always shorter.
            if stopped || taken == 0 || n < PIECE {
                return Ok(stopped || !rest.is_empty());
            }
        }
    }
}

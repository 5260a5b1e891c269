//! What a spool's folder holds: everything whose checksum holds, of the files that belong together.

use super::SpoolError;
use super::files::{Folder, Segment};
use super::format::Identity;
use super::records::Records;
use super::runs::Runs;
use crate::uplink::{Note, Numbers, Place, Record, Restored};
use std::collections::VecDeque;
use std::io;

/// Most notes that are taken over.
const MAX_NOTES: usize = 1 << 16;

/// What was found. Without an identity: nothing.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) identity: Option<Identity>,
    pub(super) segments: VecDeque<Segment>,
    pub(super) next_file: u64,
    pub(super) runs: Runs,
    /// The place after the last audio.
    audio: Place,
    /// The notes that are not settled, and the file that holds each.
    pub(super) notes: Vec<(u64, Note)>,
    pub(super) restored: Restored,
}

impl Found {
    fn new(next_file: u64) -> Self {
        let restored = Restored { numbers: Numbers::default(), notes: Vec::new(), end: Place::ZERO, ended: false };
        Self {
            identity: None,
            segments: VecDeque::new(),
            next_file,
            runs: Runs::default(),
            audio: Place::ZERO,
            notes: Vec::new(),
            restored,
        }
    }
}

/// Looks through the folder. Files that are not a spool's, or of another source than the newest, are set aside.
pub(super) fn recover(folder: &Folder) -> Result<Found, SpoolError> {
    let files = folder.list()?;
    let mut found = Found::new(files.last().map_or(0, |last| last.saturating_add(1)));
    found.identity = newest(folder, &files)?;
    for file in files {
        match folder.read(file) {
            Ok(Ok(records)) if Some(records.head().identity) == found.identity => {
                found.take(folder, file, records).or_else(|error| folder.set_aside(file, &error.to_string()))?;
            }
            Ok(Ok(_)) => folder.set_aside(file, "it is of another source than the newest file")?,
            // The newest was looked at before; what is gone by now was set aside then.
            Ok(Err(why)) => folder.set_aside(file, &why.to_string())?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => folder.set_aside(file, &error.to_string())?,
        }
    }
    let durable = found.restored.numbers.durable;
    found.notes.retain(|(_, note)| note.at() >= durable);
    found.restored.notes = found.notes.iter().map(|(_, note)| note.clone()).collect();
    Ok(found)
}

/// Whose audio the newest file that can be read holds.
fn newest(folder: &Folder, files: &[u64]) -> Result<Option<Identity>, SpoolError> {
    for &file in files.iter().rev() {
        // A process that was killed between making a file and writing to it has lost nothing.
        if folder.length(file).is_ok_and(|length| length == 0) {
            folder.remove(file)?;
        }
        if let Ok(Ok(records)) = folder.read(file) {
            return Ok(Some(records.head().identity));
        }
    }
    Ok(None)
}

impl Found {
    fn take(&mut self, folder: &Folder, file: u64, mut records: Records) -> io::Result<()> {
        let length = folder.length(file)?;
        let first = records.head().first.max(self.audio);
        let mut bytes = records.offset();
        while let Some(record) = records.next(length)? {
            bytes = records.offset();
            self.record(file, record, records.head().identity);
        }
        if bytes < length || records.skipped > 0 {
            let (damaged, torn) = (records.skipped, length - bytes);
            tracing::warn!(file, torn, damaged, "spool {folder}: bytes that hold nothing whole are skipped");
        }
        self.segments.push_back(Segment { file, first, bytes });
        Ok(())
    }

    fn record(&mut self, file: u64, record: Record, identity: Identity) {
        let restored = &mut self.restored;
        match record {
            Record::Audio(held) => {
                let end = held.end(identity.spec);
                // Each frame counts once, whatever a file says.
                if end > self.audio {
                    self.runs.add(held.at.max(self.audio), end);
                    self.audio = end;
                    restored.end = restored.end.max(end);
                }
            }
            Record::Note(note) => {
                // A gap takes the place at which it stands. A title waits for a frame, which may not have come.
                if matches!(note, Note::Gap(_)) {
                    restored.end = restored.end.max(note.at());
                }
                // What is too much was in a hostile file: the uplink keeps fewer.
                if self.notes.len() < MAX_NOTES {
                    self.notes.push((file, note));
                }
            }
            Record::Numbers(numbers) => {
                let sent = numbers.stretches.last().map_or(Place::ZERO, |stretch| stretch.from);
                restored.end = restored.end.max(numbers.durable).max(sent);
                restored.numbers = numbers;
            }
            Record::Ended => restored.ended = true,
        }
    }
}

//! A bounded place on disk for audio that waits for the recorder, which survives the process.
//!
//! ```text
//! <dir>/<stream>/LOCK                          held while a process uses it
//!                00000000000000000007.spool    the oldest file: removed when all in it is durable, or at the bound
//!                00000000000000000008.spool    the newest: appended to
//! ```
//!
//! Nothing is synced: it is there against the end of the process, not of the power. After either, what is whole in the
//! files counts and nothing else. Files that are not a spool's are set aside, never overwritten.
//! Not here: when to spool, numbers, what the bytes mean.

mod files;
mod format;
mod records;
mod recover;
mod runs;

pub(crate) use files::Folder;
pub(crate) use format::Identity;

use crate::uplink::{Held, Note, Numbers, Place, Record, Restored, Store};
use files::{Segment, SpoolFile};
use livetape_audio::{FrameCount, Instance, Spec};
use records::Records;
use runs::Runs;
use std::collections::VecDeque;
use std::ops::RangeInclusive;
use std::path::PathBuf;

/// The bounds of [`SpoolConfig::max_bytes`].
pub(crate) const MAX_BYTES: RangeInclusive<u64> = 1 << 20..=1 << 40;
/// The bound is kept by removing one of at least so many files.
const FILES: u64 = 16;
/// Largest file, which is what is removed at once.
const FILE_BYTES: RangeInclusive<u64> = 64 << 10..=16 << 20;
/// A larger file in which nothing waits is removed.
const IDLE_BYTES: u64 = 4 << 10;

/// Where audio waits that the recorder has not acknowledged within a second.
#[derive(Clone, Debug)]
pub struct SpoolConfig {
    /// The folder; each stream gets one in it. It is made if it does not exist.
    pub dir: PathBuf,
    /// Most bytes of the files of each stream: 1 MiB to 1 TiB.
    pub max_bytes: u64,
}

impl SpoolConfig {
    /// The usual bound for each stream: 1 GiB, an hour and a half of CD audio.
    pub const USUAL_BYTES: u64 = 1 << 30;

    /// With that.
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self { dir: dir.into(), max_bytes: Self::USUAL_BYTES }
    }
}

/// Why there is no spool. The text names the place.
#[derive(Debug, thiserror::Error)]
pub enum SpoolError {
    /// Another process has it.
    #[error("spool {}: another process uses it; two of them cannot capture one stream", .0.display())]
    Locked(PathBuf),
    /// An operation on the file system failed.
    #[error("spool: cannot {what} {}: {error}", .path.display())]
    Io {
        /// What was tried.
        what: &'static str,
        /// On which file.
        path: PathBuf,
        /// What happened.
        error: std::io::Error,
    },
}

/// A reader that stands at some record of a file.
#[derive(Debug)]
struct Reader {
    /// The file's number.
    file: u64,
    records: Records,
    /// All audio before this place was passed.
    from: Place,
    /// Audio that was read and may be wanted again.
    ahead: Option<Held>,
}

/// The spool of one source.
#[derive(Debug)]
pub(crate) struct Spool {
    folder: Folder,
    max_bytes: u64,
    file_bytes: u64,
    identity: Identity,
    /// Oldest first.
    segments: VecDeque<Segment>,
    /// The newest of them, if it can be appended to.
    open: Option<SpoolFile>,
    next_file: u64,
    /// What is kept and not durable.
    runs: Runs,
    end: Place,
    numbers: Numbers,
    /// Notes that are not settled, and the file that holds each.
    notes: Vec<(u64, Note)>,
    reader: Option<Reader>,
}

impl Spool {
    /// What the folder holds, if that is something; otherwise an empty spool for the audio of `fresh`. May read all of it,
    /// so not for a thread that must not block.
    ///
    /// # Errors
    /// [`SpoolError`]; then the folder is as it was.
    pub(crate) fn open(
        folder: Folder,
        max_bytes: u64,
        fresh: Identity,
    ) -> Result<(Self, Option<(Identity, Restored)>), SpoolError> {
        let found = recover::recover(&folder)?;
        let mut spool = Self {
            folder,
            max_bytes,
            file_bytes: (max_bytes / FILES).clamp(*FILE_BYTES.start(), *FILE_BYTES.end()),
            identity: found.identity.unwrap_or(fresh),
            segments: found.segments,
            open: None,
            next_file: found.next_file,
            runs: found.runs,
            end: found.restored.end,
            numbers: found.restored.numbers.clone(),
            notes: found.notes,
            reader: None,
        };
        spool.runs.settle(spool.numbers.durable);
        if let Some(last) = spool.segments.back() {
            spool.open = spool.folder.reopen(last);
        }
        Ok((spool, found.identity.map(|identity| (identity, found.restored))))
    }

    /// With other sizes, for tests.
    #[cfg(test)]
    pub(crate) const fn sized(mut self, max_bytes: u64, file_bytes: u64) -> Self {
        (self.max_bytes, self.file_bytes) = (max_bytes, file_bytes);
        self
    }

    fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Room for a record of so many bytes: in the file that is open, or in a new one, and below the bound.
    fn make_room(&mut self, bytes: u64) -> Result<(), SpoolError> {
        let full = self.segments.back().is_none_or(|last| last.bytes + bytes > self.file_bytes);
        if full || self.open.is_none() {
            self.roll()?;
        }
        while self.segments.len() > 1 && self.bytes() + bytes > self.max_bytes {
            self.give_up_oldest()?;
        }
        Ok(())
    }

    /// Begins a new file, which holds the numbers.
    fn roll(&mut self) -> Result<(), SpoolError> {
        let (head, mut bytes) = format::head(self.identity, self.end);
        format::encode(&Record::Numbers(self.numbers.clone()), head.seed, &mut bytes);
        let file = self.folder.create(self.next_file, head.seed, &bytes)?;
        let segment = Segment { file: self.next_file, first: self.end, bytes: bytes.len() as u64 };
        self.next_file += 1;
        self.segments.push_back(segment);
        self.open = Some(file);
        Ok(())
    }

    fn give_up_oldest(&mut self) -> Result<(), SpoolError> {
        self.remove_oldest()?;
        let kept = self.segments.front().map_or(self.end, |segment| segment.first);
        self.runs.cut(Place::ZERO, kept);
        Ok(())
    }

    /// Removes the oldest file. Notes in it that are not settled are written once more, to the newest.
    fn remove_oldest(&mut self) -> Result<(), SpoolError> {
        let Some(oldest) = self.segments.front().map(|segment| segment.file) else { return Ok(()) };
        let kept = self.segments.get(1).map_or(self.end, |next| next.first);
        let notes: Vec<_> = self.notes.extract_if(.., |(file, _)| *file == oldest).map(|(_, note)| note).collect();
        // Of titles before all that is kept, the last says what is playing.
        let passed = |note: &&Note| matches!(note, Note::Title(title) if title.at <= kept);
        let playing = notes.iter().filter(passed).map(Note::at).max();
        for note in notes.iter().filter(|note| !passed(note) || Some(note.at()) == playing) {
            self.put(&Record::Note(note.clone()))?;
        }
        self.folder.remove(oldest)?;
        self.segments.pop_front();
        Ok(())
    }

    fn write(&mut self, record: &Record) -> Result<(), SpoolError> {
        let payload = match record {
            Record::Audio(held) => held.chunk.pcm.len(),
            Record::Note(Note::Title(title)) => title.title.as_str().len(),
            _ => 0,
        };
        self.make_room((format::RECORD + payload) as u64)?;
        self.put(record)
    }

    /// Appends to the newest file.
    fn put(&mut self, record: &Record) -> Result<(), SpoolError> {
        let (Some(open), Some(last)) = (&mut self.open, self.segments.back_mut()) else { return Ok(()) };
        let mut bytes = Vec::new();
        format::encode(record, open.seed, &mut bytes);
        open.write(&bytes, last.bytes)?;
        last.bytes += bytes.len() as u64;
        if let Record::Note(note) = record {
            self.notes.push((last.file, note.clone()));
        }
        Ok(())
    }

    /// The audio at or after `from` as the files have it, read on from where the reader stands.
    fn find(&mut self, from: Place) -> std::io::Result<Option<Held>> {
        let spec = self.identity.spec;
        if self.reader.as_ref().is_none_or(|reader| reader.from > from) {
            self.reader = None;
        }
        let mut at = match &self.reader {
            Some(reader) => self.segments.partition_point(|s| s.file < reader.file),
            // The last file that begins at `from` or earlier may hold it.
            None => self.segments.partition_point(|s| s.first <= from).saturating_sub(1),
        };
        while let Some(segment) = self.segments.get(at) {
            let mut reader = match self.reader.take().filter(|reader| reader.file == segment.file) {
                Some(reader) => reader,
                None => match self.folder.read(segment.file)? {
                    Ok(records) => Reader { file: segment.file, records, from, ahead: None },
                    Err(error) => return Err(std::io::Error::other(error)),
                },
            };
            loop {
                if let Some(held) = reader.ahead.take().filter(|held| held.end(spec) > from) {
                    reader.ahead = Some(held.clone());
                    reader.from = from;
                    self.reader = Some(reader);
                    return Ok(Some(held.from(from, spec)));
                }
                match reader.records.next(segment.bytes)? {
                    Some(Record::Audio(held)) => reader.ahead = Some(held),
                    Some(_) => {}
                    None => break,
                }
            }
            reader.from = from;
            self.reader = Some(reader);
            at += 1;
        }
        Ok(None)
    }
}

impl Store for Spool {
    fn append(&mut self, record: &Record) -> Result<(), String> {
        if let Record::Numbers(numbers) = record {
            // A new file begins with them.
            self.numbers = numbers.clone();
        }
        self.write(record).map_err(|error| error.to_string())?;
        if let Record::Audio(held) = record {
            let end = held.end(self.identity.spec);
            self.runs.add(held.at, end);
            self.end = end;
        }
        Ok(())
    }

    fn read(&mut self, from: Place) -> Option<Held> {
        while let Some(place) = self.runs.next(from) {
            let found = self.find(place);
            let lost_until = match &found {
                Ok(Some(held)) if held.at == place => return found.ok().flatten(),
                Ok(Some(held)) => held.at,
                Ok(None) | Err(_) => {
                    let next = self.segments.iter().find(|segment| segment.first > place);
                    next.map_or(self.end, |segment| segment.first)
                }
            };
            let frames = lost_until.since(place);
            match found {
                Err(error) => tracing::error!(%frames, "spool {}: cannot be read: {error}", self.folder),
                Ok(_) => tracing::error!(%frames, "spool {}: audio is damaged and is given up", self.folder),
            }
            self.reader = None;
            self.runs.cut(place, lost_until);
        }
        None
    }

    fn release(&mut self, numbers: &Numbers) {
        self.runs.settle(numbers.durable);
        self.notes.retain(|(_, note)| note.at() >= numbers.durable);
        self.numbers = numbers.clone();
        let done = |segments: &VecDeque<Segment>| segments.get(1).is_some_and(|next| next.first <= numbers.durable);
        let idle = self.runs.is_empty() && self.segments.back().is_some_and(|last| last.bytes > IDLE_BYTES);
        // The numbers have to be kept before what they make needless goes.
        let kept = match (idle, done(&self.segments)) {
            (true, _) => self.roll(),
            (false, true) => self.write(&Record::Numbers(numbers.clone())),
            (false, false) => return,
        };
        if kept.is_err() {
            return;
        }
        while done(&self.segments) && self.remove_oldest().is_ok() {}
    }

    fn let_go(&mut self, numbers: &Numbers) {
        self.release(numbers);
        if self.notes.is_empty() {
            return;
        }
        // Numbers do not tell these notes from wanted ones, so the files that hold them have to go.
        self.notes.clear();
        if let Err(error) = self.roll() {
            tracing::warn!(
                "{error}; what was said about audio that nobody wants may be said once more after a restart"
            );
            return;
        }
        while self.segments.len() > 1 && self.remove_oldest().is_ok() {}
    }

    fn clear(&mut self) -> Result<(), String> {
        self.runs.cut(Place::ZERO, self.end);
        self.notes.clear();
        (self.open, self.reader, self.numbers, self.end) = (None, None, Numbers::default(), Place::ZERO);
        while let Some(oldest) = self.segments.front() {
            self.folder.remove(oldest.file).map_err(|error| error.to_string())?;
            self.segments.pop_front();
        }
        Ok(())
    }

    fn begin(&mut self, instance: Instance, spec: Spec) {
        self.identity = Identity { instance, spec };
    }

    fn waiting(&self) -> FrameCount {
        self.runs.frames()
    }

    fn held(&self) -> u64 {
        let reader = self.reader.as_ref();
        reader.map_or(0, |r| r.records.held() + r.ahead.as_ref().map_or(0, |held| held.chunk.pcm.len() as u64))
    }
}

#[cfg(test)]
mod tests;

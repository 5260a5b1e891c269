//! Checking a recording against its checksums. Read-only; repairs nothing.

use crate::data_dir::DataDir;
use crate::disk::DiskFile;
use crate::error::StoreError;
use crate::format::{Block, Part, TIMELINE};
use crate::index::{Index, proves};
use crate::proof::durable_end;
use crate::recording::Recording;
use crate::segment::path;
use crate::timeline_log::Log;
use livetape_audio::{Frame, Timeline};
use std::path::Path;

/// Most findings that are listed; more are only counted.
const MAX_FINDINGS: usize = 1000;

/// What a check found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Verdict {
    /// Blocks of audio that were compared with their checksums.
    pub blocks: u64,
    /// Bytes of audio in them.
    pub bytes: u64,
    /// What is wrong, each with the file and the frames. Empty, if all is as it was recorded.
    pub findings: Vec<String>,
}

/// Compares all audio with its checksums, the index with the sizes of files, and reads the whole timeline. `progress`
/// is told how many bytes were read since it was last called. Of an open recording, what is proven to be there now is
/// checked; it may grow meanwhile.
///
/// # Errors
/// When files cannot be read; a file that is missing or wrong is a finding, not an error.
pub fn verify(dir: &DataDir, recording: &Recording, progress: &mut dyn FnMut(u64)) -> Result<Verdict, StoreError> {
    recording.check(dir.path())?;
    let end = durable_end(dir, recording)?.end();
    let folder = dir.folder(recording);
    let mut check = Check { dir, recording, folder: &folder, end, verdict: Verdict::default(), more: 0 };
    let mut first = Frame::ZERO;
    loop {
        check.segment(first, progress)?;
        first = first + recording.segment_frames;
        if first >= end {
            break;
        }
    }
    check.timeline()?;
    if check.more > 0 {
        check.verdict.findings.push(format!("and {} more findings", check.more));
    }
    Ok(check.verdict)
}

struct Check<'a> {
    dir: &'a DataDir,
    recording: &'a Recording,
    folder: &'a Path,
    end: Frame,
    verdict: Verdict,
    more: usize,
}

impl Check<'_> {
    fn found(&mut self, path: &Path, what: &str) {
        if self.verdict.findings.len() < MAX_FINDINGS {
            self.verdict.findings.push(format!("{}: {what}", path.display()));
        } else {
            self.more += 1;
        }
    }

    /// Opens a file; that it is missing is a finding.
    fn open(&mut self, path: &Path) -> Result<Option<DiskFile>, StoreError> {
        match self.dir.disk().open(path) {
            Ok(file) => Ok(Some(file)),
            Err(e) if e.is_missing() => {
                self.found(path, "it is missing");
                Ok(None)
            }
            Err(e) => Err(e),
        }
    }

    fn segment(&mut self, first: Frame, progress: &mut dyn FnMut(u64)) -> Result<(), StoreError> {
        let end = self.end.min(first + self.recording.segment_frames);
        let audio_path = path(self.folder, first, Part::Audio);
        let audio = self.open(&audio_path)?;
        if let Some(audio) = &audio {
            self.length(audio, first, end)?;
        }
        let index_path = path(self.folder, first, Part::Index);
        let Some(index) = self.open(&index_path)? else { return Ok(()) };
        let index = Index::read(&index, self.recording, first)?;
        for slot in &index.damaged {
            self.found(&index_path, &format!("block {slot} is damaged"));
        }
        let mut at = first;
        for (_, block) in index.blocks.iter().filter(|(_, block)| block.first < end) {
            self.covered(&index_path, at, block.first);
            at = block.end();
            if let Some(audio) = &audio {
                self.block(audio, block)?;
                progress(self.recording.spec.bytes(block.count()));
            }
        }
        self.covered(&index_path, at, end);
        if at > end && self.recording.seal.is_some() {
            self.found(&index_path, &format!("it goes on to frame {at}, but the recording ends at {end}"));
        }
        Ok(())
    }

    /// A segment that will not grow is exactly as long as its frames.
    fn length(&mut self, audio: &DiskFile, first: Frame, end: Frame) -> Result<(), StoreError> {
        let (len, due) = (audio.len()?, self.recording.spec.bytes(end.since(first)));
        let is_growing = self.recording.seal.is_none() && end == self.end;
        if len < due || (len > due && !is_growing) {
            self.found(audio.path(), &format!("it has {len} bytes, but its frames {first} to {end} have {due}"));
        }
        Ok(())
    }

    fn covered(&mut self, path: &Path, from: Frame, to: Frame) {
        if from < to {
            self.found(path, &format!("frames {from} to {to} have no checksum"));
        }
    }

    fn block(&mut self, audio: &DiskFile, block: &Block) -> Result<(), StoreError> {
        self.verdict.blocks += 1;
        self.verdict.bytes += self.recording.spec.bytes(block.count());
        if !proves(block, audio, self.recording)? {
            let what = format!("frames {} to {} are not what was recorded", block.first, block.end());
            self.found(audio.path(), &what);
        }
        Ok(())
    }

    fn timeline(&mut self) -> Result<(), StoreError> {
        let path = self.folder.join(TIMELINE);
        if self.open(&path)?.is_none() {
            return Ok(());
        }
        let log = Log::read(self.dir.disk(), &path)?;
        for range in &log.damaged {
            self.found(&path, &format!("bytes {} to {} are no entries", range.start, range.end));
        }
        let mut timeline = Timeline::new(self.recording.spec);
        for (range, entry) in log.entries {
            let frame = entry.frame();
            if frame > self.end && self.recording.seal.is_some() {
                self.found(&path, &format!("the entry at byte {} is about frame {frame}, after the end", range.start));
            }
            if let Err(e) = timeline.push(entry) {
                self.found(&path, &format!("the entry at byte {}: {e}", range.start));
            }
        }
        Ok(())
    }
}

//! Opening a recording that was not sealed: after a crash, a power cut, or only a stop.
//!
//! What is proven stays, what follows is cut, so that the next frame gets the number after the last proven one.

use crate::data_dir::DataDir;
use crate::disk::{Disk, DiskFile};
use crate::error::StoreError;
use crate::format::{ENTRY_HEAD, MAX_ENTRY, Part, TIMELINE, UNPROVEN_TIMELINE, unproven_name};
use crate::growing::Growing;
use crate::proof::{Proof, prove, read_index};
use crate::recording::Recording;
use crate::segment::{Segment, path};
use crate::timeline_log::Log;
use crate::writer::TapeWriter;
use livetape_audio::{Anchor, Durable, Entry, Event, EventKind, Frame, FrameCount, Timeline, WallTime};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// More audio than this after the proven end is no torn write, but a lost index: it is kept beside the recording.
const TORN: Duration = Duration::from_secs(10);

/// What a recovery found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recovery {
    /// Where the recording goes on.
    pub end: Durable,
    /// Frames after it that were written but not proven, and are gone.
    pub cut: FrameCount,
    /// Timeline entries about such frames, gone too.
    pub entries: usize,
    /// Bytes of the timeline that were no entries.
    pub damaged: u64,
    /// Files in which unproven bytes were kept, because they were too many for a torn write.
    pub kept: Vec<PathBuf>,
}

impl Recovery {
    /// Whether the recording was left as it was found.
    pub fn is_clean(&self) -> bool {
        self.cut.is_zero() && self.entries == 0 && self.damaged == 0 && self.kept.is_empty()
    }
}

impl TapeWriter {
    /// Opens an unsealed recording to go on with it, in the same segment. What cannot be proven is cut, durably. If
    /// anything was cut, an event with the time `now` says so on the timeline. The recording is read from disk anew.
    ///
    /// Reads the index of the last segment and about one of its blocks; the length of the recording does not matter.
    ///
    /// # Errors
    /// [`StoreError::Sealed`], [`StoreError::ReadOnly`], [`StoreError::Newer`], [`StoreError::Damaged`], and what the
    /// file system refuses. Nothing that is proven has changed then; try again later.
    pub fn recover(dir: &DataDir, recording: Recording, now: WallTime) -> Result<(Self, Recovery), StoreError> {
        dir.writable()?;
        let recording = dir.load(&recording.stream, recording.id)?;
        if recording.seal.is_some() {
            return Err(StoreError::Sealed { id: recording.id });
        }
        let (disk, folder) = (dir.disk(), dir.folder(&recording));
        let proof = prove(disk, &folder, &recording)?;
        let mut recovery = Recovery {
            end: Durable(proof.end),
            cut: FrameCount::ZERO,
            entries: 0,
            damaged: 0,
            kept: set_aside(disk, &folder, &proof)?,
        };
        let unproven = keep_tail(disk, &folder, &recording, &proof, &mut recovery.kept)?;
        recovery.cut = proof.claimed.since(proof.end).max(unproven);
        let (timeline, log) = recover_timeline(disk, &folder, &recording, &mut recovery)?;
        let segment = Segment::resume(disk, &folder, &recording, proof.segment, proof.end)?;
        let mut writer = Self::assemble(dir, recording, segment, timeline, log);
        match tell(&mut writer, &recovery, now) {
            Ok(()) => {}
            // What is proven can be heard and continued without a remark.
            Err(e) if e.is_full() => _ = writer.rewind()?,
            Err(e) => return Err(e),
        }
        Ok((writer, recovery))
    }
}

/// Puts on the timeline what the recovery knows.
fn tell(writer: &mut TapeWriter, recovery: &Recovery, now: WallTime) -> Result<(), StoreError> {
    if !recovery.is_clean() {
        let frame = recovery.end.end();
        let detail = format!(
            "not proven durable, and cut: {} frames, {} timeline entries, {} bytes of the timeline",
            recovery.cut, recovery.entries, recovery.damaged
        );
        writer.note(Entry::Event(Event { frame, time: now, kind: EventKind::Recovered, detail }))?;
    }
    writer.sync().map(drop)
}

/// Renames the files of segments in which nothing is proven, so that none of them is taken for audio or overwritten.
fn set_aside(disk: &Disk, folder: &Path, proof: &Proof) -> Result<Vec<PathBuf>, StoreError> {
    let mut kept = Vec::new();
    for &first in &proof.unproven {
        for part in [Part::Audio, Part::Index] {
            let to = folder.join(unproven_name(first, part));
            match disk.rename(&path(folder, first, part), &to) {
                Ok(()) => kept.push(to),
                Err(e) if e.is_missing() => {}
                Err(e) => return Err(e),
            }
        }
    }
    if !kept.is_empty() {
        disk.sync_dir(folder)?;
    }
    Ok(kept)
}

/// How many frames stand after the proven end. Keeps a copy if they are too many for a torn write.
fn keep_tail(
    disk: &Disk,
    folder: &Path,
    recording: &Recording,
    proof: &Proof,
    kept: &mut Vec<PathBuf>,
) -> Result<FrameCount, StoreError> {
    let spec = recording.spec;
    let audio = match disk.open(&path(folder, proof.segment, Part::Audio)) {
        Ok(file) => file,
        Err(e) if e.is_missing() => return Ok(FrameCount::ZERO),
        Err(e) => return Err(e),
    };
    let from = spec.bytes(proof.end.since(proof.segment));
    let used = used_end(&audio, from)?;
    let (whole, rest) = spec.frames_in(used.saturating_sub(from));
    let frames = whole + FrameCount::new(u64::from(rest > 0));
    if spec.duration(frames) > TORN {
        let to = folder.join(unproven_name(proof.end, Part::Audio));
        copy(disk, &audio, from..from + spec.bytes(frames), &to)?;
        disk.sync_dir(folder)?;
        kept.push(to);
    }
    Ok(frames)
}

/// Calls `f` with the bytes of a file from `range`, piece by piece, and the offset of each.
fn pieces(
    file: &DiskFile,
    range: Range<u64>,
    mut f: impl FnMut(u64, &[u8]) -> Result<(), StoreError>,
) -> Result<(), StoreError> {
    let mut buf = vec![0; 256 * 1024];
    let mut at = range.start;
    while at < range.end {
        let want = (range.end - at).min(buf.len() as u64) as usize;
        let n = file.read_at(buf.get_mut(..want).unwrap_or_default(), at)?;
        f(at, buf.get(..n).unwrap_or_default())?;
        if n < want {
            break;
        }
        at += n as u64;
    }
    Ok(())
}

/// The end of the last byte that is not zero: what was only reserved is zero.
fn used_end(file: &DiskFile, from: u64) -> Result<u64, StoreError> {
    let mut end = from;
    pieces(file, from..file.len()?, |at, bytes| {
        if let Some(last) = bytes.iter().rposition(|&b| b != 0) {
            end = at + last as u64 + 1;
        }
        Ok(())
    })?;
    Ok(end)
}

fn copy(disk: &Disk, from: &DiskFile, range: Range<u64>, to: &Path) -> Result<(), StoreError> {
    let to = disk.create(to)?;
    let start = range.start;
    pieces(from, range, |at, bytes| to.write_all_at(bytes, at - start))?;
    to.sync_all()
}

/// Keeps the entries that stand when the recording ends here. The file is rewritten only if it has more than a torn tail.
fn recover_timeline(
    disk: &Disk,
    folder: &Path,
    recording: &Recording,
    recovery: &mut Recovery,
) -> Result<(Timeline, Growing), StoreError> {
    let file = folder.join(TIMELINE);
    let log = Log::read(disk, &file)?;
    let mut timeline = Timeline::new(recording.spec);
    let mut good = Vec::with_capacity(log.bytes.len());
    let mut is_prefix = true;
    for (range, entry) in &log.entries {
        // What speaks of the frame at the end waits for nothing: that frame brings its own.
        if entry.frame() == recovery.end.end() && !entry.stands_before(recovery.end.end()) {
            continue;
        }
        if entry.frame() > recovery.end.end() || timeline.push(entry.clone()).is_err() {
            recovery.entries += 1;
            continue;
        }
        is_prefix &= range.start == good.len();
        good.extend_from_slice(log.bytes.get(range.clone()).unwrap_or_default());
    }
    recovery.damaged = log.damaged.iter().map(|range| range.len() as u64).sum();
    let garbage = log.damaged.iter().filter_map(|range| log.bytes.get(range.clone())).flatten();
    if garbage.filter(|&&byte| byte != 0).count() > ENTRY_HEAD + MAX_ENTRY {
        let to = folder.join(UNPROVEN_TIMELINE);
        disk.replace(&to, &log.bytes)?;
        recovery.kept.push(to);
    }
    if !is_prefix {
        disk.replace(&file, &good)?;
    }
    let mut log = Growing::resume(disk, &file, good.len() as u64, 0, u64::MAX)?;
    if timeline.last_anchor().is_none() {
        restore_anchor(disk, folder, recording, recovery.end.end(), &mut timeline, &mut log)?;
    }
    Ok((timeline, log))
}

/// A timeline that has lost everything still gets the time of the first frame, which the index knows too.
fn restore_anchor(
    disk: &Disk,
    folder: &Path,
    recording: &Recording,
    end: Frame,
    timeline: &mut Timeline,
    log: &mut Growing,
) -> Result<(), StoreError> {
    let index = read_index(disk, folder, recording, Frame::ZERO)?;
    let Some((_, block)) = index.blocks.first().filter(|(_, block)| block.end() <= end) else { return Ok(()) };
    let entry = Entry::Anchor(Anchor { frame: block.first, time: block.time });
    let record = crate::format::encode_entry(&entry)?;
    timeline.push(entry)?;
    log.append(&record)?;
    log.sync()
}

//! How far an open recording goes, by what can be proven. Read-only; what is done about it is `recovery`'s.

use crate::data_dir::DataDir;
use crate::disk::Disk;
use crate::error::StoreError;
use crate::format::{Block, Part, parse_segment_name};
use crate::index::{Index, proves};
use crate::recording::Recording;
use crate::segment::path;
use livetape_audio::{Durable, Frame};
use std::path::Path;

/// What can be proven about an open recording.
#[derive(Debug)]
pub(crate) struct Proof {
    /// The segment in which it goes on.
    pub(crate) segment: Frame,
    /// The frame after the last one that is proven.
    pub(crate) end: Frame,
    /// The end that the index claims.
    pub(crate) claimed: Frame,
    /// Segments after it in which nothing is proven.
    pub(crate) unproven: Vec<Frame>,
}

/// Where a recording ends; for those who have no recorder to ask. Changes nothing. Of an open recording it is what a
/// recovery would find now, which may be a moment ahead of what is synced.
///
/// # Errors
/// When its files cannot be read.
pub fn durable_end(dir: &DataDir, recording: &Recording) -> Result<Durable, StoreError> {
    match recording.seal {
        Some(seal) => Ok(Durable(seal.end)),
        None => prove(dir.disk(), &dir.folder(recording), recording).map(|proof| Durable(proof.end)),
    }
}

/// The first frames of all segments of which there is a file, last first. Names off the grid are not ours.
pub(crate) fn segments(disk: &Disk, folder: &Path, recording: &Recording) -> Result<Vec<Frame>, StoreError> {
    let mut firsts: Vec<Frame> = disk.list(folder)?.iter().filter_map(|name| parse_segment_name(name)).collect();
    firsts.retain(|&first| recording.segment_of(first) == first);
    firsts.sort_unstable_by(|a, b| b.cmp(a));
    firsts.dedup();
    Ok(firsts)
}

/// The index of a segment; a file that is not there is empty.
pub(crate) fn read_index(disk: &Disk, folder: &Path, recording: &Recording, first: Frame) -> Result<Index, StoreError> {
    match disk.open(&path(folder, first, Part::Index)) {
        Ok(file) => Index::read(&file, recording, first),
        Err(e) if e.is_missing() => Ok(Index::default()),
        Err(e) => Err(e),
    }
}

pub(crate) fn prove(disk: &Disk, folder: &Path, recording: &Recording) -> Result<Proof, StoreError> {
    let mut proof = Proof { segment: Frame::ZERO, end: Frame::ZERO, claimed: Frame::ZERO, unproven: Vec::new() };
    for first in segments(disk, folder, recording)? {
        let index = read_index(disk, folder, recording, first)?;
        if let Some((_, last)) = index.blocks.last() {
            proof.claimed = proof.claimed.max(last.end());
        }
        let end = proven_end(disk, folder, recording, first, &index)?;
        if end > first || first == Frame::ZERO || follows_complete(disk, folder, recording, first)? {
            return Ok(Proof { segment: first, end, ..proof });
        }
        proof.unproven.push(first);
    }
    Ok(proof)
}

/// Whether the segment before is complete; only then one is begun. Its index says so, or, if nothing is left of that, its
/// length.
fn follows_complete(disk: &Disk, folder: &Path, recording: &Recording, first: Frame) -> Result<bool, StoreError> {
    let before = first.back(recording.segment_frames);
    if let Some((_, last)) = read_index(disk, folder, recording, before)?.blocks.last() {
        return Ok(last.end() == first);
    }
    match disk.open(&path(folder, before, Part::Audio)) {
        Ok(file) => Ok(file.len()? >= recording.spec.bytes(recording.segment_frames)),
        Err(e) if e.is_missing() => Ok(false),
        Err(e) => Err(e),
    }
}

/// The frame after the last proven one of a segment; its first frame, if none is.
///
/// The last block that was written after a sync says that all before it was durable. From there on blocks may have
/// reached the disk in any order, so each has to prove itself. If already the first does not, the disk has lost what it
/// said was durable: the last block before that holds is the end.
fn proven_end(
    disk: &Disk,
    folder: &Path,
    recording: &Recording,
    first: Frame,
    index: &Index,
) -> Result<Frame, StoreError> {
    let audio = match disk.open(&path(folder, first, Part::Audio)) {
        Ok(file) => file,
        Err(e) if e.is_missing() => return Ok(first),
        Err(e) => return Err(e),
    };
    let holds = |block: &Block| proves(block, &audio, recording);
    // The first block of a segment is always written after a sync: if none says so, that one is lost.
    let Some(from) = index.blocks.iter().rposition(|(_, block)| block.after_sync) else { return Ok(first) };
    let (before, unsure) = index.blocks.split_at_checked(from).unwrap_or_default();
    let mut end = None;
    for (at, (slot, block)) in unsure.iter().enumerate() {
        let unbroken = at == 0 || unsure.get(at - 1).is_some_and(|(s, b)| s + 1 == *slot && b.end() == block.first);
        if !unbroken || !holds(block)? {
            break;
        }
        end = Some(block.end());
    }
    if let Some(end) = end {
        return Ok(end);
    }
    for (_, block) in before.iter().rev() {
        if holds(block)? {
            return Ok(block.end());
        }
    }
    Ok(first)
}

//! Recordings of any length in no time, for tests: files with holes, which read as silence and take no space.
//!
//! Not a substitute for recording: everything but the silence is as the writer would have left it.

use crate::data_dir::DataDir;
use crate::error::StoreError;
use crate::format::loudness::{self, Counted, LOUDNESS};
use crate::format::peaks::{LEVELS, Layout, peaks_name, record_frames};
use crate::format::{self, Block, Part, RECORDING, TIMELINE, encode_entry};
use crate::recording::{Recording, Seal};
use crate::segment::path;
use crc32fast::Hasher;
use livetape_audio::peaks::Point;
use livetape_audio::{Anchor, Entry, Frame, FrameCount, SealReason};

/// Makes `recording`, which began at its `started`, with `frames` of silence. Sealed when they were over, or open, so
/// that it can be recovered and gone on with: its last block is a second, all others an hour.
///
/// # Errors
/// As for making and writing files.
pub fn sparse_sealed_or_open(
    dir: &DataDir,
    mut recording: Recording,
    frames: FrameCount,
    sealed: bool,
) -> Result<Recording, StoreError> {
    dir.writable()?;
    let (disk, folder) = (dir.disk(), dir.folder(&recording));
    recording.check(&folder)?;
    let (spec, end) = (recording.spec, Frame::ZERO + frames);
    disk.create_dirs(&folder)?;
    let mut first = Frame::ZERO;
    while first == Frame::ZERO || first < end {
        let next = end.min(first + recording.segment_frames);
        let audio = disk.create(&path(&folder, first, Part::Audio))?;
        audio.set_len(spec.bytes(next.since(first)))?;
        let index: Vec<u8> = blocks(&recording, first, next).iter().flat_map(Block::encode).collect();
        disk.create(&path(&folder, first, Part::Index))?.write_all_at(&index, 0)?;
        first = first + recording.segment_frames;
    }
    peaks(dir, &recording, frames, sealed)?;
    loudness(dir, &recording, frames, sealed)?;
    timeline(dir, &recording, &[Entry::Anchor(Anchor { frame: Frame::ZERO, time: recording.started })])?;
    if sealed {
        let ended = recording.started.after_frames(frames, spec);
        recording.seal =
            Some(Seal { end, earliest: Some(recording.started), ended, reason: SealReason::Operator, next: None });
    }
    disk.replace(&folder.join(RECORDING), &format::encode_recording(&recording))?;
    Ok(recording)
}

/// Gives a recording this timeline, in place of the one it has: times of day that run at the nominal rate.
///
/// # Errors
/// As for making and writing files.
pub fn timeline(dir: &DataDir, recording: &Recording, entries: &[Entry]) -> Result<(), StoreError> {
    let mut log = Vec::new();
    for entry in entries {
        log.extend(encode_entry(entry)?);
    }
    dir.disk().create(&dir.folder(recording).join(TIMELINE))?.write_all_at(&log, 0)
}

/// Of silence, too, there is a record for so many frames.
fn peaks(dir: &DataDir, recording: &Recording, frames: FrameCount, sealed: bool) -> Result<(), StoreError> {
    for level in 0..LEVELS {
        let (layout, size) = (Layout::new(recording, level), record_frames(level));
        let count = if sealed && level == 0 { frames.get().div_ceil(size) } else { frames.get() / size };
        if count == 0 {
            break;
        }
        let file = dir.disk().create(&dir.folder(recording).join(peaks_name(level)))?;
        file.write_all_at(layout.head(), 0)?;
        let (mut bytes, silence) = (Vec::new(), [Point::default(); 8]);
        for record in 0..count {
            let channels = silence.into_iter().take(usize::from(recording.spec.channels()));
            let offset = layout.offset(record + 1) - bytes.len() as u64 - layout.record_bytes() as u64;
            layout.encode(record, channels, &mut bytes);
            if bytes.len() > 1 << 20 || record + 1 == count {
                file.write_all_at(&bytes, offset)?;
                bytes.clear();
            }
        }
    }
    Ok(())
}

/// Silence has no loudness, which is counted for each minute.
fn loudness(dir: &DataDir, recording: &Recording, frames: FrameCount, sealed: bool) -> Result<(), StoreError> {
    let (layout, length) = (loudness::Layout::new(recording), loudness::minute(recording.spec).get());
    let count = if sealed { frames.get().div_ceil(length) } else { frames.get() / length };
    let file = dir.disk().create(&dir.folder(recording).join(LOUDNESS))?;
    file.write_all_at(&layout.head, 0)?;
    let mut counted = Counted::default();
    for record in 0..count {
        counted.end = Frame::new(((record + 1) * length).min(frames.get()));
        file.write_all_at(&layout.encode(record, &counted), loudness::Layout::offset(record))?;
    }
    Ok(())
}

/// The index of the silent frames from `first` to `end`.
fn blocks(recording: &Recording, first: Frame, end: Frame) -> Vec<Block> {
    let (spec, second) = (recording.spec, u64::from(recording.spec.rate()));
    let mut blocks = Vec::new();
    let mut at = first;
    while at < end {
        let left = end.since(at).get();
        let long = left.saturating_sub(second).min(3600 * second);
        let count = FrameCount::new(if long > 0 { long } else { left });
        blocks.push(Block {
            first: at,
            frames: u32::try_from(count.get()).unwrap_or(u32::MAX),
            time: recording.started.after_frames(at.since(Frame::ZERO), spec),
            audio: crc_of_zeros(spec.bytes(count)),
            after_sync: true,
        });
        at = at + count;
    }
    blocks
}

/// CRC-32 of `len` zero bytes, by doubling: what two halves have is combined.
fn crc_of_zeros(len: u64) -> u32 {
    let (mut whole, mut power) = (Hasher::new(), Hasher::new());
    power.update(&[0]);
    let mut left = len;
    while left > 0 {
        if left & 1 == 1 {
            whole.combine(&power);
        }
        let half = power.clone();
        power.combine(&half);
        left >>= 1;
    }
    whole.finalize()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zeros_have_their_checksum() {
        for len in [0, 1, 2, 3, 1000, 65_537] {
            assert_eq!(crc_of_zeros(len), crc32fast::hash(&vec![0; len as usize]), "{len} bytes");
        }
    }
}

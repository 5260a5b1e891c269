//! The index of one segment: reading it, however damaged, and merging its blocks.

use crate::disk::DiskFile;
use crate::error::StoreError;
use crate::format::{BLOCK_BYTES, Block};
use crate::recording::Recording;
use crc32fast::Hasher;
use livetape_audio::{Frame, Spec};
use std::time::Duration;

/// Most bytes of an index: more than thirty million blocks.
const MAX_INDEX: u64 = 1 << 30;

/// How far a block's time may be from what the frames before it say, to be merged with them.
const SAME_TIME: Duration = Duration::from_millis(1);

/// The blocks of a segment, each with the slot that it has in the file. Slots that hold none are left out.
#[derive(Debug, Default)]
pub(crate) struct Index {
    pub(crate) blocks: Vec<(u64, Block)>,
    /// Slots before the last block that hold none, although something was written there.
    pub(crate) damaged: Vec<u64>,
}

impl Index {
    /// Reads the index of the segment that begins at `first`. What is no block, or lies outside the segment or before
    /// an earlier block, counts as damaged.
    pub(crate) fn read(file: &DiskFile, recording: &Recording, first: Frame) -> Result<Self, StoreError> {
        let bytes = file.read_all(MAX_INDEX)?;
        let (mut index, mut from, mut holes) = (Self::default(), first, Vec::new());
        let (slots, _torn) = bytes.as_chunks::<BLOCK_BYTES>();
        for (slot, bytes) in (0..).zip(slots) {
            match Block::decode(bytes) {
                Some(block) if block.first >= from && block.end() <= first + recording.segment_frames => {
                    from = block.end();
                    index.blocks.push((slot, block));
                    index.damaged.append(&mut holes);
                }
                _ => holes.push(slot),
            }
        }
        Ok(index)
    }

    /// Slots that the blocks before `end` take up.
    pub(crate) fn slots_before(&self, end: Frame) -> u64 {
        self.blocks.iter().rev().find(|(_, block)| block.end() <= end).map_or(0, |(slot, _)| slot + 1)
    }
}

/// Merges consecutive blocks to about a second each, never across a jump of the time of day.
pub(crate) fn merge(blocks: impl IntoIterator<Item = Block>, spec: Spec) -> Vec<Block> {
    let mut merged: Vec<Block> = Vec::new();
    for block in blocks {
        match merged.last_mut() {
            Some(last) if fits(last, &block, spec) => {
                last.audio = joined(last, &block, spec);
                last.frames = last.frames.saturating_add(block.frames);
            }
            // Merged blocks are durable, and so is everything before them.
            _ => merged.push(Block { after_sync: true, ..block }),
        }
    }
    merged
}

fn fits(last: &Block, next: &Block, spec: Spec) -> bool {
    last.end() == next.first
        && last.frames.saturating_add(next.frames) <= spec.rate()
        && last.time.after_frames(last.count(), spec).distance(next.time) <= SAME_TIME
}

/// The checksum of the audio of two blocks, one after the other.
fn joined(a: &Block, b: &Block, spec: Spec) -> u32 {
    let mut hasher = Hasher::new_with_initial_len(a.audio, spec.bytes(a.count()));
    hasher.combine(&Hasher::new_with_initial_len(b.audio, spec.bytes(b.count())));
    hasher.finalize()
}

/// Whether the audio of a block is there and is what was written. Reads nothing beyond it.
pub(crate) fn proves(block: &Block, audio: &DiskFile, recording: &Recording) -> Result<bool, StoreError> {
    let mut left = recording.spec.bytes(block.count());
    let mut offset = recording.offset(block.first);
    if audio.len()? < offset.saturating_add(left) {
        return Ok(false);
    }
    let mut buf = vec![0; left.min(256 * 1024) as usize];
    let mut hasher = Hasher::new();
    while left > 0 {
        buf.truncate(left.min(buf.len() as u64) as usize);
        let n = audio.read_at(&mut buf, offset)?;
        if n < buf.len() {
            return Ok(false);
        }
        hasher.update(&buf);
        offset += n as u64;
        left -= n as u64;
    }
    Ok(hasher.finalize() == block.audio)
}

#[cfg(test)]
mod tests {
    use super::*;
    use livetape_audio::{SampleFormat, WallTime};

    #[test]
    fn merging_keeps_frames_times_and_checksums() {
        let spec = Spec::new(SampleFormat::S16, 8_000, 1).unwrap();
        let audio: Vec<u8> = (0..8_000 * 2 * 3).map(|n: u32| ((n * 7) >> 3) as u8).collect();
        let start = WallTime::from_unix_nanos(1_763_649_000_000_000_000);
        let block = |first: u32, frames: u32, late: u64| Block {
            first: Frame::new(u64::from(first)),
            frames,
            time: start.later(Duration::from_millis(u64::from(first) / 8 + late)),
            audio: crc32fast::hash(&audio[first as usize * 2..][..frames as usize * 2]),
            after_sync: false,
        };
        // Twelve blocks of 800 frames; from the sixth on the clock is 5 ms late; one frame is missing at 9 600.
        let mut blocks: Vec<Block> = (0..12).map(|n| block(n * 800, 800, if n < 5 { 0 } else { 5 })).collect();
        blocks.extend((0..4).map(|n| block(9_601 + n * 800, 800, 5)));
        let merged = merge(blocks, spec);
        let shape: Vec<_> = merged.iter().map(|b| (b.first.get(), b.frames)).collect();
        assert_eq!(shape, [(0, 4_000), (4_000, 5_600), (9_601, 3_200)]);
        for b in &merged {
            let at = b.first.get() as usize * 2;
            assert_eq!(b.audio, crc32fast::hash(&audio[at..at + b.frames as usize * 2]));
            assert!(b.after_sync);
        }
        assert_eq!(merge(merged.clone(), spec), merged, "merging again changes nothing");
        let long: Vec<Block> = (0..20).map(|n| block(n * 800, 800, 0)).collect();
        assert_eq!(merge(long, spec).iter().map(|b| b.frames).collect::<Vec<_>>(), [8_000, 8_000]);
    }
}

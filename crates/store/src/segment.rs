//! The segment that is being written: audio and index, side by side.
//!
//! A segment is begun only when the one before is complete and durable, so what is not durable is never in more than
//! one of them.

use crate::disk::Disk;
use crate::error::StoreError;
use crate::format::{BLOCK_BYTES, Block, Part, segment_name};
use crate::growing::Growing;
use crate::index::{Index, merge};
use crate::proof::read_index;
use crate::recording::Recording;
use livetape_audio::{Frame, FrameCount, WallTime};
use std::path::{Path, PathBuf};

/// Index bytes that are reserved at a time: minutes of blocks.
const INDEX_STEP: u64 = 64 * 1024;

#[derive(Debug)]
pub(crate) struct Segment {
    first: Frame,
    /// Frames that were written, and of them the durable ones.
    written: FrameCount,
    durable: FrameCount,
    audio: Growing,
    index: Growing,
    /// The file system of both.
    device: u64,
}

/// Audio bytes that are reserved at a time: about half a minute.
fn audio_step(recording: &Recording) -> u64 {
    (recording.spec.byte_rate() * 30).clamp(1 << 20, 64 << 20)
}

fn most_bytes(recording: &Recording) -> (u64, u64) {
    let frames = recording.segment_frames;
    (recording.spec.bytes(frames), frames.get().saturating_mul(BLOCK_BYTES as u64))
}

pub(crate) fn path(folder: &Path, first: Frame, part: Part) -> PathBuf {
    folder.join(segment_name(first, part))
}

impl Segment {
    /// A new, empty segment. Its files are durable.
    pub(crate) fn create(disk: &Disk, folder: &Path, recording: &Recording, first: Frame) -> Result<Self, StoreError> {
        let (audio, index) = most_bytes(recording);
        let audio = Growing::create(disk, &path(folder, first, Part::Audio), audio_step(recording), audio)?;
        let index = Growing::create(disk, &path(folder, first, Part::Index), INDEX_STEP, index)?;
        disk.sync_dir(folder)?;
        let device = audio.file().device()?;
        Ok(Self { first, written: FrameCount::ZERO, durable: FrameCount::ZERO, audio, index, device })
    }

    /// The segment from `first` on whose frames before `end` are good. Cuts what follows, durably.
    pub(crate) fn resume(
        disk: &Disk,
        folder: &Path,
        recording: &Recording,
        first: Frame,
        end: Frame,
    ) -> Result<Self, StoreError> {
        let (most_audio, most_index) = most_bytes(recording);
        let written = end.since(first);
        let audio_path = path(folder, first, Part::Audio);
        let used = recording.spec.bytes(written);
        let index_path = path(folder, first, Part::Index);
        let slots = read_index(disk, folder, recording, first)?.slots_before(end);
        let audio = Growing::resume(disk, &audio_path, used, audio_step(recording), most_audio)?;
        let index = Growing::resume(disk, &index_path, slots * BLOCK_BYTES as u64, INDEX_STEP, most_index)?;
        disk.sync_dir(folder)?;
        let device = audio.file().device()?;
        Ok(Self { first, written, durable: written, audio, index, device })
    }

    /// The file system that it is on.
    pub(crate) const fn device(&self) -> u64 {
        self.device
    }

    /// The frame after the last one that was written.
    pub(crate) fn end(&self) -> Frame {
        self.first + self.written
    }

    /// The frame after the last durable one.
    pub(crate) fn durable_end(&self) -> Frame {
        self.first + self.durable
    }

    /// How many frames still fit.
    pub(crate) fn room(&self, recording: &Recording) -> FrameCount {
        recording.segment_frames - self.written
    }

    /// Writes whole frames, at most as many as fit. After an error only [`Segment::durable_end`] is known.
    pub(crate) fn append(&mut self, recording: &Recording, frames: &[u8], time: WallTime) -> Result<(), StoreError> {
        let (count, _) = recording.spec.frames_in(frames.len() as u64);
        let block = Block {
            first: self.end(),
            // At most a segment, which is counted in 32 bits.
            frames: u32::try_from(count.get()).unwrap_or(u32::MAX),
            time,
            audio: crc32fast::hash(frames),
            after_sync: self.written == self.durable,
        };
        self.audio.append(frames)?;
        self.index.append(&block.encode())?;
        self.written = self.written + count;
        Ok(())
    }

    /// Makes all that was written durable.
    pub(crate) fn sync(&mut self) -> Result<(), StoreError> {
        self.audio.sync()?;
        self.index.sync()?;
        self.durable = self.written;
        Ok(())
    }

    /// All that was written is durable.
    pub(crate) const fn settled(&mut self) {
        self.audio.settled();
        self.index.settled();
        self.durable = self.written;
    }

    /// Back to what is durable, in memory and on disk.
    pub(crate) fn rewind(&mut self, disk: &Disk, folder: &Path, recording: &Recording) -> Result<(), StoreError> {
        self.written = self.durable;
        *self = Self::resume(disk, folder, recording, self.first, self.first + self.durable)?;
        Ok(())
    }

    /// Cuts reserved space and merges the index. Everything has to be durable. It can still be written afterwards.
    pub(crate) fn finish(&mut self, disk: &Disk, folder: &Path, recording: &Recording) -> Result<(), StoreError> {
        self.audio.cut()?;
        self.index.cut()?;
        let before = Index::read(self.index.file(), recording, self.first)?;
        let merged = merge(before.blocks.iter().map(|(_, block)| *block), recording.spec);
        // A damaged index stays as it is: merging would hide where.
        if merged.len() == before.blocks.len() || !before.damaged.is_empty() {
            return Ok(());
        }
        let bytes: Vec<u8> = merged.iter().flat_map(Block::encode).collect();
        disk.replace(self.index.file().path(), &bytes)?;
        self.rewind(disk, folder, recording)
    }
}

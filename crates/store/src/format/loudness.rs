//! Loudness on disk: a record for each minute of frames, which says how many gating blocks of which loudness there were from
//! the beginning of the recording to its end. The last one may be of a part of a minute, and is written again.
//!
//! ```text
//! head:   "LIVETLUF", as `derived` says
//! record: 0 frames of the recording that it tells of u64 | 8 counts, see `audio/loudness` | CRC-32 u32 of head, number, both
//! ```

use super::derived::{self, HEAD};
use super::{le32, le64};
use crate::recording::Recording;
use livetape_audio::loudness::Distribution;
use livetape_audio::{Frame, FrameCount, Spec};

/// In a recording's folder.
pub(crate) const LOUDNESS: &str = "minutes.loudness";
const MAGIC: &[u8; 8] = b"LIVETLUF";
const FORMAT: u32 = 2;
/// Bytes of a record.
pub(crate) const RECORD: usize = 8 + Distribution::BYTES + 4;

/// What a record says: blocks that end up to some frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) end: Frame,
    pub(crate) blocks: Distribution,
}

/// How the records of a file look.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    pub(crate) head: [u8; HEAD],
}

/// Frames of a minute.
pub(crate) fn minute(spec: Spec) -> FrameCount {
    FrameCount::new(u64::from(spec.rate()) * 60)
}

impl Layout {
    pub(crate) fn new(recording: &Recording) -> Self {
        Self { head: derived::head(MAGIC, FORMAT, minute(recording.spec).get(), recording) }
    }

    /// Where a record lies.
    pub(crate) const fn offset(record: u64) -> u64 {
        HEAD as u64 + record * RECORD as u64
    }

    /// How many whole records a file of this length has room for.
    pub(crate) const fn records(len: u64) -> u64 {
        len.saturating_sub(HEAD as u64) / RECORD as u64
    }

    pub(crate) fn encode(&self, record: u64, counted: &Counted) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(RECORD);
        bytes.extend_from_slice(&counted.end.get().to_le_bytes());
        bytes.extend_from_slice(&counted.blocks.to_bytes());
        let check = derived::check(&self.head, record, &bytes);
        bytes.extend_from_slice(&check.to_le_bytes());
        bytes
    }

    /// What a record says, if it is that record.
    pub(crate) fn decode(&self, record: u64, bytes: &[u8]) -> Option<Counted> {
        let (says, check) = bytes.split_at_checked(RECORD - 4)?;
        if check.len() != 4 || le32(check, 0) != derived::check(&self.head, record, says) {
            return None;
        }
        let blocks = Distribution::from_bytes(says.get(8..).unwrap_or_default())?;
        Some(Counted { end: Frame::new(le64(says, 0)), blocks })
    }
}

//! Waveform data on disk: a file for each zoom, with records of equal length, one after the other.
//!
//! ```text
//! head:   "LIVETPKS", as `derived` says
//! record: for each channel lowest i16, highest i16, root mean square u16 | CRC-32 u32 of head, number of the record, points
//! ```
//! A record proves by itself that it belongs to this recording, this zoom and this place: files need no end mark, and what
//! a crash or a foreign hand has left is found where it is read.

use super::derived::{self, HEAD};
use super::{le32, le64};
use crate::recording::Recording;
use livetape_audio::peaks::Point;

/// Frames of a record of the finest zoom, and how many records make one of the next.
const BASE: u64 = 256;
pub(crate) const FACTOR: u64 = 4;
/// The coarsest zoom has records of 2^24 frames: no recording has more than some ten thousand of them.
pub(crate) const LEVELS: usize = 9;

const MAGIC: &[u8; 8] = b"LIVETPKS";
const FORMAT: u32 = 1;

/// Frames of a record of a zoom, from the finest, 0, on.
pub(crate) const fn record_frames(level: usize) -> u64 {
    BASE * FACTOR.pow(level as u32)
}

pub(crate) fn peaks_name(level: usize) -> String {
    format!("{}.peaks", record_frames(level))
}

/// How the records of a file look.
#[derive(Clone, Debug)]
pub(crate) struct Layout {
    head: [u8; HEAD],
    channels: usize,
}

impl Layout {
    pub(crate) fn new(recording: &Recording, level: usize) -> Self {
        let head = derived::head(MAGIC, FORMAT, record_frames(level), recording);
        Self { head, channels: usize::from(recording.spec.channels()) }
    }

    /// What every file begins with.
    pub(crate) const fn head(&self) -> &[u8; HEAD] {
        &self.head
    }

    pub(crate) const fn record_bytes(&self) -> usize {
        self.channels * 6 + 4
    }

    /// Where a record lies.
    pub(crate) const fn offset(&self, record: u64) -> u64 {
        HEAD as u64 + record * self.record_bytes() as u64
    }

    /// How many whole records a file of this length has room for.
    pub(crate) const fn records(&self, len: u64) -> u64 {
        len.saturating_sub(HEAD as u64) / self.record_bytes() as u64
    }

    /// Adds record number `record` to `bytes`: a point for each channel.
    pub(crate) fn encode(&self, record: u64, points: impl Iterator<Item = Point>, bytes: &mut Vec<u8>) {
        let start = bytes.len();
        for point in points {
            bytes.extend_from_slice(&point.min.to_le_bytes());
            bytes.extend_from_slice(&point.max.to_le_bytes());
            bytes.extend_from_slice(&point.rms.to_le_bytes());
        }
        let check = derived::check(&self.head, record, bytes.get(start..).unwrap_or_default());
        bytes.extend_from_slice(&check.to_le_bytes());
    }

    /// The points of a record, if it is that record.
    pub(crate) fn decode<'a>(&self, record: u64, bytes: &'a [u8]) -> Option<impl Iterator<Item = Point> + use<'a>> {
        let (points, check) = bytes.split_at_checked(self.record_bytes() - 4)?;
        (check.len() == 4 && le32(check, 0) == derived::check(&self.head, record, points)).then(|| {
            points.as_chunks::<6>().0.iter().map(|bytes| {
                let word = |at| (le64(bytes, 0) >> (16 * at)) as u16;
                Point { min: word(0) as i16, max: word(1) as i16, rms: word(2) }
            })
        })
    }
}

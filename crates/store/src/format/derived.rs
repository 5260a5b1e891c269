//! What files have in common that can be made again from the audio: a head that says whose they are, and then records of equal
//! length, each with a checksum of its own.
//!
//! ```text
//! head: 0 what it is | 8 format u32 | 12 frames of a record u32 | 16 channels u32 | 20 rate u32 | 24 recording id, text
//!       60 CRC-32 of bytes 0 to 59 u32
//! ```

use super::le32;
use crate::recording::Recording;
use crc32fast::Hasher;

pub(crate) const HEAD: usize = 64;

/// What a file begins with whose records tell of so many frames each.
pub(super) fn head(magic: &[u8; 8], format: u32, frames: u64, recording: &Recording) -> [u8; HEAD] {
    let (spec, id) = (recording.spec, recording.id.to_string());
    let mut head = [0; HEAD];
    let frames = u32::try_from(frames).unwrap_or(u32::MAX);
    let numbers = [format, frames, u32::from(spec.channels()), spec.rate()];
    let text = magic.iter().copied().chain(numbers.into_iter().flat_map(u32::to_le_bytes)).chain(id.bytes());
    for (place, byte) in head.iter_mut().zip(text) {
        *place = byte;
    }
    let (said, check) = head.split_at_mut(HEAD - 4);
    check.copy_from_slice(&crc32fast::hash(said).to_le_bytes());
    head
}

/// CRC-32 of the head's own, the record's number and what it says.
pub(super) fn check(head: &[u8; HEAD], record: u64, says: &[u8]) -> u32 {
    let mut hasher = Hasher::new_with_initial(le32(head, HEAD - 4));
    hasher.update(&record.to_le_bytes());
    hasher.update(says);
    hasher.finalize()
}

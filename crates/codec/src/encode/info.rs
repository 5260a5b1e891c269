//! The Info frame of an MP3 file: a frame that is not heard, and says how many follow and how much of the first and the last does
//! not count. Decoders that know it (ffmpeg, browsers, VLC, mpg123, ours) cut to the sample; others hear a moment of silence more.
//!
//! Only of a file whose end is known and that nobody reads from its midst: a rendition of a recording has none.

use super::{Codec, Encoding, Track};

/// Frames by which every decoder is late, which they know: what is said to be cut off comes on top of it.
const DECODER: u64 = 529;
/// From `Info` on: flags, frames, bytes, a table of places, quality; then what LAME has to say.
const TAG: usize = 4 + 4 + 4 + 4 + 100 + 4 + 36;
/// Frames, bytes, places and quality are there.
const FLAGS: u32 = 0b1111;

impl Track {
    /// The Info frame of a file of an [`Encoding::clip`] of so many frames of the recording; empty for others.
    pub fn info(&self, frames: u64) -> Vec<u8> {
        let encoding = self.encoding();
        if encoding.codec() != Codec::Mp3 || encoding.lead() == 0 {
            return Vec::new();
        }
        let mut out = head(encoding);
        let (heard, packets) = (encoding.heard(frames), encoding.packets(frames));
        let delay = encoding.lead() - DECODER;
        let padding = (packets * encoding.grid().packet_frames()).saturating_sub(delay + heard);
        let bytes = size(self.len(frames, true) + out.len() as u64);
        let mut tag = Vec::with_capacity(TAG);
        tag.extend_from_slice(b"Info");
        for number in [FLAGS, size(packets), bytes] {
            tag.extend_from_slice(&number.to_be_bytes());
        }
        // Of a constant bitrate, time and bytes go together.
        tag.extend((0..100_u32).map(|percent| (percent * 256 / 100) as u8));
        tag.extend_from_slice(&[0; 4]);
        let made_by = Codec::Mp3.made_by();
        let version = made_by.split_once('.').map_or("", |(_, version)| version);
        tag.extend(format!("LAME{version:5.5}").bytes());
        // A constant bitrate; no low pass, peak or gain is told.
        tag.push(1);
        tag.extend_from_slice(&[0; 10]);
        tag.push(u8::try_from(encoding.kbps()).unwrap_or(u8::MAX));
        let cut = ((delay as u32) << 12) | (padding as u32 & 0xFFF);
        tag.extend_from_slice(cut.to_be_bytes().get(1..).unwrap_or_default());
        let stereo = if encoding.pick().len() == 1 { 0 } else { 3 };
        let rate = match encoding.rate() {
            48_000 => 2,
            44_100 => 1,
            _ => 0,
        };
        tag.push(rate << 6 | stereo << 2);
        tag.extend_from_slice(&[0; 3]);
        tag.extend_from_slice(&bytes.to_be_bytes());
        // The checksum of the audio, which nobody has made yet.
        tag.extend_from_slice(&[0; 2]);
        let at = 4 + side(encoding);
        let len = out.len();
        out.splice(at.., tag);
        let sum = checksum(&out);
        out.extend_from_slice(&sum.to_be_bytes());
        out.resize(len, 0);
        out
    }
}

/// In 32 bits: what is longer has no such number, and players go by the length of the file.
fn size(number: u64) -> u32 {
    u32::try_from(number).unwrap_or(u32::MAX)
}

/// Bytes between the head of a frame and where its tag stands.
fn side(encoding: Encoding) -> usize {
    match (encoding.rate(), encoding.pick().len()) {
        (32_000.., 1) => 17,
        (32_000.., _) => 32,
        (_, 1) => 9,
        _ => 17,
    }
}

/// A frame of zeros that has room for the tag, with the head of one that is heard (ISO/IEC 11172-3, section 2.4.1.3): of its bitrate
/// if that is high enough.
fn head(encoding: Encoding) -> Vec<u8> {
    let (rate, bitrates) = (encoding.rate(), Codec::Mp3.bitrates(encoding.rate()));
    let frame = |kbps: u16| encoding.grid().packet_frames() / 8 * u64::from(kbps) * 1000 / u64::from(rate);
    let fits = |kbps: &u16| frame(*kbps) >= (4 + side(encoding) + TAG) as u64;
    let own = Some(encoding.kbps()).filter(fits);
    let kbps = own.or_else(|| bitrates.iter().copied().find(|kbps| fits(kbps))).unwrap_or(encoding.kbps());
    let index = bitrates.iter().position(|known| *known == kbps).map_or(0, |at| at as u8 + 1);
    // MPEG 1, 2 and 2.5; layer III, no checksum.
    let (version, rates) = match rate {
        32_000.. => (0b11, [44_100, 48_000, 32_000]),
        16_000.. => (0b10, [22_050, 24_000, 16_000]),
        _ => (0b00, [11_025, 12_000, 8_000]),
    };
    let of_rate = rates.iter().position(|known| *known == rate).unwrap_or_default() as u8;
    let mode = if encoding.pick().len() == 1 { 0b11 } else { 0b01 };
    // An original, as LAME's are.
    let mut out = vec![0xFF, 0xE0 | version << 3 | 0b011, index << 4 | of_rate << 2, mode << 6 | 0b100];
    out.resize(frame(kbps) as usize, 0);
    out
}

/// CRC-16 as LAME has it: of all that comes before it.
fn checksum(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |sum, &byte| {
        (0..8).fold(sum ^ u16::from(byte), |sum, _| if sum & 1 == 1 { sum >> 1 ^ 0xA001 } else { sum >> 1 })
    })
}

#[cfg(test)]
#[cfg(feature = "mp3")]
#[path = "info_tests.rs"]
mod tests;

//! Ogg pages (RFC 3533) of Opus packets (RFC 7845), all packets of one length.
//!
//! Pages are made when they are read, so that a rendition begins at time 0 wherever in a recording it begins.

use super::Encoding;

/// Packets of a full page: 200 ms.
pub(super) const PACKETS: u64 = 10;
/// Frames that are thrown away where a decoder begins in the midst: 80 ms, as RFC 7845, section 4.6 recommends.
pub(super) const CONVERGENCE: u16 = 3840;
/// Most bytes that a lacing value stands for.
const FULL: usize = 255;

/// Packets that a link of a chain begins with, which were heard in the one before it: its last page. 80 ms are enough to begin
/// anywhere; where the sound goes on, a decoder that is not at home by then can be told from one that is.
pub(super) const REPEATED: u64 = PACKETS;

const FIRST: u8 = 2;
const LAST: u8 = 4;

/// What a page says of itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Stamp {
    /// Of the stream.
    pub(super) serial: u32,
    /// Of the page, from 0.
    pub(super) number: u32,
    /// Frames that are complete with it, pre-skip included.
    pub(super) granule: u64,
    /// Whether nothing follows.
    pub(super) last: bool,
}

/// Bytes of a page of so many packets of one length.
pub(super) const fn page_bytes(packets: u64, packet: u64) -> u64 {
    27 + packets * (packet / FULL as u64 + 1) + packets * packet
}

/// A page of packets of one length. At most 255 lacing values: ten packets have at most sixty.
pub(super) fn page(stamp: Stamp, packets: &[u8], packet: usize, out: &mut Vec<u8>) {
    let at = out.len();
    let lacing = packets.len() / packet.max(1) * (packet / FULL + 1);
    out.extend_from_slice(b"OggS\0");
    out.push(if stamp.last { LAST } else { 0 } | if stamp.number == 0 { FIRST } else { 0 });
    out.extend_from_slice(&stamp.granule.to_le_bytes());
    out.extend_from_slice(&stamp.serial.to_le_bytes());
    out.extend_from_slice(&stamp.number.to_le_bytes());
    out.extend_from_slice(&[0; 4]);
    out.push(lacing as u8);
    for _ in packets.chunks_exact(packet.max(1)) {
        out.extend(std::iter::repeat_n(FULL as u8, packet / FULL));
        out.push((packet % FULL) as u8);
    }
    out.extend_from_slice(packets);
    let sum = checksum(out.get(at..).unwrap_or_default());
    if let Some(place) = out.get_mut(at + 22..at + 26) {
        place.copy_from_slice(&sum.to_le_bytes());
    }
}

/// The two pages before the audio. `pre_skip` frames of what is decoded are not heard. A title that is empty is not told.
pub(super) fn headers(encoding: Encoding, pre_skip: u16, serial: u32, title: &str) -> Vec<u8> {
    let mut head = b"OpusHead\x01".to_vec();
    head.push(encoding.pick().len() as u8);
    head.extend_from_slice(&pre_skip.to_le_bytes());
    head.extend_from_slice(&encoding.spec().rate().to_le_bytes());
    head.extend_from_slice(&[0; 3]);
    let vendor = b"livetape";
    let mut tags = b"OpusTags".to_vec();
    tags.extend_from_slice(&(vendor.len() as u32).to_le_bytes());
    tags.extend_from_slice(vendor);
    let comments: Vec<_> =
        Some(title).filter(|title| !title.is_empty()).map(|title| format!("TITLE={title}")).into_iter().collect();
    tags.extend_from_slice(&(comments.len() as u32).to_le_bytes());
    for comment in comments {
        tags.extend_from_slice(&(comment.len() as u32).to_le_bytes());
        tags.extend_from_slice(comment.as_bytes());
    }
    let mut out = Vec::new();
    for (number, packet) in (0..).zip([head, tags]) {
        page(Stamp { serial, number, granule: 0, last: false }, &packet, packet.len(), &mut out);
    }
    out
}

const fn table() -> [u32; 256] {
    let mut table = [0; 256];
    let mut n = 0;
    while n < 256 {
        let (mut sum, mut bit) = ((n as u32) << 24, 0);
        while bit < 8 {
            sum = if sum >> 31 == 1 { sum << 1 ^ 0x04C1_1DB7 } else { sum << 1 };
            bit += 1;
        }
        table[n] = sum;
        n += 1;
    }
    table
}

static TABLE: [u32; 256] = table();

/// The CRC of RFC 3533, section 6: not reflected, nothing inverted.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |sum, &byte| {
        let index = usize::from((sum >> 24) as u8 ^ byte);
        sum << 8 ^ TABLE.get(index).copied().unwrap_or_default()
    })
}

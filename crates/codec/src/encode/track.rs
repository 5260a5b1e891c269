//! The bytes of a compressed rendition: a header, and packets as they are or in pages. Which block a byte comes from, how many
//! bytes there are of how many frames, and how a block becomes bytes. Pure.

use super::ogg::{self, Stamp};
use super::{Codec, Encoding};
use bytes::Bytes;
use std::ops::Range;

/// From where on a rendition is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Joined {
    /// From its first frame.
    Beginning,
    /// From the beginning of a block in its midst, as who joins a stream.
    Block(u64),
}

/// A rendition from its beginning, or from a block on. Bytes count from the end of its header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Track {
    encoding: Encoding,
    first: u64,
    serial: u32,
    /// The packet that a link of a chain goes on with, behind those that it repeats.
    link: Option<u64>,
    /// The packet before which a link ends.
    closes: Option<u64>,
}

impl Track {
    /// `serial` tells an Ogg stream from others that it may be chained to.
    pub const fn new(encoding: Encoding, joined: Joined, serial: u32) -> Self {
        let first = match joined {
            Joined::Beginning => 0,
            Joined::Block(block) => block,
        };
        Self { encoding, first, serial, link: None, closes: None }
    }

    /// How it is encoded.
    pub const fn encoding(&self) -> Encoding {
        self.encoding
    }

    /// Bytes before the audio.
    pub fn header(&self) -> Vec<u8> {
        self.titled("")
    }

    /// The same where a title is told there: then bytes are no longer those of a file.
    pub fn titled(&self, title: &str) -> Vec<u8> {
        match self.encoding.codec {
            Codec::Mp3 => Vec::new(),
            Codec::Opus => ogg::headers(self.encoding, self.pre_skip(), self.serial, title),
        }
    }

    /// Where a page ends that a byte is in, or before which it stands; `None` where there are none.
    pub fn page_end(&self, byte: u64) -> Option<u64> {
        let page = ogg::page_bytes(ogg::PACKETS, self.encoding.grid().bytes(1));
        (self.encoding.codec == Codec::Opus).then(|| (byte / page + 1).saturating_mul(page))
    }

    /// The packet that begins at the end of a page.
    fn packet_at(&self, byte: u64) -> u64 {
        let page = ogg::page_bytes(ogg::PACKETS, self.encoding.grid().bytes(1));
        let before = self.first.saturating_mul(self.encoding.grid().packets());
        before.saturating_add((byte / page).saturating_mul(ogg::PACKETS))
    }

    /// Ends here, at the end of a page, so that another link of a chain may follow ([`Track::go_on`]).
    pub fn close(&mut self, byte: u64) {
        self.closes = Some(self.packet_at(byte));
    }

    /// Whether it ends here.
    pub fn is_closed(&self, byte: u64) -> bool {
        self.closes.is_some_and(|packet| packet == self.packet_at(byte))
    }

    /// Goes on in another link, with another title, where it was closed: bytes count on. What comes before them is a header and a
    /// page of packets that were heard already, so that a decoder that begins anew is at home by then: nothing is heard twice,
    /// and nothing is missing. `block` is the one that ends here, or in the midst of which this is.
    pub fn go_on(&mut self, byte: u64, serial: u32, title: &str, block: &[u8]) -> Vec<u8> {
        let (packet, grid) = (self.packet_at(byte), self.encoding.grid());
        (self.serial, self.link, self.closes) = (serial, Some(packet), None);
        let mut out = self.titled(title);
        let (from, size) = (packet.saturating_sub(ogg::REPEATED) % grid.packets(), grid.bytes(1) as usize);
        let at = from as usize * size;
        let repeated = block.get(at..at + ogg::REPEATED as usize * size).unwrap_or_default();
        let granule = ogg::REPEATED * grid.packet_frames();
        ogg::page(Stamp { serial, number: 2, granule, last: false }, repeated, size, &mut out);
        out
    }

    const fn pre_skip(&self) -> u16 {
        match (self.link, self.first) {
            (Some(_), _) => (ogg::REPEATED * self.encoding.grid().packet_frames()) as u16,
            (None, 0) => self.encoding.delay() as u16,
            (None, _) => ogg::CONVERGENCE,
        }
    }

    /// Bytes of a second, rounded up.
    pub fn byte_rate(&self) -> u64 {
        let grid = self.encoding.grid();
        (self.block_bytes() * u64::from(self.encoding.rate())).div_ceil(grid.block_frames())
    }

    /// Frames of the recording from where the rendition begins to where this is heard from.
    pub fn first_frame(&self) -> u64 {
        let heard = match (self.first, self.encoding.codec) {
            (0, _) => 0,
            (first, Codec::Mp3) => first * self.encoding.grid().block_frames(),
            (first, Codec::Opus) => {
                let skipped = u64::from(self.pre_skip()) - self.encoding.delay() as u64;
                first * self.encoding.grid().block_frames() + skipped
            }
        };
        recorded(self.encoding, heard)
    }

    const fn block_bytes(&self) -> u64 {
        self.encoding.block_bytes()
    }

    /// Bytes that packets become, from the first of the rendition on.
    fn bytes(&self, packets: u64) -> u64 {
        let grid = self.encoding.grid();
        match self.encoding.codec {
            Codec::Mp3 => grid.bytes(packets),
            Codec::Opus => {
                let (pages, rest) = (packets / ogg::PACKETS, packets % ogg::PACKETS);
                let short = if rest > 0 { ogg::page_bytes(rest, grid.bytes(1)) } else { 0 };
                pages.saturating_mul(ogg::page_bytes(ogg::PACKETS, grid.bytes(1))).saturating_add(short)
            }
        }
    }

    /// Bytes that there are when the recording has `frames` frames from where the rendition begins: those of whole blocks,
    /// while more may follow, and of everything if these are all.
    pub fn len(&self, frames: u64, are_all: bool) -> u64 {
        let packets = if are_all {
            self.encoding.packets(frames)
        } else {
            self.encoding.whole_blocks(frames).saturating_mul(self.encoding.grid().packets())
        };
        self.bytes(packets).saturating_sub(self.skipped())
    }

    /// Bytes of the blocks before the first.
    fn skipped(&self) -> u64 {
        self.first.saturating_mul(self.block_bytes())
    }

    /// The block that a byte comes from.
    pub fn block_at(&self, byte: u64) -> u64 {
        self.first.saturating_add(byte / self.block_bytes())
    }

    /// Frames of the recording from where the rendition begins to where a byte is heard, as far as its packet says.
    pub fn frame_at(&self, byte: u64) -> u64 {
        let grid = self.encoding.grid();
        let inside = byte % self.block_bytes() * grid.packets() / self.block_bytes() * grid.packet_frames();
        recorded(self.encoding, self.block_at(byte).saturating_mul(grid.block_frames()).saturating_add(inside))
    }

    /// Some bytes of a block, at most to its end; empty if there are none. `frames` as for [`Track::len`], if these are all.
    /// Those of MP3 are the block's own: all who listen share them.
    pub fn cut(&self, bytes: Range<u64>, block: &Bytes, frames: Option<u64>) -> Bytes {
        let number = self.block_at(bytes.start);
        let packets = self.encoding.grid().of_block(number);
        let packets = match frames {
            Some(frames) => packets.start..packets.end.min(self.encoding.packets(frames)).max(packets.start),
            None => packets,
        };
        let whole = match self.encoding.codec {
            Codec::Mp3 => {
                let len = self.encoding.grid().bytes(packets.end - packets.start) as usize;
                block.slice(..len.min(block.len()))
            }
            Codec::Opus => self.pages(packets, block, frames).into(),
        };
        let at = (number - self.first).saturating_mul(self.block_bytes());
        let inside = |byte: u64| usize::try_from(byte.saturating_sub(at)).unwrap_or(usize::MAX).min(whole.len());
        let (from, to) = (inside(bytes.start), inside(bytes.end));
        whole.slice(from..to.max(from))
    }

    fn pages(&self, packets: Range<u64>, block: &[u8], frames: Option<u64>) -> Vec<u8> {
        let grid = self.encoding.grid();
        let packet = grid.bytes(1) as usize;
        // Where this link begins, and what it has before that.
        let (before, repeated) = match self.link {
            Some(link) => (link, ogg::REPEATED),
            None => (self.first * grid.packets(), 0),
        };
        let all = frames.map(|frames| (self.encoding.packets(frames), self.encoding.heard(frames)));
        let mut out = Vec::new();
        let mut next = packets.start;
        while next < packets.end {
            let end = packets.end.min(next + ogg::PACKETS);
            let at = (next - packets.start) as usize * packet;
            let bytes = block.get(at..at + (end - next) as usize * packet).unwrap_or_default();
            let ends = all.is_some_and(|(packets, _)| packets == end);
            let granule = match all {
                // The last page says how much of it counts.
                Some((_, heard)) if ends => heard + self.encoding.delay() as u64,
                _ => end * grid.packet_frames(),
            };
            // Pages of the link before are made with those of a block, and cut off.
            let number = next.saturating_sub(before) / ogg::PACKETS + 2 + u64::from(repeated > 0);
            let stamp = Stamp {
                serial: self.serial,
                number: u32::try_from(number).unwrap_or(u32::MAX),
                granule: (granule + repeated * grid.packet_frames()).saturating_sub(before * grid.packet_frames()),
                last: ends || self.closes == Some(end),
            };
            ogg::page(stamp, bytes, packet, &mut out);
            next = end;
        }
        out
    }
}

/// Frames of the recording before which nothing of a frame of the rendition lies.
fn recorded(encoding: Encoding, heard: u64) -> u64 {
    let scaled = u128::from(heard) * u128::from(encoding.spec().rate()) / u128::from(encoding.rate());
    u64::try_from(scaled).unwrap_or(u64::MAX)
}

impl Encoding {
    /// Frames of the rendition of so many frames of the recording.
    pub(super) fn heard(self, frames: u64) -> u64 {
        let scaled = (u128::from(frames) * u128::from(self.rate())).div_ceil(u128::from(self.spec().rate()));
        u64::try_from(scaled).unwrap_or(u64::MAX)
    }

    /// Packets in which so many frames of the recording are heard, if these are all.
    pub(super) fn packets(self, frames: u64) -> u64 {
        match (self.heard(frames), self.codec) {
            (0, _) => 0,
            (heard, Codec::Mp3) => self.grid().packets_for(heard.saturating_add(self.lead())),
            (heard, Codec::Opus) => self.grid().packets_for(heard.saturating_add(self.delay() as u64)),
        }
    }

    /// Bytes that a whole block becomes.
    pub const fn block_bytes(self) -> u64 {
        let grid = self.grid();
        match self.codec {
            Codec::Mp3 => grid.block_bytes(),
            Codec::Opus => grid.packets() / ogg::PACKETS * ogg::page_bytes(ogg::PACKETS, grid.bytes(1)),
        }
    }

    /// The first frame of the recording that is heard in a block and in none before it.
    pub const fn first_of(self, block: u64) -> u64 {
        let heard = block as u128 * self.grid().block_frames() as u128;
        let frame = (heard * self.spec.rate() as u128).div_ceil(self.rate() as u128);
        if frame > u64::MAX as u128 { u64::MAX } else { frame as u64 }
    }

    /// Blocks that can be made of so many frames of the recording, whatever follows.
    pub fn whole_blocks(self, frames: u64) -> u64 {
        let mut blocks = self.heard(frames) / self.grid().block_frames();
        while blocks > 0 && self.needs(blocks - 1).end > i64::try_from(frames).unwrap_or(i64::MAX) {
            blocks -= 1;
        }
        blocks
    }

    /// The block in which a frame of the recording is, counted from where the rendition begins.
    pub fn block_of(self, frame: u64) -> u64 {
        let heard = u128::from(frame) * u128::from(self.rate()) / u128::from(self.spec().rate());
        u64::try_from(heard).unwrap_or(u64::MAX) / self.grid().block_frames()
    }

    /// Blocks in which so many frames of the recording are heard, if these are all.
    pub fn blocks(self, frames: u64) -> u64 {
        self.packets(frames).div_ceil(self.grid().packets())
    }
}

#[cfg(test)]
#[path = "track_tests.rs"]
mod tests;

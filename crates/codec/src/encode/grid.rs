//! Byte ↔ packet ↔ block ↔ frame. Pure arithmetic; everything counts from where the rendition begins.

use std::ops::Range;

/// Where the packets of an encoding lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    packet_frames: u32,
    packets: u32,
    block_bytes: u32,
    /// Packets that each encoder makes before those of its block.
    pre_roll: u32,
}

impl Grid {
    pub(super) const fn new(packet_frames: u32, packets: u32, block_bytes: u32, pre_roll: u32) -> Self {
        Self { packet_frames, packets, block_bytes, pre_roll }
    }

    /// Frames of a packet.
    pub const fn packet_frames(self) -> u64 {
        self.packet_frames as u64
    }
    /// Packets of a block.
    pub const fn packets(self) -> u64 {
        self.packets as u64
    }
    /// Bytes of a block.
    pub const fn block_bytes(self) -> u64 {
        self.block_bytes as u64
    }
    /// Frames of a block.
    pub const fn block_frames(self) -> u64 {
        self.packet_frames() * self.packets()
    }

    /// Bytes of the first `packets` packets of a rendition.
    pub const fn bytes(self, packets: u64) -> u64 {
        let (blocks, more) = (packets / self.packets(), packets % self.packets());
        let before = self.pre_roll as u64;
        blocks.saturating_mul(self.block_bytes()).saturating_add(self.encoded(before + more) - self.encoded(before))
    }

    /// Bytes of the first packets of an encoder. Where a block's bytes are no multiple of its packets, some packets have one
    /// byte more: the first has not, and each after it as soon as it is due (ISO/IEC 11172-3, section 2.4.2.3, padding).
    pub(super) const fn encoded(self, packets: u64) -> u64 {
        let (even, more) = (self.block_bytes() / self.packets(), self.block_bytes() % self.packets());
        packets * even + (packets.saturating_sub(1) * more).div_ceil(self.packets())
    }

    /// The packets of a block.
    pub const fn of_block(self, block: u64) -> Range<u64> {
        block.saturating_mul(self.packets())..block.saturating_add(1).saturating_mul(self.packets())
    }

    /// Packets that it takes to hold so many frames.
    pub const fn packets_for(self, frames: u64) -> u64 {
        frames.div_ceil(self.packet_frames())
    }
}

#[cfg(test)]
mod tests {
    use crate::encode::{Codec, Encoding};
    use livetape_audio::{SampleFormat, Spec};
    use proptest::prelude::*;

    fn grid(codec: Codec, rate: u32, kbps: u32) -> super::Grid {
        let spec = Spec::new(SampleFormat::S16, rate, 2).unwrap();
        Encoding::new(codec, spec, kbps, None).unwrap().grid()
    }

    #[test]
    #[cfg(feature = "mp3")]
    fn whole_bytes_at_every_rate() {
        for rate in [8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000] {
            for &kbps in Codec::Mp3.bitrates(rate) {
                let grid = grid(Codec::Mp3, rate, kbps.into());
                let bits = grid.block_frames() * u64::from(kbps) * 1000;
                assert_eq!(grid.block_bytes() * 8 * u64::from(rate), bits, "{rate} {kbps}");
            }
        }
        let sizes = [128, 192, 320].map(|kbps| grid(Codec::Mp3, 44_100, kbps).block_bytes());
        assert_eq!(sizes, [20_480, 30_720, 51_200]);
    }

    #[test]
    fn packets_of_opus_are_alike() {
        for &kbps in Codec::Opus.bitrates(48_000) {
            let grid = grid(Codec::Opus, 44_100, kbps.into());
            assert_eq!(grid.bytes(1) * 400, u64::from(kbps) * 1000);
            assert_eq!(grid.bytes(7), 7 * grid.bytes(1));
        }
    }

    proptest! {
        #[test]
        #[cfg(feature = "mp3")]
        fn blocks_are_alike(block in 0..1_000_000_u64, packet in 0..49_u64, n in 0..14_usize) {
            let grid = grid(Codec::Mp3, 44_100, Codec::Mp3.bitrates(44_100)[n].into());
            prop_assert_eq!(grid.bytes(grid.of_block(block).start), block * grid.block_bytes());
            prop_assert_eq!(grid.bytes(block * 49 + packet), block * grid.block_bytes() + grid.bytes(packet));
        }
    }
}

//! One block, by an encoder of its own.

use super::input::Input;
use super::opus::Opus;
use super::{Codec, EncodeError, Encoding};
use std::ops::Range;

enum Engine {
    #[cfg(feature = "mp3")]
    Mp3(super::lame::Lame),
    Opus(Box<Opus>),
}

impl Engine {
    fn new(encoding: Encoding) -> Result<Self, EncodeError> {
        match encoding.codec() {
            #[cfg(feature = "mp3")]
            Codec::Mp3 => {
                super::lame::Lame::new(encoding.rate(), encoding.pick().len(), encoding.kbps()).map(Self::Mp3)
            }
            #[cfg(not(feature = "mp3"))]
            Codec::Mp3 => Err(EncodeError::NotBuiltIn(Codec::Mp3)),
            Codec::Opus => Ok(Self::Opus(Box::new(Opus::new(encoding)?))),
        }
    }

    fn feed(&mut self, samples: &[f32], out: &mut Vec<u8>) -> Result<(), EncodeError> {
        match self {
            #[cfg(feature = "mp3")]
            Self::Mp3(lame) => lame.feed(samples, out),
            Self::Opus(opus) => opus.feed(samples, out),
        }
    }
}

impl Encoding {
    /// Frames of the rendition that the encoder of these packets is given, after `pre_roll` packets more.
    fn fed(self, packets: Range<u64>, pre_roll: u32) -> Range<i64> {
        let frames =
            |packet: u64| i64::try_from(packet.saturating_mul(self.grid().packet_frames())).unwrap_or(i64::MAX);
        // LAME has a packet ready when it has had this many frames after its last; libopus makes it of its own alone.
        let (late, ahead) = match self.codec() {
            Codec::Mp3 => (self.delay(), 1329),
            Codec::Opus => (0, 0),
        };
        let before = i64::from(pre_roll) * self.grid().packet_frames() as i64;
        let lead = self.lead() as i64;
        (frames(packets.start) - before + late - lead)..frames(packets.end).saturating_add(ahead) - lead
    }

    /// Frames of the recording of which a block is made, counted from where the rendition begins. Those before that, and
    /// those after the last, are silence.
    pub fn needs(self, block: u64) -> Range<i64> {
        Input::new(self).needs(self.fed(self.grid().of_block(block), Self::PRE_ROLL))
    }
}

/// Makes a block of the PCM of the frames that it needs.
///
/// # Errors
/// [`EncodeError::Library`] when a library refuses, which is a bug.
pub fn encode(encoding: Encoding, block: u64, pcm: &[u8]) -> Result<Vec<u8>, EncodeError> {
    packets(encoding, encoding.grid().of_block(block), Encoding::PRE_ROLL, pcm)
}

/// The packets of all blocks of PCM by one encoder that goes on: what blocks of their own are measured against.
///
/// # Errors
/// As [`encode`].
pub fn unbroken(encoding: Encoding, pcm: &[u8]) -> Result<Vec<u8>, EncodeError> {
    let frames = pcm.len() as u64 / u64::from(encoding.spec().frame_bytes());
    packets(encoding, 0..encoding.blocks(frames) * encoding.grid().packets(), 0, pcm)
}

fn packets(encoding: Encoding, packets: Range<u64>, pre_roll: u32, pcm: &[u8]) -> Result<Vec<u8>, EncodeError> {
    let samples = Input::new(encoding).samples(encoding.fed(packets.clone(), pre_roll), pcm)?;
    let mut made = Vec::new();
    Engine::new(encoding)?.feed(&samples, &mut made)?;
    let (grid, before) = (encoding.grid(), u64::from(pre_roll));
    let (dropped, all) = (grid.encoded(before) as usize, grid.encoded(before + packets.end - packets.start) as usize);
    if made.len() != all {
        return Err(EncodeError::Library(format!("{all} bytes of packets became {}", made.len())));
    }
    made.drain(..dropped);
    Ok(made)
}

#[cfg(test)]
#[path = "block_tests.rs"]
pub(crate) mod tests;

//! FLAC (RFC 9639): nothing is lost of 16 and 24 bits; what has more becomes 24, with dither.
//!
//! Its packets are as long as they need to be, so that no byte can be found without those before it: for export, and to be
//! played from where it begins. It comes in blocks, too, each of which depends on its own audio alone.

use super::{EncodeError, Pick, PickError};
use crate::convert;
use flac_codec::encode::{FlacStreamWriter, Options};
use livetape_audio::{ChannelLayout, SampleFormat, Spec};

/// Frames of a FLAC frame, and FLAC frames of a block.
const PACKET: u64 = 4096;
const PACKETS: u64 = 12;
/// Who says so, in a header with comments.
const VENDOR: &str = "Livetape";
/// Full scale of 24 bits.
const FULL: f64 = 8_388_608.0;

/// A recording, or some of its channels, as FLAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Flac {
    spec: Spec,
    pick: Pick,
}

impl Flac {
    /// Frames of a block.
    pub const BLOCK: u64 = PACKET * PACKETS;

    /// Without a pick it is all channels.
    ///
    /// # Errors
    /// Where there is no such channel, or a rate that no frame of FLAC can name.
    pub fn new(spec: Spec, pick: Option<Pick>) -> Result<Self, EncodeError> {
        let rate = spec.rate();
        if rate > 65_535 && !rate.is_multiple_of(10) {
            return Err(EncodeError::Rate { rate });
        }
        let pick = pick.unwrap_or_else(|| Pick::first(spec.channels()));
        pick.check(spec)?;
        if pick.is_mixed() {
            return Err(PickError::Mixed.into());
        }
        Ok(Self { spec, pick })
    }

    /// Of what it is made.
    pub const fn spec(self) -> Spec {
        self.spec
    }
    /// Which channels are heard.
    pub const fn pick(self) -> Pick {
        self.pick
    }
    /// 16 or 24.
    pub const fn bits(self) -> u32 {
        if matches!(self.spec.format(), SampleFormat::S16) { 16 } else { 24 }
    }

    /// What comes before the audio: the marker and STREAMINFO (RFC 9639, section 8.2), with the number of frames if it is known;
    /// and where the channels are for other loudspeakers than so many usually are, which ones, or that they are for none (section 8.6.2).
    pub fn header(self, frames: Option<u64>) -> Vec<u8> {
        let layout = self.layout();
        let mut out = b"fLaC".to_vec();
        out.extend_from_slice(if layout.is_some() { b"\0\0\0\x22" } else { b"\x80\0\0\x22" });
        out.extend_from_slice(&(PACKET as u16).to_be_bytes());
        out.extend_from_slice(&(PACKET as u16).to_be_bytes());
        out.extend_from_slice(&[0; 6]);
        let shape =
            u64::from(self.spec.rate()) << 44 | (self.pick.len() as u64 - 1) << 41 | u64::from(self.bits() - 1) << 36;
        // A number that does not fit is not known.
        let frames = frames.filter(|&frames| frames < 1 << 36).unwrap_or(0);
        out.extend_from_slice(&(shape | frames).to_be_bytes());
        out.extend_from_slice(&[0; 16]);
        if let Some(layout) = layout {
            let comment = format!("WAVEFORMATEXTENSIBLE_CHANNEL_MASK={:#x}", layout.mask());
            let length = 4 + VENDOR.len() + 4 + 4 + comment.len();
            out.extend_from_slice(&(0x8400_0000 | length as u32).to_be_bytes());
            out.extend_from_slice(&(VENDOR.len() as u32).to_le_bytes());
            out.extend_from_slice(VENDOR.as_bytes());
            out.extend_from_slice(&1_u32.to_le_bytes());
            out.extend_from_slice(&(comment.len() as u32).to_le_bytes());
            out.extend_from_slice(comment.as_bytes());
        }
        out
    }

    /// The loudspeakers of three and more channels, where FLAC would take them for others. Of some out of more they are for none.
    fn layout(self) -> Option<ChannelLayout> {
        let channels = self.spec.channels();
        let all = self.pick == Pick::first(channels);
        let layout = if all { self.spec.layout() } else { ChannelLayout::UNKNOWN };
        Some(layout).filter(|layout| self.pick.len() > 2 && *layout != ChannelLayout::usual(channels))
    }

    /// A block of the PCM of its frames: [`Flac::BLOCK`] of them from `block` times as many on, or fewer at the end.
    ///
    /// # Errors
    /// [`EncodeError::Library`] when the library refuses, which is a bug.
    pub fn encode(self, block: u64, pcm: &[u8]) -> Result<Vec<u8>, EncodeError> {
        let (spec, channels) = (self.spec, self.pick.len());
        let (mut all, mut picked) = (Vec::new(), Vec::new());
        convert::read(spec.format(), pcm, &mut all);
        self.pick.apply(&all, spec, &mut picked);
        let first = block.saturating_mul(Self::BLOCK).saturating_mul(channels as u64);
        let samples: Vec<i32> = (first..).zip(&picked).map(|(n, &sample)| self.quantised(n, sample)).collect();
        let failed = |error| EncodeError::Library(format!("FLAC: {error:?}"));
        let mut out = Vec::new();
        for (n, packet) in (block.saturating_mul(PACKETS)..).zip(samples.chunks(PACKET as usize * channels)) {
            let mut alone = Vec::new();
            let mut writer = FlacStreamWriter::new(&mut alone, Options::default());
            writer.write(spec.rate(), channels as u8, self.bits(), packet).map_err(failed)?;
            number(&alone, n, &mut out).ok_or_else(|| EncodeError::Library("FLAC: a frame without a header".into()))?;
        }
        Ok(out)
    }

    fn quantised(self, n: u64, sample: f64) -> i32 {
        match self.spec.format() {
            SampleFormat::S16 => (sample * 32_768.0) as i32,
            SampleFormat::S24 => (sample * FULL) as i32,
            // The cast takes care of what is no number.
            SampleFormat::S32 | SampleFormat::F32 => {
                (sample * FULL + dither(n)).round().clamp(-FULL, FULL - 1.0) as i32
            }
        }
    }
}

/// Triangular noise of ±1, the same for a sample whenever it is asked for.
fn dither(n: u64) -> f64 {
    let mut random = n.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    random = (random ^ random >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    random = (random ^ random >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
    random ^= random >> 31;
    let half = |bits: u64| (bits & 0xFFFF_FFFF) as f64 / (1_u64 << 32) as f64 - 0.5;
    half(random) + half(random >> 32)
}

/// Appends a frame of number 0 as the frame of another number (RFC 9639, section 9.1).
fn number(frame: &[u8], number: u64, out: &mut Vec<u8>) -> Option<()> {
    let at = out.len();
    let &[_, _, sizes, _, 0, ..] = frame else { return None };
    let more = usize::from(sizes >> 4 == 6) + 2 * usize::from(sizes >> 4 == 7);
    let more = more + usize::from(sizes & 15 == 12) + 2 * usize::from(matches!(sizes & 15, 13 | 14));
    out.extend_from_slice(frame.get(..4)?);
    coded(number, out);
    out.extend_from_slice(frame.get(5..5 + more)?);
    out.push(checksum::<8>(0x07, out.get(at..)?) as u8);
    out.extend_from_slice(frame.get(6 + more..frame.len().checked_sub(2)?)?);
    let sum = checksum::<16>(0x8005, out.get(at..)?);
    out.extend_from_slice(&sum.to_be_bytes());
    Some(())
}

/// A number as UTF-8 would write a character, of up to 36 bits.
fn coded(number: u64, out: &mut Vec<u8>) {
    if number < 0x80 {
        return out.push(number as u8);
    }
    let more = (1..6).find(|more| number >> (5 * more + 6) == 0).unwrap_or(6);
    out.push((0xFF00_u16 >> (more + 1)) as u8 | (number >> (6 * more)) as u8);
    out.extend((0..more).rev().map(|n| 0x80 | (number >> (6 * n)) as u8 & 0x3F));
}

/// The CRCs of FLAC: not reflected, nothing inverted.
fn checksum<const BITS: u32>(polynomial: u16, bytes: &[u8]) -> u16 {
    let top = 1 << (BITS - 1);
    bytes.iter().fold(0, |sum: u16, &byte| {
        (0..8).fold(
            sum ^ u16::from(byte) << (BITS - 8),
            |sum, _| {
                if sum & top != 0 { sum << 1 ^ polynomial } else { sum << 1 }
            },
        ) & (u16::MAX >> (16 - BITS))
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Bytes, encoded and decoded again, as f64.
    fn there_and_back(flac: Flac, pcm: &[u8]) -> Vec<f64> {
        let spec = flac.spec();
        let whole = pcm.len() as u64 / u64::from(spec.frame_bytes());
        let mut bytes = flac.header(Some(whole));
        let block = Flac::BLOCK as usize * spec.frame_bytes() as usize;
        for (n, pcm) in (0..).zip(pcm.chunks(block)) {
            bytes.extend(flac.encode(n, pcm).unwrap());
        }
        crate::encode::tests::decoded(bytes)
    }

    #[test]
    fn nothing_is_lost() {
        for (format, channels, rate) in [
            (SampleFormat::S16, 2, 44_100),
            (SampleFormat::S24, 8, 192_000),
            (SampleFormat::S16, 1, 8_001),
            (SampleFormat::S24, 3, 88_200),
        ] {
            let spec = Spec::new(format, rate, channels).unwrap();
            let mut random = 1_u64;
            let pcm: Vec<u8> = (0..spec.frame_bytes() as usize * 60_001)
                .map(|n| {
                    random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                    // Loud and soft by turns.
                    if n / 30_000 % 2 == 0 { (random >> 56) as u8 } else { 0 }
                })
                .collect();
            let mut was = Vec::new();
            convert::read(format, &pcm, &mut was);
            assert!(there_and_back(Flac::new(spec, None).unwrap(), &pcm) == was, "{spec}");
        }
    }

    #[test]
    fn other_loudspeakers_than_usual_are_named() {
        let plain = Spec::new(SampleFormat::S16, 48_000, 6).unwrap();
        let header = |layout: &str, pick: Option<&str>| {
            let spec = plain.for_speakers(layout.parse().unwrap()).unwrap();
            Flac::new(spec, pick.map(|pick| pick.parse().unwrap())).unwrap().header(Some(9))
        };
        assert_eq!(header("FL+FR+FC+LFE+BL+BR", None).len(), 42);
        let unknown = Flac::new(plain, None).unwrap().header(Some(9));
        assert!(unknown.ends_with(b"WAVEFORMATEXTENSIBLE_CHANNEL_MASK=0x0"));
        assert!(header("FL+FR+FC+LFE+BL+BR", Some("4,5,6")).ends_with(b"_MASK=0x0"));
        let side = header("FL+FR+FC+LFE+SL+SR", None);
        assert!(side.ends_with(b"\x01\0\0\0\x27\0\0\0WAVEFORMATEXTENSIBLE_CHANNEL_MASK=0x60f"));
        assert_eq!((&side[4..8], &side[42..46]), (&b"\0\0\0\x22"[..], &[0x84, 0, 0, side.len() as u8 - 46][..]));
        assert_eq!(header("FL+FR+FC+LFE+SL+SR", Some("1,2")).len(), 42, "of two nothing is said");
    }

    #[test]
    fn more_than_24_bits_are_dithered() {
        let spec = Spec::new(SampleFormat::F32, 48_000, 1).unwrap();
        let quiet = 0.3 / FULL;
        let pcm: Vec<u8> = std::iter::repeat_n((quiet as f32).to_le_bytes(), 50_000).flatten().collect();
        let heard = there_and_back(Flac::new(spec, None).unwrap(), &pcm);
        let mean = heard.iter().sum::<f64>() / heard.len() as f64;
        assert!((mean - quiet).abs() < 0.02 / FULL, "what is less than a step is heard, on average: {}", mean * FULL);
        let loud: Vec<u8> = [f32::NAN, f32::INFINITY, -9.0, 1.0].into_iter().flat_map(f32::to_le_bytes).collect();
        let heard = there_and_back(Flac::new(spec, None).unwrap(), &loud);
        assert_eq!(heard, [0.0, 1.0 - 1.0 / FULL, -1.0, 1.0 - 1.0 / FULL]);
    }

    #[test]
    fn some_channels_and_rates_that_cannot_be_named() {
        let spec = Spec::new(SampleFormat::S16, 48_000, 4).unwrap();
        let flac = Flac::new(spec, Some("4,1".parse().unwrap())).unwrap();
        let pcm: Vec<u8> = (0..4000_i16).flat_map(i16::to_le_bytes).collect();
        let heard = there_and_back(flac, &pcm);
        assert_eq!(heard[..4], [3.0, 0.0, 7.0, 4.0].map(|n| n / 32_768.0));
        assert!(Flac::new(spec, Some("5".parse().unwrap())).is_err());
        let odd = Spec::new(SampleFormat::S16, 100_001, 1).unwrap();
        assert!(Flac::new(odd, None).unwrap_err().to_string().contains("100001"));
    }

    proptest! {
        #[test]
        fn numbers_are_coded_as_characters_are(n in 0..0x11_0000_u32) {
            let mut out = Vec::new();
            coded(n.into(), &mut out);
            if let Some(c) = char::from_u32(n) {
                prop_assert_eq!(out, c.to_string().into_bytes());
            }
        }
    }
}

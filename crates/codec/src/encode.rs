//! Compressed renditions as rows of blocks.
//!
//! ```text
//! PCM of a Spec -> input::Input -> samples -> an encoder -> blocks of packets -> track::Track -> bytes
//! ```
//!
//! A block holds a fixed number of packets, and so a fixed time in a fixed number of bytes: where a byte lies, and what it
//! takes to make it, is arithmetic ([`Grid`]). Each is made by an encoder of its own, which begins some packets earlier, so
//! that a block depends on a fixed stretch of audio and on nothing else: it can be made by anybody at any time, kept and
//! forgotten (docs/adr/0010-blocks-of-compressed-audio.md). FLAC, whose packets have the length that they need, is `flac`.
//! Not here: where PCM comes from, who keeps blocks, threads.

mod block;
mod cpu;
mod flac;
mod grid;
mod info;
mod input;
#[cfg(feature = "mp3")]
mod lame;
mod ogg;
mod opus;
mod pick;
mod track;

pub use block::{encode, unbroken};
pub use cpu::class as cpu_class;
pub use flac::Flac;
pub use grid::Grid;
pub use pick::{Pick, PickError};
pub use track::{Joined, Track};

use livetape_audio::Spec;

/// Raised whenever the same audio becomes other bytes for a reason that no library's version tells: the resampler, our own code.
/// A test notices.
const MADE_BY: u32 = 1;

/// A codec whose packets have a fixed length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Codec {
    /// MPEG audio layer III, constant bitrate without a reservoir.
    Mp3,
    /// Opus (RFC 6716), constant bitrate, in Ogg (RFC 7845).
    Opus,
}

impl Codec {
    /// Name, as in `mp3-128`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mp3 => "mp3",
            Self::Opus => "opus",
        }
    }

    /// Bitrates in kbit/s that there are at a rate in Hz.
    pub const fn bitrates(self, rate: u32) -> &'static [u16] {
        match (self, rate) {
            // ISO/IEC 11172-3 and 13818-3; the lowest rates are nobody's standard, and LAME stops at 64 there.
            (Self::Mp3, 32_000..) => &[32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
            (Self::Mp3, 16_000..) => &[8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
            (Self::Mp3, _) => &[8, 16, 24, 32, 40, 48, 56, 64],
            (Self::Opus, _) => &[24, 32, 48, 64, 80, 96, 112, 128, 160, 192, 256, 320],
        }
    }

    /// The rate at which audio of another rate is encoded, in Hz.
    pub const fn rate(self, of: u32) -> u32 {
        match (self, of) {
            (Self::Opus, _) => 48_000,
            (Self::Mp3, 8_000 | 11_025 | 12_000 | 16_000 | 22_050 | 24_000 | 32_000 | 44_100 | 48_000) => of,
            (Self::Mp3, 88_200 | 176_400) => 44_100,
            (Self::Mp3, _) => 48_000,
        }
    }

    /// Who makes it, as `1.3.100`: a word for entity tags, which changes with the bytes.
    pub fn made_by(self) -> String {
        let version = match self {
            #[cfg(feature = "mp3")]
            Self::Mp3 => lame::version(),
            #[cfg(not(feature = "mp3"))]
            Self::Mp3 => "",
            Self::Opus => opus::version(),
        };
        let word = version.rsplit(' ').next().unwrap_or_default();
        let plain = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-');
        format!("{MADE_BY}.{}", word.chars().filter(plain).take(32).collect::<String>())
    }

    /// Whether this build can encode it.
    pub const fn is_built_in(self) -> bool {
        match self {
            Self::Mp3 => cfg!(feature = "mp3"),
            Self::Opus => true,
        }
    }
}

/// What a compressed rendition of a recording is. Whatever can be said of it depends on this alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Encoding {
    codec: Codec,
    spec: Spec,
    pick: Pick,
    kbps: u16,
    /// It is of a file with an Info frame.
    clip: bool,
}

/// Why something cannot be encoded. The message says what can.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EncodeError {
    /// The codec was left out of this build.
    #[error("this build has no {}", .0.name())]
    NotBuiltIn(Codec),
    /// Not one of [`Codec::bitrates`].
    #[error("{} at {rate} Hz has no {kbps} kbit/s: there are {:?}", .codec.name(), .codec.bitrates(*.rate))]
    Bitrate {
        /// The codec.
        codec: Codec,
        /// Rate of the rendition in Hz.
        rate: u32,
        /// What was asked for.
        kbps: u32,
    },
    /// More than two channels.
    #[error("{} has one or two channels, not {channels}", .codec.name())]
    Channels {
        /// The codec.
        codec: Codec,
        /// What was asked for.
        channels: usize,
    },
    /// A rate that no frame of FLAC can name.
    #[error("FLAC has no {rate} Hz: above 65535 Hz it has multiples of 10")]
    Rate {
        /// The rate in Hz.
        rate: u32,
    },
    /// A channel that is not there.
    #[error(transparent)]
    Pick(#[from] PickError),
    /// A library refused, which is a bug.
    #[error("{0}")]
    Library(String),
}

impl Encoding {
    /// Packets that are encoded before each block and thrown away: by then an encoder has found its way into the sound.
    pub const PRE_ROLL: u32 = 12;

    /// A checked encoding. Without a pick it is [`Pick::usual`].
    ///
    /// # Errors
    /// Where there is no such bitrate or channel, or the codec is not built in.
    pub fn new(codec: Codec, spec: Spec, kbps: u32, pick: Option<Pick>) -> Result<Self, EncodeError> {
        if !codec.is_built_in() {
            return Err(EncodeError::NotBuiltIn(codec));
        }
        let rate = codec.rate(spec.rate());
        let known = codec.bitrates(rate).iter().copied().find(|&known| u32::from(known) == kbps);
        let kbps = known.ok_or(EncodeError::Bitrate { codec, rate, kbps })?;
        let pick = pick.unwrap_or_else(|| Pick::usual(spec));
        pick.check(spec)?;
        match pick.len() {
            1 | 2 => Ok(Self { codec, spec, pick, kbps, clip: false }),
            channels => Err(EncodeError::Channels { codec, channels }),
        }
    }

    /// The same for a file that says where it begins and ends ([`Track::info`]): before what is heard there is a packet in which a
    /// decoder finds its way into the sound, and which it cuts off. Of MP3 alone: others say so anyway.
    #[must_use]
    pub fn clip(self) -> Self {
        Self { clip: self.codec == Codec::Mp3, ..self }
    }

    /// Frames of the rendition before the first that is heard.
    const fn lead(self) -> u64 {
        if self.clip { self.grid().packet_frames() } else { 0 }
    }

    /// The codec.
    pub const fn codec(self) -> Codec {
        self.codec
    }
    /// Of what it is made.
    pub const fn spec(self) -> Spec {
        self.spec
    }
    /// Which channels are heard.
    pub const fn pick(self) -> Pick {
        self.pick
    }
    /// Kilobits per second.
    pub const fn kbps(self) -> u16 {
        self.kbps
    }
    /// Frames per second of what is heard.
    pub const fn rate(self) -> u32 {
        self.codec.rate(self.spec.rate())
    }
    /// Name, as in `mp3-128`.
    pub fn name(self) -> String {
        format!("{}-{}", self.codec.name(), self.kbps)
    }

    /// Where its bytes are.
    pub const fn grid(self) -> Grid {
        let (rate, kbps) = (self.rate(), self.kbps as u32);
        let (packet_frames, packets) = match self.codec {
            // 20 ms.
            Codec::Opus => (960, 50),
            // At 44.1 kHz and its halves a frame has now a byte more, now not: 49 have a whole number of bytes.
            Codec::Mp3 => (if rate < 32_000 { 576 } else { 1152 }, if rate.is_multiple_of(11_025) { 49 } else { 50 }),
        };
        let bits = packet_frames as u64 * packets as u64 * kbps as u64 * 1000 / rate as u64;
        Grid::new(packet_frames, packets, (bits / 8) as u32, Self::PRE_ROLL)
    }

    /// Frames by which decoders are late, which are made up for: in MP3 by encoding earlier, in Opus by the pre-skip.
    const fn delay(self) -> i64 {
        match self.codec {
            // LAME's own 576, and 529 of every decoder.
            Codec::Mp3 => 576 + 529,
            Codec::Opus => opus::LOOK_AHEAD as i64,
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::decode::{Decoder, Input};
    use livetape_audio::SampleFormat;

    /// What our own decoder makes of a file.
    pub(crate) fn decoded(bytes: Vec<u8>) -> Vec<f64> {
        let mut decoder = Decoder::open(Input::bytes(bytes), None).unwrap();
        let mut out = Vec::new();
        while let Some(block) = decoder.next().unwrap() {
            out.extend_from_slice(block.samples);
        }
        out
    }

    /// What is made of some noise, at several rates, by class of processor. Where a hash is another one, so are the bytes that
    /// somebody may have half of already: raise `MADE_BY`, unless a library's version changed, too, and write the new hash here.
    #[test]
    #[cfg(feature = "mp3")]
    fn the_same_bytes_as_ever() {
        const KNOWN: &[(&str, u64)] = &[("x64-avx2", 0x8B5C_179D_576D_5E82)];
        let mut hash = 0xCBF2_9CE4_8422_2325_u64;
        for (codec, rate, kbps) in
            [(Codec::Mp3, 44_100, 128), (Codec::Mp3, 96_000, 320), (Codec::Opus, 48_000, 96), (Codec::Opus, 44_100, 24)]
        {
            let spec = Spec::new(SampleFormat::S16, rate, 2).unwrap();
            let encoding = Encoding::new(codec, spec, kbps, None).unwrap();
            let needs = encoding.needs(1);
            let mut noise = 1_u32;
            // No arithmetic that another machine could round otherwise.
            let pcm: Vec<u8> = (0..(needs.end - needs.start) * 2)
                .flat_map(|n| {
                    noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                    ((noise >> 19) as i16).wrapping_add((n * n / 64 % 20_000) as i16 - 10_000).to_le_bytes()
                })
                .collect();
            for byte in encode(encoding, 1, &pcm).unwrap() {
                hash = (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
            }
        }
        let made_by = [Codec::Mp3, Codec::Opus].map(Codec::made_by).join(" ");
        assert_eq!(made_by, "1.3.100 1.1.6.1", "new versions: their bytes, too?");
        let Some((_, known)) = KNOWN.iter().find(|(class, _)| *class == cpu_class()) else {
            // Past what the harness keeps to itself of a test that passes.
            let text = format!(
                "the_same_bytes_as_ever: not compared, nobody has noted what {} makes: 0x{hash:016X}\n",
                cpu_class()
            );
            std::io::Write::write_all(&mut std::io::stderr(), text.as_bytes()).unwrap();
            return;
        };
        assert_eq!(hash, *known, "0x{hash:016X} is new on {}", cpu_class());
    }

    #[test]
    fn what_no_codec_takes() {
        let spec = |rate, channels| Spec::new(SampleFormat::S16, rate, channels).unwrap();
        let refused = |codec, rate, kbps| Encoding::new(codec, spec(rate, 2), kbps, None).unwrap_err().to_string();
        for (kbps, rate) in [(0, 48_000), (129, 48_000), (u32::MAX, 48_000), (8, 48_000), (320, 22_050), (128, 8_000)] {
            let error = refused(Codec::Mp3, rate, kbps);
            assert!(error.contains(&kbps.to_string()) && error.contains(&rate.to_string()), "{error}");
        }
        assert!(refused(Codec::Opus, 44_100, 97).contains("96"));
        let three = Some("1,2,3".parse().unwrap());
        assert!(Encoding::new(Codec::Opus, spec(48_000, 4), 96, three).unwrap_err().to_string().contains("not 3"));
        let third = Some("3".parse().unwrap());
        assert!(Encoding::new(Codec::Opus, spec(48_000, 2), 96, third).unwrap_err().to_string().contains("has 2"));
        // Whatever rate a recording can have, there is one that it is heard at.
        for rate in [8_000, 8_001, 11_025, 44_100, 47_999, 88_200, 96_000, 176_400, 191_999, 192_000] {
            for codec in [Codec::Mp3, Codec::Opus].into_iter().filter(|codec| codec.is_built_in()) {
                let encoding = Encoding::new(codec, spec(rate, 1), 48, None).unwrap();
                assert!(encoding.rate() <= 48_000 && encoding.pick().len() == 1);
                assert!(!encode(encoding, 1, &[]).unwrap().is_empty(), "{rate}");
            }
        }
    }
}

//! What one frame looks like: sample format, channels and what they are for, rate.

use crate::layout::{ChannelLayout, LayoutError};
use crate::position::FrameCount;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

/// Encoding of one sample, always little-endian, kept on disk as it was captured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SampleFormat {
    /// Signed 16-bit integer.
    S16,
    /// Signed 24-bit integer packed in 3 bytes.
    S24,
    /// Signed 32-bit integer.
    S32,
    /// IEEE 754 single precision, full scale ±1.0.
    F32,
}

impl SampleFormat {
    /// Every format, in the order in which help texts name them.
    pub const ALL: [Self; 4] = [Self::S16, Self::S24, Self::S32, Self::F32];

    /// Bytes of one sample: 2, 3 or 4.
    pub const fn bytes(self) -> u32 {
        match self {
            Self::S16 => 2,
            Self::S24 => 3,
            Self::S32 | Self::F32 => 4,
        }
    }

    /// Name as used in configuration, JSON and headers: `s16`, `s24`, `s32`, `f32`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::S16 => "s16",
            Self::S24 => "s24",
            Self::S32 => "s32",
            Self::F32 => "f32",
        }
    }
}

impl fmt::Display for SampleFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SampleFormat {
    type Err = SpecError;
    fn from_str(s: &str) -> Result<Self, SpecError> {
        Self::ALL.into_iter().find(|f| f.as_str() == s).ok_or_else(|| SpecError::Format(s.chars().take(32).collect()))
    }
}

/// Why a spec was refused. The message says what is allowed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SpecError {
    /// Outside 8000..=192000 Hz.
    #[error("sample rate {0} Hz is outside {min} to {max} Hz", min = Spec::MIN_RATE, max = Spec::MAX_RATE)]
    Rate(u32),
    /// Outside 1..=8 channels.
    #[error("{0} channels: 1 to {max} are possible", max = Spec::MAX_CHANNELS)]
    Channels(u32),
    /// Not one of the four sample formats.
    #[error("sample format {0:?} is unknown: use s16, s24, s32 or f32")]
    Format(String),
    /// Names or bits that are no loudspeakers.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Loudspeakers of another number of channels.
    #[error("the layout {layout} is of {} channels, and there are {channels}", .layout.channels())]
    Speakers {
        /// What was said.
        layout: ChannelLayout,
        /// How many there are.
        channels: u16,
    },
}

/// The shape of a recording's audio; it never changes within a recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "RawSpec")]
pub struct Spec {
    format: SampleFormat,
    rate: u32,
    channels: u16,
    /// Which loudspeaker each of three to eight channels is for: `FL+FR+FC+LFE+BL+BR`. Absent where that is not known, and of one and
    /// two channels.
    #[serde(skip_serializing_if = "is_unknown")]
    layout: ChannelLayout,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "what serde calls")]
const fn is_unknown(layout: &ChannelLayout) -> bool {
    !layout.is_known()
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct RawSpec {
    format: SampleFormat,
    rate: u32,
    channels: u32,
    #[serde(default)]
    layout: Option<ChannelLayout>,
}

impl TryFrom<RawSpec> for Spec {
    type Error = SpecError;
    fn try_from(raw: RawSpec) -> Result<Self, SpecError> {
        Self::new(raw.format, raw.rate, raw.channels)?.for_speakers(raw.layout.unwrap_or_default())
    }
}

impl Spec {
    /// Lowest sample rate, in Hz.
    pub const MIN_RATE: u32 = 8_000;
    /// Highest sample rate, in Hz.
    pub const MAX_RATE: u32 = 192_000;
    /// Most channels.
    pub const MAX_CHANNELS: u32 = 8;

    /// A checked spec: 8 to 192 kHz, 1 to 8 channels, of which nobody knows for which loudspeakers they are.
    pub fn new(format: SampleFormat, rate: u32, channels: u32) -> Result<Self, SpecError> {
        if !(Self::MIN_RATE..=Self::MAX_RATE).contains(&rate) {
            return Err(SpecError::Rate(rate));
        }
        match u16::try_from(channels) {
            Ok(n) if (1..=Self::MAX_CHANNELS).contains(&channels) => {
                Ok(Self { format, rate, channels: n, layout: ChannelLayout::UNKNOWN })
            }
            _ => Err(SpecError::Channels(channels)),
        }
    }

    /// The same for these loudspeakers. One channel and two are mono and stereo, whatever is said: for them, nothing changes.
    ///
    /// # Errors
    /// [`SpecError::Speakers`] when they are not as many as there are channels.
    pub fn for_speakers(self, layout: ChannelLayout) -> Result<Self, SpecError> {
        match (layout.channels(), self.channels) {
            (0, _) => Ok(Self { layout, ..self }),
            (said, channels) if said != channels => Err(SpecError::Speakers { layout, channels }),
            (_, 1 | 2) => Ok(self),
            _ => Ok(Self { layout, ..self }),
        }
    }

    /// Sample format.
    pub const fn format(self) -> SampleFormat {
        self.format
    }
    /// Frames per second.
    pub const fn rate(self) -> u32 {
        self.rate
    }
    /// Samples per frame.
    pub const fn channels(self) -> u16 {
        self.channels
    }
    /// Which loudspeaker each of three to eight channels is for, if that is known; of fewer it is never said.
    pub const fn layout(self) -> ChannelLayout {
        self.layout
    }
    /// Bytes of one frame: 1 to 32.
    pub const fn frame_bytes(self) -> u32 {
        self.format.bytes() * self.channels as u32
    }
    /// Bytes of one second of audio.
    pub const fn byte_rate(self) -> u64 {
        self.frame_bytes() as u64 * self.rate as u64
    }
    /// Bytes of `n` frames.
    pub const fn bytes(self, n: FrameCount) -> u64 {
        n.get().saturating_mul(self.frame_bytes() as u64)
    }
    /// Whole frames in `bytes`, and the bytes left over.
    pub const fn frames_in(self, bytes: u64) -> (FrameCount, u64) {
        let size = self.frame_bytes() as u64;
        (FrameCount::new(bytes / size), bytes % size)
    }
    /// Frames in a duration, rounded to the nearest.
    pub fn frames(self, d: Duration) -> FrameCount {
        let scaled = d.as_nanos().saturating_mul(u128::from(self.rate)).saturating_add(500_000_000) / 1_000_000_000;
        FrameCount::new(u64::try_from(scaled).unwrap_or(u64::MAX))
    }
    /// Length of `n` frames, rounded down to the nanosecond.
    pub fn duration(self, n: FrameCount) -> Duration {
        let (rate, n) = (u64::from(self.rate), n.get());
        // Two steps keep the nanoseconds of the fraction inside u64 at any length.
        Duration::new(n / rate, (n % rate * 1_000_000_000 / rate) as u32)
    }
}

impl fmt::Display for Spec {
    /// `s16le;rate=48000;channels=2`, the form of the `X-Audio-Format` header; with `;layout=FL+FR+FC` where that is known.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}le;rate={};channels={}", self.format, self.rate, self.channels)?;
        if self.layout.is_known() { write!(f, ";layout={}", self.layout) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits() {
        assert!(Spec::new(SampleFormat::S16, 7_999, 2).is_err());
        assert!(Spec::new(SampleFormat::S16, 192_001, 2).is_err());
        assert!(Spec::new(SampleFormat::S16, 48_000, 0).is_err());
        assert!(Spec::new(SampleFormat::S16, 48_000, 9).is_err());
        assert!(Spec::new(SampleFormat::S16, 48_000, 65_538).is_err(), "must not wrap to 2");
        let spec = Spec::new(SampleFormat::S24, 192_000, 8).unwrap();
        assert_eq!((spec.frame_bytes(), spec.byte_rate()), (24, 4_608_000));
    }

    #[test]
    fn seconds_and_frames() {
        let spec = Spec::new(SampleFormat::S16, 44_100, 2).unwrap();
        assert_eq!(spec.frames(Duration::from_millis(500)), FrameCount::new(22_050));
        assert_eq!(spec.duration(FrameCount::new(22_050)), Duration::from_millis(500));
        assert_eq!(spec.frames(Duration::MAX), FrameCount::new(u64::MAX));
        assert_eq!(spec.frames_in(11), (FrameCount::new(2), 3));
    }

    #[test]
    fn impossible_specs_do_not_deserialize() {
        let spec = |json: &str| serde_json::from_str::<Spec>(json);
        assert!(spec(r#"{"format":"s16","rate":48000,"channels":2}"#).is_ok());
        assert!(spec(r#"{"format":"s16","rate":48000,"channels":0}"#).is_err());
        assert!(spec(r#"{"format":"u8","rate":48000,"channels":2}"#).is_err());
        assert!(spec(r#"{"format":"s16","rate":48000,"channels":4,"layout":"FL+FR+FC"}"#).is_err());
    }

    #[test]
    fn loudspeakers_are_kept_where_they_say_something() {
        let spec = |channels| Spec::new(SampleFormat::S16, 48_000, channels).unwrap();
        let (five, six) = (ChannelLayout::usual(5), ChannelLayout::usual(6));
        let surround = spec(6).for_speakers(six).unwrap();
        let json = r#"{"format":"s16","rate":48000,"channels":6,"layout":"FL+FR+FC+LFE+BL+BR"}"#;
        assert_eq!(serde_json::to_string(&surround).unwrap(), json);
        assert_eq!(serde_json::from_str::<Spec>(json).unwrap(), surround);
        assert_eq!(surround.to_string(), "s16le;rate=48000;channels=6;layout=FL+FR+FC+LFE+BL+BR");
        assert_eq!(serde_json::to_string(&spec(6)).unwrap(), r#"{"format":"s16","rate":48000,"channels":6}"#);
        assert_eq!(spec(6).for_speakers(five), Err(SpecError::Speakers { layout: five, channels: 6 }));
        assert_eq!(spec(2).for_speakers(ChannelLayout::usual(2)), Ok(spec(2)));
        assert!(spec(2).for_speakers(five).is_err());
        assert_ne!(surround, spec(6));
    }
}

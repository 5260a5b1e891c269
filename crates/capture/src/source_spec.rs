//! What a person writes after `--source`.

use crate::sources::device::{CardId, CardIdError};
use crate::sources::relay::{RelayUrl, RelayUrlError};
use livetape_audio::{SampleFormat, SourceName, Spec, SpecError};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

/// Where audio comes from.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum SourceSpec {
    /// Says at every second where in the recording it is and what time it is.
    TimeSignal,
    /// A sine of 440 Hz.
    Tone,
    /// White noise.
    Noise,
    /// Nothing to be heard.
    Silence,
    /// Every frame carries its own number.
    Counting,
    /// PCM or WAV from the standard input.
    Stdin,
    /// An audio file, a folder of them, or a playlist.
    File(PathBuf),
    /// A sound card.
    Device(CardId),
    /// A stream elsewhere.
    Relay(RelayUrl),
    /// Whoever pushes to the address for that.
    Push,
    /// No source: the recorder takes what others push.
    None,
}

/// Why a source was refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SourceSpecError {
    /// Not a source.
    #[error(
        "source {0:?} is unknown: use time-signal, tone, noise, silence, counting, stdin, file:PATH, device:ID, relay:URL, push or none"
    )]
    Unknown(String),
    /// `file:` and nothing.
    #[error("source \"file:\" names no file: file:PATH, with the path of an audio file, a folder or a playlist")]
    NoPath,
    /// Counting PCM has one shape only.
    #[error("source counting needs s16 samples and 2 channels, not {0}")]
    Counting(Spec),
    /// Not a sound card's name.
    #[error(transparent)]
    Card(#[from] CardIdError),
    /// Not the address of a stream.
    #[error(transparent)]
    Relay(#[from] RelayUrlError),
    /// It cannot go away, or cannot take over.
    #[error(
        "{0} cannot be a fallback for {1}: device, relay, stdin and push may have one; a generator, a file or a folder may be one"
    )]
    Fallback(String, String),
    /// There is no such audio.
    #[error(transparent)]
    Spec(#[from] SpecError),
}

impl SourceSpec {
    /// Every source that a word says, in the order in which help texts name them.
    pub const PLAIN: [Self; 8] =
        [Self::TimeSignal, Self::Tone, Self::Noise, Self::Silence, Self::Counting, Self::Stdin, Self::Push, Self::None];

    /// The name under which it pushes.
    pub fn name(&self) -> SourceName {
        let name = match self {
            // Where it lies is nobody's business.
            Self::File(path) => format!("file:{}", path.file_name().unwrap_or_default().display()),
            other => other.to_string(),
        };
        let plain = name.chars().filter(|c| !c.is_control());
        plain.take(SourceName::MAX_CHARS).collect::<String>().parse().unwrap_or_default()
    }

    /// Whether it can play while `main` is away.
    ///
    /// # Errors
    /// [`SourceSpecError::Fallback`].
    pub fn stands_in_for(&self, main: &Self) -> Result<(), SourceSpecError> {
        let plays = matches!(
            self,
            Self::TimeSignal | Self::Tone | Self::Noise | Self::Silence | Self::Counting | Self::File(_)
        );
        let goes = matches!(main, Self::Device(_) | Self::Relay(_) | Self::Stdin | Self::Push);
        if plays && goes { Ok(()) } else { Err(SourceSpecError::Fallback(self.to_string(), main.to_string())) }
    }

    /// Whether it can make audio of this shape. What stdin carries shows when it begins.
    ///
    /// # Errors
    /// [`SourceSpecError::Counting`]: counting PCM is s16 stereo.
    pub fn check(&self, spec: Spec) -> Result<(), SourceSpecError> {
        let fits = spec.format() == SampleFormat::S16 && spec.channels() == 2;
        if *self == Self::Counting && !fits { Err(SourceSpecError::Counting(spec)) } else { Ok(()) }
    }
}

impl fmt::Display for SourceSpec {
    /// As a person writes it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TimeSignal => "time-signal",
            Self::Tone => "tone",
            Self::Noise => "noise",
            Self::Silence => "silence",
            Self::Counting => "counting",
            Self::Stdin => "stdin",
            Self::File(path) => return write!(f, "file:{}", path.display()),
            Self::Device(card) => return write!(f, "device:{card}"),
            Self::Relay(url) => return write!(f, "relay:{url}"),
            Self::Push => "push",
            Self::None => "none",
        })
    }
}

impl FromStr for SourceSpec {
    type Err = SourceSpecError;
    fn from_str(s: &str) -> Result<Self, SourceSpecError> {
        let given = || s.chars().take(80).collect();
        if let Some(path) = s.strip_prefix("file:") {
            return if path.is_empty() { Err(SourceSpecError::NoPath) } else { Ok(Self::File(path.into())) };
        }
        if let Some(card) = s.strip_prefix("device:") {
            return Ok(Self::Device(card.parse()?));
        }
        if let Some(url) = s.strip_prefix("relay:") {
            return Ok(Self::Relay(url.parse()?));
        }
        Self::PLAIN.into_iter().find(|source| source.to_string() == s).ok_or_else(|| SourceSpecError::Unknown(given()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_refusals() {
        for source in SourceSpec::PLAIN {
            assert_eq!(source.name().as_str(), source.to_string());
            assert_eq!(source.to_string().parse(), Ok(source));
        }
        let message = |s: &str| s.parse::<SourceSpec>().unwrap_err().to_string();
        assert!(message("file:").contains("names no file"));
        let file: SourceSpec = "file:/tmp/a b.wav".parse().unwrap();
        assert_eq!((file.to_string().as_str(), file.name().as_str()), ("file:/tmp/a b.wav", "file:a b.wav"));
        assert!(!SourceSpec::File("/tmp/a\nb".into()).name().as_str().is_empty());
        assert!(message("device:").contains("sound card"));
        let card: SourceSpec = "device:alsa:hw:CARD=PCH,DEV=0".parse().unwrap();
        assert_eq!(
            (card.to_string(), card.name().as_str()),
            ("device:alsa:hw:CARD=PCH,DEV=0".into(), "device:alsa:hw:CARD=PCH,DEV=0")
        );
        assert!(!SourceSpec::Device("x".repeat(200).parse().unwrap()).name().as_str().is_empty());
        assert!(message("Tone").contains("unknown"));
        assert!(message(&"x".repeat(10_000)).len() < 300);
    }

    #[test]
    fn counting_has_one_shape() {
        let spec = |format, channels| Spec::new(format, 8_000, channels).unwrap();
        assert!(SourceSpec::Counting.check(spec(SampleFormat::S16, 2)).is_ok());
        assert!(SourceSpec::Counting.check(spec(SampleFormat::S16, 1)).is_err());
        assert!(SourceSpec::Counting.check(spec(SampleFormat::S24, 2)).is_err());
        assert!(SourceSpec::Tone.check(spec(SampleFormat::F32, 8)).is_ok());
    }
}

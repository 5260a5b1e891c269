//! What a source says it sends: by the type of its content, or by the extension of the address.

use crate::shape::Shape;
use livetape_audio::{LayoutError, Spec, SpecError};

/// What comes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Content {
    /// Something with a head of its own, whose usual extension helps to know it.
    Encoded(Option<&'static str>),
    /// PCM of this shape.
    Pcm(Spec),
}

/// Why it is not taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ContentError {
    #[error(
        "{0:?} cannot be decoded here: send audio/mpeg, audio/ogg (Vorbis, Opus, FLAC), audio/flac, audio/aac, audio/wav, or \
         audio/pcm;rate=48000;channels=2;format=s16"
    )]
    Unknown(String),
    #[error("audio/L16 and audio/L24 are big-endian: send audio/pcm;rate=48000;channels=2;format=s16, little-endian")]
    BigEndian,
    #[error("{0}; PCM is described as audio/pcm;rate=48000;channels=2;format=s16")]
    Pcm(String),
}

/// Types of contents, and the extensions of files of them.
const TYPES: [(&str, &str); 22] = [
    ("audio/mpeg", "mp3"),
    ("audio/mp3", "mp3"),
    ("audio/x-mpeg", "mp3"),
    ("audio/x-mp3", "mp3"),
    ("application/ogg", "ogg"),
    ("audio/ogg", "ogg"),
    ("audio/x-ogg", "ogg"),
    ("audio/vorbis", "ogg"),
    ("audio/opus", "ogg"),
    ("audio/x-opus", "ogg"),
    ("audio/x-flac+ogg", "ogg"),
    ("audio/flac", "flac"),
    ("audio/x-flac", "flac"),
    ("audio/wav", "wav"),
    ("audio/wave", "wav"),
    ("audio/x-wav", "wav"),
    ("audio/vnd.wave", "wav"),
    ("audio/aac", "aac"),
    ("audio/aacp", "aac"),
    ("audio/x-aac", "aac"),
    ("audio/aac-adts", "aac"),
    ("audio/vnd.dlna.adts", "aac"),
];
/// Extensions that an address may have, and those of what it is then.
const EXTENSIONS: [(&str, &str); 8] = [
    ("mp3", "mp3"),
    ("ogg", "ogg"),
    ("oga", "ogg"),
    ("opus", "ogg"),
    ("flac", "flac"),
    ("wav", "wav"),
    ("aac", "aac"),
    ("pcm", "pcm"),
];

/// The extension of files of this type.
pub(crate) fn extension(content_type: &str) -> Option<&'static str> {
    let name = content_type.split(';').next().unwrap_or_default().trim();
    TYPES.iter().find(|(known, _)| name.eq_ignore_ascii_case(known)).map(|(_, extension)| *extension)
}

/// A name without the extension that says what comes.
pub(crate) fn split(name: &str) -> (&str, Option<&'static str>) {
    let Some((stem, extension)) = name.rsplit_once('.') else { return (name, None) };
    match EXTENSIONS.iter().find(|(known, _)| extension.eq_ignore_ascii_case(known)) {
        Some((_, of)) => (stem, Some(of)),
        None => (name, None),
    }
}

impl Content {
    /// By the value of `Content-Type`, if there is one, and the extension of the address.
    ///
    /// # Errors
    /// [`ContentError`].
    pub(crate) fn of(content_type: Option<&str>, extension: Option<&'static str>) -> Result<Self, ContentError> {
        let (name, parameters) = content_type.map_or(("", ""), |value| value.split_once(';').unwrap_or((value, "")));
        let name = name.trim().to_ascii_lowercase();
        if name.is_empty() || name == "application/octet-stream" {
            return match extension {
                Some("pcm") => pcm(parameters).map(Self::Pcm),
                extension => Ok(Self::Encoded(extension)),
            };
        }
        match name.as_str() {
            "audio/pcm" | "audio/x-pcm" => pcm(parameters).map(Self::Pcm),
            "audio/l16" | "audio/l24" => Err(ContentError::BigEndian),
            _ => match self::extension(&name) {
                Some(extension) => Ok(Self::Encoded(Some(extension))),
                None => Err(ContentError::Unknown(name.chars().take(80).collect())),
            },
        }
    }
}

/// `rate=16000; channels=1; format=s16; layout=FC`; what is not said is 48 kHz, stereo, 16 bits.
fn pcm(parameters: &str) -> Result<Spec, ContentError> {
    let refused = |error: &dyn std::fmt::Display| ContentError::Pcm(error.to_string());
    let mut shape = Shape::default();
    for parameter in parameters.split(';').map(str::trim).filter(|parameter| !parameter.is_empty()) {
        let (key, value) = parameter.split_once('=').unwrap_or((parameter, ""));
        let value = value.trim().trim_matches('"');
        match key.trim().to_ascii_lowercase().as_str() {
            "rate" => shape.rate = Some(number(value)?),
            "channels" => shape.channels = Some(number(value)?),
            "format" => shape.format = Some(value.parse().map_err(|error: SpecError| refused(&error))?),
            "layout" => shape.layout = Some(value.parse().map_err(|error: LayoutError| refused(&error))?),
            _ => {}
        }
    }
    shape.spec().map_err(|error| refused(&error))
}

fn number(text: &str) -> Result<u32, ContentError> {
    text.parse().map_err(|_| ContentError::Pcm(format!("{:?} is no number", text.chars().take(40).collect::<String>())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use livetape_audio::SampleFormat;

    #[test]
    fn types_and_extensions() {
        assert_eq!(split("studio-a.mp3"), ("studio-a", Some("mp3")));
        assert_eq!((split("studio.b"), split("x")), (("studio.b", None), ("x", None)));
        let of = |value, extension| Content::of(value, extension);
        assert_eq!(of(Some("Audio/MPEG; x=y"), Some("ogg")), Ok(Content::Encoded(Some("mp3"))));
        assert_eq!(of(None, Some("ogg")), Ok(Content::Encoded(Some("ogg"))));
        assert_eq!(of(Some("application/octet-stream"), None), Ok(Content::Encoded(None)));
        for (_, extension) in TYPES {
            assert!(EXTENSIONS.iter().any(|(_, of)| *of == extension));
        }
        let spec = |format, rate, channels| Ok(Content::Pcm(Spec::new(format, rate, channels).unwrap()));
        assert_eq!(of(Some("audio/pcm;rate=16000; channels=1"), None), spec(SampleFormat::S16, 16_000, 1));
        assert_eq!(of(None, Some("pcm")), spec(SampleFormat::S16, 48_000, 2));
        assert_eq!(of(Some("audio/pcm;format=\"f32\""), None), spec(SampleFormat::F32, 48_000, 2));
        let Ok(Content::Pcm(quadro)) = of(Some("audio/pcm;layout=FL+FR+BL+BR"), None) else { panic!("it is PCM") };
        assert_eq!(quadro.to_string(), "s16le;rate=48000;channels=4;layout=FL+FR+BL+BR");
    }

    #[test]
    fn what_cannot_be_taken_is_said() {
        let refused = |value| Content::of(Some(value), Some("mp3")).unwrap_err().to_string();
        assert!(refused("text/html").contains("text/html"));
        assert!(refused("audio/L16;rate=44100").contains("big-endian"));
        assert!(refused("audio/pcm;rate=1").contains("audio/pcm;rate="));
        assert!(refused("audio/pcm;channels=x").contains("no number"));
        assert!(refused("audio/pcm;format=s8").contains("s8"));
        assert!(refused("audio/pcm;layout=5.1").contains("FL+FR+FC+LFE+BL+BR"));
        assert!(refused("audio/pcm;channels=4;layout=FL+FR+FC").contains("there are 4"));
        assert!(refused(&"x".repeat(100_000)).len() < 400);
    }
}

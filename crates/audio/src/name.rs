//! Names that come from outside, checked once, so that nothing after needs to.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;
use uuid::Uuid;

/// Extensions of renditions and playlists: a stream name may not end in one, or URLs would be ambiguous.
const RESERVED_EXTENSIONS: [&str; 16] = [
    "wav", "pcm", "rf64", "mp3", "ogg", "opus", "flac", "aac", "m4a", "mp4", "webm", "m3u", "m3u8", "pls", "xspf",
    "json",
];

/// Why a name was refused. The message quotes at most 80 characters of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Not `[a-z0-9][a-z0-9._-]{0,63}`.
    #[error("stream name {0:?}: use 1 to 64 of a-z, 0-9, '.', '_' and '-', beginning with a letter or a digit")]
    Stream(String),
    /// Ends like a rendition.
    #[error("stream name {0:?} ends in the extension of a rendition")]
    Extension(String),
    /// Not a pattern of stream names.
    #[error("stream pattern {0:?}: use 1 to 64 of a-z, 0-9, '.', '_', '-', and '*' for any characters")]
    Pattern(String),
    /// Not a canonical UUID.
    #[error("recording id {0:?} is not a lower-case UUID such as 01932c07-209c-7a3e-8c1f-5d2e9b7a4f10")]
    Recording(String),
    /// Too long, or with control characters.
    #[error("{what} {text:?}: at most {max} characters, none of them control characters")]
    Text {
        /// Which text.
        what: &'static str,
        /// Its beginning.
        text: String,
        /// The limit in characters.
        max: usize,
    },
}

pub(crate) fn quoted(s: &str) -> String {
    s.chars().take(80).collect()
}

/// Name of a stream: a lasting place where audio arrives. Safe as a path component and in a URL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("pattern" = "^[a-z0-9][a-z0-9._-]{0,63}$"), example = "studio-a")]
pub struct StreamName(String);

impl StreamName {
    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for StreamName {
    type Err = NameError;
    fn from_str(s: &str) -> Result<Self, NameError> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let bytes = s.as_bytes();
        let ok = bytes.first().is_some_and(|&b| plain(b))
            && bytes.len() <= 64
            && bytes.iter().all(|&b| plain(b) || matches!(b, b'.' | b'_' | b'-'));
        if !ok {
            return Err(NameError::Stream(quoted(s)));
        }
        match s.rsplit_once('.') {
            Some((_, ext)) if RESERVED_EXTENSIONS.contains(&ext) => Err(NameError::Extension(quoted(s))),
            _ => Ok(Self(s.to_owned())),
        }
    }
}

impl TryFrom<String> for StreamName {
    type Error = NameError;
    fn try_from(s: String) -> Result<Self, NameError> {
        s.parse()
    }
}

impl From<StreamName> for String {
    fn from(name: StreamName) -> Self {
        name.0
    }
}

impl fmt::Display for StreamName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Identity of a recording: a UUID version 7 (RFC 9562, section 5.7), so that ids sort by time of creation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("format" = "uuid"), example = "01932c07-209c-7a3e-8c1f-5d2e9b7a4f10")]
pub struct RecordingId(Uuid);

impl RecordingId {
    /// An id for a recording created at `unix_millis`, made unique by ten `random` bytes.
    pub fn new(unix_millis: u64, random: &[u8; 10]) -> Self {
        Self(uuid::Builder::from_unix_timestamp_millis(unix_millis, random).into_uuid())
    }
    /// Milliseconds since 1970 at which the id was made.
    pub fn unix_millis(self) -> u64 {
        self.0.as_u128().checked_shr(80).map_or(0, |ms| ms as u64)
    }
}

impl FromStr for RecordingId {
    type Err = NameError;
    /// Takes the canonical spelling only, so that one recording has one address.
    fn from_str(s: &str) -> Result<Self, NameError> {
        match Uuid::try_parse(s) {
            Ok(id) if id.get_version_num() == 7 && id.hyphenated().to_string() == s => Ok(Self(id)),
            _ => Err(NameError::Recording(quoted(s))),
        }
    }
}

impl TryFrom<String> for RecordingId {
    type Error = NameError;
    fn try_from(s: String) -> Result<Self, NameError> {
        s.parse()
    }
}

impl From<RecordingId> for String {
    fn from(id: RecordingId) -> Self {
        id.to_string()
    }
}

impl fmt::Display for RecordingId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(f)
    }
}

/// 16 random bytes that tell one run of a source from another. Written as 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(extend("pattern" = "^[0-9a-f]{32}$"))]
pub struct Instance(pub [u8; 16]);

/// Not 32 hexadecimal digits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an instance is written as 32 hexadecimal digits")]
pub struct InstanceError;

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl FromStr for Instance {
    type Err = InstanceError;
    fn from_str(s: &str) -> Result<Self, InstanceError> {
        if s.len() != 32 || !s.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(InstanceError);
        }
        u128::from_str_radix(s, 16).map(|n| Self(n.to_be_bytes())).map_err(|_| InstanceError)
    }
}

impl From<Instance> for String {
    fn from(instance: Instance) -> Self {
        instance.to_string()
    }
}

impl TryFrom<String> for Instance {
    type Error = InstanceError;
    fn try_from(s: String) -> Result<Self, InstanceError> {
        s.parse()
    }
}

macro_rules! text {
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal) => {
        text! { $(#[$doc])* $name, $what, $max, "" }
    };
    // `$breaks`: the control characters that may be in it.
    ($(#[$doc:meta])* $name:ident, $what:literal, $max:literal, $breaks:literal) => {
        $(#[$doc])*
        #[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schemars(extend("maxLength" = $max))]
        pub struct $name(String);

        impl $name {
            /// Most characters.
            pub const MAX_CHARS: usize = $max;
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(s: &str) -> Result<Self, NameError> {
                let bad = |c: char| c.is_control() && !$breaks.contains(c);
                let ok = s.chars().count() <= Self::MAX_CHARS && !s.chars().any(bad);
                ok.then(|| Self(s.to_owned())).ok_or_else(|| NameError::Text { what: $what, text: quoted(s), max: $max })
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;
            fn try_from(s: String) -> Result<Self, NameError> {
                s.parse()
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text! {
    /// What a person wants to see instead of a name: free text, at most 256 characters.
    Title, "title", 256
}
text! {
    /// What those who keep a recording want to remember of it: free text with lines, at most 4096 characters.
    Notes, "notes", 4096, "\n\t"
}
text! {
    /// Who pushes audio: `time-signal`, `stdin`, a device, a program. At most 128 characters.
    SourceName, "source", 128
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hostile_stream_names() {
        for good in ["a", "studio-a", "0", "a.b_c-d", "wav", "x.wav2"] {
            assert!(good.parse::<StreamName>().is_ok(), "{good}");
        }
        let long = "a".repeat(10_000);
        for bad in ["", "..", ".a", "-a", "A", "a/b", "a%2fb", "a\0b", "ａ", "аdmin", "a b", "x.wav", "x.m3u8", &long]
        {
            let message = bad.parse::<StreamName>().unwrap_err().to_string();
            assert!(message.len() < 400, "the message must not carry 10 kB back");
        }
    }

    #[test]
    fn one_recording_one_address() {
        let id = RecordingId::new(1_763_649_000_000, &[7; 10]);
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(id.unix_millis(), 1_763_649_000_000);
        let text = id.to_string();
        for bad in [
            text.to_uppercase(),
            text.replace('-', ""),
            format!("{{{text}}}"),
            format!("urn:uuid:{text}"),
            String::new(),
        ] {
            assert!(bad.parse::<RecordingId>().is_err(), "{bad}");
        }
        assert!("6b4d1a52-1ae5-4c8e-a1a5-0d3bb6a3c6f0".parse::<RecordingId>().is_err(), "version 4");
    }

    #[test]
    fn texts_have_limits() {
        assert!("é".repeat(256).parse::<Title>().is_ok());
        assert!("é".repeat(257).parse::<Title>().is_err());
        assert!("a\nb".parse::<Title>().is_err());
        assert!("a\n\tb".parse::<crate::name::Notes>().is_ok() && "a\rb".parse::<crate::name::Notes>().is_err());
    }

    #[test]
    fn instances_are_hexadecimal() {
        let instance = Instance([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 254, 255]);
        assert_eq!(instance.to_string(), "000102030405060708090a0b0c0dfeff");
        assert_eq!(instance.to_string().parse(), Ok(instance));
        for bad in ["", "00", "+00102030405060708090a0b0c0dfeff", "g00102030405060708090a0b0c0dfeff"] {
            assert_eq!(bad.parse::<Instance>(), Err(InstanceError));
        }
    }
}

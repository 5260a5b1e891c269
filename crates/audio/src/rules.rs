//! What is true of streams by their names: whether sources may open them, and when they are recorded.

use crate::name::{NameError, StreamName, quoted};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// When the audio of a stream is recorded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum RecordingMode {
    /// Whenever its source is there.
    #[default]
    Always,
    /// From the moment at which somebody begins a recording until somebody seals it.
    OnDemand,
}

impl RecordingMode {
    /// As it is written in settings and replies.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Always => "always",
            Self::OnDemand => "on-demand",
        }
    }
}

/// A stream name in which `*` stands for any characters, or none.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct StreamPattern(String);

impl StreamPattern {
    /// Whether the name is such a one.
    pub fn fits(&self, stream: &StreamName) -> bool {
        let Some((begin, rest)) = self.0.split_once('*') else { return self.0 == stream.as_str() };
        let Some(mut name) = stream.as_str().strip_prefix(begin) else { return false };
        let (middle, end) = rest.rsplit_once('*').unwrap_or(("", rest));
        // The earliest place of each part leaves the most room for those after it.
        for part in middle.split('*') {
            let Some(at) = name.find(part) else { return false };
            name = name.get(at + part.len()..).unwrap_or_default();
        }
        name.ends_with(end)
    }
}

impl FromStr for StreamPattern {
    type Err = NameError;
    fn from_str(s: &str) -> Result<Self, NameError> {
        let possible = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-' | b'*');
        if s.is_empty() || s.len() > 64 || !s.bytes().all(possible) {
            return Err(NameError::Pattern(quoted(s)));
        }
        Ok(Self(s.to_owned()))
    }
}

impl TryFrom<String> for StreamPattern {
    type Error = NameError;
    fn try_from(s: String) -> Result<Self, NameError> {
        s.parse()
    }
}

impl fmt::Display for StreamPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What is true of which streams. By default sources may open any, and each is always recorded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StreamRules {
    /// Those that sources may open; any without.
    pub allowed: Option<Vec<StreamPattern>>,
    /// When they are recorded: the first that fits counts. Always, if none does.
    pub modes: Vec<(StreamPattern, RecordingMode)>,
}

impl StreamRules {
    /// Whether sources may open the stream.
    pub fn allows(&self, stream: &StreamName) -> bool {
        self.allowed.as_ref().is_none_or(|allowed| allowed.iter().any(|pattern| pattern.fits(stream)))
    }

    /// When the stream is recorded.
    pub fn mode(&self, stream: &StreamName) -> RecordingMode {
        let rule = self.modes.iter().find(|(pattern, _)| pattern.fits(stream));
        rule.map_or(RecordingMode::default(), |(_, mode)| *mode)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn pattern(text: &str) -> StreamPattern {
        text.parse().unwrap()
    }

    fn name(text: &str) -> StreamName {
        text.parse().unwrap()
    }

    #[test]
    fn the_first_rule_that_fits_counts() {
        let rules = StreamRules {
            allowed: Some(vec![pattern("court-*"), pattern("live")]),
            modes: vec![(pattern("court-1"), RecordingMode::Always), (pattern("court-*"), RecordingMode::OnDemand)],
        };
        assert_eq!(rules.mode(&name("court-1")), RecordingMode::Always);
        assert_eq!(rules.mode(&name("court-2")), RecordingMode::OnDemand);
        assert_eq!(rules.mode(&name("live")), RecordingMode::Always);
        assert!(rules.allows(&name("live")) && rules.allows(&name("court-")) && !rules.allows(&name("live2")));
        assert!(StreamRules::default().allows(&name("x")));
        assert!(!StreamRules { allowed: Some(vec![]), modes: vec![] }.allows(&name("x")));
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for bad in ["", "Live", "a b", "a?", "ä", &"x".repeat(65)] {
            let error = bad.parse::<StreamPattern>().unwrap_err().to_string();
            assert!(error.contains("pattern"), "{error}");
        }
    }

    /// Every way to spend the characters of the name.
    fn slowly(pattern: &[u8], name: &[u8]) -> bool {
        match (pattern.split_first(), name.split_first()) {
            (None, rest) => rest.is_none(),
            (Some((b'*', others)), rest) => {
                slowly(others, name) || rest.is_some_and(|(_, shorter)| slowly(pattern, shorter))
            }
            (Some((p, others)), Some((n, shorter))) => p == n && slowly(others, shorter),
            (Some(_), None) => false,
        }
    }

    proptest! {
        #[test]
        fn a_star_is_anything(text in "[ab*]{1,8}", stream in "[ab]{1,8}") {
            prop_assert_eq!(pattern(&text).fits(&name(&stream)), slowly(text.as_bytes(), stream.as_bytes()));
        }
    }
}

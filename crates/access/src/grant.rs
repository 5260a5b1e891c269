//! What somebody may do with which streams: `listen,export:studio-*`. The same words in the file, in a JWT's claim
//! and on the command line.

use livetape_audio::StreamName;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Most grants of one identity.
const MAX_GRANTS: usize = 64;
/// Longest pattern, in bytes: as long as a name.
const MAX_PATTERN: usize = 64;

/// What can be allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Right {
    /// Send audio into a stream.
    Publish,
    /// Hear a stream and its recordings, and see what is said about them.
    Listen,
    /// Take views away as files.
    Export,
    /// Seal, name, mark, lock and delete.
    Manage,
}

impl Right {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Publish, Self::Listen, Self::Export, Self::Manage];

    /// Its word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Publish => "publish",
            Self::Listen => "listen",
            Self::Export => "export",
            Self::Manage => "manage",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for Right {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())
    }
}

impl FromStr for Right {
    type Err = GrantError;
    fn from_str(s: &str) -> Result<Self, GrantError> {
        Self::ALL.into_iter().find(|right| right.word() == s).ok_or_else(|| GrantError::Right(quoted(s)))
    }
}

/// Why a grant was not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GrantError {
    /// No colon.
    #[error("{0:?} is no grant: write rights, a colon and a stream, as listen,export:studio-*")]
    Form(String),
    /// An unknown right.
    #[error("{0:?} is no right; there are publish, listen, export and manage")]
    Right(String),
    /// Not a pattern.
    #[error("{0:?} matches no name of a stream: use a-z, 0-9, '.', '_', '-', and * for any of them, at most 64")]
    Pattern(String),
    /// Too many.
    #[error("{0} grants; at most {MAX_GRANTS} are possible")]
    TooMany(usize),
}

fn quoted(s: &str) -> String {
    s.chars().take(80).collect()
}

/// A set of rights.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rights(u8);

impl Rights {
    /// These.
    pub fn of(rights: impl IntoIterator<Item = Right>) -> Self {
        Self(rights.into_iter().fold(0, |bits, right| bits | right.bit()))
    }
    /// Whether this one is among them.
    pub const fn has(self, right: Right) -> bool {
        self.0 & right.bit() != 0
    }
    /// Whether there are none.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
    /// Those that are in both.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }
}

impl fmt::Display for Rights {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let words: Vec<_> = Right::ALL.iter().filter(|r| self.has(**r)).map(|r| r.word()).collect();
        f.write_str(&words.join(","))
    }
}

impl FromStr for Rights {
    type Err = GrantError;
    fn from_str(s: &str) -> Result<Self, GrantError> {
        Ok(Self::of(s.split(',').map(str::parse).collect::<Result<Vec<Right>, _>>()?))
    }
}

/// Names of streams: a name, in which each `*` stands for any characters or none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern(String);

impl Pattern {
    /// Whether a name is one of them.
    pub fn matches(&self, name: &StreamName) -> bool {
        let mut parts = self.0.split('*');
        let Some(mut rest) = parts.next().and_then(|first| name.as_str().strip_prefix(first)) else { return false };
        let Some(last) = parts.next_back() else { return rest.is_empty() };
        // The first place for each part leaves the most room for those after it.
        for part in parts {
            let Some(at) = rest.find(part) else { return false };
            rest = &rest[at + part.len()..];
        }
        rest.ends_with(last)
    }
}

impl FromStr for Pattern {
    type Err = GrantError;
    fn from_str(s: &str) -> Result<Self, GrantError> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-' | b'*');
        if s.is_empty() || s.len() > MAX_PATTERN || !s.bytes().all(plain) {
            return Err(GrantError::Pattern(quoted(s)));
        }
        Ok(Self(s.to_owned()))
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Rights on streams.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Grant {
    rights: Rights,
    streams: Pattern,
}

impl FromStr for Grant {
    type Err = GrantError;
    fn from_str(s: &str) -> Result<Self, GrantError> {
        let (rights, streams) = s.split_once(':').ok_or_else(|| GrantError::Form(quoted(s)))?;
        Ok(Self { rights: rights.parse()?, streams: streams.parse()? })
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.rights, self.streams)
    }
}

impl TryFrom<String> for Grant {
    type Error = GrantError;
    fn try_from(s: String) -> Result<Self, GrantError> {
        s.parse()
    }
}

impl From<Grant> for String {
    fn from(grant: Grant) -> Self {
        grant.to_string()
    }
}

/// Everything that somebody may do.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Grant>", into = "Vec<Grant>")]
pub struct Grants(Vec<Grant>);

impl Grants {
    /// These rights on every stream.
    pub fn everywhere(rights: Rights) -> Self {
        if rights.is_empty() { Self::default() } else { Self(vec![Grant { rights, streams: Pattern("*".into()) }]) }
    }
    /// Everything.
    pub fn all() -> Self {
        Self::everywhere(Rights::of(Right::ALL))
    }
    /// Whether nothing is allowed.
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
    /// Whether they allow this: on that stream, or, if none is named, on any at all.
    pub fn allow(&self, right: Right, stream: Option<&StreamName>) -> bool {
        self.0.iter().any(|grant| grant.rights.has(right) && stream.is_none_or(|s| grant.streams.matches(s)))
    }
    /// Whether they allow this on streams of any name.
    pub fn allow_everywhere(&self, right: Right) -> bool {
        self.0.iter().any(|grant| grant.rights.has(right) && grant.streams.0 == "*")
    }
    /// What is left of them with these rights only.
    #[must_use]
    pub fn only(&self, rights: Rights) -> Self {
        let left = |grant: &Grant| Grant { rights: grant.rights.and(rights), streams: grant.streams.clone() };
        Self(self.0.iter().map(left).filter(|grant| !grant.rights.is_empty()).collect())
    }
}

impl TryFrom<Vec<Grant>> for Grants {
    type Error = GrantError;
    fn try_from(grants: Vec<Grant>) -> Result<Self, GrantError> {
        if grants.len() > MAX_GRANTS { Err(GrantError::TooMany(grants.len())) } else { Ok(Self(grants)) }
    }
}

impl From<Grants> for Vec<Grant> {
    fn from(grants: Grants) -> Self {
        grants.0
    }
}

impl fmt::Display for Grants {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all: Vec<_> = self.0.iter().map(ToString::to_string).collect();
        f.write_str(&all.join(" "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        pattern.parse::<Pattern>().unwrap().matches(&name.parse().unwrap())
    }

    #[test]
    fn patterns() {
        for (pattern, yes, no) in [
            ("studio-a", "studio-a", "studio-ab"),
            ("*", "x", "x"),
            ("studio-*", "studio-a", "studio"),
            ("*-a", "studio-a", "studio-ab"),
            ("a*b*c", "abc", "ab"),
            ("a*b*c", "axbxbxc", "axbxcx"),
            ("a*a", "aa", "a"),
            ("**", "x", "x"),
            ("*x*", "axa", "aya"),
        ] {
            assert!(matches(pattern, yes), "{pattern} {yes}");
            assert!(pattern.trim_matches('*').is_empty() || !matches(pattern, no), "{pattern} {no}");
        }
        for bad in ["", "A", "a b", "ä", "a/b", "a?", &"a".repeat(65)] {
            assert!(bad.parse::<Pattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn grants_say_who_may_what_where() {
        let grants: Grants = serde_json::from_str(r#"["publish:studio-a", "listen,export:*"]"#).unwrap();
        let (a, b) = ("studio-a".parse().unwrap(), "b".parse().unwrap());
        assert!(grants.allow(Right::Publish, Some(&a)) && !grants.allow(Right::Publish, Some(&b)));
        assert!(grants.allow(Right::Listen, Some(&b)) && grants.allow(Right::Publish, None));
        assert!(!grants.allow(Right::Manage, None));
        assert_eq!(grants.to_string(), "publish:studio-a listen,export:*");
        let less = grants.only(Rights::of([Right::Export]));
        assert_eq!(less.to_string(), "export:*");
        assert!(Grants::everywhere(Rights::default()).is_empty() && Grants::all().allow(Right::Manage, Some(&b)));
    }

    #[test]
    fn what_is_no_grant_is_said() {
        for (text, part) in [
            ("listen", "colon"),
            ("hear:*", "hear"),
            (":*", "no right"),
            ("listen:", "matches no name"),
            ("listen:A", "matches no name"),
            ("listen,:a", "no right"),
        ] {
            let error = text.parse::<Grant>().unwrap_err().to_string();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!(Grants::try_from(vec!["listen:*".parse::<Grant>().unwrap(); 65]).is_err());
    }

    proptest::proptest! {
        #[test]
        fn a_pattern_matches_as_a_slow_one_would(pattern in "[ab*]{1,8}", name in "[ab]{1,10}") {
            fn slow(p: &[u8], n: &[u8]) -> bool {
                match p.split_first() {
                    None => n.is_empty(),
                    Some((b'*', p)) => (0..=n.len()).any(|i| slow(p, &n[i..])),
                    Some((c, p)) => n.split_first().is_some_and(|(d, n)| c == d && slow(p, n)),
                }
            }
            proptest::prop_assert_eq!(matches(&pattern, &name), slow(pattern.as_bytes(), name.as_bytes()));
        }
        #[test]
        fn any_text_is_a_grant_or_an_error(text in ".{0,40}") {
            if let Ok(grant) = text.parse::<Grant>() {
                proptest::prop_assert_eq!(grant.to_string().parse::<Grant>().unwrap(), grant);
            }
        }
    }
}

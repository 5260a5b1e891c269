//! Addresses of streams elsewhere.

use std::fmt;
use std::str::FromStr;
use url::Url;

/// Longest address, in bytes.
const MAX: usize = 2_048;

/// Why an address cannot be relayed. Quotes no password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a relay needs the address of a stream, relay:http://HOST/PATH or relay:https://…: {0}")]
pub struct RelayUrlError(String);

/// The address of a stream elsewhere: `http` or `https`, with a user and a password if it needs them. Shown without those.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct RelayUrl(Url);

impl RelayUrl {
    pub(crate) const fn url(&self) -> &Url {
        &self.0
    }

    /// What this address calls another one.
    ///
    /// # Errors
    /// [`RelayUrlError`], when that is none.
    pub(super) fn join(&self, location: &str) -> Result<Self, RelayUrlError> {
        let joined = self.0.join(location).map_err(|error| RelayUrlError(error.to_string()))?;
        let mut next = Self::checked(joined)?;
        // Whose password it is, only that host hears it.
        let same = next.0.origin() == self.0.origin() && next.0.username().is_empty();
        if same && next.0.set_username(self.0.username()).is_ok() {
            let _ = next.0.set_password(self.0.password());
        }
        Ok(next)
    }

    fn checked(url: Url) -> Result<Self, RelayUrlError> {
        let wrong = |why: &str| Err(RelayUrlError(why.into()));
        match (url.scheme(), url.host_str()) {
            (_, None | Some("")) => wrong("it names no host"),
            ("http" | "https", _) if url.as_str().len() <= MAX => Ok(Self(url)),
            ("http" | "https", _) => wrong("it is too long"),
            (scheme, _) => wrong(&format!("{:?} is not known here", scheme.chars().take(20).collect::<String>())),
        }
    }
}

impl FromStr for RelayUrl {
    type Err = RelayUrlError;
    fn from_str(s: &str) -> Result<Self, RelayUrlError> {
        Self::checked(Url::parse(s).map_err(|error| RelayUrlError(error.to_string()))?)
    }
}

impl fmt::Display for RelayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = self.0.clone();
        let _ = shown.set_username("");
        let _ = shown.set_password(None);
        // Some keys stand in the query.
        shown.set_query(None);
        shown.set_fragment(None);
        shown.fmt(f)
    }
}

impl fmt::Debug for RelayUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RelayUrl({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_what_they_show() {
        let url: RelayUrl = "https://dj:geheim@radio.example/live.mp3?key=k".parse().unwrap();
        assert_eq!(url.to_string(), "https://radio.example/live.mp3");
        assert!(!format!("{url:?}").contains("geheim"));
        assert_eq!(url.join("/other").unwrap().url().password(), Some("geheim"));
        assert_eq!(url.join("https://elsewhere.example/").unwrap().url().password(), None);
        for bad in [
            "",
            "radio.example",
            "ftp://a/b",
            "file:///etc/passwd",
            "http://",
            &format!("http://a/{}", "x".repeat(3_000)),
        ] {
            assert!(bad.parse::<RelayUrl>().is_err(), "{bad}");
        }
        assert!(url.join("file:///etc/passwd").is_err());
    }
}

//! Signed addresses, for players that can send no headers: who has one may, until it ends.
//!
//! A signature covers a path, rights and two times: one before which listening has to *start*, and one *until* which it may go on.
//! It covers a whole folder if that was signed: `/streams/studio-a/`. It does not cover the rest of the query: where in a
//! recording somebody listens is theirs to choose. Written into the query as `sign=KEY.RIGHTS.START.UNTIL.MAC`.

use crate::grant::{GrantError, Right, Rights};
use crate::token::{random, sha256};
use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use livetape_audio::WallTime;
use std::fmt;
use std::time::Duration;

/// What is signed begins with this, so that no other use of a key means the same.
const CONTEXT: &str = "livetape-url-1";
/// Longest path, in bytes, and most folders in it.
const MAX_PATH: usize = 1024;
const MAX_DEPTH: usize = 8;
/// Longest signature, in bytes.
const MAX_SIGNATURE: usize = 256;
/// Fewest bytes of a key.
const MIN_KEY: usize = 32;

/// A key that signs addresses and checks them. `Debug` shows its id only.
#[derive(Clone)]
pub struct UrlKey {
    id: String,
    key: hmac::Key,
    pub(crate) fingerprint: [u8; 32],
}

/// Why a key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UrlKeyError {
    /// The id.
    #[error("the id of a key is 1 to 32 of a-z, 0-9, '_' and '-'")]
    Id,
    /// The key.
    #[error("a key is at least {MIN_KEY} random bytes in base64url; `livetape token key` makes one")]
    Key,
}

/// Why a path cannot be signed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PathError {
    /// Not a plain path.
    #[error(
        "not a path that can be signed: it begins with '/', has no '//', '/./', '/../' or control characters, at most {MAX_PATH} bytes and {MAX_DEPTH} folders"
    )]
    Path,
    /// Not these rights.
    #[error("addresses are signed to listen and to export, nothing else")]
    Rights,
    /// The times.
    #[error("`start by` is after `until`, or before 1970")]
    Times,
}

/// What an address allows, and the proof, which `Debug` does not show.
#[derive(Clone, PartialEq, Eq)]
pub struct Signature {
    pub(crate) key: String,
    pub(crate) rights: Rights,
    pub(crate) start_by: WallTime,
    pub(crate) until: WallTime,
    mac: Vec<u8>,
}

impl UrlKey {
    /// A key from its text: base64url of at least 32 bytes.
    ///
    /// # Errors
    /// [`UrlKeyError`], which quotes nothing.
    pub fn new(id: &str, text: &str) -> Result<Self, UrlKeyError> {
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'_' | b'-');
        if id.is_empty() || id.len() > 32 || !id.bytes().all(plain) {
            return Err(UrlKeyError::Id);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text.trim()).map_err(|_| UrlKeyError::Key)?;
        if bytes.len() < MIN_KEY {
            return Err(UrlKeyError::Key);
        }
        let fingerprint = sha256(&[id.as_bytes(), b"\n", &bytes].concat());
        Ok(Self { id: id.into(), key: hmac::Key::new(hmac::HMAC_SHA256, &bytes), fingerprint })
    }

    /// Draws the text of a new key.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub fn mint() -> std::io::Result<crate::Secret> {
        Ok(crate::Secret::new(URL_SAFE_NO_PAD.encode(random()?)))
    }

    /// Its id.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Signs a path, decoded; one that ends in `/` stands for everything below it. Whole seconds.
    ///
    /// # Errors
    /// [`PathError`] says what cannot be signed.
    pub fn sign(
        &self,
        path: &str,
        rights: Rights,
        start_by: WallTime,
        until: WallTime,
    ) -> Result<Signature, PathError> {
        if !is_plain(path) {
            return Err(PathError::Path);
        }
        if rights.is_empty() || rights.and(Rights::of([Right::Listen, Right::Export])) != rights {
            return Err(PathError::Rights);
        }
        let (start_by, until) = (whole(start_by), whole(until));
        if start_by > until || start_by < WallTime::default() {
            return Err(PathError::Times);
        }
        let mut signature = Signature { key: self.id.clone(), rights, start_by, until, mac: Vec::new() };
        signature.mac = hmac::sign(&self.key, signature.message(path).as_bytes()).as_ref().to_vec();
        Ok(signature)
    }

    /// Whether it is this key's, for this path or a folder that it is in. Takes as long for a wrong one.
    pub(crate) fn checks(&self, signature: &Signature, path: &str) -> bool {
        let folders = path.match_indices('/').map(|(at, _)| &path[..=at]);
        let is_signed =
            |path: &str| hmac::verify(&self.key, signature.message(path).as_bytes(), &signature.mac).is_ok();
        is_plain(path) && (is_signed(path) || folders.into_iter().any(is_signed))
    }
}

impl fmt::Debug for UrlKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "UrlKey({})", self.id)
    }
}

impl Signature {
    fn message(&self, path: &str) -> String {
        let (start, until) = (seconds(self.start_by), seconds(self.until));
        format!("{CONTEXT}\n{}\n{}\n{start}\n{until}\n{path}", self.key, self.rights)
    }

    /// Reads what [`Display`](fmt::Display) writes.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        if text.len() > MAX_SIGNATURE {
            return None;
        }
        let fields: Vec<_> = text.split('.').collect();
        let [key, rights, start, until, mac] = fields[..] else { return None };
        let rights: Result<Rights, GrantError> = rights.parse();
        Some(Self {
            key: key.into(),
            rights: rights.ok()?,
            start_by: from_seconds(start)?,
            until: from_seconds(until)?,
            mac: URL_SAFE_NO_PAD.decode(mac).ok()?,
        })
    }
}

impl fmt::Debug for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signature({} for {} until {})", self.key, self.rights, self.until)
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (start, until) = (seconds(self.start_by), seconds(self.until));
        write!(f, "{}.{}.{start}.{until}.{}", self.key, self.rights, URL_SAFE_NO_PAD.encode(&self.mac))
    }
}

fn is_plain(path: &str) -> bool {
    let inner = path.strip_prefix('/').map(|path| path.strip_suffix('/').unwrap_or(path));
    inner.is_some_and(|inner| {
        path.len() <= MAX_PATH
            && path.matches('/').count() <= MAX_DEPTH
            && (path == "/" || inner.split('/').all(|part| !matches!(part, "" | "." | "..")))
            && !path.chars().any(char::is_control)
    })
}

const fn seconds(time: WallTime) -> u64 {
    time.unix_millis() / 1000
}

fn whole(time: WallTime) -> WallTime {
    if time < WallTime::default() { time } else { WallTime::default().later(Duration::from_secs(seconds(time))) }
}

fn from_seconds(text: &str) -> Option<WallTime> {
    // One spelling for each number: what is signed is the number.
    let number: u64 = text.parse().ok().filter(|n: &u64| n.to_string() == text)?;
    let nanos = i64::try_from(number).ok()?.checked_mul(1_000_000_000)?;
    Some(WallTime::from_unix_nanos(nanos))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> UrlKey {
        UrlKey::new("k1", UrlKey::mint().unwrap().reveal()).unwrap()
    }

    fn at(seconds: i64) -> WallTime {
        WallTime::from_unix_nanos(seconds * 1_000_000_000)
    }

    #[test]
    fn a_signature_is_for_its_path() {
        let (key, other) = (key(), key());
        let listen = Rights::of([Right::Listen]);
        let signature = key.sign("/streams/a/live.wav", listen, at(10), at(20)).unwrap();
        let read = Signature::parse(&signature.to_string()).unwrap();
        assert_eq!(read, signature);
        assert!(!format!("{read:?}").contains(signature.to_string().rsplit('.').next().unwrap()));
        assert!(key.checks(&read, "/streams/a/live.wav") && !other.checks(&read, "/streams/a/live.wav"));
        for path in ["/streams/b/live.wav", "/streams/a/live.wav/", "/streams/a/", "/", "", "/streams/a/live.wa"] {
            assert!(!key.checks(&read, path), "{path}");
        }
        let folder = key.sign("/streams/a/", listen, at(10), at(20)).unwrap();
        assert!(key.checks(&folder, "/streams/a/live.wav") && key.checks(&folder, "/streams/a/hls/1.mp4"));
        for path in ["/streams/ab", "/streams/a", "/streams/b/a/", "/streams/a/../b", "/streams/a//x"] {
            assert!(!key.checks(&folder, path), "{path}");
        }
    }

    #[test]
    fn whoever_changes_anything_has_nothing() {
        let key = key();
        let text = key.sign("/x", Rights::of([Right::Listen]), at(10), at(20)).unwrap().to_string();
        for (from, to) in [("listen", "listen,export"), (".10.", ".11."), (".20.", ".21."), ("k1", "k2")] {
            let changed = Signature::parse(&text.replacen(from, to, 1)).unwrap();
            assert!(!key.checks(&changed, "/x"), "{to}");
        }
        let short = Signature::parse(&text[..text.len() - 3]).unwrap();
        assert!(!key.checks(&short, "/x"));
        for bad in
            ["", "k1", "k1.listen.1.2", "k1.hear.1.2.x", "k1.listen.01.2.x", "k1.listen.1.2.!", "k1.listen.-1.2.x"]
        {
            assert!(Signature::parse(bad).is_none(), "{bad}");
        }
        assert!(Signature::parse(&format!("k1.listen.{}.2.x", u64::MAX)).is_none());
        assert!(Signature::parse(&"x".repeat(300)).is_none());
    }

    #[test]
    fn what_cannot_be_signed() {
        let (key, listen) = (key(), Rights::of([Right::Listen]));
        for path in ["", "x", "//", "/a//b", "/../a", "/a/.", "/a\nb", "/1/2/3/4/5/6/7/8/9"] {
            assert_eq!(key.sign(path, listen, at(1), at(2)), Err(PathError::Path), "{path}");
        }
        assert_eq!(key.sign("/", Rights::of([Right::Manage]), at(1), at(2)), Err(PathError::Rights));
        assert_eq!(key.sign("/", Rights::default(), at(1), at(2)), Err(PathError::Rights));
        assert_eq!(key.sign("/", listen, at(3), at(2)), Err(PathError::Times));
        assert_eq!(key.sign("/", listen, at(-3), at(2)), Err(PathError::Times));
        assert_eq!(UrlKey::new("k", "c2hvcnQ").unwrap_err(), UrlKeyError::Key);
        assert_eq!(UrlKey::new("K", UrlKey::mint().unwrap().reveal()).unwrap_err(), UrlKeyError::Id);
        assert_eq!(format!("{key:?}"), "UrlKey(k1)");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_a_signature_or_not(text in "[a-z0-9.,_-]{0,80}") {
            drop(Signature::parse(&text));
        }
    }
}

//! Tokens: 32 random bytes as text. Only their SHA-256 is stored, which is enough: nobody guesses 32 random bytes.

use crate::secret::Secret;
use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use std::fmt;
use std::str::FromStr;

/// What every token begins with, so that people and scanners of leaked secrets know it.
pub(crate) const PREFIX: &str = "lt_";

/// Draws a new token.
///
/// # Errors
/// When the system has no random bytes.
pub fn mint() -> std::io::Result<Secret> {
    Ok(Secret::new(format!("{PREFIX}{}", URL_SAFE_NO_PAD.encode(random()?))))
}

pub(crate) fn random() -> std::io::Result<[u8; 32]> {
    let mut bytes = [0; 32];
    aws_lc_rs::rand::fill(&mut bytes).map_err(|_| std::io::Error::other("the system has no random bytes"))?;
    Ok(bytes)
}

/// SHA-256 of a token, in hexadecimal digits where it is written.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenHash(pub(crate) [u8; 32]);

impl TokenHash {
    /// Of a token.
    pub fn of(token: &Secret) -> Self {
        Self(sha256(token.reveal().as_bytes()))
    }
}

pub(crate) fn sha256(bytes: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, bytes).as_ref());
    hash
}

impl fmt::Display for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TokenHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TokenHash({self})")
    }
}

impl FromStr for TokenHash {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let wrong = || "sha256 is not 64 hexadecimal digits; `livetape token new` makes token and hash".to_owned();
        if s.len() != 64 || !s.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(wrong());
        }
        let mut hash = [0; 32];
        for (byte, digits) in hash.iter_mut().zip(s.as_bytes().chunks(2)) {
            let text = std::str::from_utf8(digits).map_err(|_| wrong())?;
            *byte = u8::from_str_radix(text, 16).map_err(|_| wrong())?;
        }
        Ok(Self(hash))
    }
}

impl<'de> serde::Deserialize<'de> for TokenHash {
    fn deserialize<D: serde::Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        <String as serde::Deserialize>::deserialize(d)?.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_differ_and_their_hashes_are_read_back() {
        let (a, b) = (mint().unwrap(), mint().unwrap());
        assert!(a != b && a.reveal().starts_with(PREFIX) && a.reveal().len() == 46);
        let hash = TokenHash::of(&a);
        assert_eq!(hash.to_string().parse::<TokenHash>().unwrap(), hash);
        // FIPS 180-4, the example of "abc".
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(TokenHash::of(&Secret::new("abc")).to_string(), abc);
        for bad in ["", "ab", &"g".repeat(64), &"é".repeat(32), &"+1".repeat(32)] {
            assert!(bad.parse::<TokenHash>().is_err(), "{bad}");
        }
    }
}

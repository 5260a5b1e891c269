//! What somebody shows, taken from where protocols put it.

use crate::secret::Secret;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use livetape_audio::WallTime;

/// Longest `Authorization` that is looked at, in bytes.
const MAX: usize = 8 << 10;

/// What somebody shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Nothing.
    Nothing,
    /// A token or a JWT.
    Bearer(Secret),
    /// User and password; a token as the password of any user.
    Basic {
        /// The user.
        user: String,
        /// The password.
        password: Secret,
    },
    /// A signed address: its path, decoded, and the signature in its query.
    Url {
        /// The path.
        path: String,
        /// The signature, as [`crate::Signature`] writes it.
        signature: Secret,
    },
    /// A certificate that was checked already.
    Certificate {
        /// The names in it.
        names: Vec<String>,
        /// When it ends, if that is known.
        until: Option<WallTime>,
    },
}

/// What was shown cannot be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ShownError {
    /// Another scheme.
    #[error("of Authorization, Bearer with a token and Basic with user and password are understood")]
    Scheme,
    /// Not base64, not UTF-8, no colon.
    #[error("what follows Basic is not user:password in base64")]
    Basic,
    /// Longer than anything that is valid.
    #[error("Authorization is longer than {MAX} bytes")]
    TooLong,
}

impl Shown {
    /// Reads the value of `Authorization` (RFC 9110, section 11.6.2): `Bearer` (RFC 6750), `Basic` (RFC 7617).
    ///
    /// # Errors
    /// [`ShownError`], which quotes nothing.
    pub fn authorization(value: &str) -> Result<Self, ShownError> {
        if value.len() > MAX {
            return Err(ShownError::TooLong);
        }
        let (scheme, rest) = value.trim().split_once(' ').ok_or(ShownError::Scheme)?;
        let rest = rest.trim();
        if scheme.eq_ignore_ascii_case("bearer") {
            return Ok(Self::Bearer(Secret::new(rest)));
        }
        if !scheme.eq_ignore_ascii_case("basic") {
            return Err(ShownError::Scheme);
        }
        let text =
            STANDARD.decode(rest).ok().and_then(|bytes| String::from_utf8(bytes).ok()).ok_or(ShownError::Basic)?;
        let (user, password) = text.split_once(':').ok_or(ShownError::Basic)?;
        Ok(Self::Basic { user: user.into(), password: Secret::new(password) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ways_of_authorization() {
        let bearer = Shown::authorization("bearer  lt_x").unwrap();
        assert_eq!(bearer, Shown::Bearer(Secret::new("lt_x")));
        assert!(!format!("{bearer:?}").contains("lt_x"));
        let basic = Shown::authorization("Basic c291cmNlOmE6Yg==").unwrap();
        assert_eq!(basic, Shown::Basic { user: "source".into(), password: Secret::new("a:b") });
        assert!(!format!("{basic:?}").contains("a:b"));
        let url = Shown::Url { path: "/x".into(), signature: Secret::new("k1.listen.1.2.mac") };
        assert!(!format!("{url:?}").contains("mac"));
        assert_eq!(Shown::authorization("Basic !"), Err(ShownError::Basic));
        assert_eq!(Shown::authorization("Basic Y29sb24="), Err(ShownError::Basic));
        assert_eq!(Shown::authorization("Digest x"), Err(ShownError::Scheme));
        assert_eq!(Shown::authorization(""), Err(ShownError::Scheme));
        assert_eq!(Shown::authorization(&"x".repeat(9000)), Err(ShownError::TooLong));
    }

    proptest::proptest! {
        #[test]
        fn anything_is_read_or_refused(text in ".{0,60}") {
            drop(Shown::authorization(&text));
        }
    }
}

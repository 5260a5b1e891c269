//! Floor 1: who may publish, listen, export and manage, and for how long.
//!
//! Somebody *shows* something (a token, a JWT, user and password, a signed address, a certificate), which *proves* an
//! [`Identity`] with [`Grants`]; [`decide`] says whether those allow a [`Right`] on a stream now; a [`Permit`] tells
//! whoever serves an open stream when that ends. What may be shown stands in one file, which is read again when it
//! changes ([`Access`]); it holds hashes, and names the files of keys.
//!
//! Not here: HTTP, gRPC and TLS. [`ENDPOINTS`] names every address of both and the right that it needs; who serves them asks
//! for a [`Caller`].

mod access;
#[cfg(fuzzing)]
pub mod fuzzing {
    //! What only fuzz targets ask for.

    /// Whether a text is a set of keys for JWTs, and how many of them count.
    pub fn key_set(text: &str) -> Option<usize> {
        crate::jwt::JwtKey::read_set(text).ok().map(|keys| keys.len())
    }
}
mod actor;
mod book;
mod caller;
mod endpoints;
mod file;
mod grant;
mod identity;
mod jwt;
mod keys;
mod password;
mod secret;
mod shown;
mod signed;
mod token;

pub use access::{Access, Ended, Permit, Tries, wall_clock};
pub use actor::Actor;
pub use book::Unproven;
pub use caller::{Caller, Denied};
pub use endpoints::{ENDPOINTS, Endpoint, Needs, Protocol};
pub use file::AccessError;
pub use grant::{Grant, GrantError, Grants, Pattern, Right, Rights};
pub use identity::{Account, Decision, Identity, Refusal, Way, decide};
pub use jwt::{Claims, IssueError, JwtAlgorithm, issue};
pub use keys::{KeyPair, pair};
pub use password::{PasswordError, hash as hash_password};
pub use secret::Secret;
pub use shown::{Shown, ShownError};
pub use signed::{PathError, Signature, UrlKey, UrlKeyError};
pub use token::{TokenHash, mint as mint_token};

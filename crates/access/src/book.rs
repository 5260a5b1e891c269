//! Everything that the file says, in memory: what is shown becomes an identity. Pure, but for passwords.

use crate::grant::{Grants, Right, Rights};
use crate::identity::{Identity, Proof, plain};
use crate::jwt::{JwtProof, JwtRules};
use crate::password::{self, Checked, Passwords};
use crate::secret::Secret;
use crate::shown::Shown;
use crate::signed::{Signature, UrlKey};
use crate::token::{PREFIX, TokenHash, sha256};
use livetape_audio::WallTime;
use std::collections::{HashMap, HashSet};
use std::time::Duration;

/// What was shown proves nothing. The text says nothing about what would.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unproven {
    /// Not known here.
    #[error("the token is not known here")]
    Token,
    /// No such user, or another password.
    #[error("user and password do not fit")]
    Password,
    /// Nobody known here has signed the JWT.
    #[error("{0}")]
    Jwt(String),
    /// Somebody known here has signed the JWT, and it does not count, or not now.
    #[error("{0}")]
    JwtRefused(String),
    /// Not signed by a key of here.
    #[error("the signature of the address is not valid for it")]
    Url,
    /// Signed, but it should have been used before.
    #[error("the address was to be used before {0}")]
    Late(WallTime),
    /// No name in the certificate is known.
    #[error("the client's certificate is for nobody who is known here")]
    Certificate,
    /// It was valid until then.
    #[error("what was shown was valid until {0}")]
    Expired(WallTime),
    /// Somebody revoked it.
    #[error("what was shown has been revoked")]
    Revoked,
    /// Too much from there proved nothing. Says what this proves, if that was looked at.
    #[error("{}too much from this address has proved nothing; try again in a while", .why.as_ref().map(|why| format!("{why}; and ")).unwrap_or_default())]
    TooOften {
        /// What is wrong with what was shown.
        why: Option<Box<Unproven>>,
        /// When it is looked at again.
        again: Duration,
    },
    /// Too many passwords are being checked.
    #[error("too many passwords are being checked at once; try again in a moment")]
    Busy,
}

impl Unproven {
    /// Whether it may have been a guess: what was valid once is none.
    pub(crate) const fn is_guess(&self) -> bool {
        matches!(self, Self::Token | Self::Password | Self::Jwt(_) | Self::Url | Self::Certificate)
    }
}

/// What a token or certificate stands for.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) grants: Grants,
    pub(crate) until: Option<WallTime>,
}

/// A user.
#[derive(Clone, Debug)]
pub(crate) struct User {
    pub(crate) hash: String,
    pub(crate) entry: Entry,
}

/// What the file says.
#[derive(Debug, Default)]
pub(crate) struct Book {
    pub(crate) tokens: HashMap<[u8; 32], Entry>,
    pub(crate) users: HashMap<String, User>,
    pub(crate) certificates: HashMap<String, Entry>,
    pub(crate) jwt: JwtRules,
    pub(crate) url_keys: Vec<(UrlKey, Grants)>,
    pub(crate) revoked: HashSet<String>,
}

impl Entry {
    fn proved(&self, proof: Proof) -> Identity {
        let until = match &proof {
            // Whichever comes first.
            Proof::Certificate { until, .. } => self.until.into_iter().chain(*until).min(),
            _ => self.until,
        };
        Identity { name: plain(&self.name), proof, grants: self.grants.clone(), until }
    }
}

/// Whoever has an address that this key signed, for these rights.
fn signer(key: &UrlKey, most: &Grants, rights: Rights, signature: [u8; 32], until: Option<WallTime>) -> Identity {
    let proof = Proof::Url { key: key.fingerprint, rights, signature };
    Identity { name: key.id().into(), proof, grants: most.only(rights), until }
}

impl Book {
    /// Whose this is.
    pub(crate) async fn identify(
        &self,
        shown: &Shown,
        passwords: &Passwords,
        now: WallTime,
    ) -> Result<Option<Identity>, Unproven> {
        let identity = match shown {
            Shown::Nothing => return Ok(None),
            Shown::Bearer(token) => self.bearer(token, now)?,
            Shown::Basic { password, .. } if password.reveal().starts_with(PREFIX) => self.bearer(password, now)?,
            Shown::Basic { user, password } => self.password(user, password, passwords).await?,
            Shown::Url { path, signature } => self.url(path, signature.reveal(), now)?,
            Shown::Certificate { names, until } => self.certificate(names, *until)?,
        };
        match identity.until.filter(|until| now >= *until) {
            Some(until) => Err(Unproven::Expired(until)),
            None => Ok(Some(identity)),
        }
    }

    fn bearer(&self, token: &Secret, now: WallTime) -> Result<Identity, Unproven> {
        let TokenHash(hash) = TokenHash::of(token);
        // A hash is looked up: how long that takes tells nothing that helps to find what has this hash.
        if let Some(entry) = self.tokens.get(&hash) {
            return Ok(entry.proved(Proof::Token(hash)));
        }
        if token.reveal().starts_with(PREFIX) || self.jwt.keys.is_empty() {
            return Err(Unproven::Token);
        }
        let identity = self.jwt.check(token, now).map_err(|error| match error.is_guess() {
            true => Unproven::Jwt(error.to_string()),
            false => Unproven::JwtRefused(error.to_string()),
        })?;
        match &identity.proof {
            Proof::Jwt(proof) if self.revokes(proof) => Err(Unproven::Revoked),
            _ => Ok(identity),
        }
    }

    fn revokes(&self, proof: &JwtProof) -> bool {
        proof.id.as_ref().is_some_and(|id| self.revoked.contains(id))
    }

    async fn password(&self, user: &str, password: &Secret, passwords: &Passwords) -> Result<Identity, Unproven> {
        let known = self.users.get(user);
        // Who does not exist takes as long as whoever takes longest.
        let checked = known.or_else(|| self.users.values().max_by_key(|user| password::cost(&user.hash)));
        let checked = checked.ok_or(Unproven::Password)?;
        match (passwords.check(password, &checked.hash, known.is_some()).await, known) {
            (Checked::Right, Some(known)) => Ok(known.entry.proved(Proof::Password(user.into(), known.hash.clone()))),
            (Checked::Busy, _) => Err(Unproven::Busy),
            _ => Err(Unproven::Password),
        }
    }

    fn url(&self, path: &str, text: &str, now: WallTime) -> Result<Identity, Unproven> {
        let signature = Signature::parse(text).ok_or(Unproven::Url)?;
        let known = self.url_keys.iter().find(|(key, _)| key.id() == signature.key);
        let (key, grants) = known.filter(|(key, _)| key.checks(&signature, path)).ok_or(Unproven::Url)?;
        if now >= signature.start_by {
            return Err(Unproven::Late(signature.start_by));
        }
        Ok(signer(key, grants, signature.rights, sha256(text.as_bytes()), Some(signature.until)))
    }

    fn certificate(&self, names: &[String], until: Option<WallTime>) -> Result<Identity, Unproven> {
        let known = names.iter().find_map(|name| Some((name, self.certificates.get(name)?)));
        let (name, entry) = known.ok_or(Unproven::Certificate)?;
        Ok(entry.proved(Proof::Certificate { name: name.clone(), until }))
    }

    /// Whether it takes long to find out whose this is: a password that is not known to be right; a JWT that any of many keys may
    /// have signed.
    pub(crate) fn is_slow(&self, shown: &Shown, passwords: &Passwords) -> bool {
        let (user, password) = match shown {
            Shown::Basic { user, password } => (user, password),
            Shown::Bearer(token) => return !token.reveal().starts_with(PREFIX) && self.jwt.is_slow(token),
            _ => return false,
        };
        let is_known = || self.users.get(user).is_some_and(|user| passwords.know(password, &user.hash));
        !password.reveal().starts_with(PREFIX) && !self.users.is_empty() && !is_known()
    }

    /// Everybody who is named here.
    pub(crate) fn listed(&self) -> Vec<Identity> {
        let mut tokens: Vec<_> = self.tokens.iter().map(|(hash, entry)| entry.proved(Proof::Token(*hash))).collect();
        let users = self.users.iter();
        let mut users: Vec<_> =
            users.map(|(name, user)| user.entry.proved(Proof::Password(name.clone(), user.hash.clone()))).collect();
        let certificates = self.certificates.iter();
        let mut certificates: Vec<_> = certificates
            .map(|(name, entry)| entry.proved(Proof::Certificate { name: name.clone(), until: None }))
            .collect();
        let keys = self.url_keys.iter();
        let mut keys: Vec<_> =
            keys.map(|(key, grants)| signer(key, grants, Rights::of(Right::ALL), key.fingerprint, None)).collect();
        for of_a_kind in [&mut tokens, &mut users, &mut certificates, &mut keys] {
            of_a_kind.sort_by(|a, b| a.name.cmp(&b.name));
        }
        [tokens, users, certificates, keys].concat()
    }

    /// What somebody may who proved something before: less, more, or nothing any longer. `None` is for who is not
    /// in this book.
    pub(crate) fn again(&self, identity: &Identity) -> Option<Identity> {
        let entry = match &identity.proof {
            Proof::Token(hash) => self.tokens.get(hash),
            Proof::Certificate { name, .. } => self.certificates.get(name),
            Proof::Password(user, hash) => {
                self.users.get(user).filter(|user| user.hash == *hash).map(|user| &user.entry)
            }
            Proof::Jwt(proof) => {
                return (self.jwt.still(proof) && !self.revokes(proof)).then(|| identity.clone());
            }
            Proof::Url { key, rights, signature } => {
                let (key, most) = self.url_keys.iter().find(|(known, _)| known.fingerprint == *key)?;
                return Some(signer(key, most, *rights, *signature, identity.until));
            }
            Proof::Anonymous | Proof::Insider(_) => return Some(identity.clone()),
        };
        entry.map(|entry| entry.proved(identity.proof.clone()))
    }
}

//! Passwords of people, hashed slowly (argon2id) because people choose what can be guessed.
//!
//! A check takes tens of milliseconds and megabytes, so that few are made at once, and what was right is remembered for as
//! long as the process lives, as a keyed hash.

use crate::secret::Secret;
use crate::token::random;
use argon2::password_hash::PasswordHasher;
use argon2::password_hash::phc::{Output, PasswordHash};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use aws_lc_rs::hmac;
use std::collections::HashSet;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::Semaphore;

/// Checks at once: each takes a core and, with the built-in cost, 19 MiB.
const AT_ONCE: usize = 2;
/// How long one waits for its turn.
const PATIENCE: Duration = Duration::from_secs(5);
/// Right ones that are remembered.
const REMEMBERED: usize = 4096;
/// Longest password, in bytes.
const MAX_PASSWORD: usize = 1024;
/// Most that a hash may cost: KiB of memory, rounds.
const MAX_MEMORY: u32 = 256 << 10;
const MAX_ROUNDS: u32 = 16;

/// Why a password cannot be hashed, or a hash not be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too short or too long.
    #[error("a password has 8 to {MAX_PASSWORD} bytes")]
    Length,
    /// Not a hash.
    #[error("the password of a user is written as its argon2id hash; `livetape token password` makes one")]
    Hash,
    /// A hash that costs too much to check.
    #[error("the hash costs more than {} MiB or {MAX_ROUNDS} rounds", MAX_MEMORY >> 10)]
    Cost,
    /// Hashing failed.
    #[error("the password could not be hashed")]
    Failed,
}

/// Hashes a password with a fresh salt, as a PHC string.
///
/// # Errors
/// [`PasswordError`].
pub fn hash(password: &Secret) -> Result<String, PasswordError> {
    let bytes = password.reveal().as_bytes();
    if !(8..=MAX_PASSWORD).contains(&bytes.len()) {
        return Err(PasswordError::Length);
    }
    Argon2::default().hash_password(bytes).map(|hash| hash.to_string()).map_err(|_| PasswordError::Failed)
}

/// Whether a text is a hash that can be checked.
pub(crate) fn check(hash: &str) -> Result<(), PasswordError> {
    let parsed = PasswordHash::new(hash).map_err(|_| PasswordError::Hash)?;
    if parsed.algorithm.as_str() != "argon2id" || parsed.hash.is_none() {
        return Err(PasswordError::Hash);
    }
    let params = Params::try_from(&parsed).map_err(|_| PasswordError::Hash)?;
    let affordable = params.m_cost() <= MAX_MEMORY && params.t_cost() <= MAX_ROUNDS && params.p_cost() <= 8;
    if affordable { Ok(()) } else { Err(PasswordError::Cost) }
}

/// What it costs to check a hash.
pub(crate) fn cost(hash: &str) -> u64 {
    let parsed = PasswordHash::new(hash).ok();
    let params = parsed.and_then(|parsed| Params::try_from(&parsed).ok());
    params.map_or(0, |params| u64::from(params.m_cost()) * u64::from(params.t_cost()))
}

/// How a check came out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Checked {
    Right,
    Wrong,
    /// Too many others are being checked.
    Busy,
}

/// Memory of checks, which is used again: what any of many threads allocated, its allocator would keep for that thread.
type Memory = Arc<Mutex<Vec<Vec<Block>>>>;

/// Whether it is the password of this hash.
fn matches(memory: &mut Vec<Block>, password: &Secret, hash: &str) -> Option<bool> {
    let parsed = PasswordHash::new(hash).ok()?;
    let params = Params::try_from(&parsed).ok()?;
    let version = parsed.version.map_or(Ok(Version::default()), Version::try_from).ok()?;
    let (salt, expected) = (parsed.salt?, parsed.hash?);
    memory.resize(params.block_count(), Block::new());
    let mut found = vec![0; expected.as_bytes().len()];
    let argon = Argon2::new(Algorithm::Argon2id, version, params);
    argon.hash_password_into_with_memory(password.reveal().as_bytes(), &salt, &mut found, memory).ok()?;
    // Compared in constant time.
    Some(Output::new(&found).ok()? == expected)
}

/// Checks passwords.
pub(crate) struct Passwords {
    room: Semaphore,
    memory: Memory,
    key: hmac::Key,
    known: Mutex<HashSet<[u8; 32]>>,
}

impl Passwords {
    pub(crate) fn new() -> std::io::Result<Self> {
        Ok(Self {
            room: Semaphore::new(AT_ONCE),
            memory: Memory::default(),
            key: hmac::Key::new(hmac::HMAC_SHA256, &random()?),
            known: Mutex::default(),
        })
    }

    /// Whether it is the password of this hash. It is never right for a user that does not exist, for whom somebody else's hash is
    /// checked, so that it takes as long.
    pub(crate) async fn check(&self, password: &Secret, hash: &str, exists: bool) -> Checked {
        if password.reveal().len() > MAX_PASSWORD {
            return Checked::Wrong;
        }
        let hash = hash.to_owned();
        let mark = self.mark(password, &hash);
        if exists && self.known().contains(&mark) {
            return Checked::Right;
        }
        let Ok(Ok(_turn)) = tokio::time::timeout(PATIENCE, self.room.acquire()).await else { return Checked::Busy };
        let (password, free) = (password.clone(), Arc::clone(&self.memory));
        let is_right = tokio::task::spawn_blocking(move || {
            let taken = free.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let mut memory = taken.unwrap_or_default();
            let is_right = matches(&mut memory, &password, &hash).unwrap_or(false);
            free.lock().unwrap_or_else(PoisonError::into_inner).push(memory);
            is_right
        });
        if !is_right.await.unwrap_or(false) || !exists {
            return Checked::Wrong;
        }
        let mut known = self.known();
        if known.len() >= REMEMBERED {
            known.clear();
        }
        known.insert(mark);
        Checked::Right
    }

    /// Whether it is the password of this hash, which was found out before.
    pub(crate) fn know(&self, password: &Secret, hash: &str) -> bool {
        password.reveal().len() <= MAX_PASSWORD && self.known().contains(&self.mark(password, hash))
    }

    fn mark(&self, password: &Secret, hash: &str) -> [u8; 32] {
        let mut mark = [0; 32];
        let both = [hash.as_bytes(), &[0], password.reveal().as_bytes()].concat();
        mark.copy_from_slice(hmac::sign(&self.key, &both).as_ref());
        mark
    }

    fn known(&self) -> std::sync::MutexGuard<'_, HashSet<[u8; 32]>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Passwords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Passwords")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn right_and_wrong() {
        let (right, wrong) = (Secret::new("correct horse"), Secret::new("battery staple"));
        let hash = hash(&right).unwrap();
        check(&hash).unwrap();
        let passwords = Passwords::new().unwrap();
        for _ in 0..2 {
            assert_eq!(passwords.check(&right, &hash, true).await, Checked::Right);
            assert_eq!(passwords.check(&wrong, &hash, true).await, Checked::Wrong);
            assert_eq!(passwords.check(&right, &hash, false).await, Checked::Wrong);
        }
        assert_eq!(passwords.known().len(), 1, "only what is right is remembered");
        assert!(!format!("{passwords:?}").contains("argon"));
    }

    #[test]
    fn what_hashes_cost() {
        let own = cost(&hash(&Secret::new("correct horse")).unwrap());
        let cheap = cost("$argon2id$v=19$m=16,t=1,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g");
        assert_eq!((own, cheap, cost("hunter22")), (19_456 * 2, 16, 0));
    }

    #[test]
    fn what_is_no_hash_is_refused() {
        assert_eq!(hash(&Secret::new("short")).unwrap_err(), PasswordError::Length);
        let costly = "$argon2id$v=19$m=4194304,t=2,p=1$c2FsdHNhbHQ$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g";
        for (bad, why) in [
            ("hunter22", PasswordError::Hash),
            ("$2b$12$abcdefghijklmnopqrstuv", PasswordError::Hash),
            ("$argon2id$v=19$m=16,t=2,p=1$c2FsdHNhbHQ", PasswordError::Hash),
            (costly, PasswordError::Cost),
        ] {
            assert_eq!(check(bad).unwrap_err(), why, "{bad}");
        }
    }
}

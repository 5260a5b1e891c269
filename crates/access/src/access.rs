//! The file kept up to date, and permits that end when it says so.
//!
//! Whoever serves an open stream holds a [`Permit`] and waits for its end beside the stream: one timer and one watch,
//! nothing is asked again in between. A changed file is noticed within a second; one that is wrong is said and the old one
//! stays in force, because a slip of the pen must not open or close everything.

use crate::book::{Book, Unproven};
use crate::file::{self, AccessError, Stamps};
use crate::grant::{Grants, Right};
use crate::identity::{Decision, Identity, Proof, Refusal, decide};
use crate::password::Passwords;
use crate::secret::Secret;
use crate::shown::Shown;
use crate::token::{TokenHash, mint};
use livetape_audio::{StreamName, WallTime};
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::watch;

/// How often it is looked whether the files changed.
const LOOK: Duration = Duration::from_secs(1);
/// Longest sleep at a stretch: a clock that is set is noticed at its end.
const NAP: Duration = Duration::from_secs(60);

/// Who may what, on one address or several.
pub struct Access {
    file: Option<(PathBuf, Mutex<Stamps>)>,
    book: watch::Sender<Arc<Book>>,
    anonymous: Grants,
    /// What somebody on this machine may who shows nothing.
    here: Grants,
    insider: Secret,
    insider_hash: [u8; 32],
    passwords: Passwords,
}

/// Who asks, and who counts what of it proves nothing, for each client.
pub trait Tries {
    /// Whether it is on this machine, and not somewhere else, for which a proxy on this machine asks.
    fn is_here(&self) -> bool;
    /// Something proved nothing, or is about to be checked that takes long.
    ///
    /// # Errors
    /// If that happened too often: when it may again.
    fn failed(&self) -> Result<(), Duration>;
    /// What was checked did prove something.
    fn held(&self);
}

/// Why something in progress ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Ended {
    /// It was allowed until now.
    #[error("the right to it has expired")]
    Expired,
    /// It is not allowed any more.
    #[error("the right to it was revoked")]
    Revoked,
}

impl Access {
    /// Without a file: everybody has these grants.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub fn open(anonymous: Grants) -> Result<Arc<Self>, AccessError> {
        Self::new(None, Book::default(), anonymous.clone(), anonymous)
    }

    /// Without a file, on an address that only this machine reaches: whoever is on it may everything. For whom a proxy on it asks, who
    /// is somewhere else, has these grants.
    ///
    /// # Errors
    /// When the system has no random bytes.
    pub fn of_this_machine(elsewhere: Grants) -> Result<Arc<Self>, AccessError> {
        Self::new(None, Book::default(), elsewhere, Grants::all())
    }

    /// With a file; who shows nothing has the grants of `anonymous`.
    ///
    /// # Errors
    /// [`AccessError`] says what is wrong with the file.
    pub fn load(path: &Path, anonymous: Grants) -> Result<Arc<Self>, AccessError> {
        let (book, stamps) = file::load(path);
        Self::new(Some((path.to_owned(), Mutex::new(stamps))), book?, anonymous.clone(), anonymous)
    }

    fn new(
        file: Option<(PathBuf, Mutex<Stamps>)>,
        book: Book,
        anonymous: Grants,
        here: Grants,
    ) -> Result<Arc<Self>, AccessError> {
        let insider = mint()?;
        let TokenHash(insider_hash) = TokenHash::of(&insider);
        let (book, passwords) = (watch::Sender::new(Arc::new(book)), Passwords::new()?);
        Ok(Arc::new(Self { file, book, anonymous, here, insider, insider_hash, passwords }))
    }

    /// Whether somebody can prove who they are, here.
    pub const fn is_configured(&self) -> bool {
        self.file.is_some()
    }

    /// Whether anybody may anything here: else an address serves nobody.
    pub const fn lets_somebody_in(&self) -> bool {
        self.is_configured() || !self.anonymous.is_empty()
    }

    /// Somebody who shows nothing.
    pub fn nobody(&self, is_here: bool) -> Identity {
        Identity::anonymous(if is_here { &self.here } else { &self.anonymous }.clone())
    }

    /// Whether users with passwords are known.
    pub fn has_users(&self) -> bool {
        !self.book.borrow().users.is_empty()
    }

    /// Everybody whom the file names, in the order of ways and names; JWTs bring their own names.
    pub fn listed(&self) -> Vec<Identity> {
        self.book.borrow().listed()
    }

    /// A token that only this process knows, for its own parts: it may everything.
    pub const fn insider(&self) -> &Secret {
        &self.insider
    }

    /// Whose this is at `now`, wherever they are.
    ///
    /// # Errors
    /// [`Unproven`] when something is shown that proves nothing; showing nothing is no error.
    pub async fn identify(&self, shown: &Shown, now: WallTime) -> Result<Identity, Unproven> {
        if let Shown::Bearer(token) = shown
            && TokenHash::of(token).0 == self.insider_hash
        {
            let proof = Proof::Insider(self.insider_hash);
            return Ok(Identity { name: "livetape".into(), proof, grants: Grants::all(), until: None });
        }
        let book = Arc::clone(&self.book.borrow());
        let identity = book.identify(shown, &self.passwords, now).await?;
        Ok(identity.unwrap_or_else(|| self.nobody(false)))
    }

    /// The same for somebody of whom it is known where they are, and who may be guessing. What is checked at once is always
    /// checked, so that nobody who can prove who they are is shut out by others; a password is not, once too
    /// much has failed, unless it is known to be right.
    ///
    /// # Errors
    /// As [`Access::identify`], and [`Unproven::TooOften`].
    pub async fn identify_by(&self, shown: &Shown, tries: &impl Tries, now: WallTime) -> Result<Identity, Unproven> {
        if *shown == Shown::Nothing {
            return Ok(self.nobody(tries.is_here()));
        }
        let is_slow = self.book.borrow().is_slow(shown, &self.passwords);
        if is_slow {
            tries.failed().map_err(|again| Unproven::TooOften { why: None, again })?;
        }
        match self.identify(shown, now).await {
            Err(why) if why.is_guess() && is_slow => Err(why),
            Err(why) if why.is_guess() => match tries.failed() {
                Ok(()) => Err(why),
                Err(again) => Err(Unproven::TooOften { why: Some(Box::new(why)), again }),
            },
            other => {
                if is_slow {
                    tries.held();
                }
                other
            }
        }
    }

    /// Allows something that goes on, if it is allowed now: what was proved is looked up once more, because it may have been taken
    /// back since.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn permit(
        &self,
        identity: Identity,
        right: Right,
        stream: Option<StreamName>,
        now: WallTime,
    ) -> Result<Permit, Refusal> {
        let mut permit = Permit { book: self.book.subscribe(), identity, right, stream };
        permit.look(now)?;
        Ok(permit)
    }

    /// Reads the file again whenever it changes. Never ends.
    pub async fn follow(self: &Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK).await;
            let access = Arc::clone(self);
            if let Err(error) = tokio::task::spawn_blocking(move || access.look()).await {
                tracing::error!(%error, "the access file could not be looked at");
            }
        }
    }

    /// Reads the file again if it changed. Whether it did.
    fn look(&self) -> bool {
        let Some((path, stamps)) = &self.file else { return false };
        let mut stamps = stamps.lock().unwrap_or_else(PoisonError::into_inner);
        if !stamps.changed() {
            return false;
        }
        let (book, now) = file::load(path);
        *stamps = now;
        match book {
            Ok(book) => {
                self.book.send_replace(Arc::new(book));
                tracing::info!(path = %path.display(), "access was read again");
            }
            Err(error) => {
                tracing::error!(%error, "access changed and cannot be read; what was read before stays in force");
            }
        }
        true
    }
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = self.file.as_ref().map(|(path, _)| path);
        f.debug_struct("Access").field("file", &path).field("anonymous", &self.anonymous).finish_non_exhaustive()
    }
}

/// What somebody is allowed that goes on for a while.
#[derive(Clone)]
pub struct Permit {
    book: watch::Receiver<Arc<Book>>,
    identity: Identity,
    right: Right,
    stream: Option<StreamName>,
}

impl Permit {
    /// Whose it is, as proved at the beginning.
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// Whether anything but the end of what it is for can end it.
    pub(crate) fn can_end(&self) -> bool {
        match self.identity.proof {
            // Nobody takes back what everybody has, or what a part of this process has.
            Proof::Anonymous | Proof::Insider(_) => self.identity.until.is_some(),
            _ => true,
        }
    }

    /// Whether what the file says now still allows it.
    fn look(&mut self, now: WallTime) -> Result<(), Refusal> {
        let book = Arc::clone(&self.book.borrow_and_update());
        let identity = book.again(&self.identity).ok_or(Refusal::Revoked)?;
        // What is about every stream was chosen by the grants of the beginning.
        if self.stream.is_none() && identity.grants != self.identity.grants {
            return Err(Refusal::Revoked);
        }
        self.identity = identity;
        match decide(&self.identity, self.right, self.stream.as_ref(), now) {
            Decision::Allowed { .. } => Ok(()),
            Decision::Refused(why) => Err(why),
        }
    }

    /// Waits until it ends.
    pub async fn ended(mut self) -> Ended {
        loop {
            let now = wall_clock();
            let until = match self.identity.until {
                Some(until) if now >= until => return Ended::Expired,
                until => until.map(|until| until.since(now).min(NAP)),
            };
            tokio::select! {
                changed = self.book.changed() => {
                    if changed.is_err() {
                        // Nobody reads the file any more: what was allowed stays so until it expires.
                        return self.expiry().await;
                    }
                    match self.look(wall_clock()) {
                        Ok(()) => {}
                        Err(Refusal::Expired { .. }) => return Ended::Expired,
                        Err(_) => return Ended::Revoked,
                    }
                }
                () = nap(until) => {}
            }
        }
    }

    async fn expiry(&self) -> Ended {
        while self.identity.until.is_none_or(|until| wall_clock() < until) {
            nap(self.identity.until.map(|until| until.since(wall_clock()).min(NAP))).await;
        }
        Ended::Expired
    }
}

impl fmt::Debug for Permit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Permit({:?} for {:?})", self.right, self.identity)
    }
}

async fn nap(time: Option<Duration>) {
    match time {
        Some(time) => tokio::time::sleep(time).await,
        None => std::future::pending().await,
    }
}

/// The time of day.
pub fn wall_clock() -> WallTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    WallTime::default().later(since)
}

#[cfg(test)]
mod tests;

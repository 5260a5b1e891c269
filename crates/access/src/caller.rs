//! Whoever makes a request, and the right that the request needs: handlers ask it about the streams that they find.

use crate::access::{Access, Permit, Tries};
use crate::book::Unproven;
use crate::endpoints::Needs;
use crate::grant::Right;
use crate::identity::{Decision, Identity, Refusal, decide};
use crate::shown::Shown;
use livetape_audio::{StreamName, WallTime};
use std::sync::Arc;

/// Why a request is not answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// What was shown proves nothing.
    #[error(transparent)]
    Unproven(#[from] Unproven),
    /// It is proved, or nothing was shown, and that is not enough.
    #[error(transparent)]
    Refused(#[from] Refusal),
}

/// Who asks, and for what. Clones are cheap enough for each request.
#[derive(Clone, Debug)]
pub struct Caller {
    access: Arc<Access>,
    identity: Identity,
    right: Option<Right>,
}

impl Caller {
    /// Lets in whoever may have what an endpoint needs, on some stream: on which is asked when it is known.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn admit(access: &Arc<Access>, shown: &Shown, needs: Needs, now: WallTime) -> Result<Self, Denied> {
        Self::known(access, access.identify(shown, now).await?, needs, now)
    }

    /// The same for somebody who may be guessing.
    ///
    /// # Errors
    /// [`Denied`].
    pub async fn admit_by(
        access: &Arc<Access>,
        shown: &Shown,
        tries: &impl Tries,
        needs: Needs,
        now: WallTime,
    ) -> Result<Self, Denied> {
        Self::known(access, access.identify_by(shown, tries, now).await?, needs, now)
    }

    fn known(access: &Arc<Access>, identity: Identity, needs: Needs, now: WallTime) -> Result<Self, Denied> {
        let right = match needs {
            Needs::Nothing => None,
            Needs::On(right) | Needs::Any(right) => Some(right),
        };
        let caller = Self { access: Arc::clone(access), identity, right };
        match caller.right.map(|right| decide(&caller.identity, right, None, now)) {
            Some(Decision::Refused(why)) => Err(why.into()),
            _ => Ok(caller),
        }
    }

    /// Who.
    pub const fn identity(&self) -> &Identity {
        &self.identity
    }

    /// The right that the request needs, if it needs one.
    pub const fn right(&self) -> Option<Right> {
        self.right
    }

    /// Whether the request may be about this stream now.
    ///
    /// # Errors
    /// [`Refusal`].
    pub fn may(&self, stream: &StreamName, now: WallTime) -> Result<(), Refusal> {
        match self.right.map(|right| decide(&self.identity, right, Some(stream), now)) {
            Some(Decision::Refused(why)) => Err(why),
            _ => Ok(()),
        }
    }

    /// Whether the answer may tell of this stream.
    pub fn sees(&self, stream: &StreamName) -> bool {
        self.right.is_none_or(|right| self.identity.grants.allow(right, Some(stream)))
    }

    /// Whether the answer may tell of streams whatever their names are.
    pub fn sees_all(&self) -> bool {
        self.right.is_none_or(|right| self.identity.grants.allow_everywhere(right))
    }

    /// A permit for an answer that goes on, of a stream or of all that may be seen; `None` if nothing can end it.
    ///
    /// # Errors
    /// [`Refusal`], when it may not begin.
    pub fn permit(&self, stream: Option<StreamName>, now: WallTime) -> Result<Option<Permit>, Refusal> {
        let Some(right) = self.right else { return Ok(None) };
        let permit = self.access.permit(self.identity.clone(), right, stream, now)?;
        Ok(permit.can_end().then_some(permit))
    }
}

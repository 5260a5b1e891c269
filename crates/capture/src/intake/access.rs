//! Who may: each request has a row in the table of endpoints. And no web page may: those that a browser shows can send requests
//! to the machine that they are shown on.

use super::head::Head;
use super::limits::told;
use super::reply::Reply;
use livetape_access::{Access, Caller, Denied, Endpoint, Permit, Refusal, Right, Shown, Tries, Unproven, wall_clock};
use livetape_audio::StreamName;
use livetape_service::Limiter;
use livetape_service::ops::is_local;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

/// What one client has shown that proves nothing.
pub(crate) struct Guesses<'a> {
    pub(crate) limiter: &'a Limiter,
    pub(crate) client: IpAddr,
}

impl Tries for Guesses<'_> {
    fn is_here(&self) -> bool {
        self.client.is_loopback()
    }
    fn failed(&self) -> Result<(), Duration> {
        self.limiter.proof_failed(self.client).map_err(|exceeded| exceeded.again)
    }
    fn held(&self) {
        self.limiter.proof_held(self.client);
    }
}

/// Asks everybody.
pub(crate) struct Guard {
    pub(crate) access: Arc<Access>,
    /// Only this machine reaches the address.
    pub(crate) is_local: bool,
}

impl Guard {
    /// Refuses what web pages send.
    ///
    /// # Errors
    /// The answer.
    pub(crate) fn no_page(&self, head: &Head) -> Result<(), Reply> {
        let elsewhere = head.text("sec-fetch-site").is_some_and(|site| site != "none");
        if head.count("origin") > 0 || elsewhere {
            return Err(Reply::new(403, "web pages may not send anything here"));
        }
        let foreign = head.count("host") > 0 && !head.text("host").is_some_and(is_local);
        if self.is_local && !self.access.is_configured() && foreign {
            return Err(Reply::new(421, "ask by a loopback address or by localhost"));
        }
        Ok(())
    }

    /// Who asks, if they may have what this route is for, on some stream.
    ///
    /// # Errors
    /// The answer.
    pub(crate) async fn admit(&self, head: &Head, route: &str, guesses: &Guesses<'_>) -> Result<Caller, Reply> {
        let row = Endpoint::source(&head.method, route);
        let row = row.ok_or_else(|| Reply::new(405, "this is not to be done with this address"))?;
        let shown = match head.count("authorization") {
            // Source clients always show some password: where nobody can prove anything, it proves nothing, and is no mistake.
            _ if !self.access.is_configured() => Shown::Nothing,
            0 => Shown::Nothing,
            1 => Shown::authorization(head.text("authorization").unwrap_or_default())
                .map_err(|error| Reply::new(401, error))?,
            _ => return Err(Reply::new(400, "Authorization is sent twice")),
        };
        let caller = Caller::admit_by(&self.access, &shown, guesses, row.needs, wall_clock()).await;
        let caller = caller.map_err(|why| self.refusal(&why))?;
        let counted = guesses.limiter.request_of(guesses.client, caller.identity().account());
        counted.map_err(|exceeded| Reply::again(429, told(&exceeded), exceeded.again))?;
        Ok(caller)
    }

    /// Whether they may on this stream.
    ///
    /// # Errors
    /// The answer.
    pub(crate) fn may(&self, caller: &Caller, stream: &StreamName) -> Result<(), Reply> {
        caller.may(stream, wall_clock()).map_err(|why| self.refusal(&why.into()))
    }

    /// The right to go on sending. Who publishes is written down.
    ///
    /// # Errors
    /// The answer.
    pub(crate) fn publishing(
        &self,
        caller: &Caller,
        stream: &StreamName,
        address: IpAddr,
    ) -> Result<Option<Permit>, Reply> {
        let permit = caller.permit(Some(stream.clone()), wall_clock()).map_err(|why| self.refusal(&why.into()))?;
        let (who, right) = (caller.identity(), Right::Publish);
        let (name, by) = (who.name(), who.way().word());
        tracing::info!(target: "livetape::audit", who = name, by, %address, %right, %stream, "allowed");
        Ok(permit)
    }

    fn refusal(&self, why: &Denied) -> Reply {
        let status = match why {
            Denied::Unproven(Unproven::TooOften { again, .. }) => return Reply::again(429, why, *again),
            Denied::Unproven(Unproven::Busy) => 503,
            Denied::Refused(Refusal::NoRight { .. }) => 403,
            Denied::Refused(Refusal::Unproven { .. }) if !self.access.is_configured() => 403,
            _ => 401,
        };
        Reply::new(status, why)
    }
}

//! Limits on what each client may take: how much at once, how often, and how often it may fail to prove who it is. One set for
//! each listener; what counts as a client is its address ([`one_client`]), and whoever it proved to be.
//!
//! Counting takes no lock and no memory, however many clients there are (`cells`). Not here: limits on all clients together, which
//! roles count themselves; what is answered.

mod at_once;
mod cells;
mod rate;
mod silent;

pub use at_once::{AtOnce, Place};
pub use rate::Rate;
pub use silent::{Knock, Silent};

use crate::metrics::{Counter, Counters, Metrics, MetricsError};
use crate::networks::{Networks, one_client};
use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

/// How many seconds' worth of what may be done in a second may be done at once.
const BURST: u32 = 10;
const SECOND: Duration = Duration::from_secs(1);
const MINUTE: Duration = Duration::from_secs(60);

/// What each client of a listener may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientLimits {
    /// Connections at once, of an address.
    pub connections: u32,
    /// What lasts (bodies, calls) at once, of an address.
    pub lasting_per_address: u32,
    /// The same of whoever proved who it is.
    pub lasting_per_identity: u32,
    /// Requests or calls in a second, of an address; ten times as many at once.
    pub rate_per_address: u32,
    /// The same of whoever proved who it is.
    pub rate_per_identity: u32,
    /// Failed proofs in a minute, of an address; as many at once.
    pub failed_proofs: u32,
    /// Addresses that may take what they want, but for failed proofs.
    pub unlimited: Networks,
}

/// What the limits of a listener are called: in metrics, and as settings after `LIVETAPE_LIMIT_`.
#[derive(Clone, Copy, Debug)]
pub struct Names {
    /// Of [`ClientLimits::connections`].
    pub connections: &'static str,
    /// Of [`ClientLimits::lasting_per_address`].
    pub lasting_per_address: &'static str,
    /// Of [`ClientLimits::lasting_per_identity`].
    pub lasting_per_identity: &'static str,
    /// Of [`ClientLimits::rate_per_address`].
    pub rate_per_address: &'static str,
    /// Of [`ClientLimits::rate_per_identity`].
    pub rate_per_identity: &'static str,
    /// Of [`ClientLimits::failed_proofs`].
    pub failed_proofs: &'static str,
    /// What lasts: `listeners`.
    pub lasting: &'static str,
    /// What comes often: `requests`.
    pub often: &'static str,
}

/// A client has come to a limit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{text}")]
pub struct Exceeded {
    /// Its name.
    pub limit: &'static str,
    /// When it is worth trying again.
    pub again: Duration,
    text: String,
}

impl Exceeded {
    /// What the client, or whoever looks after the service, can do.
    pub fn hint(&self) -> String {
        let variable = format!("LIVETAPE_LIMIT_{}", self.limit.to_uppercase());
        format!("come back later; whoever looks after this service can allow more with {variable}")
    }
}

/// One limit: its name, what it says, and how often it refused something.
#[derive(Clone)]
struct Limit {
    name: &'static str,
    text: String,
    refused: Counter,
}

impl Limit {
    fn exceeded(&self, again: Duration) -> Exceeded {
        self.refused.inc();
        Exceeded { limit: self.name, again, text: self.text.clone() }
    }

    #[cfg(test)]
    fn for_test() -> Self {
        let refused = Metrics::default().counter("livetape_test_total", "In a test.").unwrap();
        Self { name: "test", text: "that is the most".into(), refused }
    }
}

/// How often limits refused something, by their names.
#[derive(Clone, Debug)]
pub struct Rejections(Counters<1>);

impl Rejections {
    /// Declares them under this name.
    ///
    /// # Errors
    /// If it cannot be used.
    pub fn new(metrics: &Metrics, name: &'static str) -> Result<Self, MetricsError> {
        Ok(Self(metrics.counters(name, "What was refused because of a limit, by its name.", ["limit"])?))
    }

    /// Those of one limit, which are shown from now on.
    pub fn of(&self, limit: &'static str) -> Counter {
        self.0.with([limit])
    }
}

/// Keeps the limits of one listener.
pub struct Limiter {
    unlimited: Networks,
    connections: AtOnce,
    lasting_per_address: AtOnce,
    lasting_per_identity: AtOnce,
    rate_per_address: Rate,
    rate_per_identity: Rate,
    failed_proofs: Rate,
}

/// What a client holds for as long as something lasts.
pub type Places = [Option<Place>; 2];

impl Limiter {
    /// Nobody has taken anything yet.
    pub fn new(limits: ClientLimits, names: Names, rejections: &Rejections) -> Self {
        let limit = |name, text: String| Limit { name, text, refused: rejections.of(name) };
        let at_once = |name, most: u32, what, whose| {
            AtOnce::new(limit(name, format!("there are at most {most} {what} at once {whose}")), most)
        };
        let rate = |name, n: u32, whose| {
            let text = format!("there are at most {n} {} in a second {whose}", names.often);
            Rate::new(limit(name, text), n, SECOND, n.saturating_mul(BURST))
        };
        let (address, identity) = ("from one address", "of one token, user or certificate");
        let failed =
            format!("at most {} tries in a minute to prove who one is may fail from one address", limits.failed_proofs);
        Self {
            connections: at_once(names.connections, limits.connections, "connections", address),
            lasting_per_address: at_once(names.lasting_per_address, limits.lasting_per_address, names.lasting, address),
            lasting_per_identity: at_once(
                names.lasting_per_identity,
                limits.lasting_per_identity,
                names.lasting,
                identity,
            ),
            rate_per_address: rate(names.rate_per_address, limits.rate_per_address, address),
            rate_per_identity: rate(names.rate_per_identity, limits.rate_per_identity, identity),
            failed_proofs: Rate::new(
                limit(names.failed_proofs, failed),
                limits.failed_proofs,
                MINUTE,
                limits.failed_proofs,
            ),
            unlimited: limits.unlimited,
        }
    }

    fn is_limited(&self, client: IpAddr) -> bool {
        !self.unlimited.contain(client)
    }

    /// A connection from this address.
    ///
    /// # Errors
    /// [`Exceeded`], when it has as many as it may.
    pub fn connection(&self, from: IpAddr) -> Result<Option<Place>, Exceeded> {
        self.is_limited(from).then(|| self.connections.take(one_client(from))).transpose()
    }

    /// A request from this client.
    ///
    /// # Errors
    /// [`Exceeded`], when it had as many as it may.
    pub fn request(&self, client: IpAddr) -> Result<(), Exceeded> {
        if self.is_limited(client) { self.rate_per_address.pass(one_client(client)) } else { Ok(()) }
    }

    /// It has proved to be of this account.
    ///
    /// # Errors
    /// [`Exceeded`], when that had as many as it may.
    pub fn request_of(&self, client: IpAddr, account: Option<impl Hash>) -> Result<(), Exceeded> {
        match account.filter(|_| self.is_limited(client)) {
            Some(account) => self.rate_per_identity.pass(account),
            None => Ok(()),
        }
    }

    /// Something that lasts begins.
    ///
    /// # Errors
    /// [`Exceeded`], when the client, or whoever it proved to be, has as much as it may.
    pub fn lasting(&self, client: IpAddr, account: Option<impl Hash>) -> Result<Places, Exceeded> {
        if !self.is_limited(client) {
            return Ok([None, None]);
        }
        let by_address = self.lasting_per_address.take(one_client(client))?;
        let by_identity = account.map(|account| self.lasting_per_identity.take(account)).transpose()?;
        Ok([Some(by_address), by_identity])
    }

    /// It could not prove who it is, or is about to try what costs much to check.
    ///
    /// # Errors
    /// [`Exceeded`], when that happened too often.
    pub fn proof_failed(&self, client: IpAddr) -> Result<(), Exceeded> {
        self.failed_proofs.pass(one_client(client))
    }

    /// It could after all.
    pub fn proof_held(&self, client: IpAddr) {
        self.failed_proofs.give_back(one_client(client));
    }
}

impl std::fmt::Debug for Limiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limiter").field("unlimited", &self.unlimited).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: Names = Names {
        connections: "connections_per_address",
        lasting_per_address: "listeners_per_address",
        lasting_per_identity: "listeners_per_identity",
        rate_per_address: "request_rate_per_address",
        rate_per_identity: "request_rate_per_identity",
        failed_proofs: "failed_proofs",
        lasting: "listeners",
        often: "requests",
    };

    fn limiter(metrics: &Metrics) -> Limiter {
        let limits = ClientLimits {
            connections: 2,
            lasting_per_address: 3,
            lasting_per_identity: 1,
            rate_per_address: 1,
            rate_per_identity: 1,
            failed_proofs: 2,
            unlimited: Networks::loopback(),
        };
        Limiter::new(limits, NAMES, &Rejections::new(metrics, "livetape_test_limit_rejections_total").unwrap())
    }

    #[test]
    fn whose_limits_are_whose() {
        let metrics = Metrics::default();
        let limiter = limiter(&metrics);
        let [a, same, here] = ["2001:db8::1", "2001:db8::2", "127.0.0.1"].map(|ip| ip.parse::<IpAddr>().unwrap());
        let held = (limiter.connection(a).unwrap(), limiter.connection(same).unwrap());
        let refused = limiter.connection(a).unwrap_err();
        assert_eq!(refused.to_string(), "there are at most 2 connections at once from one address");
        assert!(refused.hint().contains("LIVETAPE_LIMIT_CONNECTIONS_PER_ADDRESS"), "{}", refused.hint());
        drop(held);
        assert!(limiter.connection(a).is_ok());

        let one = limiter.lasting(a, Some("token")).unwrap();
        assert_eq!(
            limiter.lasting("192.0.2.1".parse().unwrap(), Some("token")).unwrap_err().limit,
            "listeners_per_identity"
        );
        let others = (limiter.lasting(a, None::<u8>).unwrap(), limiter.lasting(a, Some("other")).unwrap());
        assert_eq!(limiter.lasting(same, None::<u8>).unwrap_err().limit, "listeners_per_address");
        drop((one, others));
        assert!(limiter.lasting(a, Some("token")).is_ok(), "what was refused in the middle was given back");

        assert_eq!((0..100).filter(|_| limiter.request(a).is_ok()).count(), 10);
        assert_eq!((0..100).filter(|_| limiter.request_of(same, Some(1)).is_ok()).count(), 10);
        assert!((0..100).all(|_| limiter.request_of(a, None::<u8>).is_ok()), "nobody has no limit");
        for _ in 0..100 {
            limiter.connection(here).unwrap();
            limiter.request(here).unwrap();
            limiter.request_of(here, Some(1)).unwrap();
            limiter.lasting(here, Some(1)).unwrap();
        }
        assert_eq!((0..100).filter(|_| limiter.proof_failed(here).is_ok()).count(), 2, "guesses count everywhere");
        let text = metrics.text();
        for (limit, refused) in
            [("connections_per_address", 1), ("request_rate_per_address", 90), ("failed_proofs", 98)]
        {
            let line = format!("livetape_test_limit_rejections_total{{limit=\"{limit}\"}} {refused}\n");
            assert!(text.contains(&line), "{line} in {text}");
        }
    }
}

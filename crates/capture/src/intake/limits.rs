//! How much those take who push from elsewhere: connections and sources of all, and what each client may.

use livetape_service::limits::{Limiter, Names, Rejections};
use livetape_service::metrics::{Counter, Metrics, MetricsError};
use livetape_service::{ClientLimits, Exceeded, Networks};
use std::time::Duration;

/// Bounds of the address for sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IntakeLimits {
    /// Connections at once that have said what they want: of those that set titles and ask, too. A quarter as many more may not
    /// have.
    pub connections: usize,
    /// Sources at once.
    pub sources: usize,
    /// How long the head of a request may take.
    pub head: Duration,
    /// How long a source may be silent before it counts as gone.
    pub stall: Duration,
    /// What each client may take.
    pub clients: ClientLimits,
}

impl Default for IntakeLimits {
    fn default() -> Self {
        Self {
            connections: 256,
            sources: 64,
            head: Duration::from_secs(10),
            stall: Duration::from_secs(10),
            // A studio with many encoders has one address; a title is a request.
            clients: ClientLimits {
                connections: 64,
                lasting_per_address: 32,
                lasting_per_identity: 32,
                rate_per_address: 20,
                rate_per_identity: 50,
                failed_proofs: 30,
                unlimited: Networks::loopback(),
            },
        }
    }
}

/// What limits are called.
const NAMES: Names = Names {
    connections: "source_connections_per_address",
    lasting_per_address: "sources_per_address",
    lasting_per_identity: "sources_per_identity",
    rate_per_address: "source_rate_per_address",
    rate_per_identity: "source_rate_per_identity",
    failed_proofs: "failed_proofs",
    lasting: "sources",
    often: "requests of sources",
};

/// Keeps and counts them.
#[derive(Debug)]
pub(crate) struct Limited {
    pub(crate) clients: Limiter,
    /// Connections for which there is no place.
    pub(crate) full: Counter,
    /// Connections that had not spoken when others came.
    pub(crate) silent: Counter,
    /// Sources for which there is no place.
    pub(crate) sources: Counter,
    /// Heads, and forms, that took too long, or were too long.
    pub(crate) slow: Counter,
    pub(crate) long: Counter,
    /// Sources that said nothing for too long.
    pub(crate) stall: Counter,
}

impl Limited {
    pub(crate) fn new(limits: &IntakeLimits, metrics: &Metrics) -> Result<Self, MetricsError> {
        let rejections = Rejections::new(metrics, "livetape_capture_limit_rejections_total")?;
        Ok(Self {
            clients: Limiter::new(limits.clients.clone(), NAMES, &rejections),
            full: rejections.of("source_connections"),
            silent: rejections.of("silent_connections"),
            sources: rejections.of("sources"),
            slow: rejections.of("source_head_time"),
            long: rejections.of("source_head_size"),
            stall: rejections.of("source_stall"),
        })
    }
}

impl Limited {
    /// A form was refused.
    pub(crate) fn form(&self, status: u16) {
        match status {
            408 => self.slow.inc(),
            413 => self.long.inc(),
            _ => {}
        }
    }
}

/// What is said to a client that has come to a limit.
pub(crate) fn told(exceeded: &Exceeded) -> String {
    format!("{exceeded}: {}", exceeded.hint())
}

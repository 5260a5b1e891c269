//! How much a recorder takes on, and what each client may take.

use livetape_service::limits::Names;
use livetape_service::{ClientLimits, Networks};
use std::time::Duration;

/// Bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once; fewer if the limit of open files demands it.
    pub connections: usize,
    /// Streams that have a source, or had one a minute ago.
    pub streams: usize,
    /// Recordings that are kept. At this number none is begun; what is open goes on, and rolls.
    pub recordings: usize,
    /// How long a reader may take nothing: then its call is given up, and after as long again, if it has not even taken
    /// leave, its connection.
    pub stall: Duration,
    /// What each client may take.
    pub clients: ClientLimits,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 2_048,
            streams: 4_096,
            recordings: 1_000_000,
            stall: Duration::from_secs(60),
            // A gateway is one client, and calls for each of its listeners, for a moment. No address may have more than a
            // quarter of the calls that all may have.
            clients: ClientLimits {
                connections: 500,
                lasting_per_address: 1_024,
                lasting_per_identity: 2_048,
                rate_per_address: 2_000,
                rate_per_identity: 4_000,
                failed_proofs: 30,
                unlimited: Networks::loopback(),
            },
        }
    }
}

/// What limits are called.
pub(crate) const NAMES: Names = Names {
    connections: "connections_per_address",
    lasting_per_address: "calls_per_address",
    lasting_per_identity: "calls_per_identity",
    rate_per_address: "call_rate_per_address",
    rate_per_identity: "call_rate_per_identity",
    failed_proofs: "failed_proofs",
    lasting: "calls",
    often: "calls",
};

/// Limits on all clients together.
pub(crate) const OF_ALL: [&str; 7] =
    ["grpc_connections", "silent_connections", "idle_connections", "checks", "calls", "streams", "recordings"];

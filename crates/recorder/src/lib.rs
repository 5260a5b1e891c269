//! Floor 2: takes audio from sources, owns what is durable, publishes the tails.
//!
//! ```text
//! service (gRPC) -> streams -> stream: one task for each open recording -> ingest: decides, pure
//!                                                                       -> committer: writes and syncs in rounds
//!                                                                       -> tails, catalogue: what became durable
//! ```
//!
//! Not here: HTTP, listeners, sources. Nothing waits for whoever reads.

mod call;
mod committer;
mod incoming;
pub mod ingest;
mod metrics;
mod open_tape;
mod recorder;
mod service;
mod stream;
mod streams;
mod tape;

pub use recorder::{Recorder, RecorderConfig};

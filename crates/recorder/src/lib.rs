//! Floor 2: takes audio from sources, owns what is durable, publishes the tails.
//!
//! ```text
//! server: gRPC, health, reflection; gate: who may call what
//! catalogue_service, tape_service (outlet) -> archive, board, files: read beside everything else
//! waveforms: makes the peaks of what is durable, beside everything else
//! operation_service, retention -> keeper -> streams, or, if it is finished, the files
//! service (gRPC) -> streams -> stream: one task for each open recording -> ingest: decides, pure
//!                                                                       -> committer: writes and syncs in rounds
//!                                                                       -> tails, catalogue: what became durable
//! ```
//!
//! Not here: HTTP, listeners, sources. Nothing waits for whoever reads.

mod archive;
mod audit;
mod board;
mod call;
mod catalogue_service;
mod changes;
mod checks;
mod committer;
mod deadline;
mod demand;
mod describe;
mod desks;
mod export;
mod gate;
mod incoming;
pub mod ingest;
mod keeper;
mod limits;
mod lookup;
mod metrics;
mod open_tape;
mod operation_service;
mod outlet;
mod peaks;
mod recorder;
mod retention;
mod server;
mod service;
mod silence;
mod status;
mod stream;
mod streams;
mod tape;
mod tape_service;
mod trace;
mod unsaid;
mod waveforms;
mod wish;

pub use limits::Limits;
pub use recorder::{Recorder, RecorderConfig};
pub use retention::Retention;

/// What the fuzz targets need.
#[cfg(fuzzing)]
pub mod fuzzing {
    use crate::ingest::Message;
    use livetape_proto::v1::IngestRequest;
    use livetape_proto::v1::ingest_request::Message as Request;

    /// A message of a source, as it is decided about.
    pub fn translated(message: Request) -> Option<Message> {
        crate::service::translate(IngestRequest { message: Some(message) }).ok().map(|(message, _)| message)
    }
}

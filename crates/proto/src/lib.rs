//! Floor 1: the wire contract, generated from `proto/livetape/v1`, and its way to and from audio types.
//!
//! What is checked here is shape: names, specs, sizes. Whether a message fits the state of a recording is
//! decided by the recorder.

mod convert;
mod peaks;
mod recorder;

pub use convert::{InvalidMessage, Opening};
pub use peaks::MAX_WIDTH;
pub use recorder::{AddressError, Proof, RecorderAddress, RecorderChannel, RecorderEndpoint, RecorderTls, Watched};

/// `livetape.v1`, as generated.
#[allow(
    missing_docs,
    clippy::all,
    clippy::pedantic,
    unreachable_pub,
    reason = "generated; documented in the .proto files"
)]
pub mod v1 {
    tonic::include_proto!("livetape.v1");
}

/// The compiled contract (a `FileDescriptorSet`), for server reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/livetape.v1.descriptors"));

/// Most bytes of PCM in one `Append`.
pub const MAX_APPEND_BYTES: u32 = 1 << 20;

/// No clock is faster or slower than this, in parts in a billion.
pub const MAX_CLOCK_DRIFT_PPB: u32 = 10_000_000;

/// Most bytes of PCM in one message from the recorder.
pub const MAX_BLOCK_BYTES: u32 = 256 << 10;

/// Most bytes of one gRPC message: an `Append` and what surrounds it.
pub const MAX_MESSAGE_BYTES: usize = MAX_APPEND_BYTES as usize + 4096;

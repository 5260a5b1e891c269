//! Floor 1: the length store. The recorder publishes tails, gateways watch them.
//!
//! It is a cache of what the disk proves: losing it loses nothing, and publishing never delays a recording.
//! Not here: audio, catalogues, files. [`MemoryTails`] serves one process; every other length store has to
//! pass the same suite (`conformance`, behind the feature of that name).

#[cfg(feature = "conformance")]
pub mod conformance;
mod memory;
mod watch;

pub use memory::MemoryTails;
pub use watch::TailWatch;

use livetape_audio::{RecordingId, Tail};

/// Where the recorder says how far its recordings go.
pub trait Publisher: Send + Sync + 'static {
    /// Makes `tail` known. Latest wins; never blocks and never fails: what cannot be told now is told
    /// again with the next tail. A tail that would take back what was heard is dropped and logged.
    fn publish(&self, recording: RecordingId, tail: Tail);

    /// Forgets a recording whose tail nobody needs from here any more: it is sealed and in the catalogue.
    fn forget(&self, recording: RecordingId);
}

/// Where gateways learn how far a recording goes.
pub trait Watch: Send + Sync + 'static {
    /// Follows a recording; `None` if nothing was published about it, as for those that were sealed long ago.
    fn watch(&self, recording: RecordingId) -> Option<TailWatch>;
}

//! Floor 1: the length store. The recorder publishes tails, gateways watch them.
//!
//! It is a cache of what the disk proves: losing it loses nothing, and publishing never delays a recording.
//! Not here: audio, catalogues, files. [`MemoryTails`] serves one process, [`redis`] carries its contents between
//! processes; both pass the same suite (`conformance`, behind the feature of that name).

#[cfg(feature = "conformance")]
pub mod conformance;
mod memory;
pub mod redis;
mod traced;
mod watch;

pub use memory::MemoryTails;
pub use traced::TracedChunk;
pub use watch::TailWatch;

use livetape_audio::{RecordingId, Tail};
use std::sync::Arc;

/// Where the recorder says how far its recordings go.
pub trait Publisher: Send + Sync + 'static {
    /// Makes `tail` known. Latest wins; never blocks and never fails: what cannot be told now is told
    /// again with the next tail. A tail that would take back what was heard is dropped and logged.
    fn publish(&self, recording: RecordingId, tail: Tail);

    /// Forgets a recording whose tail nobody needs from here any more: it is sealed and in the catalogue.
    fn forget(&self, recording: RecordingId);

    /// Tells of a chunk that is in a trace, before the tail that covers it. Of each recording the newest wins; it may get
    /// lost, and then its trace ends here.
    fn trace(&self, chunk: &TracedChunk) {
        _ = chunk;
    }
}

/// Tells everybody in the list.
impl Publisher for Vec<Arc<dyn Publisher>> {
    fn publish(&self, recording: RecordingId, tail: Tail) {
        self.iter().for_each(|publisher| publisher.publish(recording, tail));
    }

    fn forget(&self, recording: RecordingId) {
        self.iter().for_each(|publisher| publisher.forget(recording));
    }

    fn trace(&self, chunk: &TracedChunk) {
        self.iter().for_each(|publisher| publisher.trace(chunk));
    }
}

/// Where gateways learn how far a recording goes.
pub trait Watch: Send + Sync + 'static {
    /// Follows a recording; `None` if nothing is known about it, as for those that were sealed long ago. One that was
    /// forgotten by its publisher may be known for a while yet: as sealed.
    fn watch(&self, recording: RecordingId) -> Option<TailWatch>;
}

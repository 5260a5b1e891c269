//! Floor 2: sources and the uplink, audio on its way to the recorder.
//!
//! ```text
//! source -> 20 ms pieces -> uplink (keeps what is not acknowledged) -> gRPC Append -> recorder
//!                              |  ^
//!                              v  |  what waits for longer than a second
//!                             spool
//! ```
//!
//! A source yields audio in real time and knows nothing of networks. The [`Uplink`] is a state machine without IO: it
//! numbers frames, keeps what the recorder has not acknowledged, and counts what it had to give up. What waits for
//! longer goes to a spool on disk, if there is one, and survives the process. A session moves
//! messages between the two and the recorder, and connects again for as long as it takes.
//! Not here: files of recordings, listeners, the meaning of time on a recording.

mod backoff;
mod capture;
pub mod clock;
mod desk;
pub mod drift;
#[cfg(fuzzing)]
pub mod fuzzing;
mod intake;
mod link;
pub mod meter;
mod metrics;
mod random;
mod session;
mod shape;
mod source_spec;
pub mod sources;
mod spool;
mod station;
mod status;
mod title;
mod trace;
pub mod uplink;

pub use capture::{Capture, CaptureConfig, CaptureError, SourceConfig, SourceFailure};
pub use intake::{IntakeConfig, IntakeError, IntakeLimits};
pub use session::{SessionError, Timing};
pub use shape::Shape;
pub use source_spec::{SourceSpec, SourceSpecError};
pub use spool::{SpoolConfig, SpoolError};
pub use status::{CardStatus, Status};
pub use uplink::Uplink;

//! Floor 1: recordings on disk. Append-only segments with an index that proves them, a timeline, recovery.
//!
//! Synchronous `std::fs` and nothing else: no async, no network, no clock. One [`TapeWriter`] owns the files of an
//! open recording; any number of [`TapeReader`]s and [`TimelineFollower`]s read below its tail without asking it.
//!
//! ```text
//! <data>/LOCK                            held by the one recorder
//! <data>/recorder.json                   its generation
//! <data>/<stream>/<recording id>/
//!     recording.json                     what it is; replaced atomically
//!     00000000000000000000.pcm           frames and nothing else, `segment_frames` of them in all but the last file
//!     00000000000000000000.idx           blocks: which frames, when, and the checksum that proves them
//!     timeline.log                       anchors, gaps, titles, marks, events
//!     256.peaks, 1024.peaks, …           waveform data, made from the audio: one point for so many frames
//!     minutes.loudness                   how loud each minute is, made from the audio
//! ```
//! Only `format` knows the bytes. The length of a file proves nothing, for files are allocated ahead: the index does.

mod catalogue;
mod data_dir;
mod disk;
mod error;
mod flush;
mod follower;
mod format;
mod growing;
mod index;
mod keeping;
mod kept;
mod loudness;
mod loudness_writer;
mod peaks;
mod peaks_writer;
mod pool;
mod proof;
mod reader;
mod recording;
mod recovery;
mod segment;
#[cfg(any(test, feature = "testing"))]
pub mod sparse;
mod timeline_log;
pub mod verify;
mod writer;

pub use catalogue::{Catalogue, Page, Query, StreamInfo};
pub use data_dir::{DataDir, Problem, Scan};
pub use disk::{Disk, Faults, Op, Space};
pub use error::StoreError;
pub use flush::{Flush, Flushed};
pub use follower::TimelineFollower;
pub use keeping::{Deleted, Edit};
pub use kept::Kept;
pub use loudness::{Measured, Minute};
pub use loudness_writer::LoudnessWriter;
pub use peaks::{Peaks, PeaksReader};
pub use peaks_writer::PeaksWriter;
pub use proof::durable_end;
pub use reader::{Stored, TapeReader};
pub use recording::{Recording, Seal, earliest};
pub use recovery::Recovery;
pub use verify::Verdict;
pub use writer::TapeWriter;

//! Floor 0: what audio is, where one is in it, and what time it was then.
//!
//! Here: [`Spec`], [`ChannelLayout`], positions, names, the [`Timeline`], addresses of views, container headers, [`peaks`], [`loudness`].
//! Not here: files, sockets, clocks, threads, async. Nothing in this crate can fail for a
//! reason outside its arguments, so everything in it is tested without a machine around it.

pub mod bext;
pub mod container;
mod drift;
mod layout;
pub mod loudness;
pub mod name;
pub mod peaks;
pub mod position;
pub mod rules;
pub mod spec;
pub mod tail;
pub mod time;
pub mod timeline;
pub mod view;
mod wav;
pub mod wav_reader;

pub use container::{Container, DataSize};
pub use drift::Drift;
pub use layout::{ChannelLayout, LayoutError, Speaker};
pub use name::{Instance, InstanceError, NameError, Notes, RecordingId, SourceName, StreamName, Title};
pub use position::{Captured, Durable, Epoch, Frame, FrameCount, Generation, Written};
pub use rules::{RecordingMode, StreamPattern, StreamRules};
pub use spec::{SampleFormat, Spec, SpecError};
pub use tail::{SealReason, State, Tail};
pub use time::{Moment, MomentError, WallTime};
pub use timeline::{
    Anchor, Entry, Event, EventKind, Gap, GapReason, Located, Mark, SourceChange, Timeline, TimelineError, TitleChange,
};
pub use view::{End, View, ViewAddress, ViewError};

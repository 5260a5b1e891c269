//! Positions. Every stage that a frame passes has its own type, and one order always holds:
//!
//! ```text
//! listener.pos  <=  tail.end  <=  durable  <=  written  <=  captured
//! ```
//!
//! All ends are exclusive: `Durable(Frame(100))` says that frames 0 to 99 survive a power cut.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::ops::{Add, Range, Sub};

/// The number of a frame within its recording, from 0. Also used as an exclusive end.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Frame(u64);

/// A number of frames.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct FrameCount(u64);

impl Frame {
    /// The first frame of every recording.
    pub const ZERO: Self = Self(0);
    /// Frame number `n`.
    pub const fn new(n: u64) -> Self {
        Self(n)
    }
    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
    /// Frames from `earlier` to here; zero when `earlier` is not earlier.
    pub const fn since(self, earlier: Self) -> FrameCount {
        FrameCount(self.0.saturating_sub(earlier.0))
    }
    /// `n` frames before this one, not before frame 0.
    pub const fn back(self, n: FrameCount) -> Self {
        Self(self.0.saturating_sub(n.0))
    }
    /// The frames from here, `n` of them.
    pub fn range(self, n: FrameCount) -> Range<Self> {
        self..self + n
    }
}

impl FrameCount {
    /// No frames.
    pub const ZERO: Self = Self(0);
    /// `n` frames.
    pub const fn new(n: u64) -> Self {
        Self(n)
    }
    /// The number.
    pub const fn get(self) -> u64 {
        self.0
    }
    /// Whether there are none.
    pub const fn is_zero(self) -> bool {
        self.0 == 0
    }
}

impl Add<FrameCount> for Frame {
    type Output = Self;
    /// Saturates: recordings end at 2^39 bytes, so only hostile numbers come near.
    fn add(self, n: FrameCount) -> Self {
        Self(self.0.saturating_add(n.0))
    }
}

impl Add for FrameCount {
    type Output = Self;
    fn add(self, n: Self) -> Self {
        Self(self.0.saturating_add(n.0))
    }
}

impl Sub for FrameCount {
    type Output = Self;
    /// Saturates at zero.
    fn sub(self, n: Self) -> Self {
        Self(self.0.saturating_sub(n.0))
    }
}

impl fmt::Display for Frame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Display for FrameCount {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

macro_rules! stage {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
        pub struct $name(pub Frame);

        impl $name {
            /// The exclusive end of what has passed this stage.
            pub const fn end(self) -> Frame {
                self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

stage! {
    /// End of what a source has captured.
    Captured
}
stage! {
    /// End of what the operating system has taken: it survives the process, not a power cut.
    Written
}
stage! {
    /// End of what was synced: it survives a power cut. Acknowledged means this.
    Durable
}

/// Which incarnation of a source may write: a fencing token, raised at each open.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The one after this.
    pub const fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Which run of the recorder published something; raised at each start and kept in the data folder. Recorders that start
/// on copies of one folder have different ones.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Generation(pub u64);

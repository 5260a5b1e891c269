//! What an uplink gives to be sent, and what it refuses.

use bytes::Bytes;
use livetape_audio::{Durable, Epoch, Frame, FrameCount, GapReason, Spec, Title, WallTime};
use std::time::Instant;

/// What goes to the recorder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing {
    /// Audio.
    Append {
        /// Fencing token.
        epoch: Epoch,
        /// Number of its first frame.
        first: Frame,
        /// When that was captured.
        time: WallTime,
        /// Whole frames.
        pcm: Bytes,
    },
    /// Missing audio.
    Gap {
        /// Fencing token.
        epoch: Epoch,
        /// First frame after the gap.
        at: Frame,
        /// How much is missing, if known.
        frames: Option<FrameCount>,
        /// Why.
        reason: GapReason,
    },
    /// What is playing.
    Title {
        /// Fencing token.
        epoch: Epoch,
        /// First frame to which it applies.
        at: Frame,
        /// The title; empty for none.
        title: Title,
    },
    /// Nothing will follow.
    End {
        /// Fencing token.
        epoch: Epoch,
        /// The frame that will not come.
        at: Frame,
    },
}

/// Why something did not fit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UplinkError {
    /// A source yielded half a frame.
    #[error("{bytes} bytes of audio are not whole frames of {spec}")]
    HalfFrame {
        /// Size of the audio.
        bytes: u64,
        /// Its shape.
        spec: Spec,
    },
    /// The recorder talks of frames that it was never sent.
    #[error("the recorder acknowledged frame {durable}, but only frames before {next} were sent")]
    NeverSent {
        /// As acknowledged.
        durable: Durable,
        /// Next frame to be sent.
        next: Frame,
    },
    /// The recorder takes messages that hold no frame.
    #[error("the recorder takes {max} bytes of audio at once, but a frame has {frame}")]
    Narrow {
        /// Its limit.
        max: u64,
        /// Size of a frame.
        frame: u64,
    },
}

/// Where the audio that was sent last has waited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waited {
    /// In memory, since it came.
    InMemory(Instant),
    /// In the store, which knows only when it was captured.
    InStore,
}

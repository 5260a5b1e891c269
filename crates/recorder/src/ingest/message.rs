//! What a source says, what is to be done about it, and why it may be refused.

use livetape_audio::{Entry, Epoch, Frame, FrameCount, GapReason, SealReason, Title, WallTime};

/// What a source says, in the numbers of its call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Frames `first`, `first + 1`, …
    Append {
        /// Fencing token.
        epoch: Epoch,
        /// Number of the first frame.
        first: Frame,
        /// Size of the audio in bytes.
        bytes: u64,
        /// When the first frame was captured.
        captured: WallTime,
    },
    /// Audio is missing before frame `at`.
    Gap {
        /// Fencing token.
        epoch: Epoch,
        /// First frame after the gap.
        at: Frame,
        /// How much, if known.
        lost: Option<FrameCount>,
        /// Why.
        reason: GapReason,
    },
    /// What is playing from frame `at` on.
    Title {
        /// Fencing token.
        epoch: Epoch,
        /// First frame to which it applies.
        at: Frame,
        /// The title; empty for none.
        title: Title,
    },
    /// Nothing follows.
    End {
        /// Fencing token.
        epoch: Epoch,
        /// The frame that will not come.
        at: Frame,
    },
}

impl Message {
    /// The fencing token.
    pub const fn epoch(&self) -> Epoch {
        match self {
            Self::Append { epoch, .. }
            | Self::Gap { epoch, .. }
            | Self::Title { epoch, .. }
            | Self::End { epoch, .. } => *epoch,
        }
    }
}

/// What to do about a message that fits.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Put `entries` on the timeline, then write `take` frames, of which the first is the message's frame number
    /// `skip`. If `then` is given, seal for that reason, begin anew and decide about the same message again.
    Write {
        /// Entries that belong before these frames.
        entries: Vec<Entry>,
        /// Frames at the beginning of the message that are recorded already.
        skip: FrameCount,
        /// Frames to write.
        take: FrameCount,
        /// Time of day of the first frame that is written.
        time: WallTime,
        /// The recording ends with these frames.
        then: Option<SealReason>,
    },
    /// Nothing to write: a repetition, or a gap or a title that waits for the frame after it.
    Nothing,
    /// The source has ended: seal.
    Seal,
}

/// Why a message does not fit. The recording is as before.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Another source has opened the stream since.
    #[error("epoch {got} is over: the stream was opened again as epoch {current}; open it yourself to take it back")]
    OldEpoch {
        /// In the message.
        got: Epoch,
        /// That may write.
        current: Epoch,
    },
    /// An epoch that was never given out.
    #[error("epoch {got} was never given out; the current one is {current}")]
    UnknownEpoch {
        /// In the message.
        got: Epoch,
        /// That may write.
        current: Epoch,
    },
    /// Frames between the next one and the message's are missing.
    #[error(
        "frame {got} comes after a hole: the next frame is {next}; announce missing audio with a gap, or open again"
    )]
    Hole {
        /// First frame of the message.
        got: Frame,
        /// Next frame of the recording.
        next: Frame,
    },
    /// A gap or an end inside audio that is recorded already.
    #[error("frame {got} is recorded already: the next one is {next}")]
    Past {
        /// Frame of the message.
        got: Frame,
        /// Next frame of the recording.
        next: Frame,
    },
    /// Not a whole number of frames.
    #[error("{bytes} bytes are not a whole number of frames of {frame_bytes} bytes")]
    HalfFrame {
        /// Size of the audio.
        bytes: u64,
        /// Size of a frame.
        frame_bytes: u32,
    },
}

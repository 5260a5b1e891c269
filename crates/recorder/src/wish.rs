//! What those who keep recordings ask of an open one, and what they hear.

use crate::tape::OpenError;
use livetape_audio::{EventKind, Frame, RecordingId, Title};
use livetape_store::{Edit, Recording, StoreError};
use std::sync::Arc;

/// Most marks in one recording: everybody who looks at its timeline holds them all.
pub(crate) const MAX_MARKS: usize = 10_000;

/// Most events in one recording of who did something to it; what comes after stands in the log alone.
pub(crate) const MAX_DEEDS: usize = 1_000;

/// What is to happen to the open recording of a stream.
#[derive(Clone, Debug)]
pub(crate) enum Wish {
    /// It is sealed, and a new one goes on. Where nothing is open because nobody has begun, the first one begins.
    BeginAnew,
    /// It is sealed. If a source is pushing, a new one goes on, unless `idle` asks that there be none, or the stream
    /// records on demand.
    Seal { idle: bool },
    /// It is described otherwise.
    Edit(Edit),
    /// It gets a mark; at the newest frame, if none is given.
    Mark { frame: Option<Frame>, text: Title },
    /// This is playing from its next frame on.
    Title(Title),
    /// Its timeline says what happened.
    Note { kind: EventKind, detail: String },
}

/// What came of it.
#[derive(Clone, Debug)]
pub(crate) enum Done {
    /// The recording that was meant, as it is now, and the one that is open now, if one is.
    Sealed(Arc<Recording>, Option<Arc<Recording>>),
    /// The first one, where none was open.
    Begun(Arc<Recording>),
    /// As it is now.
    Edited(Arc<Recording>),
    /// Where the mark stands.
    Marked(Frame),
    /// The timeline will say it.
    Noted,
}

/// Why nothing came of it.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// There is no such recording.
    #[error("there is no recording {0}: it was deleted, or never was; list what there is")]
    Gone(RecordingId),
    /// It is not open, or no longer.
    #[error("nothing is being recorded there, and no source is connected: a recording needs one")]
    NotOpen,
    /// It is open, and has to be sealed.
    #[error("recording {0} is being recorded: seal it first")]
    Open(RecordingId),
    /// It is locked.
    #[error("recording {0} is locked: unlock it first")]
    Locked(RecordingId),
    /// No source that has a list.
    #[error("no source is connected there that has a list of what it plays, as one of files has")]
    NoProgram,
    /// A source is pushing.
    #[error("a source is pushing: stop it first, or it would begin anew at once")]
    Busy,
    /// The frame is not there yet.
    #[error("frame {at} is not recorded: the recording ends at {end}")]
    Ahead { at: Frame, end: Frame },
    /// There are enough marks.
    #[error("the recording has {MAX_MARKS} marks, which is the most: use another recording")]
    TooManyMarks,
    /// There are as many recordings as there may be.
    #[error("{0}")]
    TooManyRecordings(String),
    /// The disk is full.
    #[error("{0}")]
    Full(String),
    /// The disk failed, or the recorder is stopping.
    #[error("{0}; try again later")]
    Unavailable(String),
}

impl From<OpenError> for Refused {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Full(text) => Self::Full(text),
            OpenError::TooManyRecordings(text) => Self::TooManyRecordings(text),
            OpenError::Unavailable(text) | OpenError::TooMany(text) | OpenError::Forbidden(text) => {
                Self::Unavailable(text)
            }
        }
    }
}

impl From<StoreError> for Refused {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Ahead { at, end } => Self::Ahead { at, end },
            StoreError::Open { id } => Self::Open(id),
            error if error.is_full() => Self::Full(error.to_string()),
            error => Self::Unavailable(error.to_string()),
        }
    }
}

//! What a session can tell about itself, for meters and logs.

use crate::drift::Drift;
use livetape_audio::{FrameCount, RecordingId, Spec, StreamName};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::watch;

/// How one source is doing. Counted in frames since it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Status {
    /// Whether the source was opened: it gave audio, or can.
    pub begun: bool,
    /// Whether the recorder has the stream open for it now.
    pub connected: bool,
    /// Whether nothing is kept until somebody begins a recording.
    pub standing_by: bool,
    /// The recording that takes its audio, or did last.
    pub recording: Option<RecordingId>,
    /// The shape of its audio, once it has begun.
    pub spec: Option<Spec>,
    /// Frames captured, or found in the spool when it began.
    pub captured: FrameCount,
    /// Frames that are durable at the recorder.
    pub acknowledged: FrameCount,
    /// Frames given up because the recorder was away for too long. May go down again when some turn out to be durable.
    pub given_up: FrameCount,
    /// Frames that nobody wanted: captured while nothing was recorded on demand.
    pub unwanted: FrameCount,
    /// Frames that were never captured because the source was read too late.
    pub missed: FrameCount,
    /// How often the recorder has opened the stream for it.
    pub opened: u64,
    /// Frames that wait in the spool.
    pub spooled: FrameCount,
    /// Bytes of audio that wait in the spool.
    pub spooled_bytes: u64,
    /// How its sound card is doing, if it has one.
    pub card: Option<CardStatus>,
}

/// How a sound card is doing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CardStatus {
    /// Whether it is there and gives audio.
    pub present: bool,
    /// How fast its clock is, once that is known.
    pub drift: Option<Drift>,
    /// How often it was read too late.
    pub xruns: u64,
    /// How often it went away.
    pub losses: u64,
}

impl Status {
    /// Frames that wait for the recorder, in memory and in the spool.
    pub fn waiting(&self) -> FrameCount {
        self.captured - self.acknowledged - self.given_up - self.unwanted
    }
}

type Watched = (StreamName, watch::Receiver<Status>);

/// How all sources are doing, those that come and go, too.
#[derive(Clone, Debug, Default)]
pub(crate) struct Statuses(Arc<Mutex<Vec<Watched>>>);

impl Statuses {
    /// A source begins.
    pub(crate) fn add(&self, stream: StreamName) -> watch::Sender<Status> {
        let status = watch::Sender::default();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((stream, status.subscribe()));
        status
    }

    /// A stream has no source any more.
    pub(crate) fn remove(&self, stream: &StreamName) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).retain(|(its, _)| its != stream);
    }

    pub(crate) fn all(&self) -> Vec<Watched> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

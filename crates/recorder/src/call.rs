//! One source's call, as a stream's task sees it: what it asks, and what it learns.

use crate::ingest::{Message, Refusal};
use crate::metrics::Instruments;
use crate::tape::OpenError;
use crate::wish::{Done, Refused, Wish};
use bytes::Bytes;
use livetape_audio::{Drift, Epoch, Frame, RecordingId};
use livetape_proto::Opening;
use livetape_service::metrics::Held;
use livetape_store::StoreError;
use std::ops::RangeInclusive;
use std::sync::Arc;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;

/// Tells a call's messages from those of an older one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CallId(pub(crate) u64);

/// What a stream's task is asked.
pub(crate) enum Command {
    /// A source opens the stream. Who drops the answer has hung up.
    Open { call: CallId, opening: Box<Opening>, reply: oneshot::Sender<Result<watch::Receiver<Progress>, OpenError>> },
    /// A message of a call, with its audio.
    Message { call: CallId, message: Message, pcm: Bytes },
    /// The clock of the source runs like this, as far as it knows.
    Drift { call: CallId, drift: Option<Drift> },
    /// The source sends nothing more, but still listens.
    Closed { call: CallId },
    /// Somebody asks something of the open recording; of this one, if one is named. Nothing, if they have gone meanwhile.
    Operate {
        of: Option<RecordingId>,
        wish: Wish,
        gone: CancellationToken,
        reply: oneshot::Sender<Result<Done, Refused>>,
    },
}

/// What a call may write to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Granted {
    pub(crate) recording: RecordingId,
    pub(crate) epoch: Epoch,
    pub(crate) next: Frame,
    pub(crate) resume: Option<Frame>,
}

impl Granted {
    const fn writes(self) -> Writes {
        Writes { recording: self.recording, zero: Frame::ZERO }
    }
}

/// Where the frames of a call go now: not what it was granted, once that has rolled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Writes {
    pub(crate) recording: RecordingId,
    /// Its first frame, in the numbers of the call.
    pub(crate) zero: Frame,
}

impl Writes {
    /// A frame of the call in the numbers of the recording; none if it was of the one before.
    pub(crate) fn frame(self, in_call: Frame) -> Option<Frame> {
        (in_call >= self.zero).then(|| Frame::ZERO + in_call.since(self.zero))
    }
}

/// What a source learns while its call lasts. The newest value says all.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
    /// What the call may write to; nothing while it is on standby.
    pub(crate) granted: Option<Granted>,
    /// Where its frames go now.
    pub(crate) writes: Option<Writes>,
    /// Durable end in the numbers of the call.
    pub(crate) durable: Frame,
    /// Why the call ends, if it does.
    pub(crate) verdict: Option<Verdict>,
}

/// Why a call ends.
#[derive(Clone, Debug)]
pub(crate) enum Verdict {
    /// The source has ended and its recording is sealed.
    Ended,
    /// A message did not fit.
    Refused(Refusal),
    /// Another source has opened the stream while this one was waiting.
    Replaced,
    /// The disk is full.
    Full(String),
    /// The disk failed.
    Failed(String),
}

impl From<&StoreError> for Verdict {
    fn from(error: &StoreError) -> Self {
        if error.is_full() { Self::Full(error.to_string()) } else { Self::Failed(error.to_string()) }
    }
}

impl From<OpenError> for Verdict {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Full(text) => Self::Full(text),
            OpenError::Unavailable(text)
            | OpenError::TooMany(text)
            | OpenError::TooManyRecordings(text)
            | OpenError::Forbidden(text) => Self::Failed(text),
        }
    }
}

/// The call that writes now, on the side of the stream's task.
pub(crate) struct Call {
    pub(crate) id: CallId,
    /// All epochs that it was given.
    epochs: Option<RangeInclusive<Epoch>>,
    progress: watch::Sender<Progress>,
    instruments: Arc<Instruments>,
    _connected: Held,
}

impl Call {
    /// A call that may write to this, or that is on standby; and its other side.
    pub(crate) fn new(
        id: CallId,
        granted: Option<Granted>,
        instruments: Arc<Instruments>,
    ) -> (Self, watch::Receiver<Progress>) {
        let durable = granted.map_or(Frame::ZERO, |granted| granted.next);
        let (progress, other) =
            watch::channel(Progress { granted, writes: granted.map(Granted::writes), durable, verdict: None });
        let epochs = granted.map(|granted| granted.epoch..=granted.epoch);
        let connected = Held::new(&instruments.sources);
        (Self { id, epochs, progress, instruments, _connected: connected }, other)
    }

    /// The other side of a call to which there is only one thing to say: everything before `end` is durable, and sealed.
    pub(crate) fn over(end: Frame) -> watch::Receiver<Progress> {
        watch::channel(Progress { granted: None, writes: None, durable: end, verdict: Some(Verdict::Ended) }).1
    }

    /// It has been on standby, and may write to this from now on.
    pub(crate) fn granted(mut self, granted: Granted) -> Self {
        let first = self.epochs.as_ref().map_or(granted.epoch, |epochs| *epochs.start());
        self.epochs = Some(first..=granted.epoch);
        let writes = Some(granted.writes());
        self.progress.send_modify(|p| (p.granted, p.writes, p.durable) = (Some(granted), writes, granted.next));
        self
    }

    /// Its frames go to a next recording from the frame `zero` on, as it counts.
    pub(crate) fn rolled(&self, recording: RecordingId, zero: Frame) {
        self.progress.send_modify(|p| p.writes = Some(Writes { recording, zero }));
    }

    /// It may write to nothing from now on.
    pub(crate) fn standing_by(self) -> Self {
        self.progress.send_modify(|p| (p.granted, p.writes) = (None, None));
        self
    }

    /// The epoch that it was given last.
    pub(crate) fn epoch(&self) -> Option<Epoch> {
        self.epochs.as_ref().map(|epochs| *epochs.end())
    }

    /// Whether it was ever given this epoch.
    pub(crate) fn had(&self, epoch: Epoch) -> bool {
        self.epochs.as_ref().is_some_and(|epochs| epochs.contains(&epoch))
    }

    /// Whether the other side has hung up.
    pub(crate) fn is_gone(&self) -> bool {
        self.progress.is_closed()
    }

    /// Tells how far the audio is durable.
    pub(crate) fn acknowledge(&self, durable: Frame) {
        self.progress.send_if_modified(|p| std::mem::replace(&mut p.durable, durable) != durable);
    }

    /// Ends the call. Without a verdict the source has left by itself.
    pub(crate) fn end(self, verdict: Option<Verdict>) {
        if let Some(verdict) = &verdict {
            self.instruments.ended(verdict);
        }
        self.progress.send_modify(|p| p.verdict = verdict);
    }

    /// Waits until the other side has hung up.
    pub(crate) async fn gone(&self) {
        self.progress.closed().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_frames_go_after_a_roll() {
        let id = |n| RecordingId::new(n, &[1; 10]);
        let granted = Granted { recording: id(1), epoch: Epoch(1), next: Frame::new(500), resume: None };
        let instruments = Arc::new(Instruments::new().unwrap());
        let (call, progress) = Call::new(CallId(1), Some(granted), instruments);
        let at = |frame| {
            let writes = progress.borrow().writes.unwrap();
            (writes.recording, writes.frame(Frame::new(frame)).map(Frame::get))
        };
        assert_eq!(at(500), (id(1), Some(500)));
        call.rolled(id(2), Frame::new(700));
        assert_eq!((at(699), at(700), at(710)), ((id(2), None), (id(2), Some(0)), (id(2), Some(10))));
        assert!(call.standing_by().progress.borrow().writes.is_none());
    }
}

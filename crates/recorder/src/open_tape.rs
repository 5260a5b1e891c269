//! The open recording of a stream: its tape, wherever it is, what waits to be written, and who writes.

use crate::call::{Call, CallId, Verdict};
use crate::committer::{Committed, Committer, Pending};
use crate::ingest::{Ingest, Message, Position};
use crate::metrics::{Instruments, OnAir};
use crate::silence::Silence;
use bytes::Bytes;
use livetape_audio::{Durable, Entry, Epoch, FrameCount, Instance, RecordingId, SealReason, Title, WallTime};
use livetape_proto::Opening;
use livetape_service::metrics::Held;
use livetape_store::{Recording, TapeWriter};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// The open recording.
pub(crate) struct OpenTape {
    pub(crate) recording: Recording,
    pub(crate) ingest: Ingest,
    /// What the source calls it. Those who keep the recording may call it otherwise.
    pub(crate) title: Title,
    /// At home; otherwise it is with the committer.
    pub(crate) tape: Option<TapeWriter>,
    committing: Option<oneshot::Receiver<Committed>>,
    pub(crate) pending: Arc<Pending>,
    pub(crate) call: Option<Call>,
    /// Decided, and not done yet: nothing else happens to this recording any more.
    pub(crate) sealing: Option<Sealing>,
    /// When to seal because nobody comes back, or to try again to.
    pub(crate) deadline: Option<Instant>,
    pub(crate) silence: Silence,
    _counted: Held,
}

/// A seal that has been decided.
pub(crate) struct Sealing {
    pub(crate) why: SealReason,
    pub(crate) next: Option<Next>,
}

/// The recording that goes on afterwards.
pub(crate) enum Next {
    /// To be made.
    Wanted(Box<Opening>, Epoch),
    /// On disk. Nobody knows of it before the seal names it.
    Made(Box<TapeWriter>),
}

impl Next {
    /// Its id, once it is made.
    pub(crate) fn id(&self) -> Option<RecordingId> {
        match self {
            Self::Wanted(..) => None,
            Self::Made(tape) => Some(tape.recording().id),
        }
    }
}

impl OpenTape {
    /// Goes on with a tape. `roll_after` and `window` as in the recorder's configuration.
    pub(crate) fn new(tape: TapeWriter, roll_after: Duration, window: Duration, instruments: &Instruments) -> Self {
        let position = Position::of(tape.timeline(), tape.durable());
        let recording = tape.recording().clone();
        let source = (recording.instance, recording.source.clone());
        let ingest = Ingest::new(recording.spec, roll_after, recording.epoch, source, position);
        let title = if recording.titled { Title::default() } else { recording.title.clone() };
        Self {
            recording,
            ingest,
            title,
            tape: Some(tape),
            committing: None,
            pending: Arc::default(),
            call: None,
            sealing: None,
            deadline: Some(Instant::now() + window),
            silence: Silence::default(),
            _counted: Held::new(&instruments.open_recordings),
        }
    }

    /// What the source would say to open another recording like this.
    pub(crate) fn opening(&self) -> Opening {
        let recording = &self.recording;
        Opening {
            stream: recording.stream.clone(),
            source: recording.source.clone(),
            instance: recording.instance,
            spec: recording.spec,
            resume: None,
            title: self.title.clone(),
            genre: recording.genre.clone(),
            ending: false,
        }
    }

    /// Whether the call is the one that writes.
    pub(crate) fn is_of(&self, call: CallId) -> bool {
        self.call.as_ref().is_some_and(|current| current.id == call)
    }

    /// Whether the message was under way when the call was given another recording to write to.
    pub(crate) fn is_late(&self, message: &Message) -> bool {
        let epoch = message.epoch();
        epoch < self.ingest.epoch() && self.call.as_ref().is_some_and(|call| call.had(epoch))
    }

    /// Takes the tape for work that nothing may come between. Has to be settled.
    pub(crate) fn at_home(&mut self) -> Option<(&mut Self, TapeWriter)> {
        let tape = self.tape.take()?;
        Some((self, tape))
    }

    /// What is shown of it.
    pub(crate) fn on_air(&self) -> OnAir {
        OnAir { connected: self.call.is_some(), silence: self.silence.seconds(self.recording.spec) }
    }

    /// Queues frames of a message, and what the timeline says before them.
    pub(crate) fn write(
        &mut self,
        entries: Vec<Entry>,
        skip: FrameCount,
        take: FrameCount,
        time: WallTime,
        pcm: &Bytes,
    ) {
        for entry in entries {
            self.pending.note(entry);
        }
        let spec = self.recording.spec;
        let (from, to) = (spec.bytes(skip) as usize, spec.bytes(skip + take) as usize);
        let pcm = pcm.slice(from.min(pcm.len())..to.min(pcm.len()));
        self.silence.hear(spec, &pcm);
        self.pending.audio(time, pcm);
    }

    /// Sends the tape to the committer if there is something to write and it is at home.
    pub(crate) fn kick(&mut self, committer: &Committer) {
        if !self.pending.is_empty()
            && let Some(tape) = self.tape.take()
        {
            self.committing = Some(committer.commit(tape, Arc::clone(&self.pending)));
        }
    }

    /// Whether a commit is under way.
    pub(crate) const fn is_committing(&self) -> bool {
        self.committing.is_some()
    }

    /// Waits for the commit under way; for ever if there is none. Fails when the committer has died.
    pub(crate) async fn committed(&mut self) -> anyhow::Result<Committed> {
        let Some(outcome) = &mut self.committing else { return std::future::pending().await };
        let outcome = outcome.await;
        self.committing = None;
        outcome.map_err(|_| anyhow::anyhow!("the committer has died"))
    }

    /// Tells the source how far its audio is durable.
    pub(crate) fn acknowledge(&self, durable: Durable) {
        if let Some(call) = &self.call {
            call.acknowledge(self.ingest.in_call(durable.end()));
        }
    }

    /// Takes the call out, with the source that it is of; from now on the resume window runs.
    pub(crate) fn take_call(&mut self, window: Duration) -> Option<(Call, Instance)> {
        let call = self.call.take()?;
        self.deadline = Some(Instant::now() + window);
        Some((call, self.ingest.holder()))
    }

    /// Ends the call, if there is one; from now on the resume window runs.
    pub(crate) fn hang_up(&mut self, verdict: Option<Verdict>, window: Duration) {
        if let Some(call) = self.call.take() {
            call.end(verdict);
            self.deadline = Some(Instant::now() + window);
        }
    }
}

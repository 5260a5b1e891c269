//! The one task that owns a stream's open recording.
//!
//! It decides ([`Ingest`]), hands what is to be written to the committer, and tells what became durable: to the
//! source, to the length store, to the catalogue. Commands come through a bounded queue; while the disk is behind,
//! they wait there, and the source waits behind them. Not here: gRPC, bytes on disk, time of day of frames.

use crate::committer::{Committed, Committer, Pending};
use crate::ingest::{Decision, Ingest, Message, Position, Refusal};
use crate::tape::{self, OpenError};
use bytes::Bytes;
use livetape_audio::{Durable, Entry, Epoch, Frame, FrameCount, RecordingId, SealReason, StreamName, Tail, WallTime};
use livetape_proto::Opening;
use livetape_store::{Catalogue, DataDir, Recording, StoreError, TapeWriter};
use livetape_tail::Publisher;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::Instant;

/// Audio that may wait for a commit in one recording, in bytes.
const MAX_PENDING: usize = 4 << 20;
/// How soon a seal that failed is tried again.
const SEAL_RETRY: Duration = Duration::from_secs(5);

/// What all streams of a recorder share.
pub(crate) struct Shared {
    pub(crate) dir: DataDir,
    pub(crate) catalogue: Arc<Catalogue>,
    pub(crate) tails: Arc<dyn Publisher>,
    pub(crate) committer: Committer,
    pub(crate) resume_window: Duration,
    pub(crate) roll_after: Duration,
}

/// Tells a call's messages from those of an older one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CallId(pub(crate) u64);

/// What a stream's task is asked.
pub(crate) enum Command {
    /// A source opens the stream.
    Open { call: CallId, opening: Box<Opening>, reply: oneshot::Sender<Result<Opened, OpenError>> },
    /// A message of a call, with its audio.
    Message { call: CallId, message: Message, pcm: Bytes },
    /// The call has gone.
    Closed { call: CallId },
}

/// The answer to an open.
pub(crate) struct Opened {
    pub(crate) recording: RecordingId,
    pub(crate) epoch: Epoch,
    pub(crate) next: Frame,
    pub(crate) resume: Option<Frame>,
    pub(crate) progress: watch::Receiver<Progress>,
}

/// What a source learns while its call lasts. The newest value says all.
#[derive(Clone, Debug)]
pub(crate) struct Progress {
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

struct Call {
    id: CallId,
    progress: watch::Sender<Progress>,
}

/// The open recording.
struct OpenTape {
    recording: Recording,
    ingest: Ingest,
    /// At home; otherwise it is with the committer.
    tape: Option<TapeWriter>,
    committing: Option<oneshot::Receiver<Committed>>,
    pending: Arc<Pending>,
    call: Option<Call>,
    /// When to seal because nobody comes back.
    deadline: Option<Instant>,
}

/// The task of one stream.
pub(crate) struct Stream {
    name: StreamName,
    shared: Arc<Shared>,
    commands: mpsc::Receiver<Command>,
    open: Option<OpenTape>,
}

impl Stream {
    /// A stream, with the recording that recovery found open.
    pub(crate) fn new(
        name: StreamName,
        shared: Arc<Shared>,
        commands: mpsc::Receiver<Command>,
        recovered: Option<TapeWriter>,
    ) -> Self {
        let open = recovered.map(|tape| OpenTape::new(tape, &shared));
        Self { name, shared, commands, open }
    }

    /// Serves the stream until nobody can send commands any more; then commits what is pending.
    pub(crate) async fn run(mut self) -> anyhow::Result<()> {
        loop {
            let busy = self.open.as_ref().is_some_and(|open| open.pending.bytes() >= MAX_PENDING);
            let deadline = self.open.as_ref().and_then(|open| open.deadline);
            tokio::select! {
                outcome = committed(&mut self.open) => self.committed(outcome?),
                command = self.commands.recv(), if !busy => match command {
                    Some(command) => self.command(command).await?,
                    None => break,
                },
                () = at(deadline) => drop(self.seal(SealReason::SourceLost, None).await?),
            }
            if let Some(open) = &mut self.open {
                open.kick(&self.shared.committer);
            }
        }
        self.settle().await
    }

    async fn command(&mut self, command: Command) -> anyhow::Result<()> {
        match command {
            Command::Open { call, opening, reply } => {
                let answer = self.opening(call, *opening).await?;
                // A source that has given up meanwhile is like one that leaves at once.
                if reply.send(answer).is_err() {
                    self.closed(call).await?;
                }
            }
            Command::Message { call, message, pcm } => {
                if self.open.as_ref().is_some_and(|open| open.is_of(call)) {
                    self.message(message, pcm).await?;
                }
            }
            Command::Closed { call } => self.closed(call).await?,
        }
        Ok(())
    }

    async fn closed(&mut self, call: CallId) -> anyhow::Result<()> {
        if self.open.as_ref().is_some_and(|open| open.is_of(call)) {
            self.settle().await?;
            if let Some(open) = &mut self.open {
                open.hang_up(None, self.shared.resume_window);
            }
        }
        Ok(())
    }

    /// A source opens the stream: everything before is made durable, older calls end, the epoch rises.
    async fn opening(&mut self, call: CallId, opening: Opening) -> anyhow::Result<Result<Opened, OpenError>> {
        self.settle().await?;
        if let Some(open) = &mut self.open {
            let (got, current) = (open.ingest.epoch(), open.ingest.epoch().next());
            open.hang_up(Some(Verdict::Refused(Refusal::OldEpoch { got, current })), self.shared.resume_window);
        }
        let same_spec = self.open.as_ref().map(|open| open.recording.spec == opening.spec);
        let ready = match same_spec {
            Some(true) => self.reopen(&opening).await?,
            Some(false) => self.begin_next(&opening, self.next_epoch(), SealReason::SpecChanged).await?,
            None => self.begin(&opening).await?,
        };
        let Some(open) = &mut self.open else {
            return Ok(Err(OpenError::Unavailable("the stream has no open recording".into())));
        };
        if let Err(error) = ready {
            return Ok(Err(error));
        }
        let (epoch, next) = (open.ingest.epoch(), open.ingest.next());
        open.deadline = None;
        let (progress, watched) = watch::channel(Progress { durable: next, verdict: None });
        open.call = Some(Call { id: call, progress });
        let recording = open.recording.id;
        let wrote = open.tape.as_ref().and_then(|tape| tape.timeline().written_by(opening.instance, next));
        let resume = opening.resume.and_then(|id| tape::translate(&self.shared.catalogue, id, recording, wrote));
        tracing::info!(stream = %self.name, %recording, %epoch, %next, source = %opening.source, "source connected");
        Ok(Ok(Opened { recording, epoch, next, resume, progress: watched }))
    }

    /// The same recording goes on under the next epoch.
    async fn reopen(&mut self, opening: &Opening) -> anyhow::Result<Result<(), OpenError>> {
        let Some((open, writer)) = self.open.as_mut().and_then(OpenTape::at_home) else { return Ok(lost_tape()) };
        let (epoch, source) = (open.ingest.epoch().next(), opening.clone());
        let (writer, outcome) =
            tape::blocking(writer, move |tape| tape.update(epoch, source.instance, source.source, source.title))
                .await?;
        open.recording = writer.recording().clone();
        open.tape = Some(writer);
        if let Err(error) = outcome {
            return Ok(Err(error.into()));
        }
        open.ingest.opened(epoch, (opening.instance, opening.source.clone()));
        self.shared.catalogue.insert(open.recording.clone());
        Ok(Ok(()))
    }

    /// The stream's first recording, or the first after one that was sealed.
    async fn begin(&mut self, opening: &Opening) -> anyhow::Result<Result<(), OpenError>> {
        match tape::create(&self.shared, opening.clone(), self.next_epoch()).await? {
            Ok(tape) => self.open = Some(OpenTape::new(tape, &self.shared)),
            Err(error) => return Ok(Err(error.into())),
        }
        Ok(Ok(()))
    }

    fn next_epoch(&self) -> Epoch {
        let stored = || self.shared.catalogue.latest(&self.name).map(|last| last.epoch);
        self.open.as_ref().map(|open| open.ingest.epoch()).or_else(stored).unwrap_or_default().next()
    }

    /// A next recording takes over from the open one, which is sealed.
    async fn begin_next(
        &mut self,
        opening: &Opening,
        epoch: Epoch,
        why: SealReason,
    ) -> anyhow::Result<Result<(), OpenError>> {
        // The next one exists before it is named in the seal.
        let next = match tape::create(&self.shared, opening.clone(), epoch).await? {
            Ok(next) => next,
            Err(error) => return Ok(Err(error.into())),
        };
        let id = next.recording().id;
        if let Err(error) = self.seal(why, Some(id)).await? {
            return Ok(Err(error));
        }
        self.open = Some(OpenTape::new(next, &self.shared));
        Ok(Ok(()))
    }

    async fn message(&mut self, message: Message, pcm: Bytes) -> anyhow::Result<()> {
        loop {
            let Some(open) = &mut self.open else { return Ok(()) };
            match open.ingest.decide(message, tape::now()) {
                Ok(Decision::Nothing) => return Ok(()),
                Ok(Decision::Seal) => return self.end().await,
                Ok(Decision::Write { entries, skip, take, time, then }) => {
                    open.write(entries, skip, take, time, &pcm);
                    match then {
                        None => return Ok(()),
                        Some(why) if self.roll(why).await? => {}
                        Some(_) => return Ok(()),
                    }
                }
                Err(refusal) => {
                    tracing::warn!(stream = %self.name, %refusal, "message refused");
                    open.hang_up(Some(Verdict::Refused(refusal)), self.shared.resume_window);
                    return Ok(());
                }
            }
        }
    }

    /// The source has ended by itself.
    async fn end(&mut self) -> anyhow::Result<()> {
        self.settle().await?;
        let Some(call) = self.open.as_mut().and_then(|open| open.call.take()) else { return Ok(()) };
        let verdict = match self.seal(SealReason::SourceEnded, None).await? {
            Ok(()) => Verdict::Ended,
            Err(error) => error.into(),
        };
        call.progress.send_modify(|p| p.verdict = Some(verdict));
        Ok(())
    }

    /// Goes on in a next recording, within the same call. `false` if that failed and the call was ended.
    async fn roll(&mut self, why: SealReason) -> anyhow::Result<bool> {
        self.settle().await?;
        let Some(open) = &mut self.open else { return Ok(false) };
        let Some(call) = open.call.take() else { return Ok(false) };
        let r = &open.recording;
        let opening = Opening {
            stream: r.stream.clone(),
            source: r.source.clone(),
            instance: r.instance,
            spec: r.spec,
            resume: None,
            title: r.title.clone(),
        };
        let mut ingest = open.ingest.clone();
        if let Err(error) = self.begin_next(&opening, ingest.epoch(), why).await? {
            call.progress.send_modify(|p| p.verdict = Some(error.into()));
            if let Some(open) = &mut self.open {
                open.deadline = Some(Instant::now() + self.shared.resume_window);
            }
            return Ok(false);
        }
        ingest.rolled();
        if let Some(open) = &mut self.open {
            tracing::info!(stream = %self.name, recording = %open.recording.id, reason = why.as_str(), "rolled");
            open.ingest = ingest;
            open.call = Some(call);
            open.deadline = None;
        }
        Ok(true)
    }

    /// Seals the open recording. If that fails it stays open and is tried again.
    async fn seal(&mut self, why: SealReason, next: Option<RecordingId>) -> anyhow::Result<Result<(), OpenError>> {
        self.settle().await?;
        let Some((open, writer)) = self.open.as_mut().and_then(OpenTape::at_home) else { return Ok(Ok(())) };
        let (writer, outcome) = tape::blocking(writer, move |tape| tape.seal(why, next, tape::now())).await?;
        match outcome {
            Ok(sealed) => {
                tape::announce(&self.shared, sealed);
                self.open = None;
                Ok(Ok(()))
            }
            Err(error) => {
                tracing::error!(stream = %self.name, %error, "could not seal; trying again");
                open.tape = Some(writer);
                open.deadline = Some(Instant::now() + SEAL_RETRY);
                Ok(Err(error.into()))
            }
        }
    }

    /// Waits until nothing is pending: everything is durable, or was refused by the disk.
    async fn settle(&mut self) -> anyhow::Result<()> {
        while let Some(open) = &mut self.open {
            open.kick(&self.shared.committer);
            if open.committing.is_none() {
                break;
            }
            let outcome = committed(&mut self.open).await?;
            self.committed(outcome);
        }
        Ok(())
    }

    /// A commit came back.
    fn committed(&mut self, (tape, outcome): Committed) {
        let Some(open) = &mut self.open else { return };
        let end = tape.durable();
        match outcome {
            Ok(durable) => {
                self.shared.tails.publish(open.recording.id, Tail::open(durable, self.shared.dir.generation()));
                open.acknowledge(durable);
            }
            Err(error) => {
                tracing::error!(stream = %self.name, %error, durable = %end, "not written; the source has to send again");
                open.pending.clear();
                open.ingest.rewound(Position::of(tape.timeline(), end));
                open.hang_up(Some(Verdict::from(&error)), self.shared.resume_window);
            }
        }
        open.tape = Some(tape);
    }
}

fn lost_tape() -> Result<(), OpenError> {
    Err(OpenError::Unavailable("the recording is not at hand".into()))
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

/// Waits for the commit under way; for ever if there is none.
async fn committed(open: &mut Option<OpenTape>) -> anyhow::Result<Committed> {
    let Some(open) = open.as_mut().filter(|open| open.committing.is_some()) else {
        return std::future::pending().await;
    };
    match &mut open.committing {
        Some(outcome) => {
            let outcome = outcome.await;
            open.committing = None;
            outcome.map_err(|_| anyhow::anyhow!("the committer has died"))
        }
        None => std::future::pending().await,
    }
}

impl OpenTape {
    fn new(tape: TapeWriter, shared: &Shared) -> Self {
        let recording = tape.recording().clone();
        let position = Position::of(tape.timeline(), tape.durable());
        let source = (recording.instance, recording.source.clone());
        let ingest = Ingest::new(recording.spec, shared.roll_after, recording.epoch, source, position);
        Self {
            recording,
            ingest,
            tape: Some(tape),
            committing: None,
            pending: Arc::default(),
            call: None,
            deadline: Some(Instant::now() + shared.resume_window),
        }
    }

    fn is_of(&self, call: CallId) -> bool {
        self.call.as_ref().is_some_and(|current| current.id == call)
    }

    /// Takes the tape for work that nothing may come between. Has to be settled.
    fn at_home(&mut self) -> Option<(&mut Self, TapeWriter)> {
        let tape = self.tape.take()?;
        Some((self, tape))
    }

    fn write(&mut self, entries: Vec<Entry>, skip: FrameCount, take: FrameCount, time: WallTime, pcm: &Bytes) {
        for entry in entries {
            self.pending.note(entry);
        }
        let spec = self.recording.spec;
        let (from, to) = (spec.bytes(skip) as usize, spec.bytes(skip + take) as usize);
        self.pending.audio(time, pcm.slice(from.min(pcm.len())..to.min(pcm.len())));
    }

    /// Sends the tape to the committer if there is something to write and it is at home.
    fn kick(&mut self, committer: &Committer) {
        if !self.pending.is_empty()
            && let Some(tape) = self.tape.take()
        {
            self.committing = Some(committer.commit(tape, Arc::clone(&self.pending)));
        }
    }

    fn acknowledge(&self, durable: Durable) {
        let Some(call) = &self.call else { return };
        let durable = self.ingest.in_call(durable.end());
        call.progress.send_if_modified(|p| std::mem::replace(&mut p.durable, durable) != durable);
    }

    /// Ends the call, if there is one; from now on the resume window runs.
    fn hang_up(&mut self, verdict: Option<Verdict>, resume_window: Duration) {
        if let Some(call) = self.call.take() {
            call.progress.send_modify(|p| p.verdict = verdict);
            self.deadline = Some(Instant::now() + resume_window);
        }
    }
}

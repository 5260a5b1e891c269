//! The one task that owns a stream's open recording.
//!
//! It decides ([`crate::ingest`]), hands what is to be written to the committer, and tells what became durable: to the
//! source, to the length store, to the catalogue. Commands come through a bounded queue; while the disk is behind,
//! they wait there, and the source waits behind them. Not here: gRPC, bytes on disk, time of day of frames.

mod opening;
mod operate;
mod sealing;
mod standby;

pub(crate) use operate::{is_news, marks};

use crate::archive::Archive;
use crate::board::Board;
use crate::call::{Call, CallId, Command, Verdict};
use crate::committer::{Committed, Committer};
use crate::desks::Desks;
use crate::ingest::{Decision, Message, Position};
use crate::limits::Limits;
use crate::metrics::{Instruments, OnAir};
use crate::open_tape::OpenTape;
use crate::tape::{self, OpenError};
use crate::unsaid::Unsaid;
use crate::waveforms::Waveforms;
use bytes::Bytes;
use livetape_access::Access;
use livetape_audio::{Drift, Epoch, StreamName, StreamRules, Tail};
use livetape_store::{DataDir, StoreError, TapeWriter};
use standby::Standby;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// Audio that may wait for a commit in one recording, in bytes.
const MAX_PENDING: usize = 4 << 20;
/// How soon a seal that failed is tried again.
pub(crate) const SEAL_RETRY: Duration = Duration::from_secs(5);
/// How long the task of a stream without a recording waits for the next source.
const IDLE: Duration = Duration::from_secs(60);

/// What all streams of a recorder share.
pub(crate) struct Shared {
    /// Who may what.
    pub(crate) access: Arc<Access>,
    pub(crate) dir: DataDir,
    pub(crate) archive: Arc<Archive>,
    pub(crate) tails: Board,
    pub(crate) committer: Committer,
    pub(crate) resume_window: Duration,
    pub(crate) roll_after: Duration,
    pub(crate) rules: StreamRules,
    pub(crate) limits: Limits,
    pub(crate) instruments: Arc<Instruments>,
    pub(crate) waveforms: Waveforms,
    pub(crate) unsaid: Unsaid,
    /// What sources play.
    pub(crate) desks: Arc<Desks>,
}

impl Shared {
    pub(crate) fn open_tape(&self, tape: TapeWriter) -> OpenTape {
        OpenTape::new(tape, self.roll_after, self.resume_window, &self.instruments)
    }
}

/// The task of one stream.
pub(crate) struct Stream {
    name: StreamName,
    shared: Arc<Shared>,
    commands: mpsc::Receiver<Command>,
    open: Option<OpenTape>,
    /// The source that waits until somebody begins a recording; only while nothing is open.
    standby: Option<Standby>,
    /// The highest epoch that was given since this task began: a recording that was deleted gives its epoch to no other, or
    /// a source that has waited since would take the next one for the last.
    highest: Epoch,
    /// What was last shown of it.
    shown: Option<OnAir>,
    /// How the clock of a source runs, by its call.
    drift: Option<(CallId, Drift)>,
}

impl Stream {
    /// A stream, with the recording that recovery found open.
    pub(crate) fn new(
        name: StreamName,
        shared: Arc<Shared>,
        commands: mpsc::Receiver<Command>,
        open: Option<OpenTape>,
    ) -> Self {
        Self { name, shared, commands, open, standby: None, highest: Epoch::default(), shown: None, drift: None }
    }

    /// Serves the stream until nobody can send commands any more, or nobody has for a while and nothing is open; then
    /// commits what is pending.
    pub(crate) async fn run(mut self) -> anyhow::Result<()> {
        loop {
            self.show();
            let busy = self.open.as_ref().is_some_and(|open| open.pending.bytes() >= MAX_PENDING);
            let deadline = match &self.open {
                Some(open) => open.deadline,
                None if self.standby.is_some() => None,
                None => Some(Instant::now() + IDLE),
            };
            let call = self.call().map(|call| call.id);
            tokio::select! {
                // What has arrived is taken in before its source is found to be gone.
                biased;
                event = event(&mut self.open, &self.standby) => match event? {
                    Some(outcome) => self.committed(outcome),
                    None if busy || !self.commands.is_empty() => self.next_command().await?,
                    None => if let Some(call) = call { self.closed(call).await? },
                },
                command = self.commands.recv(), if !busy => match command {
                    Some(command) => self.command(command).await?,
                    None => break,
                },
                () = at(deadline) => if self.open.is_none() { break } else { self.time_is_up().await? },
            }
            self.kick();
        }
        self.refuse_the_rest();
        self.settle().await?;
        self.dismiss(None);
        self.shared.archive.forget_unused(&self.name);
        self.shared.instruments.forget(&self.name);
        Ok(())
    }

    /// The call of the source that is connected.
    fn call(&self) -> Option<&Call> {
        let waiting = self.standby.as_ref().map(|standby| &standby.call);
        self.open.as_ref().and_then(|open| open.call.as_ref()).or(waiting)
    }

    fn kick(&mut self) {
        if let Some(open) = &mut self.open {
            open.kick(&self.shared.committer);
        }
    }

    /// Tells those who watch, if something is different.
    fn show(&mut self) {
        let now = self.open.as_ref().map(OpenTape::on_air);
        if now != self.shown {
            self.shared.instruments.on_air(&self.name, now);
            let was = self.shown;
            self.shown = now;
            // Whose clock runs how is said for as long as it is there.
            let comes_or_goes = was.is_some_and(|was| was.connected) != now.is_some_and(|now| now.connected);
            let falls_silent_or_not = was.is_some_and(OnAir::is_dead_air) != now.is_some_and(OnAir::is_dead_air);
            if falls_silent_or_not || (comes_or_goes && self.drift.is_some()) {
                self.inform();
            }
        }
    }

    /// Takes in what a source that has gone has left in the queue.
    async fn next_command(&mut self) -> anyhow::Result<()> {
        self.settle().await?;
        match self.commands.try_recv() {
            Ok(command) => self.command(command).await,
            Err(_) => Ok(()),
        }
    }

    /// A source that asks in the moment in which the task ends asks again, and gets a new task.
    fn refuse_the_rest(&mut self) {
        self.commands.close();
        while let Ok(command) = self.commands.try_recv() {
            if let Command::Open { reply, .. } = command {
                drop(reply.send(Err(OpenError::Unavailable("the stream is just closing; open again".into()))));
            }
        }
    }

    async fn command(&mut self, command: Command) -> anyhow::Result<()> {
        match command {
            // Who has given up waiting takes the stream from nobody.
            Command::Open { reply, .. } if reply.is_closed() => {}
            // Who was told that it took too long must not find it done later.
            Command::Operate { reply, gone, .. } if reply.is_closed() || gone.is_cancelled() => {}
            Command::Open { call, opening, reply } => {
                let answer = self.opening(call, *opening).await?;
                // Who has given up meanwhile has dropped the other side of the call, which is noticed.
                drop(reply.send(answer));
            }
            Command::Message { call, message, pcm } => {
                if self.open.as_ref().is_some_and(|open| open.is_of(call)) {
                    self.message(message, pcm).await?;
                } else if self.is_waiting(call) {
                    self.late(message);
                }
            }
            Command::Drift { call, drift } => {
                self.drift = drift.map(|drift| (call, drift));
                self.inform();
            }
            Command::Closed { call } => self.closed(call).await?,
            Command::Operate { of, wish, reply, .. } => drop(reply.send(self.operate(of, wish).await?)),
        }
        Ok(())
    }

    async fn closed(&mut self, call: CallId) -> anyhow::Result<()> {
        if self.open.as_ref().is_some_and(|open| open.is_of(call)) {
            self.settle().await?;
            self.hang_up(None);
        } else if self.is_waiting(call) {
            self.dismiss(None);
        }
        Ok(())
    }

    fn is_waiting(&self, call: CallId) -> bool {
        self.standby.as_ref().is_some_and(|standby| standby.call.id == call)
    }

    fn hang_up(&mut self, verdict: Option<Verdict>) {
        if let Some(open) = &mut self.open {
            open.hang_up(verdict, self.shared.resume_window);
        }
    }

    async fn message(&mut self, message: Message, pcm: Bytes) -> anyhow::Result<()> {
        loop {
            let Some(open) = &mut self.open else { return Ok(()) };
            if open.is_late(&message) {
                return Ok(());
            }
            match open.ingest.decide(message.clone(), tape::now()) {
                Ok(Decision::Nothing) => return Ok(()),
                Ok(Decision::Seal) => return self.end().await,
                Ok(Decision::Write { entries, skip, take, time, then }) => {
                    self.shared.instruments.noted(&self.name, &entries);
                    open.write(entries, skip, take, time, &pcm);
                    match then {
                        None => return Ok(()),
                        Some(why) if self.roll(why).await? => {}
                        Some(_) => return Ok(()),
                    }
                }
                Err(refusal) => {
                    tracing::warn!(stream = %self.name, %refusal, "message refused");
                    self.hang_up(Some(Verdict::Refused(refusal)));
                    return Ok(());
                }
            }
        }
    }

    /// Waits until nothing is pending: everything is durable, or was refused by the disk.
    async fn settle(&mut self) -> anyhow::Result<()> {
        while let Some(open) = &mut self.open {
            open.kick(&self.shared.committer);
            if !open.is_committing() {
                break;
            }
            let outcome = open.committed().await?;
            self.committed(outcome);
        }
        Ok(())
    }

    /// A commit came back.
    fn committed(&mut self, (tape, outcome): Committed) {
        let Some(open) = &mut self.open else { return };
        match outcome {
            Ok(durable) => {
                self.shared.tails.publish(open.recording.id, Tail::open(durable, self.shared.dir.generation()));
                open.acknowledge(durable);
            }
            Err(error) => self.rewound(&tape, &error),
        }
        if let Some(open) = &mut self.open {
            open.tape = Some(tape);
        }
    }

    /// The disk has refused what was to be committed: the source has it still, and sends it again.
    fn rewound(&mut self, tape: &TapeWriter, error: &StoreError) {
        let durable = tape.durable();
        tracing::error!(stream = %self.name, %error, %durable, "not written; the source has to send again");
        if let Some(open) = &mut self.open {
            open.pending.clear();
            open.ingest.rewound(Position::of(tape.timeline(), durable));
        }
        self.hang_up(Some(Verdict::from(error)));
    }
}

/// The next thing that happens to the open recording by itself: a commit comes back, or (`None`) its source has hung up.
async fn event(open: &mut Option<OpenTape>, standby: &Option<Standby>) -> anyhow::Result<Option<Committed>> {
    if let Some(open) = open.as_mut().filter(|open| open.is_committing()) {
        // Whether the source is still there is asked again afterwards.
        return open.committed().await.map(Some);
    }
    let writing = open.as_ref().and_then(|open| open.call.as_ref());
    match writing.or(standby.as_ref().map(|standby| &standby.call)) {
        Some(call) => {
            call.gone().await;
            Ok(None)
        }
        None => std::future::pending().await,
    }
}

async fn at(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline).await,
        None => std::future::pending().await,
    }
}

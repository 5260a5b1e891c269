//! A source opens its stream: it goes on with the recording that is open, begins one, or waits until somebody does.

use super::Stream;
use crate::call::{Call, CallId, Granted, Progress, Verdict};
use crate::ingest::Refusal;
use crate::open_tape::{Next, OpenTape};
use crate::tape::{self, OpenError};
use livetape_audio::{Entry, Epoch, Instance, SealReason};
use livetape_proto::Opening;
use std::sync::Arc;
use tokio::sync::watch;

impl Stream {
    /// A source opens the stream: everything before is made durable, the epoch rises, an older call ends.
    pub(super) async fn opening(
        &mut self,
        call: CallId,
        opening: Opening,
    ) -> anyhow::Result<Result<watch::Receiver<Progress>, OpenError>> {
        self.settle().await?;
        if let Some(end) = tape::ended(&self.shared.archive.all, &opening) {
            return Ok(Ok(Call::over(end)));
        }
        let former = self.take_call();
        let ready = self.make_ready(&opening).await?;
        if let Some((former, instance)) = former {
            former.end(Some(match &ready {
                Err(error) => error.clone().into(),
                // It may be this very call that is late, and the other the one that the source uses.
                Ok(()) if instance == opening.instance => Verdict::Failed("the same source has opened again".into()),
                Ok(()) => self.superseded(),
            }));
        }
        if let Err(error) = ready {
            self.inform();
            return Ok(Err(error));
        }
        let Some(open) = &mut self.open else { return Ok(Ok(self.wait(call, opening))) };
        let (recording, epoch, next) = (open.recording.id, open.ingest.epoch(), open.ingest.next());
        let wrote = open.tape.as_ref().and_then(|tape| tape.timeline().written_by(opening.instance, next));
        let resume = tape::resume(&self.shared.archive.all, &opening, recording, wrote);
        let granted = Granted { recording, epoch, next, resume };
        let (writing, progress) = Call::new(call, Some(granted), Arc::clone(&self.shared.instruments));
        (open.call, open.deadline) = (Some(writing), None);
        tracing::info!(stream = %self.name, %recording, %epoch, %next, source = %opening.source, "source connected");
        self.inform();
        Ok(Ok(progress))
    }

    /// Takes the call of the source that is connected, and who it is of.
    fn take_call(&mut self) -> Option<(Call, Instance)> {
        let waiting = self.standby.take().map(|standby| (standby.call, standby.opening.instance));
        waiting.or_else(|| self.open.as_mut().and_then(|open| open.take_call(self.shared.resume_window)))
    }

    fn superseded(&self) -> Verdict {
        let Some(current) = self.open.as_ref().map(|open| open.ingest.epoch()) else { return Verdict::Replaced };
        Verdict::Refused(Refusal::OldEpoch { got: Epoch(current.0.saturating_sub(1)), current })
    }

    /// Sees to it that a recording is open for this source.
    async fn make_ready(&mut self, opening: &Opening) -> anyhow::Result<Result<(), OpenError>> {
        if self.open.as_ref().is_some_and(|open| open.sealing.is_some())
            && let Err(error) = self.seal().await?
        {
            return Ok(Err(error));
        }
        match self.open.as_ref().map(|open| open.recording.spec == opening.spec) {
            Some(true) => self.reopen(opening).await,
            Some(false) => {
                if let Err(error) = self.has_room() {
                    return Ok(Err(error));
                }
                let epoch = self.next_epoch();
                let next = Next::Wanted(Box::new(opening.clone()), epoch);
                self.end_recording(SealReason::SpecChanged, Some(next)).await
            }
            None if self.waits(opening) => Ok(Ok(())),
            None => self.begin(opening).await,
        }
    }

    /// The same recording goes on under the next epoch.
    async fn reopen(&mut self, opening: &Opening) -> anyhow::Result<Result<(), OpenError>> {
        let Some((open, writer)) = self.open.as_mut().and_then(OpenTape::at_home) else {
            return Ok(Err(OpenError::nothing_open()));
        };
        let (epoch, source) = (open.ingest.epoch().next(), opening.clone());
        let (writer, outcome) = tape::blocking(writer, move |tape| {
            tape.update(epoch, source.instance, source.source, source.title, source.genre)
        })
        .await?;
        open.recording = writer.recording().clone();
        open.tape = Some(writer);
        if let Err(error) = outcome {
            open.ingest.skip_to(epoch);
            return Ok(Err(error.into()));
        }
        open.title = opening.title.clone();
        open.ingest.opened(epoch, (opening.instance, opening.source.clone()));
        self.shared.archive.insert(open.recording.clone());
        Ok(Ok(()))
    }

    /// Whether a source may have a new recording. What is open rolls in any case.
    fn has_room(&self) -> Result<(), OpenError> {
        let most = self.shared.limits.recordings;
        if self.shared.archive.all.len() < most {
            return Ok(());
        }
        let text = format!(
            "this recorder keeps {most} recordings, which is the most (LIVETAPE_LIMIT_RECORDINGS): delete some"
        );
        Err(OpenError::TooManyRecordings(text))
    }

    /// The stream's first recording, or the first after one that was sealed.
    pub(super) async fn begin(&mut self, opening: &Opening) -> anyhow::Result<Result<(), OpenError>> {
        if let Err(error) = self.has_room() {
            return Ok(Err(error));
        }
        let epoch = self.next_epoch();
        match tape::create(&self.shared, opening.clone(), epoch).await? {
            Ok(tape) => {
                tape::introduce(&self.shared, tape.recording());
                let open = self.shared.open_tape(tape);
                if let Some(event) = self.shared.unsaid.take(&self.name) {
                    open.pending.note(Entry::Event(event));
                }
                self.open = Some(open);
                Ok(Ok(()))
            }
            Err(error) => Ok(Err(error.into())),
        }
    }

    pub(super) fn next_epoch(&mut self) -> Epoch {
        let stored = || self.shared.archive.latest(&self.name).map(|last| last.epoch);
        let before = self.open.as_ref().map(|open| open.ingest.epoch()).or_else(stored).unwrap_or_default();
        self.highest = self.highest.max(before).next();
        self.highest
    }
}

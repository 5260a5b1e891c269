//! How the open recording ends, and what goes on after it: decided once, and tried until it is done.

use super::{SEAL_RETRY, Stream};
use crate::call::Verdict;
use crate::open_tape::{Next, Sealing};
use crate::tape::{self, OpenError};
use livetape_audio::{Frame, SealReason};
use tokio::time::Instant;

impl Stream {
    /// The source has ended by itself.
    pub(super) async fn end(&mut self) -> anyhow::Result<()> {
        self.settle().await?;
        // If the disk has just refused what came before, the call has its verdict already.
        let Some(call) = self.open.as_mut().and_then(|open| open.call.take()) else { return Ok(()) };
        let verdict = match self.end_recording(SealReason::SourceEnded, None).await? {
            Ok(()) => Verdict::Ended,
            Err(error) => error.into(),
        };
        call.end(Some(verdict));
        Ok(())
    }

    /// Goes on in a next recording, within the same call. `false` if that failed and the call was ended.
    pub(super) async fn roll(&mut self, why: SealReason) -> anyhow::Result<bool> {
        self.settle().await?;
        let Some(open) = &mut self.open else { return Ok(false) };
        let Some(call) = open.call.take() else { return Ok(false) };
        let (mut ingest, silence) = (open.ingest.clone(), open.silence);
        let next = Next::Wanted(Box::new(open.opening()), ingest.epoch());
        if let Err(error) = self.end_recording(why, Some(next)).await? {
            call.end(Some(error.into()));
            return Ok(false);
        }
        ingest.rolled();
        if let Some(open) = &mut self.open {
            call.rolled(open.recording.id, ingest.in_call(Frame::ZERO));
            (open.ingest, open.call, open.deadline, open.silence) = (ingest, Some(call), None, silence);
        }
        Ok(true)
    }

    /// Nobody came back in time, or a seal is to be tried again.
    pub(super) async fn time_is_up(&mut self) -> anyhow::Result<()> {
        let retries = self.open.as_ref().is_some_and(|open| open.sealing.is_some());
        let outcome =
            if retries { self.seal().await? } else { self.end_recording(SealReason::SourceLost, None).await? };
        // Said already, and tried again.
        drop(outcome);
        Ok(())
    }

    /// Decides that the open recording ends here, and seals it.
    pub(super) async fn end_recording(
        &mut self,
        why: SealReason,
        next: Option<Next>,
    ) -> anyhow::Result<Result<(), OpenError>> {
        if let Some(open) = &mut self.open {
            open.sealing = Some(Sealing { why, next });
        }
        self.seal().await
    }

    /// Does what was decided about the end of the open recording. If that fails, it is tried again, with nothing undone.
    pub(super) async fn seal(&mut self) -> anyhow::Result<Result<(), OpenError>> {
        self.settle().await?;
        let sealed = self.try_to_seal().await?;
        if let (Err(error), Some(open)) = (&sealed, &mut self.open) {
            tracing::error!(stream = %self.name, recording = %open.recording.id, %error, "could not seal; trying again");
            open.deadline = Some(Instant::now() + SEAL_RETRY);
        }
        Ok(sealed)
    }

    async fn try_to_seal(&mut self) -> anyhow::Result<Result<(), OpenError>> {
        let Some(open) = &mut self.open else { return Ok(Ok(())) };
        let Some(sealing) = &mut open.sealing else { return Ok(Ok(())) };
        // The next one exists before it is named in the seal.
        if let Some(Next::Wanted(opening, epoch)) = &sealing.next {
            match tape::create(&self.shared, (**opening).clone(), *epoch).await? {
                Ok(tape) => sealing.next = Some(Next::Made(Box::new(tape))),
                Err(error) => return Ok(Err(error.into())),
            }
        }
        let why = sealing.why;
        let next = sealing.next.as_ref().and_then(Next::id);
        let Some((open, writer)) = open.at_home() else { return Ok(Err(OpenError::nothing_open())) };
        let (writer, outcome) = tape::blocking(writer, move |tape| tape::seal(tape, why, next)).await?;
        let sealed = match outcome {
            Ok(sealed) => sealed,
            Err(error) => {
                open.tape = Some(writer);
                return Ok(Err(error.into()));
            }
        };
        let (before, holder) = (open.ingest.position(), open.ingest.holder());
        let next = open.sealing.take().and_then(|sealing| sealing.next);
        self.open = match next {
            Some(Next::Made(tape)) => {
                tape::introduce(&self.shared, tape.recording());
                let mut next = self.shared.open_tape(*tape);
                next.ingest.goes_on_after(before, holder);
                Some(next)
            }
            _ => None,
        };
        tape::announce(&self.shared, sealed);
        Ok(Ok(()))
    }
}

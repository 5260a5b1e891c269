//! A stream that records on demand, while nothing is recorded: its source waits, and keeps nothing.

use super::Stream;
use crate::call::{Call, CallId, Granted, Progress, Verdict};
use crate::demand;
use crate::ingest::{Message, Refusal};
use crate::tape::{self, OpenError};
use crate::wish::{Done, Refused};
use livetape_audio::{Epoch, RecordingMode, SealReason};
use livetape_proto::Opening;
use livetape_service::metrics::Held;
use livetape_store::StreamInfo;
use std::sync::Arc;
use tokio::sync::watch;

/// The source that waits.
pub(super) struct Standby {
    pub(super) call: Call,
    pub(super) opening: Opening,
    _counted: Held,
}

impl Stream {
    fn mode(&self) -> RecordingMode {
        self.shared.rules.mode(&self.name)
    }

    /// Whether this source has to wait, now that nothing is open.
    pub(super) fn waits(&self, opening: &Opening) -> bool {
        let archive = &self.shared.archive;
        demand::waits(self.mode(), archive.latest(&self.name).as_deref(), opening, |from, to| {
            tape::leads(&archive.all, opening, from, to)
        })
    }

    /// Whether a seal ends recording until somebody begins anew.
    pub(super) fn is_on_demand(&self) -> bool {
        self.mode() == RecordingMode::OnDemand
    }

    /// Makes known what is true of the stream besides its recordings.
    pub(super) fn inform(&self) {
        let silent = self.shown.is_some_and(super::OnAir::is_dead_air);
        // What a source has said that has gone says nothing of the next one.
        let current = self.call().map(|call| call.id);
        let drift = self.drift.filter(|(call, _)| Some(*call) == current).map(|(_, drift)| drift);
        let info = StreamInfo { mode: self.mode(), waiting: self.standby.is_some(), silent, drift };
        self.shared.archive.inform(&self.name, info);
    }

    /// A source has opened the stream, and waits.
    pub(super) fn wait(&mut self, call: CallId, opening: Opening) -> watch::Receiver<Progress> {
        let (call, progress) = Call::new(call, None, Arc::clone(&self.shared.instruments));
        tracing::info!(stream = %self.name, source = %opening.source, "source connected; nothing is recorded until somebody begins");
        self.stand_by(call, opening);
        progress
    }

    fn stand_by(&mut self, call: Call, opening: Opening) {
        let counted = Held::new(&self.shared.instruments.waiting_sources);
        self.standby = Some(Standby { call, opening, _counted: counted });
        self.inform();
    }

    /// Lets go of the source that waits.
    pub(super) fn dismiss(&mut self, verdict: Option<Verdict>) {
        if let Some(standby) = self.standby.take() {
            standby.call.end(verdict);
            self.inform();
        }
    }

    /// Somebody begins a recording of the source that waits.
    pub(super) async fn begin_waiting(&mut self) -> anyhow::Result<Result<Done, Refused>> {
        let Some(Standby { call, opening, .. }) = self.standby.take_if(|standby| !standby.call.is_gone()) else {
            return Ok(Err(Refused::NotOpen));
        };
        if let Err(error) = self.begin(&opening).await? {
            self.stand_by(call, opening);
            return Ok(Err(error.into()));
        }
        let Some(open) = &mut self.open else { return Ok(Err(OpenError::nothing_open().into())) };
        let (recording, epoch, next) = (open.recording.id, open.ingest.epoch(), open.ingest.next());
        tracing::info!(stream = %self.name, %recording, %epoch, "begun by hand");
        (open.call, open.deadline) = (Some(call.granted(Granted { recording, epoch, next, resume: None })), None);
        let begun = Arc::new(open.recording.clone());
        self.inform();
        Ok(Ok(Done::Begun(begun)))
    }

    /// Somebody seals the open recording, and its source waits from now on. Has to be settled.
    pub(super) async fn end_by_hand(&mut self) -> anyhow::Result<Result<Done, Refused>> {
        let Some(open) = &mut self.open else { return Ok(Err(Refused::NotOpen)) };
        let (id, opening) = (open.recording.id, open.opening());
        let call = open.call.take();
        tracing::info!(stream = %self.name, recording = %id, "ended by hand");
        let sealed = self.end_recording(SealReason::Operator, None).await?;
        match (call, sealed) {
            (Some(call), Ok(())) => self.stand_by(call.standing_by(), opening),
            (Some(call), Err(error)) => {
                call.end(Some(error.into()));
                return Ok(Err(Refused::Unavailable("the recording could not be sealed".into())));
            }
            (None, Ok(())) => {}
            (None, Err(error)) => return Ok(Err(error.into())),
        }
        Ok(self.shared.archive.get(id).map(|sealed| Done::Sealed(sealed, None)).ok_or(Refused::Gone(id)))
    }

    /// A message of the source that waits: what was under way when its recording was sealed. Anything else is an error.
    pub(super) fn late(&mut self, message: Message) {
        let Some(Standby { call, .. }) = &self.standby else { return };
        let (got, current) = (message.epoch(), call.epoch().unwrap_or(Epoch::default()));
        if !call.had(got) {
            self.dismiss(Some(Verdict::Refused(Refusal::UnknownEpoch { got, current })));
        } else if matches!(message, Message::End { .. }) {
            self.dismiss(Some(Verdict::Ended));
        }
    }
}

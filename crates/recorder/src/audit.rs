//! Who published, sealed, described, locked, marked, exported and deleted what: in the log under one target, and on the timeline of
//! the recording; of a deleted one, on that of its stream's newest one, or of the next. Never what somebody showed to prove it.
//!
//! Who was refused stands in the log alone, so often in a minute.
//!
//! What was done is done: that it could not be written on the timeline is only said in the log, where it stands first.

use crate::call::Progress;
use crate::gate;
use crate::incoming::Client;
use crate::keeper::{Keeper, Removed};
use crate::wish::Refused;
use livetape_access::{Actor, Endpoint, Identity, Needs, Right, Way};
use livetape_audio::{EventKind, RecordingId, StreamName};
use livetape_service::Seldom;
use livetape_store::Recording;
use std::net::IpAddr;
use std::time::Duration;
use tokio::sync::watch;
use tonic::metadata::MetadataMap;
use tonic::{Code, Extensions, Status};

/// Most lines in a minute about calls that were refused.
const REFUSED_LINES: u32 = 60;
const MINUTE: Duration = Duration::from_secs(60);

/// Who makes a call, or for whom a gateway makes it.
pub(crate) fn actor(metadata: &MetadataMap, extensions: &Extensions) -> Result<Actor, Status> {
    let caller = gate::caller(extensions)?;
    let address = extensions.get::<Client>().and_then(|client| client.peer);
    let told = metadata.get_bin(Actor::METADATA).and_then(|told| told.to_bytes().ok());
    Ok(Actor::of(&caller, address, told.as_deref()))
}

/// Writes down what was done. Clones share it.
#[derive(Clone)]
pub(crate) struct Book(Keeper);

/// One line of the log.
macro_rules! log {
    ($actor:expr, $stream:expr, $recording:expr, $what:expr $(, $more:ident = $value:expr)*) => {{
        let (actor, recording): (&Actor, Option<RecordingId>) = ($actor, $recording);
        tracing::info!(
            target: "livetape::audit",
            who = actor.name(),
            by = actor.way(),
            address = actor.address().map(tracing::field::display),
            through = actor.through().map(tracing::field::display),
            stream = %$stream,
            recording = recording.map(tracing::field::display),
            $($more = $value,)*
            "{}", $what
        );
    }};
}

impl Book {
    pub(crate) const fn new(keeper: Keeper) -> Self {
        Self(keeper)
    }

    /// Somebody did something to a recording.
    pub(crate) async fn operated(&self, actor: &Actor, what: &str, recording: &Recording) {
        log!(actor, recording.stream, Some(recording.id), what);
        self.note(recording, EventKind::Operated, format!("{what} by {actor}")).await;
    }

    /// Somebody deleted a recording.
    pub(crate) async fn deleted(&self, actor: &Actor, recording: &Recording) {
        log!(actor, recording.stream, Some(recording.id), "deleted");
        let detail = format!("recording {} of {} deleted by {actor}", recording.id, recording.started);
        self.0.tell(&recording.stream, EventKind::Operated, detail).await;
    }

    /// Somebody deleted what there was of a stream.
    pub(crate) async fn deleted_all(&self, actor: &Actor, stream: &StreamName, count: Removed) {
        log!(actor, stream, None, "deleted the stream", removed = count.removed, kept = count.kept);
        let Removed { removed, kept } = count;
        let detail = format!("the stream deleted by {actor}: {removed} recordings went, {kept} are kept");
        self.0.tell(stream, EventKind::Operated, detail).await;
    }

    /// Writes down who pushes, on each recording of the stream that a call writes to. Never ends by itself.
    pub(crate) async fn publishing(self, actor: Actor, stream: StreamName, mut progress: watch::Receiver<Progress>) {
        let mut last = None;
        loop {
            let writes = progress.borrow_and_update().granted.is_some();
            // The grant stays the same when the recording rolls; what is acknowledged then is in the newest one.
            let open = self.0.latest(&stream).filter(|recording| writes && recording.seal.is_none());
            if let Some(recording) = open
                && last.replace(recording.id) != Some(recording.id)
            {
                log!(&actor, stream, Some(recording.id), "published");
                // What a part of this process publishes stands in its settings.
                if actor.way() != Way::Insider.word() {
                    self.note(&recording, EventKind::Published, format!("published by {actor}")).await;
                }
            }
            if progress.changed().await.is_err() {
                // The call ends for other reasons, which are told.
                return std::future::pending().await;
            }
        }
    }

    async fn note(&self, recording: &Recording, kind: EventKind, detail: String) {
        match self.0.note(recording.id, kind, detail).await {
            Ok(()) | Err(Refused::Gone(_)) => {}
            Err(error) => tracing::warn!(recording = %recording.id, %error, "who did it stands in the log alone"),
        }
    }
}

/// Writes down which calls were refused because of who made them: those that need more than the right to listen.
#[derive(Debug)]
pub(crate) struct Refusals(Seldom);

impl Refusals {
    pub(crate) fn new() -> Self {
        Self(Seldom::new(REFUSED_LINES, MINUTE))
    }

    /// A call has ended, before anything was answered, with this status.
    pub(crate) fn write_down(&self, path: &str, address: IpAddr, who: Option<&Identity>, status: &Status) {
        if !matches!(status.code(), Code::Unauthenticated | Code::PermissionDenied) {
            return;
        }
        let Some(Needs::On(right) | Needs::Any(right)) = Endpoint::grpc(path).map(|row| row.needs) else { return };
        if right != Right::Listen
            && let Some(left_out) = self.0.pass()
        {
            tracing::info!(
                target: "livetape::audit",
                who = who.map(Identity::name),
                by = who.map(|who| who.way().word()),
                %address,
                %right,
                what = path,
                status = ?status.code(),
                why = status.message(),
                left_out = (left_out > 0).then_some(left_out),
                "refused"
            );
        }
    }
}

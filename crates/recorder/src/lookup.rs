//! What calls ask about recordings, and how they are refused.

use crate::gate;
use crate::status;
use crate::stream::Shared;
use livetape_access::Caller;
use livetape_audio::{NameError, RecordingId, Tail};
use livetape_store::{Recording, StoreError};
use livetape_tail::TailWatch;
use std::sync::Arc;
use tonic::{Code, Status};

/// A recording by its id as it came, if the caller may ask about it.
pub(crate) fn recording(shared: &Shared, caller: &Caller, id: &str) -> Result<Arc<Recording>, Status> {
    let id: RecordingId = id.parse().map_err(|e: NameError| status::invalid("recording_id", e.to_string()))?;
    let recording = shared.archive.get(id);
    // Of one that is not theirs to know of the same is said as of one that there is not.
    let Some(recording) = recording.filter(|recording| caller.sees(&recording.stream)) else {
        return Err(gate::nothing_shown(caller).unwrap_or_else(|| gone(id)));
    };
    gate::may(caller, &recording.stream)?;
    Ok(recording)
}

/// There is no such recording, or not any more.
pub(crate) fn gone(id: RecordingId) -> Status {
    let text = format!("there is no recording {id}: it was deleted, or never was; list what there is");
    status::refused(Code::NotFound, "NO_SUCH_RECORDING", [("recording_id", id.to_string())], text)
}

/// Follows a recording's tail, whether it is open or sealed.
pub(crate) fn follow(shared: &Shared, id: RecordingId) -> Result<TailWatch, Status> {
    // First the tails: a recording that is sealed in between is in the catalogue as sealed.
    match shared.tails.watch(id) {
        Some(watch) => Ok(watch),
        None => sealed_tail(shared, id).map(TailWatch::fixed),
    }
}

/// How far a recording goes.
pub(crate) fn tail(shared: &Shared, id: RecordingId) -> Result<Tail, Status> {
    shared.tails.get(id).map_or_else(|| sealed_tail(shared, id), Ok)
}

fn sealed_tail(shared: &Shared, id: RecordingId) -> Result<Tail, Status> {
    let recording = shared.archive.get(id).ok_or_else(|| gone(id))?;
    let tail = recording.sealed_tail(shared.dir.generation());
    tail.ok_or_else(|| {
        let text = format!("recording {id} could not be recovered; see the recorder's log");
        status::refused(Code::Unavailable, "NOT_RECOVERED", [("recording_id", id.to_string())], text)
    })
}

/// Something could not be read from the disk.
pub(crate) fn unread(id: RecordingId, error: &StoreError) -> Status {
    match error {
        error if error.is_missing() => gone(id),
        StoreError::Damaged { .. } => {
            tracing::error!(recording = %id, %error, "damaged");
            let text = format!("recording {id} is damaged on disk: run verify on it");
            status::refused(Code::DataLoss, "DAMAGED", [("recording_id", id.to_string())], text)
        }
        error => {
            tracing::error!(recording = %id, %error, "cannot be read");
            let text = format!("recording {id} cannot be read at the moment; ask again later");
            status::later(Code::Unavailable, "DISK_FAILED", text)
        }
    }
}

/// Work on the disk, where blocking is allowed.
pub(crate) async fn blocking<R: Send + 'static>(work: impl FnOnce() -> R + Send + 'static) -> Result<R, Status> {
    tokio::task::spawn_blocking(work).await.map_err(|e| {
        tracing::error!(error = %e, "work on the disk was broken off");
        status::later(Code::Internal, "BROKEN_OFF", "work on the disk was broken off; ask again")
    })
}

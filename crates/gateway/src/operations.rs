//! What operators do to recordings and streams: each address is one call of the recorder, which decides. What is
//! answered is on disk, and whoever asks this gateway next sees it.

use crate::context::Context;
use crate::gate::Asker;
use crate::library::Library;
use crate::listing;
use crate::problem::{Problem, quoted};
use crate::query::{Plain, Query};
use crate::reached::Reached;
use crate::receive::Json;
use crate::recording;
use crate::remote::{Operations, recording_of};
use crate::reply::{Reply, empty, json, set_text};
use crate::request::Path;
use axum::extract::{FromRequestParts, State};
use axum::response::{IntoResponse, Response};
use http::StatusCode;
use http::header::LOCATION;
use http::request::Parts;
use livetape_access::Actor;
use livetape_audio::time::parse_seconds;
use livetape_audio::{Frame, Moment, Notes, RecordingId, StreamName, Title, ViewAddress, WallTime};
use livetape_proto::v1::operation_service_client::OperationServiceClient;
use livetape_proto::{RecorderChannel, v1};
use livetape_store::Recording;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

/// How long the gateway's own view may lag behind what the recorder has answered.
const CATCH_UP: Duration = Duration::from_secs(2);
const LOOK: Duration = Duration::from_millis(10);

/// What a [`Title`] takes as a regular expression (ECMA-262): no control characters. And [`Notes`], which have lines and tabs.
pub(crate) const LINE: &str = r"^[^\u0000-\u001f\u007f-\u009f]*$";
const LINES: &str = r"^[^\u0000-\u0008\u000b-\u001f\u007f-\u009f]*$";

/// Nothing can be said.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Nothing {}

/// What to change: what is not said stays.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Update {
    #[schemars(length(max = Title::MAX_CHARS), regex(pattern = LINE))]
    title: Option<String>,
    #[schemars(length(max = Notes::MAX_CHARS), regex(pattern = LINES))]
    notes: Option<String>,
}

/// What is where: at the newest frame, unless one of `pos`, `frame` and `at` is said.
#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewMark {
    /// What is there; no control characters.
    #[schemars(length(max = Title::MAX_CHARS), regex(pattern = LINE))]
    text: String,
    /// Recorded seconds from the first frame.
    #[schemars(with = "Option<f64>", range(min = 0))]
    pos: Option<serde_json::Number>,
    /// The frame's number.
    frame: Option<u64>,
    /// A time of day.
    at: Option<WallTime>,
}

/// A mark that was put.
#[derive(Serialize, JsonSchema)]
pub(crate) struct PutMark {
    recording: RecordingId,
    frame: Frame,
    seconds: f64,
    text: String,
}

/// What came of deleting a stream.
#[derive(Serialize, JsonSchema)]
pub(crate) struct Deleted {
    /// Recordings that are gone.
    removed: u32,
    /// Locked ones, which stay.
    kept: u32,
}

type Here = State<Arc<Context>>;

/// Who asks for a change, and who carries it out.
pub(crate) struct Operator {
    operations: Operations,
    actor: Actor,
}

impl FromRequestParts<Arc<Context>> for Operator {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, context: &Arc<Context>) -> Result<Self, Problem> {
        let Asker(caller) = Asker::from_request_parts(parts, context).await?;
        let address = parts.extensions.get::<Reached>().map(|reached| reached.client);
        // Requests for changes do not come this far without it.
        let operations = context.operations.clone().ok_or_else(only_reads)?;
        Ok(Self { operations, actor: Actor::new(caller.identity(), address) })
    }
}

impl Operator {
    pub(crate) async fn ask<Q, A>(
        &self,
        message: Q,
        operation: impl AsyncFnOnce(
            OperationServiceClient<RecorderChannel>,
            Request<Q>,
        ) -> Result<tonic::Response<A>, Status>,
    ) -> Result<A, Status> {
        self.operations.ask(&self.actor, message, operation).await
    }
}

/// `POST /streams/{stream}/recordings`.
pub(crate) async fn begin(
    State(context): Here,
    operator: Operator,
    Path(stream): Path<StreamName>,
    _: Query<Plain>,
    _: Json<Nothing>,
) -> Reply {
    let message = v1::BeginRecordingRequest { stream: stream.into() };
    let begun = operator.ask(message, async |mut to, message| to.begin_recording(message).await).await;
    let begun = begun.map_err(refused)?;
    let (location, mut reply) = changed(&context, begun.recording).await?;
    *reply.status_mut() = StatusCode::CREATED;
    set_text(reply.headers_mut(), LOCATION, &location);
    Ok(reply)
}

/// `DELETE /streams/{stream}`.
pub(crate) async fn delete_stream(
    State(context): Here,
    operator: Operator,
    Path(stream): Path<StreamName>,
    _: Query<Plain>,
    _: Json<Nothing>,
) -> Reply {
    let message = v1::DeleteStreamRequest { stream: stream.to_string() };
    let deleted = operator.ask(message, async |mut to, message| to.delete_stream(message).await).await;
    let v1::DeleteStreamResponse { removed, kept } = deleted.map_err(refused)?;
    let limit = usize::try_from(kept).unwrap_or(usize::MAX).saturating_add(1);
    let query = livetape_store::Query { stream: Some(stream), limit, ..Default::default() };
    settled(&context, |library| library.catalogue().list(&query).recordings.len() < limit).await;
    json(&Deleted { removed, kept })
}

/// `POST /recordings/{id}/seal`.
pub(crate) async fn seal(
    State(context): Here,
    operator: Operator,
    Path(id): Path<RecordingId>,
    _: Query<Plain>,
    _: Json<Nothing>,
) -> Reply {
    let message = v1::SealRecordingRequest { recording_id: id.into() };
    let sealed = operator.ask(message, async |mut to, message| to.seal_recording(message).await).await;
    Ok(changed(&context, sealed.map_err(refused)?.recording).await?.1)
}

/// `PATCH /recordings/{id}`.
pub(crate) async fn update(
    State(context): Here,
    operator: Operator,
    Path(id): Path<RecordingId>,
    _: Query<Plain>,
    Json(Update { title, notes }): Json<Update>,
) -> Reply {
    if title.is_none() && notes.is_none() {
        return Err(Problem::bad_request("nothing is to be changed", "send title, notes or both"));
    }
    let message = v1::UpdateRecordingRequest { recording_id: id.into(), title, notes };
    let updated = operator.ask(message, async |mut to, message| to.update_recording(message).await).await;
    Ok(changed(&context, updated.map_err(refused)?.recording).await?.1)
}

/// `DELETE /recordings/{id}`.
pub(crate) async fn delete(
    State(context): Here,
    operator: Operator,
    Path(id): Path<RecordingId>,
    _: Query<Plain>,
    _: Json<Nothing>,
) -> Reply {
    let message = v1::DeleteRecordingRequest { recording_id: id.into() };
    let deleted = operator.ask(message, async |mut to, message| to.delete_recording(message).await).await;
    deleted.map_err(refused)?;
    settled(&context, |library| library.catalogue().get(id).is_none()).await;
    Ok((StatusCode::NO_CONTENT, empty()).into_response())
}

/// `PUT /recordings/{id}/lock`.
pub(crate) async fn lock(
    State(context): Here,
    operator: Operator,
    Path(id): Path<RecordingId>,
    _: Query<Plain>,
    _: Json<Nothing>,
) -> Reply {
    let message = v1::LockRecordingRequest { recording_id: id.into() };
    let locked = operator.ask(message, async |mut to, message| to.lock_recording(message).await).await;
    Ok(changed(&context, locked.map_err(refused)?.recording).await?.1)
}

/// `DELETE /recordings/{id}/lock`.
pub(crate) async fn unlock(
    State(context): Here,
    operator: Operator,
    Path(id): Path<RecordingId>,
    _: Query<Plain>,
    _: Json<Nothing>,
) -> Reply {
    let message = v1::UnlockRecordingRequest { recording_id: id.into() };
    let unlocked = operator.ask(message, async |mut to, message| to.unlock_recording(message).await).await;
    Ok(changed(&context, unlocked.map_err(refused)?.recording).await?.1)
}

/// `POST /recordings/{id}/marks`.
pub(crate) async fn mark(
    State(context): Here,
    operator: Operator,
    Path(id): Path<RecordingId>,
    _: Query<Plain>,
    Json(mark): Json<NewMark>,
) -> Reply {
    let recording = recording::known(&context, id)?;
    let frame = place(&context, &recording, &mark).await?.map(Frame::get);
    let message = v1::AddMarkRequest { recording_id: id.into(), frame, text: mark.text.clone() };
    let added = operator.ask(message, async |mut to, message| to.add_mark(message).await).await;
    let frame = Frame::new(added.map_err(refused)?.frame);
    let seconds = listing::seconds(recording.spec, frame.since(Frame::ZERO));
    let mut reply = json(&PutMark { recording: id, frame, seconds, text: mark.text })?;
    *reply.status_mut() = StatusCode::CREATED;
    Ok(reply)
}

/// The frame that a mark names, in whatever way; `None` for the newest.
async fn place(context: &Context, recording: &Arc<Recording>, mark: &NewMark) -> Result<Option<Frame>, Problem> {
    let moment = match (&mark.pos, mark.frame, mark.at) {
        (None, frame, None) => return Ok(frame.map(Frame::new)),
        (Some(seconds), None, None) => {
            let refused =
                |e: livetape_audio::MomentError| Problem::bad_request("pos was not understood", e.to_string());
            Moment::Position(parse_seconds(&seconds.to_string()).map_err(refused)?)
        }
        (None, None, Some(time)) => Moment::TimeOfDay(time),
        _ => {
            let error = "the place of the mark is said more than once";
            return Err(Problem::bad_request(error, "send one of pos, frame and at, or none for the newest frame"));
        }
    };
    let tail = context.library.tail(recording.id).ok_or_else(recording::unattended)?.current();
    let timeline = listing::timeline(context, recording, tail).await?;
    let address = ViewAddress { from: Some(moment), to: None };
    Ok(Some(address.resolve(recording.spec, &timeline, &tail, Duration::ZERO)?.first))
}

/// 405, where nothing can be changed.
pub(crate) fn only_reads() -> Problem {
    let error = "this gateway only lets listen: nothing is changed through it";
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, error, "use GET or HEAD")
}

/// Where the recording is and how it is now, when this gateway knows it, too.
async fn changed(context: &Context, said: Option<v1::Recording>) -> Result<(String, Response), Problem> {
    let said = said.ok_or_else(|| refused(Status::internal("the recorder did not say what came of it")))?;
    let now = Arc::new(recording_of(said).map_err(|error| refused(Status::internal(error.to_string())))?);
    let is_as_said = |known: &Recording| {
        (&known.title, &known.notes, known.locked, known.seal) == (&now.title, &now.notes, now.locked, now.seal)
    };
    settled(context, |library| library.catalogue().get(now.id).is_some_and(|known| is_as_said(&known))).await;
    Ok((format!("/recordings/{}", now.id), json(&listing::whole(context, &now).await)?))
}

/// Waits until this gateway's library knows, too; not for ever, because what was done is done.
async fn settled(context: &Context, is_known: impl Fn(&dyn Library) -> bool) {
    let looking = async {
        while !is_known(&*context.library) {
            tokio::time::sleep(LOOK).await;
        }
    };
    _ = tokio::time::timeout(CATCH_UP, looking).await;
}

/// Whether the recorder has refused for this reason.
fn is_because(status: &Status, reason: &str) -> bool {
    status.get_details_error_info().is_some_and(|info| info.reason == reason)
}

/// What the recorder said, as HTTP says it.
pub(crate) fn refused(status: Status) -> Problem {
    let said = match status.message() {
        "" => "the recorder gave no reason",
        text => text,
    };
    let said: String = said.chars().take(300).collect();
    let again = Duration::from_secs(1);
    match status.code() {
        Code::NotFound => Problem::not_found(said, "see /streams and /recordings for what there is"),
        Code::FailedPrecondition | Code::AlreadyExists | Code::Aborted => {
            Problem::new(StatusCode::CONFLICT, said, "do what the text says first, then try again")
        }
        Code::InvalidArgument | Code::OutOfRange => Problem::bad_request(said, "correct it and send it again"),
        Code::ResourceExhausted if is_because(&status, "LIMIT_REACHED") => {
            Problem::later(said, "the recorder is asked too much; try again", again)
        }
        // Room on the disk would not help.
        Code::ResourceExhausted if is_because(&status, "TOO_MANY_MARKS") => {
            Problem::new(StatusCode::CONFLICT, said, "do what the text says first, then try again")
        }
        Code::ResourceExhausted => Problem::new(StatusCode::INSUFFICIENT_STORAGE, said, "make room, then try again"),
        Code::Unavailable => Problem::later(said, "the recorder cannot be reached now; try again", again),
        // A connection that broke in the middle is "unknown".
        Code::DeadlineExceeded | Code::Cancelled | Code::Unknown => {
            Problem::later(said, "it may have been done all the same: look before trying again", again)
        }
        Code::Unimplemented => Problem::unable("the recorder cannot do this"),
        code => {
            tracing::error!(?code, message = %quoted(status.message()), "the recorder failed at an operation");
            Problem::new(StatusCode::BAD_GATEWAY, said, "see the recorder's log, and look before trying again")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tonic_types::ErrorDetails;

    #[test]
    fn only_what_room_on_the_disk_helps_is_a_want_of_room() {
        let exhausted = |reason: &str| {
            let details = ErrorDetails::with_error_info(reason, "livetape.v1", [("a".to_owned(), "b".to_owned())]);
            refused(Status::with_error_details(Code::ResourceExhausted, "as the recorder says", details))
        };
        let status = |reason| exhausted(reason).status.as_u16();
        assert_eq!(
            ["DISK_FULL", "TOO_MANY_RECORDINGS", "TOO_MANY_MARKS", "LIMIT_REACHED"].map(status),
            [507, 507, 409, 503]
        );
        assert_eq!(exhausted("TOO_MANY_MARKS").retry_after, None, "it stays so");
    }
}

//! `livetape.v1.OperationService`: what operators do to recordings and streams.
//!
//! Each runs in a task of its own, with what is written down of it: a caller whose patience ends, or whose connection does, ends
//! neither half of it.

use crate::audit::{self, Book};
use crate::describe;
use crate::desks::Program;
use crate::gate;
use crate::keeper::Keeper;
use crate::lookup;
use crate::status;
use crate::stream::Shared;
use crate::wish::{Done, Refused, Wish};
use livetape_access::Actor;
use livetape_audio::{Frame, NameError, RecordingId, StreamName};
use livetape_proto::v1;
use livetape_store::Edit;
use std::str::FromStr;
use std::sync::Arc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Code, Extensions, Request, Response, Status};
use tracing::Instrument;

#[derive(Clone)]
pub(crate) struct Operations {
    shared: Arc<Shared>,
    keeper: Keeper,
    book: Book,
    /// The recorder waits for them when it stops.
    calls: TaskTracker,
    shutdown: CancellationToken,
}

impl Operations {
    /// Operations are tracked by `calls`; what takes long ends with `shutdown`.
    pub(crate) const fn new(
        shared: Arc<Shared>,
        keeper: Keeper,
        book: Book,
        calls: TaskTracker,
        shutdown: CancellationToken,
    ) -> Self {
        Self { shared, keeper, book, calls, shutdown }
    }

    /// Does it to its end, once it is begun; if the caller goes before, it is not.
    async fn whole<T, F>(&self, work: impl FnOnce(Self) -> F) -> Result<T, Status>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Status>> + Send + 'static,
    {
        let gone = CancellationToken::new();
        let here = gone.clone().drop_guard();
        let working = work(Self { keeper: self.keeper.asked_by(gone), ..self.clone() });
        let outcome = self.calls.spawn(working.in_current_span()).await;
        drop(here);
        outcome.unwrap_or_else(|error| {
            tracing::error!(%error, "an operation was broken off");
            Err(status::refused(Code::Internal, "BROKEN_OFF", [], "the operation was broken off, which is a bug"))
        })
    }

    async fn lock<T>(&self, request: &Request<T>, id: &str, locked: bool) -> Result<Option<v1::Recording>, Status> {
        let actor = audit::actor(request.metadata(), request.extensions())?;
        let id = self.named(request.extensions(), id)?;
        let edit = Edit { locked: Some(locked), ..Edit::default() };
        self.whole(|this| async move {
            let edited = this.keeper.edit(id, edit).await.map_err(answer)?;
            this.book.operated(&actor, if locked { "locked" } else { "unlocked" }, &edited).await;
            Ok(Some(describe::recording(&edited)))
        })
        .await
    }

    /// Somebody has done something to what is being recorded of a stream.
    async fn noted(&self, actor: &Actor, what: &str, stream: &StreamName) {
        if let Some(recording) = self.shared.archive.latest(stream) {
            self.book.operated(actor, what, &recording).await;
        }
    }

    /// The recording that a request names, if its caller may manage it.
    fn named(&self, extensions: &Extensions, id: &str) -> Result<RecordingId, Status> {
        Ok(lookup::recording(&self.shared, &gate::caller(extensions)?, id)?.id)
    }

    /// A stream that has recordings, or a source that waits, if the caller may do to it what was asked.
    fn stream(&self, extensions: &Extensions, name: &str) -> Result<StreamName, Status> {
        let name = parse("stream", name)?;
        gate::may(&gate::caller(extensions)?, &name)?;
        let archive = &self.shared.archive;
        if archive.latest(&name).is_some() || archive.all.info(&name).waiting {
            return Ok(name);
        }
        let text = format!("there is no stream {name}: list what there is");
        Err(status::refused(Code::NotFound, "NO_SUCH_STREAM", [("stream", name.to_string())], text))
    }
}

fn parse<T: FromStr<Err = NameError>>(field: &str, text: &str) -> Result<T, Status> {
    text.parse().map_err(|e: NameError| status::invalid(field, e.to_string()))
}

fn maybe<T: FromStr<Err = NameError>>(field: &str, text: Option<&str>) -> Result<Option<T>, Status> {
    text.map(|text| parse(field, text)).transpose()
}

fn answer(refused: Refused) -> Status {
    let text = refused.to_string();
    match refused {
        Refused::Gone(id) => lookup::gone(id),
        Refused::NotOpen => status::refused(Code::FailedPrecondition, "NOT_OPEN", [], text),
        Refused::Open(_) => status::refused(Code::FailedPrecondition, "OPEN", [], text),
        Refused::Locked(_) => status::refused(Code::FailedPrecondition, "LOCKED", [], text),
        Refused::NoProgram => status::refused(Code::FailedPrecondition, "NO_PROGRAM", [], text),
        Refused::Busy => status::refused(Code::FailedPrecondition, "SOURCE_PUSHING", [], text),
        Refused::Ahead { end, .. } => {
            status::refused(Code::OutOfRange, "PAST_END", [("end_frame", end.to_string())], text)
        }
        Refused::TooManyMarks => status::refused(Code::ResourceExhausted, "TOO_MANY_MARKS", [], text),
        // As a source hears it; here, waiting does not help.
        Refused::TooManyRecordings(_) => status::refused(Code::ResourceExhausted, "TOO_MANY_RECORDINGS", [], text),
        Refused::Full(_) => status::later(Code::ResourceExhausted, "DISK_FULL", text),
        Refused::Unavailable(_) => status::later(Code::Unavailable, "NOT_AVAILABLE", text),
    }
}

#[tonic::async_trait]
impl v1::operation_service_server::OperationService for Operations {
    async fn begin_recording(
        &self,
        request: Request<v1::BeginRecordingRequest>,
    ) -> Result<Response<v1::BeginRecordingResponse>, Status> {
        let actor = audit::actor(request.metadata(), request.extensions())?;
        let stream = self.stream(request.extensions(), &request.get_ref().stream)?;
        self.whole(|this| async move {
            let (sealed, new) = match this.keeper.ask(&stream, None, Wish::BeginAnew).await.map_err(answer)? {
                Done::Sealed(sealed, Some(new)) => (Some(sealed), new),
                Done::Begun(new) => (None, new),
                _ => return Err(answer(Refused::NotOpen)),
            };
            if let Some(sealed) = &sealed {
                this.book.operated(&actor, "sealed", sealed).await;
            }
            this.book.operated(&actor, "begun", &new).await;
            Ok(Response::new(v1::BeginRecordingResponse {
                recording: Some(describe::recording(&new)),
                sealed: sealed.map(|sealed| describe::recording(&sealed)),
            }))
        })
        .await
    }

    async fn seal_recording(
        &self,
        request: Request<v1::SealRecordingRequest>,
    ) -> Result<Response<v1::SealRecordingResponse>, Status> {
        let actor = audit::actor(request.metadata(), request.extensions())?;
        let id = self.named(request.extensions(), &request.get_ref().recording_id)?;
        self.whole(|this| async move {
            let sealed = this.keeper.seal(id, false).await.map_err(answer)?;
            this.book.operated(&actor, "sealed", &sealed).await;
            Ok(Response::new(v1::SealRecordingResponse { recording: Some(describe::recording(&sealed)) }))
        })
        .await
    }

    async fn update_recording(
        &self,
        request: Request<v1::UpdateRecordingRequest>,
    ) -> Result<Response<v1::UpdateRecordingResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let actor = audit::actor(&metadata, &extensions)?;
        let id = self.named(&extensions, &request.recording_id)?;
        let what = match (&request.title, &request.notes) {
            (Some(_), None) => "titled",
            (None, Some(_)) => "annotated",
            _ => "titled and annotated",
        };
        let edit = Edit {
            title: maybe("title", request.title.as_deref())?,
            notes: maybe("notes", request.notes.as_deref())?,
            ..Edit::default()
        };
        self.whole(|this| async move {
            let edited = this.keeper.edit(id, edit).await.map_err(answer)?;
            this.book.operated(&actor, what, &edited).await;
            Ok(Response::new(v1::UpdateRecordingResponse { recording: Some(describe::recording(&edited)) }))
        })
        .await
    }

    async fn delete_recording(
        &self,
        request: Request<v1::DeleteRecordingRequest>,
    ) -> Result<Response<v1::DeleteRecordingResponse>, Status> {
        let actor = audit::actor(request.metadata(), request.extensions())?;
        let id = self.named(request.extensions(), &request.get_ref().recording_id)?;
        let recording = self.shared.archive.get(id).ok_or_else(|| lookup::gone(id))?;
        self.whole(|this| async move {
            this.keeper.delete(id).await.map_err(answer)?;
            this.book.deleted(&actor, &recording).await;
            Ok(Response::new(v1::DeleteRecordingResponse {}))
        })
        .await
    }

    async fn lock_recording(
        &self,
        request: Request<v1::LockRecordingRequest>,
    ) -> Result<Response<v1::LockRecordingResponse>, Status> {
        let recording = self.lock(&request, &request.get_ref().recording_id, true).await?;
        Ok(Response::new(v1::LockRecordingResponse { recording }))
    }

    async fn unlock_recording(
        &self,
        request: Request<v1::UnlockRecordingRequest>,
    ) -> Result<Response<v1::UnlockRecordingResponse>, Status> {
        let recording = self.lock(&request, &request.get_ref().recording_id, false).await?;
        Ok(Response::new(v1::UnlockRecordingResponse { recording }))
    }

    async fn add_mark(&self, request: Request<v1::AddMarkRequest>) -> Result<Response<v1::AddMarkResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let actor = audit::actor(&metadata, &extensions)?;
        let (id, text) = (self.named(&extensions, &request.recording_id)?, parse("text", &request.text)?);
        self.whole(|this| async move {
            let frame = this.keeper.mark(id, request.frame.map(Frame::new), text).await.map_err(answer)?;
            if let Some(recording) = this.shared.archive.get(id) {
                this.book.operated(&actor, "marked", &recording).await;
            }
            Ok(Response::new(v1::AddMarkResponse { frame: frame.get() }))
        })
        .await
    }

    async fn delete_stream(
        &self,
        request: Request<v1::DeleteStreamRequest>,
    ) -> Result<Response<v1::DeleteStreamResponse>, Status> {
        let actor = audit::actor(request.metadata(), request.extensions())?;
        let stream = self.stream(request.extensions(), &request.get_ref().stream)?;
        self.whole(|this| async move {
            let (count, outcome) = this.keeper.delete_stream(&stream, &this.shutdown).await;
            if outcome.is_ok() || count.removed > 0 {
                this.book.deleted_all(&actor, &stream, count).await;
            }
            outcome.map_err(answer)?;
            Ok(Response::new(v1::DeleteStreamResponse { removed: count.removed, kept: count.kept }))
        })
        .await
    }

    async fn set_title(&self, request: Request<v1::SetTitleRequest>) -> Result<Response<v1::SetTitleResponse>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let actor = audit::actor(&metadata, &extensions)?;
        let (stream, title) = (self.stream(&extensions, &request.stream)?, parse("title", &request.title)?);
        self.whole(|this| async move {
            this.keeper.ask(&stream, None, Wish::Title(title)).await.map_err(answer)?;
            this.noted(&actor, "said what is playing", &stream).await;
            Ok(Response::new(v1::SetTitleResponse {}))
        })
        .await
    }

    async fn get_program(
        &self,
        request: Request<v1::GetProgramRequest>,
    ) -> Result<Response<v1::GetProgramResponse>, Status> {
        let stream = self.stream(request.extensions(), &request.get_ref().stream)?;
        let Program { playing, upcoming } = self.shared.desks.program(&stream).map_err(answer)?;
        let upcoming = upcoming.into_iter().map(Into::into).collect();
        Ok(Response::new(v1::GetProgramResponse { playing: playing.into(), upcoming }))
    }

    async fn skip_title(
        &self,
        request: Request<v1::SkipTitleRequest>,
    ) -> Result<Response<v1::SkipTitleResponse>, Status> {
        let actor = audit::actor(request.metadata(), request.extensions())?;
        let stream = self.stream(request.extensions(), &request.get_ref().stream)?;
        self.whole(|this| async move {
            let Program { playing, upcoming } = this.shared.desks.skip(&stream).await.map_err(answer)?;
            this.noted(&actor, "skipped what was playing", &stream).await;
            let upcoming = upcoming.into_iter().map(Into::into).collect();
            Ok(Response::new(v1::SkipTitleResponse { playing: playing.into(), upcoming }))
        })
        .await
    }
}

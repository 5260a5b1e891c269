//! `livetape.v1.OperationService`: what operators do to recordings and streams.

use crate::describe;
use crate::gate;
use crate::keeper::Keeper;
use crate::lookup;
use crate::status;
use crate::stream::Shared;
use crate::wish::{Done, Refused, Wish};
use livetape_audio::{Frame, NameError, RecordingId, StreamName};
use livetape_proto::v1;
use livetape_store::{Edit, Recording};
use std::str::FromStr;
use std::sync::Arc;
use tonic::{Code, Extensions, Request, Response, Status};

pub(crate) struct Operations {
    shared: Arc<Shared>,
    keeper: Keeper,
}

impl Operations {
    pub(crate) const fn new(shared: Arc<Shared>, keeper: Keeper) -> Self {
        Self { shared, keeper }
    }

    async fn lock(&self, extensions: &Extensions, id: &str, locked: bool) -> Result<Option<v1::Recording>, Status> {
        let edit = Edit { locked: Some(locked), ..Edit::default() };
        described(self.keeper.edit(self.named(extensions, id)?, edit).await)
    }

    /// The recording that a request names, if its caller may manage it.
    fn named(&self, extensions: &Extensions, id: &str) -> Result<RecordingId, Status> {
        Ok(lookup::recording(&self.shared, &gate::caller(extensions)?, id)?.id)
    }

    /// A stream that has recordings, or a source that waits, if the caller may manage it.
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

fn described(outcome: Result<Arc<Recording>, Refused>) -> Result<Option<v1::Recording>, Status> {
    outcome.map(|recording| Some(describe::recording(&recording))).map_err(answer)
}

fn answer(refused: Refused) -> Status {
    let text = refused.to_string();
    match refused {
        Refused::Gone(id) => lookup::gone(id),
        Refused::NotOpen => status::refused(Code::FailedPrecondition, "NOT_OPEN", [], text),
        Refused::Open(_) => status::refused(Code::FailedPrecondition, "OPEN", [], text),
        Refused::Locked(_) => status::refused(Code::FailedPrecondition, "LOCKED", [], text),
        Refused::Busy => status::refused(Code::FailedPrecondition, "SOURCE_PUSHING", [], text),
        Refused::Ahead { end, .. } => {
            status::refused(Code::OutOfRange, "PAST_END", [("end_frame", end.to_string())], text)
        }
        Refused::TooManyMarks => status::refused(Code::ResourceExhausted, "TOO_MANY_MARKS", [], text),
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
        let stream = self.stream(request.extensions(), &request.get_ref().stream)?;
        match self.keeper.ask(&stream, None, Wish::BeginAnew).await.map_err(answer)? {
            Done::Sealed(sealed, Some(new)) => Ok(Response::new(v1::BeginRecordingResponse {
                recording: Some(describe::recording(&new)),
                sealed: Some(describe::recording(&sealed)),
            })),
            Done::Begun(new) => Ok(Response::new(v1::BeginRecordingResponse {
                recording: Some(describe::recording(&new)),
                sealed: None,
            })),
            _ => Err(answer(Refused::NotOpen)),
        }
    }

    async fn seal_recording(
        &self,
        request: Request<v1::SealRecordingRequest>,
    ) -> Result<Response<v1::SealRecordingResponse>, Status> {
        let id = self.named(request.extensions(), &request.get_ref().recording_id)?;
        let recording = described(self.keeper.seal(id, false).await)?;
        Ok(Response::new(v1::SealRecordingResponse { recording }))
    }

    async fn update_recording(
        &self,
        request: Request<v1::UpdateRecordingRequest>,
    ) -> Result<Response<v1::UpdateRecordingResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let id = self.named(&extensions, &request.recording_id)?;
        let edit = Edit {
            title: maybe("title", request.title.as_deref())?,
            notes: maybe("notes", request.notes.as_deref())?,
            ..Edit::default()
        };
        let recording = described(self.keeper.edit(id, edit).await)?;
        Ok(Response::new(v1::UpdateRecordingResponse { recording }))
    }

    async fn delete_recording(
        &self,
        request: Request<v1::DeleteRecordingRequest>,
    ) -> Result<Response<v1::DeleteRecordingResponse>, Status> {
        self.keeper.delete(self.named(request.extensions(), &request.get_ref().recording_id)?).await.map_err(answer)?;
        Ok(Response::new(v1::DeleteRecordingResponse {}))
    }

    async fn lock_recording(
        &self,
        request: Request<v1::LockRecordingRequest>,
    ) -> Result<Response<v1::LockRecordingResponse>, Status> {
        let recording = self.lock(request.extensions(), &request.get_ref().recording_id, true).await?;
        Ok(Response::new(v1::LockRecordingResponse { recording }))
    }

    async fn unlock_recording(
        &self,
        request: Request<v1::UnlockRecordingRequest>,
    ) -> Result<Response<v1::UnlockRecordingResponse>, Status> {
        let recording = self.lock(request.extensions(), &request.get_ref().recording_id, false).await?;
        Ok(Response::new(v1::UnlockRecordingResponse { recording }))
    }

    async fn add_mark(&self, request: Request<v1::AddMarkRequest>) -> Result<Response<v1::AddMarkResponse>, Status> {
        let (_, extensions, request) = request.into_parts();
        let (id, text) = (self.named(&extensions, &request.recording_id)?, parse("text", &request.text)?);
        let frame = self.keeper.mark(id, request.frame.map(Frame::new), text).await.map_err(answer)?;
        Ok(Response::new(v1::AddMarkResponse { frame: frame.get() }))
    }

    async fn delete_stream(
        &self,
        request: Request<v1::DeleteStreamRequest>,
    ) -> Result<Response<v1::DeleteStreamResponse>, Status> {
        let stream = self.stream(request.extensions(), &request.get_ref().stream)?;
        let count = self.keeper.delete_stream(&stream).await.map_err(answer)?;
        Ok(Response::new(v1::DeleteStreamResponse { removed: count.removed, kept: count.kept }))
    }
}

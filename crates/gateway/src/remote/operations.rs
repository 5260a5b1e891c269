//! The recorder that carries out what operators want.

use super::RemoteError;
use super::link::{channel, limited, not_too_large, within};
use crate::library::ReadError;
use livetape_access::Actor;
use livetape_audio::{Frame, RecordingId};
use livetape_proto::v1::operation_service_client::OperationServiceClient;
use livetape_proto::v1::tape_service_client::TapeServiceClient;
use livetape_proto::v1::{Container, ExportRequest};
use livetape_proto::{RecorderAddress, RecorderChannel};
use livetape_store::{Measured, Peaks, Recording};
use std::ops::Range;
use std::time::Duration;
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status};

/// How long an operation may take: a long recording is finished and checked, or removed, before it is answered.
const PATIENCE: Duration = Duration::from_secs(30);
/// How long the recorder may take to write down what happened here.
const TELLING: Duration = Duration::from_secs(2);

/// Asks a recorder for operations.
#[derive(Clone)]
pub(crate) struct Operations(OperationServiceClient<RecorderChannel>, TapeServiceClient<RecorderChannel>);

impl Operations {
    /// Through `recorder`. Needs a tokio runtime.
    pub(crate) fn new(recorder: &RecorderAddress) -> Result<Self, RemoteError> {
        let channel = channel(recorder)?;
        Ok(Self(OperationServiceClient::new(channel.clone()), TapeServiceClient::new(channel)))
    }

    /// The recorder's own peaks of a recording. What is missing of a finished one it has made then.
    pub(crate) async fn peaks(
        &self,
        recording: &Recording,
        frames: Range<Frame>,
        width: u32,
    ) -> Result<Peaks, ReadError> {
        super::library::peaks(self.1.clone(), recording, frames, width).await
    }

    /// How loud the recorder finds a recording. What is missing of a finished one it measures then.
    pub(crate) async fn loudness(
        &self,
        recording: &Recording,
        frames: Range<Frame>,
        minutes: u32,
    ) -> Result<Measured, ReadError> {
        super::library::loudness(self.1.clone(), recording, frames, minutes).await
    }

    /// Tells the recorder that somebody takes a part of a recording away as a file: by asking it for one itself, of which nothing is
    /// read. So it stands on the timeline, where what the recorder gives away stands, too.
    pub(crate) async fn exported(&self, actor: &Actor, id: RecordingId) -> Result<(), Status> {
        let message = ExportRequest { recording_id: id.into(), container: Container::Pcm.into(), ..Default::default() };
        let mut request = limited(TELLING, message);
        request.metadata_mut().insert_bin(Actor::METADATA, MetadataValue::from_bytes(&actor.to_bytes()));
        let mut tapes = self.1.clone();
        within(TELLING, tapes.export(request)).await.map(drop)
    }

    /// Has `operation` carried out for somebody. When it is given up, it may have happened all the same.
    pub(crate) async fn ask<Q, A>(
        &self,
        actor: &Actor,
        message: Q,
        operation: impl AsyncFnOnce(OperationServiceClient<RecorderChannel>, Request<Q>) -> Result<Response<A>, Status>,
    ) -> Result<A, Status> {
        let mut request = limited(PATIENCE, message);
        request.metadata_mut().insert_bin(Actor::METADATA, MetadataValue::from_bytes(&actor.to_bytes()));
        let answer = within(PATIENCE, operation(self.0.clone(), request)).await;
        Ok(answer.map_err(not_too_large)?.into_inner())
    }
}

//! What the recorder of these tests answers.

use crate::recorder::{Desk, said};
use futures::StreamExt;
use futures::stream::BoxStream;
use livetape_audio::{Entry, Frame, Generation, Mark, RecordingId, Tail};
use livetape_proto::v1;
use livetape_proto::v1::watch_catalogue_response::Change;
use livetape_store::{Measured, Minute, PeaksReader, Query, Recording, TapeReader, TimelineFollower};
use livetape_tail::Watch;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Request, Response, Status};

type Answer<T> = Result<Response<T>, Status>;
type Many<T> = BoxStream<'static, Result<T, Status>>;

pub struct Catalogues(pub Arc<Desk>);
pub struct Tapes(pub Arc<Desk>);
pub struct Operations(pub Arc<Desk>);

impl Desk {
    fn find(&self, id: &str) -> Result<Arc<Recording>, Status> {
        let id: RecordingId = id.parse().map_err(|e| Status::invalid_argument(format!("{e}")))?;
        self.catalogue.get(id).ok_or_else(|| Status::not_found(format!("there is no recording {id}")))
    }

    fn tail(&self, recording: &Recording) -> Tail {
        let open = self.tails.watch(recording.id).map(|mut watch| watch.current());
        open.or_else(|| recording.sealed_tail(Generation(1))).unwrap()
    }
}

#[tonic::async_trait]
impl v1::catalogue_service_server::CatalogueService for Catalogues {
    async fn list_streams(&self, _: Request<v1::ListStreamsRequest>) -> Answer<v1::ListStreamsResponse> {
        Err(Status::unimplemented("not asked by gateways"))
    }
    async fn list_recordings(&self, _: Request<v1::ListRecordingsRequest>) -> Answer<v1::ListRecordingsResponse> {
        Err(Status::unimplemented("not asked by gateways"))
    }
    async fn get_recording(&self, _: Request<v1::GetRecordingRequest>) -> Answer<v1::GetRecordingResponse> {
        Err(Status::unimplemented("not asked by gateways"))
    }

    async fn list_timeline(&self, request: Request<v1::ListTimelineRequest>) -> Answer<v1::ListTimelineResponse> {
        let request = request.into_inner();
        let recording = self.0.find(&request.recording_id)?;
        let mut follower = TimelineFollower::open(&self.0.data, &recording);
        follower.refresh(&self.0.tail(&recording)).map_err(|e| Status::data_loss(e.to_string()))?;
        let all = follower.timeline().entries();
        // Short pages, so that there are several.
        let page = all.iter().skip(request.after as usize).take(3);
        let entries: Vec<v1::Entry> = page.cloned().map(Into::into).collect();
        let next = request.after + entries.len() as u64;
        Ok(Response::new(v1::ListTimelineResponse { entries, next: (next < all.len() as u64).then_some(next) }))
    }

    type WatchCatalogueStream = Many<v1::WatchCatalogueResponse>;

    async fn watch_catalogue(&self, _: Request<v1::WatchCatalogueRequest>) -> Answer<Self::WatchCatalogueStream> {
        let desk = self.0.clone();
        let mut count = desk.count.subscribe();
        let (sender, changes) = mpsc::channel(1);
        tokio::spawn(async move {
            let mut told = desk.changes.lock().unwrap().len();
            let all = desk.catalogue.list(&Query { limit: usize::MAX, ..Query::default() }).recordings;
            let all = all.iter().map(|recording| Change::Recording(said(recording)));
            let begins = v1::CatalogueBegins { generation: desk.data.generation().0 };
            let mut queue: Vec<Change> = std::iter::once(Change::Begins(begins))
                .chain(all)
                .chain([Change::Complete(v1::CatalogueComplete {})])
                .collect();
            loop {
                for change in queue.drain(..) {
                    if sender.send(Ok(v1::WatchCatalogueResponse { change: Some(change) })).await.is_err() {
                        return;
                    }
                }
                _ = count.wait_for(|count| *count > told).await;
                let changes = desk.changes.lock().unwrap();
                queue.extend(changes.iter().skip(told).cloned());
                told = changes.len();
            }
        });
        Ok(Response::new(ReceiverStream::new(changes).boxed()))
    }
}

#[tonic::async_trait]
impl v1::tape_service_server::TapeService for Tapes {
    type WatchTailStream = Many<v1::WatchTailResponse>;
    type ReadFramesStream = Many<v1::ReadFramesResponse>;
    type ExportStream = Many<v1::ExportResponse>;
    type WatchTracesStream = Many<v1::WatchTracesResponse>;

    async fn watch_tail(&self, _: Request<v1::WatchTailRequest>) -> Answer<Self::WatchTailStream> {
        let desk = self.0.clone();
        let (sender, tails) = mpsc::channel(1);
        tokio::spawn(async move {
            let mut watches = HashMap::new();
            loop {
                for recording in desk.catalogue.list(&Query { limit: usize::MAX, ..Query::default() }).recordings {
                    if let Some(watch) = desk.tails.watch(recording.id) {
                        watches.entry(recording.id).or_insert((watch, None));
                    }
                }
                let mut news = Vec::new();
                for (id, (watch, told)) in &mut watches {
                    let tail = watch.current();
                    if *told != Some(tail) {
                        *told = Some(tail);
                        news.push((*id, tail));
                    }
                }
                for (id, tail) in news {
                    let tail = v1::Tail::from((id, tail));
                    if sender.send(Ok(v1::WatchTailResponse { tail: Some(tail) })).await.is_err() {
                        return;
                    }
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(tails).boxed()))
    }

    async fn read_frames(&self, request: Request<v1::ReadFramesRequest>) -> Answer<Self::ReadFramesStream> {
        let request = request.into_inner();
        let recording = self.0.find(&request.recording_id)?;
        let tail = self.0.tail(&recording);
        let first = Frame::new(request.first_frame);
        if first >= tail.end {
            return Err(Status::out_of_range(format!("the recording has {} frames", tail.end)));
        }
        let end = tail.end.min(Frame::new(request.first_frame + request.frame_count));
        let described = self.0.writers().get(&recording.id).map(|writer| writer.recording().clone());
        let mut reader = TapeReader::open(&self.0.data, &described.unwrap_or_else(|| (*recording).clone()));
        let (mut at, mut blocks) = (first, Vec::new());
        while at < end {
            // Small blocks, so that there are several.
            let upto = end.min(Frame::new(at.get() + 1_000));
            let pcm = reader.read(at..upto).map_err(|e| Status::data_loss(e.to_string()))?;
            let (frames, _) = recording.spec.frames_in(pcm.len() as u64);
            blocks.push(v1::ReadFramesResponse { first_frame: at.get(), pcm });
            at = at + frames;
        }
        if let Some(lie) = *self.0.lie.lock().unwrap() {
            lie(&mut blocks);
        }
        Ok(Response::new(futures::stream::iter(blocks.into_iter().map(Ok)).boxed()))
    }

    async fn get_peaks(&self, request: Request<v1::GetPeaksRequest>) -> Answer<v1::GetPeaksResponse> {
        let request = request.into_inner();
        let recording = self.0.find(&request.recording_id)?;
        let frames = Frame::new(request.first_frame)..Frame::new(request.end_frame);
        let peaks = PeaksReader::open(&self.0.data, recording).read(frames, request.width);
        let peaks = peaks.map_err(|e| Status::data_loss(e.to_string()))?;
        let mut told = v1::GetPeaksResponse::new(peaks.first, peaks.end, peaks.frames_per_point, &peaks.points);
        if let Some(lie) = *self.0.peaks_lie.lock().unwrap() {
            lie(&mut told);
        }
        Ok(Response::new(told))
    }

    async fn get_loudness(&self, request: Request<v1::GetLoudnessRequest>) -> Answer<v1::GetLoudnessResponse> {
        let request = request.into_inner();
        let recording = self.0.find(&request.recording_id)?;
        let frames = Frame::new(request.first_frame)..Frame::new(request.end_frame);
        let told = Measured::read(&self.0.data, &recording, frames, request.minutes);
        let told = told.map_err(|e| Status::data_loss(e.to_string()))?;
        let minute = |minute: &Minute| v1::LoudnessMinute {
            first_frame: minute.first.get(),
            end_frame: minute.end.get(),
            integrated_lufs: minute.integrated,
        };
        let mut told = v1::GetLoudnessResponse {
            first_frame: told.first.get(),
            end_frame: told.end.get(),
            integrated_lufs: told.integrated,
            minutes: told.minutes.iter().map(minute).collect(),
        };
        if let Some(lie) = *self.0.loudness_lie.lock().unwrap() {
            lie(&mut told);
        }
        Ok(Response::new(told))
    }

    async fn export(&self, _: Request<v1::ExportRequest>) -> Answer<Self::ExportStream> {
        Err(Status::unimplemented("not asked by gateways"))
    }

    async fn watch_traces(&self, _: Request<v1::WatchTracesRequest>) -> Answer<Self::WatchTracesStream> {
        Err(Status::unimplemented("not asked by gateways that export no traces"))
    }
}

impl Operations {
    /// Changes a recording, open or sealed, as it is on the tape.
    fn change(&self, id: &str, change: impl FnOnce(&mut Recording)) -> Result<v1::Recording, Status> {
        let mut recording = (*self.0.find(id)?).clone();
        change(&mut recording);
        self.0.put(recording.clone());
        Ok(said(&recording))
    }
}

#[tonic::async_trait]
impl v1::operation_service_server::OperationService for Operations {
    async fn begin_recording(&self, request: Request<v1::BeginRecordingRequest>) -> Answer<v1::BeginRecordingResponse> {
        let stream = request.into_inner().stream;
        let latest = self.0.catalogue.latest(&stream.parse().unwrap());
        let latest = latest.ok_or_else(|| Status::not_found(format!("there is no stream {stream}")))?;
        let open = latest.seal.is_none();
        let sealed = open.then(|| said(&self.0.seal(latest.id, true)));
        if sealed.is_none() {
            return Err(Status::failed_precondition("no source is pushing: start one first"));
        }
        let recording = self.0.catalogue.get(self.0.record(&stream)).unwrap();
        Ok(Response::new(v1::BeginRecordingResponse { recording: Some(said(&recording)), sealed }))
    }
    async fn seal_recording(&self, request: Request<v1::SealRecordingRequest>) -> Answer<v1::SealRecordingResponse> {
        let recording = self.0.find(&request.into_inner().recording_id)?;
        let open = recording.seal.is_none();
        let recording = if open { self.0.seal(recording.id, true) } else { (*recording).clone() };
        Ok(Response::new(v1::SealRecordingResponse { recording: Some(said(&recording)) }))
    }
    async fn update_recording(
        &self,
        request: Request<v1::UpdateRecordingRequest>,
    ) -> Answer<v1::UpdateRecordingResponse> {
        let request = request.into_inner();
        let bad = |e: livetape_audio::NameError| Status::invalid_argument(e.to_string());
        let title = request.title.map(|title| title.parse().map_err(bad)).transpose()?;
        let notes = request.notes.map(|notes| notes.parse().map_err(bad)).transpose()?;
        let recording = self.change(&request.recording_id, |recording| {
            recording.title = title.unwrap_or(recording.title.clone());
            recording.notes = notes.unwrap_or(recording.notes.clone());
        })?;
        Ok(Response::new(v1::UpdateRecordingResponse { recording: Some(recording) }))
    }
    async fn delete_recording(
        &self,
        request: Request<v1::DeleteRecordingRequest>,
    ) -> Answer<v1::DeleteRecordingResponse> {
        let recording = self.0.find(&request.into_inner().recording_id)?;
        if recording.locked {
            return Err(Status::failed_precondition("the recording is locked: unlock it first"));
        }
        if recording.seal.is_none() {
            return Err(Status::failed_precondition("the recording grows: seal it first"));
        }
        self.0.delete(recording.id);
        Ok(Response::new(v1::DeleteRecordingResponse {}))
    }
    async fn lock_recording(&self, request: Request<v1::LockRecordingRequest>) -> Answer<v1::LockRecordingResponse> {
        let recording = self.change(&request.into_inner().recording_id, |recording| recording.locked = true)?;
        Ok(Response::new(v1::LockRecordingResponse { recording: Some(recording) }))
    }
    async fn unlock_recording(
        &self,
        request: Request<v1::UnlockRecordingRequest>,
    ) -> Answer<v1::UnlockRecordingResponse> {
        let recording = self.change(&request.into_inner().recording_id, |recording| recording.locked = false)?;
        Ok(Response::new(v1::UnlockRecordingResponse { recording: Some(recording) }))
    }
    async fn add_mark(&self, request: Request<v1::AddMarkRequest>) -> Answer<v1::AddMarkResponse> {
        let request = request.into_inner();
        let recording = self.0.find(&request.recording_id)?;
        let end = self.0.tail(&recording).end.get();
        let frame = request.frame.unwrap_or(end);
        if frame > end {
            return Err(Status::out_of_range(format!("the recording has {end} frames")));
        }
        match request.text.as_str() {
            "full" => Err(Status::resource_exhausted("the disk is full: make room")),
            "away" => Err(Status::unavailable("the recorder is stopping")),
            text => {
                let mut writers = self.0.writers();
                let writer = writers.get_mut(&recording.id).unwrap();
                let text = text.parse().map_err(|e| Status::invalid_argument(format!("{e}")))?;
                writer.note(Entry::Mark(Mark { frame: Frame::new(frame), text })).unwrap();
                writer.sync().unwrap();
                Ok(Response::new(v1::AddMarkResponse { frame }))
            }
        }
    }
    async fn delete_stream(&self, request: Request<v1::DeleteStreamRequest>) -> Answer<v1::DeleteStreamResponse> {
        let stream = request.into_inner().stream.parse().ok();
        let all = self.0.catalogue.list(&Query { stream, limit: 100, ..Query::default() }).recordings;
        let (kept, gone): (Vec<_>, Vec<_>) = all.iter().partition(|recording| recording.locked);
        gone.iter().for_each(|recording| self.0.delete(recording.id));
        Ok(Response::new(v1::DeleteStreamResponse { removed: gone.len() as u32, kept: kept.len() as u32 }))
    }
    async fn set_title(&self, request: Request<v1::SetTitleRequest>) -> Answer<v1::SetTitleResponse> {
        let title: Result<livetape_audio::Title, _> = request.into_inner().title.parse();
        title.map_err(|e| Status::invalid_argument(e.to_string()))?;
        Ok(Response::new(v1::SetTitleResponse {}))
    }
    async fn get_program(&self, request: Request<v1::GetProgramRequest>) -> Answer<v1::GetProgramResponse> {
        let (playing, upcoming) = program(&request.get_ref().stream)?;
        Ok(Response::new(v1::GetProgramResponse { playing, upcoming }))
    }
    async fn skip_title(&self, request: Request<v1::SkipTitleRequest>) -> Answer<v1::SkipTitleResponse> {
        let (playing, upcoming) = program(&request.get_ref().stream)?;
        Ok(Response::new(v1::SkipTitleResponse { playing: upcoming[0].clone(), upcoming: vec![playing] }))
    }
}

/// One stream is of files.
fn program(stream: &str) -> Result<(String, Vec<String>), Status> {
    match stream {
        "files" => Ok(("a".into(), vec!["b".into()])),
        _ => Err(Status::failed_precondition("no source is connected there that has a list")),
    }
}

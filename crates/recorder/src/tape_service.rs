//! `livetape.v1.TapeService`: tails, frames, files. Each call reads for itself, and never past the tail.

use crate::audit::{self, Book};
use crate::export;
use crate::gate;
use crate::lookup::{self, blocking, follow, unread};
use crate::outlet::{Answers, Outlet, Outlets};
use crate::peaks;
use crate::status;
use crate::stream::Shared;
use livetape_access::Caller;
use livetape_audio::{Frame, FrameCount, RecordingId};
use livetape_proto::v1::{self, ReadFramesResponse, WatchTailResponse, WatchTracesResponse};
use livetape_proto::{MAX_BLOCK_BYTES, v1::ExportResponse};
use livetape_store::{Recording, TapeReader};
use livetape_tail::{TailWatch, TracedChunk};
use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::broadcast::error::RecvError;
use tokio::time::{Instant, timeout, timeout_at};
use tonic::{Code, Request, Response, Status};

/// How often a tail is told that has not moved.
const REFRESH: Duration = Duration::from_secs(2);

pub(crate) struct Tapes {
    shared: Arc<Shared>,
    outlets: Outlets,
    book: Book,
}

impl Tapes {
    pub(crate) const fn new(shared: Arc<Shared>, outlets: Outlets, book: Book) -> Self {
        Self { shared, outlets, book }
    }
}

#[tonic::async_trait]
impl v1::tape_service_server::TapeService for Tapes {
    type WatchTailStream = Answers<WatchTailResponse>;
    type ReadFramesStream = Answers<ReadFramesResponse>;
    type ExportStream = Answers<ExportResponse>;
    type WatchTracesStream = Answers<WatchTracesResponse>;

    async fn watch_tail(
        &self,
        request: Request<v1::WatchTailRequest>,
    ) -> Result<Response<Self::WatchTailStream>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let caller = gate::caller(&extensions)?;
        let shared = Arc::clone(&self.shared);
        if request.recording_id.is_empty() {
            let right = gate::right(&caller, None)?;
            return self.outlets.answer(&metadata, &extensions, right, |outlet| all_tails(shared, caller, outlet));
        }
        let recording = lookup::recording(&self.shared, &caller, &request.recording_id)?;
        let (id, right) = (recording.id, gate::right(&caller, Some(&recording.stream))?);
        let watch = follow(&self.shared, id)?;
        self.outlets.answer(&metadata, &extensions, right, |outlet| one_tail(shared, id, watch, outlet))
    }

    async fn read_frames(
        &self,
        request: Request<v1::ReadFramesRequest>,
    ) -> Result<Response<Self::ReadFramesStream>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let caller = gate::caller(&extensions)?;
        let recording = lookup::recording(&self.shared, &caller, &request.recording_id)?;
        let right = gate::right(&caller, Some(&recording.stream))?;
        let first = Frame::new(request.first_frame);
        let end = match request.frame_count {
            0 => Frame::new(u64::MAX),
            n => first + FrameCount::new(n),
        };
        let mut tail = follow(&self.shared, recording.id)?;
        let now = tail.current();
        if first > now.end && (now.is_sealed() || !request.follow) {
            let text = format!("frame {first} is not recorded: the recording ends at {}", now.end);
            let facts = [("end_frame", now.end.to_string())];
            return Err(status::refused(Code::OutOfRange, "PAST_END", facts, text));
        }
        let read = Read { tape: Tape::new(Arc::clone(&self.shared), &recording), tail, follow: request.follow };
        self.outlets.answer(&metadata, &extensions, right, |outlet| read.frames(first..end, outlet))
    }

    async fn get_peaks(&self, request: Request<v1::GetPeaksRequest>) -> Result<Response<v1::GetPeaksResponse>, Status> {
        let caller = gate::caller(request.extensions())?;
        let request = request.into_inner();
        let recording = lookup::recording(&self.shared, &caller, &request.recording_id)?;
        let tail = lookup::tail(&self.shared, recording.id)?;
        peaks::get(&self.shared, recording, tail, &request).await.map(Response::new)
    }

    async fn get_loudness(
        &self,
        request: Request<v1::GetLoudnessRequest>,
    ) -> Result<Response<v1::GetLoudnessResponse>, Status> {
        let caller = gate::caller(request.extensions())?;
        let request = request.into_inner();
        let recording = lookup::recording(&self.shared, &caller, &request.recording_id)?;
        let tail = lookup::tail(&self.shared, recording.id)?;
        peaks::loudness(&self.shared, recording, tail, &request).await.map(Response::new)
    }

    async fn export(&self, request: Request<v1::ExportRequest>) -> Result<Response<Self::ExportStream>, Status> {
        let (metadata, extensions, request) = request.into_parts();
        let (caller, actor) = (gate::caller(&extensions)?, audit::actor(&metadata, &extensions)?);
        let recording = lookup::recording(&self.shared, &caller, &request.recording_id)?;
        let right = gate::right(&caller, Some(&recording.stream))?;
        let file = export::plan(&self.shared, &recording, &request).await?;
        self.book.operated(&actor, "exported", &recording).await;
        let tape = Tape::new(Arc::clone(&self.shared), &recording);
        self.outlets.answer(&metadata, &extensions, right, |outlet| file.send(tape, outlet))
    }

    async fn watch_traces(
        &self,
        request: Request<v1::WatchTracesRequest>,
    ) -> Result<Response<Self::WatchTracesStream>, Status> {
        let (metadata, extensions, _) = request.into_parts();
        let caller = gate::caller(&extensions)?;
        let (shared, right) = (Arc::clone(&self.shared), gate::right(&caller, None)?);
        self.outlets.answer(&metadata, &extensions, right, |outlet| all_traces(shared, caller, outlet))
    }
}

/// Reads one recording, a block at a time.
pub(crate) struct Tape {
    shared: Arc<Shared>,
    pub(crate) recording: Recording,
    reader: Option<TapeReader>,
}

impl Tape {
    fn new(shared: Arc<Shared>, recording: &Recording) -> Self {
        Self { shared, recording: recording.clone(), reader: None }
    }

    /// The first of these frames that are durable: at least one, and as many as fit into a block.
    pub(crate) async fn block(&mut self, frames: Range<Frame>) -> Result<bytes::Bytes, Status> {
        let most = self.recording.spec.frames_in(u64::from(MAX_BLOCK_BYTES)).0;
        let frames = frames.start..frames.end.min(frames.start + most);
        let (id, reader) = (self.recording.id, self.reader.take());
        let mut reader = reader.unwrap_or_else(|| TapeReader::open(&self.shared.dir, &self.recording));
        let (reader, block) = blocking(move || {
            let block = reader.read(frames);
            (reader, block)
        })
        .await?;
        self.reader = Some(reader);
        block.map_err(|error| unread(id, &error))
    }
}

/// A call of `ReadFrames`.
struct Read {
    tape: Tape,
    tail: TailWatch,
    follow: bool,
}

impl Read {
    async fn frames(mut self, mut frames: Range<Frame>, outlet: Outlet<ReadFramesResponse>) -> Result<(), Status> {
        while !frames.is_empty() {
            let tail = self.tail.current();
            if frames.start < tail.end {
                let room = outlet.room().await?;
                let pcm = self.tape.block(frames.start..frames.end.min(tail.end)).await?;
                let first_frame = frames.start.get();
                frames.start = frames.start + self.tape.recording.spec.frames_in(pcm.len() as u64).0;
                room.fill(Ok(ReadFramesResponse { first_frame, pcm }));
            } else if tail.is_sealed() || !self.follow {
                break;
            } else if !self.tail.changed().await {
                // Sealed, and forgotten before that was seen.
                self.tail = follow(&self.tape.shared, self.tape.recording.id)?;
            }
        }
        Ok(())
    }
}

async fn one_tail(
    shared: Arc<Shared>,
    id: RecordingId,
    mut watch: TailWatch,
    outlet: Outlet<WatchTailResponse>,
) -> Result<(), Status> {
    loop {
        let room = outlet.room().await?;
        let tail = watch.current();
        room.fill(Ok(WatchTailResponse { tail: Some((id, tail).into()) }));
        if tail.is_sealed() {
            return Ok(());
        }
        if let Ok(false) = timeout(REFRESH, watch.changed()).await {
            watch = follow(&shared, id)?;
        }
    }
}

/// Tails of all open recordings, and of those that were open when they were told last, once more as sealed.
async fn all_tails(shared: Arc<Shared>, caller: Caller, outlet: Outlet<WatchTailResponse>) -> Result<(), Status> {
    let mut open = HashSet::new();
    loop {
        let (mut seen, refresh) = (shared.tails.changes.now(), Instant::now() + REFRESH);
        let all: HashSet<_> = shared.tails.ids().into_iter().chain(open.iter().copied()).collect();
        for id in all {
            tell(&shared, &caller, id, &mut open, &outlet).await?;
        }
        while timeout_at(refresh, shared.tails.changes.after(seen)).await.is_ok() {
            let Ok((ids, now)) = shared.tails.changes.since(seen) else { break };
            for id in ids {
                tell(&shared, &caller, id, &mut open, &outlet).await?;
            }
            seen = now;
        }
    }
}

async fn tell(
    shared: &Shared,
    caller: &Caller,
    id: RecordingId,
    open: &mut HashSet<RecordingId>,
    outlet: &Outlet<WatchTailResponse>,
) -> Result<(), Status> {
    if !sees(shared, caller, id) {
        return Ok(());
    }
    let room = outlet.room().await?;
    let tail = match shared.tails.get(id) {
        Some(tail) => {
            open.insert(id);
            tail
        }
        // Sealed while it was watched; unless it is deleted already.
        None if open.remove(&id) => match lookup::tail(shared, id) {
            Ok(tail) => tail,
            Err(_) => return Ok(()),
        },
        None => return Ok(()),
    };
    if tail.is_sealed() {
        open.remove(&id);
    }
    room.fill(Ok(WatchTailResponse { tail: Some((id, tail).into()) }));
    Ok(())
}

/// Whose stream nobody knows any more is not told of to whoever may not hear all.
fn sees(shared: &Shared, caller: &Caller, id: RecordingId) -> bool {
    let stream = shared.archive.get(id).map(|recording| recording.stream.clone());
    stream.map_or_else(|| caller.sees_all(), |stream| caller.sees(&stream))
}

/// Chunks that are in a trace, from now on.
async fn all_traces(shared: Arc<Shared>, caller: Caller, outlet: Outlet<WatchTracesResponse>) -> Result<(), Status> {
    let mut traced = shared.tails.traced.subscribe();
    loop {
        match traced.recv().await {
            Ok(TracedChunk { recording, first, traceparent }) if sees(&shared, &caller, recording) => {
                let (recording_id, first_frame) = (recording.into(), first.get());
                outlet
                    .send(WatchTracesResponse { recording_id, first_frame, traceparent: traceparent.as_ref().into() })
                    .await?;
            }
            Ok(_) | Err(RecvError::Lagged(_)) => {}
            Err(RecvError::Closed) => return Ok(()),
        }
    }
}

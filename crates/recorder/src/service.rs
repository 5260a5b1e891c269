//! `livetape.v1.IngestService`: gRPC calls to commands of streams, and what became of them back to the source.
//!
//! Not here: decisions. A call holds no audio but the message in its hands, so a recording that is behind holds the
//! source back through HTTP/2 flow control.

use crate::audit::{self, Book};
use crate::call::{Command, Granted, Progress, Verdict};
use crate::deadline::Deadline;
use crate::desks::{Desks, Place, Program, UPCOMING};
use crate::gate;
use crate::ingest::{Message, Refusal};
use crate::metrics::Instruments;
use crate::status;
use crate::streams::{Session, Streams};
use crate::tape::OpenError;
use crate::trace::Chunk;
use bytes::Bytes;
use livetape_audio::{Drift, Epoch, Frame, FrameCount, NameError, RecordingMode, WallTime};
use livetape_proto::v1::ingest_request::Message as Request;
use livetape_proto::v1::ingest_response::Message as Response;
use livetape_proto::v1::{self, IngestRequest, IngestResponse};
use livetape_proto::{InvalidMessage, MAX_APPEND_BYTES, MAX_CLOCK_DRIFT_PPB, Opening};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::error::SendTimeoutError;
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic::{Code, Status, Streaming};

/// How long the last word of a call may wait for a source that takes no answers.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long a source may take no acknowledgement.
const DEAF: Duration = Duration::from_secs(60);
/// How long a call may be silent before it says what it wants.
const FIRST_MESSAGE: Duration = Duration::from_secs(10);

pub(crate) struct Ingest {
    streams: Arc<Streams>,
    desks: Arc<Desks>,
    calls: TaskTracker,
    instruments: Arc<Instruments>,
    shutdown: CancellationToken,
    book: Book,
}

impl Ingest {
    pub(crate) const fn new(
        streams: Arc<Streams>,
        desks: Arc<Desks>,
        calls: TaskTracker,
        instruments: Arc<Instruments>,
        shutdown: CancellationToken,
        book: Book,
    ) -> Self {
        Self { streams, desks, calls, instruments, shutdown, book }
    }
}

type Responses = mpsc::Sender<Result<IngestResponse, Status>>;

#[tonic::async_trait]
impl v1::ingest_service_server::IngestService for Ingest {
    type IngestStream = ReceiverStream<Result<IngestResponse, Status>>;

    async fn ingest(
        &self,
        request: tonic::Request<Streaming<IngestRequest>>,
    ) -> Result<tonic::Response<Self::IngestStream>, Status> {
        let deadline = Deadline::of(request.metadata());
        let caller = gate::caller(request.extensions())?;
        let actor = audit::actor(request.metadata(), request.extensions())?;
        let mut incoming = request.into_inner();
        let opening = first_message(&mut incoming).await.inspect_err(|_| self.instruments.refused("invalid"))?;
        gate::may(&caller, &opening.stream)?;
        let right = gate::right(&caller, Some(&opening.stream))?;
        let stream = opening.stream.clone();
        let opened = self.streams.open(opening).await;
        let session = opened.inspect_err(|why| self.instruments.not_opened(why)).map_err(open_status)?;
        let desk = self.desks.place(stream.clone(), session.call);
        let signed = self.book.clone().publishing(actor, stream, session.progress.clone());
        let (responses, outgoing) = mpsc::channel(4);
        let (instruments, shutdown) = (Arc::clone(&self.instruments), self.shutdown.clone());
        let streams = Arc::clone(&self.streams);
        self.calls.spawn(async move {
            let conversation = converse(session, desk, incoming, &responses, &instruments, &streams, shutdown);
            let outcome = tokio::select! {
                outcome = conversation => outcome,
                late = deadline.passed() => Err(late),
                ended = right.ended() => Err(ended),
                () = signed => Ok(()),
            };
            if let Err(status) = outcome {
                // A source that takes no answers does not keep the recorder from stopping.
                drop(responses.send_timeout(Err(status), FAREWELL).await);
            }
        });
        Ok(tonic::Response::new(ReceiverStream::new(outgoing)))
    }
}

async fn first_message(incoming: &mut Streaming<IngestRequest>) -> Result<Opening, Status> {
    let first = tokio::time::timeout(FIRST_MESSAGE, incoming.message())
        .await
        .map_err(|_| {
            status::refused(Code::DeadlineExceeded, "NO_OPEN", [], "nothing was sent within 10 s; begin with Open")
        })?
        .map_err(too_large)?;
    match first.and_then(|m| m.message) {
        Some(Request::Open(open)) => Opening::try_from(open).map_err(|e| invalid(&e)),
        _ => Err(status::invalid("message", "the first message has to be Open")),
    }
}

/// Both directions of a call, until one of them ends it.
async fn converse(
    session: Session,
    (place, mut wanted): (Place, mpsc::Receiver<v1::Control>),
    mut incoming: Streaming<IngestRequest>,
    responses: &Responses,
    instruments: &Instruments,
    streams: &Streams,
    shutdown: CancellationToken,
) -> Result<(), Status> {
    let Session { progress, call, commands, mode } = session;
    let (chunk, state) = (Chunk::default(), progress.clone());
    let from_source = async {
        let mut drift = None;
        while let Some(request) = incoming.message().await.map_err(too_large)? {
            if let Some(writes) = state.borrow().writes {
                chunk.arrived(writes, &request).into_iter().for_each(|traced| streams.traced(traced));
            }
            if let Some(Request::Program(program)) = request.message {
                place.show(read(program).inspect_err(|_| instruments.refused("invalid"))?);
                continue;
            }
            let told = self::drift(&request).inspect_err(|_| instruments.refused("invalid"))?;
            let (message, pcm) = translate(request).inspect_err(|_| instruments.refused("invalid"))?;
            if commands.send(Command::Message { call, message, pcm }).await.is_err() {
                return Err(status::stopping());
            }
            if let Some(told) = told.filter(|told| *told != drift) {
                drift = told;
                drop(commands.send(Command::Drift { call, drift }).await);
            }
        }
        // The source has closed its side without End: it still learns what becomes durable.
        drop(commands.send(Command::Closed { call }).await);
        std::future::pending().await
    };
    let wishes = async {
        while let Some(control) = wanted.recv().await {
            send(responses, Response::Control(control)).await?;
        }
        std::future::pending().await
    };
    tokio::select! {
        outcome = from_source => outcome,
        outcome = wishes => outcome,
        outcome = to_source(progress, responses, &chunk, mode) => outcome,
        () = responses.closed() => Ok(()),
        () = shutdown.cancelled() => Err(status::stopping()),
    }
}

/// Tells what may be written to and what becomes durable, until the stream's task has a verdict or lets go of the call.
async fn to_source(
    mut progress: watch::Receiver<Progress>,
    responses: &Responses,
    chunk: &Chunk,
    mode: RecordingMode,
) -> Result<(), Status> {
    let (mut epoch, mut told, mut standing_by) = (None, Frame::ZERO, false);
    loop {
        let Progress { granted, durable, verdict, .. } = progress.borrow_and_update().clone();
        if let Some(granted) = granted.filter(|granted| epoch != Some(granted.epoch)) {
            // Sealed and begun since the last look: the source has to know of both.
            if epoch.is_some() && !standing_by {
                send(responses, Response::Standby(v1::Standby {})).await?;
            }
            send(responses, opened(granted, mode)).await?;
            (epoch, told, standing_by) = (Some(granted.epoch), granted.next, false);
        }
        match verdict {
            Some(Verdict::Ended) => {
                chunk.acknowledged(durable);
                return send(responses, Response::Ended(v1::Ended { durable_frame: durable.get() })).await;
            }
            Some(verdict) => return Err(verdict_status(verdict)),
            None if durable > told => {
                told = durable;
                send(responses, Response::Acknowledged(v1::Acknowledged { durable_frame: durable.get() })).await?;
                chunk.acknowledged(durable);
            }
            None => {}
        }
        if granted.is_none() && !std::mem::replace(&mut standing_by, true) {
            send(responses, Response::Standby(v1::Standby {})).await?;
        }
        if progress.changed().await.is_err() {
            return Ok(());
        }
    }
}

fn opened(Granted { recording, epoch, next, resume }: Granted, mode: RecordingMode) -> Response {
    Response::Opened(v1::Opened {
        recording_id: recording.to_string(),
        epoch: epoch.0,
        next_frame: next.get(),
        resume_frame: resume.map(Frame::get),
        max_append_bytes: MAX_APPEND_BYTES,
        takes_program: true,
        mode: v1::RecordingMode::from(mode).into(),
    })
}

async fn send(responses: &Responses, message: Response) -> Result<(), Status> {
    let response = IngestResponse { message: Some(message) };
    responses.send_timeout(Ok(response), DEAF).await.map_err(|unsent| match unsent {
        SendTimeoutError::Closed(_) => Status::cancelled("the source has gone"),
        SendTimeoutError::Timeout(_) => {
            let text = format!("the source has taken no answer for {DEAF:?}: read them, and open again");
            status::refused(Code::Unavailable, "NOT_READ", [], text)
        }
    })
}

/// What a source plays, if it is short enough.
fn read(v1::Program { playing, upcoming }: v1::Program) -> Result<Program, Status> {
    let title = |field: &str, text: &str| text.parse().map_err(|e: NameError| status::invalid(field, e.to_string()));
    if upcoming.len() > UPCOMING {
        let text = format!("{} titles to come: at most {UPCOMING} are told", upcoming.len());
        return Err(status::invalid("program.upcoming", text));
    }
    let upcoming = upcoming.iter().map(|text| title("program.upcoming", text)).collect::<Result<_, _>>()?;
    Ok(Program { playing: title("program.playing", &playing)?, upcoming })
}

/// What an Append says of its source's clock; nothing, if it is none.
fn drift(request: &IngestRequest) -> Result<Option<Option<Drift>>, Status> {
    let Some(Request::Append(append)) = &request.message else { return Ok(None) };
    match append.clock_drift_ppb {
        Some(ppb) if ppb.unsigned_abs() > MAX_CLOCK_DRIFT_PPB => {
            let text = format!("{ppb} parts in a billion are no clock's drift: at most {MAX_CLOCK_DRIFT_PPB}");
            Err(status::invalid("append.clock_drift_ppb", text))
        }
        told => Ok(Some(told.map(Drift::from_ppb))),
    }
}

pub(crate) fn translate(request: IngestRequest) -> Result<(Message, Bytes), Status> {
    match request.message {
        Some(Request::Append(a)) => {
            if a.pcm.len() > MAX_APPEND_BYTES as usize {
                return Err(over(format!(
                    "{} bytes in one Append; at most {MAX_APPEND_BYTES} are possible",
                    a.pcm.len()
                )));
            }
            let message = Message::Append {
                epoch: Epoch(a.epoch),
                first: Frame::new(a.first_frame),
                bytes: a.pcm.len() as u64,
                captured: WallTime::from_unix_nanos(a.captured_at_unix_ns),
            };
            Ok((message, a.pcm))
        }
        Some(Request::Gap(g)) => {
            let (lost, reason) = (g.lost_frames.map(FrameCount::new), g.reason().into());
            Ok((Message::Gap { epoch: Epoch(g.epoch), at: Frame::new(g.at_frame), lost, reason }, Bytes::new()))
        }
        Some(Request::Title(t)) => {
            let title =
                t.title.parse().map_err(|error: NameError| status::invalid("title.title", error.to_string()))?;
            Ok((Message::Title { epoch: Epoch(t.epoch), at: Frame::new(t.at_frame), title }, Bytes::new()))
        }
        Some(Request::End(e)) => Ok((Message::End { epoch: Epoch(e.epoch), at: Frame::new(e.at_frame) }, Bytes::new())),
        Some(Request::Program(_)) => Err(status::invalid("message", "Program is no part of a recording")),
        Some(Request::Open(_)) => Err(status::invalid("message", "Open comes once, as the first message")),
        None => Err(status::invalid("message", "an empty message: send Append, Gap, Title or End")),
    }
}

/// The library says "out of range" of a message over its limit, which here means a hole in the numbers.
fn too_large(status: Status) -> Status {
    match status.code() {
        Code::OutOfRange => over(format!("{}: at most {MAX_APPEND_BYTES} bytes go into one Append", status.message())),
        _ => status,
    }
}

/// More than `Opened.max_append_bytes`.
fn over(text: String) -> Status {
    let facts = [("max_append_bytes", MAX_APPEND_BYTES.to_string())];
    status::refused(Code::ResourceExhausted, "MESSAGE_TOO_LARGE", facts, text)
}

fn invalid(error: &InvalidMessage) -> Status {
    status::invalid(&format!("open.{}", error.field()), error.to_string())
}

fn open_status(error: OpenError) -> Status {
    match error {
        OpenError::Full(text) => status::later(Code::ResourceExhausted, "DISK_FULL", text),
        OpenError::TooMany(text) => status::later(Code::ResourceExhausted, "TOO_MANY_STREAMS", text),
        OpenError::TooManyRecordings(text) => status::later(Code::ResourceExhausted, "TOO_MANY_RECORDINGS", text),
        OpenError::Unavailable(text) => status::later(Code::Unavailable, "NOT_AVAILABLE", text),
        OpenError::Forbidden(text) => status::refused(Code::PermissionDenied, "STREAM_NOT_ALLOWED", [], text),
    }
}

fn verdict_status(verdict: Verdict) -> Status {
    match verdict {
        Verdict::Refused(refusal) => refusal_status(refusal),
        Verdict::Full(text) => status::later(Code::ResourceExhausted, "DISK_FULL", text),
        Verdict::Failed(text) => status::later(Code::Unavailable, "NOT_AVAILABLE", text),
        Verdict::Replaced => status::refused(
            Code::Aborted,
            "SUPERSEDED",
            [],
            "another source has opened the stream: open it yourself to take it back",
        ),
        // Told in its own message.
        Verdict::Ended => Status::ok(""),
    }
}

fn refusal_status(refusal: Refusal) -> Status {
    let text = refusal.to_string();
    match refusal {
        Refusal::OldEpoch { current, .. } => {
            status::refused(Code::Aborted, "SUPERSEDED", [("epoch", current.to_string())], text)
        }
        Refusal::UnknownEpoch { current, .. } => {
            status::refused(Code::Aborted, "UNKNOWN_EPOCH", [("epoch", current.to_string())], text)
        }
        Refusal::Hole { next, .. } => {
            status::refused(Code::OutOfRange, "HOLE", [("next_frame", next.to_string())], text)
        }
        Refusal::Past { next, .. } => {
            status::refused(Code::OutOfRange, "ALREADY_RECORDED", [("next_frame", next.to_string())], text)
        }
        Refusal::HalfFrame { .. } => status::invalid("append.pcm", text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_source_that_takes_no_acknowledgements_is_given_up() {
        let (news, progress) =
            watch::channel(Progress { granted: None, writes: None, durable: Frame::ZERO, verdict: None });
        let (responses, mut deaf) = mpsc::channel(1);
        let chunk = Chunk::default();
        let counting = async {
            for frame in 1.. {
                news.send_replace(Progress { granted: None, writes: None, durable: Frame::new(frame), verdict: None });
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        };
        let told = tokio::select! {
            told = to_source(progress, &responses, &chunk, RecordingMode::Always) => told.unwrap_err(),
            () = counting => unreachable!("it counts for ever"),
        };
        assert_eq!(told.code(), Code::Unavailable);
        assert!(told.message().contains("60s"), "{told}");
        assert!(deaf.try_recv().is_ok() && deaf.try_recv().is_err(), "one answer waited for it");
    }
}

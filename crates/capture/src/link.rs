//! One call to the recorder after another: open, send, take acknowledgements, until it breaks.

use crate::desk::{Desk, Program};
use crate::session::{SessionError, Shared, Timing};
use crate::trace::Chunks;
use crate::uplink::{Outgoing, Uplink, UplinkError, Waited};
use livetape_access::Actor;
use livetape_audio::{Drift, Durable, Epoch, Frame, FrameCount, RecordingId};
use livetape_proto::v1::ingest_request::Message as Request;
use livetape_proto::v1::ingest_response::Message as Answer;
use livetape_proto::v1::ingest_service_client::IngestServiceClient;
use livetape_proto::{MAX_MESSAGE_BYTES, Opening, RecorderAddress, RecorderEndpoint, v1};
use std::time::Duration;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_stream::wrappers::ReceiverStream;
use tonic::metadata::MetadataValue;
use tonic::{Code, Status, Streaming};

/// Messages between the uplink and the socket. Few: what is here counts as sent.
const UNDER_WAY: usize = 8;
/// For the recorder to take leave after the last message.
const FAREWELL: Duration = Duration::from_millis(250);

/// Why a call has ended before its work was done.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// Another call may go well.
    Passing(String),
    /// It may not.
    Final(SessionError),
    /// Nothing is wrong: somebody else sends now, and a call says for whom it is when it begins.
    OtherSender,
}

fn passing(what: impl Into<String>) -> Trouble {
    Trouble::Passing(what.into())
}

/// Which recorder, and how long to wait for it.
#[derive(Clone)]
pub(crate) struct Destination {
    pub(crate) endpoint: RecorderEndpoint,
    pub(crate) recorder: RecorderAddress,
}

/// Connects as often as needed; remembers what the recorder has to be told each time.
pub(crate) struct Link {
    destination: Destination,
    opening: Opening,
    timing: Timing,
    /// Where the number of the first captured frame goes, when the recorder has answered an open.
    first: Option<oneshot::Sender<Frame>>,
    /// For whom this is sent, if it is for others.
    publisher: Publisher,
    /// Where the source is told to skip, and what it shows there.
    desk: Option<(Desk, watch::Receiver<Program>)>,
    /// The recorder understands that, and does not know it yet.
    tells: bool,
    untold: bool,
    chunks: Chunks,
}

/// Who sends what is passed on, now and later.
pub(crate) type Publisher = watch::Receiver<Option<Actor>>;

struct Call {
    requests: mpsc::Sender<v1::IngestRequest>,
    answers: Streaming<v1::IngestResponse>,
}

impl Link {
    pub(crate) fn new(
        destination: Destination,
        opening: Opening,
        timing: Timing,
        first: Option<oneshot::Sender<Frame>>,
        publisher: Publisher,
        desk: Option<Desk>,
    ) -> Self {
        let desk = desk.map(|desk| (desk.clone(), desk.program()));
        let chunks = Chunks::default();
        Self { destination, opening, timing, first, publisher, desk, tells: false, untold: false, chunks }
    }

    /// Opens the stream and delivers. `Ok` when the recorder has sealed the recording at the source's end, or when
    /// everything that was to be flushed is durable. `progress` is called whenever audio became durable.
    pub(crate) async fn call(&mut self, shared: &Shared, progress: &mut impl FnMut()) -> Result<(), Trouble> {
        let mut call = tokio::select! {
            call = self.open(shared) => match call? {
                Some(call) => call,
                None => return Ok(()),
            },
            () = shared.until_drained() => return Ok(()),
        };
        self.chunks.give_up();
        let (mut sending, mut overdue) = (true, None);
        loop {
            if shared.drained() {
                return self.take_leave(call).await;
            }
            let (more, waiting) = shared.with(|uplink| (uplink.has_to_send(), uplink.awaits_answer()));
            overdue = waiting.then(|| overdue.unwrap_or_else(|| Instant::now() + self.timing.acknowledgement));
            tokio::select! {
                permit = call.requests.reserve(), if (more || self.untold) && sending => match permit {
                    Ok(permit) => if let Some(program) = self.news() {
                        permit.send(wrap(Request::Program(program)));
                    } else if let Some((message, waited)) = shared.with(next_to_send) {
                        let mut request = request(message, shared.drift());
                        self.chunks.send(&self.opening.stream, &mut request, waited);
                        permit.send(request);
                    },
                    // The call is over; why, comes as its last answer.
                    Err(_) => sending = false,
                },
                answer = call.answers.message() => {
                    match answer.map_err(|status| trouble(&status))?.and_then(|answer| answer.message) {
                        Some(Answer::Acknowledged(v1::Acknowledged { durable_frame })) => {
                            self.chunks.acknowledged(durable_frame);
                            if acknowledge(shared, durable_frame)? {
                                progress();
                                overdue = None;
                            }
                        }
                        Some(Answer::Ended(v1::Ended { durable_frame })) => {
                            self.chunks.acknowledged(durable_frame);
                            acknowledge(shared, durable_frame)?;
                            return ended(shared);
                        }
                        Some(Answer::Standby(_)) => {
                            self.stand_by(shared);
                            progress();
                        }
                        Some(Answer::Opened(opened)) if shared.with(|uplink| uplink.is_standing_by()) => {
                            self.opened(shared, &opened)?;
                        }
                        Some(Answer::Opened(_)) => return Err(passing("the recorder answered the open twice")),
                        Some(Answer::Control(v1::Control { what })) => self.control(what),
                        None => return Err(passing("the recorder has closed the call")),
                    }
                }
                () = shared.changed.notified() => {}
                Ok(()) = self.publisher.changed() => return Err(Trouble::OtherSender),
                () = changed(&mut self.desk), if self.tells && !self.untold => self.untold = true,
                () = sleep_until(overdue.unwrap_or_else(Instant::now)), if waiting => {
                    let limit = self.timing.acknowledgement;
                    return Err(passing(format!("the recorder has acknowledged nothing for {limit:?}")));
                }
            }
        }
    }

    /// Connects, sends Open and takes the answer in. There is no call when the recorder has sealed the recording already,
    /// and could not say so before.
    async fn open(&mut self, shared: &Shared) -> Result<Option<Call>, Trouble> {
        let connected = timeout(self.timing.open, self.destination.endpoint.connect()).await;
        let channel = connected
            .map_err(|_| passing(format!("no connection to the recorder within {:?}", self.timing.open)))?
            .map_err(|error| passing(format!("no connection to the recorder: {}", whole(&error))))?;
        let mut client = IngestServiceClient::new(self.destination.recorder.over(channel))
            .max_decoding_message_size(MAX_MESSAGE_BYTES)
            .max_encoding_message_size(MAX_MESSAGE_BYTES);
        let (requests, receiver) = mpsc::channel(UNDER_WAY);
        self.opening.ending = shared.with(|uplink| uplink.is_ending());
        let publisher = self.publisher.borrow_and_update().clone();
        let open = async {
            // There is room: nothing was sent yet.
            let _ = requests.send(wrap(Request::Open(self.opening.clone().into()))).await;
            let mut request = tonic::Request::new(ReceiverStream::new(receiver));
            if let Some(publisher) = &publisher {
                request.metadata_mut().insert_bin(Actor::METADATA, MetadataValue::from_bytes(&publisher.to_bytes()));
            }
            let mut answers = client.ingest(request).await?.into_inner();
            let first = answers.message().await?;
            Ok((answers, first))
        };
        let (answers, first) = timeout(self.timing.open, open)
            .await
            .map_err(|_| passing(format!("the recorder has not answered the open within {:?}", self.timing.open)))?
            .map_err(|status: Status| trouble(&status))?;
        match first.and_then(|first| first.message) {
            Some(Answer::Opened(opened)) => self.opened(shared, &opened)?,
            Some(Answer::Standby(_)) => self.stand_by(shared),
            Some(Answer::Ended(v1::Ended { durable_frame })) if self.opening.ending => {
                acknowledge(shared, durable_frame)?;
                return ended(shared).map(|()| None);
            }
            _ => return Err(passing("the recorder has not answered the open")),
        }
        Ok(Some(Call { requests, answers }))
    }

    fn opened(&mut self, shared: &Shared, opened: &v1::Opened) -> Result<(), Trouble> {
        let recording: RecordingId =
            opened.recording_id.parse().map_err(|error| passing(format!("the recorder's answer: {error}")))?;
        let next = Frame::new(opened.next_frame);
        let resume = opened.resume_frame.map(Frame::new);
        // Gaps and headers of messages need room too, which the limit on messages leaves.
        let most = u64::from(opened.max_append_bytes.min(livetape_proto::MAX_APPEND_BYTES));
        let keeps = opened.mode() == v1::RecordingMode::Always;
        let opens = |uplink: &mut Uplink| {
            let unwanted = if keeps { FrameCount::ZERO } else { uplink.let_go_of_unanswered() };
            uplink.opened(Epoch(opened.epoch), recording, next, resume, most)?;
            Ok((unwanted, uplink.upcoming()))
        };
        let (unwanted, upcoming) = shared.with(opens).map_err(|error: UplinkError| Trouble::Final(error.into()))?;
        tracing::info!(%recording, epoch = opened.epoch, %next, "the stream is open");
        if !unwanted.is_zero() {
            tracing::info!(frames = %unwanted, "the stream records on demand: what was captured before is not kept");
        }
        self.tells = opened.takes_program;
        self.untold = self.tells && self.desk.is_some();
        self.opening.resume = Some(recording);
        self.begin(upcoming);
        Ok(())
    }

    /// Nobody has begun a recording, or it was ended. The source goes on, so that its first frame is one of the moment at
    /// which somebody begins.
    fn stand_by(&mut self, shared: &Shared) {
        self.chunks.give_up();
        // What it had a part in is over, and it keeps nothing that could be added to it.
        self.opening.resume = None;
        let (before, upcoming) = shared.with(|uplink| {
            let before = uplink.is_standing_by();
            uplink.stand_by();
            (before, uplink.upcoming())
        });
        if !before {
            tracing::info!("the stream records on demand: nothing is kept until somebody begins a recording");
        }
        self.begin(upcoming);
    }

    /// What the recorder is to be told of what plays, if it does not know.
    fn news(&mut self) -> Option<v1::Program> {
        let (_, shown) = self.desk.as_mut().filter(|_| std::mem::take(&mut self.untold))?;
        let Program { playing, upcoming } = shown.borrow_and_update().clone();
        Some(v1::Program { playing: playing.into(), upcoming: upcoming.into_iter().map(Into::into).collect() })
    }

    /// What an operator wants. What this version does not know it does not do.
    fn control(&self, what: Option<v1::control::What>) {
        if let (Some(v1::control::What::Skip(v1::Skip {})), Some((desk, _))) = (what, &self.desk) {
            tracing::info!("somebody has skipped what was playing");
            desk.skip();
        }
    }

    fn begin(&mut self, upcoming: Frame) {
        if let Some(first) = self.first.take() {
            // Nobody waits any more if the source was stopped meanwhile.
            let _ = first.send(upcoming);
        }
    }

    /// Everything is durable: half-closes the call and gives the recorder a moment, so that it sees an end, not a break.
    async fn take_leave(&self, call: Call) -> Result<(), Trouble> {
        let Call { requests, mut answers } = call;
        drop(requests);
        let _ = timeout(FAREWELL, async { while let Ok(Some(_)) = answers.message().await {} }).await;
        Ok(())
    }
}

fn next_to_send(uplink: &mut Uplink) -> Option<(Outgoing, Waited)> {
    let message = uplink.next_to_send()?;
    Some((message, uplink.waited()))
}

/// Waits until a source shows something else.
async fn changed(desk: &mut Option<(Desk, watch::Receiver<Program>)>) {
    match desk {
        // The sender is beside it.
        Some((_, shown)) => _ = shown.changed().await,
        None => std::future::pending().await,
    }
}

fn acknowledge(shared: &Shared, durable: u64) -> Result<bool, Trouble> {
    let outcome = shared.with(|uplink| uplink.acknowledged(Durable(Frame::new(durable))));
    outcome.map_err(|error| passing(error.to_string()))
}

fn ended(shared: &Shared) -> Result<(), Trouble> {
    if shared.with(|uplink| uplink.is_settled()) {
        shared.with(Uplink::finished);
        return Ok(());
    }
    Err(passing("the recorder has ended the recording before all of it was durable"))
}

/// What a status means for a source, as the contract says.
fn trouble(status: &Status) -> Trouble {
    let message = status.message().to_owned();
    match status.code() {
        Code::Aborted => Trouble::Final(SessionError::Superseded(message)),
        Code::InvalidArgument | Code::PermissionDenied => Trouble::Final(SessionError::Refused(message)),
        Code::ResourceExhausted => passing(format!("the recorder has no room: {message}")),
        code => passing(format!("the call to the recorder broke ({code:?}): {message}")),
    }
}

/// An error with its causes, which transport errors hide.
fn whole(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

const fn wrap(message: Request) -> v1::IngestRequest {
    v1::IngestRequest { message: Some(message) }
}

fn request(message: Outgoing, drift: Option<Drift>) -> v1::IngestRequest {
    wrap(match message {
        Outgoing::Append { epoch, first, time, pcm } => Request::Append(v1::Append {
            epoch: epoch.0,
            first_frame: first.get(),
            captured_at_unix_ns: time.unix_nanos(),
            pcm,
            traceparent: String::new(),
            clock_drift_ppb: drift.map(Drift::ppb),
        }),
        Outgoing::Gap { epoch, at, frames, reason } => Request::Gap(v1::Gap {
            epoch: epoch.0,
            at_frame: at.get(),
            lost_frames: frames.map(FrameCount::get),
            reason: v1::GapReason::from(reason).into(),
        }),
        Outgoing::Title { epoch, at, title } => {
            Request::Title(v1::Title { epoch: epoch.0, at_frame: at.get(), title: title.into() })
        }
        Outgoing::End { epoch, at } => Request::End(v1::End { epoch: epoch.0, at_frame: at.get() }),
    })
}

//! Sessions against a recorder that speaks real gRPC and can be told to misbehave.

use super::*;
use crate::sources::{Chunk, Lost};
use crate::status::CardStatus;
use livetape_audio::{FrameCount, GapReason, Instance, RecordingId, Spec, WallTime};
use livetape_proto::v1;
use livetape_proto::v1::ingest_request::Message as Request;
use livetape_proto::v1::ingest_response::Message as Answer;
use livetape_proto::v1::ingest_service_server::{IngestService, IngestServiceServer};
use livetape_testkit::counting;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::time::{Instant, timeout};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Request as Call, Response, Status as Refusal, Streaming};

/// What the recorder does in one call.
#[derive(Clone, Copy, Debug)]
enum Mood {
    /// Takes everything.
    Good,
    /// Breaks the call off after so many appends, of which the last `lost` were not durable.
    Break { after: usize, lost: usize },
    /// Ends the call with this code after so many appends.
    Refuse { after: usize, code: tonic::Code },
    /// Takes all audio and answers nothing.
    Silent,
    /// Takes everything, and breaks the call off where it should say that the recording is sealed.
    Parting,
    /// Does not answer the open.
    Deaf,
}

/// Stands for a gap of unknown length.
const UNKNOWN: u64 = 1 << 40;

#[derive(Default)]
struct Tape {
    /// Answers nobody, and breaks the calls that there are.
    down: bool,
    on_demand: bool,
    moods: VecDeque<Mood>,
    opens: Vec<v1::Open>,
    pcm: Vec<u8>,
    gaps: Vec<(u64, u64)>,
    titles: Vec<(u64, String)>,
    ended: usize,
    /// What the last append said of the source's clock.
    drift: Option<i32>,
}

impl Tape {
    fn frames(&self) -> u64 {
        self.pcm.len() as u64 / 4
    }
}

#[derive(Clone, Default)]
struct Recorder(Arc<Mutex<Tape>>);

impl Recorder {
    fn tape(&self) -> std::sync::MutexGuard<'_, Tape> {
        self.0.lock().unwrap()
    }

    async fn serve(&self) -> String {
        self.serve_on(tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    fn serve_on(&self, listener: tokio::net::TcpListener) -> String {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let service = IngestServiceServer::new(self.clone());
        let server = tonic::transport::Server::builder().add_service(service);
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
        url
    }

    fn open(&self, open: v1::Open) -> (Mood, v1::Opened) {
        let mut tape = self.tape();
        let next = tape.frames();
        let resume = open.resume_recording_id.as_ref().map(|_| next);
        tape.opens.push(open);
        let mode = if tape.on_demand { v1::RecordingMode::OnDemand } else { v1::RecordingMode::Always };
        let opened = v1::Opened {
            recording_id: RecordingId::new(1_763_649_000_000, &[1; 10]).to_string(),
            epoch: tape.opens.len() as u64,
            next_frame: next,
            resume_frame: resume,
            max_append_bytes: 1 << 20,
            takes_program: false,
            mode: mode.into(),
        };
        (tape.moods.pop_front().unwrap_or(Mood::Good), opened)
    }

    async fn call(
        &self,
        mut requests: Streaming<v1::IngestRequest>,
        answers: &tokio::sync::mpsc::Sender<Result<v1::IngestResponse, Refusal>>,
    ) -> Result<(), Refusal> {
        let answer = |answer| async { _ = answers.send(Ok(v1::IngestResponse { message: Some(answer) })).await };
        let Some(Request::Open(open)) = requests.message().await?.and_then(|m| m.message) else {
            return Err(Refusal::invalid_argument("no Open first"));
        };
        if self.tape().down {
            return Err(Refusal::unavailable("down as told"));
        }
        if open.ending && self.tape().ended > 0 {
            self.tape().opens.push(open);
            let durable_frame = self.tape().frames();
            answer(Answer::Ended(v1::Ended { durable_frame })).await;
            return Ok(());
        }
        let (mood, opened) = self.open(open);
        if matches!(mood, Mood::Deaf) {
            std::future::pending::<()>().await;
        }
        let epoch = opened.epoch;
        answer(Answer::Opened(opened)).await;
        let (mut appends, mut pending) = (0, 0);
        let mut durable = self.tape().pcm.len();
        while let Some(message) = requests.message().await?.and_then(|m| m.message) {
            match (mood, appends) {
                _ if self.tape().down => return Err(Refusal::unavailable("down as told")),
                (Mood::Refuse { after, code }, n) if n >= after => return Err(Refusal::new(code, "as told")),
                (Mood::Break { after, .. }, n) if n >= after => {
                    self.tape().pcm.truncate(durable);
                    return Err(Refusal::unavailable("broken as told"));
                }
                _ => {}
            }
            match message {
                Request::Open(_) => return Err(Refusal::invalid_argument("opened twice")),
                Request::Append(append) => {
                    let mut tape = self.tape();
                    assert_eq!((append.epoch, append.first_frame), (epoch, tape.frames()));
                    if pending > 0 {
                        let at = tape.frames();
                        tape.gaps.push((at, std::mem::take(&mut pending)));
                    }
                    tape.pcm.extend_from_slice(&append.pcm);
                    tape.drift = append.clock_drift_ppb;
                    appends += 1;
                    if !matches!(mood, Mood::Break { after, lost } if appends + lost > after) {
                        durable = tape.pcm.len();
                    }
                }
                Request::Title(title) => {
                    let mut tape = self.tape();
                    assert_eq!((title.epoch, title.at_frame), (epoch, tape.frames()));
                    tape.titles.push((title.at_frame, title.title));
                }
                Request::Program(_) => return Err(Refusal::invalid_argument("nobody has asked for it")),
                Request::Gap(gap) => pending += gap.lost_frames.unwrap_or(UNKNOWN),
                Request::End(_) if matches!(mood, Mood::Silent) => {}
                Request::End(end) => {
                    assert_eq!((end.epoch, end.at_frame), (epoch, self.tape().frames()));
                    self.tape().ended += 1;
                    if matches!(mood, Mood::Parting) {
                        return Err(Refusal::unavailable("broken as told"));
                    }
                    let durable_frame = self.tape().frames();
                    answer(Answer::Ended(v1::Ended { durable_frame })).await;
                    return Ok(());
                }
            }
            if !matches!(mood, Mood::Silent) {
                answer(Answer::Acknowledged(v1::Acknowledged { durable_frame: durable as u64 / 4 })).await;
            }
        }
        Ok(())
    }
}

#[tonic::async_trait]
impl IngestService for Recorder {
    type IngestStream = ReceiverStream<Result<v1::IngestResponse, Refusal>>;
    async fn ingest(&self, call: Call<Streaming<v1::IngestRequest>>) -> Result<Response<Self::IngestStream>, Refusal> {
        let (answers, receiver) = tokio::sync::mpsc::channel(16);
        let recorder = self.clone();
        tokio::spawn(async move {
            if let Err(status) = recorder.call(call.into_inner(), &answers).await {
                let _ = answers.send(Err(status)).await;
            }
        });
        Ok(Response::new(ReceiverStream::new(receiver)))
    }
}

/// Counts in pieces of 20 frames, one each 2 ms.
struct Script {
    next: u64,
    pieces: usize,
    then: Then,
}

#[derive(Clone, Copy)]
enum Then {
    End,
    Wait,
    Fail,
}

fn spec() -> Spec {
    counting::spec(8_000).unwrap()
}

impl Source for Script {
    fn spec(&self) -> Spec {
        spec()
    }
    fn begin(&mut self, next: Frame) {
        self.next = next.get();
    }
    async fn next(&mut self) -> Result<Option<Piece>, SourceError> {
        if self.pieces == 0 {
            return match self.then {
                Then::End => Ok(None),
                Then::Wait => std::future::pending().await,
                Then::Fail => Err(SourceError::Read(std::io::Error::other("the cable is out"))),
            };
        }
        sleep(Duration::from_millis(2)).await;
        self.pieces -= 1;
        let first = Frame::new(self.next);
        if self.pieces == 5 {
            self.next += 7;
            return Ok(Some(Piece::Gap(Lost { frames: FrameCount::new(7), reason: GapReason::Xrun })));
        }
        self.next += 20;
        let time = WallTime::default().after_frames(first.since(Frame::ZERO), spec());
        Ok(Some(Piece::Audio(Chunk { time, pcm: counting::encode(first, FrameCount::new(20)).into() })))
    }
}

fn timing() -> Timing {
    Timing {
        open: Duration::from_millis(500),
        acknowledgement: Duration::from_millis(300),
        backoff: Duration::from_millis(5)..=Duration::from_millis(50),
        flush: Duration::from_millis(400),
    }
}

fn session(url: &str, queue_bytes: u64) -> (Session, watch::Receiver<Status>) {
    let (status, watch) = watch::channel(Status::default());
    let opening = Opening {
        stream: "live".parse().unwrap(),
        source: "test".parse().unwrap(),
        instance: Instance([9; 16]),
        spec: spec(),
        resume: None,
        title: "".parse().unwrap(),
        genre: "".parse().unwrap(),
        ending: false,
    };
    let recorder = livetape_proto::RecorderAddress::new(url);
    let destination = Destination { endpoint: recorder.endpoint().unwrap(), recorder };
    (
        Session {
            destination,
            opening,
            timing: timing(),
            ends: false,
            queue_bytes,
            spool: None,
            status,
            publisher: watch::channel(None).1,
        },
        watch,
    )
}

/// Runs 100 pieces and the end against a recorder in these moods.
async fn run(moods: &[Mood], then: Then) -> (Result<(), SessionError>, Recorder, Status) {
    let recorder = Recorder::default();
    recorder.tape().moods.extend(moods);
    let (session, status) = session(&recorder.serve().await, 1 << 20);
    let source = Script { next: 0, pieces: 100, then };
    let outcome = timeout(Duration::from_secs(20), session.run(source, CancellationToken::new())).await.unwrap();
    let status = *status.borrow();
    (outcome, recorder, status)
}

#[tokio::test]
async fn how_the_card_runs_is_said_where_that_can_be_believed() {
    for (ppm, told) in [(12.349, Some(12_300)), (-0.04, Some(0)), (20_000.0, None)] {
        let recorder = Recorder::default();
        let (session, _status) = session(&recorder.serve().await, 1 << 20);
        let card = CardStatus { present: true, drift: Some(Drift::from_ppm(ppm)), ..CardStatus::default() };
        session.status.send_modify(|status| status.card = Some(card));
        let source = Script { next: 0, pieces: 10, then: Then::End };
        timeout(Duration::from_secs(20), session.run(source, CancellationToken::new())).await.unwrap().unwrap();
        let tape = recorder.tape();
        assert_eq!((tape.drift, tape.ended), (told, 1), "{ppm} ppm");
    }
    let (_, recorder, _) = run(&[], Then::End).await;
    assert_eq!(recorder.tape().drift, None, "it has no card");
}

/// 94 pieces, the missed 7 frames, 5 pieces: all there, once, and sealed.
fn is_whole(recorder: &Recorder) {
    let tape = recorder.tape();
    let runs: Vec<(u64, u64)> =
        counting::runs(&tape.pcm).iter().map(|r| (u64::from(r.first), r.frames.get())).collect();
    assert_eq!(runs, [(0, 94 * 20), (94 * 20 + 7, 5 * 20)]);
    assert_eq!(tape.gaps, [(94 * 20, 7)]);
    assert_eq!(tape.ended, 1);
}

#[tokio::test]
async fn a_whole_recording_with_its_end() {
    let (outcome, recorder, status) = run(&[], Then::End).await;
    outcome.unwrap();
    is_whole(&recorder);
    assert_eq!(recorder.tape().opens.len(), 1);
    assert_eq!(status.acknowledged, FrameCount::new(99 * 20));
    assert_eq!((status.given_up, status.missed), (FrameCount::ZERO, FrameCount::new(7)));
}

#[tokio::test]
async fn broken_calls_lose_nothing_and_keep_their_instance() {
    let moods = [
        Mood::Break { after: 10, lost: 0 },
        Mood::Break { after: 7, lost: 7 },
        Mood::Refuse { after: 3, code: tonic::Code::ResourceExhausted },
        Mood::Refuse { after: 0, code: tonic::Code::OutOfRange },
        Mood::Deaf,
        Mood::Break { after: 30, lost: 2 },
        Mood::Refuse { after: 5, code: tonic::Code::FailedPrecondition },
        Mood::Silent,
    ];
    let (outcome, recorder, _) = run(&moods, Then::End).await;
    outcome.unwrap();
    is_whole(&recorder);
    let tape = recorder.tape();
    assert_eq!(tape.opens.len(), 9);
    assert!(tape.opens.iter().all(|open| open.instance == [9; 16]));
    assert!(tape.opens[0].resume_recording_id.is_none() && tape.opens[1].resume_recording_id.is_some());
}

#[tokio::test]
async fn an_end_whose_answer_was_lost_is_not_said_again() {
    let (outcome, recorder, status) = run(&[Mood::Parting], Then::End).await;
    outcome.unwrap();
    is_whole(&recorder);
    let opens = recorder.tape().opens.iter().map(|open| open.ending).collect::<Vec<_>>();
    // A busy machine may break a call before.
    assert!(opens.first() == Some(&false) && opens.last() == Some(&true) && opens.is_sorted(), "{opens:?}");
    assert_eq!((status.acknowledged, status.given_up), (FrameCount::new(99 * 20), FrameCount::ZERO));
}

#[tokio::test]
async fn a_recorder_that_comes_late_gets_everything() {
    let recorder = Recorder::default();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let (session, _status) = session(&url, 1 << 20);
    let source = Script { next: 0, pieces: 100, then: Then::End };
    let running = tokio::spawn(session.run(source, CancellationToken::new()));
    sleep(Duration::from_millis(200)).await;
    recorder.serve_on(tokio::net::TcpListener::bind(url.trim_start_matches("http://")).await.unwrap());
    timeout(Duration::from_secs(20), running).await.unwrap().unwrap().unwrap();
    is_whole(&recorder);
}

#[tokio::test]
async fn what_does_not_fit_is_one_gap_of_its_length() {
    let recorder = Recorder::default();
    recorder.tape().moods.extend([Mood::Break { after: 20, lost: 0 }, Mood::Deaf]);
    // Room for 20 pieces; while the recorder is deaf, some 70 come.
    let (mut session, status) = session(&recorder.serve().await, 20 * 80);
    session.timing.open = Duration::from_secs(1);
    let source = Script { next: 0, pieces: 95, then: Then::End };
    timeout(Duration::from_secs(20), session.run(source, CancellationToken::new())).await.unwrap().unwrap();
    let tape = recorder.tape();
    let given_up = status.borrow().given_up.get();
    assert!(given_up > 0 && tape.frames() + given_up == 94 * 20, "{} and {given_up}", tape.frames());
    // The source's own gap is the second jump; the first is what was given up.
    let runs = counting::runs(&tape.pcm);
    let jump = u64::from(runs[1].first) - u64::from(runs[0].first) - runs[0].frames.get();
    assert_eq!(jump, given_up);
    assert_eq!(tape.gaps[0], (runs[0].frames.get(), given_up));
}

#[tokio::test]
async fn a_source_that_was_superseded_stops() {
    let (outcome, recorder, _) = run(&[Mood::Refuse { after: 5, code: tonic::Code::Aborted }], Then::Wait).await;
    assert!(matches!(outcome, Err(SessionError::Superseded(_))), "{outcome:?}");
    assert_eq!(recorder.tape().opens.len(), 1, "it does not take the stream back");
}

#[tokio::test]
async fn a_source_that_is_refused_stops() {
    let (outcome, ..) = run(&[Mood::Refuse { after: 0, code: tonic::Code::InvalidArgument }], Then::Wait).await;
    let message = outcome.unwrap_err().to_string();
    assert!(message.contains("refuses") && message.contains("as told"), "{message}");
}

#[tokio::test]
async fn a_source_that_fails_keeps_what_it_captured_and_does_not_end_the_recording() {
    let (outcome, recorder, status) = run(&[Mood::Break { after: 50, lost: 9 }], Then::Fail).await;
    assert!(outcome.unwrap_err().to_string().contains("the cable is out"));
    assert_eq!(recorder.tape().frames(), 99 * 20);
    assert_eq!(recorder.tape().ended, 0);
    assert_eq!(status.waiting(), FrameCount::ZERO);
}

#[tokio::test]
async fn stopping_flushes_and_does_not_end_the_recording() {
    let recorder = Recorder::default();
    let (session, status) = session(&recorder.serve().await, 1 << 20);
    let shutdown = CancellationToken::new();
    let source = Script { next: 0, pieces: 100_000, then: Then::Wait };
    let running = tokio::spawn(session.run(source, shutdown.clone()));
    sleep(Duration::from_millis(200)).await;
    shutdown.cancel();
    timeout(Duration::from_secs(5), running).await.unwrap().unwrap().unwrap();
    let status = *status.borrow();
    let tape = recorder.tape();
    assert!(tape.frames() > 0 && tape.frames() == status.captured.get());
    assert_eq!(status.waiting(), FrameCount::ZERO);
    assert_eq!(tape.ended, 0);
}

#[tokio::test]
async fn stopping_does_not_wait_for_ever() {
    for moods in [&[Mood::Silent; 9][..], &[Mood::Deaf]] {
        let recorder = Recorder::default();
        recorder.tape().moods.extend(moods);
        let (session, _status) = session(&recorder.serve().await, 1 << 20);
        let shutdown = CancellationToken::new();
        let source = Script { next: 0, pieces: 100_000, then: Then::Wait };
        let running = tokio::spawn(session.run(source, shutdown.clone()));
        sleep(Duration::from_millis(100)).await;
        let stopped = Instant::now();
        shutdown.cancel();
        timeout(Duration::from_secs(5), running).await.unwrap().unwrap().unwrap();
        assert!(stopped.elapsed() < Duration::from_secs(1), "{:?}", stopped.elapsed());
    }
}

#[tokio::test]
async fn the_whole_role_with_two_real_generators() {
    use crate::sources::file::Playing;
    use crate::{Capture, CaptureConfig, SourceConfig, SourceSpec};
    let (one, two) = (Recorder::default(), Recorder::default());
    // The second stream counts on from where its recording stands.
    two.tape().pcm = counting::encode(Frame::ZERO, FrameCount::new(70_000));
    for (recorder, stream) in [(&one, "a"), (&two, "b")] {
        let spec = counting::spec(44_100).unwrap();
        let source = SourceConfig {
            stream: stream.parse().unwrap(),
            source: SourceSpec::Counting,
            shape: spec.into(),

            buffer: None,
            fallback: None,
            playing: Playing::default(),
            meter: None,
            ends: false,
            title: "Studio".parse().unwrap(),
            genre: "Jazz".parse().unwrap(),
        };
        let capture = Capture::bind(CaptureConfig::new(recorder.serve().await, vec![source])).await.unwrap();
        let (_, status) = capture.statuses().remove(0);
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(capture.run(shutdown.clone()));
        sleep(Duration::from_millis(500)).await;
        shutdown.cancel();
        timeout(Duration::from_secs(5), running).await.unwrap().unwrap().unwrap();
        let tape = recorder.tape();
        counting::verify(&tape.pcm, Frame::ZERO).unwrap();
        assert_eq!(status.borrow().waiting(), FrameCount::ZERO);
        assert!((2..=30).contains(&(status.borrow().acknowledged.get() / 882)), "{:?}", status.borrow());
        let open = livetape_proto::Opening::try_from(tape.opens[0].clone()).unwrap();
        assert_eq!((open.source.as_str(), open.title.as_str(), open.spec), ("counting", "Studio", spec));
    }
}

mod spooled;

//! The recorder as a source sees it, over real gRPC, and what lies on disk afterwards.

use crate::common::config;
use livetape_audio::{Entry, Frame, FrameCount, SealReason, Spec, Tail, WallTime};
use livetape_proto::v1;
use livetape_recorder::{Recorder, RecorderConfig};
use livetape_store::{Catalogue, DataDir, Disk, Faults, Flush, Op, Query, Recording, TapeReader, TimelineFollower};
use livetape_tail::{MemoryTails, Watch};
use livetape_testkit::grpc_source::{Call, begin, open, open_ended, opening, stereo};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::Code;

struct Running {
    addr: SocketAddr,
    tails: Arc<MemoryTails>,
    catalogue: Arc<Catalogue>,
    dir: DataDir,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

async fn start(config: RecorderConfig) -> Running {
    let tails = Arc::new(MemoryTails::default());
    let recorder = Recorder::bind(config, Arc::clone(&tails) as _).await.unwrap();
    let (addr, catalogue, dir) = (recorder.local_addr(), recorder.catalogue(), recorder.data_dir());
    let stop = CancellationToken::new();
    let task = tokio::spawn(recorder.run(stop.clone()));
    Running { addr, tails, catalogue, dir, stop, task }
}

impl Running {
    /// Stops in order and gives the folder free.
    async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(10), self.task).await.expect("stops in time").unwrap().unwrap();
    }

    fn recording(&self, id: &str) -> Arc<Recording> {
        self.catalogue.get(id.parse().unwrap()).expect("in the catalogue")
    }

    async fn sealed(&self, id: &str) -> Arc<Recording> {
        for _ in 0..1_000 {
            let recording = self.recording(id);
            if recording.seal.is_some() {
                return recording;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        panic!("{id} was not sealed");
    }

    fn timeline(&self, recording: &Recording, end: Frame) -> Vec<Entry> {
        let mut follower = TimelineFollower::open(&self.dir, recording);
        follower.refresh(&Tail::sealed(livetape_audio::Durable(end), None, self.dir.generation())).unwrap();
        follower.timeline().entries().to_vec()
    }

    fn audio(&self, recording: &Recording, end: Frame) -> Vec<u8> {
        let mut reader = TapeReader::open(&self.dir, recording);
        let (mut at, mut all) = (Frame::ZERO, Vec::new());
        while at < end {
            let pcm = reader.read(at..end).unwrap();
            at = at + recording.spec.frames_in(pcm.len() as u64).0;
            all.extend_from_slice(&pcm);
        }
        all
    }
}

/// Counting PCM: `n` frames from `first` on.
fn pcm(first: u64, n: u64) -> Vec<u8> {
    (first..first + n).flat_map(|frame| (frame as u32).to_le_bytes()).collect()
}

fn at(text: &str) -> WallTime {
    text.parse().unwrap()
}

fn noon() -> WallTime {
    at("2026-11-20T12:00:00Z")
}

fn after(time: WallTime, frames: u64) -> WallTime {
    time.after_frames(FrameCount::new(frames), stereo())
}

fn same_source(of: &v1::Open, counts_in: &Call) -> v1::Open {
    v1::Open { resume_recording_id: Some(counts_in.opened.recording_id.clone()), ..of.clone() }
}

fn gaps(entries: &[Entry]) -> usize {
    entries.iter().filter(|e| matches!(e, Entry::Gap(_))).count()
}

#[tokio::test]
async fn what_is_acknowledged_is_on_disk_and_published() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(config(folder.path())).await;
    let mut call = open(recorder.addr, opening("a", stereo())).await.unwrap();
    assert_eq!((call.opened.next_frame, call.opened.resume_frame), (0, None));
    let id = call.opened.recording_id.clone();
    for chunk in 0..50 {
        assert!(call.append(Frame::new(chunk * 960), after(noon(), chunk * 960), pcm(chunk * 960, 960)).await);
    }
    let end = Frame::new(48_000);
    call.acknowledged(end).await.unwrap();
    let recording = recorder.recording(&id);
    assert_eq!(recorder.tails.watch(recording.id).unwrap().current().end, end);
    assert_eq!(recorder.audio(&recording, end), pcm(0, 48_000));
    assert_eq!(call.end(end).await.unwrap(), end);
    let seal = recorder.recording(&id).seal.expect("sealed");
    assert_eq!((seal.end, seal.reason, seal.next), (end, SealReason::SourceEnded, None));
    assert!(recorder.tails.watch(recording.id).is_none(), "sealed recordings are the catalogue's");
    recorder.stop().await;
}

#[tokio::test]
async fn a_broken_call_resumes_and_a_restarted_source_leaves_one_gap() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(config(folder.path())).await;
    let source = opening("a", stereo());
    let mut call = open(recorder.addr, source.clone()).await.unwrap();
    let id = call.opened.recording_id.clone();
    call.append(Frame::ZERO, noon(), pcm(0, 1_000)).await;
    call.acknowledged(Frame::new(1_000)).await.unwrap();
    let again = open(recorder.addr, same_source(&source, &call)).await.unwrap();
    assert_eq!((again.opened.next_frame, again.opened.resume_frame), (1_000, Some(1_000)));
    assert!(again.opened.epoch > call.opened.epoch);
    assert_eq!(call.refusal().await.code(), Code::Unavailable, "the same source: it may come back");
    // Sends again what may not have arrived, then goes on.
    again.append(Frame::new(500), after(noon(), 500), pcm(500, 1_500)).await;
    drop(call);
    // The recorder restarts; the source comes back with everything.
    let mut again = again;
    again.acknowledged(Frame::new(2_000)).await.unwrap();
    recorder.stop().await;
    let recorder = start(config(folder.path())).await;
    let mut third = open(recorder.addr, same_source(&source, &again)).await.unwrap();
    assert_eq!((&third.opened.recording_id, third.opened.resume_frame), (&id, Some(2_000)));
    third.append(Frame::new(2_000), after(noon(), 2_000), pcm(2_000, 1_000)).await;
    third.acknowledged(Frame::new(3_000)).await.unwrap();
    let recording = recorder.recording(&id);
    assert_eq!(gaps(&recorder.timeline(&recording, Frame::new(3_000))), 0);
    // Another one takes over: its first frame comes after a gap.
    let mut other = open(recorder.addr, opening("a", stereo())).await.unwrap();
    assert_eq!(other.opened.next_frame, 3_000);
    other.append(Frame::new(3_000), after(noon(), 480_000), pcm(3_000, 500)).await;
    other.acknowledged(Frame::new(3_500)).await.unwrap();
    let end = Frame::new(3_500);
    assert_eq!(recorder.audio(&recording, end), pcm(0, 3_500));
    let entries = recorder.timeline(&recording, end);
    let [Entry::Gap(gap)] = entries.iter().filter(|e| matches!(e, Entry::Gap(_))).collect::<Vec<_>>()[..] else {
        panic!("{entries:?}")
    };
    assert_eq!((gap.at, gap.lost, gap.from), (Frame::new(3_000), None, after(noon(), 3_000)));
    assert_eq!(gap.to, after(noon(), 480_000));
    // The one that lost the stream learns how far its own frames came, not how far the other's.
    let back = open(recorder.addr, same_source(&source, &third)).await.unwrap();
    assert_eq!((back.opened.next_frame, back.opened.resume_frame), (3_500, Some(3_000)));
    recorder.stop().await;
}

#[tokio::test]
async fn rolls_at_midnight_within_a_call_to_the_frame() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(RecorderConfig { roll_after: Duration::from_millis(100), ..config(folder.path()) }).await;
    let source = opening("a", stereo());
    let start = at("2026-11-20T23:59:59.5Z");
    let mut call = open(recorder.addr, source.clone()).await.unwrap();
    let first = call.opened.recording_id.clone();
    for chunk in 0..30 {
        call.append(Frame::new(chunk * 1_600), after(start, chunk * 1_600), pcm(chunk * 1_600, 1_600)).await;
    }
    call.acknowledged(Frame::new(48_000)).await.unwrap();
    let sealed = recorder.sealed(&first).await;
    let seal = sealed.seal.unwrap();
    assert_eq!((seal.end, seal.reason), (Frame::new(24_000), SealReason::Rolled));
    assert_eq!(recorder.audio(&sealed, seal.end), pcm(0, 24_000));
    let second = recorder.catalogue.get(seal.next.expect("named in the seal")).unwrap();
    assert_eq!(recorder.audio(&second, Frame::new(24_000)), pcm(24_000, 24_000));
    let entries = recorder.timeline(&second, Frame::new(24_000));
    let anchor = entries.iter().find_map(|e| if let Entry::Anchor(a) = e { Some(a.time) } else { None });
    assert_eq!(anchor, Some(at("2026-11-21T00:00:00Z")));
    // A source that missed the roll comes back in the numbers of the first recording.
    let again = open(recorder.addr, same_source(&source, &call)).await.unwrap();
    assert_eq!(again.opened.recording_id, second.id.to_string());
    assert_eq!((again.opened.next_frame, again.opened.resume_frame), (24_000, Some(48_000)));
    recorder.stop().await;
}

#[tokio::test]
async fn another_spec_begins_another_recording() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(config(folder.path())).await;
    let mut call = open(recorder.addr, opening("a", stereo())).await.unwrap();
    let first = call.opened.recording_id.clone();
    call.append(Frame::ZERO, noon(), pcm(0, 100)).await;
    call.acknowledged(Frame::new(100)).await.unwrap();
    let mono = Spec::new(livetape_audio::SampleFormat::F32, 44_100, 1).unwrap();
    let other = open(recorder.addr, opening("a", mono)).await.unwrap();
    assert_eq!(other.opened.next_frame, 0);
    let seal = recorder.recording(&first).seal.expect("sealed");
    assert_eq!((seal.reason, seal.end), (SealReason::SpecChanged, Frame::new(100)));
    assert_eq!(seal.next.map(|id| id.to_string()), Some(other.opened.recording_id));
    // The same channels for other loudspeakers.
    let quadro = Spec::new(livetape_audio::SampleFormat::S16, 48_000, 4).unwrap();
    let of = |layout: &str| quadro.for_speakers(layout.parse().unwrap()).unwrap();
    let mut ids = Vec::new();
    for spec in [quadro, of("FL+FR+BL+BR"), of("FL+FR+FC+BC")] {
        let id = open(recorder.addr, opening("b", spec)).await.unwrap().opened.recording_id;
        assert_eq!(recorder.recording(&id).spec, spec);
        assert!(!ids.contains(&id), "{spec}");
        ids.push(id);
    }
    recorder.stop().await;
}

#[tokio::test]
async fn a_source_that_stays_away_is_sealed_after_the_window_and_begins_anew() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(RecorderConfig { resume_window: Duration::from_millis(200), ..config(folder.path()) }).await;
    let source = opening("a", stereo());
    let mut call = open(recorder.addr, source.clone()).await.unwrap();
    let first = call.opened.recording_id.clone();
    call.append(Frame::ZERO, noon(), pcm(0, 100)).await;
    call.acknowledged(Frame::new(100)).await.unwrap();
    tokio::time::sleep(Duration::from_millis(400)).await;
    assert!(recorder.recording(&first).seal.is_none(), "it is connected");
    let resume = same_source(&source, &call);
    drop(call);
    let seal = recorder.sealed(&first).await.seal.unwrap();
    assert_eq!((seal.reason, seal.end), (SealReason::SourceLost, Frame::new(100)));
    let again = open(recorder.addr, resume).await.unwrap();
    assert_ne!(again.opened.recording_id, first);
    assert_eq!((again.opened.next_frame, again.opened.resume_frame), (0, Some(100)));
    assert!(again.opened.epoch > 1, "epochs rise over the recordings of a stream");
    recorder.stop().await;
}

#[tokio::test]
async fn what_another_source_wrote_is_not_taken_for_ones_own() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(config(folder.path())).await;
    let source = opening("a", stereo());
    let mut call = open(recorder.addr, source.clone()).await.unwrap();
    call.append(Frame::ZERO, noon(), pcm(0, 800)).await;
    call.acknowledged(Frame::new(800)).await.unwrap();
    let other = open(recorder.addr, opening("a", stereo())).await.unwrap();
    other.append(Frame::new(800), after(noon(), 800), pcm(800, 400)).await;
    other.end(Frame::new(1_200)).await.unwrap();
    let back = open(recorder.addr, same_source(&source, &call)).await.unwrap();
    assert_eq!((back.opened.next_frame, back.opened.resume_frame), (0, None), "nothing of it may be dropped");
    recorder.stop().await;
}

/// Refuses one kind of operation on paths that contain a text, while it is told to.
#[derive(Default)]
struct Refuses(std::sync::Mutex<Option<(Op, String)>>);

impl Refuses {
    fn now(&self, what: Option<(Op, &str)>) {
        *self.0.lock().unwrap() = what.map(|(op, path)| (op, path.to_owned()));
    }
}

impl Faults for Refuses {
    fn check(&self, op: Op, path: &Path) -> std::io::Result<()> {
        let told = self.0.lock().unwrap();
        let refused = told.as_ref().is_some_and(|(o, text)| *o == op && path.to_string_lossy().contains(text.as_str()));
        if refused { Err(std::io::Error::other("refused")) } else { Ok(()) }
    }
}

/// A recorder whose disk does what it is told, and that rolls at the next midnight.
async fn start_refusing(folder: &Path) -> (Running, Arc<Refuses>) {
    let refuses = Arc::new(Refuses::default());
    let disk = Disk::with_faults(Arc::clone(&refuses) as _);
    (start(RecorderConfig { disk, roll_after: Duration::from_millis(100), ..config(folder) }).await, refuses)
}

#[tokio::test]
async fn what_could_not_be_sealed_at_the_start_is_sealed_as_soon_as_it_can_be() {
    let folder = tempfile::tempdir().unwrap();
    let (recorder, refuses) = start_refusing(folder.path()).await;
    let start_of_day = at("2026-11-20T23:59:59.5Z");
    let mut call = open(recorder.addr, opening("a", stereo())).await.unwrap();
    let first = call.opened.recording_id.clone();
    refuses.now(Some((Op::Rename, &first)));
    call.append(Frame::ZERO, start_of_day, pcm(0, 25_000)).await;
    assert_eq!(call.refusal().await.code(), Code::Unavailable, "the next one is there, and this one is not sealed");
    recorder.stop().await;
    let disk = Disk::with_faults(Arc::clone(&refuses) as _);
    let recorder = start(RecorderConfig { disk, ..config(folder.path()) }).await;
    assert!(recorder.recording(&first).seal.is_none());
    refuses.now(None);
    let sealed = recorder.sealed(&first).await;
    assert_eq!(recorder.audio(&sealed, Frame::new(24_000)), pcm(0, 24_000));
    let next = sealed.seal.unwrap().next.expect("the one that was made before");
    assert_eq!(recorder.recording(&next.to_string()).stream, sealed.stream);
    recorder.stop().await;
}

#[tokio::test]
async fn a_gap_at_a_roll_is_seen_although_the_seal_had_to_be_tried_again() {
    let folder = tempfile::tempdir().unwrap();
    let (recorder, refuses) = start_refusing(folder.path()).await;
    let start = at("2026-11-20T23:59:59.5Z");
    let mut call = open(recorder.addr, opening("a", stereo())).await.unwrap();
    call.append(Frame::ZERO, start, pcm(0, 23_000)).await;
    call.acknowledged(Frame::new(23_000)).await.unwrap();
    refuses.now(Some((Op::Rename, &call.opened.recording_id)));
    call.append(Frame::new(23_000), after(start, 23_000), pcm(23_000, 2_000)).await;
    assert_eq!(call.refusal().await.code(), Code::Unavailable);
    refuses.now(None);
    let mut other = open(recorder.addr, opening("a", stereo())).await.unwrap();
    assert_eq!(other.opened.next_frame, 0, "in the next recording");
    other.append(Frame::ZERO, at("2026-11-21T00:00:30Z"), pcm(0, 1_000)).await;
    other.acknowledged(Frame::new(1_000)).await.unwrap();
    let second = recorder.recording(&other.opened.recording_id);
    assert_eq!(gaps(&recorder.timeline(&second, Frame::new(1_000))), 1);
    recorder.stop().await;
}

#[tokio::test]
async fn a_gap_at_a_roll_is_seen_although_the_first_frames_had_to_be_sent_again() {
    let folder = tempfile::tempdir().unwrap();
    let (recorder, refuses) = start_refusing(folder.path()).await;
    let (source, start) = (opening("a", stereo()), at("2026-11-20T23:59:59.5Z"));
    let mut call = open(recorder.addr, source.clone()).await.unwrap();
    let first = call.opened.recording_id.clone();
    call.append(Frame::ZERO, start, pcm(0, 24_000)).await;
    let second = recorder.sealed(&first).await.seal.unwrap().next.expect("rolled").to_string();
    refuses.now(Some((Op::Write, &format!("{second}/0000"))));
    let late = at("2026-11-21T00:00:01Z");
    call.gap(Frame::new(24_000), Some(48_000), v1::GapReason::Xrun).await;
    call.append(Frame::new(24_000), late, pcm(24_000, 1_000)).await;
    assert_eq!(call.refusal().await.code(), Code::Unavailable);
    refuses.now(None);
    let mut again = open(recorder.addr, same_source(&source, &call)).await.unwrap();
    assert_eq!(again.opened.next_frame, 0);
    again.gap(Frame::ZERO, Some(48_000), v1::GapReason::Xrun).await;
    again.append(Frame::ZERO, late, pcm(24_000, 1_000)).await;
    again.acknowledged(Frame::new(1_000)).await.unwrap();
    assert_eq!(gaps(&recorder.timeline(&recorder.recording(&second), Frame::new(1_000))), 1);
    recorder.stop().await;
}

#[tokio::test]
async fn who_cannot_open_a_stream_takes_it_from_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let (recorder, refuses) = start_refusing(folder.path()).await;
    let mut call = open(recorder.addr, opening("a", stereo())).await.unwrap();
    call.append(Frame::ZERO, noon(), pcm(0, 1_000)).await;
    call.acknowledged(Frame::new(1_000)).await.unwrap();
    refuses.now(Some((Op::Create, "recording.json")));
    assert_eq!(open(recorder.addr, opening("a", stereo())).await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(call.refusal().await.code(), Code::Unavailable, "it comes back by itself");
    recorder.stop().await;
}

#[tokio::test]
async fn a_seal_that_fails_is_tried_again_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let (recorder, refuses) = start_refusing(folder.path()).await;
    let mut call = open(recorder.addr, opening("a", stereo())).await.unwrap();
    let first = call.opened.recording_id.clone();
    call.append(Frame::ZERO, noon(), pcm(0, 100)).await;
    call.acknowledged(Frame::new(100)).await.unwrap();
    refuses.now(Some((Op::Rename, &first)));
    let mono = opening("a", Spec::new(livetape_audio::SampleFormat::F32, 44_100, 1).unwrap());
    for _ in 0..5 {
        assert_eq!(open(recorder.addr, mono.clone()).await.unwrap_err().code(), Code::Unavailable);
    }
    let list = |recorder: &Running| recorder.catalogue.list(&Query { limit: 100, ..Query::default() }).recordings.len();
    assert_eq!(list(&recorder), 1, "nobody knows of a recording that was not needed yet");
    refuses.now(None);
    let opened = open(recorder.addr, mono).await.unwrap().opened;
    let seal = recorder.recording(&first).seal.expect("sealed");
    assert_eq!((seal.reason, seal.end), (SealReason::SpecChanged, Frame::new(100)));
    assert_eq!(seal.next.map(|id| id.to_string()), Some(opened.recording_id));
    assert_eq!(list(&recorder), 2);
    recorder.stop().await;
    assert_eq!(std::fs::read_dir(folder.path().join("a")).unwrap().count(), 2, "and nothing lies on the disk");
}

#[tokio::test]
async fn the_end_of_a_recording_is_told_by_its_sources_clock() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(config(folder.path())).await;
    let call = open(recorder.addr, opening("a", stereo())).await.unwrap();
    let id = call.opened.recording_id.clone();
    let future = at("2031-01-01T00:00:00Z");
    call.append(Frame::ZERO, future, pcm(0, 48_000)).await;
    call.end(Frame::new(48_000)).await.unwrap();
    assert_eq!(recorder.recording(&id).seal.unwrap().ended, after(future, 48_000));
    recorder.stop().await;
}

#[tokio::test]
async fn nobody_who_is_silent_or_deaf_keeps_the_recorder_from_stopping() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(config(folder.path())).await;
    let silent = tokio::net::TcpStream::connect(recorder.addr).await.unwrap();
    let garbage = tokio::net::TcpStream::connect(recorder.addr).await.unwrap();
    garbage.try_write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    // What is no HTTP/2 is closed without an answer.
    garbage.readable().await.unwrap();
    assert!(matches!(garbage.try_read(&mut [0; 1]), Ok(0) | Err(_)));
    let call = open(recorder.addr, opening("a", stereo())).await.unwrap();
    recorder.stop().await;
    drop((silent, call));
}

#[tokio::test]
async fn a_source_that_leaves_in_the_middle_of_opening_does_not_hold_the_stream() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(RecorderConfig { resume_window: Duration::from_millis(300), ..config(folder.path()) }).await;
    let mut call = open(recorder.addr, opening("a", stereo())).await.unwrap();
    let id = call.opened.recording_id.clone();
    call.append(Frame::ZERO, noon(), pcm(0, 100)).await;
    call.acknowledged(Frame::new(100)).await.unwrap();
    for _ in 0..20 {
        let opening = open(recorder.addr, opening("a", stereo()));
        drop(tokio::time::timeout(Duration::from_millis(3), opening).await);
    }
    drop(call);
    assert_eq!(recorder.sealed(&id).await.seal.unwrap().reason, SealReason::SourceLost);
    recorder.stop().await;
}

#[tokio::test]
async fn bad_messages_end_the_call_with_a_reason_and_cost_nothing() {
    use v1::ingest_request::Message;
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(config(folder.path())).await;
    let end = Message::End(v1::End { epoch: 1, at_frame: 0 });
    let first = begin(recorder.addr, end).await.unwrap_err();
    assert_eq!((first.code(), first.message()), (Code::InvalidArgument, "the first message has to be Open"));
    let bad_name = open(recorder.addr, opening("../etc", stereo())).await.unwrap_err();
    assert_eq!(bad_name.code(), Code::InvalidArgument);

    let source = opening("a", stereo());
    let mut call = open(recorder.addr, source.clone()).await.unwrap();
    let id = call.opened.recording_id.clone();
    call.append(Frame::ZERO, noon(), pcm(0, 100)).await;
    call.acknowledged(Frame::new(100)).await.unwrap();
    let append = |epoch, first_frame, pcm: Vec<u8>| {
        let captured_at_unix_ns = noon().unix_nanos();
        Message::Append(v1::Append { epoch, first_frame, captured_at_unix_ns, pcm: pcm.into(), ..Default::default() })
    };
    let gap = |epoch, at_frame| Message::Gap(v1::Gap { epoch, at_frame, lost_frames: None, reason: 0 });
    type Bad<'a> = Box<dyn Fn(u64) -> Message + 'a>;
    let title = |epoch, at_frame, title| Message::Title(v1::Title { epoch, at_frame, title });
    let cases: [(Bad<'_>, Code, &str); 12] = [
        (Box::new(|e| append(e, 101, pcm(101, 1))), Code::OutOfRange, "hole"),
        (Box::new(|e| append(e, u64::MAX, pcm(0, 1))), Code::OutOfRange, "hole"),
        (Box::new(|e| append(e, 100, vec![0; 7])), Code::InvalidArgument, "7 bytes"),
        (Box::new(|e| append(e - 1, 100, pcm(100, 1))), Code::Aborted, "is over"),
        (Box::new(|e| append(e + 1, 100, pcm(100, 1))), Code::Aborted, "never given out"),
        (Box::new(|e| append(e, 100, vec![0; (1 << 20) + 4])), Code::ResourceExhausted, "at most 1048576"),
        (Box::new(|e| append(e, 100, vec![0; 3 << 20])), Code::ResourceExhausted, "3145"),
        (Box::new(|e| gap(e, 99)), Code::OutOfRange, "recorded already"),
        (Box::new(|e| title(e, 101, "x".into())), Code::OutOfRange, "hole"),
        (Box::new(|e| title(e, 100, "x".repeat(257))), Code::InvalidArgument, "256 characters"),
        (Box::new(|e| title(e, 100, "a\nb".into())), Code::InvalidArgument, "control characters"),
        (Box::new(|_| Message::Open(source.clone())), Code::InvalidArgument, "Open comes once"),
    ];
    for (bad, code, word) in cases {
        let mut call = open(recorder.addr, source.clone()).await.unwrap();
        assert_eq!(call.opened.next_frame, 100, "nothing came in before");
        call.send(bad(call.opened.epoch)).await;
        let refusal = call.refusal().await;
        assert_eq!(refusal.code(), code, "{refusal}");
        assert!(refusal.message().contains(word), "{refusal}");
    }
    assert_eq!(recorder.audio(&recorder.recording(&id), Frame::new(100)), pcm(0, 100));
    recorder.stop().await;
}

#[tokio::test]
async fn who_has_not_heard_that_its_recording_was_sealed_asks_again() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(config(folder.path())).await;
    let source = opening("a", stereo());
    let call = open(recorder.addr, source.clone()).await.unwrap();
    let again = same_source(&source, &call);
    call.append(Frame::ZERO, noon(), pcm(0, 960)).await;
    assert_eq!(call.end(Frame::new(960)).await.unwrap(), Frame::new(960));
    for _ in 0..2 {
        assert_eq!(open_ended(recorder.addr, again.clone()).await.unwrap(), Frame::new(960));
    }
    assert_eq!(
        recorder.catalogue.list(&Query { limit: 9, ..Query::default() }).recordings.len(),
        1,
        "and no empty one beside it"
    );
    // Who only says so, begins anew: another source, or one that counts in nothing.
    let other = v1::Open { instance: opening("a", stereo()).instance, ..again.clone() };
    for open in [other, source] {
        let refused = open_ended(recorder.addr, open).await.unwrap_err();
        assert!(refused.message().contains("Opened"), "{refused}");
    }
    recorder.stop().await;
}

/// Counts how often a whole file system is synced, and refuses it if told to.
struct Flushes {
    folder: PathBuf,
    refuse: AtomicBool,
    seen: AtomicUsize,
}

impl Faults for Flushes {
    fn check(&self, op: Op, path: &Path) -> std::io::Result<()> {
        if op != Op::Sync || path != self.folder {
            return Ok(());
        }
        self.seen.fetch_add(1, Ordering::Relaxed);
        if self.refuse.load(Ordering::Relaxed) { Err(std::io::Error::other("refused")) } else { Ok(()) }
    }
}

#[tokio::test]
async fn many_recordings_are_made_durable_at_once_and_if_that_fails_one_by_one() {
    for refuse in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let flushes = Flushes { folder: folder.path().to_owned(), refuse: false.into(), seen: AtomicUsize::default() };
        let flushes = Arc::new(flushes);
        let disk = Disk::with_faults(Arc::clone(&flushes) as _);
        let recorder = start(RecorderConfig { disk, ..config(folder.path()) }).await;
        let can = Flush::of(&recorder.dir).unwrap().is_some();
        let mut calls = Vec::new();
        for n in 0..20 {
            calls.push(open(recorder.addr, opening(&format!("s{n}"), stereo())).await.unwrap());
        }
        // The folder itself is synced when streams are made in it.
        let before = flushes.seen.load(Ordering::Relaxed);
        flushes.refuse.store(refuse, Ordering::Relaxed);
        let flushed = || flushes.seen.load(Ordering::Relaxed) > before;
        let mut step = 0;
        // What was slow once, on a busy machine, is tried again later.
        while step < 20 || (can && !flushed() && step < 1_000) {
            for call in &calls {
                call.append(Frame::new(step * 960), after(noon(), step * 960), pcm(step * 960, 960)).await;
            }
            for call in &mut calls {
                call.acknowledged(Frame::new((step + 1) * 960)).await.unwrap();
            }
            step += 1;
        }
        assert_eq!(flushed(), can, "syncs of the whole file system");
        let frames = step * 960;
        let end = Frame::new(frames);
        for call in calls {
            let id = call.opened.recording_id.clone();
            assert_eq!(call.end(end).await.unwrap(), end);
            assert_eq!(recorder.audio(&recorder.recording(&id), end), pcm(0, frames));
        }
        recorder.stop().await;
    }
}

#[tokio::test]
async fn titles_stand_on_the_timeline_in_order_and_once() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(config(folder.path())).await;
    let source = opening("a", stereo());
    let mut call = open(recorder.addr, source.clone()).await.unwrap();
    let id = call.opened.recording_id.clone();
    call.title(Frame::ZERO, "Größe").await;
    call.append(Frame::ZERO, noon(), pcm(0, 50_000)).await;
    call.title(Frame::new(50_000), "Two").await;
    call.append(Frame::new(50_000), noon(), pcm(50_000, 50_000)).await;
    call.acknowledged(Frame::new(100_000)).await.unwrap();
    drop(call);
    // It comes back and repeats what it is not sure of.
    let call = open(recorder.addr, v1::Open { resume_recording_id: Some(id.clone()), ..source }).await.unwrap();
    call.title(Frame::new(50_000), "Two").await;
    call.title(Frame::new(100_000), "Two").await;
    call.append(Frame::new(100_000), noon(), pcm(100_000, 100)).await;
    call.end(Frame::new(100_100)).await.unwrap();
    let recording = recorder.sealed(&id).await;
    let entries = recorder.timeline(&recording, Frame::new(100_100)).into_iter();
    let titles = entries.filter_map(|entry| match entry {
        Entry::Title(title) => Some((title.frame.get(), title.title.to_string())),
        _ => None,
    });
    assert_eq!(titles.collect::<Vec<_>>(), [(0, "Größe".into()), (50_000, "Two".into())]);
    recorder.stop().await;
}

#[tokio::test]
async fn one_recorder_for_each_folder() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(config(folder.path())).await;
    let second = Recorder::bind(config(folder.path()), Arc::new(MemoryTails::default())).await;
    let error = format!("{:#}", second.unwrap_err());
    assert!(error.contains("another recorder"), "{error}");
    recorder.stop().await;
    start(config(folder.path())).await.stop().await;
    let open = RecorderConfig { grpc_addr: SocketAddr::from(([0, 0, 0, 0], 0)), ..config(folder.path()) };
    let error = format!("{:#}", Recorder::bind(open, Arc::new(MemoryTails::default())).await.unwrap_err());
    assert!(error.contains("LIVETAPE_ANONYMOUS=publish"), "{error}");
}

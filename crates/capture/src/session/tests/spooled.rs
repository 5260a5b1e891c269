//! Sessions with a spool: the recorder is away for long, and the process does not live for ever.

use super::*;
use std::path::Path;

/// Enough for 20 pieces.
const QUEUE: u64 = 20 * 80;

fn spooled(url: &str, dir: &Path, instance: u8) -> (Session, watch::Receiver<Status>) {
    let (mut session, status) = session(url, QUEUE);
    session.opening.instance = Instance([instance; 16]);
    session.spool = Some((Folder::lock(dir, &session.opening.stream).unwrap(), 1 << 20));
    (session, status)
}

async fn until(status: &mut watch::Receiver<Status>, what: impl FnMut(&Status) -> bool) -> Status {
    *timeout(Duration::from_secs(20), status.wait_for(what)).await.expect("in time").unwrap()
}

fn endless() -> Script {
    Script { next: 0, pieces: 1_000_000, then: Then::Wait }
}

/// Captures with the recorder there, then with it away, and is killed without a last word.
async fn captures_and_is_killed(recorder: &Recorder, url: &str, dir: &Path) -> Status {
    let (session, mut status) = spooled(url, dir, 1);
    let running = tokio::spawn(session.run(endless(), CancellationToken::new()));
    until(&mut status, |status| status.acknowledged.get() > 20 * 20).await;
    recorder.tape().down = true;
    until(&mut status, |status| status.spooled.get() > 60 * 20).await;
    running.abort();
    assert!(running.await.unwrap_err().is_cancelled());
    let status = *status.borrow();
    assert_eq!((status.waiting(), status.given_up), (status.spooled, FrameCount::ZERO), "nothing is only in memory");
    assert_eq!(status.spooled_bytes, status.spooled.get() * 4);
    status
}

/// What was recorded: every captured frame, in one line, with just these gaps.
fn is_one_line(recorder: &Recorder, gaps: &[(u64, u64)]) {
    let tape = recorder.tape();
    counting::verify(&tape.pcm, Frame::ZERO).unwrap();
    assert_eq!(tape.gaps, gaps);
}

async fn stop(running: tokio::task::JoinHandle<Result<(), SessionError>>, shutdown: &CancellationToken) {
    shutdown.cancel();
    timeout(Duration::from_secs(20), running).await.expect("in time").unwrap().unwrap();
}

#[tokio::test]
async fn a_recorder_that_is_away_for_longer_than_memory_lasts_gets_everything() {
    let (recorder, dir) = (Recorder::default(), tempfile::tempdir().unwrap());
    let (session, mut status) = spooled(&recorder.serve().await, dir.path(), 1);
    let mut watched = status.clone();
    let watching = tokio::spawn(async move {
        let mut most = 0;
        while watched.changed().await.is_ok() {
            let status = *watched.borrow_and_update();
            most = most.max(spec().bytes(status.waiting() - status.spooled));
        }
        most
    });
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(session.run(endless(), shutdown.clone()));
    until(&mut status, |status| status.acknowledged.get() > 20 * 20).await;
    recorder.tape().down = true;
    until(&mut status, |status| status.spooled.get() > 200 * 20).await;
    recorder.tape().down = false;
    until(&mut status, |status| status.connected && status.spooled.is_zero()).await;
    stop(running, &shutdown).await;
    is_one_line(&recorder, &[]);
    assert_eq!(status.borrow().given_up, FrameCount::ZERO);
    assert_eq!(recorder.tape().frames(), status.borrow().captured.get());
    let most = watching.await.unwrap();
    assert!(most <= QUEUE, "memory held {most} bytes");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_and_started_again_while_the_recorder_is_away_it_leaves_one_gap() {
    let (recorder, dir) = (Recorder::default(), tempfile::tempdir().unwrap());
    let url = recorder.serve().await;
    let before = captures_and_is_killed(&recorder, &url, dir.path()).await.captured.get();

    let (session, mut status) = spooled(&url, dir.path(), 2);
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(session.run(endless(), shutdown.clone()));
    // It does not wait for the recorder to capture.
    let kept = until(&mut status, |status| !status.spooled.is_zero()).await.spooled;
    until(&mut status, |status| status.spooled.get() > kept.get() + 50 * 20).await;
    recorder.tape().down = false;
    until(&mut status, |status| status.connected && status.spooled.is_zero()).await;
    stop(running, &shutdown).await;

    is_one_line(&recorder, &[(before, UNKNOWN)]);
    let tape = recorder.tape();
    assert!(tape.frames() > before + 50 * 20);
    assert!(tape.opens.iter().all(|open| open.instance == [1; 16]), "the source is still the same");
    assert!(tape.opens.iter().skip(1).all(|open| open.resume_recording_id.is_some()));
}

#[tokio::test]
async fn stopped_in_order_while_the_recorder_is_away_nothing_is_lost_either() {
    let (recorder, dir) = (Recorder::default(), tempfile::tempdir().unwrap());
    let url = recorder.serve().await;
    let mut stops = Vec::new();
    for instance in 1..=3 {
        let (session, mut status) = spooled(&url, dir.path(), instance);
        let shutdown = CancellationToken::new();
        let running = tokio::spawn(session.run(endless(), shutdown.clone()));
        until(&mut status, |status| status.connected && status.acknowledged.get() > 20 * 20).await;
        // Just before the recorder goes, something is in memory alone.
        recorder.tape().down = instance == 2;
        stop(running, &shutdown).await;
        recorder.tape().down = false;
        let status = *status.borrow();
        stops.push(recorder.tape().frames() + status.waiting().get());
        assert_eq!(status.waiting(), status.spooled);
    }
    is_one_line(&recorder, &[(stops[0], UNKNOWN), (stops[1], UNKNOWN)]);
}

/// A script at twice the rate.
struct Faster(Script);

impl Source for Faster {
    fn spec(&self) -> Spec {
        counting::spec(16_000).unwrap()
    }
    fn begin(&mut self, next: Frame) {
        self.0.begin(next);
    }
    async fn next(&mut self) -> Result<Option<Piece>, SourceError> {
        self.0.next().await
    }
}

#[tokio::test]
async fn audio_of_another_shape_goes_first_under_its_own() {
    let (recorder, dir) = (Recorder::default(), tempfile::tempdir().unwrap());
    let url = recorder.serve().await;
    let before = captures_and_is_killed(&recorder, &url, dir.path()).await.captured.get();
    recorder.tape().down = false;
    let calls = recorder.tape().opens.len();

    let (mut session, mut status) = spooled(&url, dir.path(), 2);
    session.opening.spec = counting::spec(16_000).unwrap();
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(session.run(Faster(endless()), shutdown.clone()));
    until(&mut status, |status| status.acknowledged.get() > 0 && recorder.tape().opens.len() == calls + 2).await;
    stop(running, &shutdown).await;

    is_one_line(&recorder, &[]);
    assert!(recorder.tape().frames() > before);
    let opens: Vec<_> = recorder.tape().opens.iter().skip(calls).cloned().collect();
    let rates: Vec<_> = opens.iter().map(|open| (open.instance[0], open.spec.unwrap().rate)).collect();
    assert_eq!(rates, [(1, 8_000), (2, 16_000)]);
    assert!(opens[0].resume_recording_id.is_some() && opens[1].resume_recording_id.is_none());
}

#[tokio::test]
async fn a_source_that_ended_while_the_recorder_was_away_is_sealed_by_the_next_process() {
    let (recorder, dir) = (Recorder::default(), tempfile::tempdir().unwrap());
    let url = recorder.serve().await;
    let (session, mut status) = spooled(&url, dir.path(), 1);
    let shutdown = CancellationToken::new();
    let source = Script { next: 0, pieces: 100, then: Then::End };
    let running = tokio::spawn(session.run(source, shutdown.clone()));
    until(&mut status, |status| status.acknowledged.get() > 20 * 20).await;
    recorder.tape().down = true;
    until(&mut status, |status| status.captured.get() == 99 * 20).await;
    stop(running, &shutdown).await;
    assert!(!status.borrow().spooled.is_zero());

    recorder.tape().down = false;
    let (session, mut status) = spooled(&url, dir.path(), 2);
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(session.run(endless(), shutdown.clone()));
    until(&mut status, |_| recorder.tape().opens.last().is_some_and(|open| open.instance == [2; 16])).await;
    let first = recorder.tape().pcm[..99 * 20 * 4].to_vec();
    let runs: Vec<_> = counting::runs(&first).iter().map(|r| (u64::from(r.first), r.frames.get())).collect();
    assert_eq!(runs, [(0, 94 * 20), (94 * 20 + 7, 5 * 20)]);
    {
        let tape = recorder.tape();
        assert_eq!((&tape.gaps[..], tape.ended), (&[(94 * 20, 7)][..], 1));
    }
    stop(running, &shutdown).await;
}

#[tokio::test]
async fn a_source_that_ended_leaves_nothing() {
    let (recorder, dir) = (Recorder::default(), tempfile::tempdir().unwrap());
    let (session, _) = spooled(&recorder.serve().await, dir.path(), 1);
    let source = Script { next: 0, pieces: 100, then: Then::End };
    timeout(Duration::from_secs(20), session.run(source, CancellationToken::new())).await.unwrap().unwrap();
    is_whole(&recorder);
    let names: Vec<_> = std::fs::read_dir(dir.path().join("live")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["LOCK"]);
}

#[tokio::test]
async fn without_a_place_on_disk_memory_has_to_do() {
    let (recorder, dir) = (Recorder::default(), tempfile::tempdir().unwrap());
    let (session, mut status) = spooled(&recorder.serve().await, dir.path(), 1);
    // The disk is gone behind its back.
    std::fs::remove_dir_all(dir.path().join("live")).unwrap();
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(session.run(endless(), shutdown.clone()));
    until(&mut status, |status| status.acknowledged.get() > 20 * 20).await;
    recorder.tape().down = true;
    until(&mut status, |status| !status.given_up.is_zero()).await;
    recorder.tape().down = false;
    let given_up = status.borrow().given_up.get();
    until(&mut status, |status| status.connected && status.acknowledged.get() > given_up + 100 * 20).await;
    stop(running, &shutdown).await;
    assert_eq!(status.borrow().spooled, FrameCount::ZERO);
    let [(_, lost)] = recorder.tape().gaps[..] else { panic!("one gap: {:?}", recorder.tape().gaps) };
    assert_eq!(lost, status.borrow().given_up.get());
}

/// A source that no process before knew captures where the recorder has never answered, and delivers that when it does: the
/// first frame that is recorded, and how the source was doing.
async fn captures_before_any_answer(recorder: &Recorder, queue: u64) -> (u64, Status) {
    let dir = tempfile::tempdir().unwrap();
    recorder.tape().down = true;
    let (mut session, mut status) = spooled(&recorder.serve().await, dir.path(), 1);
    session.queue_bytes = queue;
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(session.run(endless(), shutdown.clone()));
    until(&mut status, |status| status.captured.get() > 100 * 20).await;
    assert_eq!(status.borrow().spooled, FrameCount::ZERO);
    let names: Vec<_> = std::fs::read_dir(dir.path().join("live")).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names, ["LOCK"], "nobody knows yet whether it may be on any disk");
    recorder.tape().down = false;
    until(&mut status, |status| status.acknowledged.get() > 100 * 20).await;
    stop(running, &shutdown).await;
    let first = u64::from(counting::runs(&recorder.tape().pcm)[0].first);
    counting::verify(&recorder.tape().pcm, Frame::new(first)).unwrap();
    (first, *status.borrow())
}

#[tokio::test]
async fn before_the_first_answer_it_captures_too_and_keeps_that_in_memory() {
    let recorder = Recorder::default();
    let (first, status) = captures_before_any_answer(&recorder, 1 << 20).await;
    assert_eq!((first, status.unwanted, status.given_up), (0, FrameCount::ZERO, FrameCount::ZERO));
    let tape = recorder.tape();
    assert_eq!((tape.frames(), &tape.gaps[..]), (status.captured.get(), &[][..]));
}

#[tokio::test]
async fn what_was_captured_before_the_first_answer_is_no_part_of_what_is_recorded_on_demand() {
    let recorder = Recorder::default();
    recorder.tape().on_demand = true;
    let (first, status) = captures_before_any_answer(&recorder, 1 << 20).await;
    assert!(first > 100 * 20 && status.unwanted.get() == first, "{first} {status:?}");
    assert_eq!(recorder.tape().gaps, [], "the recording begins there");
}

#[tokio::test]
async fn what_memory_does_not_hold_before_the_first_answer_is_one_gap() {
    let recorder = Recorder::default();
    let (first, status) = captures_before_any_answer(&recorder, QUEUE).await;
    assert!(first > 0 && status.given_up.get() == first, "{first} {status:?}");
    assert_eq!(recorder.tape().gaps, [(0, first)]);
}

/// It loses nothing by waiting, and says so.
struct Patient(Script);

impl Source for Patient {
    fn spec(&self) -> Spec {
        self.0.spec()
    }
    fn begin(&mut self, next: Frame) {
        self.0.begin(next);
    }
    fn waits_for_answer(&self) -> bool {
        true
    }
    async fn next(&mut self) -> Result<Option<Piece>, SourceError> {
        self.0.next().await
    }
}

#[tokio::test]
async fn a_source_that_loses_nothing_by_waiting_waits_for_the_answer() {
    let recorder = Recorder::default();
    recorder.tape().pcm = counting::encode(Frame::ZERO, FrameCount::new(700));
    // For longer than others wait.
    recorder.tape().moods.extend([Mood::Deaf; 4]);
    let (session, status) = session(&recorder.serve().await, 1 << 20);
    let source = Patient(Script { next: 0, pieces: 4, then: Then::End });
    timeout(Duration::from_secs(20), session.run(source, CancellationToken::new())).await.unwrap().unwrap();
    counting::verify(&recorder.tape().pcm, Frame::ZERO).unwrap();
    assert_eq!((recorder.tape().frames(), status.borrow().captured.get()), (780, 80));
}

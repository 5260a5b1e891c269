//! The recorder is killed at random moments while it records and while it is listened to.
//!
//! `LIVETAPE_KILLS` is how often (6 if not said), `LIVETAPE_SEED` repeats a run. The numbers of a run go to standard
//! error, past the capture of the test harness, because the run may be long.

use anyhow::{Context, Result, ensure};
use livetape_audio::Frame;
use livetape_testkit::counting::verify_at;
use livetape_testkit::grpc_source::stereo;
use livetape_testkit::http;
use livetape_testkit::process::{Livetape, Start, command};
use livetape_testkit::pusher::{Push, Pusher};
use livetape_testkit::{spawn, wait};
use livetape_tests::counting;
use livetape_tests::growing::SOON;
use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Further sources in every fifth round.
const LOAD: usize = 12;

fn setting(name: &str, default: u64) -> u64 {
    std::env::var(name).ok().map_or(default, |s| s.parse().expect("a number"))
}

fn kills() -> u64 {
    setting("LIVETAPE_KILLS", 6)
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "kill: {text}");
}

/// Milliseconds to live, from a seed that is printed.
fn lives() -> impl FnMut() -> Duration {
    let mut state = setting("LIVETAPE_SEED", u64::from(std::process::id()));
    say(&format!("LIVETAPE_SEED={state} LIVETAPE_KILLS={}", kills()));
    move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Duration::from_millis(150 + (state >> 33) % 1_350)
    }
}

fn push(to: SocketAddr, stream: &str) -> Pusher {
    let push = Push { to, stream: stream.into(), spec: stereo(), content: counting, backlog: Duration::ZERO };
    Pusher::start(push)
}

/// Follows a recording by ranges, comes back after each cut, and compares every byte as it comes.
struct Listener {
    thread: std::thread::JoinHandle<Result<u64>>,
    stop: Arc<AtomicBool>,
    heard: Arc<AtomicU64>,
}

impl Listener {
    fn start(to: SocketAddr, target: String) -> Self {
        let (stop, heard) = (Arc::<AtomicBool>::default(), Arc::<AtomicU64>::default());
        let thread = std::thread::spawn({
            let (stop, heard) = (Arc::clone(&stop), Arc::clone(&heard));
            move || {
                while !stop.load(Ordering::Relaxed) {
                    listen(to, &target, &stop, &heard)?;
                    std::thread::sleep(Duration::from_millis(20));
                }
                Ok(heard.load(Ordering::Relaxed))
            }
        });
        Self { thread, stop, heard }
    }

    fn heard(&self) -> u64 {
        self.heard.load(Ordering::Relaxed)
    }

    fn end(self) -> Result<u64> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().expect("the thread does not panic")
    }
}

/// One connection of a listener that has heard the first `heard` bytes. Only wrong audio is an error.
fn listen(to: SocketAddr, target: &str, stop: &AtomicBool, heard: &AtomicU64) -> Result<()> {
    let start = heard.load(Ordering::Relaxed);
    let Ok(mut reply) = http::get(to, target).range(&format!("{start}-")).send() else { return Ok(()) };
    if reply.status == 416 && reply.header("content-range") == Some(format!("bytes */{start}").as_str()) {
        return Ok(()); // It has ended, and all of it was heard.
    }
    // What was heard is there after every start: to ask for what follows can be early, but never beyond.
    ensure!(matches!(reply.status, 206 | 200 | 404 | 503), "after {start} bytes: {} {:?}", reply.status, reply.headers);
    if reply.status == 404 || reply.status == 503 {
        return Ok(());
    }
    let mut at = if reply.status == 200 { 0 } else { start };
    while !stop.load(Ordering::Relaxed) {
        let deadline = std::time::Instant::now() + Duration::from_millis(100);
        let piece = reply.next_piece(deadline)?;
        if piece.is_empty() && reply.ending() != http::Ending::Open {
            return Ok(());
        }
        verify_at(&piece, at).with_context(|| format!("a listener heard it from {at} on"))?;
        at += piece.len() as u64;
        heard.fetch_max(at, Ordering::Relaxed);
    }
    Ok(())
}

#[test]
fn nothing_acknowledged_is_lost_and_nothing_heard_changes() -> Result<()> {
    let data = tempfile::tempdir()?;
    let start = Start::new(data.path()).source("none");
    let mut livetape = start.spawn()?;
    let start = start.on_ports_of(&livetape);
    let pusher = push(livetape.grpc(), "live");
    let id = pusher.recording(SOON)?;
    let target = format!("/recordings/{id}/audio.pcm");
    let listeners: Vec<_> = (0..3).map(|_| Listener::start(livetape.http(), target.clone())).collect();
    let mut life = lives();
    let mut slowest = Duration::ZERO;
    for kill in 1..=kills() {
        let to = livetape.grpc();
        // Every fifth time under load; dropped with the round, as if their machine was lost too.
        let load: Vec<_> =
            if kill % 5 == 0 { 0..LOAD } else { 0..0 }.map(|n| push(to, &format!("load-{kill}-{n}"))).collect();
        pusher.acknowledged(pusher.captured(), SOON)?;
        std::thread::sleep(life());
        livetape.kill()?;
        let (acknowledged, heard) = (pusher.progress().acknowledged, listeners.iter().map(Listener::heard).max());
        livetape = start.spawn()?;
        slowest = slowest.max(livetape.started_in());
        // The source checks by itself that it may go on at or after what was acknowledged.
        pusher.acknowledged(pusher.captured(), SOON).with_context(|| livetape.log())?;
        let sources = load.len() + 1;
        say(&format!("{kill}: {sources} sources, {acknowledged} acknowledged, {heard:?} bytes heard"));
    }
    let end = pusher.end(SOON)?;
    let bytes = stereo().bytes(end.since(Frame::ZERO));
    for listener in &listeners {
        wait::until("the listeners to hear the end", SOON, || (listener.heard() == bytes).then_some(()))?;
    }
    for listener in listeners {
        assert_eq!(listener.end()?, bytes);
    }
    let mut whole = http::get(livetape.http(), &target).send()?;
    let body = whole.body()?;
    assert_eq!(body.len() as u64, bytes);
    verify_at(&body, 0)?;
    let opened = pusher.progress().opened;
    assert!(opened as u64 > kills(), "it was opened {opened} times");
    assert_eq!(gaps(livetape.http(), &id)?, Vec::<serde_json::Value>::new(), "a source that remembers leaves no gap");
    livetape.stop()?;
    verified(data.path())?;
    say(&format!("{end} frames, all right; slowest start {slowest:?}"));
    Ok(())
}

/// The gaps on a recording's timeline.
fn gaps(to: SocketAddr, id: &str) -> Result<Vec<serde_json::Value>> {
    let timeline = http::json(to, &format!("/recordings/{id}/timeline"))?;
    let entries = timeline["entries"].as_array().context("entries")?;
    Ok(entries.iter().filter(|e| e["type"] == "gap").cloned().collect())
}

/// `livetape verify` finds nothing wrong.
fn verified(data: &Path) -> Result<()> {
    let mut verify = command(["verify", "--data-dir"])?;
    verify.arg(data);
    spawn::run(verify, Duration::from_secs(120))?.ok()?;
    Ok(())
}

#[test]
fn a_source_that_dies_with_the_recorder_leaves_one_gap_each_time() -> Result<()> {
    let data = tempfile::tempdir()?;
    let start = Start::new(data.path()).source("counting");
    let mut livetape: Livetape = start.spawn()?;
    let start = start.on_ports_of(&livetape);
    let mut life = lives();
    let mut id = String::new();
    for kill in 0..=kills() {
        let (http, log) = (livetape.http(), livetape.log());
        let end = wait::until("audio after the start", SOON, || {
            let list = http::json(http, "/recordings?stream=live").ok()?;
            let all = list["recordings"].as_array()?;
            assert!(all.len() <= 1, "one recording goes on: {all:?}");
            id = all.first()?["id"].as_str()?.to_owned();
            // A new gap stands on the timeline once the first frame after it has come.
            (gaps(http, &id).ok()?.len() as u64 == kill).then(|| edge(http, &id).ok()).flatten().filter(|e| *e > 0)
        });
        let end = end.with_context(|| format!("{:?}\n{log}", gaps(http, &id)))?;
        let wanted = end + 20_000;
        wait::until("the recording to grow", SOON, || (edge(http, &id).ok()? > wanted).then_some(()))?;
        if kill < kills() {
            std::thread::sleep(life());
            livetape.kill()?;
            livetape = start.spawn()?;
        }
    }
    let all = gaps(livetape.http(), &id)?;
    assert_eq!(all.len() as u64, kills(), "{all:?}");
    assert!(all.iter().all(|g| g["reason"] == "source_restarted" && g["from"].as_str() < g["to"].as_str()), "{all:?}");
    // Gaps take no numbers: the frames count on without a hole.
    let end = edge(livetape.http(), &id)?;
    let mut reply =
        http::get(livetape.http(), &format!("/recordings/{id}/audio.pcm")).range(&format!("0-{}", end - 1)).send()?;
    verify_at(&reply.body()?, 0)?;
    livetape.stop()?;
    verified(data.path())
}

/// Bytes of audio that exist now.
fn edge(to: SocketAddr, id: &str) -> Result<u64> {
    http::json(to, &format!("/recordings/{id}"))?["bytes"].as_u64().context("bytes")
}

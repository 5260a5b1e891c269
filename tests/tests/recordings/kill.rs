//! The recorder is killed at random moments while it records and while it is listened to.
//!
//! `LIVETAPE_KILLS` is how often (6 if not said), `LIVETAPE_SEED` repeats a run. The numbers of a run go to standard
//! error, past the capture of the test harness, because the run may be long.

use anyhow::{Context, Result};
use livetape_audio::Frame;
use livetape_testkit::counting::verify_at;
use livetape_testkit::grpc_source::stereo;
use livetape_testkit::http;
use livetape_testkit::process::{Livetape, Start};
use livetape_testkit::pusher::{Push, Pusher};
use livetape_testkit::wait;
use livetape_tests::counting;
use livetape_tests::growing::SOON;
use livetape_tests::torture::{Listener, counted, edge, gaps, numbers, setting, verified};
use std::io::Write;
use std::net::SocketAddr;
use std::time::Duration;

/// Further sources in every fifth round.
const LOAD: usize = 12;

fn kills() -> u64 {
    setting("LIVETAPE_KILLS", 6)
}

fn say(text: &str) {
    let _ = writeln!(std::io::stderr(), "kill: {text}");
}

/// Milliseconds to live, from a seed that is printed.
fn lives() -> impl FnMut() -> Duration {
    let seed = setting("LIVETAPE_SEED", u64::from(std::process::id()));
    say(&format!("LIVETAPE_SEED={seed} LIVETAPE_KILLS={}", kills()));
    let mut random = numbers(seed);
    move || Duration::from_millis(150 + random(1_350))
}

fn push(to: SocketAddr, stream: &str) -> Pusher {
    let push = Push { to, stream: stream.into(), spec: stereo(), content: counting, backlog: Duration::ZERO };
    Pusher::start(push)
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
    counted(livetape.http(), &target, end)?;
    let opened = pusher.progress().opened;
    assert!(opened as u64 > kills(), "it was opened {opened} times");
    assert_eq!(gaps(livetape.http(), &id)?, Vec::<serde_json::Value>::new(), "a source that remembers leaves no gap");
    livetape.stop()?;
    verified(data.path())?;
    say(&format!("{end} frames, all right; slowest start {slowest:?}"));
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

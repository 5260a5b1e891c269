//! A copy of a data folder with a recorder of its own, and one Redis for both: they claim the same recording. Who listens
//! to one of them hears that one, and the log of the other, or its own, says what is wrong.

use crate::deployment::Process;
use anyhow::{Context, Result, ensure};
use livetape_audio::Frame;
use livetape_testkit::grpc_source::stereo;
use livetape_testkit::process::Start;
use livetape_testkit::pusher::{Push, Pusher};
use livetape_testkit::redis::RedisServer;
use livetape_testkit::{spawn, wait};
use livetape_tests::counting;
use livetape_tests::growing::{SECOND, SOON};
use livetape_tests::torture::{Listener, edge};
use std::path::Path;
use std::time::Duration;

fn push(to: &Process, seconds: u64) -> Result<Pusher> {
    let (to, backlog) = (to.running()?.grpc(), Duration::from_secs(seconds));
    Ok(Pusher::start(Push { to, stream: "live".into(), spec: stereo(), content: counting, backlog }))
}

fn bytes(end: Frame) -> u64 {
    stereo().bytes(end.since(Frame::ZERO))
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let mut cp = spawn::command("cp");
    cp.arg("-a").arg(from.join(".")).arg(to);
    spawn::run(cp, SOON)?.ok().map(drop)
}

#[test]
fn each_gateway_hears_its_own_recorder() -> Result<()> {
    let (redis, data) = (RedisServer::start()?, [tempfile::tempdir()?, tempfile::tempdir()?]);
    let start = |n: usize| Start::recorder(data[n].path()).args(["--redis-url", &redis.url()]);
    let mut first = Process::start(&start(0))?;
    let before = push(&first, 2)?;
    let id = before.recording(SOON)?;
    before.acknowledged(before.captured(), SOON)?;
    drop(before);
    first.stop()?;
    copy(data[0].path(), data[1].path())?;
    first.again()?;
    let second = Process::start(&start(1))?;
    let recorders = [&first, &second];
    // The other one is far ahead.
    let pushers = [push(&first, 10)?, push(&second, 70)?];
    let mut gateways = Vec::new();
    for (n, recorder) in recorders.iter().enumerate() {
        let far = Start::gateway(recorder.running()?.grpc()).args(["--redis-url", &redis.url()]);
        gateways.push((n, Process::start(&far.clone().args(["--read", "dir"]).data(data[n].path()))?));
        gateways.push((n, Process::start(&far.args(["--read", "recorder"]))?));
    }
    let target = format!("/recordings/{id}/audio.pcm");
    let mut listeners = Vec::new();
    for (n, gateway) in &gateways {
        let http = gateway.running()?.http();
        wait::until("the recording", SOON, || edge(http, &id).ok())?;
        listeners.push((*n, http, Listener::start(http, target.clone())));
    }
    for _ in 0..4 {
        let ends = [0, 1].map(|n: usize| bytes(pushers[n].captured()));
        for (n, http, listener) in &listeners {
            let heard = || (listener.heard() >= ends[*n] + SECOND || listener.gave_up()).then_some(());
            let waited = wait::until("the listener to come along", SOON, heard);
            let told = edge(*http, &id)?;
            waited.with_context(|| format!("recorder {n}: {} of {ends:?}, the edge is {told}", listener.heard()))?;
            ensure!(!listener.gave_up() && told <= bytes(pushers[*n].captured()), "recorder {n}: {told}");
        }
    }
    for (n, _, listener) in listeners {
        listener.end().with_context(|| format!("recorder {n}"))?;
    }
    let asks = |process: &Process| process.running().is_ok_and(|p| p.log().contains("Does another recorder run"));
    ensure!(recorders.iter().any(|recorder| asks(recorder)), "nobody says what is wrong");
    Ok(())
}

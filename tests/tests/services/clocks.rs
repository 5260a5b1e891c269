//! The clocks of the machines are hours apart. The time of day of a frame is what its source's clock said; the others'
//! clocks neither stop, nor cut, nor shift anything.

use crate::deployment::Process;
use anyhow::{Context, Result, ensure};
use livetape_audio::{Frame, WallTime};
use livetape_testkit::counting::verify_at;
use livetape_testkit::grpc_source::{now, stereo};
use livetape_testkit::http;
use livetape_testkit::process::Start;
use livetape_testkit::wait;
use livetape_tests::growing::{SECOND, SOON};
use livetape_tests::torture::{edge, gaps, verified};
use std::net::SocketAddr;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);
/// Far more than a test takes, far less than the clocks are apart.
const ABOUT: Duration = Duration::from_secs(15 * 60);

/// Started on a machine whose clock is `off`, as `+1h` or `-1h`, or right, if that is empty. Its monotonic clock runs as everybody's.
pub(crate) fn elsewhere(start: Start, off: &str) -> Result<Start> {
    if off.is_empty() {
        return Ok(start);
    }
    let library = std::fs::read_dir("/usr/lib")?
        .flatten()
        .map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"))
        .find(|path| path.exists())
        .context("libfaketime is not installed: scripts/setup.sh test")?;
    let preload = format!("LD_PRELOAD={}", library.display());
    Ok(start.through(["env", &preload, &format!("FAKETIME={off}"), "FAKETIME_DONT_FAKE_MONOTONIC=1"]))
}

/// The time of day of the first frame of each piece of the timeline.
fn times(to: SocketAddr, id: &str) -> Result<Vec<(u64, WallTime)>> {
    let timeline = http::json(to, &format!("/recordings/{id}/timeline"))?;
    let anchors = timeline["entries"].as_array().context("entries")?.iter().filter_map(|entry| {
        let (frame, time) =
            (entry["frame"].as_u64().or(entry["at"].as_u64())?, entry["time"].as_str().or(entry["to"].as_str())?);
        matches!(entry["type"].as_str(), Some("anchor" | "gap")).then(|| Some((frame, time.parse().ok()?)))?
    });
    Ok(anchors.collect())
}

/// One second of audio from this time of day on; where it begins, and each of its bytes checked.
fn one_second(to: SocketAddr, target: &str) -> Result<u64> {
    let mut reply = http::get(to, target).send()?;
    ensure!(reply.status == 200, "{target}: {}", reply.status);
    let first: u64 = reply.header("x-livetape-first-frame").context("X-Livetape-First-Frame")?.parse()?;
    let body = reply.at_least(usize::try_from(SECOND)?, SOON)?;
    verify_at(&body[..usize::try_from(SECOND)?], 4 * first).with_context(|| target.to_owned())?;
    Ok(first)
}

/// A source, a recorder and a gateway whose clocks are so far off.
fn records_and_plays([source, recorder, gateway]: [&str; 3], is: fn(WallTime) -> WallTime) -> Result<()> {
    let data = tempfile::tempdir()?;
    let mut recorder = Process::start(&elsewhere(Start::recorder(data.path()), recorder)?)?;
    let grpc = recorder.running()?.grpc();
    let mut gateway = Process::start(&elsewhere(Start::gateway(grpc), gateway)?)?;
    let start = Start::capture(grpc).args(["--source", "counting", "--stream", "live"]);
    let mut capture = Process::start(&elsewhere(start.clone(), source)?)?;
    let to = gateway.running()?.http();
    let id = wait::until("the recording", SOON, || {
        Some(http::json(to, "/recordings?stream=live").ok()?["recordings"][0]["id"].as_str()?.to_owned())
    })?;
    let grown = |bytes: u64| {
        wait::until("the recording to grow", SOON, || edge(to, &id).is_ok_and(|edge| edge >= bytes).then_some(()))
    };
    grown(4 * SECOND)?;
    ensure!(http::json(to, "/streams/live")?["state"] == "live", "{}", http::json(to, "/streams/live")?);
    ensure!(gaps(to, &id)?.is_empty(), "{:?}", gaps(to, &id)?);
    let [(0, began)] = times(to, &id)?[..] else { anyhow::bail!("{:?}", times(to, &id)?) };
    ensure!(began.distance(is(now())) < ABOUT, "it began at {began} by its source's clock");
    // A time of day means the frame of that time, on the source's clock.
    let two = stereo().frames(Duration::from_secs(2));
    let time = began.after_frames(two, stereo());
    let clip = format!("/recordings/{id}/audio.pcm?from={time}&to={}", time.later(Duration::from_secs(1)));
    let live = format!("/streams/live/live.pcm?at={time}");
    for target in [&clip, &live] {
        ensure!(one_second(to, target)? == (Frame::ZERO + two).get(), "{target}");
    }
    one_second(to, "/streams/live/live.pcm?offset=1")?;

    // The source comes back with a clock that is right: one gap, and what a time meant before, it means still.
    capture.stop()?;
    let before = edge(to, &id)?;
    capture = Process::start(&start)?;
    grown(before + 3 * SECOND)?;
    let [gap] = &gaps(to, &id)?[..] else { anyhow::bail!("{:?}", gaps(to, &id)?) };
    ensure!(gap["reason"] == "source_restarted", "{gap}");
    let [_, (at, back)] = times(to, &id)?[..] else { anyhow::bail!("{:?}", times(to, &id)?) };
    ensure!(back.distance(now()) < ABOUT, "it came back at {back}");
    ensure!(one_second(to, &clip)? == (Frame::ZERO + two).get(), "{clip}");
    let later = back.later(Duration::from_secs(1));
    // A time that has come twice means the first of both.
    let due = if back > began { at + SECOND / 4 } else { 0 };
    let here = one_second(to, &format!("/recordings/{id}/audio.pcm?from={later}"))?;
    ensure!(here == due, "{later} is at {here}, not at {due}");
    capture.stop()?;
    let end = edge(to, &id)?;
    let whole =
        http::get(to, &format!("/recordings/{id}/audio.pcm")).range(&format!("0-{}", end - 1)).send()?.body()?;
    verify_at(&whole, 0)?;
    gateway.stop()?;
    recorder.stop()?;
    verified(data.path())
}

#[test]
fn a_source_an_hour_ahead_and_a_gateway_an_hour_behind() -> Result<()> {
    records_and_plays(["+1h", "", "-1h"], |now| now.later(HOUR))
}

#[test]
fn a_source_an_hour_behind_and_a_gateway_an_hour_ahead() -> Result<()> {
    records_and_plays(["-1h", "", "+1h"], |now| now.earlier(HOUR))
}

#[test]
fn a_recorder_an_hour_ahead() -> Result<()> {
    records_and_plays(["", "+1h", ""], |now| now)
}

#[test]
fn a_recorder_an_hour_behind_and_a_source_an_hour_ahead() -> Result<()> {
    records_and_plays(["+1h", "-1h", ""], |now| now.later(HOUR))
}

#[test]
fn a_recorder_whose_clock_is_set_back_goes_on_and_lists_in_order() -> Result<()> {
    let data = tempfile::tempdir()?;
    let start = Start::recorder(data.path());
    let ahead = elsewhere(start.clone(), "+1h")?.spawn()?;
    let capture = Start::capture(ahead.grpc()).args(["--source", "counting", "--stream", "live"]);
    let gateway = Start::gateway(ahead.grpc()).spawn()?;
    let (capture, to) = (capture.spawn()?, gateway.http());
    let id = wait::until("the recording", SOON, || {
        Some(http::json(to, "/recordings?stream=live").ok()?["recordings"][0]["id"].as_str()?.to_owned())
    })?;
    let grown =
        |bytes: u64| wait::until("the recording to grow", SOON, || edge(to, &id).ok().filter(|edge| *edge >= bytes));
    let before = grown(SECOND)?;
    let start = start.on_ports_of(&ahead);
    ahead.stop()?;
    let right = start.spawn()?;
    let end = grown(before + 2 * SECOND)?;
    let audio =
        http::get(to, &format!("/recordings/{id}/audio.pcm")).range(&format!("0-{}", end - 1)).send()?.body()?;
    verify_at(&audio, 0)?;
    ensure!(gaps(to, &id)?.is_empty(), "{:?}", gaps(to, &id)?);
    // The next one begins before the first, by this clock, and comes after it all the same.
    let begin = http::request(to, "POST", "/streams/live/recordings", "1.1").header("Content-Length", "0").send()?;
    ensure!(begin.status == 201, "{}", begin.status);
    let list = http::json(to, "/recordings?stream=live")?;
    let ids: Vec<_> = list["recordings"].as_array().context("recordings")?.iter().map(|r| r["id"].clone()).collect();
    ensure!(ids.len() == 2 && ids[0] == id.as_str() && ids[1].as_str() > Some(id.as_str()), "{list}");
    capture.stop()?;
    gateway.stop()?;
    right.stop()?;
    verified(data.path())
}

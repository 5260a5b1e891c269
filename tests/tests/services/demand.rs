//! Recording on demand: begun and ended by people, over HTTP and on the command line, whatever restarts meanwhile. And a
//! source on a stream that it may not open.

use crate::deployment::Process;
use anyhow::{Context, Result, ensure};
use livetape_audio::{Frame, FrameCount};
use livetape_testkit::counting::{FRAME_BYTES, number, runs, wav};
use livetape_testkit::process::{Start, command};
use livetape_testkit::{http, wait};
use livetape_tests::growing::SOON;
use livetape_tests::torture::verified;
use serde_json::Value;
use std::net::SocketAddr;
use std::path::Path;

const CONFIG: &str = "allow_streams = [\"court-*\"]\n[[stream]]\nname = \"court-*\"\nrecord = \"on-demand\"\n";

/// Waits until the stream is in this state.
fn state(to: SocketAddr, state: &str) -> Result<Value> {
    wait::until(&format!("the state {state}"), SOON, || {
        http::json(to, "/streams/court-1").ok().filter(|stream| stream["state"] == state)
    })
}

/// `POST target`, which must be answered with `status`.
fn post(to: SocketAddr, target: &str, status: u16) -> Result<Value> {
    let mut reply = http::request(to, "POST", target, "1.1").header("Content-Length", "0").send()?;
    let body = reply.body()?;
    ensure!(reply.status == status, "{target}: {} {}", reply.status, String::from_utf8_lossy(&body));
    Ok(serde_json::from_slice(&body)?)
}

/// The audio of a sealed recording, which has no jump in it, and the number that its first frame carries.
fn whole(to: SocketAddr, id: &str) -> Result<(u32, u64)> {
    let pcm = http::get(to, &format!("/recordings/{id}/audio.pcm")).send()?.body()?;
    ensure!(runs(&pcm).len() == 1, "{id}: {:?}", runs(&pcm));
    Ok((number(&pcm).context("a frame")?, pcm.len() as u64 / FRAME_BYTES))
}

fn grows(to: SocketAddr, id: &str) -> Result<()> {
    let frames = || http::json(to, &format!("/recordings/{id}")).ok()?["frames"].as_u64();
    let before = wait::until("the recording", SOON, frames)?;
    wait::until("more of it", SOON, || frames().filter(|now| *now > before + 4_000)).map(drop)
}

fn spool_bytes(spool: &Path) -> Result<u64> {
    let files = std::fs::read_dir(spool.join("court-1"))?;
    files.map(|file| Ok(file?.metadata()?.len())).sum()
}

#[test]
fn people_begin_and_end_and_nothing_else_does() -> Result<()> {
    let (data, other) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let (config, spool) = (other.path().join("livetape.toml"), other.path().join("spool"));
    std::fs::write(&config, CONFIG)?;
    let start = Start::recorder(data.path()).args(["--config".as_ref(), config.as_os_str()]);
    let mut recorder = Process::start(&start)?;
    let ingest = recorder.running()?.grpc();
    let gateway = Start::gateway(ingest).spawn()?;
    let to = gateway.http();
    let source = ["--stream", "court-1", "--source", "counting", "--rate", "8000", "--spool-dir"];
    let capture = Start::capture(ingest).args(source).args([&spool]).spawn()?;

    // A source is there, and nothing is recorded.
    let idle = state(to, "idle")?;
    ensure!(idle["recording"].is_null() && idle["record"] == "on-demand", "{idle}");
    let live = http::get(to, "/streams/court-1/live.wav").send()?;
    ensure!(live.status == 503 && live.header("Retry-After").is_some(), "{}", live.status);
    ensure!(!data.path().join("court-1").exists());
    // Some of it has to come before anybody begins.
    std::thread::sleep(std::time::Duration::from_millis(200));

    let begun = post(to, "/streams/court-1/recordings", 201)?;
    let first = begun["id"].as_str().context("an id")?.to_owned();
    state(to, "live")?;
    grows(to, &first)?;
    // The recorder dies and comes back: what was being recorded goes on, without a loss.
    recorder.kill()?;
    recorder.again()?;
    state(to, "live")?;
    grows(to, &first)?;
    let sealed = post(to, &format!("/recordings/{first}/seal"), 200)?;
    ensure!(sealed["sealed"]["reason"] == "operator", "{sealed}");
    state(to, "idle")?;
    let (one, frames) = whole(to, &first)?;
    ensure!(one > 0, "what came before the beginning is not there");

    // Again: what nobody wanted begins by no restart, and leaves nothing on any disk.
    recorder.kill()?;
    recorder.again()?;
    state(to, "idle")?;
    let files = || spool_bytes(&spool).ok().filter(|bytes| *bytes < 4_096);
    wait::until("an empty spool", SOON, files)?;
    // As soon as the source is back.
    let begin = || {
        let told = command(["manage", "--recorder-url", &format!("http://{ingest}"), "begin", "court-1"])
            .ok()?
            .output()
            .ok()?;
        Some(String::from_utf8(told.stdout).ok()?.trim().strip_prefix("begun ")?.to_owned())
    };
    let second = &wait::until("a second beginning", SOON, begin)?;
    grows(to, second)?;
    post(to, &format!("/recordings/{second}/seal"), 200)?;
    let (two, _) = whole(to, second)?;
    ensure!(u64::from(two) > u64::from(one) + frames, "{two} after {one} and {frames}");
    ensure!(http::json(to, "/recordings?stream=court-1")?["recordings"].as_array().map(Vec::len) == Some(2));

    let listed = command(["streams".as_ref(), "--data-dir".as_ref(), data.path().as_os_str()])?
        .arg("--config")
        .arg(&config)
        .output()?;
    ensure!(String::from_utf8_lossy(&listed.stdout).matches(" on-demand ").count() == 2, "{listed:?}");
    capture.stop()?;
    gateway.stop()?;
    recorder.stop()?;
    verified(data.path())
}

#[test]
fn a_file_waits_until_somebody_begins() -> Result<()> {
    let (data, other) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let (config, file) = (other.path().join("livetape.toml"), other.path().join("tape.wav"));
    std::fs::write(&config, CONFIG)?;
    let frames: u64 = 80_000;
    std::fs::write(&file, wav(8_000, Frame::ZERO, FrameCount::new(frames))?)?;
    let recorder = Start::recorder(data.path()).args(["--config".as_ref(), config.as_os_str()]).spawn()?;
    let gateway = Start::gateway(recorder.grpc()).spawn()?;
    let source = format!("file:{}", file.display());
    let source = ["--stream", "court-1", "--pace", "fast", "--source", &source, "--spool-dir"];
    let mut capture = Start::capture(recorder.grpc()).args(source).args([other.path().join("spool")]).spawn()?;
    state(gateway.http(), "idle")?;
    std::thread::sleep(std::time::Duration::from_secs(1));
    let begun = post(gateway.http(), "/streams/court-1/recordings", 201)?;
    ensure!(capture.wait(SOON)?.success(), "the file has ended, and so has its source");
    let id = begun["id"].as_str().context("an id")?;
    ensure!(whole(gateway.http(), id)? == (0, frames), "{:?}", whole(gateway.http(), id)?);
    gateway.stop()?;
    recorder.stop()?;
    verified(data.path())
}

#[test]
fn a_source_on_a_stream_that_it_may_not_open_is_told_and_ends() -> Result<()> {
    let (data, other) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let recorder = Start::recorder(data.path()).args(["--allow-streams", "court-*,live"]).spawn()?;
    let refused = Start::capture(recorder.grpc()).args(["--stream", "studio", "--source", "tone", "--spool-dir"]);
    let mut capture = refused.args([other.path()]).spawn()?;
    let status = capture.wait(SOON)?;
    ensure!(!status.success(), "{status}");
    let log = capture.log();
    ensure!(log.contains("the recorder refuses this source") && log.contains("only court-*, live"), "{log}");
    ensure!(!data.path().join("studio").exists());
    recorder.stop()
}

//! What each role says of how it is, at `/readyz` and in figures, while what it works with goes away and comes back.

use crate::deployment::{Deployment, Part, Read};
use anyhow::{Context, Result, ensure};
use livetape_audio::{FrameCount, Instance};
use livetape_store::{DataDir, Disk};
use livetape_testkit::grpc_source::{now, stereo};
use livetape_testkit::process::Start;
use livetape_testkit::{http, wait};
use livetape_tests::growing::SOON;
use livetape_tests::sparse::Sparse;
use std::net::SocketAddr;

fn ask(at: SocketAddr, path: &str) -> Result<(u16, String)> {
    let mut reply = http::get(at, path).send()?;
    Ok((reply.status, String::from_utf8(reply.body()?)?))
}

/// Waits until `/readyz` says just this.
fn says(at: SocketAddr, status: u16, lines: &[&str]) -> Result<()> {
    let (mut last, body) = (None, lines.join("\n") + "\n");
    let wanted = || {
        last = ask(at, "/readyz").ok();
        last.as_ref().is_some_and(|(s, b)| (*s, b) == (status, &body)).then_some(())
    };
    let outcome = wait::until(&format!("{status} {body:?} at /readyz"), SOON, wanted);
    outcome.with_context(|| format!("it says {last:?}"))
}

/// Waits until a figure of the gateway is this.
fn shows(at: SocketAddr, line: &str) -> Result<()> {
    let shown = || ask(at, "/metrics").ok()?.1.lines().any(|one| one == line).then_some(());
    wait::until(&format!("{line:?} at /metrics"), SOON, shown)
}

#[test]
fn what_is_away_is_told_by_those_who_go_on_without() -> Result<()> {
    let mut on = Deployment::start(Read::Recorder, true)?;
    let (recorder, gateway) = (on.recorder.running()?.ops(), on.gateway.running()?.ops());
    let well = ["ready", "catalogue: yes", "recorder: yes", "redis: yes", "running: yes"];
    says(gateway, 200, &well)?;
    says(on.http(), 200, &well)?;
    says(recorder, 200, &["ready", "room on the disk: yes", "running: yes", "redis: yes"])?;
    shows(on.http(), "livetape_gateway_recorder_connected 1")?;
    shows(gateway, "livetape_gateway_recorder_reconnects_total 0")?;

    on.kill(Part::Redis)?;
    let without = ["ready", "catalogue: yes", "recorder: yes", "redis: no, goes on without", "running: yes"];
    says(gateway, 200, &without)?;
    let without = ["ready", "room on the disk: yes", "running: yes", "redis: no, goes on without"];
    says(recorder, 200, &without)?;
    on.again(Part::Redis)?;
    says(gateway, 200, &well)?;
    says(recorder, 200, &["ready", "room on the disk: yes", "running: yes", "redis: yes"])?;

    on.kill(Part::Recorder)?;
    let alone = ["ready", "catalogue: yes", "recorder: no, goes on without", "redis: yes", "running: yes"];
    says(gateway, 200, &alone)?;
    shows(gateway, "livetape_gateway_recorder_connected 0")?;
    ensure!(ask(on.http(), "/streams")?.0 == 200, "what is known is served");
    on.gateway.stop()?;
    on.gateway.again()?;
    let lost = ["not ready: catalogue", "catalogue: no", "recorder: no, goes on without", "redis: yes", "running: yes"];
    says(gateway, 503, &lost)?;
    on.again(Part::Recorder)?;
    says(gateway, 200, &well)?;
    on.kill(Part::Recorder)?;
    says(gateway, 200, &alone)?;
    on.again(Part::Recorder)?;
    shows(gateway, "livetape_gateway_recorder_reconnects_total 1")?;
    on.stop()
}

#[test]
fn a_capture_is_ready_with_its_sources_and_tells_of_its_recorder() -> Result<()> {
    let data = tempfile::tempdir()?;
    let recorder = Start::recorder(data.path()).spawn()?;
    let again = Start::recorder(data.path()).on_ports_of(&recorder);
    let mut capture = Start::capture(recorder.grpc()).source("stdin").with_stdin().spawn()?;
    let at = capture.ops();
    let before = ["not ready: sources", "sources: no", "recorder: no, goes on without", "running: yes"];
    says(at, 503, &before)?;
    let mut pipe = capture.stdin().context("a pipe")?;
    std::io::Write::write_all(&mut pipe, &vec![0; 192_000])?;
    let well = ["ready", "sources: yes", "recorder: yes", "running: yes"];
    says(at, 200, &well)?;
    recorder.kill()?;
    says(at, 200, &["ready", "sources: yes", "recorder: no, goes on without", "running: yes"])?;
    let recorder = again.spawn()?;
    says(at, 200, &well)?;
    capture.stop()?;
    recorder.stop()
}

#[test]
fn a_gateway_that_stops_says_so_while_its_listeners_go_on() -> Result<()> {
    let data = tempfile::tempdir()?;
    let (started, frames) = (now(), FrameCount::new(1 << 28));
    let long = Sparse { stream: "long", spec: stereo(), started, instance: Instance([9; 16]), frames };
    let long = long.sealed(&DataDir::open(data.path(), Disk::default())?)?;
    let recorder = Start::recorder(data.path()).spawn()?;
    let mut gateway = Start::gateway(recorder.grpc()).args(["--drain", "60s"]).spawn()?;
    says(gateway.ops(), 200, &["ready", "catalogue: yes", "recorder: yes", "running: yes"])?;
    // More than there is room for on the way: it is still being sent until somebody reads it, or goes.
    let listener = http::get(gateway.http(), &format!("/recordings/{}/audio.pcm", long.id)).send()?;
    ensure!(listener.status == 200, "{}", listener.status);
    gateway.terminate()?;
    says(gateway.ops(), 503, &["not ready: running", "catalogue: yes", "recorder: yes", "running: no"])?;
    drop(listener);
    // A second signal would mean now.
    let status = gateway.wait(SOON)?;
    ensure!(status.success(), "{status}");
    recorder.stop()
}

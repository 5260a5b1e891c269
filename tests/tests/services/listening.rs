//! Capture, recorder and gateway as three processes: the bits are those of the source, however they are asked for.

use crate::deployment::{Deployment, Process, Read};
use anyhow::{Context, Result, ensure};
use livetape_testkit::counting::verify_at;
use livetape_testkit::http::{self, Ending};
use livetape_testkit::process::{Livetape, Start};
use livetape_testkit::wait;
use livetape_tests::growing::{SECOND, SOON};
use livetape_tests::torture::{edge, gaps, numbers};

fn counting_pcm_arrives(read: Read, with_redis: bool) -> Result<()> {
    let deployment = Deployment::start(read, with_redis)?;
    let source = Start::capture(deployment.ingest()).args(["--source", "counting", "--stream", "live"]);
    let mut capture = Process::start(&source)?;
    let (to, id) = (deployment.http(), deployment.recording()?);
    let grown = |bytes| {
        wait::until("the recording to grow", SOON, || edge(to, &id).is_ok_and(|edge| edge >= bytes).then_some(()))
    };
    grown(3 * SECOND)?;
    for target in ["/streams/live/live.pcm".into(), "/streams/live/live.pcm?offset=2".into(), audio(&id)] {
        listen(to, &target).context(target)?;
    }
    ranges(to, &id)?;
    for role in [&capture, &deployment.recorder, &deployment.gateway] {
        answers(role.running()?)?;
    }
    capture.stop()?;
    // Whoever stops a source may go on with it: the recording is open. All of it is right up to its edge.
    let end = edge(to, &id)?;
    let mut whole = http::get(to, &audio(&id)).range(&format!("0-{}", end - 1)).send()?;
    let body = whole.body()?;
    ensure!(body.len() as u64 == end, "{} bytes of {end}", body.len());
    verify_at(&body, 0)?;
    ensure!(gaps(to, &id)?.is_empty(), "{:?}", gaps(to, &id)?);
    deployment.stop()
}

fn audio(id: &str) -> String {
    format!("/recordings/{id}/audio.pcm")
}

/// Listens until more came than there was, so that some of it is new.
fn listen(to: std::net::SocketAddr, target: &str) -> Result<()> {
    let mut reply = http::get(to, target).send()?;
    ensure!(reply.status == 200, "{} {:?}", reply.status, reply.headers);
    let first: u64 = reply.header("x-livetape-first-frame").context("X-Livetape-First-Frame")?.parse()?;
    let body = reply.at_least(usize::try_from(5 * SECOND)?, SOON)?;
    ensure!(reply.ending() == Ending::Open, "it ended: {:?}", reply.ending());
    Ok(verify_at(&body, first * 4)?)
}

fn ranges(to: std::net::SocketAddr, id: &str) -> Result<()> {
    let (mut random, end) = (numbers(1), edge(to, id)?);
    for _ in 0..40 {
        let len = [1, 3, 4, 1_000, 65_537, 300_000][usize::try_from(random(6))?];
        let start = random(end - len);
        let range = format!("{start}-{}", start + len - 1);
        let mut reply = http::get(to, &audio(id)).range(&range).send()?;
        ensure!(reply.status == 206, "{range}: {}", reply.status);
        let body = reply.body()?;
        ensure!(body.len() as u64 == len, "{range}: {} bytes", body.len());
        verify_at(&body, start).with_context(|| range)?;
    }
    Ok(())
}

/// The role says how it is doing.
fn answers(role: &Livetape) -> Result<()> {
    for (target, says) in [("/healthz", "well"), ("/readyz", "ready"), ("/metrics", "\nlivetape_")] {
        let mut reply = http::get(role.ops(), target).send()?;
        let body = String::from_utf8(reply.body()?)?;
        ensure!(reply.status == 200 && body.contains(says), "{target}: {} {body}", reply.status);
    }
    Ok(())
}

#[test]
fn through_the_recorder_with_redis() -> Result<()> {
    counting_pcm_arrives(Read::Recorder, true)
}

#[test]
fn through_the_recorder_without_redis() -> Result<()> {
    counting_pcm_arrives(Read::Recorder, false)
}

#[test]
fn through_the_folder_with_redis() -> Result<()> {
    counting_pcm_arrives(Read::Dir, true)
}

#[test]
fn through_the_folder_without_redis() -> Result<()> {
    counting_pcm_arrives(Read::Dir, false)
}

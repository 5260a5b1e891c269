//! Restarts under a listener: nothing is missing from what it heard, and Redis is not needed to hear.

use crate::deployment::{Deployment, Part, Read};
use anyhow::{Context, Result, ensure};
use livetape_audio::Frame;
use livetape_testkit::counting::verify_at;
use livetape_testkit::grpc_source::stereo;
use livetape_testkit::http::{self, Ending};
use livetape_testkit::wait;
use livetape_tests::growing::{SECOND, SOON};
use livetape_tests::torture::{Listener, counted, gaps};

#[test]
fn a_listener_hears_all_through_restarts() -> Result<()> {
    let mut deployment = Deployment::start(Read::Recorder, true)?;
    let (pusher, id) = deployment.push()?;
    let (to, target) = (deployment.http(), format!("/recordings/{id}/audio.pcm"));
    let listener = Listener::start(to, target.clone());
    let hears = |end: Frame| {
        let bytes = stereo().bytes(end.since(Frame::ZERO));
        wait::until("the listener to come along", SOON, || {
            (listener.heard() >= bytes || listener.gave_up()).then_some(())
        })
    };
    for part in [Part::Gateway, Part::Recorder, Part::Redis] {
        hears(pusher.captured()).with_context(|| format!("before {part:?}"))?;
        match part {
            Part::Gateway => deployment.gateway.stop()?,
            Part::Recorder => deployment.recorder.stop()?,
            Part::Redis => deployment.kill(part)?,
        }
        deployment.again(part)?;
        hears(pusher.captured()).with_context(|| format!("after {part:?}"))?;
    }
    let end = pusher.end(SOON)?;
    hears(end)?;
    let (heard, bytes) = (listener.end()?, stereo().bytes(end.since(Frame::ZERO)));
    ensure!(heard == bytes, "{heard} bytes were heard of {bytes}");
    counted(to, &target, end)?;
    ensure!(gaps(to, &id)?.is_empty(), "{:?}", gaps(to, &id)?);
    deployment.stop()
}

#[test]
fn without_redis_the_radio_plays_on() -> Result<()> {
    let mut deployment = Deployment::start(Read::Recorder, true)?;
    let (pusher, _) = deployment.push()?;
    pusher.acknowledged(pusher.captured(), SOON)?;
    let mut reply = http::get(deployment.http(), "/streams/live/live.pcm").send()?;
    ensure!(reply.status == 200, "{} {:?}", reply.status, reply.headers);
    let mut at: u64 = 4 * reply.header("x-livetape-first-frame").context("X-Livetape-First-Frame")?.parse::<u64>()?;
    let mut hear_until = |end: u64| {
        let more = usize::try_from(end.saturating_sub(at))?;
        let body = reply.at_least(more, SOON)?;
        ensure!(reply.ending() == Ending::Open, "it ended: {:?}", reply.ending());
        verify_at(&body, at)?;
        at += body.len() as u64;
        anyhow::Ok(())
    };
    let captured = || stereo().bytes(pusher.captured().since(Frame::ZERO));
    hear_until(captured())?;
    deployment.hold(Part::Redis)?;
    hear_until(captured() + 2 * SECOND).context("while Redis is held")?;
    deployment.go_on(Part::Redis)?;
    hear_until(captured() + SECOND).context("after Redis was held")?;
    deployment.kill(Part::Redis)?;
    hear_until(captured() + 2 * SECOND).context("while Redis is away")?;
    deployment.again(Part::Redis)?;
    hear_until(captured() + SECOND).context("after Redis was away")?;
    deployment.stop()
}

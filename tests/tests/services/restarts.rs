//! Restarts under a listener: nothing is missing from what it heard.

use crate::deployment::{Deployment, Part, Read};
use anyhow::{Context, Result, ensure};
use livetape_audio::Frame;
use livetape_testkit::grpc_source::stereo;
use livetape_testkit::wait;
use livetape_tests::growing::SOON;
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

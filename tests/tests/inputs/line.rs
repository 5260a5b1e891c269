//! A bad line between a source and the recorder: cut, closed, stuck. The recording has no hole, for the source comes
//! back with what it kept.

use anyhow::Result;
use livetape_audio::Frame;
use livetape_testkit::grpc_source::stereo;
use livetape_testkit::http;
use livetape_testkit::process::Start;
use livetape_testkit::proxy::{Cut, Proxy};
use livetape_testkit::pusher::{Push, Pusher};
use livetape_tests::counting;
use livetape_tests::growing::SOON;
use std::time::Duration;

#[test]
fn nothing_is_lost_on_a_bad_line() -> Result<()> {
    let data = tempfile::tempdir()?;
    let livetape = Start::new(data.path()).source("none").spawn()?;
    let line = Proxy::start(livetape.grpc())?;
    let push =
        Push { to: line.address(), stream: "live".into(), spec: stereo(), content: counting, backlog: Duration::ZERO };
    let pusher = Pusher::start(push);
    let id = pusher.recording(SOON)?;
    let mut listener = http::get(livetape.http(), &format!("/recordings/{id}/audio.pcm")).send()?;
    for how in [Cut::Reset, Cut::Close, Cut::Reset, Cut::Close] {
        pusher.acknowledged(pusher.captured(), SOON)?;
        // Something is always on its way, in both directions, when it breaks.
        line.pause(true);
        std::thread::sleep(Duration::from_millis(400));
        line.pause(false);
        std::thread::sleep(Duration::from_millis(30));
        line.cut(how);
    }
    pusher.acknowledged(pusher.captured(), SOON)?;
    let end = pusher.end(SOON)?;
    assert!(pusher.progress().opened >= 5, "{:?}", pusher.progress());
    let (heard, ending) = listener.to_end(SOON)?;
    assert_eq!(ending, http::Ending::Clean);
    assert!(heard == counting(Frame::ZERO, end.since(Frame::ZERO), stereo()), "{} bytes", heard.len());
    let timeline = http::json(livetape.http(), &format!("/recordings/{id}/timeline"))?;
    assert!(!timeline.to_string().contains("\"gap\""), "{timeline}");
    livetape.stop()
}

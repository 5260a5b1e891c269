//! Starting, stopping, and starting again.

use anyhow::Result;
use livetape_audio::Frame;
use livetape_testkit::http::{self, Ending};
use livetape_testkit::process::Start;
use livetape_testkit::pusher::{Push, Pusher};
use livetape_testkit::{grpc_source::stereo, wait};
use livetape_tests::counting;
use livetape_tests::growing::SOON;
use std::time::{Duration, Instant};

#[test]
fn a_second_recorder_on_the_same_folder_refuses() -> Result<()> {
    let data = tempfile::tempdir()?;
    let first = Start::new(data.path()).spawn()?;
    let refused = Start::new(data.path()).refused()?;
    assert!(refused.took < Duration::from_secs(5));
    let folder = data.path().to_str().expect("a plain path");
    assert!(refused.stderr.contains(folder), "it names the folder: {}", refused.stderr);
    assert_eq!(http::get(first.http(), "/healthz").send()?.status, 200, "the first goes on");
    first.stop()
}

#[test]
fn an_address_that_is_taken_is_named() -> Result<()> {
    let (one, two) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let first = Start::new(one.path()).spawn()?;
    let refused = Start::new(two.path()).on_ports_of(&first).refused()?;
    let ports = [first.http().port().to_string(), first.grpc().port().to_string()];
    assert!(ports.iter().any(|p| refused.stderr.contains(p)), "it names the address: {}", refused.stderr);
    first.stop()
}

#[test]
fn an_address_that_is_taken_is_named_with_its_variable_in_each_role() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let taken = std::net::TcpListener::bind("127.0.0.1:0")?;
    let address = taken.local_addr()?;
    for (role, flag, variable) in [
        ("recorder", "--grpc-addr", "LIVETAPE_GRPC_ADDR"),
        ("recorder", "--ops-addr", "LIVETAPE_OPS_ADDR"),
        ("gateway", "--http-addr", "LIVETAPE_HTTP_ADDR"),
        ("gateway", "--ops-addr", "LIVETAPE_OPS_ADDR"),
        ("capture", "--source-addr", "LIVETAPE_SOURCE_ADDR"),
        ("capture", "--ops-addr", "LIVETAPE_OPS_ADDR"),
    ] {
        let data = folder.path().join(variable);
        let others = ["--grpc-addr", "--http-addr", "--ops-addr"].into_iter().filter(|other| match role {
            "recorder" => *other != "--http-addr",
            "gateway" => *other != "--grpc-addr",
            _ => *other == "--ops-addr",
        });
        let mut command = livetape_testkit::process::command([role, flag, &address.to_string()])?;
        for other in others.filter(|other| *other != flag) {
            command.args([other, "127.0.0.1:0"]);
        }
        command.env("LIVETAPE_DATA_DIR", &data);
        let done = livetape_testkit::spawn::run(command, SOON)?;
        assert!(done.code != Some(0), "{role} {flag}: it ran");
        let says = format!("cannot listen on {address} ({variable})");
        assert!(done.stderr.contains(&says), "{role}: {says:?} is not in {}", done.stderr);
        assert!(flag != "--grpc-addr" || !data.exists(), "{role}: it made a folder first");
    }
    Ok(())
}

#[test]
fn a_stop_cuts_listeners_and_a_start_goes_on() -> Result<()> {
    let data = tempfile::tempdir()?;
    let start = Start::new(data.path()).source("none");
    let livetape = start.spawn()?;
    let start = start.on_ports_of(&livetape);
    let push =
        Push { to: livetape.grpc(), stream: "live".into(), spec: stereo(), content: counting, backlog: Duration::ZERO };
    let pusher = Pusher::start(push);
    let id = pusher.recording(SOON)?;
    let audio = format!("/recordings/{id}/audio.pcm");
    pusher.acknowledged(Frame::new(48_000), SOON)?;
    let mut live = http::get(livetape.http(), "/streams/live/live.wav").send()?;
    let mut growing = http::get(livetape.http(), &audio).send()?;
    live.at_least(100_000, SOON)?;

    let asked = Instant::now();
    livetape.stop()?;
    assert!(asked.elapsed() < Duration::from_secs(10), "{:?}", asked.elapsed());
    // A clean end would mean that the recording is over.
    assert_eq!(live.to_end(SOON)?.1, Ending::Cut);
    assert_eq!(growing.to_end(SOON)?.1, Ending::Cut);

    let livetape = start.spawn()?;
    pusher.acknowledged(pusher.captured(), SOON)?;
    assert_eq!(pusher.progress().recording, Some(id), "the same recording");
    let end = pusher.end(SOON)?;
    let mut whole = http::get(livetape.http(), &audio).send()?;
    assert!(whole.body()? == counting(Frame::ZERO, end.since(Frame::ZERO), stereo()), "without a hole");
    livetape.stop()
}

#[test]
fn the_second_signal_means_now() -> Result<()> {
    let data = tempfile::tempdir()?;
    let mut livetape = Start::new(data.path()).args(["--drain", "60s"]).spawn()?;
    let mut live = wait::until("the stream", SOON, || {
        http::get(livetape.http(), "/streams/live/live.wav").send().ok().filter(|r| r.status == 200)
    })?;
    live.at_least(50_000, SOON)?;
    livetape.terminate()?;
    std::thread::sleep(Duration::from_secs(1));
    if livetape.runs() {
        let asked = Instant::now();
        livetape.terminate()?;
        livetape.wait(Duration::from_secs(5))?;
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
    }
    assert_eq!(live.to_end(SOON)?.1, Ending::Cut);
    Ok(())
}

#[test]
fn sound_within_seconds_of_the_start() -> Result<()> {
    let data = tempfile::tempdir()?;
    let started = Instant::now();
    let livetape = Start::new(data.path()).spawn()?;
    let mut live = wait::until("the stream", Duration::from_secs(5), || {
        http::get(livetape.http(), "/streams/live/live.wav").send().ok().filter(|r| r.status == 200)
    })?;
    live.at_least(44 + 96_000, SOON)?;
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    livetape.stop()
}

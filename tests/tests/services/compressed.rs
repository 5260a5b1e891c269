//! The same bytes of compressed audio, whoever makes them: gateways as processes of their own, one that reads the folder and one that
//! reads the recorder, before and after they start anew, while the recording grows and when it is sealed.

use crate::deployment::Process;
use anyhow::{Context, Result, ensure};
use livetape_audio::Frame;
use livetape_testkit::grpc_source::stereo;
use livetape_testkit::process::Start;
use livetape_testkit::pusher::{Push, Pusher};
use livetape_testkit::{http, wait};
use livetape_tests::counting;
use livetape_tests::growing::{SECOND, SOON};
use livetape_tests::torture::edge;
use std::time::Duration;

/// Across blocks, from the beginning and inside one of them.
const RANGES: [(&str, &[(u64, u64)]); 3] = [
    ("audio.mp3", &[(0, 0), (19_100, 19_299), (5, 60_000)]),
    ("audio.mp3?rendition=mp3-320", &[(47_900, 96_100)]),
    ("audio.opus", &[(0, 40_000), (12_000, 24_500)]),
];

/// The bytes of all the ranges, and the entity tags.
fn taken(gateway: &Process, id: &str) -> Result<(Vec<Vec<u8>>, Vec<String>)> {
    let (to, mut bodies, mut tags) = (gateway.running()?.http(), Vec::new(), Vec::new());
    wait::until("the recording", SOON, || edge(to, id).ok().filter(|bytes| *bytes >= 6 * SECOND))?;
    for (file, ranges) in RANGES {
        for (from, to_byte) in ranges {
            let target = format!("/recordings/{id}/{file}");
            let mut reply = http::get(to, &target).range(&format!("{from}-{to_byte}")).send()?;
            ensure!(reply.status == 206, "{target} {from}: {}", reply.status);
            tags.push(reply.header("etag").context("no tag")?.to_owned());
            let body = reply.body()?;
            ensure!(body.len() as u64 == to_byte - from + 1, "{target}: {} bytes", body.len());
            bodies.push(body);
        }
    }
    Ok((bodies, tags))
}

#[test]
fn two_gateways_a_restart_and_a_seal_make_no_difference() -> Result<()> {
    let data = tempfile::tempdir()?;
    let recorder = Process::start(&Start::recorder(data.path()))?;
    let (to, backlog) = (recorder.running()?.grpc(), Duration::from_secs(8));
    let pusher = Pusher::start(Push { to, stream: "live".into(), spec: stereo(), content: counting, backlog });
    let id = pusher.recording(SOON)?;
    pusher.acknowledged(Frame::new(6 * 48_000), SOON)?;
    let far = Start::gateway(to);
    let dir = || far.clone().args(["--read", "dir"]).data(data.path());
    let mut gateways = [Process::start(&dir())?, Process::start(&far.clone().args(["--read", "recorder"]))?];
    let first = taken(&gateways[0], &id)?;
    ensure!(first == taken(&gateways[1], &id)?, "by the folder and by the recorder");
    for gateway in &mut gateways {
        gateway.kill()?;
        gateway.again()?;
        ensure!(first == taken(gateway, &id)?, "after a restart");
    }
    pusher.end(SOON)?;
    for gateway in &gateways {
        let to = gateway.running()?.http();
        let sealed = || http::json(to, &format!("/recordings/{id}")).ok().filter(|one| one["state"] == "sealed");
        wait::until("the seal", SOON, sealed)?;
    }
    for gateway in &gateways {
        ensure!(first == taken(gateway, &id)?, "sealed");
    }
    // One that was never asked before.
    ensure!(first == taken(&Process::start(&dir())?, &id)?, "sealed, and new");
    Ok(())
}

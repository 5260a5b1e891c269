//! What a real recorder keeps, by age and by size, and what it says of what it has not kept. By free space: `full_disk`.

use crate::clocks::elsewhere;
use anyhow::{Context, Result, ensure};
use livetape_testkit::grpc_source::stereo;
use livetape_testkit::http;
use livetape_testkit::process::{Livetape, Start, command};
use livetape_testkit::pusher::{Push, Pusher};
use livetape_testkit::spawn;
use livetape_testkit::wait;
use livetape_tests::counting;
use livetape_tests::growing::SOON;
use livetape_tests::torture::verified;
use std::net::SocketAddr;
use std::time::Duration;

/// A sealed recording of a few seconds: 768 kB.
fn record(to: SocketAddr) -> Result<String> {
    let backlog = Duration::from_secs(4);
    let pusher = Pusher::start(Push { to, stream: "live".into(), spec: stereo(), content: counting, backlog });
    let id = pusher.recording(SOON)?;
    pusher.end(SOON)?;
    Ok(id)
}

fn lock(recorder: SocketAddr, id: &str) -> Result<()> {
    let manage = command(["manage", "--recorder-url", &format!("http://{recorder}"), "lock", id])?;
    spawn::run(manage, SOON)?.ok().map(drop)
}

/// Waits until just these are left.
fn left(gateway: SocketAddr, due: &[&String]) -> Result<()> {
    let ids = || -> Option<Vec<String>> {
        let list = http::json(gateway, "/recordings?stream=live").ok()?;
        Some(list["recordings"].as_array()?.iter().filter_map(|r| Some(r["id"].as_str()?.to_owned())).collect())
    };
    wait::until("what is kept", SOON, || ids().filter(|ids| ids.iter().eq(due.iter().copied())))
        .map(drop)
        .with_context(|| format!("{:?}, not {due:?}", ids()))
}

/// So many went for this reason, and a timeline says from which to which.
fn told(recorder: &Livetape, gateway: SocketAddr, (why, count): (&str, u32), on: &str, gone: &[&String]) -> Result<()> {
    let text = String::from_utf8(http::get(recorder.ops(), "/metrics").send()?.body()?)?;
    let counted = format!("livetape_recorder_retention_removed_total{{why=\"{why}\"}} {count}\n");
    ensure!(text.contains(&counted), "{counted} in {text}");
    let timeline = || Some(http::json(gateway, &format!("/recordings/{on}/timeline")).ok()?.to_string());
    wait::until("an event on the timeline", SOON, || {
        timeline().filter(|text| text.contains("\"retention\"") && gone.iter().all(|id| text.contains(*id)))
    })
    .map(drop)
    .with_context(|| format!("{:?}", timeline()))
}

#[test]
fn what_ended_too_long_ago_goes() -> Result<()> {
    let data = tempfile::tempdir()?;
    let start = Start::recorder(data.path()).args(["--keep-for", "1h"]);
    // A recorder whose clock is far behind removes nothing, and a source whose clock is right has its time.
    let recorder = elsewhere(start.clone(), "-2h")?.spawn()?;
    let [first, second, third] = [record(recorder.grpc())?, record(recorder.grpc())?, record(recorder.grpc())?];
    lock(recorder.grpc(), &second)?;
    let gateway = Start::gateway(recorder.grpc()).spawn()?;
    left(gateway.http(), &[&first, &second, &third])?;
    gateway.stop()?;
    recorder.stop()?;
    // When the clock is set right, they are seconds old, whatever it said when they began.
    let recorder = start.spawn()?;
    let gateway = Start::gateway(recorder.grpc()).spawn()?;
    let fourth = record(recorder.grpc())?;
    std::thread::sleep(Duration::from_secs(2));
    left(gateway.http(), &[&first, &second, &third, &fourth])?;
    gateway.stop()?;
    recorder.stop()?;
    // Two hours later.
    let recorder = elsewhere(start, "+2h")?.spawn()?;
    let gateway = Start::gateway(recorder.grpc()).spawn()?;
    left(gateway.http(), &[&second])?;
    told(&recorder, gateway.http(), ("age", 3), &second, &[&first, &fourth])?;
    gateway.stop()?;
    recorder.stop()?;
    verified(data.path())
}

#[test]
fn while_there_is_more_than_is_kept_the_oldest_goes() -> Result<()> {
    let data = tempfile::tempdir()?;
    let recorder = Start::recorder(data.path()).args(["--keep-size", "2MiB"]).spawn()?;
    let gateway = Start::gateway(recorder.grpc()).spawn()?;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(record(recorder.grpc())?);
    }
    left(gateway.http(), &[&ids[2], &ids[3]])?;
    // One look may have found both, or each its own; the newest recording at that time says so.
    let said = ids[2..].iter().map(|id| http::json(gateway.http(), &format!("/recordings/{id}/timeline")));
    let said = said.map(|timeline| Ok(timeline?.to_string())).collect::<Result<String>>()?;
    ensure!(said.contains("\"retention\"") && said.contains(&ids[0]) && said.contains(&ids[1]), "{said}");
    let text = String::from_utf8(http::get(recorder.ops(), "/metrics").send()?.body()?)?;
    ensure!(text.contains("livetape_recorder_retention_removed_total{why=\"bytes\"} 2\n"), "{text}");
    gateway.stop()?;
    recorder.stop()?;
    verified(data.path())
}

//! A source that dies: one gap each time, and what it had handed over or put aside is there.

use crate::deployment::{Deployment, Part, Process, Read};
use crate::faults::{faults, say, seed};
use anyhow::{Context, Result, ensure};
use livetape_testkit::counting::{FRAME_BYTES, runs};
use livetape_testkit::process::Start;
use livetape_testkit::{http, wait};
use livetape_tests::growing::{SECOND, SOON};
use livetape_tests::torture::{edge, gaps, numbers};
use std::net::SocketAddr;
use std::time::Duration;

/// Frames that wait in the spool of the source.
fn spooled(ops: SocketAddr) -> Result<u64> {
    let body = String::from_utf8(http::get(ops, "/metrics").send()?.body()?)?;
    let line = body.lines().find_map(|line| line.strip_prefix("livetape_capture_spooled_frames{stream=\"live\"} "));
    Ok(line.with_context(|| body.clone())?.parse()?)
}

#[test]
fn a_source_that_dies_leaves_one_gap_each_time() -> Result<()> {
    let mut random = numbers(seed());
    let (mut deployment, spool) = (Deployment::start(Read::Recorder, true)?, tempfile::tempdir()?);
    let source = Start::capture(deployment.ingest()).args(["--source", "counting", "--stream", "live", "--spool-dir"]);
    let mut capture = Process::start(&source.args([spool.path()]))?;
    let (to, id) = (deployment.http(), deployment.recording()?);
    let kills = faults().div_ceil(2);
    let grown = |kill: u64| {
        // A new gap stands on the timeline once the first frame after it has come.
        let whole = || {
            let (gaps, end) = (gaps(to, &id).ok()?, edge(to, &id).ok()?);
            (gaps.len() as u64 == kill).then_some(end)
        };
        let end = wait::until("audio after the gap", SOON, whole)?;
        wait::until("the recording to grow", SOON, || edge(to, &id).ok().filter(|now| *now > end + SECOND / 2))
    };
    // Frames that must be there before the gap of each kill.
    let mut kept = Vec::new();
    for kill in 0..kills {
        grown(kill).with_context(|| format!("{kill}: {:?}", gaps(to, &id)))?;
        std::thread::sleep(Duration::from_millis(random(1_000)));
        let acknowledged = edge(to, &id)? / FRAME_BYTES;
        // Every other time it dies while nobody takes what it captures.
        let away = kill % 2 == 1;
        if away {
            deployment.hold(Part::Recorder)?;
        }
        let ops = capture.running()?.ops();
        let waiting =
            wait::until("audio in the spool", SOON, || spooled(ops).ok().filter(|frames| !away || *frames > 24_000))?;
        say(&format!("{kill}: killed with {acknowledged} acknowledged, {waiting} in the spool"));
        kept.push(acknowledged + if away { waiting } else { 0 });
        capture.kill()?;
        if away {
            deployment.go_on(Part::Recorder)?;
        }
        capture.again()?;
    }
    let end = grown(kills).with_context(|| format!("{:?}", gaps(to, &id)))?;
    let all = gaps(to, &id)?;
    let at = all.iter().map(|gap| gap["at"].as_u64().with_context(|| gap.to_string())).collect::<Result<Vec<_>>>()?;
    ensure!(all.iter().all(|gap| gap["reason"] == "source_restarted"), "{all:?}");
    ensure!(at.iter().zip(&kept).all(|(at, kept)| at >= kept), "gaps at {at:?}, but kept was {kept:?}");
    // Between the gaps nothing is missing and nothing is twice.
    let mut reply = http::get(to, &format!("/recordings/{id}/audio.pcm")).range(&format!("0-{}", end - 1)).send()?;
    let runs = runs(&reply.body()?);
    ensure!(runs.iter().all(|run| run.at.is_zero() || at.contains(&run.at.get())), "gaps at {at:?}, but {runs:?}");
    capture.stop()?;
    deployment.stop()
}

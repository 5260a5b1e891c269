//! The recorder is away for longer than a source may keep audio for it: the oldest is given up, counted, and becomes a gap of
//! just its length. In memory alone, and with a spool.

use crate::deployment::Process;
use anyhow::{Context, Result, ensure};
use livetape_testkit::counting::runs;
use livetape_testkit::http;
use livetape_testkit::process::{Livetape, Start};
use livetape_testkit::wait;
use livetape_tests::growing::SOON;
use livetape_tests::torture::{edge, gaps, verified};
use std::path::Path;

/// Frames in a second, so that what may wait is little time: 768 kB.
const RATE: u64 = 192_000;
/// What may wait, in memory or in the spool.
const BOUND: u64 = 1 << 20;

/// A figure of a role.
fn figure(role: &Livetape, series: &str) -> Result<u64> {
    let text = String::from_utf8(http::get(role.ops(), "/metrics").send()?.body()?)?;
    let value =
        text.lines().find_map(|line| line.strip_prefix(series)).with_context(|| format!("{series} in {text}"))?;
    Ok(value.trim().parse()?)
}

/// Bytes of the files in a folder.
fn size(folder: &Path) -> Result<u64> {
    let files = std::fs::read_dir(folder)?.map(|file| Ok(file?.metadata()?.len()));
    Ok(files.collect::<std::io::Result<Vec<_>>>()?.iter().sum())
}

fn given_up(spool: Option<&Path>) -> Result<()> {
    let data = tempfile::tempdir()?;
    let mut recorder = Process::start(&Start::recorder(data.path()))?;
    let gateway = Start::gateway(recorder.running()?.grpc()).spawn()?;
    let source = ["--source", "counting", "--stream", "live", "--rate", "192000", "--queue-size", "1MiB"];
    let mut start = Start::capture(recorder.running()?.grpc()).args(source);
    if let Some(spool) = spool {
        start = start.args(["--spool-size", "1MiB", "--spool-dir"]).args([spool]);
    }
    let capture = start.spawn()?;
    let to = gateway.http();
    let id = wait::until("the recording", SOON, || {
        Some(http::json(to, "/recordings?stream=live").ok()?["recordings"][0]["id"].as_str()?.to_owned())
    })?;
    let grown =
        |bytes: u64| wait::until("the recording to grow", SOON, || edge(to, &id).ok().filter(|edge| *edge >= bytes));
    let before = grown(4 * RATE)?;
    recorder.kill()?;
    // Until more than a second's audio is gone; of that, a little may turn out to have arrived.
    wait::until("audio that is given up", SOON, || {
        let lost = figure(&capture, "livetape_capture_given_up_frames{stream=\"live\"}").ok()?;
        (lost > RATE).then_some(())
    })?;
    let waits = figure(&capture, "livetape_capture_waiting_frames{stream=\"live\"}")?;
    // Memory may hold two seconds in any case.
    let most = BOUND.max(2 * 4 * RATE) + spool.map_or(0, |_| BOUND);
    ensure!(4 * waits <= most, "{waits} frames wait");
    if let Some(spool) = spool {
        let bytes = size(&spool.join("live"))?;
        ensure!(bytes > BOUND / 2 && bytes <= BOUND + (64 << 10), "{bytes} bytes in the spool");
    }
    ensure!(capture.log().contains("the oldest is given up from here on"), "{}", capture.log());
    recorder.again()?;
    let end = grown(before + 4 * 4 * RATE)?;
    let audio = format!("/recordings/{id}/audio.pcm");
    let body = http::get(to, &audio).range(&format!("0-{}", end - 1)).send()?.body()?;
    let told: u64 =
        gaps(to, &id)?.iter().filter(|gap| gap["reason"] == "overflow").filter_map(|gap| gap["lost"].as_u64()).sum();
    let known = figure(&capture, "livetape_capture_given_up_frames{stream=\"live\"}")?;
    ensure!(told == known && told > RATE / 2, "{told} frames in gaps, {known} counted: {:?}", gaps(to, &id)?);
    ensure!(gaps(to, &id)?.iter().all(|gap| gap["reason"] == "overflow"), "{:?}", gaps(to, &id)?);
    // The numbers of the frames jump by just as much, and nowhere else.
    let runs = runs(&body);
    let missing: u64 =
        runs.windows(2).map(|two| u64::from(two[1].first) - u64::from(two[0].first) - two[0].frames.get()).sum();
    ensure!(missing == told && runs.len() == 1 + gaps(to, &id)?.len(), "{runs:?}, {:?}", gaps(to, &id)?);
    capture.stop()?;
    gateway.stop()?;
    recorder.stop()?;
    verified(data.path())
}

#[test]
fn what_memory_does_not_hold_is_a_gap_of_its_length() -> Result<()> {
    given_up(None)
}

#[test]
fn nor_what_the_spool_does_not() -> Result<()> {
    let spool = tempfile::tempdir()?;
    given_up(Some(spool.path()))
}

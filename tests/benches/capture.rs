//! What capturing costs a small board: one stream of 48 kHz in stereo that is pushed to a recorder, while that is there, and
//! while it is away for longer than memory holds what is captured, with a spool and without.

use anyhow::{Context, Result};
use livetape_testkit::http;
use livetape_testkit::process::{Livetape, Start};
use livetape_testkit::wait;
use livetape_tests::bench::table::Table;
use livetape_tests::bench::{introduce, usage};
use livetape_tests::{bench, torture};
use std::time::{Duration, Instant};

/// How long a recorder takes to come back.
const SOON: Duration = Duration::from_secs(60);

fn main() -> Result<()> {
    bench::main(measure)
}

fn measure() -> Result<()> {
    introduce()?;
    let seconds = torture::setting("LIVETAPE_CAPTURE_SECONDS", 60);
    let mut table = Table::new(&["source", "share of a core", "memory, MiB", "at most"]);
    calm(seconds, &mut table)?;
    for with_spool in [true, false] {
        away(seconds, with_spool, &mut table)?;
    }
    println!("\ncapture of 48 kHz, 16 bits, stereo, {seconds} s each");
    table.print();
    Ok(())
}

/// Processor time of a while, and memory after it.
fn cost(capture: &Livetape, what: &str, seconds: u64, table: &mut Table) -> Result<()> {
    let (before, started) = (usage::cpu(capture.pid())?, Instant::now());
    std::thread::sleep(Duration::from_secs(seconds));
    let used = (usage::cpu(capture.pid())? - before).as_secs_f64() / started.elapsed().as_secs_f64();
    let (resident, peak) = (usage::resident(capture.pid())?, usage::peak(capture.pid())?);
    let mib = |kib: u64| format!("{:.1}", kib as f64 / 1024.0);
    table.row([what.to_owned(), format!("{:.1} %", used * 100.0), mib(resident), mib(peak)]);
    Ok(())
}

fn calm(seconds: u64, table: &mut Table) -> Result<()> {
    let data = tempfile::tempdir()?;
    let recorder = Start::recorder(data.path()).spawn()?;
    for source in ["counting", "time-signal"] {
        let spool = tempfile::tempdir()?;
        let capture = Start::capture(recorder.grpc()).source(source).args(["--stream", source]);
        let capture = capture.args(["--spool-dir".into(), spool.path().as_os_str().to_owned()]).spawn()?;
        std::thread::sleep(Duration::from_secs(5));
        cost(&capture, source, seconds, table)?;
        capture.stop()?;
    }
    recorder.stop()
}

/// The recorder goes and comes back: the memory that this ever took, with what is sent afterwards.
fn away(seconds: u64, with_spool: bool, table: &mut Table) -> Result<()> {
    let (data, spool) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let start = Start::recorder(data.path());
    let recorder = start.spawn()?;
    let start = start.on_ports_of(&recorder);
    let mut capture = Start::capture(recorder.grpc()).source("counting").args(["--stream", "counting"]);
    if with_spool {
        // What waits is on the disk: a board with little memory can do with less of it than is built in.
        capture = capture.args(["--queue-size", "1MiB"]);
        capture = capture.args(["--spool-dir".into(), spool.path().as_os_str().to_owned()]);
    }
    let capture = capture.spawn()?;
    std::thread::sleep(Duration::from_secs(5));
    recorder.kill()?;
    let kept = if with_spool { "with a spool and a queue of 1 MiB" } else { "in a queue of 4 MiB" };
    cost(&capture, &format!("counting, recorder away, {kept}"), seconds, table)?;
    let recorder = start.spawn()?;
    wait::until("all to be acknowledged", SOON, || {
        let text = String::from_utf8(http::get(capture.ops(), "/metrics").send().ok()?.body().ok()?).ok()?;
        let waits =
            text.lines().find_map(|line| line.strip_prefix("livetape_capture_waiting_frames{stream=\"counting\"} "));
        (waits?.parse::<u64>().ok()? < 48_000).then_some(())
    })
    .context("after the recorder has come back")?;
    cost(&capture, &format!("counting, afterwards, {kept}"), 10, table)?;
    capture.stop()?;
    recorder.stop()
}

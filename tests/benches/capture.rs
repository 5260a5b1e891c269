//! What capturing costs a small board: one stream of 48 kHz in stereo that is pushed to a recorder.

use anyhow::Result;
use livetape_testkit::process::Start;
use livetape_tests::bench::table::Table;
use livetape_tests::bench::{introduce, usage};
use livetape_tests::{bench, torture};
use std::time::{Duration, Instant};

fn main() -> Result<()> {
    bench::main(measure)
}

fn measure() -> Result<()> {
    introduce()?;
    let seconds = torture::setting("LIVETAPE_CAPTURE_SECONDS", 60);
    let data = tempfile::tempdir()?;
    let recorder = Start::recorder(data.path()).spawn()?;
    let mut table = Table::new(&["source", "share of a core", "memory, MiB", "at most"]);
    for source in ["counting", "time-signal"] {
        let spool = tempfile::tempdir()?;
        let capture = Start::capture(recorder.grpc()).source(source).args(["--stream", source]);
        let capture = capture.args(["--spool-dir".into(), spool.path().as_os_str().to_owned()]).spawn()?;
        std::thread::sleep(Duration::from_secs(5));
        let (before, started) = (usage::cpu(capture.pid())?, Instant::now());
        std::thread::sleep(Duration::from_secs(seconds));
        let used = (usage::cpu(capture.pid())? - before).as_secs_f64() / started.elapsed().as_secs_f64();
        let (resident, peak) = (usage::resident(capture.pid())?, usage::peak(capture.pid())?);
        let mib = |kib: u64| format!("{:.1}", kib as f64 / 1024.0);
        table.row([source.to_owned(), format!("{:.1} %", used * 100.0), mib(resident), mib(peak)]);
        capture.stop()?;
    }
    println!("\ncapture of 48 kHz, 16 bits, stereo, {seconds} s each");
    table.print();
    recorder.stop()
}

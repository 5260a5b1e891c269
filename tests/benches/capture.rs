//! What capturing costs a small board: one stream of 48 kHz in stereo that is pushed to a recorder.

use anyhow::Result;
use livetape_testkit::process::Start;
use livetape_tests::bench::{introduce, usage};
use livetape_tests::{bench, torture};
use std::time::{Duration, Instant};

fn main() -> Result<()> {
    bench::main(measure)
}

fn measure() -> Result<()> {
    introduce()?;
    let seconds = torture::setting("LIVETAPE_CAPTURE_SECONDS", 120);
    let data = tempfile::tempdir()?;
    let recorder = Start::recorder(data.path()).spawn()?;
    for source in ["counting", "time-signal"] {
        let spool = tempfile::tempdir()?;
        let capture = Start::capture(recorder.grpc()).source(source).args(["--stream", source]);
        let capture = capture.args(["--spool-dir".into(), spool.path().as_os_str().to_owned()]).spawn()?;
        std::thread::sleep(Duration::from_secs(5));
        let (before, started) = (usage::cpu(capture.pid())?, Instant::now());
        std::thread::sleep(Duration::from_secs(seconds));
        let used = (usage::cpu(capture.pid())? - before).as_secs_f64() / started.elapsed().as_secs_f64();
        let (resident, peak) = (usage::resident(capture.pid())?, usage::peak(capture.pid())?);
        println!(
            "capture of {source:12} 48 kHz, 16 bits, stereo, {seconds} s: {:.2} % of a core, {:.1} MiB, at most {:.1} MiB",
            used * 100.0,
            resident as f64 / 1024.0,
            peak as f64 / 1024.0
        );
        capture.stop()?;
    }
    recorder.stop()
}

//! What random and whole-file ranges cost the server, on a growing and on a finished recording: against nginx, which
//! serves the very same file, and against bare loops around sendfile and read.

use anyhow::{Context, Result};
use livetape_audio::Frame;
use livetape_testkit::grpc_source::stereo;
use livetape_testkit::runtime;
use livetape_tests::bench::floors::Floor;
use livetape_tests::bench::peers::Peer;
use livetape_tests::bench::ranges::{Target, random};
use livetape_tests::bench::spread::{Delays, Runs};
use livetape_tests::bench::{introduce, usage};
use livetape_tests::growing::{Growing, SOON};
use livetape_tests::{bench, counting, torture};
use std::path::PathBuf;
use std::time::{Duration, Instant};

const BACKLOG: Duration = Duration::from_secs(600);
const CONNECTIONS: u64 = 16;

fn main() -> Result<()> {
    bench::main(measure)
}

fn measure() -> Result<()> {
    introduce()?;
    let g = Growing::start(counting, BACKLOG)?;
    let file = segment(&g)?;
    let nginx = Peer::nginx(file.parent().context("a folder")?)?;
    let sendfile = Floor::start(["range".as_ref(), "sendfile".as_ref(), file.as_os_str()])?;
    let read = Floor::start(["range".as_ref(), "read".as_ref(), file.as_os_str()])?;
    let name = file.file_name().and_then(|n| n.to_str()).context("a name")?;
    let bytes = stereo().bytes(g.pusher.progress().acknowledged.since(Frame::ZERO));
    let target = |to, path: &str| Target { to, path: path.into(), bytes };
    let servers = [
        ("livetape", g.livetape.pid(), target(g.livetape.http(), &format!("/recordings/{}/audio.pcm", g.id))),
        ("nginx", nginx.pid(), target(nginx.address(), &format!("/{name}"))),
        ("sendfile loop", sendfile.pid(), target(sendfile.address(), "/")),
        ("read loop", read.pid(), target(read.address(), "/")),
    ];
    let only = std::env::var("ONLY").unwrap_or_default();
    let servers: Vec<_> =
        servers.into_iter().filter(|s| only.is_empty() || only.split(',').any(|o| o == s.0)).collect();
    let rounds = rounds();
    println!("median (least to most) of {rounds} rounds in turns; {CONNECTIONS} connections");
    all("growing", &servers)?;
    g.pusher.end(SOON)?;
    all("finished", &servers)?;
    g.livetape.stop()
}

/// The file that holds the recording.
fn segment(g: &Growing) -> Result<PathBuf> {
    let folder = g.data().join("live").join(&g.id);
    Ok(folder.join(format!("{:020}.pcm", 0)))
}

fn all(state: &str, servers: &[(&str, u32, Target)]) -> Result<()> {
    for (what, len, count) in [("64 KiB", 64 << 10, 16_000), ("1 MiB", 1 << 20, 1_600), ("whole", u64::MAX, 16)] {
        compare(&format!("{what}, {state}"), len, count, servers)?;
    }
    Ok(())
}

fn compare(what: &str, len: u64, count: u64, servers: &[(&str, u32, Target)]) -> Result<()> {
    let mut figures: Vec<_> = servers.iter().map(|_| (Runs::default(), Runs::default(), Delays::default())).collect();
    for _ in 0..rounds() {
        for ((_, pid, target), (cpu, speed, delays)) in servers.iter().zip(&mut figures) {
            let len = len.min(target.bytes);
            let (before, started) = (usage::cpu(*pid)?, Instant::now());
            delays.extend(runtime().block_on(random(target, CONNECTIONS, count, len))?);
            let mb = (count * len) as f64 / 1e6;
            cpu.push((usage::cpu(*pid)? - before).as_secs_f64() * 1e6 / mb);
            speed.push(mb / started.elapsed().as_secs_f64());
        }
    }
    println!("\n{what:24} {:>22} {:>10} {:>10}", "CPU µs for each MB", "to nginx", "MB/s");
    let peer = figures[1].0.clone();
    for ((name, ..), (cpu, speed, delays)) in servers.iter().zip(&mut figures) {
        println!("{name:24} {cpu:>22} {:>10.2} {:>10.0}   {}", cpu.ratio(&peer), speed.median(), delays.quantiles());
    }
    Ok(())
}

fn rounds() -> u64 {
    torture::setting("LIVETAPE_ROUNDS", 5)
}

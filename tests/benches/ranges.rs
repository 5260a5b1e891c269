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
use livetape_tests::bench::table::{Table, grouped, quantiles};
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
    let mut measured = Vec::new();
    for (name, pid, target) in servers {
        measured.push(Server { name, pid, target, empty: usage::resident(pid)? });
    }
    let rounds = rounds();
    println!("median (least to most) of {rounds} rounds in turns; {CONNECTIONS} connections");
    let mut table = Table::new(&[
        "",
        "",
        "µs for each MB",
        "to sendfile loop",
        "to nginx",
        "MB/s",
        "KiB",
        "p50",
        "p90",
        "p99",
        "most",
    ]);
    all("growing", &measured, &mut table)?;
    g.pusher.end(SOON)?;
    all("finished", &measured, &mut table)?;
    table.print();
    g.livetape.stop()
}

/// The file that holds the recording.
fn segment(g: &Growing) -> Result<PathBuf> {
    let folder = g.data().join("live").join(&g.id);
    Ok(folder.join(format!("{:020}.pcm", 0)))
}

/// What is measured.
struct Server {
    name: &'static str,
    pid: u32,
    target: Target,
    /// Its memory before anybody asked, in KiB.
    empty: u64,
}

fn all(state: &str, servers: &[Server], table: &mut Table) -> Result<()> {
    for (what, len, count) in [("64 KiB", 64 << 10, 16_000), ("1 MiB", 1 << 20, 1_600), ("whole", u64::MAX, 16)] {
        compare(&format!("{what}, {state}"), len, count, servers, table)?;
    }
    Ok(())
}

/// What was measured of one server.
#[derive(Default)]
struct Figures {
    cpu: Runs,
    speed: Runs,
    memory: Runs,
    delays: Delays,
}

fn compare(what: &str, len: u64, count: u64, servers: &[Server], table: &mut Table) -> Result<()> {
    let mut figures: Vec<Figures> = servers.iter().map(|_| Figures::default()).collect();
    for _ in 0..rounds() {
        for (Server { pid, target, empty, .. }, figures) in servers.iter().zip(&mut figures) {
            let len = len.min(target.bytes);
            let (before, started) = (usage::cpu(*pid)?, Instant::now());
            let (delays, most) = runtime().block_on(watched(*pid, random(target, CONNECTIONS, count, len)))?;
            figures.delays.extend(delays);
            let mb = (count * len) as f64 / 1e6;
            figures.cpu.push((usage::cpu(*pid)? - before).as_secs_f64() * 1e6 / mb);
            figures.speed.push(mb / started.elapsed().as_secs_f64());
            figures.memory.push(most.saturating_sub(*empty) as f64 / CONNECTIONS as f64);
        }
    }
    let costs = |name: &str| servers.iter().zip(&figures).find(|(s, _)| s.name == name).map(|(_, f)| f.cpu.clone());
    let (peer, floor) = costs("nginx").zip(costs("sendfile loop")).context("what to compare with")?;
    for (Server { name, .. }, Figures { cpu, speed, memory, delays }) in servers.iter().zip(&mut figures) {
        let ratio = |to: &Runs| format!("{:.2}", cpu.ratio(to));
        let (name, speed) = ((*name).to_owned(), grouped(speed.median()));
        let cells = [what.to_owned(), name, cpu.to_string(), ratio(&floor), ratio(&peer), speed, memory.to_string()];
        table.row(cells.into_iter().chain(quantiles(delays)));
    }
    Ok(())
}

/// The most memory that is resident while something goes on, in KiB.
async fn watched<T>(pid: u32, what: impl Future<Output = Result<T>>) -> Result<(T, u64)> {
    let mut most = 0;
    let mut tick = tokio::time::interval(Duration::from_millis(50));
    tokio::pin!(what);
    loop {
        tokio::select! {
            done = &mut what => return Ok((done?, most)),
            _ = tick.tick() => most = most.max(usage::resident(pid)?),
        }
    }
}

fn rounds() -> u64 {
    torture::setting("LIVETAPE_ROUNDS", 3)
}

//! What a thousand live listeners cost the server, and how long audio takes from being captured until they have it:
//! against Icecast, which gets the same stream, and against a bare loop that sends as often as the gateway does.

use anyhow::Result;
use livetape_audio::{SampleFormat, Spec};
use livetape_testkit::process::Start;
use livetape_testkit::pusher::{Push, Pusher};
use livetape_testkit::runtime;
use livetape_tests::bench::floors::Floor;
use livetape_tests::bench::listeners::{Crowd, IcecastSource, Live};
use livetape_tests::bench::peers::Peer;
use livetape_tests::bench::spread::{Delays, Runs};
use livetape_tests::bench::{introduce, usage, words};
use livetape_tests::growing::SOON;
use livetape_tests::{bench, torture};
use std::time::{Duration, Instant};

/// The burst at the beginning is not what is measured.
const SETTLE: Duration = Duration::from_secs(4);
const IDLE: Duration = Duration::from_secs(4);
const LISTEN: Duration = Duration::from_secs(10);

struct Server {
    name: &'static str,
    pid: u32,
    live: Live,
    /// Memory with nobody there, in KiB, and what it costs to have nobody there, in cores.
    empty: u64,
    idle: f64,
    cpu: Runs,
    memory: Runs,
    delays: Delays,
}

fn main() -> Result<()> {
    bench::main(measure)
}

fn measure() -> Result<()> {
    introduce()?;
    let listeners = torture::setting("LIVETAPE_LISTENERS", 1_000) as usize;
    let stereo = Spec::new(SampleFormat::S16, 48_000, 2)?;
    compare("PCM of 1,536 kbit/s", stereo, listeners)?;
    // As many bytes as a compressed stream has.
    compare("128 kbit/s", Spec::new(SampleFormat::S16, 8_000, 1)?, listeners)
}

fn compare(what: &str, spec: Spec, listeners: usize) -> Result<()> {
    let byte_rate = spec.byte_rate();
    let data = tempfile::tempdir()?;
    let livetape = Start::new(data.path()).source("none").spawn()?;
    let backlog = Duration::from_secs(5);
    let push = Push { to: livetape.grpc(), stream: "live".into(), spec, content: words, backlog };
    let pusher = Pusher::start(push);
    let icecast = Peer::icecast(listeners + 10)?;
    let source = runtime().block_on(IcecastSource::start(icecast.address(), byte_rate))?;
    let bare = |tick: u64| Floor::start(["listen".to_owned(), tick.to_string(), byte_rate.to_string()]);
    let (fast, calm, slow) = (bare(100)?, bare(250)?, bare(500)?);
    pusher.recording(SOON)?;
    std::thread::sleep(Duration::from_secs(2));
    let live = |to, path: &str, zero| Live { to, path: path.into(), byte_rate, zero };
    let server = |name, pid, live| -> Result<Server> {
        let (empty, before) = (usage::resident(pid)?, usage::cpu(pid)?);
        std::thread::sleep(IDLE);
        let idle = (usage::cpu(pid)? - before).as_secs_f64() / IDLE.as_secs_f64();
        Ok(Server {
            idle,
            name,
            pid,
            live,
            empty,
            cpu: Runs::default(),
            memory: Runs::default(),
            delays: Delays::default(),
        })
    };
    let mut servers = [
        server("livetape", livetape.pid(), live(livetape.http(), "/streams/live/live.pcm", pusher.zero()))?,
        server(
            "livetape, no burst",
            livetape.pid(),
            live(livetape.http(), "/streams/live/live.pcm?burst=0", pusher.zero()),
        )?,
        server("Icecast", icecast.pid(), live(icecast.address(), "/live", source.zero))?,
        server("bare loop, 100 ms", fast.pid(), live(fast.address(), "/", fast.zero()))?,
        server("bare loop, 250 ms", calm.pid(), live(calm.address(), "/", calm.zero()))?,
        server("bare loop, 500 ms", slow.pid(), live(slow.address(), "/", slow.zero()))?,
    ];
    let rounds = torture::setting("LIVETAPE_ROUNDS", 3);
    println!("\n{what}, {listeners} listeners, median (least to most) of {rounds} rounds of {LISTEN:?} in turns");
    for _ in 0..rounds {
        servers.iter_mut().try_for_each(|server| runtime().block_on(round(server, listeners)))?;
    }
    println!(
        "{:20} {:>22} {:>10} {:>18} {:>6}   from capture to listener",
        "", "CPU µs/listener-s", "to Icecast", "KiB/listener", "idle"
    );
    let peer = servers[2].cpu.clone();
    for Server { name, cpu, memory, delays, idle, .. } in &mut servers {
        println!(
            "{name:20} {cpu:>22} {:>10.2} {memory:>18} {:>5.1}%   {}",
            cpu.ratio(&peer),
            *idle * 100.0,
            delays.quantiles()
        );
    }
    livetape.stop()
}

async fn round(server: &mut Server, listeners: usize) -> Result<()> {
    let crowd = Crowd::join(&server.live, listeners).await?;
    tokio::time::sleep(SETTLE).await;
    crowd.measure();
    let (before, started) = (usage::cpu(server.pid)?, Instant::now());
    tokio::time::sleep(LISTEN).await;
    let used = usage::cpu(server.pid)? - before;
    // Who is starved costs nothing: what counts is the audio that arrived.
    let seconds = crowd.heard() as f64 / server.live.byte_rate as f64;
    let expected = started.elapsed().as_secs_f64() * listeners as f64;
    anyhow::ensure!(seconds > expected * 0.5, "{}: {seconds:.0} s of {expected:.0} were heard", server.name);
    server.cpu.push(used.as_secs_f64() * 1e6 / seconds);
    server.memory.push(usage::resident(server.pid)?.saturating_sub(server.empty) as f64 / listeners as f64);
    server.delays.extend(crowd.leave().await?);
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(())
}

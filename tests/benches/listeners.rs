//! What a thousand live listeners cost the server, and how long audio takes from being captured until they have it:
//! against Icecast, which gets the same stream, and against a bare loop that sends as often as the gateway does.
//!
//! PCM; MP3, of which Icecast gets what an encoder made before; three renditions at once; and a few listeners of audio that
//! `livetape capture` captures, through all three roles.

use anyhow::{Context, Result, ensure};
use livetape_audio::{Frame, FrameCount, Spec, WallTime};
use livetape_testkit::grpc_source::{now, stereo};
use livetape_testkit::http;
use livetape_testkit::process::{Livetape, Start};
use livetape_testkit::pusher::{Push, Pusher};
use livetape_testkit::{runtime, wait};
use livetape_tests::bench::checks::{self, Checks, Shared};
use livetape_tests::bench::floors::Floor;
use livetape_tests::bench::icecast_source::IcecastSource;
use livetape_tests::bench::listeners::{Crowd, Live};
use livetape_tests::bench::peers::Peer;
use livetape_tests::bench::spread::{Delays, Runs};
use livetape_tests::bench::table::{Table, quantiles};
use livetape_tests::bench::{bytes, introduce, usage, words};
use livetape_tests::growing::SOON;
use livetape_tests::{bench, torture};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// The burst at the beginning is not what is measured.
const SETTLE: Duration = Duration::from_secs(4);
const IDLE: Duration = Duration::from_secs(4);
/// Ten blocks of MP3: what comes in pieces of 1.2 s has come as often as it should, whenever one begins to count.
const LISTEN: Duration = Duration::from_secs(12);
/// What is recorded when listeners come.
const BACKLOG: Duration = Duration::from_secs(60);
/// Listeners of what `livetape capture` captures.
const FEW: usize = 20;

const MP3_KBPS: u64 = 128;
const MP3_RATE: u64 = MP3_KBPS * 125;

struct Server {
    name: &'static str,
    pid: u32,
    live: Live,
    /// Memory with nobody there, in KiB, and what it costs to have nobody there, in cores.
    empty: u64,
    idle: f64,
    cpu: Runs,
    /// How much of the audio that was due arrived, in percent.
    heard: Runs,
    memory: Runs,
    delays: Delays,
}

impl Server {
    fn new(name: &'static str, pid: u32, live: Live) -> Result<Self> {
        let (empty, before) = (usage::resident(pid)?, usage::cpu(pid)?);
        std::thread::sleep(IDLE);
        let idle = (usage::cpu(pid)? - before).as_secs_f64() / IDLE.as_secs_f64();
        let (cpu, heard, memory) = (Runs::default(), Runs::default(), Runs::default());
        Ok(Self { idle, name, pid, live, empty, cpu, heard, memory, delays: Delays::default() })
    }
}

/// The recorder and the gateway in one process, and a source beside it.
struct Recorded {
    livetape: Livetape,
    pusher: Pusher,
    id: String,
    _data: tempfile::TempDir,
}

/// Noise, so that no piece of what an encoder makes of it comes twice.
fn hiss(first: Frame, count: FrameCount, _: Spec) -> Vec<u8> {
    let noise = |n: u64| {
        let mixed = (n ^ n >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        (((mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB) >> 48) as i16 / 4).to_le_bytes()
    };
    (first.get()..first.get() + count.get()).flat_map(|n| [noise(2 * n), noise(2 * n + 1)].concat()).collect()
}

impl Recorded {
    fn start(spec: Spec, content: fn(Frame, FrameCount, Spec) -> Vec<u8>) -> Result<Self> {
        let data = tempfile::tempdir()?;
        let livetape = Start::new(data.path()).source("none").spawn()?;
        let (to, stream) = (livetape.grpc(), "live".into());
        let pusher = Pusher::start(Push { to, stream, spec, content, backlog: BACKLOG });
        let id = pusher.recording(SOON)?;
        pusher.acknowledged(Frame::ZERO + spec.frames(BACKLOG), SOON)?;
        std::thread::sleep(Duration::from_secs(2));
        Ok(Self { livetape, pusher, id, _data: data })
    }

    fn live(&self, file: &str, byte_rate: u64, checks: Checks) -> Live {
        let path = format!("/streams/live/{file}");
        Live { to: self.livetape.http(), path, byte_rate, zero: self.pusher.zero(), checks }
    }
}

fn main() -> Result<()> {
    bench::main(measure)
}

fn measure() -> Result<()> {
    introduce()?;
    let listeners = torture::setting("LIVETAPE_LISTENERS", 1_000) as usize;
    let only = std::env::var("ONLY").unwrap_or_default();
    for name in ["pcm", "mp3", "renditions", "capture"].into_iter().filter(|name| only.is_empty() || only == *name) {
        match name {
            "pcm" => pcm(listeners),
            "mp3" => mp3(listeners),
            "renditions" => renditions(listeners),
            _ => capture(),
        }
        .context(name)?;
    }
    Ok(())
}

fn bare(tick: u64, byte_rate: u64) -> Result<Floor> {
    Floor::start(["listen".to_owned(), tick.to_string(), byte_rate.to_string()])
}

fn bare_live(floor: &Floor, byte_rate: u64) -> Live {
    let (to, zero, checks) = (floor.address(), floor.zero(), checks::words());
    Live { to, path: "/".into(), byte_rate, zero, checks }
}

fn pcm(listeners: usize) -> Result<()> {
    let spec = stereo();
    let byte_rate = spec.byte_rate();
    let recorded = Recorded::start(spec, words)?;
    let icecast = Peer::icecast(listeners + 10)?;
    let source = IcecastSource::start(icecast.address(), "audio/x-pcm", byte_rate, Box::new(bytes));
    let source = runtime().block_on(source)?;
    let (fast, calm) = (bare(100, byte_rate)?, bare(250, byte_rate)?);
    let pid = recorded.livetape.pid();
    let live = |file: &str| recorded.live(file, byte_rate, checks::words());
    let (to, zero, checks) = (icecast.address(), source.zero, checks::words());
    let from_icecast = Live { to, path: "/live".into(), byte_rate, zero, checks };
    let servers = [
        Server::new("livetape", pid, live("live.pcm"))?,
        Server::new("livetape, `?burst=0`", pid, live("live.pcm?burst=0"))?,
        Server::new("Icecast", icecast.pid(), from_icecast)?,
        Server::new("bare loop, 100 ms", fast.pid(), bare_live(&fast, byte_rate))?,
        Server::new("bare loop, 250 ms", calm.pid(), bare_live(&calm, byte_rate))?,
    ];
    compare("PCM, 1,536 kbit/s", servers.into(), listeners, "bare loop, 100 ms")?;
    recorded.livetape.stop()
}

fn mp3(listeners: usize) -> Result<()> {
    let recorded = Recorded::start(stereo(), hiss)?;
    // What an encoder made of the same audio, over and over.
    let path = format!("/recordings/{}/audio.mp3?bitrate={MP3_KBPS}", recorded.id);
    let file = Arc::new(http::get(recorded.livetape.http(), &format!("{path}&len=now")).send()?.body()?);
    ensure!(file.len() as u64 > BACKLOG.as_secs() / 2 * MP3_RATE, "{} bytes of MP3", file.len());
    let icecast = Peer::icecast(listeners + 10)?;
    let again = checks::looped(Arc::clone(&file));
    let make = move |from: u64, to: u64| (from..to).map(|at| file[(at % file.len() as u64) as usize]).collect();
    let source = IcecastSource::start(icecast.address(), "audio/mpeg", MP3_RATE, Box::new(make));
    let source = runtime().block_on(source)?;
    let slow = bare(500, MP3_RATE)?;
    let shared = Arc::<Shared>::default();
    let live = |query: &str| {
        let checks = shared.checks(MP3_RATE as f64 / f64::from(stereo().rate()));
        recorded.live(&format!("live.mp3?bitrate={MP3_KBPS}{query}"), MP3_RATE, checks)
    };
    let (to, zero) = (icecast.address(), source.zero);
    let from_icecast = Live { to, path: "/live".into(), byte_rate: MP3_RATE, zero, checks: again };
    // Some of it is known by then, of which the first listener gets no more than the burst.
    std::thread::sleep(Duration::from_secs(5));
    let pid = recorded.livetape.pid();
    let servers = [
        Server::new("livetape", pid, live(""))?,
        Server::new("livetape, `?burst=0`", pid, live("&burst=0"))?,
        Server::new("Icecast", icecast.pid(), from_icecast)?,
        Server::new("bare loop, 500 ms", slow.pid(), bare_live(&slow, MP3_RATE))?,
    ];
    compare("MP3, 128 kbit/s", servers.into(), listeners, "bare loop, 500 ms")?;
    // What all of them got alike is what the recording has.
    same_as_recorded(&recorded, &path, &shared)?;
    recorded.livetape.stop()
}

/// Compares what listeners got with the bytes of the recording.
fn same_as_recorded(recorded: &Recorded, path: &str, shared: &Shared) -> Result<()> {
    for (begin, got) in shared.all() {
        let range = format!("{begin}-{}", begin + got.len() as u64 - 1);
        let has = http::get(recorded.livetape.http(), path).range(&range).send()?.body()?;
        ensure!(has == got, "{} bytes from {begin} on are not the {} that were heard", has.len(), got.len());
    }
    Ok(())
}

/// As many listeners, of three renditions: each is encoded once.
fn renditions(listeners: usize) -> Result<()> {
    let recorded = Recorded::start(stereo(), hiss)?;
    let frame = |kbps: u64| kbps as f64 * 125.0 / f64::from(stereo().rate());
    let (low, high) = (Arc::<Shared>::default(), Arc::<Shared>::default());
    let lives = [
        recorded.live("live.mp3?bitrate=128", 128 * 125, low.checks(frame(128))),
        recorded.live("live.mp3?bitrate=320", 320 * 125, high.checks(frame(320))),
        recorded.live("live.opus?bitrate=96", 96 * 125, checks::pages()),
    ];
    let (to, pid) = (recorded.livetape.http(), recorded.livetape.pid());
    let (mut cpu, mut made, mut encoders) = (Runs::default(), Runs::default(), Runs::default());
    let (rounds, each) = (rounds(), listeners / lives.len());
    for _ in 0..rounds {
        runtime().block_on(async {
            let mut crowds = Vec::new();
            for live in &lives {
                crowds.push(Crowd::join(live, each).await?);
            }
            tokio::time::sleep(SETTLE).await;
            crowds.iter().for_each(Crowd::measure);
            let ask = move || blocks(to);
            let (before, used, started) = (tokio::task::spawn_blocking(ask).await??, usage::cpu(pid)?, Instant::now());
            tokio::time::sleep(LISTEN).await;
            let (used, time) = (usage::cpu(pid)? - used, started.elapsed().as_secs_f64());
            let (after, in_use) =
                tokio::task::spawn_blocking(move || anyhow::Ok((blocks(to)?, metric(to, IN_USE)?))).await??;
            let heard: f64 = crowds.iter().zip(&lives).map(|(c, live)| c.heard() as f64 / live.byte_rate as f64).sum();
            ensure!(heard > time * (each * lives.len()) as f64 * 0.5, "{heard:.0} s were heard");
            cpu.push(used.as_secs_f64() * 1e6 / heard);
            made.push((after - before) / time);
            encoders.push(in_use);
            for crowd in crowds {
                crowd.leave().await?;
            }
            anyhow::Ok(())
        })?;
    }
    for (shared, kbps) in [(low, 128), (high, 320)] {
        same_as_recorded(&recorded, &format!("/recordings/{}/audio.mp3?bitrate={kbps}", recorded.id), &shared)?;
    }
    // A block of MP3 is 1.2 s, and one of Opus 1 s.
    let expected = 2.0 / 1.2 + 1.0;
    ensure!(encoders.median() == 3.0, "{encoders} encoders are in use");
    ensure!((made.median() - expected).abs() < 0.5, "{made} blocks were made in a second, not {expected:.2}");
    let mut table = Table::new(&[
        "listeners",
        "renditions",
        "encoders in use",
        "blocks made in a second",
        "of one encoding each",
        "µs",
    ]);
    let cells = [(each * 3).to_string(), "3".into(), format!("{}", encoders.median()), made.to_string()];
    table.row(cells.into_iter().chain([format!("{expected:.2}"), cpu.to_string()]));
    println!("\n{} listeners of MP3 at 128 and 320 and Opus at 96 kbit/s, {rounds} rounds of {LISTEN:?}", each * 3);
    table.print();
    recorded.livetape.stop()
}

const IN_USE: &str = "livetape_gateway_encoders";

/// Blocks that were encoded so far.
fn blocks(to: SocketAddr) -> Result<f64> {
    metric(to, "livetape_gateway_encoded_blocks_total")
}

/// The sum over all labels.
fn metric(to: SocketAddr, name: &str) -> Result<f64> {
    let body = String::from_utf8(http::get(to, "/metrics").send()?.body()?)?;
    let of_it = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with([' ', '{']));
    body.lines().filter(of_it).map(|line| Ok(line.rsplit(' ').next().context("a value")?.parse::<f64>()?)).sum()
}

/// A source captured by `livetape capture`, through a recorder and a gateway of their own: when it was captured is what
/// the timeline says.
fn capture() -> Result<()> {
    let (data, spool) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let recorder = Start::recorder(data.path()).spawn()?;
    let gateway = Start::gateway(recorder.grpc()).args(["--read", "dir"]).data(data.path()).spawn()?;
    let source = ["--source", "counting", "--stream", "live", "--spool-dir"];
    let capture = Start::capture(recorder.grpc()).args(source).args([spool.path()]).spawn()?;
    let to = gateway.http();
    let id = wait::until("a recording", SOON, || {
        let list = http::json(to, "/recordings?stream=live").ok()?;
        list["recordings"][0]["id"].as_str().map(str::to_owned)
    })?;
    std::thread::sleep(Duration::from_secs(4));
    let zero = captured_at(to, &id)?;
    let byte_rate = stereo().byte_rate();
    let (fast, calm) = (bare(100, byte_rate)?, bare(250, byte_rate)?);
    let live = |query: &str| Live {
        to,
        path: format!("/streams/live/live.pcm{query}"),
        byte_rate,
        zero,
        checks: checks::words(),
    };
    let servers = [
        Server::new("`live.pcm`", gateway.pid(), live(""))?,
        Server::new("`live.pcm?burst=0`", gateway.pid(), live("?burst=0"))?,
        Server::new("bare loop, 100 ms", fast.pid(), bare_live(&fast, byte_rate))?,
        Server::new("bare loop, 250 ms", calm.pid(), bare_live(&calm, byte_rate))?,
    ];
    compare("from `livetape capture` through recorder and gateway, PCM", servers.into(), FEW, "bare loop, 100 ms")?;
    capture.stop()?;
    gateway.stop()?;
    recorder.stop()
}

/// When frame 0 was captured, by the timeline.
fn captured_at(to: SocketAddr, id: &str) -> Result<Instant> {
    let timeline = http::json(to, &format!("/recordings/{id}/timeline"))?;
    let entries = timeline["entries"].as_array().context("entries")?;
    let anchor = entries.iter().find(|e| e["type"] == "anchor" && e["frame"] == 0).context("an anchor at frame 0")?;
    let time: WallTime = anchor["time"].as_str().context("a time")?.parse()?;
    let ago = u64::try_from(now().unix_nanos() - time.unix_nanos())?;
    Instant::now().checked_sub(Duration::from_nanos(ago)).context("before the machine was started")
}

fn rounds() -> u64 {
    torture::setting("LIVETAPE_ROUNDS", 3)
}

/// Measures them in turns and prints their table, as ratios to the bare loop and, where it is there, to Icecast.
fn compare(what: &str, mut servers: Vec<Server>, listeners: usize, floor: &str) -> Result<()> {
    let rounds = rounds();
    for _ in 0..rounds {
        servers.iter_mut().try_for_each(|server| runtime().block_on(round(server, listeners)))?;
    }
    println!("\n{what}: {listeners} listeners, median (least to most) of {rounds} rounds of {LISTEN:?} in turns");
    let mut others = Vec::new();
    for server in servers.iter_mut().filter(|server| [floor, "Icecast"].contains(&server.name)) {
        others.push((server.name, server.cpu.clone(), server.delays.at(0.5)));
    }
    let mut heads = vec!["".to_owned(), "µs".into()];
    heads.extend(others.iter().map(|(name, ..)| format!("to {name}")));
    heads.extend(["% heard", "KiB", "p50", "p90", "p99", "most"].map(str::to_owned));
    heads.extend(others.iter().map(|(name, ..)| format!("p50 to {name}")));
    let mut table = Table::new(&heads.iter().map(String::as_str).collect::<Vec<_>>());
    for Server { name, cpu, heard, memory, delays, idle, .. } in &mut servers {
        let mut cells = vec![(*name).to_owned(), cpu.to_string()];
        cells.extend(others.iter().map(|(_, other, _)| format!("{:.2}", cpu.ratio(other))));
        cells.extend([format!("{:.0}", heard.median()), memory.to_string()]);
        cells.extend(quantiles(delays));
        cells.extend(others.iter().map(|(.., p50)| format!("{:.2}", delays.at(0.5) / p50)));
        table.row(cells);
        println!("{name}: {:.1} % of a core with nobody there", *idle * 100.0);
    }
    table.print();
    Ok(())
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
    let share = seconds / (started.elapsed().as_secs_f64() * listeners as f64);
    // A peer may not keep up on this machine, and the table says so; a gateway has to.
    ensure!(share > 0.85 || !server.live.path.starts_with("/streams/"), "{}: {share:.2} was heard", server.name);
    server.heard.push(share * 100.0);
    server.cpu.push(used.as_secs_f64() * 1e6 / seconds);
    server.memory.push(usage::resident(server.pid)?.saturating_sub(server.empty) as f64 / listeners as f64);
    server.delays.extend(crowd.leave().await?);
    tokio::time::sleep(Duration::from_secs(1)).await;
    Ok(())
}

//! Whether anything costs more on a recording of 30 days than on one of a minute: listing, seeking, joining.
//!
//! Both recordings grow in the same process while they are asked, in turns. Times are those of the client, with one
//! request at a time, and beside them those of a bare loop that sends as many bytes of a file by sendfile, to the same client
//! and in the same turns.

use anyhow::{Context, Result, ensure};
use livetape_audio::{Frame, FrameCount, Instance, SampleFormat, Spec};
use livetape_store::{DataDir, Disk, Recording};
use livetape_testkit::grpc_source::{now, open, opening};
use livetape_testkit::http;
use livetape_testkit::process::Start;
use livetape_testkit::runtime;
use livetape_tests::bench;
use livetape_tests::bench::floors::Floor;
use livetape_tests::bench::introduce;
use livetape_tests::bench::table::{Table, grouped};
use livetape_tests::sparse::Sparse;
use std::net::SocketAddr;
use std::time::{Duration, Instant};

const RATE: u64 = 16_000;
const MINUTE: u64 = 60;
const MONTH: u64 = 30 * 86_400;
const ROUNDS: usize = 300;

fn main() -> Result<()> {
    bench::main(measure)
}

fn measure() -> Result<()> {
    introduce()?;
    let data = tempfile::tempdir()?;
    let dir = DataDir::open(data.path(), Disk::default())?;
    let minute = make(&dir, "minute", MINUTE)?;
    let month = make(&dir, "month", MONTH)?;
    drop(dir);
    let livetape = Start::new(data.path()).source("none").spawn()?;
    println!("started with both in {:?}", livetape.started_in());
    runtime().spawn(feed(livetape.grpc(), minute.clone(), MINUTE));
    runtime().spawn(feed(livetape.grpc(), month.clone(), MONTH));
    std::thread::sleep(Duration::from_secs(2));

    let to = livetape.http();
    let file = data.path().join("bytes");
    std::fs::write(&file, vec![0; 1 << 20])?;
    let floor = Floor::start(["range".as_ref(), "sendfile".as_ref(), file.as_os_str()])?;
    // As many bytes as the answer has.
    let bare = |bytes: u64| ask(floor.address(), "/", Some(format!("0-{}", bytes - 1)));
    let list = |stream: &str| format!("/recordings?stream={stream}");
    let listed = http::get(to, &list("month")).send()?.body()?.len() as u64;
    let rows = Table::new(&["median of 300, µs", "a minute", "30 days", "ratio", "bare loop", "30 days to it"]);
    let table = &std::cell::RefCell::new(rows);
    let compare = |what: &str, bytes: u64, run: &mut dyn FnMut(usize) -> Result<()>| -> Result<()> {
        let [minute, month, floor] = medians(run, || bare(bytes))?;
        let (to_minute, to_floor) = (format!("{:.2}", month / minute), format!("{:.2}", month / floor));
        table.borrow_mut().row([what.into(), grouped(minute), grouped(month), to_minute, grouped(floor), to_floor]);
        Ok(())
    };
    compare("list recordings", listed, &mut |n| ask(to, &list(["minute", "month"][n % 2]), None))?;
    let mut state = 1_u64;
    let mut somewhere = move |length: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % (length - 1)
    };
    let target = |n: usize| [(&minute, MINUTE), (&month, MONTH)][n % 2];
    compare("seek: a range of 64 KiB at a random place", 65_536, &mut |n| {
        let (recording, length) = target(n);
        let start = 44 + somewhere(length - 2) * RATE * 2;
        ask(to, &format!("/recordings/{}/audio.wav", recording.id), Some(format!("{start}-{}", start + 65_535)))
    })?;
    compare("seek: `pos` at a random place, first 1000 bytes", 1_000, &mut |n| {
        let (recording, length) = target(n);
        ask(to, &format!("/recordings/{}/audio.wav?pos={}", recording.id, somewhere(length)), Some("0-999".into()))
    })?;
    compare("seek: a random time of day, first 1000 bytes", 1_000, &mut |n| {
        let (recording, length) = target(n);
        let time = recording.started.later(Duration::from_secs(somewhere(length)));
        ask(to, &format!("/recordings/{}/audio.wav?from={time}", recording.id), Some("0-999".into()))
    })?;
    compare("join live, first byte", 1_000, &mut |n| join(to, ["minute", "month"][n % 2]))?;
    table.borrow().print();
    livetape.stop()
}

fn make(dir: &DataDir, stream: &'static str, seconds: u64) -> Result<Recording> {
    let spec = Spec::new(SampleFormat::S16, RATE as u32, 1)?;
    let started = now().earlier(Duration::from_secs(seconds));
    let frames = FrameCount::new(seconds * RATE);
    Sparse { stream, spec, started, instance: Instance([5; 16]), frames }.open(dir)
}

/// Goes on with a recording in real time.
async fn feed(to: SocketAddr, recording: Recording, seconds: u64) -> Result<()> {
    let mut opening = opening(recording.stream.as_str(), recording.spec);
    opening.instance = recording.instance.0.to_vec();
    let call = open(to, opening).await?;
    let chunk = FrameCount::new(RATE / 50);
    let mut tick = tokio::time::interval(Duration::from_millis(20));
    let mut at = Frame::new(seconds * RATE);
    loop {
        tick.tick().await;
        let pcm = vec![0; recording.spec.bytes(chunk) as usize];
        ensure!(call.append(at, now(), pcm).await, "the recorder has hung up");
        at = at + chunk;
    }
}

/// Runs both and the bare loop in turns. Gives the medians in microseconds.
fn medians(run: &mut dyn FnMut(usize) -> Result<()>, bare: impl Fn() -> Result<()>) -> Result<[f64; 3]> {
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for n in 0..ROUNDS * 3 {
        let started = Instant::now();
        match n % 3 {
            2 => bare()?,
            // The two of a turn are asked with the numbers 2n and 2n + 1.
            which => run(n / 3 * 2 + which)?,
        }
        times[n % 3].push(started.elapsed().as_secs_f64() * 1e6);
    }
    Ok(times.map(|mut t| {
        t.sort_by(f64::total_cmp);
        t[t.len() / 2]
    }))
}

fn ask(to: SocketAddr, target: &str, range: Option<String>) -> Result<()> {
    let request = http::get(to, target);
    let mut reply = match &range {
        Some(range) => request.range(range).send()?,
        None => request.send()?,
    };
    ensure!(matches!(reply.status, 200 | 206), "{target}: {}", reply.status);
    reply.body().map(drop)
}

fn join(to: SocketAddr, stream: &str) -> Result<()> {
    let mut reply = http::get(to, &format!("/streams/{stream}/live.pcm")).send()?;
    ensure!(reply.status == 200, "{}", reply.status);
    let piece = reply.next_piece(Instant::now() + Duration::from_secs(5))?;
    (!piece.is_empty()).then_some(()).context("nothing came")
}

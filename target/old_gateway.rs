//! What listeners cost the server on this machine: processor time from the operating system, not from a profiler, with
//! clients of the same machine beside it. `make bench` runs it on the release build.

use anyhow::{Context, Result};
use livetape_audio::{Frame, FrameCount};
use livetape_testkit::grpc_source::{now, open, opening, stereo};
use livetape_testkit::process::Livetape;
use livetape_testkit::runtime;
use livetape_tests::growing::{Growing, SOON};
use livetape_tests::{counting, tone};
use std::net::SocketAddr;
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

const LISTENERS: usize = 500;
const LISTEN: Duration = Duration::from_secs(10);
const RANGES: usize = 4_000;
const CONNECTIONS: usize = 16;
const RANGE: usize = 64 * 1024;

fn main() -> Result<()> {
    println!("server built and started from {}", livetape_testkit::process::binary()?.display());
    let g = Growing::start(tone, Duration::from_secs(120))?;
    live(&g.livetape)?;
    ranges("growing", &g)?;
    g.pusher.end(SOON)?;
    ranges("sealed", &g)?;
    appends(&g.livetape)?;
    g.livetape.stop()
}

/// Processor time of the server so far.
fn cpu(livetape: &Livetape) -> Result<Duration> {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", livetape.pid()))?;
    // After the name, which is in brackets: user and system time are the 14th and 15th fields, in hundredths.
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks: u64 = fields.get(11..13).context("fields")?.iter().map(|f| f.parse().unwrap_or(0)).sum();
    Ok(Duration::from_millis(ticks * 10))
}

/// Memory of the server in KiB.
fn memory(livetape: &Livetape) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{}/status", livetape.pid()))?;
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).context("VmRSS")?;
    Ok(line.split_whitespace().nth(1).context("a number")?.parse()?)
}

async fn ask(to: SocketAddr, head: &str) -> std::io::Result<TcpStream> {
    let mut stream = TcpStream::connect(to).await?;
    stream.set_nodelay(true)?;
    stream.write_all(format!("{head}\r\nHost: {to}\r\n\r\n").as_bytes()).await?;
    Ok(stream)
}

fn live(livetape: &Livetape) -> Result<()> {
    let (to, memory_before) = (livetape.http(), memory(livetape)?);
    runtime().block_on(async {
        let mut listeners = Vec::new();
        for _ in 0..LISTENERS {
            let mut stream = ask(to, "GET /streams/live/live.pcm HTTP/1.1").await?;
            listeners.push(tokio::spawn(async move {
                let mut buffer = vec![0; 256 * 1024];
                let mut bytes = 0;
                while let Ok(n @ 1..) = stream.read(&mut buffer).await {
                    bytes += n;
                }
                bytes
            }));
        }
        // The burst at the beginning is not what is measured.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let before = cpu(livetape)?;
        tokio::time::sleep(LISTEN).await;
        let used = cpu(livetape)? - before;
        let each = used.as_secs_f64() * 1e6 / LISTENERS as f64 / LISTEN.as_secs_f64();
        let kib = memory(livetape)?.saturating_sub(memory_before) as f64 / LISTENERS as f64;
        println!(
            "live PCM 1536 kbit/s, {LISTENERS} listeners: {each:.0} µs for each second of a listener, {kib:.1} KiB each"
        );
        listeners.iter().for_each(tokio::task::JoinHandle::abort);
        Ok(())
    })
}

fn ranges(state: &str, g: &Growing) -> Result<()> {
    let (to, path) = (g.livetape.http(), g.wav(""));
    let total = g.at_least();
    let (before, started) = (cpu(&g.livetape)?, Instant::now());
    runtime().block_on(async {
        let mut clients = Vec::new();
        for client in 0..CONNECTIONS as u64 {
            let path = path.clone();
            clients.push(tokio::spawn(async move {
                let mut stream = TcpStream::connect(to).await?;
                stream.set_nodelay(true)?;
                let mut state = client;
                let mut buffer = vec![0; RANGE + 4096];
                for _ in 0..RANGES / CONNECTIONS {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    let start = (state >> 33) % (total - RANGE as u64);
                    let last = start + RANGE as u64 - 1;
                    let head = format!("GET {path} HTTP/1.1\r\nHost: {to}\r\nRange: bytes={start}-{last}\r\n\r\n");
                    stream.write_all(head.as_bytes()).await?;
                    let mut have = 0;
                    let wanted = loop {
                        have += stream.read(&mut buffer[have..]).await?;
                        if let Some(end) = buffer[..have].windows(4).position(|w| w == b"\r\n\r\n") {
                            break end + 4 + RANGE;
                        }
                    };
                    stream.read_exact(&mut buffer[have..wanted]).await?;
                }
                std::io::Result::Ok(())
            }));
        }
        for client in clients {
            client.await??;
        }
        anyhow::Ok(())
    })?;
    let (took, used) = (started.elapsed(), cpu(&g.livetape)? - before);
    let mb = (RANGES / CONNECTIONS * CONNECTIONS * RANGE) as f64 / 1e6;
    let each = used.as_secs_f64() * 1e6 / mb;
    println!(
        "random 64 KiB ranges, {state}, {CONNECTIONS} connections: {each:.0} µs for each MB, {:.0} MB/s",
        mb / took.as_secs_f64()
    );
    Ok(())
}

/// From sending 20 ms of audio until it is acknowledged as durable.
fn appends(livetape: &Livetape) -> Result<()> {
    runtime().block_on(async {
        let mut call = open(livetape.grpc(), opening("append", stereo())).await?;
        let mut times = Vec::new();
        for n in 0..200_u64 {
            let first = Frame::new(n * 960);
            let pcm = counting(first, FrameCount::new(960), stereo());
            let started = Instant::now();
            call.append(first, now(), pcm).await;
            call.acknowledged(first + FrameCount::new(960)).await?;
            times.push(started.elapsed());
            tokio::time::sleep(Duration::from_millis(7)).await;
        }
        times.sort_unstable();
        println!("append to acknowledgement: median {:?}, 99th percentile {:?}", times[100], times[198]);
        Ok(())
    })
}

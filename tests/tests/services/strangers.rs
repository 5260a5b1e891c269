//! Those who knock at the recorder and are no sources, and those who ask and do not listen: nothing of it costs the
//! recording anything, nor those who listen, nor more memory than can be told beforehand.

use crate::deployment::Process;
use anyhow::{Context, Result, ensure};
use livetape_audio::Frame;
use livetape_proto::v1::catalogue_service_client::CatalogueServiceClient;
use livetape_proto::v1::tape_service_client::TapeServiceClient;
use livetape_proto::{MAX_BLOCK_BYTES, v1};
use livetape_testkit::counting::verify_at;
use livetape_testkit::grpc_source::stereo;
use livetape_testkit::process::Start;
use livetape_testkit::pusher::{Push, Pusher};
use livetape_testkit::{http, runtime, wait};
use livetape_tests::counting;
use livetape_tests::growing::{SECOND, SOON};
use livetape_tests::torture::{numbers, setting, verified};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;
use tokio::task::JoinSet;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};

/// Calls of each kind that nobody reads.
const UNREAD: u64 = 100;
/// Clients that make them.
const CLIENTS: u64 = 3;
/// What the recorder may hold for one of them: a message on its way, one that waits, and their bookkeeping.
const EACH: u64 = 3 * MAX_BLOCK_BYTES as u64;

fn push(to: SocketAddr, stream: &str, backlog: Duration) -> Pusher {
    Pusher::start(Push { to, stream: stream.into(), spec: stereo(), content: counting, backlog })
}

/// What scanners say, and what nobody should.
fn knocks() -> Vec<Vec<u8>> {
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
    let mut random = numbers(7);
    let mut noise = move |n: usize| (0..n).map(|_| random(256) as u8).collect::<Vec<u8>>();
    let hello = [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(), noise(500)].concat();
    let huge = [preface.clone(), b"\xff\xff\xff\x00\x00\x00\x00\x00\x01".to_vec(), noise(9_000)].concat();
    let settings = [preface.clone(), b"\x00\x00\x00\x04\x00\x00\x00\x00\x00".to_vec()].concat();
    // A call that is no gRPC: HEADERS with one field that HPACK cannot read.
    let headers = [settings.clone(), b"\x00\x00\x04\x01\x05\x00\x00\x00\x01\xff\xff\xff\xff".to_vec()].concat();
    vec![
        Vec::new(),
        b"GET / HTTP/1.1\r\nHost: recorder\r\n\r\n".to_vec(),
        hello,
        noise(4_096),
        vec![0; 4_096],
        preface[..10].to_vec(),
        preface,
        settings,
        headers,
        huge,
        b"SSH-2.0-OpenSSH_9.2\r\n".to_vec(),
    ]
}

#[test]
fn knocking_in_number_keeps_no_source_out() -> Result<()> {
    let data = tempfile::tempdir()?;
    // Few descriptors, so that few strangers could take them all.
    let few = ["sh", "-c", "ulimit -n 512; exec \"$0\" \"$@\""];
    let recorder = Process::start(&Start::recorder(data.path()).through(few))?;
    let (grpc, ops) = (recorder.running()?.grpc(), recorder.running()?.ops());
    let first = push(grpc, "a", Duration::ZERO);
    first.recording(SOON)?;
    let mut strangers = Vec::new();
    for round in 0..3 {
        for knock in knocks() {
            let mut stream = TcpStream::connect(grpc)?;
            // It may be closed before all was said.
            let _ = stream.write_all(&knock);
            strangers.push(stream);
        }
        // Many that say nothing at all.
        for _ in 0..200 {
            strangers.push(TcpStream::connect(grpc)?);
        }
        first.acknowledged(first.captured(), SOON).with_context(|| format!("in round {round}"))?;
        // A new stream needs a place, files, and a folder.
        let another = push(grpc, &format!("b{round}"), Duration::ZERO);
        another.recording(SOON).with_context(|| format!("in round {round}"))?;
        another.end(SOON)?;
        ensure!(http::get(ops, "/readyz").send()?.status == 200, "in round {round}");
    }
    // What is no HTTP/2 was closed; what was silent is closed in time.
    let mut closed = 0;
    wait::until("the strangers are shown out", SOON, || {
        strangers.retain_mut(|stream| {
            let _ = stream.set_read_timeout(Some(Duration::from_millis(1)));
            let gone = loop {
                match stream.read(&mut [0; 4_096]) {
                    Ok(0) => break true,
                    Ok(_) => {}
                    Err(e) => break !matches!(e.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut),
                }
            };
            closed += usize::from(gone);
            !gone
        });
        (strangers.len() < 60).then_some(())
    })
    .with_context(|| format!("{closed} were, {} are there", strangers.len()))?;
    first.end(SOON)?;
    ensure!(first.progress().opened == 1, "its call was never broken: {:?}", first.progress());
    let log = recorder.running()?.log();
    ensure!(!log.contains("could not be accepted") && !log.contains("Too many open files"), "{log}");
    drop(strangers);
    let mut recorder = recorder;
    recorder.stop()?;
    verified(data.path())
}

/// Bytes of memory that a process holds.
fn resident(pid: u32) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("VmRSS")?;
    Ok(1024 * line.trim().trim_end_matches(" kB").parse::<u64>()?)
}

/// Calls that were made and are not read.
struct Unread {
    frames: Vec<Streaming<v1::ReadFramesResponse>>,
    _tails: Vec<Streaming<v1::WatchTailResponse>>,
    _changes: Vec<Streaming<v1::WatchCatalogueResponse>>,
}

async fn unread(channel: &Channel, id: &str) -> Result<Unread> {
    let mut calls = Unread { frames: Vec::new(), _tails: Vec::new(), _changes: Vec::new() };
    let mut tapes = TapeServiceClient::new(channel.clone());
    let mut catalogue = CatalogueServiceClient::new(channel.clone());
    for _ in 0..UNREAD {
        let all = v1::ReadFramesRequest { recording_id: id.into(), follow: true, ..Default::default() };
        calls.frames.push(tapes.read_frames(all).await?.into_inner());
        calls._tails.push(tapes.watch_tail(v1::WatchTailRequest::default()).await?.into_inner());
        calls._changes.push(catalogue.watch_catalogue(v1::WatchCatalogueRequest {}).await?.into_inner());
    }
    Ok(calls)
}

/// Reads `seconds` of a recording by `ReadFrames`, and compares each byte.
async fn hear(to: SocketAddr, id: &str, seconds: u64) -> Result<()> {
    let mut tapes = TapeServiceClient::connect(format!("http://{to}")).await?;
    let frame_count = seconds * SECOND / 4;
    let request = v1::ReadFramesRequest { recording_id: id.into(), frame_count, follow: true, ..Default::default() };
    let mut blocks = tapes.read_frames(request).await?.into_inner();
    let mut at = 0;
    while let Some(block) = tokio::time::timeout(SOON, blocks.message()).await.context("no block in time")?? {
        verify_at(&block.pcm, at)?;
        at += block.pcm.len() as u64;
    }
    ensure!(at == seconds * SECOND, "{at} bytes");
    Ok(())
}

/// Reads calls to their ends, all at once: they share a window of their connection, and one that is not read holds it.
async fn ends(frames: Vec<Streaming<v1::ReadFramesResponse>>) -> Result<Vec<Status>> {
    let mut reading = JoinSet::new();
    for mut call in frames {
        reading.spawn(async move {
            loop {
                match call.message().await {
                    Ok(Some(_)) => {}
                    Ok(None) => return Status::ok("the end of a recording that goes on"),
                    Err(status) => return status,
                }
            }
        });
    }
    tokio::time::timeout(SOON, reading.join_all()).await.context("calls that do not end")
}

#[test]
fn who_never_reads_costs_little_and_slows_nobody() -> Result<()> {
    let data = tempfile::tempdir()?;
    let mut recorder = Process::start(&Start::recorder(data.path()))?;
    let (grpc, pid) = (recorder.running()?.grpc(), recorder.running()?.pid());
    let backlog = 60;
    let source = push(grpc, "a", Duration::from_secs(backlog));
    let id = source.recording(SOON)?;
    source.acknowledged(Frame::ZERO + stereo().frames(Duration::from_secs(backlog)), SOON)?;
    let before = resident(pid)?;
    // One client with the smallest windows, as most programs have them, which holds messages back in the recorder; one with those
    // of this library; one with as much for each call as for all.
    let endpoint = || Endpoint::from_shared(format!("http://{grpc}"));
    let small = endpoint()?.initial_stream_window_size(65_535).initial_connection_window_size(65_535);
    let large = endpoint()?.initial_stream_window_size(5 << 20).initial_connection_window_size(5 << 20);
    let mut calls = Vec::new();
    for endpoint in [small, endpoint()?, large] {
        calls.push(runtime().block_on(async { unread(&endpoint.connect().await?, &id).await })?);
    }
    let limit = before + CLIENTS * UNREAD * EACH + (64 << 20);
    for round in 0..5 {
        source.acknowledged(source.captured(), SOON).with_context(|| format!("in round {round}"))?;
        runtime().block_on(hear(grpc, &id, backlog + round)).with_context(|| format!("in round {round}"))?;
        let now = resident(pid)?;
        ensure!(now < limit, "{} MiB, of which {} before", now >> 20, before >> 20);
    }
    // All of it, for each of them, would be so much.
    ensure!(CLIENTS * UNREAD * backlog * SECOND > 2 * limit, "or this would show nothing");
    if setting("LIVETAPE_FAULTS", 0) > 0 {
        // A minute later the recorder has given them up, and says so to who looks after all.
        std::thread::sleep(Duration::from_secs(65));
        for (n, client) in calls.into_iter().enumerate() {
            for end in runtime().block_on(ends(client.frames))? {
                // In the smallest windows they come in so many small frames that the client's library takes it for an attack.
                ensure!(end.code() == Code::Aborted || n == 0 && end.code() != Code::Ok, "client {n}: {end}");
            }
        }
    } else {
        drop(calls);
    }
    source.end(SOON)?;
    recorder.stop()?;
    verified(data.path())
}

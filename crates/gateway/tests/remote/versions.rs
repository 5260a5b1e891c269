//! Recorders of other versions, and broken ones: what is understood is served, and never anything wrong.

use crate::client::{Ending, fetch, json, open};
use crate::gateway::ready;
use crate::peer::{Answer, LATER, Says, field, later, serve};
use crate::recorder::counting;
use livetape_audio::RecordingId;
use livetape_gateway::{Gateway, GatewayConfig, Reading, Remote, RemoteConfig};
use livetape_proto::v1;
use livetape_proto::v1::entry::What;
use livetape_proto::v1::watch_catalogue_response::Change;
use prost::Message;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::SeqCst};
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::Code;

const FRAMES: u64 = 1_000;

fn id(n: u8) -> String {
    RecordingId::new(1_763_649_000_000 + u64::from(n), &[n; 10]).to_string()
}

async fn gateway(recorder: SocketAddr) -> (SocketAddr, DropGuard) {
    let recorder_url = livetape_proto::RecorderAddress::new(format!("http://{recorder}"));
    let mut config = GatewayConfig::new("127.0.0.1:0".parse().unwrap());
    config.operations_url = Some(recorder_url.clone());
    let remote = Remote::new(RemoteConfig { recorder_url, reading: Reading::Recorder, redis: None }).unwrap();
    let gateway = Gateway::bind_remote(config, remote).await.unwrap();
    let (addr, shutdown) = (gateway.local_addr(), CancellationToken::new());
    tokio::spawn(gateway.run(shutdown.clone()));
    (addr, shutdown.drop_guard())
}

fn recording(n: u8, sealed: bool) -> v1::Recording {
    let seal = v1::Seal { end_frame: FRAMES, reason: 1, ..Default::default() };
    v1::Recording {
        id: id(n),
        stream: "live".into(),
        spec: Some(v1::Spec { format: 1, rate: 48_000, channels: 2, channel_mask: 0 }),
        source: "test".into(),
        seal: sealed.then_some(seal),
        ..Default::default()
    }
}

fn change(change: Change) -> Vec<u8> {
    v1::WatchCatalogueResponse { change: Some(change) }.encode_to_vec()
}

fn complete() -> Vec<u8> {
    change(Change::Complete(v1::CatalogueComplete {}))
}

fn tail(n: u8, generation: u64) -> v1::WatchTailResponse {
    let tail = v1::Tail { recording_id: id(n), end_frame: FRAMES, generation, ..Default::default() };
    v1::WatchTailResponse { tail: Some(tail) }
}

/// The frames that are asked for.
fn frames(request: &[u8]) -> v1::ReadFramesResponse {
    let v1::ReadFramesRequest { first_frame, frame_count, .. } = Message::decode(request).unwrap();
    v1::ReadFramesResponse { first_frame, pcm: counting(first_frame..first_frame + frame_count).into() }
}

fn says(answer: impl Fn(&[u8]) -> Says + Send + Sync + 'static) -> Answer {
    Box::new(answer)
}

async fn heard(addr: SocketAddr, n: u8) {
    let (_, _, bytes) = open(addr, &format!("/recordings/{}/audio.pcm", id(n)), &[], 4 * FRAMES as usize).await;
    assert!(bytes == counting(0..FRAMES), "recording {n}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorder_that_is_newer() {
    let catalogue = |_: &[u8]| {
        let mut strange = recording(2, false);
        strange.spec = Some(v1::Spec { format: 99, rate: 48_000, channels: 2, channel_mask: 0 });
        let mut over = recording(1, true);
        over.seal.as_mut().unwrap().reason = 77;
        Says::Open(vec![
            // Begins and a recording, each with fields of its own that nobody here knows.
            [field(4, &later(v1::CatalogueBegins { generation: 7 })), LATER.to_vec()].concat(),
            field(1, &later(over)),
            change(Change::Recording(strange)),
            LATER.to_vec(),
            field(9, b"a change of another kind"),
            field(1, &later(recording(3, false))),
            complete(),
            LATER.to_vec(),
        ])
    };
    let tails = |_: &[u8]| Says::Open(vec![LATER.to_vec(), tail(2, 7).encode_to_vec(), later(tail(3, 7))]);
    let timeline = |_: &[u8]| {
        let event = v1::TimelineEvent { kind: "eclipse".into(), ..Default::default() };
        let gap = v1::TimelineGap { reason: 99, to_unix_ns: 5, ..Default::default() };
        let entry = |frame, what| v1::Entry { frame, what: Some(what) }.encode_to_vec();
        let entries = [
            entry(0, What::AnchorUnixNs(1_000)),
            entry(1, What::Event(event)),
            [v1::Entry { frame: 2, what: None }.encode_to_vec(), field(15, b"of another kind")].concat(),
            [entry(3, What::Gap(gap)), LATER.to_vec()].concat(),
            entry(9, What::Mark("here".into())),
        ];
        Says::All(vec![[entries.map(|entry| field(1, &entry)).concat(), LATER.to_vec()].concat()])
    };
    let sealed = |_: &[u8]| Says::All(vec![[field(1, &later(recording(1, true))), LATER.to_vec()].concat()]);
    let recorder = serve([
        ("WatchCatalogue", says(catalogue)),
        ("WatchTail", says(tails)),
        ("ReadFrames", says(|request| Says::All(vec![later(frames(request))]))),
        ("ListTimeline", says(timeline)),
        ("SealRecording", says(sealed)),
    ])
    .await;
    let (addr, _running) = gateway(recorder).await;
    ready(addr).await;
    let (_, list) = json(addr, "/recordings?stream=live").await;
    let ids: Vec<_> = list["recordings"].as_array().unwrap().iter().map(|r| r["id"].as_str().unwrap()).collect();
    assert_eq!(ids, [id(1), id(3)], "but for the one whose audio is not understood");
    heard(addr, 1).await;
    heard(addr, 3).await;
    let (status, told) = json(addr, &format!("/recordings/{}/timeline", id(1))).await;
    let kinds: Vec<_> = told["entries"].as_array().unwrap().iter().map(|e| e["type"].as_str().unwrap()).collect();
    assert_eq!((status, kinds), (200, vec!["anchor", "gap", "mark"]));
    let (reply, body) = fetch(addr, "POST", &format!("/recordings/{}/seal", id(1)), &[]).await;
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&body));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorder_that_is_older() {
    let catalogue = |_: &[u8]| {
        let begins = change(Change::Begins(v1::CatalogueBegins::default()));
        // Without title, notes, source and times.
        let mut bare = recording(1, true);
        bare.source.clear();
        Says::Open(vec![
            begins,
            change(Change::Recording(bare)),
            change(Change::Recording(recording(2, false))),
            complete(),
        ])
    };
    let recorder = serve([
        ("WatchCatalogue", says(catalogue)),
        ("WatchTail", says(|_| Says::Open(vec![tail(2, 0).encode_to_vec()]))),
        ("ReadFrames", says(|request| Says::All(vec![frames(request).encode_to_vec()]))),
    ])
    .await;
    let (addr, _running) = gateway(recorder).await;
    ready(addr).await;
    heard(addr, 1).await;
    heard(addr, 2).await;
    for (method, target, status) in [
        ("POST", format!("/recordings/{}/seal", id(2)), 501),
        ("DELETE", format!("/recordings/{}", id(1)), 501),
        ("POST", "/streams/live/recordings".to_owned(), 501),
        ("GET", format!("/recordings/{}/timeline", id(2)), 501),
        ("GET", format!("/recordings/{}/audio.pcm?from=2026-01-01T00:00:00Z", id(2)), 501),
        ("GET", "/recordings?stream=live".to_owned(), 200),
    ] {
        let (reply, body) = fetch(addr, method, &target, &[]).await;
        let text = String::from_utf8(body).unwrap();
        assert_eq!(reply.status, status, "{method} {target}: {text}");
        assert!(status == 200 || text.contains("same version"), "{target}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recorder_whose_messages_are_too_large() {
    let broken = Arc::new(AtomicBool::new(true));
    let large = |broken: &Arc<AtomicBool>, bytes: usize, good: fn(&[u8]) -> Says| {
        let broken = broken.clone();
        says(move |request| match broken.load(SeqCst) {
            true => Says::All(vec![field(1, &vec![0; bytes])]),
            false => good(request),
        })
    };
    let catalogue = |_: &[u8]| {
        let begins = change(Change::Begins(v1::CatalogueBegins { generation: 7 }));
        Says::Open(vec![begins, change(Change::Recording(recording(1, true))), complete()])
    };
    let names_broken = Arc::new(AtomicBool::new(true));
    let recorder = serve([
        ("WatchCatalogue", large(&names_broken, 64 << 20, catalogue)),
        ("WatchTail", large(&broken, 64 << 20, |_| Says::Open(vec![]))),
        ("ReadFrames", large(&broken, 8 << 20, |request| Says::All(vec![frames(request).encode_to_vec()]))),
        ("ListTimeline", large(&broken, 64 << 20, |_| Says::All(vec![vec![]]))),
        ("SealRecording", large(&broken, 64 << 20, |_| Says::Fails(Code::FailedPrecondition))),
    ])
    .await;
    let (addr, _running) = gateway(recorder).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    assert_eq!(fetch(addr, "GET", "/readyz", &[]).await.0.status, 503);
    names_broken.store(false, SeqCst);
    ready(addr).await;
    let (audio, timeline) = (format!("/recordings/{}/audio.pcm", id(1)), format!("/recordings/{}/timeline", id(1)));
    let mut client = crate::client::Client::connect(addr).await;
    let mut reply = client.request("GET", &audio, &[]).await;
    let (bytes, ending) = client.rest(&mut reply).await;
    assert!(bytes.is_empty() && ending != Ending::Clean, "{} bytes, {ending:?}", bytes.len());
    assert!(fetch(addr, "GET", &timeline, &[]).await.0.status >= 500);
    assert!(fetch(addr, "POST", &format!("/recordings/{}/seal", id(1)), &[]).await.0.status >= 500);
    broken.store(false, SeqCst);
    heard(addr, 1).await;
    assert_eq!(fetch(addr, "GET", &timeline, &[]).await.0.status, 200);
}

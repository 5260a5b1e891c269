//! Over the real recorder, with sources that push.

use crate::client::{Ending, fetch, json, open};
use crate::gateway::ready;
use crate::recorder::counting;
use livetape_audio::Frame;
use livetape_gateway::{Gateway, GatewayConfig, Reading, Remote, RemoteConfig};
use livetape_recorder::{Recorder, RecorderConfig};
use livetape_store::Disk;
use livetape_tail::MemoryTails;
use livetape_testkit::grpc_source::{self, now, opening, stereo};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

const SECOND: u64 = 48_000;

pub async fn record(folder: &Path, addr: SocketAddr) -> (SocketAddr, CancellationToken, JoinHandle<()>) {
    let config = RecorderConfig {
        data_dir: folder.to_owned(),
        grpc_addr: addr,
        access: None,
        tls: None,
        sync_interval: Duration::from_millis(20),
        resume_window: Duration::from_secs(60),
        roll_after: Duration::from_secs(86_400),
        rules: Default::default(),
        retention: Default::default(),
        limits: Default::default(),
        proxies: Default::default(),
        disk: Disk::default(),
    };
    let recorder = Recorder::bind(config, Arc::new(MemoryTails::default())).await.unwrap();
    let (addr, stop) = (recorder.local_addr(), CancellationToken::new());
    let running = tokio::spawn({
        let stop = stop.clone();
        async move { recorder.run(stop).await.unwrap() }
    });
    (addr, stop, running)
}

async fn gateway(recorder: SocketAddr, reading: Reading) -> SocketAddr {
    let recorder_url = livetape_proto::RecorderAddress::new(format!("http://{recorder}"));
    let mut config = GatewayConfig::new("127.0.0.1:0".parse().unwrap());
    config.operations_url = Some(recorder_url.clone());
    let remote = Remote::new(RemoteConfig { recorder_url, reading, redis: None }).unwrap();
    let gateway = Gateway::bind_remote(config, remote).await.unwrap();
    let addr = gateway.local_addr();
    tokio::spawn(gateway.run(CancellationToken::new()));
    ready(addr).await;
    addr
}

#[tokio::test(flavor = "multi_thread")]
async fn from_a_source_to_listeners_both_ways() {
    let folder = tempfile::tempdir().unwrap();
    let (recorder, stop, running) = record(folder.path(), SocketAddr::from(([127, 0, 0, 1], 0))).await;
    let near = gateway(recorder, Reading::Dir(folder.path().to_owned())).await;
    let far = gateway(recorder, Reading::Recorder).await;

    let mut call = grpc_source::open(recorder, opening("live", stereo())).await.unwrap();
    let id = call.opened.recording_id.clone();
    let mut at = 0;
    let mut push = async |call: &mut grpc_source::Call, frames: u64| {
        assert!(call.append(Frame::new(at), now(), counting(at..at + frames)).await);
        at += frames;
        call.acknowledged(Frame::new(at)).await.unwrap();
    };
    push(&mut call, SECOND).await;
    let target = format!("/recordings/{id}/audio.pcm");
    // The catalogue and the tail may take a moment; what was not told yet is 404 or 503, never wrong.
    let mut listeners = Vec::new();
    for gateway in [near, far] {
        for _ in 0..1_000 {
            let (status, told) = json(gateway, &format!("/recordings/{id}")).await;
            if status == 200 && told["frames"] == SECOND {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let (client, reply, bytes) = open(gateway, &target, &[], 4 * SECOND as usize).await;
        assert!(bytes == counting(0..SECOND));
        listeners.push((client, reply));
    }
    for n in 1..=5 {
        push(&mut call, SECOND / 2).await;
        for (client, reply) in &mut listeners {
            let (bytes, ending) = client.take(reply, 2 * SECOND as usize).await;
            let first = SECOND / 2 * (n + 1);
            assert!(ending.is_none() && bytes == counting(first..first + SECOND / 2));
        }
    }
    let (near_says, far_says) = (
        json(near, &format!("/recordings/{id}/timeline")).await.1,
        json(far, &format!("/recordings/{id}/timeline")).await.1,
    );
    assert!(near_says == far_says && !near_says["entries"].as_array().unwrap().is_empty(), "{near_says} {far_says}");

    // Notes, a lock, and a cut in the middle; the source does not notice.
    let (reply, body) = fetch(far, "PUT", &format!("/recordings/{id}/lock"), &[]).await;
    assert_eq!(reply.status, 200, "{}", String::from_utf8_lossy(&body));
    let (reply, body) = fetch(near, "POST", "/streams/live/recordings", &[]).await;
    assert_eq!(reply.status, 201, "{}", String::from_utf8_lossy(&body));
    let next = serde_json::from_slice::<serde_json::Value>(&body).unwrap()["id"].clone();
    for (client, reply) in &mut listeners {
        assert_eq!(client.rest(reply).await, (Vec::new(), Ending::Clean), "it is over");
    }
    for gateway in [near, far] {
        let told = json(gateway, &format!("/recordings/{id}")).await.1;
        assert_eq!((&told["state"], &told["locked"]), (&"sealed".into(), &true.into()));
        for _ in 0..1_000 {
            if json(gateway, "/streams/live").await.1["recording"]["id"] == next {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(json(gateway, "/streams/live").await.1["recording"]["id"], next);
        let (reply, _) = fetch(gateway, "DELETE", &format!("/recordings/{id}"), &[]).await;
        assert_eq!(reply.status, 409, "it is locked");
    }

    // The recorder goes and comes back: what is on disk is heard meanwhile by who reads the folder, afterwards by both.
    stop.cancel();
    running.await.unwrap();
    let whole = counting(0..SECOND / 2 * 7);
    let (reply, bytes) = fetch(near, "GET", &target, &[]).await;
    assert!(reply.status == 200 && bytes == whole);
    let (_, stop, running) = record(folder.path(), recorder).await;
    let (reply, bytes) = fetch(far, "GET", &target, &[]).await;
    assert!(reply.status == 200 && bytes == whole);
    stop.cancel();
    running.await.unwrap();
}

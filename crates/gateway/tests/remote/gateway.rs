//! The gateway as a process of its own, over HTTP.

use crate::client::{Ending, fetch, json, open};
use crate::conformance::{config, until};
use crate::recorder::{Recorder, counting};
use livetape_gateway::{Gateway, GatewayConfig, Reading, Remote};
use std::net::SocketAddr;
use tokio_util::sync::{CancellationToken, DropGuard};

pub async fn gateway(recorder: &Recorder, change: impl FnOnce(&mut GatewayConfig)) -> (SocketAddr, DropGuard) {
    let mut settings = GatewayConfig::new("127.0.0.1:0".parse().unwrap());
    change(&mut settings);
    let remote = Remote::new(config(recorder, Reading::Recorder)).unwrap();
    let gateway = Gateway::bind_remote(settings, remote).await.unwrap();
    let (addr, shutdown) = (gateway.local_addr(), CancellationToken::new());
    tokio::spawn(gateway.run(shutdown.clone()));
    (addr, shutdown.drop_guard())
}

pub async fn ready(addr: SocketAddr) {
    for _ in 0..1_000 {
        if fetch(addr, "GET", "/readyz", &[]).await.0.status == 200 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("it was never ready");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_waits_for_its_recorder_and_outlives_it() {
    let mut recorder = Recorder::new();
    let desk = recorder.desk.clone();
    let id = desk.record("live");
    desk.play(id, 48_000);
    recorder.stop();
    let (addr, _running) = gateway(&recorder, |_| {}).await;
    let (reply, body) = fetch(addr, "GET", "/readyz", &[]).await;
    let waits = "not ready: catalogue\ncatalogue: no\nrecorder: no, goes on without\n";
    assert_eq!((reply.status, body.as_slice()), (503, waits.as_bytes()));
    assert_eq!(fetch(addr, "GET", "/healthz", &[]).await.0.status, 200);
    let (reply, _) = fetch(addr, "GET", "/streams/live", &[]).await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("1")), "not 404: nobody knows");
    recorder.start();
    ready(addr).await;
    let (_, stream) = json(addr, "/streams/live").await;
    assert_eq!((&stream["recording"]["frames"], &stream["state"]), (&48_000.into(), &"waiting".into()));
    // A listener: what there is, what comes, and the end, through a restart of the recorder.
    let target = format!("/recordings/{id}/audio.pcm");
    let (mut client, mut reply, bytes) = open(addr, &target, &[], 4 * 48_000).await;
    assert!(bytes == counting(0..48_000));
    desk.play(id, 1_000);
    let (bytes, _) = client.take(&mut reply, 4_000).await;
    assert!(bytes == counting(48_000..49_000));
    recorder.stop();
    desk.play(id, 500);
    // Who asks for what is known already, waits for the recorder.
    let early = tokio::spawn({
        let target = target.clone();
        async move { fetch(addr, "GET", &target, &[("Range", "bytes=0-3999")]).await }
    });
    tokio::time::sleep(std::time::Duration::from_millis(300)).await;
    recorder.start();
    let (part, bytes) = early.await.unwrap();
    assert!(part.status == 206 && bytes == counting(0..1_000));
    let (bytes, _) = client.take(&mut reply, 2_000).await;
    assert!(bytes == counting(49_000..49_500));
    desk.seal(id, true);
    assert_eq!(client.rest(&mut reply).await, (Vec::new(), Ending::Clean));
    until("deleted", || {
        desk.catalogue.get(id)?;
        desk.delete(id);
        Some(())
    })
    .await;
    for _ in 0..1_000 {
        if fetch(addr, "HEAD", &target, &[]).await.0.status == 404 {
            return;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("it is there for ever");
}

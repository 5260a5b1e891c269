//! Who calls and does not read is told so, then shown out, and keeps nobody else from reading meanwhile.

use crate::common::{Running, config, next, pcm, start};
use livetape_proto::v1;
use livetape_proto::v1::tape_service_client::TapeServiceClient;
use livetape_service::Networks;
use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;
use tempfile::TempDir;
use tonic::transport::{Channel, Endpoint};
use tonic::{Code, Status, Streaming};

/// More than windows and two messages hold.
const FRAMES: u64 = 480_000;
/// Calls that one address may have.
const MOST: u32 = 8;

async fn recorder(stall: Duration) -> (Running, String, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let mut config = config(folder.path());
    config.limits.stall = stall;
    config.limits.clients.lasting_per_address = MOST;
    config.limits.clients.unlimited = Networks::default();
    let recorder = start(config).await;
    let id = recorder.record("a", FRAMES).await;
    (recorder, id, folder)
}

/// A client at another address of this machine, with the windows that many programs have: the smallest.
async fn client(recorder: &Running, host: u8) -> TapeServiceClient<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{}", recorder.addr)).unwrap();
    let endpoint = endpoint.initial_stream_window_size(65_535).initial_connection_window_size(65_535);
    let endpoint = endpoint.local_address(Some(IpAddr::V4(Ipv4Addr::new(127, 0, 0, host))));
    TapeServiceClient::new(endpoint.connect().await.unwrap())
}

async fn read(tapes: &TapeServiceClient<Channel>, id: &str) -> Result<Streaming<v1::ReadFramesResponse>, Status> {
    let all = v1::ReadFramesRequest { recording_id: id.into(), ..Default::default() };
    Ok(tapes.clone().read_frames(all).await?.into_inner())
}

/// What comes, and how it ends.
async fn to_end(mut blocks: Streaming<v1::ReadFramesResponse>) -> (Vec<u8>, Result<(), Status>) {
    let mut audio = Vec::new();
    loop {
        match next(&mut blocks).await {
            Ok(Some(block)) => audio.extend_from_slice(&block.pcm),
            Ok(None) => return (audio, Ok(())),
            Err(status) => return (audio, Err(status)),
        }
    }
}

#[tokio::test]
async fn who_reads_late_is_told_so() {
    let (recorder, id, _folder) = recorder(Duration::from_secs(3)).await;
    let blocks = read(&client(&recorder, 2).await, &id).await.unwrap();
    recorder.counted("livetape_recorder_unread_total{what=\"call\"}", 1).await;
    let (audio, end) = to_end(blocks).await;
    let end = end.unwrap_err();
    assert_eq!(end.code(), Code::Aborted, "{end}");
    assert!(end.message().contains("nothing was read"), "{end}");
    assert!(!audio.is_empty() && audio.len() < pcm(0, FRAMES).len() && audio == pcm(0, audio.len() as u64 / 4));
    recorder.stop().await;
}

#[tokio::test]
async fn who_never_reads_keeps_its_places_for_a_while_and_takes_nobody_elses() {
    let (recorder, id, _folder) = recorder(Duration::from_secs(1)).await;
    let unread = client(&recorder, 2).await;
    let mut calls = Vec::new();
    for _ in 0..MOST {
        calls.push(read(&unread, &id).await.unwrap());
    }
    // All of its address are taken, and none of another's.
    let other = client(&recorder, 3).await;
    assert_eq!(read(&client(&recorder, 2).await, &id).await.unwrap_err().code(), Code::ResourceExhausted);
    assert_eq!(to_end(read(&other, &id).await.unwrap()).await.0, pcm(0, FRAMES));
    // Then it is shown out, whether it answers pings or not, and its address has room.
    recorder.counted("livetape_recorder_unread_total{what=\"connection\"}", 1).await;
    let again = client(&recorder, 2).await;
    let blocks = loop {
        match read(&again, &id).await {
            Ok(blocks) => break blocks,
            Err(status) => assert_eq!(status.code(), Code::ResourceExhausted, "{status}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(to_end(blocks).await.0, pcm(0, FRAMES));
    for call in calls {
        let (audio, end) = to_end(call).await;
        assert!(end.is_err() && audio.len() < pcm(0, FRAMES).len(), "{end:?}");
    }
    recorder.stop().await;
}

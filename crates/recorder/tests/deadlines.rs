//! Deadlines that pass in the middle of calls: what was acknowledged stays, and the next call goes on.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test says by panicking what is wrong")]

mod common;

use common::{append, config, next, noon, pcm, start};
use livetape_audio::{Frame, FrameCount};
use livetape_proto::v1;
use livetape_proto::v1::ingest_request::Message;
use livetape_proto::v1::ingest_response::Message as Answer;
use livetape_proto::v1::ingest_service_client::IngestServiceClient;
use livetape_testkit::grpc_source::{open, opening, stereo};
use std::time::Duration;
use tonic::{Code, Request};

fn within<T>(milliseconds: u64, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(Duration::from_millis(milliseconds));
    request
}

#[tokio::test]
async fn of_a_source() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(config(folder.path())).await;
    let source = opening("a", stereo());
    let (requests, outgoing) = tokio::sync::mpsc::channel(4);
    let say = |message| v1::IngestRequest { message: Some(message) };
    requests.send(say(Message::Open(source.clone()))).await.unwrap();
    let outgoing = tokio_stream::wrappers::ReceiverStream::new(outgoing);
    let call = IngestServiceClient::new(recorder.channel.clone()).ingest(within(1_500, outgoing)).await;
    let mut answers = call.unwrap().into_inner();
    let Some(Answer::Opened(opened)) = next(&mut answers).await.unwrap().unwrap().message else { panic!("no Opened") };
    // It pushes for as long as it may.
    let epoch = opened.epoch;
    let pushing = tokio::spawn(async move {
        for first_frame in (0..960 * 4_000).step_by(960) {
            let captured_at_unix_ns = noon().after_frames(FrameCount::new(first_frame), stereo()).unix_nanos();
            let pcm = pcm(first_frame, 960).into();
            let append = v1::Append { epoch, first_frame, captured_at_unix_ns, pcm, ..Default::default() };
            if requests.send(say(Message::Append(append))).await.is_err() {
                return;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    let mut acknowledged = 0;
    let end = loop {
        match next(&mut answers).await {
            Ok(Some(v1::IngestResponse { message: Some(Answer::Acknowledged(ack)) })) => {
                acknowledged = ack.durable_frame
            }
            Ok(other) => panic!("{other:?}"),
            Err(status) => break status,
        }
    };
    assert_eq!(end.code(), Code::DeadlineExceeded, "{end}");
    assert!(acknowledged > 0);
    pushing.await.unwrap();
    let again = v1::Open { resume_recording_id: Some(opened.recording_id.clone()), ..source };
    let call = open(recorder.addr, again).await.unwrap();
    assert_eq!(call.opened.recording_id, opened.recording_id);
    let resume = call.opened.resume_frame.unwrap();
    assert!(resume >= acknowledged, "{resume} of {acknowledged}");
    append(&call, resume, 960).await;
    call.end(Frame::new(resume + 960)).await.unwrap();
    assert_eq!(recorder.audio(&opened.recording_id).await, pcm(0, resume + 960));
    let gaps = recorder.timeline(&opened.recording_id).await;
    assert!(!gaps.iter().any(|entry| matches!(entry.what, Some(v1::entry::What::Gap(_)))), "{gaps:?}");
    recorder.stop().await;
}

#[tokio::test]
async fn of_readers_and_operators() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(config(folder.path())).await;
    let call = recorder.push("a", 4_800).await;
    let id = call.opened.recording_id.clone();
    let request = v1::ReadFramesRequest { recording_id: id.clone(), follow: true, ..Default::default() };
    let mut frames = recorder.tapes.clone().read_frames(within(500, request)).await.unwrap().into_inner();
    let tails = v1::WatchTailRequest::default();
    let mut tails = recorder.tapes.clone().watch_tail(within(500, tails)).await.unwrap().into_inner();
    let changes = v1::WatchCatalogueRequest {};
    let mut changes = recorder.catalogue.clone().watch_catalogue(within(500, changes)).await.unwrap().into_inner();
    let mut audio = Vec::new();
    let end = loop {
        match next(&mut frames).await {
            Ok(Some(block)) => audio.extend_from_slice(&block.pcm),
            Ok(None) => panic!("it grows"),
            Err(status) => break status,
        }
    };
    assert_eq!((end.code(), audio), (Code::DeadlineExceeded, pcm(0, 4_800)));
    let end = loop {
        if let Err(status) = next(&mut tails).await {
            break status;
        }
    };
    assert_eq!(end.code(), Code::DeadlineExceeded);
    let end = loop {
        if let Err(status) = next(&mut changes).await {
            break status;
        }
    };
    assert_eq!(end.code(), Code::DeadlineExceeded);
    // Too late for the answer; what is done is done whole, or not at all.
    for _ in 0..20 {
        let seal = v1::SealRecordingRequest { recording_id: id.clone() };
        let late = recorder.operations.clone().seal_recording(within(0, seal)).await;
        // What needs no waiting is done all the same.
        let code = late.err().map(|status| status.code());
        assert!(matches!(code, None | Some(Code::DeadlineExceeded | Code::Cancelled)), "{code:?}");
    }
    let seal = v1::SealRecordingRequest { recording_id: id.clone() };
    let sealed = recorder.operations.clone().seal_recording(within(20_000, seal)).await.unwrap().into_inner();
    assert_eq!(sealed.recording.unwrap().seal.unwrap().end_frame, 4_800);
    assert_eq!(recorder.audio(&id).await, pcm(0, 4_800));
    drop(call);
    recorder.stop().await;
}

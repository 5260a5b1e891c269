//! What a program learns when a call is refused, besides the code, and what deadlines do.

use crate::common::{Running, append, config, next, noon, pcm, start};
use livetape_audio::Frame;
use livetape_proto::v1::ingest_service_client::IngestServiceClient;
use livetape_proto::v1::{self, ingest_request, ingest_response};
use livetape_testkit::grpc_source::{Call, open, opening, stereo};
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Code, reason, and the fact of that name.
fn said(status: &Status, fact: &str) -> (Code, String, Option<String>) {
    let info = status.get_details_error_info().unwrap_or_else(|| panic!("no details: {status}"));
    assert_eq!(info.domain, "livetape.v1");
    assert!(!status.message().is_empty());
    (status.code(), info.reason, info.metadata.get(fact).cloned())
}

fn due(code: Code, reason: &str, fact: &str) -> (Code, String, Option<String>) {
    (code, reason.to_owned(), Some(fact.to_owned()).filter(|fact| !fact.is_empty()))
}

async fn refusal(recorder: &Running, stream: &str, wrong: impl AsyncFnOnce(&Call)) -> Status {
    let mut call = recorder.push(stream, 960).await;
    wrong(&call).await;
    call.refusal().await
}

#[tokio::test]
async fn a_source_learns_where_to_go_on() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(config(folder.path())).await;
    let hole = refusal(&recorder, "hole", async |call| _ = call.append(Frame::new(5000), noon(), pcm(5000, 1)).await);
    assert_eq!(said(&hole.await, "next_frame"), due(Code::OutOfRange, "HOLE", "960"));
    let late =
        refusal(&recorder, "late", async |call| _ = call.gap(Frame::new(1), None, v1::GapReason::Overflow).await);
    assert_eq!(said(&late.await, "next_frame"), due(Code::OutOfRange, "ALREADY_RECORDED", "960"));
    let unknown = refusal(&recorder, "epoch", async |call| {
        _ = call.append_as(call.opened.epoch + 7, Frame::new(960), noon(), pcm(960, 1)).await;
    });
    let unknown = said(&unknown.await, "epoch");
    assert_eq!((unknown.0, unknown.1.as_str()), (Code::Aborted, "UNKNOWN_EPOCH"));

    let mut first = recorder.push("two", 960).await;
    let second = open(recorder.addr, opening("two", stereo())).await.unwrap();
    first.append(Frame::new(960), noon(), pcm(960, 1)).await;
    let epoch = second.opened.epoch.to_string();
    assert_eq!(said(&first.refusal().await, "epoch"), due(Code::Aborted, "SUPERSEDED", &epoch));

    // Over the limit of an Append, and over the limit of any message.
    for (stream, bytes) in [("large", (1 << 20) + 4), ("larger", 2 << 20)] {
        let append = async |call: &Call| _ = call.append(Frame::new(960), noon(), vec![0; bytes]).await;
        let refused = refusal(&recorder, stream, append).await;
        let due = due(Code::ResourceExhausted, "MESSAGE_TOO_LARGE", "1048576");
        assert_eq!(said(&refused, "max_append_bytes"), due);
    }
    let half = refusal(&recorder, "half", async |call| _ = call.append(Frame::new(960), noon(), vec![0; 3]).await);
    assert_eq!(said(&half.await, "field"), due(Code::InvalidArgument, "INVALID_FIELD", "append.pcm"));
    let bad = open(recorder.addr, v1::Open { instance: vec![1], ..opening("a", stereo()) }).await.unwrap_err();
    let field = &bad.get_details_bad_request().unwrap().field_violations[0];
    assert_eq!((field.field.as_str(), field.description.as_str()), ("open.instance", bad.message()));
    recorder.stop().await;
}

#[tokio::test]
async fn readers_and_operators_learn_what_to_do() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(config(folder.path())).await;
    let call = recorder.push("a", 960).await;
    let id = call.opened.recording_id.clone();
    let (mut tapes, mut operations) = (recorder.tapes.clone(), recorder.operations.clone());

    let read = v1::ReadFramesRequest { recording_id: id.clone(), first_frame: 961, ..Default::default() };
    let refused = tapes.read_frames(read).await.unwrap_err();
    assert_eq!(said(&refused, "end_frame"), due(Code::OutOfRange, "PAST_END", "960"));
    let export = v1::ExportRequest { recording_id: id.clone(), to: "90".into(), ..Default::default() };
    let refused = tapes.export(export).await.unwrap_err();
    assert_eq!(said(&refused, "end_frame"), due(Code::OutOfRange, "PAST_END", "960"));
    let nowhere = "01932c07-209c-7a3e-8c1f-5d2e9b7a4f10";
    let refused = recorder.get(nowhere).await.unwrap_err();
    assert_eq!(said(&refused, "recording_id"), due(Code::NotFound, "NO_SUCH_RECORDING", nowhere));
    let refused = recorder.get("?").await.unwrap_err();
    assert_eq!(said(&refused, "field"), due(Code::InvalidArgument, "INVALID_FIELD", "recording_id"));
    let many = v1::ListStreamsRequest { limit: 1_000_000, ..Default::default() };
    let refused = recorder.catalogue.clone().list_streams(many).await.unwrap_err();
    assert_eq!(said(&refused, "field"), due(Code::InvalidArgument, "INVALID_FIELD", "limit"));
    let refused = operations.delete_recording(v1::DeleteRecordingRequest { recording_id: id }).await.unwrap_err();
    assert_eq!(said(&refused, ""), due(Code::FailedPrecondition, "OPEN", ""));

    // A recorder that stops says when to come back.
    let mut reading = tapes.watch_tail(v1::WatchTailRequest::default()).await.unwrap().into_inner();
    next(&mut reading).await.unwrap();
    let stopped = tokio::join!(recorder.stop(), async {
        while next(&mut reading).await?.is_some() {}
        Ok(())
    })
    .1;
    let stopped: Status = Result::<(), Status>::unwrap_err(stopped);
    assert_eq!(said(&stopped, ""), due(Code::Unavailable, "STOPPING", ""));
    assert_eq!(stopped.get_details_retry_info().unwrap().retry_delay, Some(Duration::from_secs(1)));
}

#[tokio::test]
async fn a_deadline_ends_an_ingest_call_and_what_came_stays() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(config(folder.path())).await;
    let mut client = IngestServiceClient::new(recorder.channel.clone());
    let (messages, outgoing) = tokio::sync::mpsc::channel(4);
    let first = ingest_request::Message::Open(opening("a", stereo()));
    messages.send(v1::IngestRequest { message: Some(first) }).await.unwrap();
    let mut request = tonic::Request::new(tokio_stream::wrappers::ReceiverStream::new(outgoing));
    // Only the header: the client of this library would give up by itself only before the first answer.
    request.metadata_mut().insert("grpc-timeout", "3S".parse().unwrap());
    let mut answers = client.ingest(request).await.unwrap().into_inner();
    let Some(ingest_response::Message::Opened(opened)) = next(&mut answers).await.unwrap().unwrap().message else {
        panic!("not opened");
    };
    let audio = v1::Append { epoch: opened.epoch, pcm: pcm(0, 960).into(), ..Default::default() };
    messages.send(v1::IngestRequest { message: Some(ingest_request::Message::Append(audio)) }).await.unwrap();
    let status = loop {
        match next(&mut answers).await {
            Ok(answer) => assert!(answer.is_some(), "a clean end"),
            Err(status) => break status,
        }
    };
    assert_eq!(said(&status, ""), due(Code::DeadlineExceeded, "DEADLINE_PASSED", ""));
    // The source opens again and goes on.
    let mut call = open(recorder.addr, opening("a", stereo())).await.unwrap();
    assert_eq!(call.opened.next_frame, 960);
    append(&call, 960, 960).await;
    call.acknowledged(Frame::new(1920)).await.unwrap();
    assert_eq!(recorder.audio(&call.opened.recording_id).await, pcm(0, 1920));
    recorder.stop().await;
}

//! The gRPC server itself: health, reflection, and what is no request.

use crate::common::{append, config, next, pcm, start};
use livetape_audio::Frame;
use livetape_proto::v1;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;
use tonic_reflection::pb::v1alpha;

const SERVICES: [&str; 4] = ["Ingest", "Catalogue", "Tape", "Operation"];

#[tokio::test]
async fn says_that_it_serves_and_what() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(config(folder.path())).await;
    let names = SERVICES.map(|name| format!("livetape.v1.{name}Service"));
    for service in names.iter().cloned().chain([String::new()]) {
        let mut health = HealthClient::new(recorder.channel.clone());
        let answer = health.check(HealthCheckRequest { service }).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::Serving);
    }
    let ask = |message_request| {
        let request = ServerReflectionRequest { host: String::new(), message_request: Some(message_request) };
        let mut reflection = ServerReflectionClient::new(recorder.channel.clone());
        async move {
            let asked = tokio_stream::iter([request]);
            let mut answers = reflection.server_reflection_info(asked).await.unwrap().into_inner();
            next(&mut answers).await.unwrap().unwrap().message_response.unwrap()
        }
    };
    let MessageResponse::ListServicesResponse(list) = ask(MessageRequest::ListServices(String::new())).await else {
        panic!("no list");
    };
    assert!(names.iter().all(|name| list.service.iter().any(|service| service.name == *name)), "{list:?}");
    for symbol in names.into_iter().chain(["livetape.v1.Append".into(), "grpc.health.v1.Health".into()]) {
        let answer = ask(MessageRequest::FileContainingSymbol(symbol)).await;
        assert!(matches!(answer, MessageResponse::FileDescriptorResponse(_)), "{answer:?}");
    }
    recorder.stop().await;
}

#[tokio::test]
async fn tools_that_know_only_the_older_reflection_learn_it_too() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(config(folder.path())).await;
    let mut reflection = v1alpha::server_reflection_client::ServerReflectionClient::new(recorder.channel.clone());
    let asked = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1alpha::server_reflection_request::MessageRequest::ListServices(String::new())),
    };
    let mut answers = reflection.server_reflection_info(tokio_stream::iter([asked])).await.unwrap().into_inner();
    let answer = next(&mut answers).await.unwrap().unwrap().message_response.unwrap();
    let v1alpha::server_reflection_response::MessageResponse::ListServicesResponse(list) = answer else {
        panic!("no list: {answer:?}")
    };
    assert!(list.service.iter().any(|service| service.name == "livetape.v1.TapeService"), "{list:?}");
    recorder.stop().await;
}

#[tokio::test]
async fn whoever_watches_its_health_hears_that_it_stops() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(config(folder.path())).await;
    let mut watched = Vec::new();
    for service in [String::new(), "livetape.v1.IngestService".into()] {
        let mut health = HealthClient::new(recorder.channel.clone());
        let mut answers = health.watch(HealthCheckRequest { service }).await.unwrap().into_inner();
        assert_eq!(next(&mut answers).await.unwrap().unwrap().status(), ServingStatus::Serving);
        watched.push(answers);
    }
    let stopping = tokio::spawn(recorder.stop());
    for mut answers in watched {
        assert_eq!(next(&mut answers).await.unwrap().unwrap().status(), ServingStatus::NotServing);
    }
    stopping.await.unwrap();
}

#[tokio::test]
async fn garbage_and_oversized_messages_cost_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(config(folder.path())).await;
    let call = recorder.push("a", 960).await;
    let id = call.opened.recording_id.clone();
    for garbage in
        [&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"[..], &[0xFF; 4096], b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00"]
    {
        let mut stream = TcpStream::connect(recorder.addr).await.unwrap();
        stream.write_all(garbage).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut answer = Vec::new();
        // It is closed or reset.
        let _ =
            tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await.expect("is closed");
    }
    let long = "x".repeat(1 << 20);
    let update = v1::UpdateRecordingRequest { recording_id: id.clone(), notes: Some(long.clone()), title: None };
    let refused = recorder.operations.clone().update_recording(update).await.unwrap_err();
    assert!(matches!(refused.code(), Code::OutOfRange | Code::ResourceExhausted), "{refused}");
    let read = v1::ReadFramesRequest { recording_id: long, ..Default::default() };
    let refused = recorder.tapes.clone().read_frames(read).await.unwrap_err();
    assert!(matches!(refused.code(), Code::OutOfRange | Code::ResourceExhausted), "{refused}");
    let export = v1::ExportRequest { recording_id: id.clone(), container: 99, ..Default::default() };
    assert_eq!(recorder.tapes.clone().export(export).await.unwrap_err().code(), Code::InvalidArgument);
    append(&call, 960, 960).await;
    call.end(Frame::new(1920)).await.unwrap();
    assert_eq!(recorder.audio(&id).await, pcm(0, 1920));
    recorder.stop().await;
}

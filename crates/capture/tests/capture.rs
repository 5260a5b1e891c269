//! The role as a whole, at its edges: what it refuses, and how it stops.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that unwraps says all there is to say")]

use livetape_audio::{SampleFormat, Spec};
use livetape_capture::sources::file::Playing;
use livetape_capture::{Capture, CaptureConfig, CaptureError, SourceConfig, SourceSpec};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

fn source(stream: &str, source: SourceSpec) -> SourceConfig {
    let spec = Spec::new(SampleFormat::S16, 48_000, 1).unwrap();
    SourceConfig {
        stream: stream.parse().unwrap(),
        source,
        shape: spec.into(),
        buffer: None,
        fallback: None,
        playing: Playing::default(),
        meter: None,
        ends: false,
        title: String::new().parse().unwrap(),
        genre: String::new().parse().unwrap(),
    }
}

async fn refusal(url: &str, sources: Vec<SourceConfig>) -> String {
    match Capture::bind(CaptureConfig::new(url, sources)).await {
        Ok(_) => panic!("not refused"),
        Err(error) => error.to_string(),
    }
}

#[tokio::test]
async fn a_configuration_that_cannot_work_is_refused() {
    let url = "http://127.0.0.1:7070";
    for wrong in ["", "127.0.0.1:7070", "ftp://example.org", "http://", "http://a b"] {
        assert!(refusal(wrong, Vec::new()).await.contains("http://recorder:7070"), "{wrong:?}");
    }
    assert!(refusal(url, vec![source("a", SourceSpec::Counting)]).await.contains("stream a: source counting"));
    let twice = vec![source("a", SourceSpec::Tone), source("a", SourceSpec::Noise)];
    assert!(refusal(url, twice).await.contains("two sources"));
    let stdin = vec![source("a", SourceSpec::Stdin), source("b", SourceSpec::Stdin)];
    assert!(refusal(url, stdin).await.contains("stdin"));
    let mut config = CaptureConfig::new(url, Vec::new());
    config.queue_bytes = 1;
    assert!(matches!(Capture::bind(config).await, Err(CaptureError::QueueBytes(1))));
}

#[tokio::test]
async fn without_a_recorder_it_waits_and_stops_when_asked() {
    let sources =
        vec![source("a", SourceSpec::Tone), source("b", SourceSpec::TimeSignal), source("c", SourceSpec::None)];
    let capture = Capture::bind(CaptureConfig::new("http://127.0.0.1:1", sources)).await.unwrap();
    let statuses = capture.statuses();
    assert_eq!(statuses.len(), 2);
    let shutdown = CancellationToken::new();
    let running = tokio::spawn(capture.run(shutdown.clone()));
    tokio::time::sleep(Duration::from_millis(150)).await;
    assert!(!running.is_finished());
    assert!(!statuses[0].1.borrow().connected);
    shutdown.cancel();
    tokio::time::timeout(Duration::from_secs(2), running).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn without_sources_there_is_nothing_to_run() {
    let sources = vec![source("a", SourceSpec::None)];
    let capture = Capture::bind(CaptureConfig::new("http://127.0.0.1:1", sources)).await.unwrap();
    capture.run(CancellationToken::new()).await.unwrap();
}

#[tokio::test]
async fn counts_for_every_source_that_runs() {
    let sources = vec![source("a", SourceSpec::Tone), source("b", SourceSpec::None)];
    let metrics = Capture::bind(CaptureConfig::new("http://127.0.0.1:1", sources)).await.unwrap().metrics().text();
    assert!(metrics.contains("livetape_capture_connected{stream=\"a\"} 0\n"), "{metrics}");
    assert!(!metrics.contains("stream=\"b\""), "{metrics}");
}

//! What the recorder counts, against what sources were told.

use crate::common::config;
use livetape_audio::Frame;
use livetape_recorder::{Recorder, RecorderConfig};
use livetape_service::Metrics;
use livetape_store::{Disk, Faults, Op};
use livetape_tail::MemoryTails;
use livetape_testkit::grpc_source::{begin, now, open, opening, stereo};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use tonic::Code;

/// A disk that is full while it is told to be.
#[derive(Default)]
struct Filling(AtomicBool);

impl Faults for Filling {
    fn check(&self, op: Op, _: &Path) -> std::io::Result<()> {
        let full = self.0.load(Ordering::Relaxed) && op == Op::Write;
        if full { Err(std::io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }
}

/// The value of a series as `/metrics` shows it, if it does.
fn count(metrics: &Metrics, series: &str) -> Option<f64> {
    let text = metrics.text();
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '))?;
    Some(line.parse().unwrap())
}

async fn until(metrics: &Metrics, series: &str, value: Option<f64>) {
    for _ in 0..500 {
        if count(metrics, series) == value {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{series} never became {value:?}:\n{}", metrics.text());
}

#[tokio::test]
async fn counts_what_sources_were_told() {
    let (folder, filling) = (tempfile::tempdir().unwrap(), Arc::new(Filling::default()));
    let config = RecorderConfig { disk: Disk::with_faults(Arc::clone(&filling) as _), ..config(folder.path()) };
    let recorder = Recorder::bind(config, Arc::new(MemoryTails::default())).await.unwrap();
    let (addr, metrics, stop) = (recorder.local_addr(), recorder.metrics(), CancellationToken::new());
    let task = tokio::spawn(recorder.run(stop.clone()));

    let mut call = open(addr, opening("a", stereo())).await.unwrap();
    assert_eq!(count(&metrics, "livetape_recorder_connected_sources"), Some(1.0));
    assert_eq!(count(&metrics, "livetape_recorder_open_recordings"), Some(1.0));
    call.append(Frame::ZERO, now(), vec![1; 960 * 4]).await;
    call.acknowledged(Frame::new(960)).await.unwrap();
    // Counted as soon as it is acknowledged, by another thread.
    until(&metrics, "livetape_recorder_durable_frames_total{stream=\"a\"}", Some(960.0)).await;
    until(&metrics, "livetape_recorder_durable_bytes_total{stream=\"a\"}", Some(3_840.0)).await;
    for histogram in ["durable_lag", "commit_round"] {
        let name = format!("livetape_recorder_{histogram}_seconds");
        // A round is counted when it is over, which is after what it brought was acknowledged.
        for _ in 0..500 {
            if count(&metrics, &format!("{name}_count")) >= Some(1.0) {
                break;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        until(&metrics, &format!("{name}_bucket{{le=\"+Inf\"}}"), count(&metrics, &format!("{name}_count"))).await;
        assert!(count(&metrics, &format!("{name}_count")) >= Some(1.0), "{name}");
        assert!(count(&metrics, &format!("{name}_sum")) > Some(0.0), "{name}");
    }

    // A hole, another source, a message that is none, a full disk.
    call.append(Frame::new(5_000), now(), vec![1; 400]).await;
    assert_eq!(call.refusal().await.code(), Code::OutOfRange);
    let mut first = open(addr, opening("a", stereo())).await.unwrap();
    let mut second = open(addr, opening("a", stereo())).await.unwrap();
    assert_eq!(first.refusal().await.code(), Code::Aborted);
    let append = livetape_proto::v1::ingest_request::Message::Append(livetape_proto::v1::Append::default());
    assert!(begin(addr, append).await.is_err());
    filling.0.store(true, Ordering::Relaxed);
    second.append(Frame::new(960), now(), vec![1; 400]).await;
    assert_eq!(second.refusal().await.code(), Code::ResourceExhausted);
    for kind in ["hole", "superseded", "invalid", "storage_full"] {
        until(&metrics, &format!("livetape_recorder_refusals_total{{kind=\"{kind}\"}}"), Some(1.0)).await;
    }
    assert_eq!(count(&metrics, "livetape_recorder_storage_full"), Some(1.0));
    assert_eq!(
        count(&metrics, "livetape_recorder_durable_frames_total{stream=\"a\"}"),
        Some(960.0),
        "not what was refused"
    );
    until(&metrics, "livetape_recorder_connected_sources", Some(0.0)).await;

    filling.0.store(false, Ordering::Relaxed);
    let mut call = open(addr, opening("a", stereo())).await.unwrap();
    call.append(Frame::new(960), now(), vec![1; 400]).await;
    call.acknowledged(Frame::new(1_060)).await.unwrap();
    assert_eq!(count(&metrics, "livetape_recorder_storage_full"), Some(0.0));
    assert_eq!(count(&metrics, "livetape_recorder_durable_frames_total{stream=\"a\"}"), Some(1_060.0));
    call.end(Frame::new(1_060)).await.unwrap();
    until(&metrics, "livetape_recorder_open_recordings", Some(0.0)).await;

    stop.cancel();
    tokio::time::timeout(Duration::from_secs(10), task).await.expect("stops in time").unwrap().unwrap();
    assert_eq!(count(&metrics, "livetape_recorder_durable_frames_total{stream=\"a\"}"), None, "the stream has gone");
}

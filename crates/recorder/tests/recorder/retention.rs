//! What retention removes, and what it says about that.

use crate::common::{Running, append, config, pcm, start};
use livetape_proto::v1;
use livetape_recorder::{RecorderConfig, Retention};
use livetape_testkit::grpc_source::{open, opening, stereo};
use std::time::Duration;
use tonic::Code;

impl Running {
    async fn is_there(&self, id: &str) -> bool {
        match self.get(id).await {
            Ok(_) => true,
            Err(status) if status.code() == Code::NotFound => false,
            Err(status) => panic!("{status}"),
        }
    }

    /// What the timeline says of retention.
    async fn said(&self, id: &str) -> Vec<String> {
        self.events(id, "retention").await
    }
}

#[tokio::test]
async fn the_oldest_goes_and_the_timeline_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(config(folder.path())).await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(recorder.record("a", 48_000).await);
    }
    let elsewhere = recorder.record("b", 48_000).await;
    let request = v1::LockRecordingRequest { recording_id: ids[0].clone() };
    recorder.operations.clone().lock_recording(request).await.unwrap();
    let call = recorder.push("a", 48_000).await;
    let growing = call.opened.recording_id.clone();
    drop(call);
    recorder.stop().await;

    // Room for four of the six seconds.
    let retention = Retention { max_bytes: Some(4 * 48_000 * 4), ..Retention::default() };
    let recorder = start(RecorderConfig { retention, ..config(folder.path()) }).await;
    while recorder.is_there(&ids[2]).await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    for (id, there) in [(&ids[0], true), (&ids[1], false), (&ids[3], true), (&elsewhere, true), (&growing, true)] {
        assert_eq!(recorder.is_there(id).await, there, "{id}");
    }
    assert_eq!(recorder.audio(&ids[0]).await, pcm(0, 48_000));
    // It stands before the next frame, so it is heard of with that.
    let (call, mut at) = (open(recorder.addr, opening("a", stereo())).await.unwrap(), 48_000);
    assert_eq!((&call.opened.recording_id, call.opened.next_frame), (&growing, at));
    let said = loop {
        append(&call, at, 960).await;
        at += 960;
        let said = recorder.said(&growing).await;
        if !said.is_empty() {
            break said;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(
        matches!(&said[..], [text] if text.contains("2 recordings") && text.contains(&ids[1]) && text.contains(&ids[2])),
        "{said:?}"
    );
    recorder.stop().await;
}

#[tokio::test]
async fn where_nothing_is_recorded_the_newest_recording_says_so_and_where_none_is_left_the_next() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(config(folder.path())).await;
    let before = recorder.record("a", 48_000).await;
    let newest = recorder.record("a", 4_800).await;
    let only = recorder.record("b", 48_000).await;
    recorder.stop().await;

    // Room for the newest one of `a` alone: ids rise with time, so the oldest of all are the first and that of `b`.
    let retention = Retention { max_bytes: Some(4_800 * 4), ..Retention::default() };
    let locked = start(config(folder.path())).await;
    let request = v1::LockRecordingRequest { recording_id: newest.clone() };
    locked.operations.clone().lock_recording(request).await.unwrap();
    locked.stop().await;
    let recorder = start(RecorderConfig { retention, ..config(folder.path()) }).await;
    recorder.counted("livetape_recorder_retention_removed_total{why=\"bytes\"}", 2).await;
    let said = loop {
        let said = recorder.said(&newest).await;
        if !said.is_empty() {
            break said;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(matches!(&said[..], [text] if text.contains(&before)), "{said:?}");
    let next = recorder.record("b", 960).await;
    let said = recorder.said(&next).await;
    assert!(matches!(&said[..], [text] if text.contains(&only)), "{said:?}");
    let after = recorder.record("b", 960).await;
    assert_eq!(recorder.said(&after).await, Vec::<String>::new(), "it is said once");
    recorder.stop().await;
}

/// Who deletes something is told of in the same way.
#[tokio::test]
async fn so_is_what_operators_delete() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(config(folder.path())).await;
    let (first, second) = (recorder.record("a", 960).await, recorder.record("a", 960).await);
    let request = v1::DeleteRecordingRequest { recording_id: first.clone() };
    recorder.operations.clone().delete_recording(request).await.unwrap();
    let said = recorder.deeds(&second).await;
    assert!(said.iter().any(|text| text.contains(&first) && text.contains("deleted by")), "{said:?}");
    let request = v1::DeleteStreamRequest { stream: "a".into() };
    recorder.operations.clone().delete_stream(request).await.unwrap();
    let next = recorder.record("a", 960).await;
    let said = recorder.deeds(&next).await;
    assert!(
        said.iter().any(|text| text.contains("the stream deleted by") && text.contains("1 recordings went")),
        "{said:?}"
    );
    recorder.stop().await;
}

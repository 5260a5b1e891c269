//! What operators do, over gRPC, while sources push and others read.

use crate::common::{Running, append, config, next, pcm, start};
use livetape_audio::Frame;
use livetape_proto::v1::entry::What;
use livetape_proto::v1::{self, SealReason};
use livetape_testkit::grpc_source::{Call, open, opening, stereo};
use tonic::{Code, Status};

impl Running {
    async fn begin_anew(&self, stream: &str) -> Result<(v1::Recording, v1::Recording), Status> {
        let request = v1::BeginRecordingRequest { stream: stream.into() };
        let response = self.operations.clone().begin_recording(request).await?.into_inner();
        Ok((response.sealed.unwrap(), response.recording.unwrap()))
    }

    async fn update(&self, id: &str, title: Option<&str>, notes: Option<&str>) -> Result<v1::Recording, Status> {
        let (title, notes) = (title.map(Into::into), notes.map(Into::into));
        let request = v1::UpdateRecordingRequest { recording_id: id.into(), title, notes };
        Ok(self.operations.clone().update_recording(request).await?.into_inner().recording.unwrap())
    }

    async fn delete(&self, id: &str) -> Result<(), Status> {
        let request = v1::DeleteRecordingRequest { recording_id: id.into() };
        self.operations.clone().delete_recording(request).await.map(|_| ())
    }

    async fn lock(&self, id: &str) -> Result<v1::Recording, Status> {
        let request = v1::LockRecordingRequest { recording_id: id.into() };
        Ok(self.operations.clone().lock_recording(request).await?.into_inner().recording.unwrap())
    }

    async fn unlock(&self, id: &str) -> Result<v1::Recording, Status> {
        let request = v1::UnlockRecordingRequest { recording_id: id.into() };
        Ok(self.operations.clone().unlock_recording(request).await?.into_inner().recording.unwrap())
    }

    async fn mark(&self, id: &str, frame: Option<u64>, text: &str) -> Result<u64, Status> {
        let request = v1::AddMarkRequest { recording_id: id.into(), frame, text: text.into() };
        Ok(self.operations.clone().add_mark(request).await?.into_inner().frame)
    }

    async fn delete_stream(&self, stream: &str) -> Result<(u32, u32), Status> {
        let request = v1::DeleteStreamRequest { stream: stream.into() };
        let response = self.operations.clone().delete_stream(request).await?.into_inner();
        Ok((response.removed, response.kept))
    }

    async fn marks(&self, id: &str) -> Vec<(u64, String)> {
        let entries = self.timeline(id).await.into_iter();
        entries.filter_map(|e| if let Some(What::Mark(text)) = e.what { Some((e.frame, text)) } else { None }).collect()
    }
}

/// Whether it was refused so, with words that say what to do.
fn refused<T: std::fmt::Debug>(outcome: Result<T, Status>, code: Code, words: &str) {
    let status = outcome.expect_err("refused");
    assert!(status.code() == code && status.message().contains(words), "{status}");
}

const UNKNOWN: &str = "01932c07-209c-7a3e-8c1f-5d2e9b7a4f10";

#[tokio::test]
async fn beginning_anew_under_a_pushing_source_loses_no_frame() {
    const FRAMES: u64 = 240_000;
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(config(folder.path())).await;
    let call = open(recorder.addr, opening("a", stereo())).await.unwrap();
    let first = call.opened.recording_id.clone();
    let pushing = tokio::spawn(async move {
        append(&call, 0, FRAMES).await;
        // Its numbers go on unbroken over all cuts.
        call.end(Frame::new(FRAMES)).await.unwrap()
    });
    let mut cuts = Vec::new();
    while !pushing.is_finished() && cuts.len() < 20 {
        match recorder.begin_anew("a").await {
            Ok(cut) => cuts.push(cut),
            Err(status) => assert_eq!(status.code(), Code::FailedPrecondition, "it had ended: {status}"),
        }
    }
    assert_eq!(pushing.await.unwrap(), Frame::new(FRAMES));
    let (mut id, mut all, mut recordings) = (first, Vec::new(), 0);
    loop {
        let (recording, tail) = recorder.get(&id).await.unwrap();
        let audio = recorder.audio(&id).await;
        assert_eq!(audio.len() as u64, tail.end_frame * 4);
        all.extend_from_slice(&audio);
        recordings += 1;
        assert!(recorder.timeline(&id).await.iter().all(|e| !matches!(e.what, Some(What::Gap(_)))));
        let seal = recording.seal.unwrap();
        let due = if seal.next_recording_id.is_some() { SealReason::Operator } else { SealReason::SourceEnded };
        assert_eq!(seal.reason(), due);
        let Some(next) = seal.next_recording_id else { break };
        id = next;
    }
    assert!(all == pcm(0, FRAMES), "bit for bit, in {recordings} recordings");
    assert!(recordings > 1 && recordings == cuts.len() + 1, "{recordings} {}", cuts.len());
    assert!(cuts.windows(2).all(|pair| pair[0].1.id == pair[1].0.id));
    recorder.stop().await;
}

#[tokio::test]
async fn sealing_with_and_without_a_source() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(config(folder.path())).await;
    let call = recorder.push("a", 960).await;
    let id = call.opened.recording_id.clone();
    let sealed = recorder.seal(&id).await.unwrap();
    assert_eq!(sealed.seal.clone().unwrap().end_frame, 960);
    assert_eq!(recorder.seal(&id).await.unwrap(), sealed, "once is enough");
    append(&call, 960, 960).await;
    assert_eq!(call.end(Frame::new(1920)).await.unwrap(), Frame::new(1920));
    assert_eq!(recorder.audio(&sealed.seal.unwrap().next_recording_id.unwrap()).await, pcm(960, 960));
    // Its source has gone, but may come back yet.
    let call = recorder.push("b", 960).await;
    let (id, again) = (call.opened.recording_id.clone(), call.opened.clone());
    drop(call);
    recorder.without_sources().await;
    let sealed = recorder.seal(&id).await.unwrap().seal.unwrap();
    assert_eq!((sealed.end_frame, sealed.next_recording_id), (960, None));
    refused(recorder.begin_anew("b").await, Code::FailedPrecondition, "no source is connected");
    refused(recorder.begin_anew("nothing").await, Code::NotFound, "list");
    refused(recorder.seal(UNKNOWN).await, Code::NotFound, "list");
    refused(recorder.seal("../x").await, Code::InvalidArgument, "UUID");
    let resumed = v1::Open { resume_recording_id: Some(again.recording_id), ..opening("b", stereo()) };
    assert_eq!(open(recorder.addr, resumed).await.unwrap().opened.next_frame, 0);
    recorder.stop().await;
}

#[tokio::test]
async fn a_source_that_was_away_meanwhile_goes_on_in_the_new_one() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(config(folder.path())).await;
    let source = opening("a", stereo());
    let mut call = open(recorder.addr, source.clone()).await.unwrap();
    append(&call, 0, 960).await;
    call.acknowledged(Frame::new(960)).await.unwrap();
    drop(call);
    recorder.without_sources().await;
    let (sealed, new) = recorder.begin_anew("a").await.unwrap();
    assert_eq!(sealed.seal.as_ref().unwrap().end_frame, 960);
    let again = v1::Open { resume_recording_id: Some(sealed.id), ..source };
    let call = open(recorder.addr, again).await.unwrap();
    assert_eq!((&call.opened.recording_id, call.opened.next_frame), (&new.id, 0));
    assert_eq!(call.opened.resume_frame, Some(960), "all that it sent is durable");
    assert!(
        call.append(
            Frame::new(0),
            crate::common::noon().after_frames(livetape_audio::FrameCount::new(960), stereo()),
            pcm(960, 960)
        )
        .await
    );
    call.end(Frame::new(960)).await.unwrap();
    assert_eq!(recorder.audio(&new.id).await, pcm(960, 960));
    let entries = recorder.timeline(&new.id).await;
    assert!(entries.iter().all(|e| !matches!(e.what, Some(What::Gap(_)))), "{entries:?}");
    recorder.stop().await;
}

#[tokio::test]
async fn descriptions_and_locks_outlive_the_recorder() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(config(folder.path())).await;
    let sealed = recorder.record("a", 960).await;
    let call = recorder.push("b", 960).await;
    let growing = call.opened.recording_id.clone();
    for id in [&sealed, &growing] {
        let updated = recorder.update(id, Some("A title"), Some("two\nlines")).await.unwrap();
        assert_eq!((&*updated.title, &*updated.notes, updated.locked), ("A title", "two\nlines", false));
        assert_eq!(recorder.update(id, None, Some("")).await.unwrap().title, "A title");
        assert!(recorder.lock(id).await.unwrap().locked);
        refused(recorder.update(id, Some("a\nb"), None).await, Code::InvalidArgument, "title");
        refused(recorder.update(id, None, Some(&"x".repeat(4097))).await, Code::InvalidArgument, "notes");
    }
    // The source comes back and calls it as before.
    let again = v1::Open { title: "The source's".into(), ..opening("b", stereo()) };
    let call_again = open(recorder.addr, again).await.unwrap();
    assert_eq!(recorder.get(&growing).await.unwrap().0.title, "A title");
    // The next one is the source's to name.
    let (_, new) = recorder.begin_anew("b").await.unwrap();
    assert_eq!((&*new.title, new.locked), ("The source's", false));
    drop((call, call_again));
    recorder.stop().await;

    let recorder = start(config(folder.path())).await;
    for id in [&sealed, &growing] {
        assert!(recorder.get(id).await.unwrap().0.locked, "after a restart");
        refused(recorder.delete(id).await, Code::FailedPrecondition, "unlock it first");
    }
    assert!(!recorder.unlock(&sealed).await.unwrap().locked);
    recorder.delete(&sealed).await.unwrap();
    refused(recorder.delete(&sealed).await, Code::NotFound, "deleted");
    refused(recorder.delete(&new.id).await, Code::FailedPrecondition, "seal it first");
    refused(recorder.lock(&sealed).await, Code::NotFound, "deleted");
    recorder.stop().await;
    let recorder = start(config(folder.path())).await;
    assert_eq!(recorder.get(&sealed).await.unwrap_err().code(), Code::NotFound);
    recorder.stop().await;
}

#[tokio::test]
async fn marks_stand_on_growing_and_finished_recordings() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(config(folder.path())).await;
    let call = recorder.push("a", 960).await;
    let id = call.opened.recording_id.clone();
    assert_eq!(recorder.mark(&id, None, "newest").await.unwrap(), 959);
    assert_eq!(recorder.mark(&id, Some(10), "early").await.unwrap(), 10);
    refused(recorder.mark(&id, Some(961), "ahead").await, Code::OutOfRange, "ends at 960");
    append(&call, 960, 960).await;
    call.end(Frame::new(1920)).await.unwrap();
    assert_eq!(recorder.mark(&id, None, "last").await.unwrap(), 1919);
    assert_eq!(recorder.mark(&id, Some(11), "late").await.unwrap(), 11);
    refused(recorder.mark(&id, Some(1921), "ahead").await, Code::OutOfRange, "ends at 1920");
    refused(recorder.mark(&id, None, &"x".repeat(257)).await, Code::InvalidArgument, "256");
    refused(recorder.mark(UNKNOWN, None, "").await, Code::NotFound, "list");
    let due = [(959, "newest"), (10, "early"), (1919, "last"), (11, "late")].map(|(at, text)| (at, text.to_owned()));
    assert_eq!(recorder.marks(&id).await, due);
    assert_eq!(recorder.audio(&id).await, pcm(0, 1920));
    recorder.stop().await;
    let recorder = start(config(folder.path())).await;
    assert_eq!(recorder.marks(&id).await, due);
    recorder.stop().await;
}

#[tokio::test]
async fn deleting_while_somebody_is_inside() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(config(folder.path())).await;
    // More than fits into the windows between the two sides.
    let (id, frames) = (recorder.record("a", 2_400_000).await, 2_400_000);
    let mut watch =
        recorder.catalogue.clone().watch_catalogue(v1::WatchCatalogueRequest {}).await.unwrap().into_inner();
    for _ in 0..3 {
        next(&mut watch).await.unwrap();
    }
    let request = v1::ReadFramesRequest { recording_id: id.clone(), ..Default::default() };
    let mut reading = recorder.tapes.clone().read_frames(request.clone()).await.unwrap().into_inner();
    let mut at = next(&mut reading).await.unwrap().unwrap().pcm.len() as u64 / 4;
    recorder.delete(&id).await.unwrap();
    let change = next(&mut watch).await.unwrap().unwrap().change;
    assert_eq!(change, Some(v1::watch_catalogue_response::Change::RemovedRecordingId(id.clone())));
    // Who is inside gets right frames to the end, or is told; never wrong ones, and not a silent end.
    loop {
        match next(&mut reading).await {
            Ok(Some(block)) => {
                let n = block.pcm.len() as u64 / 4;
                assert_eq!((block.first_frame, block.pcm), (at, pcm(at, n).into()));
                at += n;
            }
            Ok(None) => break assert_eq!(at, frames),
            Err(status) => break assert_eq!(status.code(), Code::NotFound),
        }
    }
    assert_eq!(recorder.tapes.clone().read_frames(request).await.unwrap_err().code(), Code::NotFound);
    assert_eq!(std::fs::read_dir(folder.path().join("a")).unwrap().count(), 0, "its space is free");
    recorder.stop().await;
}

#[tokio::test]
async fn a_stream_goes_but_not_what_is_locked_nor_under_a_source() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(config(folder.path())).await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(recorder.record("a", 960).await);
    }
    recorder.lock(&ids[1]).await.unwrap();
    let call: Call = recorder.push("a", 960).await;
    let growing = call.opened.recording_id.clone();
    refused(recorder.delete_stream("a").await, Code::FailedPrecondition, "stop it first");
    assert_eq!(recorder.audio(&ids[0]).await, pcm(0, 960), "nothing was done");
    drop(call);
    recorder.without_sources().await;
    assert_eq!(recorder.delete_stream("a").await.unwrap(), (3, 1));
    assert_eq!(recorder.get(&growing).await.unwrap_err().code(), Code::NotFound);
    recorder.unlock(&ids[1]).await.unwrap();
    assert_eq!(recorder.delete_stream("a").await.unwrap(), (1, 0));
    refused(recorder.delete_stream("a").await, Code::NotFound, "list");
    // Its name is free.
    assert_eq!(recorder.push("a", 960).await.opened.next_frame, 0);
    recorder.stop().await;
}

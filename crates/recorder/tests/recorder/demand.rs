//! Recording on demand, and which streams sources may open: over gRPC.

use crate::common::{Running, append, config, noon, pcm, start};
use livetape_audio::{Frame, RecordingMode, StreamRules};
use livetape_proto::v1::watch_catalogue_response::Change;
use livetape_proto::v1::{self, SealReason};
use livetape_recorder::RecorderConfig;
use livetape_testkit::grpc_source::{Call, open, open_on_standby, opening, stereo};
use std::path::Path;
use std::time::Duration;
use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Streams called court-… record on demand, and sources may open these and `live`.
fn on_demand(folder: &Path) -> RecorderConfig {
    let pattern = |text: &str| text.parse().unwrap();
    let rules = StreamRules {
        allowed: Some(vec![pattern("court-*"), pattern("live")]),
        modes: vec![(pattern("court-*"), RecordingMode::OnDemand)],
    };
    RecorderConfig { rules, ..config(folder) }
}

impl Running {
    async fn begin(&self, stream: &str) -> Result<v1::BeginRecordingResponse, Status> {
        let request = v1::BeginRecordingRequest { stream: stream.into() };
        Ok(self.operations.clone().begin_recording(request).await?.into_inner())
    }

    /// Name, mode, whether a source waits, and whether there is a recording, of every stream.
    async fn streams(&self) -> Vec<(String, v1::RecordingMode, bool, bool)> {
        let response = self.catalogue.clone().list_streams(v1::ListStreamsRequest::default()).await.unwrap();
        let seen = |s: v1::Stream| (s.name.clone(), s.mode(), s.waiting, s.latest.is_some());
        response.into_inner().streams.into_iter().map(seen).collect()
    }
}

fn same_source(of: &v1::Open, counts_in: &Call) -> v1::Open {
    v1::Open { resume_recording_id: Some(counts_in.opened.recording_id.clone()), ..of.clone() }
}

const COURT: &str = "court-1";

#[tokio::test]
async fn from_the_beginning_to_the_seal_and_not_a_frame_more() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(on_demand(folder.path())).await;
    let mut changes =
        recorder.catalogue.clone().watch_catalogue(v1::WatchCatalogueRequest {}).await.unwrap().into_inner();
    let mut call = open_on_standby(recorder.addr, opening(COURT, stereo())).await.unwrap();
    assert_eq!(recorder.streams().await, [(COURT.into(), v1::RecordingMode::OnDemand, true, false)]);
    loop {
        let change = crate::common::next(&mut changes).await.unwrap().unwrap().change;
        if let Some(Change::Stream(stream)) = change {
            assert_eq!(
                (stream.name.as_str(), stream.mode(), stream.waiting),
                (COURT, v1::RecordingMode::OnDemand, true)
            );
            break;
        }
    }
    assert!(!folder.path().join(COURT).exists(), "nothing is recorded, nothing is on disk");

    let begun = recorder.begin(COURT).await.unwrap();
    call.granted().await.unwrap();
    let first = begun.recording.unwrap();
    assert_eq!((&first.id, begun.sealed), (&call.opened.recording_id, None));
    assert_eq!((call.opened.next_frame, call.opened.resume_frame), (0, None));
    append(&call, 0, 4_800).await;
    call.acknowledged(Frame::new(4_800)).await.unwrap();
    assert_eq!(recorder.streams().await, [(COURT.into(), v1::RecordingMode::OnDemand, false, true)]);

    let (sealed, old) = (recorder.seal(&first.id).await.unwrap(), call.opened.epoch);
    assert_eq!(sealed.seal.clone().unwrap().reason(), SealReason::Operator);
    assert_eq!(sealed.seal.unwrap().end_frame, 4_800);
    call.standby().await.unwrap();
    assert_eq!(recorder.streams().await, [(COURT.into(), v1::RecordingMode::OnDemand, true, true)]);
    // Still under way when it was sealed, and even when the next one was begun.
    assert!(call.append_as(old, Frame::new(4_800), noon(), pcm(4_800, 960)).await);
    let second = recorder.begin(COURT).await.unwrap().recording.unwrap();
    assert!(call.append_as(old, Frame::new(5_760), noon(), pcm(5_760, 960)).await);
    call.granted().await.unwrap();
    assert!(call.opened.epoch > old && call.opened.next_frame == 0);
    assert!(call.append(Frame::ZERO, noon(), pcm(9_600, 960)).await);
    call.acknowledged(Frame::new(960)).await.unwrap();
    assert_eq!(call.end(Frame::new(960)).await.unwrap(), Frame::new(960));
    assert_eq!(recorder.audio(&first.id).await, pcm(0, 4_800));
    assert_eq!(recorder.audio(&second.id).await, pcm(9_600, 960));
    let gaps =
        recorder.timeline(&second.id).await.into_iter().filter(|e| matches!(e.what, Some(v1::entry::What::Gap(_))));
    assert_eq!(gaps.count(), 0, "what nobody wanted is not missing");
    recorder.stop().await;
}

#[tokio::test]
async fn a_source_that_waits_hears_of_a_beginning_after_everything_was_deleted() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(on_demand(folder.path())).await;
    let mut call = open_on_standby(recorder.addr, opening(COURT, stereo())).await.unwrap();
    let mut epochs = Vec::new();
    for _ in 0..3 {
        let begun = recorder.begin(COURT).await.unwrap().recording.unwrap();
        call.granted().await.unwrap();
        assert_eq!(call.opened.recording_id, begun.id);
        epochs.push(call.opened.epoch);
        append(&call, 0, 960).await;
        call.acknowledged(Frame::new(960)).await.unwrap();
        let old = call.opened.epoch;
        recorder.seal(&begun.id).await.unwrap();
        call.standby().await.unwrap();
        let request = v1::DeleteRecordingRequest { recording_id: begun.id };
        recorder.operations.clone().delete_recording(request).await.unwrap();
        // What was under way is no reason to send the source away.
        assert!(call.append_as(old, Frame::new(960), noon(), pcm(960, 960)).await);
    }
    assert!(epochs.is_sorted_by(|a, b| a < b), "{epochs:?}");
    recorder.stop().await;
}

#[tokio::test]
async fn a_second_beginning_cuts_and_a_stream_without_a_source_cannot_begin() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(on_demand(folder.path())).await;
    assert_eq!(recorder.begin(COURT).await.unwrap_err().code(), Code::NotFound);
    let mut call = open_on_standby(recorder.addr, opening(COURT, stereo())).await.unwrap();
    let first = recorder.begin(COURT).await.unwrap().recording.unwrap();
    call.granted().await.unwrap();
    append(&call, 0, 960).await;
    call.acknowledged(Frame::new(960)).await.unwrap();
    let cut = recorder.begin(COURT).await.unwrap();
    assert_eq!(cut.sealed.unwrap().id, first.id);
    append(&call, 960, 960).await;
    call.acknowledged(Frame::new(1_920)).await.unwrap();
    let second = cut.recording.unwrap();
    assert_eq!(recorder.audio(&second.id).await, pcm(960, 960), "as on any stream: no frame is lost");
    drop(call);
    recorder.without_sources().await;
    // Sealed while nobody pushes; now there is nobody to begin with.
    recorder.seal(&second.id).await.unwrap();
    let refused = recorder.begin(COURT).await.unwrap_err();
    assert!(refused.code() == Code::FailedPrecondition && refused.message().contains("no source"), "{refused}");
    recorder.stop().await;
}

#[tokio::test]
async fn what_was_recorded_goes_on_after_a_restart_and_nothing_else_begins() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(on_demand(folder.path())).await;
    let [one, two] = ["court-1", "court-2"].map(|stream| opening(stream, stereo()));
    let mut recorded = open_on_standby(recorder.addr, one.clone()).await.unwrap();
    let idle = open_on_standby(recorder.addr, two.clone()).await.unwrap();
    let id = recorder.begin("court-1").await.unwrap().recording.unwrap().id;
    recorded.granted().await.unwrap();
    append(&recorded, 0, 960).await;
    recorded.acknowledged(Frame::new(960)).await.unwrap();
    recorder.stop().await;
    drop(idle);

    let recorder = start(on_demand(folder.path())).await;
    assert_eq!(recorder.streams().await, [("court-1".into(), v1::RecordingMode::OnDemand, false, true)]);
    let again = open(recorder.addr, same_source(&one, &recorded)).await.unwrap();
    assert_eq!((&again.opened.recording_id, again.opened.resume_frame), (&id, Some(960)));
    open_on_standby(recorder.addr, two).await.unwrap();
    recorder.stop().await;
}

#[tokio::test]
async fn what_nobody_has_ended_goes_on_however_long_the_source_was_away() {
    let folder = tempfile::tempdir().unwrap();
    let window = Duration::from_millis(100);
    let recorder = start(RecorderConfig { resume_window: window, ..on_demand(folder.path()) }).await;
    let source = opening(COURT, stereo());
    let mut call = open_on_standby(recorder.addr, source.clone()).await.unwrap();
    let first = recorder.begin(COURT).await.unwrap().recording.unwrap();
    call.granted().await.unwrap();
    append(&call, 0, 960).await;
    call.acknowledged(Frame::new(960)).await.unwrap();
    let again = same_source(&source, &call);
    drop(call);
    while recorder.get(&first.id).await.unwrap().0.seal.is_none() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    // One that was not recorded is not recorded now either.
    drop(open_on_standby(recorder.addr, opening(COURT, stereo())).await.unwrap());
    let mut call = open(recorder.addr, again.clone()).await.unwrap();
    assert_eq!((call.opened.next_frame, call.opened.resume_frame), (0, Some(960)));
    append(&call, 0, 960).await;
    call.acknowledged(Frame::new(960)).await.unwrap();
    let again = same_source(&again, &call);
    // But somebody may end it while the source is away.
    recorder.seal(&call.opened.recording_id).await.unwrap();
    drop(call);
    open_on_standby(recorder.addr, again).await.unwrap();
    recorder.stop().await;
}

#[tokio::test]
async fn who_ends_a_recording_whose_source_was_lost_ends_it_for_good() {
    let folder = tempfile::tempdir().unwrap();
    let window = Duration::from_millis(100);
    let recorder = start(RecorderConfig { resume_window: window, ..on_demand(folder.path()) }).await;
    let source = opening(COURT, stereo());
    let mut call = open_on_standby(recorder.addr, source.clone()).await.unwrap();
    let id = recorder.begin(COURT).await.unwrap().recording.unwrap().id;
    call.granted().await.unwrap();
    append(&call, 0, 960).await;
    call.acknowledged(Frame::new(960)).await.unwrap();
    let again = same_source(&source, &call);
    drop(call);
    while recorder.get(&id).await.unwrap().0.seal.is_none() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(recorder.seal(&id).await.unwrap().seal.unwrap().reason(), SealReason::Operator);
    assert_eq!(recorder.get(&id).await.unwrap().0.seal.unwrap().reason(), SealReason::Operator);
    open_on_standby(recorder.addr, again).await.unwrap();
    recorder.stop().await;
}

#[tokio::test]
async fn a_source_that_waits_gives_way_to_another() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(on_demand(folder.path())).await;
    let source = opening(COURT, stereo());
    let mut first = open_on_standby(recorder.addr, source.clone()).await.unwrap();
    let mut same = open_on_standby(recorder.addr, source).await.unwrap();
    assert_eq!(first.refusal().await.code(), Code::Unavailable, "the same one, connected anew");
    let mut other = open_on_standby(recorder.addr, opening(COURT, stereo())).await.unwrap();
    assert_eq!(same.refusal().await.code(), Code::Aborted);
    // Nothing was granted, so nothing can be sent.
    assert!(other.append_as(7, Frame::ZERO, noon(), pcm(0, 960)).await);
    assert_eq!(other.refusal().await.code(), Code::Aborted);
    recorder.without_sources().await;
    assert_eq!(recorder.streams().await, []);
    assert!(!folder.path().join(COURT).exists());
    recorder.stop().await;
}

#[tokio::test]
async fn only_streams_that_are_allowed_are_made() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(on_demand(folder.path())).await;
    let refused = open(recorder.addr, opening("studio-a", stereo())).await.unwrap_err();
    let says = |words| refused.message().contains(words);
    assert!(
        refused.code() == Code::PermissionDenied && says("court-*, live") && says("LIVETAPE_ALLOW_STREAMS"),
        "{refused}"
    );
    assert!(!folder.path().join("studio-a").exists());
    recorder.record("live", 960).await;
    assert_eq!(recorder.streams().await, [("live".into(), v1::RecordingMode::Always, false, true)]);
    recorder.stop().await;
}

#[tokio::test]
async fn where_there_are_as_many_recordings_as_there_may_be_it_is_said_and_nothing_begins() {
    let folder = tempfile::tempdir().unwrap();
    let mut config = on_demand(folder.path());
    config.limits.recordings = 1;
    let recorder = start(config).await;
    let mut call = open_on_standby(recorder.addr, opening(COURT, stereo())).await.unwrap();
    let first = recorder.begin(COURT).await.unwrap().recording.unwrap();
    call.granted().await.unwrap();
    recorder.seal(&first.id).await.unwrap();
    call.standby().await.unwrap();
    let refused = recorder.begin(COURT).await.unwrap_err();
    let reason = refused.get_details_error_info().map(|info| info.reason);
    assert_eq!((refused.code(), reason.as_deref()), (Code::ResourceExhausted, Some("TOO_MANY_RECORDINGS")));
    // Waiting would not help, but what it says does.
    assert!(refused.message().contains("delete some") && refused.get_details_retry_info().is_none(), "{refused}");
    let delete = v1::DeleteRecordingRequest { recording_id: first.id };
    recorder.operations.clone().delete_recording(delete).await.unwrap();
    recorder.begin(COURT).await.unwrap();
    call.granted().await.unwrap();
    recorder.stop().await;
}

//! What there is, over gRPC, and what changes about it.

use crate::common::{config, next, noon, start};
use livetape_audio::{Entry, EventKind};
use livetape_proto::v1::watch_catalogue_response::Change;
use livetape_proto::v1::{self, WatchCatalogueResponse};
use std::collections::BTreeMap;
use tonic::{Code, Streaming};

#[tokio::test]
async fn lists_come_in_pages() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(config(folder.path())).await;
    let mut ids = Vec::new();
    for stream in ["a", "b", "c", "a", "a"] {
        ids.push(recorder.record(stream, 960).await);
    }
    let mut client = recorder.catalogue.clone();
    let mut names = Vec::new();
    let mut request = v1::ListStreamsRequest { limit: 2, ..Default::default() };
    loop {
        let page = client.list_streams(request.clone()).await.unwrap().into_inner();
        assert!(page.streams.len() <= 2);
        names.extend(page.streams.into_iter().map(|stream| (stream.name, stream.latest.unwrap().id)));
        let Some(after) = page.next else { break };
        request.after = after;
    }
    assert_eq!(names, [("a", 4), ("b", 1), ("c", 2)].map(|(name, n)| (name.to_owned(), ids[n].clone())));
    for (stream, due) in [("", vec![0, 1, 2, 3, 4]), ("a", vec![0, 3, 4]), ("nothing", vec![])] {
        let mut found = Vec::new();
        let mut request = v1::ListRecordingsRequest { stream: stream.into(), limit: 1, ..Default::default() };
        loop {
            let page = client.list_recordings(request.clone()).await.unwrap().into_inner();
            found.extend(page.recordings.into_iter().map(|recording| recording.id));
            request.after_id = page.next;
            if request.after_id.is_none() {
                break;
            }
        }
        assert_eq!(found, due.iter().map(|&n: &usize| ids[n].clone()).collect::<Vec<_>>(), "{stream}");
    }
    let before = v1::ListRecordingsRequest { to_unix_ns: Some(noon().unix_nanos()), ..Default::default() };
    assert_eq!(client.list_recordings(before).await.unwrap().into_inner().recordings, []);
    for bad in [
        v1::ListRecordingsRequest { stream: "../a".into(), ..Default::default() },
        v1::ListRecordingsRequest { after_id: Some("x".into()), ..Default::default() },
        v1::ListRecordingsRequest { limit: 1001, ..Default::default() },
    ] {
        assert_eq!(client.list_recordings(bad).await.unwrap_err().code(), Code::InvalidArgument);
    }
    let (recording, tail) = recorder.get(&ids[0]).await.unwrap();
    assert_eq!((recording.stream, recording.seal.unwrap().end_frame, tail.end_frame), ("a".into(), 960, 960));
    assert!(tail.sealed && recorder.get("01932c07-209c-7a3e-8c1f-5d2e9b7a4f10").await.is_err());
    recorder.stop().await;
}

#[tokio::test]
async fn timelines_are_told_up_to_the_tail() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(config(folder.path())).await;
    let call = recorder.push("a", 960).await;
    // Who publishes is written down beside the audio, so before or after it.
    let mut entries: Vec<Entry> = Vec::new();
    while entries.len() < 3 {
        let now = recorder.timeline(&call.opened.recording_id).await;
        entries = now.into_iter().map(|e| e.try_into().unwrap()).collect();
    }
    let published = |entry: &Entry| matches!(entry, Entry::Event(event) if event.kind == EventKind::Published);
    entries.retain(|entry| !published(entry));
    assert!(matches!(&entries[..], [Entry::Source(_), Entry::Anchor(anchor)] if anchor.time == noon()), "{entries:?}");
    let page = |after, limit| {
        let request = v1::ListTimelineRequest { recording_id: call.opened.recording_id.clone(), after, limit };
        let mut client = recorder.catalogue.clone();
        async move { client.list_timeline(request).await.map(|page| page.into_inner()) }
    };
    let first = page(0, 1).await.unwrap();
    assert_eq!((first.entries.len(), first.next), (1, Some(1)));
    let last = page(2, 1).await.unwrap();
    assert_eq!((last.entries.len(), last.next), (1, None));
    assert_eq!(page(u64::MAX, 0).await.unwrap(), v1::ListTimelineResponse::default());
    assert_eq!(page(0, 5001).await.unwrap_err().code(), Code::InvalidArgument);
    recorder.stop().await;
}

/// What a watcher knows after the next `n` changes.
async fn learn(
    watch: &mut Streaming<WatchCatalogueResponse>,
    known: &mut BTreeMap<String, bool>,
    until: impl Fn(&BTreeMap<String, bool>) -> bool,
) {
    while !until(known) {
        match next(watch).await.unwrap().unwrap().change.unwrap() {
            Change::Begins(_) => known.clear(),
            Change::Complete(_) => {}
            Change::Recording(recording) => _ = known.insert(recording.id, recording.seal.is_some()),
            Change::RemovedRecordingId(id) => _ = known.remove(&id),
            Change::Stream(_) => {}
        }
    }
}

#[tokio::test]
async fn a_watcher_knows_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(config(folder.path())).await;
    let old = recorder.record("a", 960).await;
    let mut watch =
        recorder.catalogue.clone().watch_catalogue(v1::WatchCatalogueRequest {}).await.unwrap().into_inner();
    assert!(matches!(next(&mut watch).await.unwrap().unwrap().change, Some(Change::Begins(_))));
    assert!(matches!(next(&mut watch).await.unwrap().unwrap().change, Some(Change::Recording(r)) if r.id == old));
    assert!(matches!(next(&mut watch).await.unwrap().unwrap().change, Some(Change::Complete(_))));
    let mut known = BTreeMap::from([(old.clone(), true)]);
    let call = recorder.push("b", 960).await;
    let new = call.opened.recording_id.clone();
    learn(&mut watch, &mut known, |known| known.get(&new) == Some(&false)).await;
    call.end(livetape_audio::Frame::new(960)).await.unwrap();
    learn(&mut watch, &mut known, |known| known.get(&new) == Some(&true)).await;
    assert_eq!(known.len(), 2);
    recorder.stop().await;
}

//! Deadlines that pass in the middle of calls: what was acknowledged stays, and the next call goes on.

use crate::common::{Running, append, config, next, noon, pcm, start};
use livetape_audio::{Frame, FrameCount};
use livetape_proto::v1;
use livetape_proto::v1::ingest_request::Message;
use livetape_proto::v1::ingest_response::Message as Answer;
use livetape_proto::v1::ingest_service_client::IngestServiceClient;
use livetape_proto::v1::tape_service_client::TapeServiceClient;
use livetape_recorder::RecorderConfig;
use livetape_store::{Disk, Faults, Op};
use livetape_testkit::grpc_source::{open, opening, stereo};
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;
use tonic::transport::Endpoint;
use tonic::{Code, Request, Status};

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

/// A disk on which one kind of operation stands still for as long as the gate is shut.
#[derive(Default)]
struct Gate {
    shut: Mutex<Option<(Op, &'static str)>>,
    opened: Condvar,
    waiting: AtomicUsize,
}

impl Gate {
    /// For `op` on files of this ending.
    fn shut(&self, op: Op, ending: &'static str) {
        self.waiting.store(0, Relaxed);
        *self.shut.lock().unwrap() = Some((op, ending));
    }

    fn open(&self) {
        *self.shut.lock().unwrap() = None;
        self.opened.notify_all();
    }

    /// Whether anything has come to it since it was shut.
    fn is_felt(&self) -> bool {
        self.waiting.load(Relaxed) > 0
    }
}

impl Faults for Gate {
    fn check(&self, op: Op, path: &Path) -> std::io::Result<()> {
        let mut shut = self.shut.lock().unwrap();
        while shut.is_some_and(|(what, ending)| what == op && path.to_string_lossy().ends_with(ending)) {
            self.waiting.fetch_add(1, Relaxed);
            shut = self.opened.wait(shut).unwrap();
        }
        Ok(())
    }
}

/// A recorder on such a disk.
async fn gated(folder: &Path) -> (Running, Arc<Gate>) {
    let gate = Arc::new(Gate::default());
    let disk = Disk::with_faults(Arc::clone(&gate) as Arc<dyn Faults>);
    (start(RecorderConfig { disk, ..config(folder) }).await, gate)
}

fn is_late(status: &Status) -> bool {
    matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled)
}

#[tokio::test]
async fn in_the_middle_of_an_operation() {
    let folder = tempfile::tempdir().unwrap();
    let (recorder, gate) = gated(folder.path()).await;
    let call = recorder.push("a", 4_800).await;
    let id = call.opened.recording_id.clone();
    gate.shut(Op::Rename, "recording.json.new");
    // On a slow machine the deadline may pass before the operation is begun: then nothing of it is done.
    while !gate.is_felt() {
        let seal = v1::SealRecordingRequest { recording_id: id.clone() };
        let late = recorder.operations.clone().seal_recording(within(500, seal)).await.unwrap_err();
        assert!(is_late(&late), "{late}");
    }
    let edit = v1::UpdateRecordingRequest { recording_id: id.clone(), title: Some("late".into()), notes: None };
    let late = recorder.operations.clone().update_recording(within(200, edit)).await.unwrap_err();
    assert!(is_late(&late), "{late}");
    assert!(recorder.get(&id).await.unwrap().0.seal.is_none(), "nobody is told of half a seal");
    gate.open();
    // What was begun is done to its end, and once; what waited behind it is not, for nobody waits for it any more.
    let sealed = loop {
        let (recording, tail) = recorder.get(&id).await.unwrap();
        if let Some(seal) = recording.seal.clone() {
            assert_eq!((seal.end_frame, tail.end_frame), (4_800, 4_800));
            break recording;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!(sealed.title, "");
    assert_eq!(recorder.audio(&id).await, pcm(0, 4_800));
    // Who did it is written down, although they have gone.
    let deeds = until_told(&recorder, &id, "sealed by").await;
    assert!(!deeds.iter().any(|deed| deed.contains("titled")), "{deeds:?}");
    // The source has noticed nothing.
    append(&call, 4_800, 960).await;
    call.end(Frame::new(5_760)).await.unwrap();
    let all = v1::ListRecordingsRequest { stream: "a".into(), ..Default::default() };
    let all = recorder.catalogue.clone().list_recordings(all).await.unwrap().into_inner().recordings;
    assert_eq!(all.iter().map(|one| one.id.as_str()).position(|one| one == id), Some(0), "{all:?}");
    assert_eq!(all.len(), 2, "{all:?}");
    assert_eq!(recorder.audio(&all[1].id).await, pcm(4_800, 960));
    recorder.stop().await;
}

/// What operators did, as soon as this is among it.
async fn until_told(recorder: &Running, id: &str, deed: &str) -> Vec<String> {
    let told = async {
        loop {
            let deeds = recorder.deeds(id).await;
            if deeds.iter().any(|told| told.contains(deed)) {
                return deeds;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), told).await.expect("it is written down who did it")
}

#[tokio::test]
async fn in_the_middle_of_deletions() {
    let folder = tempfile::tempdir().unwrap();
    let (recorder, gate) = gated(folder.path()).await;
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(recorder.record("a", 960).await);
    }
    let lost = |id: &str| {
        let request = v1::GetRecordingRequest { recording_id: id.into() };
        let mut catalogue = recorder.catalogue.clone();
        async move { catalogue.get_recording(request).await.err().map(|status| status.code()) == Some(Code::NotFound) }
    };
    // One recording: nobody waits for it any more, and it goes, and it is written down who did it.
    gate.shut(Op::Remove, ".pcm");
    while !gate.is_felt() {
        let delete = v1::DeleteRecordingRequest { recording_id: ids[0].clone() };
        let late = recorder.operations.clone().delete_recording(within(1_000, delete)).await.unwrap_err();
        // The first one may have been slow, and then there is nothing left for the second.
        assert!(is_late(&late) || late.code() == Code::NotFound, "{late}");
    }
    gate.open();
    until_told(&recorder, &ids[3], &format!("recording {} of", ids[0])).await;
    // A stream: with the first one the time is over, and the others go all the same.
    gate.shut(Op::Remove, ".pcm");
    while !gate.is_felt() {
        let delete = v1::DeleteStreamRequest { stream: "a".into() };
        let late = recorder.operations.clone().delete_stream(within(1_000, delete)).await.unwrap_err();
        assert!(is_late(&late), "{late}");
    }
    assert!(!lost(&ids[3]).await, "it stands at the first one");
    gate.open();
    for id in &ids {
        let gone = async {
            while !lost(id).await {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), gone).await.expect("all of them go");
    }
    // It is said after the last one has gone, so on the next recording, sooner or later.
    let told = async {
        let mut next = Vec::new();
        loop {
            next.push(recorder.record("a", 960).await);
            for id in &next {
                let deeds = recorder.deeds(id).await;
                if let Some(deed) = deeds.into_iter().find(|deed| deed.contains("the stream deleted by")) {
                    return deed;
                }
            }
        }
    };
    let deed = tokio::time::timeout(Duration::from_secs(20), told).await.expect("it is written down who did it");
    assert!(deed.contains("3 recordings went"), "{deed}");
    recorder.stop().await;
}

#[tokio::test]
async fn in_the_middle_of_an_export() {
    let folder = tempfile::tempdir().unwrap();
    let recorder = start(config(folder.path())).await;
    // More than windows and two messages hold.
    let id = recorder.record("a", 960_000).await;
    let endpoint = Endpoint::from_shared(format!("http://{}", recorder.addr)).unwrap();
    let endpoint = endpoint.initial_stream_window_size(65_535).initial_connection_window_size(65_535);
    let mut tapes = TapeServiceClient::new(endpoint.connect().await.unwrap());
    let export = v1::ExportRequest { recording_id: id.clone(), ..Default::default() };
    let mut file = tapes.export(within(1_000, export.clone())).await.unwrap().into_inner();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let mut bytes = 0;
    let end = loop {
        match next(&mut file).await {
            Ok(Some(piece)) => bytes += piece.data.len(),
            Ok(None) => panic!("it came whole, {bytes} bytes, after its deadline"),
            Err(status) => break status,
        }
    };
    assert_eq!(end.code(), Code::DeadlineExceeded, "{end}");
    assert!(bytes > 0 && bytes < 960_000 * 4, "{bytes}");
    // Whoever has the time gets all of it.
    let mut file = tapes.export(export).await.unwrap().into_inner();
    let mut whole = 0;
    while let Some(piece) = next(&mut file).await.unwrap() {
        whole += piece.data.len();
    }
    assert!(whole >= 960_000 * 4, "{whole}");
    recorder.stop().await;
}

#[tokio::test]
async fn in_the_middle_of_peaks() {
    let folder = tempfile::tempdir().unwrap();
    let (recorder, gate) = gated(folder.path()).await;
    let id = recorder.record("a", 96_000).await;
    let peaks = || v1::GetPeaksRequest { recording_id: id.clone(), first_frame: 0, end_frame: 96_000, width: 100 };
    // They are made after the recording.
    let points = loop {
        match recorder.tapes.clone().get_peaks(peaks()).await {
            Ok(answer) if answer.get_ref().end_frame >= 95_000 => break answer.into_inner().points,
            Ok(_) => {}
            Err(status) => assert_eq!(status.code(), Code::Unavailable, "{status}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    gate.shut(Op::Read, ".peaks");
    while !gate.is_felt() {
        let late = recorder.tapes.clone().get_peaks(within(500, peaks())).await.unwrap_err();
        assert!(is_late(&late), "{late}");
    }
    gate.open();
    assert_eq!(recorder.tapes.clone().get_peaks(peaks()).await.unwrap().into_inner().points, points);
    recorder.stop().await;
}

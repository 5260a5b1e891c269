//! What every library of a recorder elsewhere has to do ([`crate::conformance`]), over the real recorder: what that says, and when,
//! is not up to the test here, so it asks for less at a time.

use crate::conformance::{PATIENCE, entries, peaks, read, until};
use crate::real::record;
use crate::recorder::counting;
use livetape_audio::{Frame, RecordingId};
use livetape_gateway::{Library, Reading, Remote, RemoteConfig};
use livetape_proto::v1;
use livetape_proto::v1::operation_service_client::OperationServiceClient;
use livetape_store::Query;
use livetape_testkit::grpc_source::{self, Call, now, opening, stereo};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use tokio::time::timeout;

/// A source that counts, and where it stands.
struct Source(Call, u64);

impl Source {
    async fn open(recorder: SocketAddr, stream: &str) -> Self {
        Self(grpc_source::open(recorder, opening(stream, stereo())).await.unwrap(), 0)
    }

    fn id(&self) -> RecordingId {
        self.0.opened.recording_id.parse().unwrap()
    }

    /// So many frames more, durably.
    async fn play(&mut self, frames: u64) {
        let end = self.1 + frames;
        while self.1 < end {
            let next = end.min(self.1 + 48_000);
            assert!(self.0.append(Frame::new(self.1), now(), counting(self.1..next)).await);
            self.1 = next;
        }
        self.0.acknowledged(Frame::new(end)).await.unwrap();
    }
}

fn ids(library: &dyn Library) -> Vec<RecordingId> {
    let page = library.catalogue().list(&Query { limit: 10, ..Query::default() });
    page.recordings.iter().map(|recording| recording.id).collect()
}

/// The tail comes to this end.
async fn comes_to(library: &dyn Library, id: RecordingId, end: u64) {
    until("the recording", || library.catalogue().get(id).and(library.tail(id))).await;
    let mut tail = library.tail(id).unwrap();
    while tail.current().end < Frame::new(end) {
        assert!(timeout(PATIENCE, tail.changed()).await.unwrap());
    }
    assert_eq!(tail.current().end, Frame::new(end));
}

async fn conforms(reading: impl Fn(&Path) -> Reading) {
    let folder = tempfile::tempdir().unwrap();
    let (recorder, stop, running) = record(folder.path(), SocketAddr::from(([127, 0, 0, 1], 0))).await;
    let recorder_url = livetape_proto::RecorderAddress::new(format!("http://{recorder}"));
    let mut source = Source::open(recorder, "a").await;
    source.play(200).await;
    let old = source.id();
    source.0.end(Frame::new(200)).await.unwrap();
    let mut source = Source::open(recorder, "b").await;
    let open = source.id();
    source.play(120_000).await;

    let remote = Remote::new(RemoteConfig { recorder_url, reading: reading(folder.path()), redis: None }).unwrap();
    let remote = Arc::new(remote);
    let following = tokio::spawn({
        let remote = remote.clone();
        async move { remote.follow().await }
    });
    timeout(PATIENCE, remote.known()).await.unwrap();
    let library = &*remote.library();

    // What there is, and how far it goes.
    assert_eq!(ids(library), [old, open]);
    assert_eq!(library.catalogue().get(old).unwrap().seal.unwrap().end, Frame::new(200));
    comes_to(library, open, 120_000).await;
    let sealed = library.tail(old).unwrap().current();
    assert!(sealed.is_sealed() && sealed.end == Frame::new(200));
    assert!(library.tail(RecordingId::new(1, &[9; 10])).is_none());

    // Exactly what was recorded, across blocks, up to the tail.
    for frames in [0..120_000, 65_535..65_537, 119_999..120_000, 7..100_007] {
        assert!(read(library, open, frames.clone()).await == counting(frames));
    }
    assert!(read(library, old, 199..200).await == counting(199..200));
    let mut reader = library.reader(&library.catalogue().get(old).unwrap());
    assert!(reader.read(Frame::new(200)..Frame::new(201)).await.is_err(), "nothing is there");

    // Waveform data, once it is made: of two frames, the very samples.
    let made = async {
        while peaks(library, open, 0..120_000, 10).await.unwrap().end < Frame::new(96_000) {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, made).await.unwrap();
    let fine = peaks(library, open, 70_000..70_002, 2).await.unwrap();
    let numbers: Vec<_> = fine.points.iter().map(|point| (point.min, point.max, point.rms)).collect();
    assert_eq!(numbers, [(4_464, 4_464, 4_464), (1, 1, 1), (4_465, 4_465, 4_465), (1, 1, 1)]);

    // It grows.
    for _ in 0..3 {
        source.play(10).await;
        comes_to(library, open, source.1).await;
        assert!(read(library, open, source.1 - 15..source.1).await == counting(source.1 - 15..source.1));
    }

    // A next one of the same stream, in the middle of its call.
    let mut operations = OperationServiceClient::connect(format!("http://{recorder}")).await.unwrap();
    let begun = operations.begin_recording(v1::BeginRecordingRequest { stream: "b".into() }).await.unwrap();
    let next: RecordingId = begun.into_inner().recording.unwrap().id.parse().unwrap();
    let is_sealed = || library.tail(open).and_then(|mut tail| tail.current().is_sealed().then_some(()));
    until("the seal", is_sealed).await;
    until("the next one", || library.catalogue().get(next).and(library.tail(next))).await;
    assert_eq!(library.catalogue().latest(&"b".parse().unwrap()).unwrap().id, next);
    assert_eq!(library.catalogue().previous(next).unwrap().id, open);
    source.play(100).await;
    comes_to(library, next, 100).await;
    assert!(read(library, next, 0..100).await == counting(120_030..120_130));
    assert!(read(library, open, 119_000..120_030).await == counting(119_000..120_030));

    // A mark in a finished recording is seen soon, although its tail never moves again.
    let tail = library.tail(open).unwrap().current();
    let before = entries(library, open, tail).await;
    let mark = v1::AddMarkRequest { recording_id: open.into(), frame: Some(7), text: "later".into() };
    operations.add_mark(mark).await.unwrap();
    let marked = async {
        while entries(library, open, tail).await <= before {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    timeout(PATIENCE, marked).await.unwrap();

    // The recorder is away: what is known stays. It comes back, and what came meanwhile is known.
    stop.cancel();
    running.await.unwrap();
    assert_eq!(ids(library), [old, open, next]);
    let (_, stop, running) = record(folder.path(), recorder).await;
    let mut other = Source::open(recorder, "c").await;
    other.play(960).await;
    comes_to(library, other.id(), 960).await;
    assert!(read(library, next, 0..100).await == counting(120_030..120_130));

    // Deleted: gone from the list, and not to be read any more.
    let gone = library.catalogue().get(open).unwrap();
    let mut operations = OperationServiceClient::connect(format!("http://{recorder}")).await.unwrap();
    operations.delete_recording(v1::DeleteRecordingRequest { recording_id: open.into() }).await.unwrap();
    until("it is gone", || library.catalogue().get(open).is_none().then_some(())).await;
    assert!(library.tail(open).is_none());
    let error = library.reader(&gone).read(Frame::new(0)..Frame::new(10)).await.unwrap_err();
    assert!(error.to_string().contains("could not be read"), "{error}");
    assert!(library.peaks(gone, Frame::new(0)..Frame::new(10), 10).await.is_err());
    following.abort();
    stop.cancel();
    running.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_folder_of_the_real_recorder_conforms() {
    conforms(|folder| Reading::Dir(folder.to_owned())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_real_recorder_conforms() {
    conforms(|_| Reading::Recorder).await;
}

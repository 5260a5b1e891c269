//! A recorder that records what the test says, and serves it.

use crate::services::{Catalogues, Operations, Tapes};
use livetape_audio::{
    Anchor, Entry, Epoch, Frame, FrameCount, Instance, Mark, RecordingId, SampleFormat, SealReason, Spec, Tail,
    WallTime,
};
use livetape_proto::v1;
use livetape_proto::v1::catalogue_service_server::CatalogueServiceServer;
use livetape_proto::v1::operation_service_server::OperationServiceServer;
use livetape_proto::v1::tape_service_server::TapeServiceServer;
use livetape_proto::v1::watch_catalogue_response::Change;
use livetape_store::{Catalogue, DataDir, Disk, LoudnessWriter, PeaksWriter, Recording, TapeWriter};
use livetape_tail::{MemoryTails, Publisher};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio_stream::wrappers::TcpListenerStream;

/// The audio of these frames: each carries its number.
pub fn counting(frames: Range<u64>) -> Vec<u8> {
    frames.flat_map(|n| (n as u32).to_le_bytes()).collect()
}

pub type Lie = fn(&mut Vec<v1::ReadFramesResponse>);

/// What there is. Shared with the services.
pub struct Desk {
    pub data: DataDir,
    pub catalogue: Catalogue,
    pub tails: MemoryTails,
    pub writers: Mutex<HashMap<RecordingId, TapeWriter>>,
    /// Every change of the catalogue, and how many there are.
    pub changes: Mutex<Vec<Change>>,
    pub count: watch::Sender<usize>,
    ids: Mutex<u64>,
    /// What is done to frames before they are given.
    pub lie: Mutex<Option<Lie>>,
    /// What is done to loudness before it is given.
    pub loudness_lie: Mutex<Option<fn(&mut v1::GetLoudnessResponse)>>,
    /// What is done to peaks before they are given.
    pub peaks_lie: Mutex<Option<fn(&mut v1::GetPeaksResponse)>>,
}

pub struct Recorder {
    pub desk: Arc<Desk>,
    pub addr: SocketAddr,
    server: Option<Runtime>,
    folder: tempfile::TempDir,
}

impl Desk {
    pub fn writers(&self) -> MutexGuard<'_, HashMap<RecordingId, TapeWriter>> {
        self.writers.lock().unwrap()
    }

    fn changed(&self, change: Change) {
        let mut changes = self.changes.lock().unwrap();
        changes.push(change);
        self.count.send_replace(changes.len());
    }

    pub fn put(&self, recording: Recording) {
        self.catalogue.insert(recording.clone());
        self.changed(Change::Recording(said(&recording)));
    }

    pub fn record(&self, stream: &str) -> RecordingId {
        let mut ids = self.ids.lock().unwrap();
        *ids += 1;
        let recording = Recording {
            id: RecordingId::new(1_763_649_000_000 + *ids, &[1; 10]),
            stream: stream.parse().unwrap(),
            spec: Spec::new(SampleFormat::S16, 48_000, 2).unwrap(),
            source: "counting".parse().unwrap(),
            title: "Studio A".parse().unwrap(),
            started: WallTime::from_unix_nanos(0),
            epoch: Epoch(7),
            instance: Instance([7; 16]),
            // Nothing that a gateway could guess, and short, so that reads cross segments.
            segment_frames: FrameCount::new(50_021),
            seal: None,
            notes: Default::default(),
            locked: false,
            titled: false,
            genre: Default::default(),
        };
        let id = recording.id;
        let writer = TapeWriter::create(&self.data, recording.clone()).unwrap();
        self.tails.publish(id, Tail::open(writer.durable(), self.data.generation()));
        self.writers().insert(id, writer);
        self.put(recording);
        id
    }

    /// Records so many frames more, durably, and tells it. Before them stands an anchor, and a mark.
    pub fn play(&self, id: RecordingId, frames: u64) {
        let mut writers = self.writers();
        let writer = writers.get_mut(&id).unwrap();
        let first = writer.written().end();
        let time = WallTime::from_unix_nanos(0).after_frames(first.since(Frame::ZERO), writer.recording().spec);
        writer.note(Entry::Anchor(Anchor { frame: first, time })).unwrap();
        writer.note(Entry::Mark(Mark { frame: first, text: "here".parse().unwrap() })).unwrap();
        writer.append(&[counting(first.get()..first.get() + frames).into()], time).unwrap();
        let durable = writer.sync().unwrap();
        self.tails.publish(id, Tail::open(durable, self.data.generation()));
    }

    /// Makes the peaks of what there is, and measures it.
    pub fn draw(&self, id: RecordingId) {
        let recording = self.catalogue.get(id).unwrap();
        let open = self.writers().get(&id).map(|writer| writer.durable().end());
        let end = open.or(recording.seal.map(|seal| seal.end)).unwrap();
        PeaksWriter::open(&self.data, recording.clone(), end).unwrap().advance(end, u64::MAX).unwrap();
        LoudnessWriter::open(&self.data, recording, end).unwrap().advance(end, u64::MAX).unwrap();
    }

    /// Seals; `tells` whether those who watch tails hear of it, too.
    pub fn seal(&self, id: RecordingId, tells: bool) -> Recording {
        let mut writer = self.writers().remove(&id).unwrap();
        let sealed = writer.seal(SealReason::SourceEnded, None, WallTime::from_unix_nanos(1_000_000_000)).unwrap();
        if tells {
            self.tails.publish(id, sealed.sealed_tail(self.data.generation()).unwrap());
        }
        self.put(sealed.clone());
        self.tails.forget(id);
        sealed
    }

    pub fn delete(&self, id: RecordingId) {
        let recording = self.catalogue.get(id).unwrap();
        let folder = self.data.path().join(recording.stream.as_str()).join(id.to_string());
        std::fs::remove_dir_all(folder).unwrap();
        self.catalogue.remove(id);
        self.changed(Change::RemovedRecordingId(id.to_string()));
    }
}

impl Recorder {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let desk = Desk {
            data: DataDir::open(folder.path(), Disk::default()).unwrap(),
            catalogue: Catalogue::default(),
            tails: MemoryTails::default(),
            writers: Mutex::default(),
            changes: Mutex::default(),
            count: watch::Sender::new(0),
            ids: Mutex::default(),
            lie: Mutex::default(),
            loudness_lie: Mutex::default(),
            peaks_lie: Mutex::default(),
        };
        let mut recorder = Self { desk: Arc::new(desk), addr: "127.0.0.1:0".parse().unwrap(), server: None, folder };
        recorder.start();
        recorder
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    pub fn folder(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    /// Serves, where it did before.
    pub fn start(&mut self) {
        let runtime = Runtime::new().unwrap();
        let _inside = runtime.enter();
        let listener = std::net::TcpListener::bind(self.addr).unwrap();
        listener.set_nonblocking(true).unwrap();
        self.addr = listener.local_addr().unwrap();
        let incoming = TcpListenerStream::new(tokio::net::TcpListener::from_std(listener).unwrap());
        let server = tonic::transport::Server::builder()
            .add_service(CatalogueServiceServer::new(Catalogues(self.desk.clone())))
            .add_service(TapeServiceServer::new(Tapes(self.desk.clone())))
            .add_service(OperationServiceServer::new(Operations(self.desk.clone())));
        runtime.spawn(server.serve_with_incoming(incoming));
        self.server = Some(runtime);
    }

    /// As if its process had been killed.
    pub fn stop(&mut self) {
        let server = self.server.take().unwrap();
        tokio::task::block_in_place(|| server.shutdown_timeout(Duration::from_secs(10)));
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.shutdown_background();
        }
    }
}

pub fn said(recording: &Recording) -> v1::Recording {
    v1::Recording {
        id: recording.id.into(),
        stream: recording.stream.to_string(),
        spec: Some(recording.spec.into()),
        source: recording.source.to_string(),
        title: recording.title.to_string(),
        notes: recording.notes.to_string(),
        started_at_unix_ns: recording.started.unix_nanos(),
        locked: recording.locked,
        seal: recording.seal.map(|seal| v1::Seal {
            end_frame: seal.end.get(),
            ended_at_unix_ns: seal.ended.unix_nanos(),
            reason: v1::SealReason::from(seal.reason).into(),
            next_recording_id: seal.next.map(Into::into),
            earliest_unix_ns: seal.earliest.map(WallTime::unix_nanos),
        }),
        genre: recording.genre.to_string(),
    }
}

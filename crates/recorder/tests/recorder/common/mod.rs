//! A recorder with its services, and a source that pushes counting PCM into it.
#![allow(unreachable_pub)]

use livetape_audio::{Frame, FrameCount, WallTime};
use livetape_proto::v1;
use livetape_proto::v1::catalogue_service_client::CatalogueServiceClient;
use livetape_proto::v1::entry::What;
use livetape_proto::v1::operation_service_client::OperationServiceClient;
use livetape_proto::v1::tape_service_client::TapeServiceClient;
use livetape_recorder::{Recorder, RecorderConfig, Retention};
use livetape_service::Metrics;
use livetape_store::Disk;
use livetape_tail::MemoryTails;
use livetape_testkit::grpc_source::{Call, open, opening, stereo};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use tonic::{Status, Streaming};

pub fn config(folder: &Path) -> RecorderConfig {
    RecorderConfig {
        data_dir: folder.to_owned(),
        grpc_addr: SocketAddr::from(([127, 0, 0, 1], 0)),
        access: None,
        tls: None,
        sync_interval: Duration::from_millis(20),
        resume_window: Duration::from_secs(60),
        roll_after: Duration::from_secs(86_400),
        rules: Default::default(),
        retention: Retention::default(),
        limits: Default::default(),
        proxies: Default::default(),
        disk: Disk::default(),
    }
}

pub struct Running {
    pub addr: SocketAddr,
    pub catalogue: CatalogueServiceClient<Channel>,
    pub tapes: TapeServiceClient<Channel>,
    pub operations: OperationServiceClient<Channel>,
    pub channel: Channel,
    metrics: Metrics,
    stop: CancellationToken,
    task: JoinHandle<anyhow::Result<()>>,
}

pub async fn start(config: RecorderConfig) -> Running {
    let recorder = Recorder::bind(config, Arc::new(MemoryTails::default())).await.unwrap();
    let (addr, metrics) = (recorder.local_addr(), recorder.metrics());
    let stop = CancellationToken::new();
    let task = tokio::spawn(recorder.run(stop.clone()));
    let channel = Channel::from_shared(format!("http://{addr}")).unwrap().connect().await.unwrap();
    Running {
        addr,
        catalogue: CatalogueServiceClient::new(channel.clone()),
        tapes: TapeServiceClient::new(channel.clone()),
        operations: OperationServiceClient::new(channel.clone()),
        channel,
        metrics,
        stop,
        task,
    }
}

impl Running {
    /// Stops in order and gives the folder free.
    pub async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(Duration::from_secs(15), self.task).await.expect("stops in time").unwrap().unwrap();
    }

    /// Waits until the recorder has noticed that all sources have gone.
    pub async fn without_sources(&self) {
        for _ in 0..1000 {
            if self.metrics.text().lines().any(|line| line == "livetape_recorder_connected_sources 0") {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("a source is still there:\n{}", self.metrics.text());
    }

    /// Waits until a figure of the metrics is at least this.
    pub async fn counted(&self, series: &str, least: u64) {
        for _ in 0..1000 {
            let text = self.metrics.text();
            let value = text.lines().find_map(|line| line.strip_prefix(series)?.trim().parse::<u64>().ok());
            if value.is_some_and(|value| value >= least) {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{series} is not {least}:\n{}", self.metrics.text());
    }

    /// A recording of `frames` frames that is open, with its source.
    pub async fn push(&self, stream: &str, frames: u64) -> Call {
        let mut call = open(self.addr, opening(stream, stereo())).await.unwrap();
        append(&call, 0, frames).await;
        call.acknowledged(Frame::new(frames)).await.unwrap();
        call
    }

    /// A recording of `frames` frames that is sealed.
    pub async fn record(&self, stream: &str, frames: u64) -> String {
        let call = self.push(stream, frames).await;
        let id = call.opened.recording_id.clone();
        call.end(Frame::new(frames)).await.unwrap();
        id
    }

    pub async fn seal(&self, id: &str) -> Result<v1::Recording, Status> {
        let request = v1::SealRecordingRequest { recording_id: id.into() };
        Ok(self.operations.clone().seal_recording(request).await?.into_inner().recording.unwrap())
    }

    pub async fn get(&self, id: &str) -> Result<(v1::Recording, v1::Tail), Status> {
        let request = v1::GetRecordingRequest { recording_id: id.into() };
        let response = self.catalogue.clone().get_recording(request).await?.into_inner();
        Ok((response.recording.unwrap(), response.tail.unwrap()))
    }

    pub async fn timeline(&self, id: &str) -> Vec<v1::Entry> {
        let request = v1::ListTimelineRequest { recording_id: id.into(), ..Default::default() };
        self.catalogue.clone().list_timeline(request).await.unwrap().into_inner().entries
    }

    /// What its timeline says that operators did.
    pub async fn deeds(&self, id: &str) -> Vec<String> {
        self.events(id, "operated").await
    }

    /// What its timeline says of this kind.
    pub async fn events(&self, id: &str, kind: &str) -> Vec<String> {
        let events = self.timeline(id).await.into_iter().filter_map(|entry| match entry.what {
            Some(What::Event(event)) if event.kind == kind => Some(event.detail),
            _ => None,
        });
        events.collect()
    }

    /// All frames of a recording, by `ReadFrames`.
    pub async fn audio(&self, id: &str) -> Vec<u8> {
        let request = v1::ReadFramesRequest { recording_id: id.into(), ..Default::default() };
        let mut frames = self.tapes.clone().read_frames(request).await.unwrap().into_inner();
        let mut audio = Vec::new();
        while let Some(block) = next(&mut frames).await.unwrap() {
            assert_eq!(block.first_frame as usize * 4, audio.len(), "no holes");
            audio.extend_from_slice(&block.pcm);
        }
        audio
    }
}

/// The next answer, within a generous time.
pub async fn next<T>(answers: &mut Streaming<T>) -> Result<Option<T>, Status> {
    tokio::time::timeout(Duration::from_secs(20), answers.message()).await.expect("an answer in time")
}

/// Counting PCM: `n` frames from `first` on.
pub fn pcm(first: u64, n: u64) -> Vec<u8> {
    (first..first + n).flat_map(|frame| (frame as u32).to_le_bytes()).collect()
}

pub fn noon() -> WallTime {
    "2026-11-20T12:00:00Z".parse().unwrap()
}

/// Sends counting PCM in steps of 20 ms.
pub async fn append(call: &Call, first: u64, frames: u64) {
    let mut at = first;
    while at < first + frames {
        let n = 960.min(first + frames - at);
        let time = noon().after_frames(FrameCount::new(at), stereo());
        assert!(call.append(Frame::new(at), time, pcm(at, n)).await, "the call has ended");
        at += n;
    }
}

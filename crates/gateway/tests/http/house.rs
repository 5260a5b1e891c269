//! A real gateway over a real data folder, and a deck that records counting PCM into it while requests run.

use bytes::Bytes;
use livetape_audio::{
    Anchor, Entry, Epoch, Frame, FrameCount, Gap, GapReason, Instance, Mark, RecordingId, SampleFormat, SealReason,
    Spec, StreamName, Tail, TitleChange, WallTime,
};
use livetape_gateway::{DirLibrary, Gateway, GatewayConfig};
use livetape_store::{Catalogue, DataDir, Disk, LoudnessWriter, PeaksWriter, Recording, TapeWriter};
use livetape_tail::{MemoryTails, Publisher, Watch};
use std::net::SocketAddr;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// Bytes of a WAV header of this spec.
pub const HEADER: u64 = 44;
/// Bytes of a frame, frames and bytes of a second.
pub const FRAME: u64 = 4;
pub const RATE: u64 = 48_000;
pub const SECOND: u64 = RATE * FRAME;

static IDS: AtomicU64 = AtomicU64::new(0);

pub fn spec() -> Spec {
    Spec::new(SampleFormat::S16, 48_000, 2).unwrap()
}

pub fn now() -> WallTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    WallTime::from_unix_nanos(0).later(since)
}

/// The audio of these frames: each carries its number.
pub fn counting(frames: Range<u64>) -> Vec<u8> {
    frames.flat_map(|n| (n as u32).to_le_bytes()).collect()
}

/// The bytes of a growing WAV of counting PCM: what any range of it has to be.
pub fn wav(bytes: Range<u64>, header: &[u8]) -> Vec<u8> {
    let frames = counting(0..bytes.end.saturating_sub(HEADER).div_ceil(FRAME));
    let all: Vec<u8> = header.iter().copied().chain(frames).collect();
    all[bytes.start as usize..bytes.end as usize].to_vec()
}

pub struct House {
    pub addr: SocketAddr,
    pub data: DataDir,
    pub catalogue: Arc<Catalogue>,
    pub tails: Arc<MemoryTails>,
    pub metrics: livetape_service::Metrics,
    pub shutdown: CancellationToken,
    pub running: JoinHandle<Result<(), livetape_gateway::GatewayError>>,
    _folder: tempfile::TempDir,
}

impl House {
    pub async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub async fn with(change: impl FnOnce(&mut GatewayConfig)) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let data = DataDir::open(folder.path(), Disk::default()).unwrap();
        let (catalogue, tails) = (Arc::new(Catalogue::default()), Arc::new(MemoryTails::default()));
        let watch: Arc<dyn Watch> = tails.clone();
        let library = DirLibrary::new(data.clone(), catalogue.clone(), watch);
        let mut config = GatewayConfig::new("127.0.0.1:0".parse().unwrap());
        config.drain = Duration::from_secs(2);
        change(&mut config);
        let gateway = Gateway::bind(config, Arc::new(library)).await.unwrap();
        let (addr, shutdown) = (gateway.local_addr(), CancellationToken::new());
        let metrics = gateway.metrics();
        let running = tokio::spawn(gateway.run(shutdown.clone()));
        Self { addr, data, catalogue, tails, metrics, shutdown, running, _folder: folder }
    }

    /// Another gateway over the same folder, as after a restart; where it listens.
    pub async fn restarted(&self) -> SocketAddr {
        let library = DirLibrary::new(self.data.clone(), self.catalogue.clone(), self.tails.clone());
        let config = GatewayConfig::new("127.0.0.1:0".parse().unwrap());
        let gateway = Gateway::bind(config, Arc::new(library)).await.unwrap();
        let addr = gateway.local_addr();
        tokio::spawn(gateway.run(self.shutdown.clone()));
        addr
    }

    /// Begins a recording that started so long ago.
    pub fn record(&self, stream: &str, ago: Duration) -> Deck {
        self.record_as(stream, ago, spec())
    }

    pub fn record_as(&self, stream: &str, ago: Duration, spec: Spec) -> Deck {
        self.record_by(stream, ago, now().earlier(ago), spec)
    }

    /// Begins a recording whose source has a clock of its own.
    pub fn record_by(&self, stream: &str, ago: Duration, clock: WallTime, spec: Spec) -> Deck {
        let started = now().earlier(ago);
        let n = IDS.fetch_add(1, Ordering::Relaxed);
        let mut random = [0; 10];
        random[2..].copy_from_slice(&n.to_be_bytes());
        let recording = Recording {
            id: RecordingId::new(started.unix_millis(), &random),
            stream: stream.parse::<StreamName>().unwrap(),
            spec,
            source: "counting".parse().unwrap(),
            title: "Studio A".parse().unwrap(),
            started,
            epoch: Epoch(1),
            instance: Instance::default(),
            // Short, so that every test reads across segments.
            segment_frames: FrameCount::new(100_003),
            seal: None,
            notes: Default::default(),
            locked: false,
            titled: false,
            genre: "Jazz".parse().unwrap(),
        };
        let mut writer = TapeWriter::create(&self.data, recording.clone()).unwrap();
        writer.note(Entry::Anchor(Anchor { frame: Frame::ZERO, time: clock })).unwrap();
        self.catalogue.insert(recording.clone());
        let deck = Deck {
            id: recording.id,
            writer,
            time: clock,
            data: self.data.clone(),
            catalogue: self.catalogue.clone(),
            tails: self.tails.clone(),
        };
        deck.publish();
        deck
    }

    /// A sealed recording of so many seconds.
    pub fn finished(&self, stream: &str, ago: Duration, frames: u64) -> RecordingId {
        let mut deck = self.record(stream, ago);
        deck.play(frames);
        deck.seal(SealReason::SourceEnded, None)
    }
}

/// Records counting PCM, as the recorder would.
pub struct Deck {
    pub id: RecordingId,
    writer: TapeWriter,
    time: WallTime,
    data: DataDir,
    catalogue: Arc<Catalogue>,
    tails: Arc<MemoryTails>,
}

impl Deck {
    /// Records so many frames more, durably, and tells it.
    pub fn play(&mut self, frames: u64) {
        let first = self.frames();
        let spec = self.writer.recording().spec;
        let audio: Bytes = if spec.frame_bytes() == 4 {
            counting(first..first + frames).into()
        } else {
            vec![7; (frames * u64::from(spec.frame_bytes())) as usize].into()
        };
        self.writer.append(&[audio], self.time).unwrap();
        self.time = self.time.after_frames(FrameCount::new(frames), spec);
        self.writer.sync().unwrap();
        self.publish();
    }

    /// So much time passes that is not recorded.
    pub fn gap(&mut self, length: Duration) {
        let to = self.time.later(length);
        let at = Frame::new(self.frames());
        let gap = Gap { at, lost: None, from: self.time, to, reason: GapReason::SourceRestarted };
        self.writer.note(Entry::Gap(gap)).unwrap();
        self.time = to;
    }

    /// The source's clock is set: the next frame has this time of day.
    pub fn set_clock(&mut self, time: WallTime) {
        self.writer.note(Entry::Anchor(Anchor { frame: Frame::new(self.frames()), time })).unwrap();
        self.time = time;
    }

    pub fn frames(&self) -> u64 {
        self.writer.written().end().get()
    }

    /// Time of day of the next frame.
    pub fn time(&self) -> WallTime {
        self.time
    }

    /// Bytes of the growing WAV now.
    pub fn wav_bytes(&self) -> u64 {
        HEADER + self.frames() * FRAME
    }

    pub fn seal(&mut self, reason: SealReason, next: Option<RecordingId>) -> RecordingId {
        let ended = self.writer.timeline().latest_before(self.writer.written().end()).unwrap_or(self.time);
        let sealed = self.writer.seal(reason, next, ended).unwrap();
        self.tails.publish(self.id, sealed.sealed_tail(self.data.generation()).unwrap());
        self.catalogue.insert(sealed);
        self.tails.forget(self.id);
        self.id
    }

    /// Puts a mark on the timeline.
    pub fn mark(&mut self, frame: u64, text: &str) {
        let mark = Mark { frame: Frame::new(frame), text: text.parse().unwrap() };
        self.writer.note(Entry::Mark(mark)).unwrap();
        self.writer.sync().unwrap();
    }

    /// What is playing from the next frame on.
    pub fn title(&mut self, title: &str) {
        let frame = Frame::new(self.frames());
        self.writer.note(Entry::Title(TitleChange { frame, title: title.parse().unwrap() })).unwrap();
    }

    /// Makes the peaks of what is recorded and measures it, as the recorder does beside it.
    pub fn draw(&self) {
        let recording = self.catalogue.get(self.id).unwrap();
        let end = self.writer.durable().end();
        PeaksWriter::open(&self.data, recording.clone(), end).unwrap().advance(end, u64::MAX).unwrap();
        LoudnessWriter::open(&self.data, recording, end).unwrap().advance(end, u64::MAX).unwrap();
    }

    fn publish(&self) {
        self.tails.publish(self.id, Tail::open(self.writer.durable(), self.data.generation()));
    }

    /// Records in real time from now on, in steps of 20 ms, until the token is cancelled.
    pub fn run(mut self, stop: CancellationToken) -> JoinHandle<Self> {
        tokio::spawn(async move {
            let mut tick = tokio::time::interval(Duration::from_millis(20));
            while stop.run_until_cancelled(tick.tick()).await.is_some() {
                tokio::task::block_in_place(|| self.play(RATE / 50));
            }
            self
        })
    }
}

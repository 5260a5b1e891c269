//! Many sources at once, each in real time: when its chunks are acknowledged, and how far behind the durable end is.

use crate::bench::floors::ingest::Client;
use crate::bench::spread::Delays;
use crate::bench::words;
use anyhow::{Context, Result, bail, ensure};
use livetape_audio::{Frame, Spec};
use livetape_proto::v1::ingest_request::Message;
use livetape_proto::v1::ingest_response;
use livetape_proto::v1::{Append, IngestRequest};
use livetape_testkit::grpc_source::{now, open, opening};
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Time between two chunks.
const CHUNK: Duration = Duration::from_millis(20);
/// How long the last acknowledgement may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What the sources speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `livetape.v1`.
    Grpc,
    /// That of the bare socket.
    Socket,
}

/// What was noted.
#[derive(Debug, Default)]
pub struct Noted {
    /// From sending a chunk until all of it was acknowledged.
    pub acknowledged: Delays,
    /// How much of what was captured was not durable, whenever a chunk was sent.
    pub lag: Delays,
}

/// Sources that push.
#[derive(Debug)]
pub struct Fleet {
    sources: Vec<JoinHandle<Result<Noted>>>,
    measured: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
}

impl Fleet {
    /// Starts `count` of them, spread over the time of a chunk.
    ///
    /// # Errors
    /// When one cannot begin.
    pub async fn start(to: SocketAddr, protocol: Protocol, name: &str, spec: Spec, count: usize) -> Result<Self> {
        let (measured, stop) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let mut lines = Vec::with_capacity(count);
        for n in 0..count {
            lines.push(match protocol {
                Protocol::Grpc => Line::grpc(to, &format!("{name}-{n}"), spec).await?,
                Protocol::Socket => Line::socket(to, spec).await?,
            });
        }
        let begin = tokio::time::Instant::now() + CHUNK;
        let sources = lines.into_iter().enumerate().map(|(n, line)| {
            let source = Source { line, spec, begin: begin + CHUNK * n as u32 / count as u32, sent: VecDeque::new() };
            tokio::spawn(source.push(Arc::clone(&measured), Arc::clone(&stop)))
        });
        Ok(Self { sources: sources.collect(), measured, stop })
    }

    /// From now on is noted what happens.
    pub fn measure(&self) {
        self.measured.store(true, Ordering::Relaxed);
    }

    /// Stops them all when everything is acknowledged.
    ///
    /// # Errors
    /// What went wrong with any of them.
    pub async fn stop(self) -> Result<Noted> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Noted::default();
        for source in self.sources {
            let noted = source.await??;
            all.acknowledged.extend(noted.acknowledged);
            all.lag.extend(noted.lag);
        }
        Ok(all)
    }
}

/// The way to the server and back.
enum Line {
    Grpc {
        requests: mpsc::Sender<IngestRequest>,
        responses: Box<tonic::Streaming<livetape_proto::v1::IngestResponse>>,
        epoch: u64,
    },
    Socket {
        client: Client,
        frame_bytes: u64,
    },
}

impl Line {
    async fn grpc(to: SocketAddr, stream: &str, spec: Spec) -> Result<Self> {
        let call = open(to, opening(stream, spec)).await?;
        ensure!(call.opened.next_frame == 0, "{stream} is not new");
        let epoch = call.opened.epoch;
        let (requests, responses) = call.split();
        Ok(Self::Grpc { requests, responses: Box::new(responses), epoch })
    }

    async fn socket(to: SocketAddr, spec: Spec) -> Result<Self> {
        Ok(Self::Socket { client: Client::connect(to).await?, frame_bytes: u64::from(spec.frame_bytes()) })
    }

    async fn append(&mut self, first: Frame, pcm: Vec<u8>) -> Result<()> {
        match self {
            Self::Grpc { requests, epoch, .. } => {
                let (epoch, first_frame, captured_at_unix_ns) = (*epoch, first.get(), now().unix_nanos());
                let append = Append { epoch, first_frame, captured_at_unix_ns, pcm: pcm.into(), ..Default::default() };
                requests.send(IngestRequest { message: Some(Message::Append(append)) }).await.context("hung up")
            }
            Self::Socket { client, .. } => {
                let mut chunk = (pcm.len() as u32).to_le_bytes().to_vec();
                chunk.extend(pcm);
                Ok(client.outgoing.write_all(&chunk).await?)
            }
        }
    }

    /// The next end that is durable. May be given up and asked again.
    async fn durable(&mut self) -> Result<Frame> {
        match self {
            Self::Grpc { responses, .. } => match responses.message().await?.and_then(|r| r.message) {
                Some(ingest_response::Message::Acknowledged(ack)) => Ok(Frame::new(ack.durable_frame)),
                other => bail!("{other:?} came instead of an acknowledgement"),
            },
            Self::Socket { client, frame_bytes } => {
                client.incoming.readable().await?;
                let mut end = [0; 8];
                client.incoming.read_exact(&mut end).await?;
                Ok(Frame::new(u64::from_le_bytes(end) / *frame_bytes))
            }
        }
    }
}

struct Source {
    line: Line,
    spec: Spec,
    begin: tokio::time::Instant,
    /// Ends of chunks that are not acknowledged, and when they were sent.
    sent: VecDeque<(Frame, Instant)>,
}

impl Source {
    async fn push(mut self, measured: Arc<AtomicBool>, stop: Arc<AtomicBool>) -> Result<Noted> {
        let (mut noted, mut next, mut durable) = (Noted::default(), Frame::ZERO, Frame::ZERO);
        let mut tick = tokio::time::interval_at(self.begin, CHUNK);
        let chunk = self.spec.frames(CHUNK);
        while !stop.load(Ordering::Relaxed) {
            let measured = measured.load(Ordering::Relaxed);
            tokio::select! {
                _ = tick.tick() => {
                    self.line.append(next, words(next, chunk, self.spec)).await?;
                    next = next + chunk;
                    self.sent.push_back((next, Instant::now()));
                    if measured {
                        let frames = next.since(durable).get();
                        noted.lag.push(frames as f64 / f64::from(self.spec.rate()));
                    }
                }
                end = self.line.durable() => {
                    durable = end?;
                    ensure!(durable <= next, "{durable} is acknowledged, but only {next} was sent");
                    self.take(durable, measured.then_some(&mut noted.acknowledged));
                }
            }
        }
        while !self.sent.is_empty() {
            let end =
                tokio::time::timeout(PATIENCE, self.line.durable()).await.context("the last acknowledgement")??;
            self.take(end, None);
        }
        Ok(noted)
    }

    fn take(&mut self, durable: Frame, mut noted: Option<&mut Delays>) {
        while let Some((_, sent)) = self.sent.front().filter(|(end, _)| *end <= durable) {
            if let Some(noted) = &mut noted {
                noted.push(sent.elapsed().as_secs_f64());
            }
            self.sent.pop_front();
        }
    }
}

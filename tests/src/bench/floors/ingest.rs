//! Durable ingest by bare servers: a file for each source, reserved ahead, and one thread that writes and syncs all that
//! waits every 100 ms. No epochs, no index, no checksums, no timeline, nobody who listens.

use super::announce;
use anyhow::{Context, Result};
use bytes::Bytes;
use livetape_audio::Frame;
use livetape_proto::v1::ingest_request::Message as Request;
use livetape_proto::v1::ingest_response::Message as Response;
use livetape_proto::v1::ingest_service_server::{IngestService, IngestServiceServer};
use livetape_proto::v1::{Acknowledged, IngestRequest, IngestResponse, Opened};
use rustix::fs::{FallocateFlags, fallocate};
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, watch};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Status, Streaming};

/// Time between two rounds, as in the recorder.
const TICK: Duration = Duration::from_millis(100);
/// Bytes that are reserved for a source.
const RESERVED: u64 = 4 << 20;

/// All sources.
#[derive(Debug, Default)]
struct Sources {
    folder: PathBuf,
    next: AtomicUsize,
    open: Mutex<Vec<Arc<Source>>>,
}

#[derive(Debug)]
struct Source {
    file: File,
    pending: Mutex<Vec<Bytes>>,
    /// Bytes that are durable.
    durable: watch::Sender<u64>,
}

impl Sources {
    fn begin(folder: &Path) -> Arc<Self> {
        let sources = Arc::new(Self { folder: folder.to_owned(), ..Self::default() });
        let committing = Arc::clone(&sources);
        std::thread::spawn(move || committing.commit());
        sources
    }

    fn open(&self) -> Result<Arc<Source>> {
        let name = self.next.fetch_add(1, Ordering::Relaxed).to_string();
        let file = File::create(self.folder.join(name))?;
        fallocate(&file, FallocateFlags::empty(), 0, RESERVED)?;
        file.sync_all()?;
        let source = Arc::new(Source { file, pending: Mutex::default(), durable: watch::Sender::new(0) });
        self.open.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(&source));
        Ok(source)
    }

    fn commit(&self) {
        let mut last = Instant::now();
        loop {
            std::thread::sleep((last + TICK).saturating_duration_since(Instant::now()));
            last = Instant::now();
            let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
            // The call, the one who answers and this list hold it.
            open.retain(|source| Arc::strong_count(source) > 1);
            let open = open.clone();
            let written = open.iter().filter_map(|source| source.write().map(|end| (source, end)));
            let written: Vec<_> = written.collect();
            for (source, end) in written {
                source.file.sync_data().expect("a disk that works");
                source.durable.send_replace(end);
            }
        }
    }
}

impl Source {
    fn write(&self) -> Option<u64> {
        let pending = std::mem::take(&mut *self.pending.lock().unwrap_or_else(PoisonError::into_inner));
        if pending.is_empty() {
            return None;
        }
        let (bytes, at) = (pending.concat(), *self.durable.borrow());
        self.file.write_all_at(&bytes, at).expect("room on the disk");
        Some(at + bytes.len() as u64)
    }

    fn append(&self, pcm: Bytes) {
        self.pending.lock().unwrap_or_else(PoisonError::into_inner).push(pcm);
    }
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_multi_thread().enable_all().build()?)
}

/// Takes chunks, each with its length before it; answers with the number of durable bytes.
pub(super) fn socket(folder: &Path) -> Result<()> {
    let sources = Sources::begin(folder);
    runtime()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        announce(listener.local_addr()?);
        loop {
            let (stream, _) = listener.accept().await?;
            tokio::spawn(serve(stream, sources.open()?));
        }
    })
}

async fn serve(stream: TcpStream, source: Arc<Source>) -> Result<()> {
    stream.set_nodelay(true)?;
    let (mut incoming, mut outgoing) = stream.into_split();
    let mut durable = source.durable.subscribe();
    tokio::spawn(async move {
        while durable.changed().await.is_ok() {
            let end = *durable.borrow_and_update();
            if outgoing.write_all(&end.to_le_bytes()).await.is_err() {
                return;
            }
        }
    });
    loop {
        let mut chunk = vec![0; incoming.read_u32_le().await? as usize];
        incoming.read_exact(&mut chunk).await?;
        source.append(chunk.into());
    }
}

/// A bare stream of the real messages.
pub(super) fn tonic(folder: &Path) -> Result<()> {
    let sources = Sources::begin(folder);
    runtime()?.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        announce(listener.local_addr()?);
        let server = tonic::transport::Server::builder().tcp_nodelay(true);
        let service = IngestServiceServer::new(Bare(sources));
        server.clone().add_service(service).serve_with_incoming(TcpListenerStream::new(listener)).await?;
        Ok(())
    })
}

struct Bare(Arc<Sources>);

type Answer = Result<IngestResponse, Status>;

#[tonic::async_trait]
impl IngestService for Bare {
    type IngestStream = ReceiverStream<Answer>;

    async fn ingest(
        &self,
        request: tonic::Request<Streaming<IngestRequest>>,
    ) -> Result<tonic::Response<Self::IngestStream>, Status> {
        let source = self.0.open().map_err(|e| Status::internal(e.to_string()))?;
        let (answers, outgoing) = mpsc::channel(4);
        tokio::spawn(converse(request.into_inner(), answers, source));
        Ok(tonic::Response::new(ReceiverStream::new(outgoing)))
    }
}

async fn converse(mut requests: Streaming<IngestRequest>, answers: mpsc::Sender<Answer>, source: Arc<Source>) {
    let answer = |message| Ok(IngestResponse { message: Some(message) });
    let mut frame_bytes = 1;
    let mut durable = source.durable.subscribe();
    loop {
        let said = tokio::select! {
            message = requests.message() => match message.ok().flatten().and_then(|m| m.message) {
                None => return,
                Some(Request::Open(open)) => {
                    let spec = open.spec.and_then(|s| livetape_audio::Spec::try_from(s).ok());
                    frame_bytes = spec.map_or(1, |s| u64::from(s.frame_bytes()));
                    let max_append_bytes = livetape_proto::MAX_APPEND_BYTES;
                    Response::Opened(Opened { max_append_bytes, ..Default::default() })
                }
                Some(Request::Append(append)) => {
                    source.append(append.pcm);
                    continue;
                }
                Some(_) => continue,
            },
            _ = durable.changed() => {
                let durable_frame = Frame::new(*durable.borrow_and_update() / frame_bytes).get();
                Response::Acknowledged(Acknowledged { durable_frame })
            }
        };
        if answers.send(answer(said)).await.is_err() {
            return;
        }
    }
}

/// What speaks to the bare socket.
#[derive(Debug)]
pub struct Client {
    /// Sends chunks.
    pub outgoing: tokio::net::tcp::OwnedWriteHalf,
    /// Says how many bytes are durable.
    pub incoming: tokio::net::tcp::OwnedReadHalf,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// When nobody listens.
    pub async fn connect(to: std::net::SocketAddr) -> Result<Self> {
        let stream = TcpStream::connect(to).await.context("a bare loop")?;
        stream.set_nodelay(true)?;
        let (incoming, outgoing) = stream.into_split();
        Ok(Self { outgoing, incoming })
    }
}

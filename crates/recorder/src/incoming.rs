//! Connections of sources, before gRPC sees them: a bound on their number, and a limit on how long one may be silent
//! before it speaks HTTP/2. What speaks anything else is closed at once.
//!
//! Who has not spoken yet takes no place from who does: of many that are silent, the one that has been so for longest
//! has to go when another one comes.

use livetape_service::Clients;
use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::AbortHandle;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::{Connected, TcpConnectInfo};

/// Most connections at once.
const MAX_CONNECTIONS: usize = 2048;
/// Most connections that have not spoken yet: an eighth of those that may have.
const SILENT_SHARE: usize = 8;
/// How long a connection may take to say that it speaks HTTP/2, and then to find a place.
const PREFACE_TIME: Duration = Duration::from_secs(10);
/// How often a beginning that is too short is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// After a failed accept, as when there are no more file descriptors.
const BREATH: Duration = Duration::from_millis(100);
/// The client connection preface (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection that speaks HTTP/2.
pub(crate) struct Connection {
    stream: TcpStream,
    _room: OwnedSemaphorePermit,
}

/// Takes connections for as long as the stream is held.
pub(crate) fn incoming(listener: TcpListener) -> ReceiverStream<io::Result<Connection>> {
    let (ready, stream) = mpsc::channel(16);
    tokio::spawn(async move {
        tokio::select! {
            () = accept(listener, Clients::Callers.affordable(MAX_CONNECTIONS), &ready) => {}
            () = ready.closed() => {}
        }
    });
    ReceiverStream::new(stream)
}

async fn accept(listener: TcpListener, most: usize, ready: &mpsc::Sender<io::Result<Connection>>) {
    let silent = (most / SILENT_SHARE).max(1);
    let room = Arc::new(Semaphore::new((most - silent).max(1)));
    let mut waiting: VecDeque<AbortHandle> = VecDeque::with_capacity(silent);
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                if waiting.len() >= silent {
                    waiting.retain(|greeting| !greeting.is_finished());
                }
                if waiting.len() >= silent
                    && let Some(oldest) = waiting.pop_front()
                {
                    oldest.abort();
                }
                let greeting = greet(stream, Arc::clone(&room), ready.clone());
                waiting.push_back(tokio::spawn(tokio::time::timeout(PREFACE_TIME, greeting)).abort_handle());
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(BREATH).await;
            }
        }
    }
}

/// Hands the connection on once it has spoken and there is a place for it.
async fn greet(stream: TcpStream, room: Arc<Semaphore>, ready: mpsc::Sender<io::Result<Connection>>) {
    if !speaks_http2(&stream).await {
        return;
    }
    let Ok(room) = room.acquire_owned().await else { return };
    // Not worth refusing a source for.
    drop(stream.set_nodelay(true));
    drop(ready.send(Ok(Connection { stream, _room: room })).await);
}

async fn speaks_http2(stream: &TcpStream) -> bool {
    let mut seen = [0; PREFACE.len()];
    loop {
        match stream.peek(&mut seen).await {
            Ok(n) if n == seen.len() => return seen == *PREFACE,
            Ok(n) if n > 0 && PREFACE.starts_with(&seen[..n]) => tokio::time::sleep(LOOK_AGAIN).await,
            _ => return false,
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = TcpConnectInfo;
    fn connect_info(&self) -> TcpConnectInfo {
        self.stream.connect_info()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

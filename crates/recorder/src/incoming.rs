//! Connections of sources, before gRPC sees them: a bound on their number, and a limit on how long one may be silent
//! before it speaks HTTP/2. What speaks anything else is closed at once.
//!
//! Who has not spoken yet takes no place from who does: of many that are silent, the one that has been so for longest
//! has to go when another one comes.

use livetape_service::Clients;
use livetape_service::tls::{Tls, client_names};
use std::collections::VecDeque;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::task::AbortHandle;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::server::Connected;

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

/// The first byte of a TLS connection: a handshake record (RFC 8446, section 5.1).
const TLS_HANDSHAKE: u8 = 22;

/// A connection that speaks HTTP/2.
pub(crate) struct Connection {
    socket: Socket,
    client: Client,
    _room: OwnedSemaphorePermit,
}

enum Socket {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

/// What a connection tells of its client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Client {
    /// The names in its certificate, which was checked; none if it showed none.
    pub(crate) names: Vec<String>,
}

/// Takes connections for as long as the stream is held. With `tls`, only connections from this machine may do without.
pub(crate) fn incoming(listener: TcpListener, tls: Option<Arc<Tls>>) -> ReceiverStream<io::Result<Connection>> {
    let (ready, stream) = mpsc::channel(16);
    tokio::spawn(async move {
        let following = async {
            match &tls {
                Some(tls) => tls.follow().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = accept(listener, tls.as_ref(), Clients::Callers.affordable(MAX_CONNECTIONS), &ready) => {}
            () = following => {}
            () = ready.closed() => {}
        }
    });
    ReceiverStream::new(stream)
}

async fn accept(
    listener: TcpListener,
    tls: Option<&Arc<Tls>>,
    most: usize,
    ready: &mpsc::Sender<io::Result<Connection>>,
) {
    let silent = (most / SILENT_SHARE).max(1);
    let room = Arc::new(Semaphore::new((most - silent).max(1)));
    let mut waiting: VecDeque<AbortHandle> = VecDeque::with_capacity(silent);
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                if waiting.len() >= silent {
                    waiting.retain(|greeting| !greeting.is_finished());
                }
                if waiting.len() >= silent
                    && let Some(oldest) = waiting.pop_front()
                {
                    oldest.abort();
                }
                let greeting = greet(stream, peer, tls.cloned(), Arc::clone(&room), ready.clone());
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
async fn greet(
    stream: TcpStream,
    peer: SocketAddr,
    tls: Option<Arc<Tls>>,
    room: Arc<Semaphore>,
    ready: mpsc::Sender<io::Result<Connection>>,
) {
    // Not worth refusing a source for.
    drop(stream.set_nodelay(true));
    let is_local =
        peer.ip().to_canonical().is_loopback() || stream.local_addr().is_ok_and(|here| here.ip() == peer.ip());
    let Some((socket, client)) = introduced(stream, is_local, tls).await else { return };
    let Ok(room) = room.acquire_owned().await else { return };
    drop(ready.send(Ok(Connection { socket, client, _room: room })).await);
}

/// What the connection is to be read through, if its client speaks HTTP/2, and as it has to.
async fn introduced(stream: TcpStream, is_local: bool, tls: Option<Arc<Tls>>) -> Option<(Socket, Client)> {
    match (beginning(&stream).await, tls) {
        (Beginning::Http2, tls) if tls.is_none() || is_local => Some((Socket::Plain(stream), Client::default())),
        (Beginning::Tls, Some(tls)) => {
            let stream =
                tls.accept(stream).await.inspect_err(|error| tracing::debug!(%error, "this is no TLS")).ok()?;
            if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
                return None;
            }
            let client = Client { names: client_names(&stream) };
            Some((Socket::Tls(Box::new(stream)), client))
        }
        _ => None,
    }
}

/// What the first bytes are.
enum Beginning {
    Http2,
    Tls,
    Other,
}

async fn beginning(stream: &TcpStream) -> Beginning {
    let mut seen = [0; PREFACE.len()];
    loop {
        match stream.peek(&mut seen).await {
            Ok(n) if n > 0 && seen[0] == TLS_HANDSHAKE => return Beginning::Tls,
            Ok(n) if n == seen.len() && seen == *PREFACE => return Beginning::Http2,
            Ok(n) if n > 0 && n < seen.len() && PREFACE.starts_with(&seen[..n]) => {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            _ => return Beginning::Other,
        }
    }
}

impl Connected for Connection {
    type ConnectInfo = Client;
    fn connect_info(&self) -> Client {
        self.client.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Socket::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.socket {
            Socket::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Socket::Tls(stream) => Pin::new(stream).poll_write(cx, buf),
        }
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Socket::Tls(stream) => Pin::new(stream).poll_flush(cx),
        }
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

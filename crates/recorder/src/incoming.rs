//! Connections of sources, before gRPC sees them: a bound on their number, of all and of each address, and a limit on how long
//! one may be silent before it speaks HTTP/2. What speaks anything else is closed at once.
//!
//! Who has not spoken yet takes no place from who does: of many that are silent, one of whoever has most of them has to go when
//! another one comes. The same holds for those who have spoken and have made no call that was let in: they have some of the places,
//! for a while. Who was let in once stays.

use futures::future::{BoxFuture, FutureExt};
use livetape_service::limits::{Knock, Place, Silent};
use livetape_service::metrics::Counter;
use livetape_service::tls::{ClientCertificate, HANDSHAKE_RECORD, Tls, client_certificate, is_from_here};
use livetape_service::{Clients, Limiter, Proxies};
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;
use tokio_rustls::server::TlsStream;
use tokio_stream::wrappers::ReceiverStream;
use tokio_util::sync::CancellationToken;
use tonic::transport::server::Connected;

/// Most connections that have not spoken yet: an eighth of those that may have.
const SILENT_SHARE: usize = 8;
/// Most connections that have spoken, and on which no call was let in: a quarter of all.
const IDLE_SHARE: usize = 4;
/// Where there are few places at all, callers that come together are not in each other's way.
const IDLE_LEAST: usize = 16;
/// How long a connection may take to say that it speaks HTTP/2, and then to find a place.
const PREFACE_TIME: Duration = Duration::from_secs(10);
const PLACE_TIME: Duration = Duration::from_secs(5);
/// How long a connection may last on which no call was let in.
const IDLE_TIME: Duration = Duration::from_secs(60);
/// How often a beginning that is too short is looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(50);
/// After a failed accept, as when there are no more file descriptors.
const BREATH: Duration = Duration::from_millis(100);
/// The client connection preface (RFC 9113, section 3.4).
const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A frame of settings that sets nothing, with which a server begins (RFC 9113, sections 3.4 and 6.5).
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];
/// The code by which a server asks a client to take less (RFC 9113, section 7); gRPC says RESOURCE_EXHAUSTED of it.
const ENHANCE_YOUR_CALM: u8 = 0x0b;
/// How many are told at once why they have to go, and how long each may take to listen.
const FAREWELLS: usize = 32;
const FAREWELL: Duration = Duration::from_secs(1);

/// A connection that speaks HTTP/2.
pub(crate) struct Connection {
    socket: Socket,
    client: Client,
    /// Ends when it has to be closed; says why.
    closed: BoxFuture<'static, &'static str>,
    _room: OwnedSemaphorePermit,
    _place: Option<Place>,
}

enum Socket {
    Plain(TcpStream),
    /// With what was read of it already.
    Tls(Box<TlsStream<TcpStream>>, &'static [u8]),
}

/// What a connection tells of its client.
#[derive(Clone, Debug, Default)]
pub(crate) struct Client {
    /// Its certificate, which was checked; nobody's if it showed none.
    pub(crate) certificate: ClientCertificate,
    /// Where it is, or its proxy.
    pub(crate) peer: Option<IpAddr>,
    closing: CancellationToken,
    let_in: CancellationToken,
}

impl Client {
    /// A call of it was let in, by a right to it: from now on its connection lasts as long as it likes.
    pub(crate) fn let_in(&self) {
        self.let_in.cancel();
    }

    /// Closes its connection, with all calls on it, and whatever waits for it to read.
    pub(crate) fn close(&self) {
        self.closing.cancel();
    }
}

/// Who is let in, and how.
pub(crate) struct Doors {
    /// With it, only connections from this machine may do without.
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) limiter: Arc<Limiter>,
    pub(crate) proxies: Arc<Proxies>,
    /// Most connections at once.
    pub(crate) most: usize,
    /// Counts those for which there is no place.
    pub(crate) full: Counter,
    /// Counts those that had not spoken when others came, or for too long.
    pub(crate) silent: Counter,
    /// Counts those that had made no call that was let in when others came, or for too long.
    pub(crate) idle: Counter,
}

/// Takes connections for as long as the stream is held.
pub(crate) fn incoming(listener: TcpListener, doors: Doors) -> ReceiverStream<io::Result<Connection>> {
    let (ready, stream) = mpsc::channel(16);
    tokio::spawn(async move {
        let doors = Arc::new(doors);
        let following = async {
            match &doors.tls {
                Some(tls) => tls.follow().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = accept(listener, &doors, &ready) => {}
            () = following => {}
            () = ready.closed() => {}
        }
    });
    ReceiverStream::new(stream)
}

async fn accept(listener: TcpListener, doors: &Arc<Doors>, ready: &mpsc::Sender<io::Result<Connection>>) {
    let most = Clients::Callers.affordable(doors.most);
    let silent = (most / SILENT_SHARE).max(1);
    let room = Arc::new(Semaphore::new((most - silent).max(1)));
    let farewells = Arc::new(Semaphore::new(FAREWELLS));
    let idle = Arc::new(Mutex::new(Silent::new((most / IDLE_SHARE).max(IDLE_LEAST), doors.idle.clone())));
    let mut waiting = Silent::new(silent, doors.silent.clone());
    loop {
        match listener.accept().await {
            Ok((stream, peer)) => {
                // A proxy's connections are many clients'.
                let is_proxy = doors.proxies.trust(peer.ip());
                let place = match if is_proxy { Ok(None) } else { doors.limiter.connection(peer.ip()) } {
                    Ok(place) => place,
                    Err(exceeded) => {
                        if doors.tls.is_none()
                            && let Ok(turn) = Arc::clone(&farewells).try_acquire_owned()
                        {
                            let why = format!("{exceeded}: {}", exceeded.hint());
                            tokio::spawn(async move { (turn_away(stream, &why).await, turn) });
                        }
                        continue;
                    }
                };
                let knock = waiting.one_more(peer.ip());
                let halls = (Arc::clone(&room), Arc::clone(&idle));
                let greeting = greet(stream, peer, place, Arc::clone(doors), halls, ready.clone());
                tokio::spawn(async move {
                    tokio::select! {
                        () = greeting => {}
                        () = knock.sent_away() => {}
                    }
                });
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
    place: Option<Place>,
    doors: Arc<Doors>,
    (room, idle): (Arc<Semaphore>, Arc<Mutex<Silent>>),
    ready: mpsc::Sender<io::Result<Connection>>,
) {
    // Not worth refusing a source for.
    drop(stream.set_nodelay(true));
    let ip = peer.ip().to_canonical();
    let is_local = is_from_here(&stream);
    let introduction = timeout(PREFACE_TIME, introduced(stream, is_local, doors.tls.clone()));
    let introduced = introduction.await;
    if introduced.is_err() {
        doors.silent.inc();
    }
    let Ok(Some((socket, certificate))) = introduced else { return };
    match timeout(PLACE_TIME, room.acquire_owned()).await {
        Ok(Ok(room)) => {
            let client = Client { certificate, peer: Some(ip), ..Client::default() };
            let knock = idle.lock().unwrap_or_else(PoisonError::into_inner).one_more(ip);
            let closed = to_be_closed(client.clone(), knock, doors.idle.clone()).boxed();
            drop(ready.send(Ok(Connection { socket, client, closed, _room: room, _place: place })).await);
        }
        Ok(Err(_)) => {}
        Err(_) => {
            doors.full.inc();
            let why =
                "the recorder has as many connections as it may (LIVETAPE_LIMIT_GRPC_CONNECTIONS): come back later";
            match socket {
                Socket::Plain(stream) => turn_away(stream, why).await,
                Socket::Tls(stream, _) => turn_away(stream, why).await,
            }
        }
    }
}

/// Waits until a connection has to be closed; says why.
async fn to_be_closed(client: Client, knock: Knock, idle: Counter) -> &'static str {
    tokio::select! {
        () = client.let_in.cancelled() => drop(knock),
        () = client.closing.cancelled() => return NOT_READ,
        () = knock.sent_away() => return NOBODY,
        () = tokio::time::sleep(IDLE_TIME) => {
            idle.inc();
            return NOBODY;
        }
    }
    client.closing.cancelled().await;
    NOT_READ
}

/// Why connections are closed.
const NOT_READ: &str = "closed: its calls are not read";
const NOBODY: &str = "closed: it has made no call that was let in";

/// Says why a connection has to end, and waits a moment for the other side to hear it: closing what was not read resets it.
async fn turn_away(mut stream: impl AsyncRead + AsyncWrite + Unpin, why: &str) {
    // No stream was looked at, and why not.
    let mut goaway = [&[0; 7][..], &[ENHANCE_YOUR_CALM], why.as_bytes()].concat();
    let length = u32::try_from(goaway.len()).unwrap_or_default().to_be_bytes();
    let head = [&length[1..], &[7, 0, 0, 0, 0, 0]].concat();
    goaway.splice(0..0, head);
    let telling = async {
        stream.write_all(&[&SETTINGS[..], &goaway].concat()).await?;
        stream.shutdown().await?;
        while stream.read(&mut [0; 1024]).await? > 0 {}
        io::Result::Ok(())
    };
    drop(timeout(FAREWELL, telling).await);
}

/// What the connection is to be read through, and the certificate of its client, if that speaks HTTP/2, and as it has to.
async fn introduced(stream: TcpStream, is_local: bool, tls: Option<Arc<Tls>>) -> Option<(Socket, ClientCertificate)> {
    match (beginning(&stream).await, tls) {
        (Beginning::Http2, tls) if tls.is_none() || is_local => {
            Some((Socket::Plain(stream), ClientCertificate::default()))
        }
        (Beginning::Tls, Some(tls)) => {
            let stream = tls.accept(stream).await;
            let mut stream = stream.inspect_err(|error| tracing::debug!(%error, "this is no TLS")).ok()?;
            if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
                return None;
            }
            // Who says nothing after the handshake has not spoken, either.
            let mut said = [0; PREFACE.len()];
            stream.read_exact(&mut said).await.ok()?;
            let certificate = client_certificate(&stream);
            (said == *PREFACE).then(|| (Socket::Tls(Box::new(stream), PREFACE), certificate))
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
            Ok(n) if n > 0 && seen[0] == HANDSHAKE_RECORD => return Beginning::Tls,
            Ok(n) if n == seen.len() && seen == *PREFACE => return Beginning::Http2,
            Ok(n) if n > 0 && n < seen.len() && PREFACE.starts_with(&seen[..n]) => {
                tokio::time::sleep(LOOK_AGAIN).await;
            }
            _ => return Beginning::Other,
        }
    }
}

impl Connection {
    /// Fails once somebody has closed it; until then whoever polls is woken by that.
    fn is_open(&mut self, cx: &mut Context<'_>) -> io::Result<()> {
        match self.closed.as_mut().poll(cx) {
            // Asked once more, it would say nothing.
            Poll::Ready(why) => {
                self.closed = std::future::ready(why).boxed();
                Err(io::Error::new(io::ErrorKind::ConnectionAborted, why))
            }
            Poll::Pending => Ok(()),
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
        self.is_open(cx)?;
        match &mut self.socket {
            Socket::Plain(stream) => Pin::new(stream).poll_read(cx, buf),
            Socket::Tls(_, said) if !said.is_empty() => {
                let (now, later) = said.split_at(said.len().min(buf.remaining()));
                buf.put_slice(now);
                *said = later;
                Poll::Ready(Ok(()))
            }
            Socket::Tls(stream, _) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.is_open(cx)?;
        match &mut self.socket {
            Socket::Plain(stream) => Pin::new(stream).poll_write(cx, buf),
            Socket::Tls(stream, _) => Pin::new(stream).poll_write(cx, buf),
        }
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.is_open(cx)?;
        match &mut self.socket {
            Socket::Plain(stream) => Pin::new(stream).poll_flush(cx),
            Socket::Tls(stream, _) => Pin::new(stream).poll_flush(cx),
        }
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.socket {
            Socket::Plain(stream) => Pin::new(stream).poll_shutdown(cx),
            Socket::Tls(stream, _) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use livetape_service::Metrics;

    fn waiting(most: usize) -> (Silent, Counter) {
        let counter = Metrics::default().counter("livetape_test_total", "In a test.").unwrap();
        (Silent::new(most, counter.clone()), counter)
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_let_in_stays_and_who_is_not_goes() {
        let (mut all, idle) = waiting(1);
        let here = IpAddr::from([127, 0, 0, 1]);
        let client = Client::default();
        assert_eq!(to_be_closed(client, all.one_more(here), idle.clone()).await, NOBODY, "in a while");
        assert_eq!(idle.get(), 1);
        let (first, second) = (all.one_more(here), Client::default());
        let second = to_be_closed(second, all.one_more(here), idle.clone());
        assert_eq!(to_be_closed(Client::default(), first, idle.clone()).await, NOBODY, "another one came");
        assert_eq!(idle.get(), 2);
        drop(second);
        let known = Client::default();
        known.let_in();
        let staying = to_be_closed(known.clone(), all.one_more(here), idle.clone());
        let mut staying = std::pin::pin!(staying);
        assert!(timeout(IDLE_TIME * 10, &mut staying).await.is_err(), "it may say nothing for as long as it likes");
        known.close();
        assert_eq!((staying.await, idle.get()), (NOT_READ, 2));
    }
}

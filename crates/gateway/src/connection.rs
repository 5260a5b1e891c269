//! One client's connection: what the server knows about it, and the socket, watched.
//!
//! hyper does not poll a body that it cannot write, so a stalled client is not noticed by the body. It is noticed
//! here: the socket says since when it takes nothing, and the sweeper of `server` ends the connection.

use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::task::{Context, Poll, ready};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// Unsent bytes that the kernel may hold for a client: keeps memory small, and progress visible in small steps.
const UNSENT: u32 = 128 * 1024;

static START: LazyLock<Instant> = LazyLock::new(Instant::now);

/// A moment, or never. Milliseconds of a clock that only goes forward.
#[derive(Debug, Default)]
pub(crate) struct Since(AtomicU64);

impl Since {
    pub(crate) fn now() -> Self {
        let since = Self::default();
        since.set();
        since
    }
    /// Now.
    pub(crate) fn set(&self) {
        self.0.store(millis(), Relaxed);
    }
    /// Now, unless it was set already.
    fn set_first(&self) {
        _ = self.0.compare_exchange(0, millis(), Relaxed, Relaxed);
    }
    /// Never.
    pub(crate) fn clear(&self) {
        self.0.store(0, Relaxed);
    }
    /// How long ago; zero for never.
    pub(crate) fn elapsed(&self) -> Duration {
        match self.0.load(Relaxed) {
            0 => Duration::ZERO,
            then => Duration::from_millis(millis().saturating_sub(then)),
        }
    }
}

fn millis() -> u64 {
    u64::try_from(START.elapsed().as_millis()).unwrap_or(u64::MAX).saturating_add(1)
}

/// How long a client may take for what.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Without a request in flight.
    pub idle: Duration,
    /// Without taking a byte of a live body.
    pub live: Duration,
    /// Without taking a byte of any other body.
    pub recording: Duration,
}

/// What is known about a connection.
#[derive(Debug)]
pub(crate) struct Connection {
    /// Requests whose reply is not yet handed over whole.
    in_flight: AtomicUsize,
    idle: Since,
    blocked: Since,
    multiplexed: AtomicBool,
    hard: AtomicBool,
    bodies: Mutex<Vec<Weak<Progress>>>,
    end: CancellationToken,
}

/// How far a body is: since when it has handed over bytes without being asked for more.
#[derive(Debug)]
pub(crate) struct Progress {
    live: bool,
    pub(crate) unasked: Since,
}

impl Connection {
    pub(crate) fn new() -> Self {
        Self {
            in_flight: AtomicUsize::new(0),
            idle: Since::now(),
            blocked: Since::default(),
            multiplexed: AtomicBool::new(false),
            hard: AtomicBool::new(false),
            bodies: Mutex::default(),
            end: CancellationToken::new(),
        }
    }

    /// Counts a request until the guard is dropped.
    pub(crate) fn request(self: &Arc<Self>, version: http::Version) -> InFlight {
        self.in_flight.fetch_add(1, Relaxed);
        self.multiplexed.store(version == http::Version::HTTP_2, Relaxed);
        InFlight(self.clone())
    }

    /// Watches a body of media.
    pub(crate) fn body(&self, live: bool) -> Arc<Progress> {
        let progress = Arc::new(Progress { live, unasked: Since::default() });
        let mut bodies = self.bodies.lock().unwrap_or_else(PoisonError::into_inner);
        bodies.retain(|b| b.strong_count() > 0);
        bodies.push(Arc::downgrade(&progress));
        progress
    }

    /// The connection ends by a reset even where closing would look like the end of the body.
    pub(crate) fn cut_hard(&self) {
        self.hard.store(true, Relaxed);
    }

    /// Ends the connection at once.
    pub(crate) fn abort(&self) {
        self.cut_hard();
        self.end.cancel();
    }

    /// Waits until somebody wants the connection to end at once.
    pub(crate) async fn ended(&self) {
        self.end.cancelled().await;
    }

    /// Ends the connection if its client has been silent, or has taken nothing, for too long. Whether that broke a
    /// reply off.
    pub(crate) fn sweep(&self, patience: &Patience) -> bool {
        if self.end.is_cancelled() {
            return false;
        }
        if self.in_flight.load(Relaxed) == 0 && self.blocked.elapsed().is_zero() {
            if self.idle.elapsed() > patience.idle {
                self.end.cancel();
            }
            return false;
        }
        let stalled = self.is_stalled(patience);
        if stalled {
            tracing::debug!("a client has taken nothing for too long and is cut off");
            self.abort();
        }
        stalled
    }

    fn is_stalled(&self, patience: &Patience) -> bool {
        let bodies = self.bodies.lock().unwrap_or_else(PoisonError::into_inner);
        let bodies: Vec<_> = bodies.iter().filter_map(Weak::upgrade).collect();
        let limit = |live| if live { patience.live } else { patience.recording };
        // Of several bodies on one connection each has its own flow control; else only the socket counts.
        let starved = |b: &Arc<Progress>| b.unasked.elapsed() > limit(b.live);
        self.blocked.elapsed() > limit(bodies.iter().any(|b| b.live))
            || (self.multiplexed.load(Relaxed) && bodies.iter().any(starved))
    }
}

/// A request in flight.
#[derive(Debug)]
pub(crate) struct InFlight(Arc<Connection>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.idle.set();
        self.0.in_flight.fetch_sub(1, Relaxed);
    }
}

/// The socket.
pub(crate) struct Wire {
    stream: TcpStream,
    connection: Arc<Connection>,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream, connection: Arc<Connection>) -> Self {
        // Neither is worth refusing a client for.
        _ = stream.set_nodelay(true);
        _ = socket2::SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT);
        Self { stream, connection }
    }

    fn note(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        match &written {
            Poll::Pending => self.connection.blocked.set_first(),
            Poll::Ready(_) => self.connection.blocked.clear(),
        }
        written
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if self.connection.hard.load(Relaxed) {
            // If this fails, the close is an ordinary one.
            _ = socket2::SockRef::from(&self.stream).set_linger(Some(Duration::ZERO));
        }
    }
}

impl AsyncRead for Wire {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl AsyncWrite for Wire {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, buf);
        self.note(written)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bufs);
        self.note(written)
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.connection.hard.load(Relaxed) {
            // An orderly end is what must not be seen; dropping the socket does the rest.
            return Poll::Ready(Ok(()));
        }
        ready!(Pin::new(&mut self.stream).poll_shutdown(cx))?;
        Poll::Ready(Ok(()))
    }
}

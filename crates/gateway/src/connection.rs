//! One client's connection: what the server knows about it.
//!
//! hyper does not poll a body that it cannot write, so a stalled client is not noticed by the body. It is noticed
//! here: the socket (`wire`) says since when it takes nothing, and the sweeper of `server` ends the connection.

use crate::library::FrameReader;
use crate::wire::Outgoing;
use axum::body::Body;
use livetape_audio::RecordingId;
use std::fmt;
use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, Weak};
use std::time::{Duration, Instant};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

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
    /// How long ago; `None` for never.
    pub(crate) fn elapsed(&self) -> Option<Duration> {
        match self.0.load(Relaxed) {
            0 => None,
            then => Some(Duration::from_millis(millis().saturating_sub(then))),
        }
    }
    fn is_longer_than(&self, patience: Duration) -> bool {
        self.elapsed().is_some_and(|elapsed| elapsed > patience)
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
    /// Who is at its other end: the client, or a proxy.
    pub(crate) peer: IpAddr,
    /// Requests whose reply is not yet handed over whole.
    in_flight: AtomicUsize,
    idle: Since,
    blocked: Since,
    multiplexed: AtomicBool,
    hard: AtomicBool,
    bodies: Mutex<Vec<Weak<Progress>>>,
    end: CancellationToken,
    /// What the socket sends from the disk.
    pub(crate) outgoing: Outgoing,
    reader: Kept,
    endless: Endless,
}

/// The reader of the last request: most clients ask for range after range of one recording.
#[derive(Default)]
struct Kept(Mutex<Option<(RecordingId, Box<dyn FrameReader>)>>);

impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Kept")
    }
}

/// A body whose head is being sent, to be gone on with by `endless`.
#[derive(Debug, Default)]
struct Endless {
    body: Mutex<Option<(Body, bool)>>,
    waits: AtomicBool,
    begins: Notify,
}

/// How far a body is: since when it has handed over bytes without being asked for more.
#[derive(Debug)]
pub(crate) struct Progress {
    live: bool,
    pub(crate) unasked: Since,
}

impl Connection {
    pub(crate) fn new(peer: IpAddr) -> Self {
        Self {
            peer,
            in_flight: AtomicUsize::new(0),
            idle: Since::now(),
            blocked: Since::default(),
            multiplexed: AtomicBool::new(false),
            hard: AtomicBool::new(false),
            bodies: Mutex::default(),
            end: CancellationToken::new(),
            outgoing: Outgoing::default(),
            reader: Kept::default(),
            endless: Endless::default(),
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

    /// The reader that was kept, if it reads this recording.
    pub(crate) fn reader_of(&self, id: RecordingId) -> Option<Box<dyn FrameReader>> {
        let kept = self.reader.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        kept.and_then(|(of, reader)| (of == id).then_some(reader))
    }

    /// Keeps a reader for the next request. It may hold a deleted recording on the disk for as long as the connection may
    /// be idle.
    pub(crate) fn keep_reader(&self, id: RecordingId, reader: Box<dyn FrameReader>) {
        *self.reader.0.lock().unwrap_or_else(PoisonError::into_inner) = Some((id, reader));
    }

    /// Takes a body over from hyper, as soon as its head is out; `chunked` if its pieces are framed.
    pub(crate) fn take_over(&self, body: Body, chunked: bool) {
        *self.endless.body.lock().unwrap_or_else(PoisonError::into_inner) = Some((body, chunked));
        self.endless.waits.store(true, Relaxed);
    }

    /// Everything that hyper has written is out.
    pub(crate) fn flushed(&self) {
        if self.endless.waits.swap(false, Relaxed) {
            self.endless.begins.notify_one();
        }
    }

    /// Waits for a body to go on with.
    pub(crate) async fn taken_over(&self) -> (Body, bool) {
        loop {
            self.endless.begins.notified().await;
            let body = self.endless.body.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(body) = body {
                return body;
            }
        }
    }

    /// The socket takes nothing now, or takes something again.
    pub(crate) fn note_blocked(&self, blocked: bool) {
        if blocked {
            self.blocked.set_first();
        } else if self.blocked.elapsed().is_some() {
            // What was handed over whole may take a while to leave.
            self.idle.set();
            self.blocked.clear();
        }
    }

    /// Whether the connection is to end by a reset.
    pub(crate) fn is_cut_hard(&self) -> bool {
        self.hard.load(Relaxed)
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
        if self.in_flight.load(Relaxed) == 0 && self.blocked.elapsed().is_none() {
            if self.idle.is_longer_than(patience.idle) {
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
        let starved = |b: &Arc<Progress>| b.unasked.is_longer_than(limit(b.live));
        self.blocked.is_longer_than(limit(bodies.iter().any(|b| b.live)))
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;
    use std::thread::sleep;

    #[test]
    fn who_still_takes_what_was_sent_is_not_idle() {
        let (tick, long) = (Duration::from_millis(100), Duration::from_secs(60));
        let patience = Patience { idle: tick, live: long, recording: long };
        let connection = Arc::new(Connection::new(Ipv4Addr::LOCALHOST.into()));
        // The reply has been handed over whole, and lies in buffers.
        drop(connection.request(http::Version::HTTP_11));
        let is_over = |connection: &Connection| {
            connection.sweep(&patience);
            connection.end.is_cancelled()
        };
        for _ in 0..3 {
            connection.note_blocked(true);
            assert!(!is_over(&connection), "it has only just begun to wait");
            sleep(tick * 2);
            assert!(!is_over(&connection));
            connection.note_blocked(false);
            assert!(!is_over(&connection), "it has just taken something");
        }
        sleep(tick * 2);
        assert!(is_over(&connection));
    }
}

//! The way to the recorder: addresses, settings of connections, patience, and waiting between tries.

use livetape_proto::{AddressError, RecorderAddress, RecorderChannel};
use livetape_service::metrics::{Counter, Gauge, Metrics, MetricsError};
use livetape_service::propagation;
use std::error::Error;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tonic::{Code, Request, Status};
use tracing::Span;

/// How long a connection, or one answer, may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// A connection is probed this often, and given up when a probe is not answered for as long.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// Room for PCM that is under way: the default of 64 KiB stalls on a real network.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 16 << 20;
/// Shortest and longest wait between two tries. A recorder that was away for 3 s is found before the 4 s that players keep are
/// over.
pub(crate) const FIRST_WAIT: Duration = Duration::from_millis(100);
pub(crate) const LONGEST_WAIT: Duration = Duration::from_millis(500);

/// Why a recorder cannot be followed: a setting is wrong.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// Not an address of a recorder.
    #[error("{0} (LIVETAPE_RECORDER_URL)")]
    Url(#[from] AddressError),
    /// The data folder cannot be read.
    #[error(
        "the data folder (LIVETAPE_DATA_DIR) cannot be read: {0}; give the folder of the recorder, or read through it (LIVETAPE_READ=recorder)"
    )]
    Dir(#[from] livetape_store::StoreError),
    /// Something cannot be counted, which is a bug.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
}

/// A connection that is made when it is needed, and made again when it broke. Needs a tokio runtime.
pub(crate) fn channel(recorder: &RecorderAddress) -> Result<RecorderChannel, RemoteError> {
    let endpoint = recorder.endpoint()?.with(|endpoint| {
        endpoint
            .connect_timeout(PATIENCE)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE)
            .keep_alive_while_idle(true)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
    });
    Ok(recorder.over(endpoint.connect_lazy()))
}

/// A request that the recorder, too, gives up in time. It goes on in the trace of what it is asked for.
pub(crate) fn limited<T>(patience: Duration, message: T) -> Request<T> {
    let mut request = Request::new(message);
    request.set_timeout(patience);
    propagation::to_metadata(&Span::current(), request.metadata_mut());
    request
}

/// What an answer comes to, if it comes in time.
pub(crate) async fn within<T>(
    patience: Duration,
    answer: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    let late = |_| Status::deadline_exceeded(format!("the recorder has not answered for {patience:?}"));
    tokio::time::timeout(patience, answer).await.unwrap_or_else(|elapsed| Err(late(elapsed)))
}

/// The library says "out of range" of an answer over its limit, which from a recorder is about what was asked.
pub(crate) fn not_too_large(status: Status) -> Status {
    match status.code() {
        Code::OutOfRange if status.message().contains("message length too large") => Status::internal(status.message()),
        _ => status,
    }
}

/// Code and text of a status, and of what caused it.
pub(crate) fn whole(status: &Status) -> String {
    let mut text = format!("{:?}: {}", status.code(), status.message());
    let mut cause = status.source();
    for _ in 0..8 {
        let Some(error) = cause else { break };
        let said = error.to_string();
        if !text.ends_with(&said) {
            text = format!("{text}: {said}");
        }
        cause = error.source();
    }
    text.chars().take(500).collect()
}

/// Whether there is contact with the recorder: its catalogue is followed. For those who watch.
pub(crate) struct Contact {
    pub(crate) metrics: Metrics,
    connected: Gauge,
    reconnects: Counter,
    once: AtomicBool,
}

impl Contact {
    pub(crate) fn new() -> Result<Self, MetricsError> {
        let metrics = Metrics::default();
        let connected = "1 while the recorder tells what there is.";
        let reconnects = "How often the recorder was found again after it had been lost.";
        Ok(Self {
            connected: metrics.gauge("livetape_gateway_recorder_connected", connected)?,
            reconnects: metrics.counter("livetape_gateway_recorder_reconnects_total", reconnects)?,
            once: AtomicBool::new(false),
            metrics,
        })
    }

    /// It has told all that there is, and tells what changes.
    pub(crate) fn made(&self) {
        if self.connected.get() == 0 {
            self.connected.set(1);
            if self.once.swap(true, Ordering::Relaxed) {
                self.reconnects.inc();
            }
        }
    }

    /// It does not.
    pub(crate) fn lost(&self) {
        self.connected.set(0);
    }

    /// Tells whether there is contact.
    pub(crate) fn probe(&self) -> impl Fn() -> bool + Send + Sync + 'static {
        let connected = self.connected.clone();
        move || connected.get() == 1
    }
}

/// Something that is tried until it works, and how often that was said.
pub(crate) struct Tries {
    what: &'static str,
    failing: bool,
    next: Duration,
}

impl Tries {
    pub(crate) const fn new(what: &'static str) -> Self {
        Self { what, failing: false, next: FIRST_WAIT }
    }

    /// It works.
    pub(crate) fn works(&mut self) {
        if std::mem::take(&mut self.failing) {
            tracing::info!("again: {}", self.what);
        }
        self.next = FIRST_WAIT;
    }

    /// It does not. Said once, then waited for: longer each time, up to 0.5 s, and never in step with others.
    pub(crate) async fn failed(&mut self, why: &Status) {
        let error = whole(why);
        if std::mem::replace(&mut self.failing, true) {
            tracing::debug!(error, "still not: {}", self.what);
        } else {
            tracing::warn!(error, "tried until it works: {}", self.what);
        }
        let wait = self.next;
        self.next = wait.saturating_mul(2).min(LONGEST_WAIT);
        let unit = f64::from(RandomState::new().build_hasher().finish() as u32) / f64::from(u32::MAX);
        tokio::time::sleep(wait.mul_f64(0.5 + unit / 2.0)).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn addresses() {
        assert!(channel(&"http://127.0.0.1:7070".into()).is_ok());
        for bad in ["", "127.0.0.1:7070", "ftp://recorder:7070", "http://", "http://a b"] {
            let error = channel(&bad.into()).err().map(|e| e.to_string());
            assert!(error.is_some_and(|e| e.contains("http://recorder:7070")), "{bad}");
        }
    }

    #[test]
    fn a_status_tells_its_cause() {
        let status = Status::from_error(Box::new(std::io::Error::other("cable")));
        assert!(whole(&status).contains("cable"), "{}", whole(&status));
        assert!(whole(&Status::not_found("x".repeat(5_000))).len() <= 500);
    }
}

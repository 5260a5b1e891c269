//! One source on its way to the recorder: capture on one side, the connection on the other, the uplink between them.
//!
//! Capture goes on while the connection is away. When the process is asked to stop, capture stops at once and what is
//! not acknowledged gets a bounded time to arrive; the recording is not ended by that. It is ended when the source ends
//! by itself.

use crate::backoff::Backoff;
use crate::link::{Link, Trouble};
use crate::random::Random;
use crate::sources::{Piece, Source, SourceError};
use crate::status::Status;
use crate::uplink::{Uplink, UplinkError};
use livetape_audio::Frame;
use livetape_proto::Opening;
use std::ops::RangeInclusive;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic::transport::Endpoint;

/// How long to wait for what.
#[derive(Clone, Debug)]
pub struct Timing {
    /// For a connection, and again for the answer to an open.
    pub open: Duration,
    /// For an acknowledgement while audio waits for one; then the connection counts as dead.
    pub acknowledgement: Duration,
    /// Between two tries to connect: the first wait and the longest.
    pub backoff: RangeInclusive<Duration>,
    /// When stopping: for everything captured to become durable.
    pub flush: Duration,
}

impl Default for Timing {
    /// 5 s, 10 s, 100 ms to 2 s, 3 s.
    fn default() -> Self {
        Self {
            open: Duration::from_secs(5),
            acknowledgement: Duration::from_secs(10),
            backoff: Duration::from_millis(100)..=Duration::from_secs(2),
            flush: Duration::from_secs(3),
        }
    }
}

/// Why a session ended.
#[derive(Debug, thiserror::Error)]
pub enum SessionError {
    /// The source failed.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The source yielded nonsense.
    #[error(transparent)]
    Uplink(#[from] UplinkError),
    /// Another source has opened the stream.
    #[error("another source has taken the stream over, so this one stops: {0}")]
    Superseded(String),
    /// The recorder will never take this.
    #[error("the recorder refuses this source: {0}")]
    Refused(String),
}

/// What capture and connection share.
pub(crate) struct Shared {
    uplink: Mutex<Uplink>,
    /// Something was pushed, or `draining` was set.
    pub(crate) changed: Notify,
    /// Nothing more will be captured, and the recording is not to be ended.
    draining: AtomicBool,
    status: watch::Sender<Status>,
}

impl Shared {
    fn new(uplink: Uplink, status: watch::Sender<Status>) -> Self {
        Self { uplink: Mutex::new(uplink), changed: Notify::new(), draining: AtomicBool::new(false), status }
    }

    /// Does something with the uplink and shows the outcome. Never held across a wait.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut Uplink) -> T) -> T {
        // The uplink is whole between any two calls, so a panic elsewhere cannot have broken it.
        let mut uplink = self.uplink.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = act(&mut uplink);
        let status = uplink.status();
        self.status.send_if_modified(|shown| std::mem::replace(shown, status) != status);
        outcome
    }

    /// Whether there is nothing left to do.
    pub(crate) fn drained(&self) -> bool {
        self.draining.load(Ordering::Acquire) && self.with(|uplink| uplink.is_settled())
    }

    fn drain(&self) {
        self.draining.store(true, Ordering::Release);
        self.changed.notify_one();
    }

    pub(crate) async fn until_drained(&self) {
        while !self.drained() {
            self.changed.notified().await;
        }
    }
}

/// Everything that one session needs but its source.
pub(crate) struct Session {
    pub(crate) endpoint: Endpoint,
    pub(crate) opening: Opening,
    pub(crate) timing: Timing,
    /// Most bytes of audio that wait for the recorder.
    pub(crate) queue_bytes: u64,
    pub(crate) status: watch::Sender<Status>,
}

enum Capturing {
    Ended,
    Stopped,
}

impl Session {
    /// Runs until the source has ended and the recording is sealed, or until `shutdown` and the flush after it.
    pub(crate) async fn run(self, source: impl Source, shutdown: CancellationToken) -> Result<(), SessionError> {
        let shared = Shared::new(Uplink::new(source.spec(), self.queue_bytes), self.status);
        let (opened, first) = oneshot::channel();
        let mut link = Link::new(self.endpoint, self.opening, self.timing.clone(), opened);
        let mut deliver = pin!(keep_delivering(&mut link, &shared, &self.timing));

        let captured = tokio::select! {
            captured = capture(source, first, &shared, &shutdown) => captured,
            // It ends by itself only when going on is pointless.
            delivered = &mut deliver => return delivered,
        };
        match captured {
            Ok(Capturing::Ended) => {
                shared.with(Uplink::end);
                shared.changed.notify_one();
            }
            Ok(Capturing::Stopped) | Err(_) => shared.drain(),
        }
        let late = async {
            shutdown.cancelled().await;
            sleep(self.timing.flush).await;
        };
        let delivered = tokio::select! {
            delivered = deliver => delivered,
            () = late => {
                let waiting = shared.with(|uplink| uplink.status()).waiting();
                tracing::warn!(frames = %waiting, "stopped before the recorder had acknowledged everything");
                Ok(())
            }
        };
        captured?;
        delivered
    }
}

/// Moves what the source yields into the uplink, from the moment at which the recorder has said its next frame.
async fn capture(
    mut source: impl Source,
    first: oneshot::Receiver<Frame>,
    shared: &Shared,
    shutdown: &CancellationToken,
) -> Result<Capturing, SessionError> {
    tokio::select! {
        biased;
        () = shutdown.cancelled() => return Ok(Capturing::Stopped),
        // The sender lives as long as the connection is tried, and this future is dropped with it.
        Ok(first) = first => source.begin(first),
        else => return Ok(Capturing::Stopped),
    }
    let mut given_up = shared.with(|uplink| uplink.status()).given_up;
    loop {
        let piece = tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(Capturing::Stopped),
            piece = source.next() => piece?,
        };
        match piece {
            Some(Piece::Audio(chunk)) => shared.with(|uplink| uplink.push(chunk))?,
            Some(Piece::Gap(lost)) => {
                tracing::warn!(frames = %lost.frames, reason = lost.reason.as_str(), "audio was lost before it was captured");
                shared.with(|uplink| uplink.gap(lost));
            }
            None => return Ok(Capturing::Ended),
        }
        let now = shared.with(|uplink| uplink.status()).given_up;
        if given_up.is_zero() && !now.is_zero() {
            tracing::warn!("too much audio waits for the recorder: the oldest is given up from here on");
        }
        given_up = now;
        shared.changed.notify_one();
    }
}

/// Calls the recorder again and again, until the source's end is recorded or nothing is left to flush.
async fn keep_delivering(link: &mut Link, shared: &Shared, timing: &Timing) -> Result<(), SessionError> {
    let mut backoff = Backoff::new(timing.backoff.clone(), Random::seeded());
    let mut told = None;
    loop {
        let mut progress = || {
            backoff.reset();
            if let Some(trouble) = told.take() {
                tracing::info!(after = %trouble, "the recorder takes audio again");
            }
        };
        let trouble = match link.call(shared, &mut progress).await {
            Ok(()) => return Ok(()),
            Err(Trouble::Final(error)) => return Err(error),
            Err(Trouble::Passing(trouble)) => trouble,
        };
        shared.with(Uplink::disconnected);
        if told.as_ref() != Some(&trouble) {
            tracing::warn!("{trouble}; capturing goes on and the audio is kept");
            told = Some(trouble);
        }
        tokio::select! {
            () = sleep(backoff.wait()) => {}
            () = shared.until_drained() => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;

//! One source on its way to the recorder: capture on one side, the connection on the other, the uplink between them.
//!
//! Capture goes on while the connection is away, and begins without it where waiting would lose something: in memory alone, until the
//! recorder has said whether it wants that. When the process is asked to stop, capture stops at once and what is
//! not acknowledged gets a bounded time to arrive; the recording is not ended by that. It is ended when the source ends
//! by itself. With a spool, what has not arrived by then stays there, and the next process begins with it: as the same
//! source, with a gap for the time in between, or before anything else if the source has ended or its audio has
//! another shape now.

use crate::backoff::Backoff;
use crate::link::{Destination, Link, Publisher, Trouble};
use crate::random::Random;
use crate::sources::{Piece, Source, SourceError};
use crate::spool::{Folder, Identity, Spool};
use crate::status::Status;
use crate::uplink::{Restored, Store, Uplink, UplinkError};
use livetape_audio::{Drift, Frame, Spec};
use livetape_proto::{MAX_CLOCK_DRIFT_PPB, Opening};
use std::ops::RangeInclusive;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::{Handle, RuntimeFlavor};
use tokio::sync::{Notify, oneshot, watch};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

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
    /// 5 s, 10 s, 100 ms to 0.5 s, 3 s: after a short restart of the recorder nobody who listens has to wait.
    fn default() -> Self {
        Self {
            open: Duration::from_secs(5),
            acknowledgement: Duration::from_secs(10),
            backoff: Duration::from_millis(100)..=Duration::from_millis(500),
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

/// A source that is known from before, or cannot wait, begins without the recorder's next frame if that does not come in this time.
const BEGIN_PATIENCE: Duration = Duration::from_secs(1);

/// What capture and connection share.
pub(crate) struct Shared {
    uplink: Mutex<Uplink>,
    /// Whether the uplink uses the disk.
    spooled: bool,
    /// Something was pushed, or `draining` was set.
    pub(crate) changed: Notify,
    /// Nothing more will be captured, and the recording is not to be ended.
    draining: AtomicBool,
    /// The source has begun.
    capturing: AtomicBool,
    status: watch::Sender<Status>,
}

impl Shared {
    fn new(uplink: Uplink, status: watch::Sender<Status>) -> Self {
        let spooled = uplink.has_store();
        let uplink = Mutex::new(uplink);
        let (draining, capturing) = (AtomicBool::new(false), AtomicBool::new(false));
        Self { uplink, spooled, changed: Notify::new(), draining, capturing, status }
    }

    /// Does something with the uplink and shows the outcome. Never held across a wait. With a spool, the disk may take
    /// its time.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut Uplink) -> T) -> T {
        let act = || {
            // The uplink is whole between any two calls, so a panic elsewhere cannot have broken it.
            let mut uplink = self.uplink.lock().unwrap_or_else(PoisonError::into_inner);
            let outcome = act(&mut uplink);
            let status = uplink.status();
            self.status.send_if_modified(|shown| {
                let status = Status { begun: shown.begun, card: shown.card, ..status };
                std::mem::replace(shown, status) != status
            });
            outcome
        };
        let spread = || Handle::try_current().is_ok_and(|h| h.runtime_flavor() == RuntimeFlavor::MultiThread);
        if self.spooled && spread() { tokio::task::block_in_place(act) } else { act() }
    }

    /// How fast the clock of the source is, if that is known, and if a recorder believes it.
    pub(crate) fn drift(&self) -> Option<Drift> {
        let drift = self.status.borrow().card?.drift?.rounded();
        (drift.ppb().unsigned_abs() <= MAX_CLOCK_DRIFT_PPB).then_some(drift)
    }

    fn into_uplink(self) -> Uplink {
        self.uplink.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits while so much is to be sent that more might be given up, or while nothing is wanted.
    async fn until_room(&self) {
        let mut status = self.status.subscribe();
        let has_room = |uplink: &mut Uplink| uplink.has_room() && !uplink.is_standing_by();
        while !self.with(has_room) && status.changed().await.is_ok() {}
    }

    /// Whether anything was captured.
    fn has_begun(&self) -> bool {
        !self.with(|uplink| uplink.status()).captured.is_zero()
    }

    /// Whether there is nothing left to do.
    pub(crate) fn drained(&self) -> bool {
        let draining = self.draining.load(Ordering::Acquire);
        self.with(|uplink| uplink.is_over() || draining && uplink.is_settled())
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
    pub(crate) destination: Destination,
    pub(crate) opening: Opening,
    pub(crate) timing: Timing,
    /// Whether being asked to stop is the source's end.
    pub(crate) ends: bool,
    /// Most bytes of audio that wait for the recorder in memory.
    pub(crate) queue_bytes: u64,
    /// The spool's folder, and the most bytes in it.
    pub(crate) spool: Option<(Folder, u64)>,
    pub(crate) status: watch::Sender<Status>,
    /// Who sends, if others do.
    pub(crate) publisher: Publisher,
}

enum Capturing {
    Ended,
    Stopped,
}

/// What became of audio from before a restart.
enum Delivered {
    /// It is durable. The store is empty again, if it can be used.
    All(Option<Box<dyn Store>>),
    /// It stays where it is.
    Stopped,
}

impl Session {
    /// Runs until the source has ended and the recording is sealed, or until `shutdown` and the flush after it.
    pub(crate) async fn run(mut self, source: impl Source, shutdown: CancellationToken) -> Result<(), SessionError> {
        let (spool, before) = match self.spool.take() {
            Some((folder, max_bytes)) => self.open_spool(folder, max_bytes).await.unzip(),
            None => (None, None),
        };
        let mut store: Option<Box<dyn Store>> = spool.map(|spool| Box::new(spool) as _);
        let mut before = before.flatten();
        let over = before.take_if(|(identity, before)| before.ended || identity.spec != source.spec());
        if let Some((identity, restored)) = over
            && let Some(old) = store.take()
        {
            match self.deliver_before(old, identity, restored, &shutdown).await? {
                Delivered::All(cleared) => store = cleared,
                Delivered::Stopped => return Ok(()),
            }
        }
        let uplink = self.uplink(source.spec(), store, before);
        self.run_with(uplink, source, shutdown).await
    }

    fn uplink(&mut self, spec: Spec, store: Option<Box<dyn Store>>, before: Option<(Identity, Restored)>) -> Uplink {
        let uplink = Uplink::new(spec, self.queue_bytes);
        let Some(mut store) = store else { return uplink };
        let Some((identity, restored)) = before else {
            store.begin(self.opening.instance, spec);
            return uplink.with_store(store, None);
        };
        self.opening.instance = identity.instance;
        self.opening.resume = restored.numbers.recording;
        let mut uplink = uplink.with_store(store, Some(restored));
        let frames = uplink.status().waiting();
        tracing::info!(%frames, "going on after a restart: what was captured before is sent first, then a gap");
        uplink.restarted();
        uplink
    }

    /// The spool and what it holds; without one if it cannot be used, because live audio cannot wait.
    async fn open_spool(&self, folder: Folder, max_bytes: u64) -> Option<(Spool, Option<(Identity, Restored)>)> {
        let fresh = Identity { instance: self.opening.instance, spec: self.opening.spec };
        let opened = tokio::task::spawn_blocking(move || Spool::open(folder, max_bytes, fresh)).await;
        match opened {
            Ok(Ok(opened)) => Some(opened),
            Ok(Err(error)) => {
                tracing::error!("{error}; capturing without a spool, with memory alone");
                None
            }
            Err(panic) => {
                tracing::error!("looking through the spool failed: {panic}; capturing with memory alone");
                None
            }
        }
    }

    /// Delivers what a process before has left and what this one cannot go on with, as that source.
    async fn deliver_before(
        &self,
        store: Box<dyn Store>,
        identity: Identity,
        restored: Restored,
        shutdown: &CancellationToken,
    ) -> Result<Delivered, SessionError> {
        let Identity { instance, spec } = identity;
        let ended = restored.ended;
        let opening = Opening { instance, spec, resume: restored.numbers.recording, ..self.opening.clone() };
        let uplink = Uplink::new(spec, self.queue_bytes).with_store(store, Some(restored));
        let frames = uplink.status().waiting();
        if ended || !frames.is_zero() {
            tracing::warn!(%frames, %spec, ended, "audio from before a restart goes first; nothing is captured until it is delivered");
        }
        let shared = Shared::new(uplink, self.status.clone());
        if !ended {
            shared.drain();
        }
        let nobody = watch::channel(None).1;
        let mut link = Link::new(self.destination.clone(), opening, self.timing.clone(), None, nobody, None);
        tokio::select! {
            delivered = keep_delivering(&mut link, &shared, &self.timing) => delivered?,
            () = shutdown.cancelled() => return Ok(Delivered::Stopped),
        }
        let mut store = shared.into_uplink().into_store();
        if let Some(Err(error)) = store.as_mut().map(|store| store.clear()) {
            tracing::error!("{error}; capturing without a spool, with memory alone");
            store = None;
        }
        Ok(Delivered::All(store))
    }

    async fn run_with(
        self,
        uplink: Uplink,
        source: impl Source,
        shutdown: CancellationToken,
    ) -> Result<(), SessionError> {
        // Numbers of a process before say about where the recorder is. Without, a stream that begins is as good a guess as any.
        let begins = self.opening.resume.is_some() || !source.waits_for_answer();
        let known = begins.then(|| uplink.upcoming());
        let shared = Shared::new(uplink, self.status);
        let (opened, first) = oneshot::channel();
        let (timing, desk) = (self.timing.clone(), source.desk());
        let mut link = Link::new(self.destination, self.opening, timing, Some(opened), self.publisher, desk);
        let mut deliver = pin!(keep_delivering(&mut link, &shared, &self.timing));

        let captured = tokio::select! {
            captured = capture(source, first_number(first, known), &shared, &shutdown) => captured,
            // It ends by itself only when going on is pointless.
            delivered = &mut deliver => {
                shared.with(|uplink| uplink.save_all(None));
                return delivered;
            }
        };
        match captured {
            Ok(Capturing::Stopped) if !(self.ends && shared.has_begun()) => shared.drain(),
            Ok(_) => {
                shared.with(Uplink::end);
                shared.changed.notify_one();
            }
            Err(_) => shared.drain(),
        }
        let late = async {
            shutdown.cancelled().await;
            sleep(self.timing.flush).await;
        };
        let delivered = tokio::select! {
            delivered = deliver => delivered,
            () = late => {
                let status = shared.with(|uplink| {
                    uplink.save_all(None);
                    uplink.status()
                });
                let (frames, spooled) = (status.waiting(), status.spooled);
                tracing::warn!(%frames, %spooled, "stopped before the recorder had acknowledged everything");
                Ok(())
            }
        };
        captured?;
        delivered
    }
}

/// The number of the first frame: as the recorder says; if that is away, as it is `known` from before.
async fn first_number(first: oneshot::Receiver<Frame>, known: Option<Frame>) -> Option<Frame> {
    match known {
        None => first.await.ok(),
        Some(known) => match tokio::time::timeout(BEGIN_PATIENCE, first).await {
            Ok(first) => first.ok(),
            Err(_) => {
                tracing::warn!("the recorder has not answered so far: capturing begins, and the audio is kept");
                Some(known)
            }
        },
    }
}

/// Moves what the source yields into the uplink, from the moment at which its first frame has a number.
async fn capture(
    mut source: impl Source,
    first: impl Future<Output = Option<Frame>>,
    shared: &Shared,
    shutdown: &CancellationToken,
) -> Result<Capturing, SessionError> {
    tokio::select! {
        biased;
        () = shutdown.cancelled() => return Ok(Capturing::Stopped),
        // The sender lives as long as the connection is tried, and this future is dropped with it.
        Some(first) = first => {
            source.begin(first);
            shared.capturing.store(true, Ordering::Release);
        }
        else => return Ok(Capturing::Stopped),
    }
    let mut given_up = shared.with(|uplink| uplink.status()).given_up;
    loop {
        let next = async {
            if source.can_wait() {
                shared.until_room().await;
            }
            source.next().await
        };
        let piece = tokio::select! {
            biased;
            () = shutdown.cancelled() => return Ok(Capturing::Stopped),
            piece = next => piece?,
        };
        match piece {
            Some(Piece::Audio(chunk)) => shared.with(|uplink| uplink.push(chunk, Instant::now()))?,
            Some(Piece::Gap(lost)) => {
                tracing::warn!(frames = %lost.frames, reason = lost.reason.as_str(), "audio was lost before it was captured");
                shared.with(|uplink| uplink.gap(lost));
            }
            Some(Piece::Title(title)) => shared.with(|uplink| uplink.title(title)),
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
            if let Some((trouble, _)) = told.take() {
                tracing::info!(after = %trouble, "the recorder takes audio again");
            }
        };
        let trouble = match link.call(shared, &mut progress).await {
            Ok(()) => return Ok(()),
            Err(Trouble::Final(error)) => return Err(error),
            Err(Trouble::OtherSender) => {
                shared.with(Uplink::disconnected);
                continue;
            }
            Err(Trouble::Passing(trouble)) => trouble,
        };
        shared.with(Uplink::disconnected);
        let meanwhile = match shared.capturing.load(Ordering::Acquire) {
            true => "capturing goes on and the audio is kept",
            false => "nothing is captured meanwhile",
        };
        if told.as_ref().is_none_or(|(before, how)| *before != trouble || *how != meanwhile) {
            tracing::warn!("{trouble}; {meanwhile}");
            told = Some((trouble, meanwhile));
        }
        tokio::select! {
            () = sleep(backoff.wait()) => {}
            () = shared.until_drained() => return Ok(()),
        }
    }
}

#[cfg(test)]
mod tests;

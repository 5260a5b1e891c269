//! How a block comes about: whoever needs it gets ready (a turn, and the audio that it is made of), and the first who is begins it.
//!
//! What is heard in real time and what is downloaded get ready side by side, so that a listener never waits for what a download
//! waits for. A block that was begun is made, whoever has given up meanwhile: its turn lasts until it is.

use super::kept::Wanted;
use crate::library::ReadError;
use crate::metrics::Encoding as Instruments;
use bytes::Bytes;
use livetape_codec::encode::EncodeError;
use livetape_service::metrics::Held;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;
use tokio::sync::{Mutex, MutexGuard, OwnedSemaphorePermit, Semaphore, watch};

/// How far a block is.
#[derive(Debug, Default)]
pub(super) struct Making {
    state: watch::Sender<State>,
    /// Of those who listen and of those who download, one gets ready.
    live: Mutex<()>,
    downloads: Mutex<()>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Unmade,
    Begun,
    Over(Result<Bytes, String>),
}

impl Making {
    /// What was made.
    pub(super) fn made(&self) -> Option<Bytes> {
        match &*self.state.borrow() {
            State::Over(Ok(bytes)) => Some(bytes.clone()),
            State::Over(Err(_)) | State::Begun | State::Unmade => None,
        }
    }

    /// Waits until all before it of its kind are ready or have given up.
    pub(super) async fn first(&self, live: bool) -> MutexGuard<'_, ()> {
        if live { self.live.lock().await } else { self.downloads.lock().await }
    }

    /// Waits until somebody has begun it.
    pub(super) async fn begun(&self) {
        // It cannot end before `self` does.
        _ = self.state.subscribe().wait_for(|state| !matches!(state, State::Unmade)).await.map(drop);
    }

    /// Waits for it, once it was begun.
    pub(super) async fn over(&self) -> Result<Bytes, ReadError> {
        let mut state = self.state.subscribe();
        match state.wait_for(|state| matches!(state, State::Over(_))).await.as_deref() {
            Ok(State::Over(Ok(bytes))) => Ok(bytes.clone()),
            Ok(State::Over(Err(why))) => Err(failed(why.clone().into())),
            Ok(State::Unmade | State::Begun) | Err(_) => Err(failed("nobody makes it".into())),
        }
    }

    /// Whether nobody did before.
    fn begin(&self) -> bool {
        self.state.send_if_modified(|state| {
            let first = matches!(state, State::Unmade);
            if first {
                *state = State::Begun;
            }
            first
        })
    }
}

/// How many blocks are made at once.
pub(super) struct Turns {
    /// One permit for each block that is being made; those of downloads need one of fewer, too.
    pub(super) at_once: Arc<Semaphore>,
    pub(super) not_live: Arc<Semaphore>,
    /// Blocks that downloads wait for.
    downloads: Arc<AtomicUsize>,
    instruments: Instruments,
}

/// Somebody's turn to make a block.
pub(super) struct Turn {
    _download: Option<(Download, OwnedSemaphorePermit)>,
    _one: OwnedSemaphorePermit,
}

/// A block that a download waits for.
struct Download {
    downloads: Arc<AtomicUsize>,
    _held: Held,
}

impl Drop for Download {
    fn drop(&mut self) {
        self.downloads.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Turns {
    pub(super) fn new(threads: usize, instruments: Instruments) -> Self {
        Self {
            at_once: Arc::new(Semaphore::new(threads + 1)),
            not_live: Arc::new(Semaphore::new(threads.div_ceil(2))),
            downloads: Arc::default(),
            instruments,
        }
    }

    /// How many blocks downloads wait for.
    pub(super) fn downloads(&self) -> usize {
        self.downloads.load(Ordering::Relaxed)
    }

    /// Waits for a turn.
    pub(super) async fn turn(&self, live: bool) -> Result<Turn, ReadError> {
        let download = if live {
            None
        } else {
            self.downloads.fetch_add(1, Ordering::Relaxed);
            let _held = Held::new(&self.instruments.encoders);
            let download = Download { downloads: self.downloads.clone(), _held };
            Some((download, permit(&self.not_live).await?))
        };
        Ok(Turn { _download: download, _one: permit(&self.at_once).await? })
    }
}

async fn permit(semaphore: &Arc<Semaphore>) -> Result<OwnedSemaphorePermit, ReadError> {
    semaphore.clone().acquire_owned().await.map_err(|error| failed(error.into()))
}

/// Makes a block on a thread of its own, if nobody else does.
pub(super) fn begin(
    wanted: &Wanted,
    turn: Turn,
    instruments: &Instruments,
    encode: impl FnOnce() -> Result<Vec<u8>, EncodeError> + Send + 'static,
) {
    if !wanted.making().begin() {
        return;
    }
    let (wanted, codec, instruments) = (wanted.clone(), wanted.key().rendition.codec(), instruments.clone());
    let encoding = tokio::task::spawn_blocking(move || {
        let _turn = turn;
        let begun = Instant::now();
        let made = encode();
        if made.is_ok() {
            instruments.encoded(codec, begun.elapsed());
        }
        made
    });
    tokio::spawn(async move {
        let over = match encoding.await {
            Ok(Ok(made)) => Ok(Bytes::from(made)),
            Ok(Err(error)) => Err(error.to_string()),
            Err(panic) => Err(panic.to_string()),
        };
        wanted.making().state.send_replace(State::Over(over));
    });
}

#[cfg(test)]
impl Making {
    pub(super) fn set(&self, made: Bytes) {
        self.state.send_replace(State::Over(Ok(made)));
    }
}

pub(super) fn failed(why: Box<dyn std::error::Error + Send + Sync>) -> ReadError {
    ReadError::new("compressed audio", why)
}

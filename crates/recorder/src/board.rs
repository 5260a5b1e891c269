//! The tails of the open recordings, for those who ask this recorder. What is published goes on to the length store.

use crate::changes::Changes;
use livetape_audio::{RecordingId, Tail};
use livetape_tail::{Publisher, TailWatch, TracedChunk};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{broadcast, watch};

/// Traced chunks that wait for whoever watches them; there are few.
const TRACED: usize = 64;

/// How far every open recording goes.
pub(crate) struct Board {
    outer: Arc<dyn Publisher>,
    tails: Mutex<HashMap<RecordingId, watch::Sender<Tail>>>,
    /// Which tails have moved.
    pub(crate) changes: Changes<RecordingId>,
    /// Chunks that are in a trace.
    pub(crate) traced: broadcast::Sender<TracedChunk>,
}

impl Board {
    /// A board that tells `outer` everything, too.
    pub(crate) fn new(outer: Arc<dyn Publisher>) -> Self {
        Self { outer, tails: Mutex::default(), changes: Changes::default(), traced: broadcast::Sender::new(TRACED) }
    }

    fn tails(&self) -> MutexGuard<'_, HashMap<RecordingId, watch::Sender<Tail>>> {
        // The map is whole between any two statements.
        self.tails.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Makes a tail known. It never goes back: its recording has one owner.
    pub(crate) fn publish(&self, id: RecordingId, tail: Tail) {
        self.outer.publish(id, tail);
        self.tails().entry(id).or_insert_with(|| watch::Sender::new(tail)).send_replace(tail);
        self.changes.touch(id);
    }

    /// Forgets a recording that is sealed and in the catalogue.
    pub(crate) fn forget(&self, id: RecordingId) {
        self.outer.forget(id);
        self.tails().remove(&id);
        self.changes.touch(id);
    }

    /// Makes known that a chunk is in a trace.
    pub(crate) fn trace(&self, chunk: TracedChunk) {
        self.outer.trace(&chunk);
        // Mostly nobody wants to know.
        _ = self.traced.send(chunk);
    }

    /// Follows a tail; `None` if the recording is not open.
    pub(crate) fn watch(&self, id: RecordingId) -> Option<TailWatch> {
        self.tails().get(&id).map(|tail| TailWatch::new(tail.subscribe()))
    }

    /// How far a recording goes, if it is open.
    pub(crate) fn get(&self, id: RecordingId) -> Option<Tail> {
        self.tails().get(&id).map(|tail| *tail.borrow())
    }

    /// The open recordings.
    pub(crate) fn ids(&self) -> Vec<RecordingId> {
        self.tails().keys().copied().collect()
    }
}

//! The length store of one process.

use crate::{Publisher, TailWatch, Watch};
use livetape_audio::{RecordingId, Tail};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{PoisonError, RwLock};
use tokio::sync::watch;

/// Tails of the growing recordings, in memory. As many entries as recordings are open.
#[derive(Debug, Default)]
pub struct MemoryTails {
    tails: RwLock<HashMap<RecordingId, watch::Sender<Tail>>>,
}

impl Publisher for MemoryTails {
    fn publish(&self, recording: RecordingId, tail: Tail) {
        // The map is whole between any two statements, so a panic elsewhere cannot have broken it.
        let known = self.tails.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = known.get(&recording) {
            return replace(sender, recording, tail);
        }
        drop(known);
        match self.tails.write().unwrap_or_else(PoisonError::into_inner).entry(recording) {
            Entry::Occupied(sender) => replace(sender.get(), recording, tail),
            Entry::Vacant(place) => _ = place.insert(watch::Sender::new(tail)),
        }
    }

    fn forget(&self, recording: RecordingId) {
        self.tails.write().unwrap_or_else(PoisonError::into_inner).remove(&recording);
    }
}

fn replace(sender: &watch::Sender<Tail>, recording: RecordingId, tail: Tail) {
    sender.send_if_modified(|current| {
        if !current.may_become(&tail) {
            tracing::error!(%recording, ?current, refused = ?tail, "a tail may not go back");
            return false;
        }
        let new = *current != tail;
        *current = tail;
        new
    });
}

impl Watch for MemoryTails {
    fn watch(&self, recording: RecordingId) -> Option<TailWatch> {
        let known = self.tails.read().unwrap_or_else(PoisonError::into_inner);
        known.get(&recording).map(|sender| TailWatch::new(sender.subscribe()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn conforms() {
        let tails = MemoryTails::default();
        crate::conformance::all(&tails, &tails).await;
    }
}

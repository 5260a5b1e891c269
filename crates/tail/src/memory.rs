//! The length store of one process.

use crate::{Publisher, TailWatch, Watch};
use livetape_audio::{RecordingId, Tail};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::sync::{Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// Tails of the growing recordings, in memory. As many entries as recordings are open.
#[derive(Debug, Default)]
pub struct MemoryTails {
    tails: RwLock<Tails>,
}

type Tails = HashMap<RecordingId, Known>;

#[derive(Debug)]
struct Known {
    tail: watch::Sender<Tail>,
    /// When it was last spoken of.
    told: Mutex<Instant>,
}

impl MemoryTails {
    /// Takes over what one of several sources said, if it is news. Sources may lag behind each other, so what is older
    /// than what is known is no error.
    pub fn learn(&self, recording: RecordingId, tail: Tail) {
        self.replace(recording, tail, |_| {});
    }

    /// Forgets recordings that nobody has spoken of for this long and nobody follows.
    pub fn forget_silent(&self, silence: Duration) {
        self.write().retain(|_, known| known.tail.receiver_count() > 0 || known.told().elapsed() < silence);
    }

    /// Number of recordings that are known.
    pub fn len(&self) -> usize {
        self.read().len()
    }

    /// Whether no recording is known.
    pub fn is_empty(&self) -> bool {
        self.read().is_empty()
    }

    // The map is whole between any two statements, so a panic elsewhere cannot have broken it.
    fn read(&self) -> RwLockReadGuard<'_, Tails> {
        self.tails.read().unwrap_or_else(PoisonError::into_inner)
    }
    fn write(&self) -> RwLockWriteGuard<'_, Tails> {
        self.tails.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace(&self, recording: RecordingId, tail: Tail, refused: impl FnOnce(&Tail)) {
        let tails = self.read();
        if let Some(known) = tails.get(&recording) {
            return known.replace(tail, refused);
        }
        drop(tails);
        match self.write().entry(recording) {
            Entry::Occupied(known) => known.get().replace(tail, refused),
            Entry::Vacant(place) => {
                place.insert(Known { tail: watch::Sender::new(tail), told: Mutex::new(Instant::now()) });
            }
        }
    }
}

impl Known {
    fn told(&self) -> MutexGuard<'_, Instant> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn replace(&self, tail: Tail, refused: impl FnOnce(&Tail)) {
        *self.told() = Instant::now();
        self.tail.send_if_modified(|current| {
            if !current.may_become(&tail) {
                refused(current);
                return false;
            }
            let new = *current != tail;
            *current = tail;
            new
        });
    }
}

impl Publisher for MemoryTails {
    fn publish(&self, recording: RecordingId, tail: Tail) {
        self.replace(recording, tail, |current| {
            tracing::error!(%recording, ?current, refused = ?tail, "a tail may not go back");
        });
    }

    fn forget(&self, recording: RecordingId) {
        self.write().remove(&recording);
    }
}

impl Watch for MemoryTails {
    fn watch(&self, recording: RecordingId) -> Option<TailWatch> {
        self.read().get(&recording).map(|known| TailWatch::new(known.tail.subscribe()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use livetape_audio::{Durable, Frame, Generation};

    #[tokio::test]
    async fn conforms() {
        let tails = MemoryTails::default();
        crate::conformance::all(&tails, &tails).await;
    }

    #[test]
    fn forgets_what_was_forgotten_and_what_is_silent() {
        let tails = MemoryTails::default();
        let id = |n| RecordingId::new(n, &[1; 10]);
        let open = |end| Tail::open(Durable(Frame::new(end)), Generation(1));
        (1..=3).for_each(|n| tails.learn(id(n), open(5)));
        tails.learn(id(1), open(4));
        assert_eq!(tails.watch(id(1)).unwrap().current(), open(5), "what is old is no news");
        tails.forget(id(1));
        assert!(tails.watch(id(1)).is_none());
        let followed = tails.watch(id(2));
        tails.forget_silent(Duration::from_secs(60));
        assert_eq!(tails.len(), 2);
        tails.forget_silent(Duration::ZERO);
        assert!(tails.watch(id(2)).is_some() && tails.watch(id(3)).is_none(), "somebody follows the one");
        drop(followed);
        tails.forget_silent(Duration::ZERO);
        assert!(tails.is_empty());
    }
}

//! The length store of one process.

use crate::traced::Newest;
use crate::{Publisher, TailWatch, TracedChunk, Watch};
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
    traced: Newest,
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
                place.insert(Known {
                    tail: watch::Sender::new(tail),
                    told: Mutex::new(Instant::now()),
                    traced: Newest::default(),
                });
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

    fn trace(&self, chunk: &TracedChunk) {
        if let Some(known) = self.read().get(&chunk.recording) {
            known.traced.replace(chunk.clone());
        }
    }
}

impl Watch for MemoryTails {
    fn watch(&self, recording: RecordingId) -> Option<TailWatch> {
        self.read().get(&recording).map(|known| TailWatch::new(known.tail.subscribe()).with(&known.traced))
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
    fn a_traced_chunk_is_seen_by_those_who_follow_its_recording() {
        let tails = MemoryTails::default();
        let id = |n| RecordingId::new(n, &[1; 10]);
        let chunk = |n, first| TracedChunk { recording: id(n), first: Frame::new(first), traceparent: "00-1".into() };
        let frames = |from, to| Frame::new(from)..Frame::new(to);
        tails.learn(id(1), Tail::open(Durable(Frame::new(5)), Generation(1)));
        let watch = tails.watch(id(1)).unwrap();
        tails.trace(&chunk(2, 6));
        assert_eq!(watch.traced(&frames(0, 100)), None, "another recording, of which nothing is known");
        (6..9).for_each(|first| tails.trace(&chunk(1, first)));
        assert_eq!(watch.traced(&frames(5, 9)), Some(chunk(1, 8)), "the newest");
        assert_eq!((watch.traced(&frames(5, 8)), watch.traced(&frames(9, 12))), (None, None));
        assert_eq!(TailWatch::fixed(Tail::open(Durable(Frame::new(5)), Generation(1))).traced(&frames(5, 9)), None);
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

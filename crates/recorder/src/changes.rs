//! What has changed lately, for any number of watchers that never hold up who changes it.
//!
//! A change is a number and the key of what it is about, such as a recording; what that looks like now the watcher looks
//! up. So many changes of one thing that nobody has looked at are one, and a watcher that is late misses none of them,
//! unless more things than [`KEPT`] have changed meanwhile: then it is told to look at everything anew.

use std::collections::{BTreeMap, HashMap};
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

/// Keys whose last change is remembered.
const KEPT: usize = 8192;
/// Most changes that are told at once.
const AT_ONCE: usize = 256;

/// Where a watcher stands: it has seen all changes up to this one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Seen(u64);

/// The latest change of each `K`.
#[derive(Debug)]
pub(crate) struct Changes<K> {
    log: Mutex<Log<K>>,
    last: watch::Sender<Seen>,
    kept: usize,
}

#[derive(Debug)]
struct Log<K> {
    last: Seen,
    /// Up to here changes were forgotten.
    forgotten: Seen,
    by_number: BTreeMap<Seen, K>,
    by_id: HashMap<K, Seen>,
}

/// A watcher is so late that changes were forgotten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooLate;

impl<K: Clone + Eq + Hash> Default for Changes<K> {
    fn default() -> Self {
        Self::keeping(KEPT)
    }
}

impl<K: Clone + Eq + Hash> Changes<K> {
    pub(crate) fn keeping(kept: usize) -> Self {
        let (by_number, by_id) = (BTreeMap::new(), HashMap::new());
        let log = Log { last: Seen::default(), forgotten: Seen::default(), by_number, by_id };
        Self { log: Mutex::new(log), last: watch::Sender::default(), kept }
    }

    fn log(&self) -> MutexGuard<'_, Log<K>> {
        // Nothing between taking the lock and giving it back can panic.
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Something about this one is different now.
    pub(crate) fn touch(&self, id: K) {
        let mut log = self.log();
        let number = Seen(log.last.0.saturating_add(1));
        log.last = number;
        if let Some(before) = log.by_id.insert(id.clone(), number) {
            log.by_number.remove(&before);
        }
        log.by_number.insert(number, id);
        if log.by_number.len() > self.kept
            && let Some((number, id)) = log.by_number.pop_first()
        {
            log.by_id.remove(&id);
            log.forgotten = number;
        }
        self.last.send_replace(number);
    }

    /// Where a watcher stands that looks at everything from now on.
    pub(crate) fn now(&self) -> Seen {
        self.log().last
    }

    /// The next ones that have changed since, and where the watcher stands then. None, if none has.
    ///
    /// # Errors
    /// [`TooLate`]: look at everything anew, beginning with [`Changes::now`].
    pub(crate) fn since(&self, seen: Seen) -> Result<(Vec<K>, Seen), TooLate> {
        let log = self.log();
        if seen < log.forgotten {
            return Err(TooLate);
        }
        let news = log.by_number.range(Seen(seen.0.saturating_add(1))..).take(AT_ONCE);
        let (numbers, ids): (Vec<Seen>, Vec<K>) = news.map(|(number, id)| (*number, id.clone())).unzip();
        Ok((ids, numbers.last().copied().unwrap_or(seen)))
    }

    /// Waits for a change after this one.
    pub(crate) async fn after(&self, seen: Seen) {
        // Fails only when the sender is gone, which is here.
        let _ = self.last.subscribe().wait_for(|last| *last > seen).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use livetape_audio::RecordingId;

    fn id(n: u64) -> RecordingId {
        RecordingId::new(n, &[1; 10])
    }

    #[tokio::test]
    async fn who_is_late_misses_nothing_and_who_is_too_late_is_told() {
        let changes = Changes::keeping(3);
        let start = changes.now();
        for n in [1, 2, 1, 3, 1] {
            changes.touch(id(n));
        }
        changes.after(start).await;
        let (ids, seen) = changes.since(start).unwrap();
        assert_eq!(ids, [id(2), id(3), id(1)], "each once, in the order of the last changes");
        assert_eq!(changes.since(seen), Ok((vec![], seen)));
        changes.touch(id(4));
        assert_eq!(changes.since(start), Err(TooLate), "the change of 2 is forgotten");
        assert_eq!(changes.since(seen).map(|(ids, _)| ids), Ok(vec![id(4)]));
        (5..8).for_each(|n| changes.touch(id(n)));
        assert_eq!(changes.since(seen), Err(TooLate));
        assert_eq!(changes.since(changes.now()).map(|(ids, _)| ids), Ok(vec![]));
    }

    #[tokio::test]
    async fn many_changes_come_in_pieces() {
        let changes = Changes::default();
        (0..AT_ONCE as u64 + 1).for_each(|n| changes.touch(id(n)));
        let (first, seen) = changes.since(Seen::default()).unwrap();
        let (rest, _) = changes.since(seen).unwrap();
        assert_eq!((first.len(), rest), (AT_ONCE, vec![id(AT_ONCE as u64)]));
    }
}

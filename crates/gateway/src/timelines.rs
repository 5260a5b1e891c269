//! Timelines that are kept between requests, whatever they are read from: growing ones are read on, not anew.

use livetape_audio::{RecordingId, Tail};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Timelines that are kept; the one that was not used for longest makes room.
pub(crate) const KEPT: usize = 256;
/// Timelines that are read at once; each takes a file descriptor or a call meanwhile.
pub(crate) const READS: usize = 64;

/// How long it is not looked whether something was added about frames that are long known, as marks are.
const FRESH: Duration = Duration::from_secs(2);

/// Up to where a timeline was read, and when.
#[derive(Clone, Copy, Default)]
pub(crate) struct Upto(Option<(Tail, Instant)>);

impl Upto {
    /// It was read up to here, now.
    pub(crate) fn now(tail: Tail) -> Self {
        Self(Some((tail, Instant::now())))
    }

    /// Whether all is known that there was, some time ago, about the frames before this tail.
    pub(crate) fn covers(self, tail: &Tail) -> bool {
        self.0.is_some_and(|(upto, _)| upto.end >= tail.end && (upto.is_sealed() || !tail.is_sealed()))
    }

    /// Whether that was just now.
    pub(crate) fn is_fresh(self) -> bool {
        self.0.is_some_and(|(_, read)| read.elapsed() < FRESH)
    }
}

/// What is kept of each recording: a `T`, which one request at a time may read on.
pub(crate) struct Timelines<T>(Mutex<Kept<T>>);

struct Kept<T> {
    uses: u64,
    open: HashMap<RecordingId, (u64, Arc<tokio::sync::Mutex<T>>)>,
}

impl<T> Default for Timelines<T> {
    fn default() -> Self {
        Self(Mutex::new(Kept { uses: 0, open: HashMap::new() }))
    }
}

impl<T> Timelines<T> {
    /// What is kept of a recording, or what `begin` makes.
    pub(crate) fn open(&self, id: RecordingId, begin: impl FnOnce() -> T) -> Arc<tokio::sync::Mutex<T>> {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.uses += 1;
        let uses = kept.uses;
        if let Some((used, open)) = kept.open.get_mut(&id) {
            *used = uses;
            return open.clone();
        }
        if kept.open.len() >= KEPT
            && let Some(oldest) = kept.open.iter().min_by_key(|(_, (used, _))| *used).map(|(id, _)| *id)
        {
            kept.open.remove(&oldest);
        }
        let open = Arc::new(tokio::sync::Mutex::new(begin()));
        kept.open.insert(id, (uses, open.clone()));
        open
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_are_kept() {
        let id = |n: u64| RecordingId::new(n, &[1; 10]);
        let timelines = Timelines::default();
        for n in 0..KEPT as u64 {
            timelines.open(id(n), || ());
        }
        timelines.open(id(0), || ());
        timelines.open(id(1_000), || ());
        let open = &timelines.0.lock().unwrap().open;
        assert_eq!(open.len(), KEPT);
        assert!(open.contains_key(&id(0)) && !open.contains_key(&id(1)), "the least used went");
    }
}

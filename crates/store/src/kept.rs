//! What is kept in memory of the recordings that were used last. Not here: what that is, and how it is locked.

use livetape_audio::RecordingId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

/// A `T` for each of the recordings that were used last, at most so many.
#[derive(Debug)]
pub struct Kept<T> {
    most: usize,
    uses: Mutex<Uses<T>>,
}

#[derive(Debug)]
struct Uses<T> {
    count: u64,
    kept: HashMap<RecordingId, (u64, Arc<T>)>,
}

impl<T> Kept<T> {
    /// Keeps at most `most`, at least one; the one that was not used for longest makes room.
    pub fn new(most: usize) -> Self {
        Self { most, uses: Mutex::new(Uses { count: 0, kept: HashMap::new() }) }
    }

    /// What is kept of a recording, or what `begin` makes.
    pub fn open(&self, id: RecordingId, begin: impl FnOnce() -> T) -> Arc<T> {
        let mut uses = self.uses.lock().unwrap_or_else(PoisonError::into_inner);
        uses.count += 1;
        let count = uses.count;
        if let Some((used, kept)) = uses.kept.get_mut(&id) {
            *used = count;
            return Arc::clone(kept);
        }
        if uses.kept.len() >= self.most
            && let Some(oldest) = uses.kept.iter().min_by_key(|(_, (used, _))| *used).map(|(id, _)| *id)
        {
            uses.kept.remove(&oldest);
        }
        let new = Arc::new(begin());
        uses.kept.insert(id, (count, Arc::clone(&new)));
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_so_many_are_kept() {
        let id = |n: u64| RecordingId::new(n, &[1; 10]);
        let kept = Kept::new(16);
        for n in 0..16 {
            kept.open(id(n), || n);
        }
        assert_eq!(*kept.open(id(0), || 99), 0);
        kept.open(id(1_000), || 1_000);
        let uses = kept.uses.lock().unwrap();
        assert_eq!(uses.kept.len(), 16);
        assert!(uses.kept.contains_key(&id(0)) && !uses.kept.contains_key(&id(1)), "the least used went");
    }
}

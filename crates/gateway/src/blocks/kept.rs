//! Blocks that are kept, and those that somebody waits for. Least recently used ones go first.

use super::Key;
use super::making::Making;
use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// Bytes that are kept: some minutes of some dozens of renditions.
const KEPT: usize = 64 << 20;

#[derive(Clone, Default)]
pub(super) struct Kept(Arc<Mutex<Blocks>>);

#[derive(Default)]
struct Blocks {
    blocks: HashMap<Key, Entry>,
    used: BTreeMap<u64, Key>,
    uses: u64,
    bytes: usize,
}

#[derive(Default)]
struct Entry {
    making: Arc<Making>,
    used: u64,
    /// None while it is being made.
    bytes: usize,
    /// How many want it.
    wanted: usize,
}

/// Somebody who wants a block. If nobody does any more, and nobody has made it, there is nothing to keep.
pub(super) struct Wanted {
    kept: Kept,
    key: Key,
    making: Arc<Making>,
}

impl Kept {
    fn lock(&self) -> MutexGuard<'_, Blocks> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether a block is made.
    pub(super) fn is_there(&self, key: Key) -> bool {
        self.lock().blocks.get(&key).is_some_and(|entry| entry.bytes > 0)
    }

    pub(super) fn want(&self, key: Key) -> Wanted {
        let making = self.lock().want(key);
        Wanted { kept: self.clone(), key, making }
    }
}

impl Wanted {
    pub(super) const fn key(&self) -> Key {
        self.key
    }

    pub(super) fn making(&self) -> &Making {
        &self.making
    }
}

impl Clone for Wanted {
    fn clone(&self) -> Self {
        if let Some(entry) = self.kept.lock().own(self.key, &self.making) {
            entry.wanted += 1;
        }
        Self { kept: self.kept.clone(), key: self.key, making: self.making.clone() }
    }
}

impl Drop for Wanted {
    fn drop(&mut self) {
        self.kept.lock().leave(self.key, &self.making);
    }
}

impl Blocks {
    fn want(&mut self, key: Key) -> Arc<Making> {
        self.uses += 1;
        let entry = self.blocks.entry(key).or_default();
        self.used.remove(&entry.used);
        entry.used = self.uses;
        entry.wanted += 1;
        self.used.insert(self.uses, key);
        entry.making.clone()
    }

    /// The entry of a block, if it is still this one.
    fn own(&mut self, key: Key, making: &Arc<Making>) -> Option<&mut Entry> {
        self.blocks.get_mut(&key).filter(|entry| Arc::ptr_eq(&entry.making, making))
    }

    /// Somebody has it, or has given up.
    fn leave(&mut self, key: Key, making: &Arc<Making>) {
        let Some(entry) = self.own(key, making) else { return };
        entry.wanted -= 1;
        match making.made() {
            Some(made) if entry.bytes == 0 => {
                entry.bytes = made.len();
                self.bytes += made.len();
                self.shrink();
            }
            None if entry.wanted == 0 => {
                let used = entry.used;
                self.used.remove(&used);
                self.blocks.remove(&key);
            }
            Some(_) | None => {}
        }
    }

    fn shrink(&mut self) {
        while self.bytes > KEPT
            && let Some((_, oldest)) = self.used.pop_first()
        {
            self.bytes -= self.blocks.remove(&oldest).map_or(0, |entry| entry.bytes);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::key;
    use super::*;
    use bytes::Bytes;

    impl Kept {
        fn sizes(&self) -> (usize, usize, usize) {
            let kept = self.lock();
            (kept.blocks.len(), kept.used.len(), kept.bytes)
        }
    }

    #[test]
    fn what_was_used_least_recently_goes_first() {
        let (kept, quarter) = (Kept::default(), Bytes::from(vec![0; KEPT / 4]));
        let made = |n| kept.want(key(n)).making().set(quarter.clone());
        for n in 0..4 {
            made(n);
            made(n);
        }
        drop(kept.want(key(0)));
        let fifth = kept.want(key(4));
        assert_eq!(kept.sizes(), (5, 5, KEPT), "made twice, counted once; what is made is not forgotten");
        assert!(kept.is_there(key(0)) && !kept.is_there(key(4)));
        fifth.making().set(quarter.clone());
        drop(fifth);
        assert_eq!(kept.sizes(), (4, 4, KEPT));
        assert_eq!([0, 1, 2, 3, 4].map(|n| kept.is_there(key(n))), [true, false, true, true, true]);
    }

    #[test]
    fn who_hangs_up_leaves_nothing_behind() {
        let kept = Kept::default();
        let (first, second) = (kept.want(key(1)), kept.want(key(1)));
        let third = first.clone();
        drop(first);
        drop(second);
        assert_eq!(kept.sizes().0, 1, "somebody waits for it");
        drop(third);
        assert_eq!(kept.sizes(), (0, 0, 0));
        let forgotten = kept.want(key(1));
        *kept.lock() = Blocks::default();
        let another = kept.want(key(1));
        drop(forgotten);
        assert_eq!(kept.sizes().0, 1, "another one");
        another.making().set(Bytes::from_static(b"made"));
        drop(another);
        assert_eq!(kept.sizes(), (1, 1, 4));
    }
}

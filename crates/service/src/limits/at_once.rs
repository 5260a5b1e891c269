//! How much of something each client may have at once.

use super::cells::{Cells, Spots};
use super::{Exceeded, Limit};
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering::Relaxed};
use std::time::Duration;

/// When to come back: something has to end first, and nobody knows when.
const AGAIN: Duration = Duration::from_secs(5);

/// A limit on how much of something each client may have at once.
pub struct AtOnce {
    limit: Limit,
    most: u32,
    cells: Arc<Cells<AtomicU32>>,
}

/// What a client has, until this is dropped.
pub struct Place {
    cells: Arc<Cells<AtomicU32>>,
    places: Spots,
}

impl AtOnce {
    pub(super) fn new(limit: Limit, most: u32) -> Self {
        Self { limit, most, cells: Arc::new(Cells::new()) }
    }

    /// One more for whoever this is.
    ///
    /// # Errors
    /// [`Exceeded`], when it has as much as it may.
    pub fn take(&self, who: impl Hash) -> Result<Place, Exceeded> {
        let places = self.cells.places(who);
        let had = self.cells.at(places).map(|cell| cell.fetch_add(1, Relaxed)).min().unwrap_or_default();
        // Given back if it is dropped here.
        let place = Place { cells: Arc::clone(&self.cells), places };
        if had < self.most { Ok(place) } else { Err(self.limit.exceeded(AGAIN)) }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.cells.at(self.places).for_each(|cell| _ = cell.fetch_sub(1, Relaxed));
    }
}

impl std::fmt::Debug for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Place")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_as_much_as_it_may_whatever_others_have() {
        let limit = AtOnce::new(Limit::for_test(), 3);
        let held: Vec<_> = (0..3).map(|_| limit.take("a").unwrap()).collect();
        assert_eq!(limit.take("a").unwrap_err().again, AGAIN);
        assert!(limit.take("b").is_ok());
        drop(held);
        assert!((0..3).map(|_| limit.take("a")).all(|one| one.is_ok()), "nobody holds them");
        let both = (limit.take("a").unwrap(), limit.take("a").unwrap());
        drop(both);
        assert!(limit.cells.at(limit.cells.places("a")).all(|cell| cell.load(Relaxed) == 0));
    }

    #[test]
    fn ten_thousand_strangers_cost_nobody_a_place() {
        let limit = AtOnce::new(Limit::for_test(), 500);
        // As many connections as there may be, of addresses that have as many as they may, and of others that have one.
        let busy: Vec<_> =
            (0..20).flat_map(|n| (0..500).map(move |_| n)).map(|n| limit.take(("busy", n)).unwrap()).collect();
        let others: Vec<_> = (0..10_000).map(|n| limit.take(("other", n)).unwrap()).collect();
        assert_eq!((busy.len(), others.len()), (10_000, 10_000));
        assert!(limit.take(("busy", 7)).is_err());
    }
}

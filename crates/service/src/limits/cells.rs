//! Counters for any number of keys in memory that never grows.
//!
//! A table with an entry for each client grows with the addresses that an attacker has, and one that forgets some forgets whom it
//! should remember. So keys share cells: each has one in every row, chosen by a hash that nobody outside can work out, and of its
//! cells the one that says least counts (a count-min sketch). Counts are never too low. One is too high only for a key that shares
//! all of its cells with busy ones: of a million keys that is one, while 250 others are busy, and 200, while 1,000 are.
//!
//! Not here: what is counted, and what for.

use std::hash::{BuildHasher, Hash, RandomState};

/// Rows, and cells in each: a quarter of the hash's bits choose in each row.
const ROWS: usize = 4;
const WIDTH: usize = 1 << 13;

/// Where a key's cells are.
pub(super) type Spots = [u16; ROWS];

/// The cells.
pub(super) struct Cells<C> {
    rows: Box<[C]>,
    hasher: RandomState,
}

impl<C: Default> Cells<C> {
    pub(super) fn new() -> Self {
        Self { rows: (0..ROWS * WIDTH).map(|_| C::default()).collect(), hasher: RandomState::new() }
    }

    /// The places of a key.
    pub(super) fn places(&self, key: impl Hash) -> Spots {
        let hash = self.hasher.hash_one(key).to_le_bytes();
        let mut places = Spots::default();
        for (place, bytes) in places.iter_mut().zip(hash.as_chunks::<2>().0) {
            *place = u16::from_le_bytes(*bytes) % WIDTH as u16;
        }
        places
    }

    /// The cells at these places.
    pub(super) fn at(&self, places: Spots) -> impl Iterator<Item = &C> {
        let rows = self.rows.chunks_exact(WIDTH);
        rows.zip(places).filter_map(|(row, place)| row.get(usize::from(place)))
    }
}

//! Timelines that are kept between requests, whatever they are read from: growing ones are read on, not anew.

use livetape_audio::Tail;
use livetape_store::Kept;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

/// Timelines that are kept.
const KEPT: usize = 256;
/// Timelines that are read at once; each takes a file descriptor or a call meanwhile.
pub(crate) const READS: usize = 64;

/// How long it is not looked whether something was added about frames that are long known, as marks are.
const FRESH: Duration = Duration::from_secs(2);

/// The timelines of the recordings that were used last, each in a `T` that one request at a time may read on.
pub(crate) type Timelines<T> = Kept<Mutex<T>>;

/// Nothing is kept yet.
pub(crate) fn timelines<T>() -> Timelines<T> {
    Kept::new(KEPT)
}

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

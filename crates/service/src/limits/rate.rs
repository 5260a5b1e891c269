//! How often each client may do something.
//!
//! Each cell holds the moment until which a client has used up its share in advance (the generic cell rate algorithm: a bucket of
//! tokens, as one number).

use super::cells::Cells;
use super::{Exceeded, Limit};
use std::hash::Hash;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// A limit on how often each client may do something.
pub struct Rate {
    limit: Limit,
    /// Nanoseconds from one to the next, and how much of that may be used in advance.
    each: u64,
    ahead: u64,
    begun: Instant,
    cells: Cells<AtomicU64>,
}

impl Rate {
    /// `n` in each `time`, of which `burst` may come at once.
    pub(super) fn new(limit: Limit, n: u32, time: Duration, burst: u32) -> Self {
        let each = nanos(time / n.max(1)).max(1);
        let ahead = each.saturating_mul(u64::from(burst.saturating_sub(1)));
        // The first moment is not zero, so that nobody has used up anything.
        Self { limit, each, ahead, begun: Instant::now(), cells: Cells::new() }
    }

    /// Once more for whoever this is.
    ///
    /// # Errors
    /// [`Exceeded`], with the time until it may again.
    pub fn pass(&self, who: impl Hash) -> Result<(), Exceeded> {
        self.pass_at(who, Instant::now())
    }

    fn pass_at(&self, who: impl Hash, now: Instant) -> Result<(), Exceeded> {
        let (places, now) = (self.cells.places(who), nanos(now.saturating_duration_since(self.begun)));
        let used = self.cells.at(places).map(|cell| cell.load(Relaxed)).min().unwrap_or_default().max(now);
        if used > now.saturating_add(self.ahead) {
            return Err(self.limit.exceeded(Duration::from_nanos(used - now - self.ahead)));
        }
        // Only as far as this one has come: cells that others share say more already. Of several at the same moment one may
        // not be counted.
        let used = used.saturating_add(self.each);
        self.cells.at(places).for_each(|cell| _ = cell.fetch_max(used, Relaxed));
        Ok(())
    }

    /// Takes back that it did.
    pub fn give_back(&self, who: impl Hash) {
        let back = |used: u64| Some(used.saturating_sub(self.each));
        let places = self.cells.places(who);
        self.cells.at(places).for_each(|cell| _ = cell.fetch_update(Relaxed, Relaxed, back));
    }
}

fn nanos(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn a_burst_and_then_one_at_a_time() {
        let rate = Rate::new(Limit::for_test(), 10, SECOND, 5);
        let begun = rate.begun;
        let passes = |who: &str, after: Duration, tries: u32| {
            (0..tries).filter(|_| rate.pass_at(who, begun + after).is_ok()).count()
        };
        assert_eq!(passes("a", SECOND, 100), 5);
        assert_eq!(passes("b", SECOND, 100), 5, "another one");
        assert_eq!(rate.pass_at("a", begun + SECOND).unwrap_err().again, SECOND / 10);
        assert_eq!(passes("a", SECOND + SECOND / 10, 100), 1);
        assert_eq!(passes("a", SECOND * 2, 100), 5, "as much as it may have in hand, and no more");
        assert_eq!(passes("a", SECOND * 2_000, 100), 5);
    }

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let rate = Rate::new(Limit::for_test(), 1, SECOND, 2);
        for _ in 0..100 {
            rate.pass_at("a", rate.begun).unwrap();
            rate.give_back("a");
        }
        assert!(rate.pass_at("a", rate.begun).is_ok() && rate.pass_at("a", rate.begun).is_ok());
        assert!(rate.pass_at("a", rate.begun).is_err());
    }

    #[test]
    fn a_thousand_who_do_what_they_can_cost_hardly_anybody_anything() {
        let rate = Rate::new(Limit::for_test(), 200, SECOND, 2_000);
        for who in 0..1_000 {
            while rate.pass_at(("attacker", who), rate.begun).is_ok() {}
        }
        let refused = (0..10_000).filter(|who| rate.pass_at(("listener", who), rate.begun).is_err()).count();
        assert!(refused < 20, "{refused} of 10,000");
        assert!((0..1_000).all(|who| rate.pass_at(("attacker", who), rate.begun).is_err()), "they stay refused");
    }
}

//! Which way to make a round durable is the quicker one: each file by itself, or the whole file system at once. It depends on
//! the disk, on how many recordings there are, and on what else is being written there; so both are timed. Without IO
//! and without a clock.

use std::time::Duration;

/// A new measurement counts one part in so many.
const SHARE: f64 = 8.0;
/// With every round that goes the other way, what a way took once counts so much less: in the end it is tried again.
const FORGET: f64 = 0.98;

/// What each way takes, in seconds; nothing where it was not tried yet.
#[derive(Debug, Default)]
pub(super) struct Ways {
    /// For each tape.
    each: Option<f64>,
    /// For all of them.
    all: Option<f64>,
}

impl Ways {
    /// Whether to make everything durable at once, in a round of so many tapes.
    pub(super) fn prefer_all(&self, tapes: usize) -> bool {
        let Some(each) = self.each.filter(|_| tapes > 1) else { return false };
        self.all.is_none_or(|all| all < each * tapes as f64)
    }

    /// So long it took in a round of so many tapes.
    pub(super) fn took(&mut self, at_once: bool, tapes: usize, time: Duration) {
        let blend = |before: Option<f64>, now: f64| Some(before.map_or(now, |before| before + (now - before) / SHARE));
        if at_once {
            self.all = blend(self.all, time.as_secs_f64());
        } else {
            self.each = blend(self.each, time.as_secs_f64() / tapes.max(1) as f64);
            self.all = self.all.map(|all| all * FORGET);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many of 1,000 rounds go all at once, where a tape takes `each` and all of them `all` milliseconds.
    fn at_once(tapes: usize, each: u64, all: u64) -> usize {
        let mut ways = Ways::default();
        let mut rounds = 0;
        for _ in 0..1_000 {
            let preferred = ways.prefer_all(tapes);
            rounds += usize::from(preferred);
            let time = if preferred { all } else { each * tapes as u64 };
            ways.took(preferred, tapes, Duration::from_millis(time));
        }
        rounds
    }

    #[test]
    fn the_quicker_way_is_found_and_the_slower_one_looked_at_again() {
        assert_eq!(at_once(1, 4, 1), 0, "one recording needs nothing else to be written");
        assert_eq!(at_once(1_000, 4, 30), 999, "one round to learn what each takes");
        let rare = at_once(10, 1, 2_000);
        assert!((2..=20).contains(&rare), "{rare}: somebody copies a film to the same disk");
    }

    #[test]
    fn what_was_slow_once_is_not_slow_for_ever() {
        let mut ways = Ways::default();
        ways.took(false, 100, Duration::from_millis(400));
        assert!(ways.prefer_all(100));
        ways.took(true, 100, Duration::from_secs(5));
        let mut rounds = 0;
        while !ways.prefer_all(100) {
            ways.took(false, 100, Duration::from_millis(400));
            rounds += 1;
        }
        assert!((50..200).contains(&rounds), "{rounds}");
    }
}

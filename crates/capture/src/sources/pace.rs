//! When to take the next piece of audio that somebody else's clock has made.
//!
//! A file that is piped in comes at once and is slowed down to real time, exactly. A live program sends by its own
//! clock: the pace leans towards it (by at most 1000 ppm), so that neither its buffer nor ours runs over, and capture
//! times stay smooth. When nothing came for a while, the pace begins anew. Without IO: it is told the time.

use std::time::Duration;
use tokio::time::Instant;

/// The pace leans by one part in so many.
const LEAN: u32 = 1_000;
/// Later than this is a pause of the source, not jitter.
const PAUSE: Duration = Duration::from_millis(200);
/// This much waiting audio, without being full, says that the source's clock is the faster one.
const BACKLOG: Duration = Duration::from_millis(250);

/// How much audio waits to be taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Waiting {
    /// The buffer is full: the source is held back by us and has no pace of its own.
    Full,
    /// So much.
    Some(Duration),
}

#[derive(Clone, Debug, Default)]
pub(crate) struct Pace {
    due: Option<Instant>,
}

impl Pace {
    /// A piece of this length has just become complete, after waiting for it.
    pub(crate) fn arrived(&mut self, now: Instant, piece: Duration) {
        let due = self.due.unwrap_or(now);
        self.due = match now.checked_duration_since(due) {
            Some(late) if late > PAUSE => Some(now),
            Some(late) => Some(due + late.min(piece / LEAN)),
            None => Some(due),
        };
    }

    /// When the next piece may be taken; `None` before the first has arrived.
    pub(crate) const fn due(&self) -> Option<Instant> {
        self.due
    }

    /// It was taken, while `waiting` audio was there; the next one is of length `next`. Returns when it was due.
    pub(crate) fn taken(&mut self, now: Instant, next: Duration, waiting: Waiting) -> Instant {
        let due = self.due.unwrap_or(now);
        let faster = matches!(waiting, Waiting::Some(audio) if audio > BACKLOG);
        self.due = Some(due + if faster { next - next / LEAN } else { next });
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PIECE: Duration = Duration::from_millis(20);

    #[test]
    fn a_file_is_played_exactly() {
        let start = Instant::now();
        let mut pace = Pace::default();
        pace.arrived(start, PIECE);
        for n in 0..100_000 {
            let due = pace.due().unwrap();
            assert_eq!(due, start + PIECE * n);
            pace.taken(due + Duration::from_millis(1), PIECE, Waiting::Full);
        }
    }

    /// A live source whose clock runs `ppm` parts in a million fast, and whose pieces come with jitter.
    fn live(ppm: i64) -> (Duration, Duration) {
        let start = Instant::now();
        let made = |n: u32| start + Duration::from_nanos((i64::from(n) * (20_000_000 - 20 * ppm)) as u64);
        let mut pace = Pace::default();
        let (mut most, mut worst) = (Duration::ZERO, Duration::ZERO);
        let mut last: Option<Instant> = None;
        for n in 0..50 * 3_600 {
            // A period of six pieces at a time, as sound cards give them.
            let here = made(n / 6 * 6 + 5);
            let now = here.max(pace.due().unwrap_or(here));
            if pace.due().is_none_or(|due| here > due) {
                pace.arrived(here, PIECE);
            }
            let waiting = now.saturating_duration_since(made(n));
            let due = pace.taken(now, PIECE, Waiting::Some(waiting));
            most = most.max(waiting);
            worst = worst.max(last.map_or(Duration::ZERO, |last| due.saturating_duration_since(last).abs_diff(PIECE)));
            last = Some(due);
        }
        (most, worst)
    }

    #[test]
    fn a_live_source_is_followed_smoothly() {
        for ppm in [-300, 0, 300] {
            let (backlog, jump) = live(ppm);
            assert!(backlog < Duration::from_millis(500), "{backlog:?} at {ppm} ppm");
            assert!(jump <= PIECE / LEAN * 2, "{jump:?} at {ppm} ppm");
        }
    }

    #[test]
    fn a_pause_begins_anew() {
        let start = Instant::now();
        let mut pace = Pace::default();
        pace.arrived(start, PIECE);
        pace.taken(start, PIECE, Waiting::Some(Duration::ZERO));
        let later = start + Duration::from_secs(30);
        pace.arrived(later, PIECE);
        assert_eq!(pace.due(), Some(later));
    }
}

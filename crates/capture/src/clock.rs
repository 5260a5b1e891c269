//! When a frame was captured: the time of day, told by the monotonic clock.
//!
//! Captured audio is as regular as the monotonic clock; the moment at which a program gets to look at a clock is not.
//! So capture times run with the monotonic clock and only lean towards the wall clock. When that is set, they follow at
//! once: a step is something that happened, not jitter.

use livetape_audio::WallTime;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// A difference above this is a step of the wall clock.
const STEP: Duration = Duration::from_millis(50);
/// Capture times lean by at most one part in so many: twice what a disciplined wall clock may do (500 ppm).
const LEAN: i64 = 1_000;
/// Over this time a difference fades, if the limit above lets it.
const FADE: Duration = Duration::from_secs(1);
/// Two looks at the monotonic clock this close say that nothing came between.
const CLOSE: Duration = Duration::from_micros(20);

/// Both clocks at one moment.
#[derive(Clone, Copy, Debug)]
pub struct Reading {
    /// The monotonic clock.
    pub mono: Instant,
    /// The wall clock.
    pub wall: WallTime,
}

impl Reading {
    /// Now. If the process was interrupted between the two looks, it looks again, at most twice.
    pub fn now() -> Self {
        let (mut took, mut best) = Self::look();
        for _ in 0..2 {
            if took <= CLOSE {
                break;
            }
            let (again, reading) = Self::look();
            if again < took {
                (took, best) = (again, reading);
            }
        }
        best
    }

    fn look() -> (Duration, Self) {
        let before = Instant::now();
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let took = before.elapsed();
        (took, Self { mono: before + took / 2, wall: WallTime::default().later(wall) })
    }
}

/// Turns moments of the monotonic clock into times of day. Without IO: it is told what the clocks say.
#[derive(Clone, Debug)]
pub struct CaptureClock {
    origin: Reading,
    seen: Instant,
}

impl CaptureClock {
    /// A clock that is right at `now`.
    pub const fn new(now: Reading) -> Self {
        Self { origin: now, seen: now.mono }
    }

    /// Takes in what the clocks say now. Call it at least every few seconds.
    pub fn observe(&mut self, now: Reading) {
        let told = self.at(now.mono);
        let elapsed = nanos(now.mono.saturating_duration_since(self.seen).min(FADE));
        self.seen = self.seen.max(now.mono);
        if told.distance(now.wall) > STEP {
            self.origin = now;
            return;
        }
        let difference = now.wall.unix_nanos() - told.unix_nanos();
        // At most 50 ms times 1 s in nanoseconds: it fits.
        let correction = (difference * elapsed / nanos(FADE)).clamp(-elapsed / LEAN, elapsed / LEAN);
        // The origin moves up to now, so that what was told before does not bend.
        self.origin = Reading { mono: now.mono, wall: shifted(told, correction) };
    }

    /// The time of day at `mono`, best near the last observation.
    pub fn at(&self, mono: Instant) -> WallTime {
        match mono.checked_duration_since(self.origin.mono) {
            Some(later) => self.origin.wall.later(later),
            None => self.origin.wall.earlier(self.origin.mono.saturating_duration_since(mono)),
        }
    }
}

fn nanos(d: Duration) -> i64 {
    i64::try_from(d.as_nanos()).unwrap_or(i64::MAX)
}

fn shifted(time: WallTime, by: i64) -> WallTime {
    WallTime::from_unix_nanos(time.unix_nanos().saturating_add(by))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::Random;

    const TICK: Duration = Duration::from_millis(20);

    /// Both clocks, scripted: `offset` nanoseconds of wall clock against the monotonic one.
    struct Script {
        start: Instant,
        mono: Instant,
        offset: i64,
    }

    impl Script {
        fn new() -> Self {
            let start = Instant::now();
            Self { start, mono: start, offset: 1_763_649_000_000_000_000 }
        }
        fn wall(&self, mono: Instant) -> WallTime {
            WallTime::from_unix_nanos(self.offset + nanos(mono - self.start))
        }
        fn read(&self) -> Reading {
            Reading { mono: self.mono, wall: self.wall(self.mono) }
        }
    }

    #[test]
    fn jitter_of_looking_does_not_show() {
        let mut script = Script::new();
        let mut random = Random::new(3);
        let mut clock = CaptureClock::new(script.read());
        let mut before = clock.at(script.start);
        for n in 1..5_000_u32 {
            script.mono += TICK;
            // The wall clock was read up to 2 ms after the monotonic one.
            let late = Duration::from_secs_f64(random.unit() * 0.002);
            clock.observe(Reading { mono: script.mono, wall: script.wall(script.mono + late) });
            let told = clock.at(script.start + TICK * n);
            let step = told.since(before);
            assert!(step.abs_diff(TICK) <= Duration::from_micros(25), "{step:?}");
            assert!(told.distance(script.wall(script.mono)) < Duration::from_millis(2));
            before = told;
        }
    }

    #[test]
    fn follows_a_slewed_wall_clock_without_a_step() {
        let mut script = Script::new();
        let mut clock = CaptureClock::new(script.read());
        for _ in 0..50 * 60 {
            script.mono += TICK;
            script.offset += 10_000; // 500 ppm
            clock.observe(script.read());
            assert!(clock.at(script.mono).distance(script.wall(script.mono)) < Duration::from_millis(1));
        }
    }

    #[test]
    fn follows_a_step_at_once_both_ways() {
        for step in [51_000_000, -51_000_000, 3_600_000_000_000, -86_400_000_000_000] {
            let mut script = Script::new();
            let mut clock = CaptureClock::new(script.read());
            script.mono += TICK;
            script.offset += step;
            clock.observe(script.read());
            assert_eq!(clock.at(script.mono), script.wall(script.mono));
            assert_eq!(clock.at(script.mono - TICK), script.wall(script.mono - TICK), "also just before");
        }
    }

    #[test]
    fn a_small_difference_fades() {
        let mut script = Script::new();
        let mut clock = CaptureClock::new(script.read());
        script.offset += 40_000_000;
        for _ in 0..50 * 60 {
            script.mono += TICK;
            let before = clock.at(script.mono);
            clock.observe(script.read());
            assert!(clock.at(script.mono).distance(before) <= TICK / 1_000);
        }
        assert!(clock.at(script.mono).distance(script.wall(script.mono)) < Duration::from_micros(100));
    }

    #[test]
    fn the_real_clocks_agree() {
        let reading = Reading::now();
        assert!(reading.wall.distance(Reading::now().wall) < Duration::from_secs(1));
        assert!(reading.wall.unix_millis() > 1_600_000_000_000);
    }
}

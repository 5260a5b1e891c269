//! How long to wait before the next try: longer each time, up to a limit, and never in step with others.

use crate::random::Random;
use std::ops::RangeInclusive;
use std::time::Duration;

#[derive(Debug)]
pub(crate) struct Backoff {
    limits: RangeInclusive<Duration>,
    next: Duration,
    random: Random,
}

impl Backoff {
    pub(crate) fn new(limits: RangeInclusive<Duration>, random: Random) -> Self {
        Self { next: *limits.start(), limits, random }
    }

    /// The next wait: between half and all of a time that doubles.
    pub(crate) fn wait(&mut self) -> Duration {
        let wait = self.next.min(*self.limits.end()).max(*self.limits.start());
        self.next = wait.saturating_mul(2);
        wait.mul_f64(0.5 + self.random.unit() / 2.0)
    }

    /// It went well: begin with short waits again.
    pub(crate) fn reset(&mut self) {
        self.next = *self.limits.start();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn doubles_up_to_its_limit() {
        let ms = Duration::from_millis;
        let mut backoff = Backoff::new(ms(100)..=ms(2_000), Random::new(1));
        for most in [100, 200, 400, 800, 1_600, 2_000, 2_000, 2_000] {
            let wait = backoff.wait();
            assert!(wait >= ms(most) / 2 && wait <= ms(most), "{wait:?} for {most}");
        }
        backoff.reset();
        assert!(backoff.wait() <= ms(100));
    }
}

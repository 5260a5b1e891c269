//! Lines of the log that strangers cause: so many in a while, and how many were left out. Else whoever asks fast enough fills
//! the disk.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Lets so many lines through in each span of time.
#[derive(Debug)]
pub struct Seldom {
    most: u32,
    span: Duration,
    now: Mutex<Window>,
}

#[derive(Debug)]
struct Window {
    since: Instant,
    passed: u32,
    left_out: u64,
}

impl Seldom {
    /// `most` lines in each `span`.
    pub fn new(most: u32, span: Duration) -> Self {
        Self { most, span, now: Mutex::new(Window { since: Instant::now(), passed: 0, left_out: 0 }) }
    }

    /// Whether a line may be written; then, how many were not since the one before.
    pub fn pass(&self) -> Option<u64> {
        self.pass_at(Instant::now())
    }

    fn pass_at(&self, now: Instant) -> Option<u64> {
        let mut window = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(window.since) >= self.span {
            (window.since, window.passed) = (now, 0);
        }
        if window.passed >= self.most {
            window.left_out += 1;
            return None;
        }
        window.passed += 1;
        Some(std::mem::take(&mut window.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_and_then_how_many_more() {
        let (seldom, now) = (Seldom::new(3, Duration::from_secs(60)), Instant::now());
        let passed: Vec<_> = (0..100).filter_map(|_| seldom.pass_at(now)).collect();
        assert_eq!(passed, [0, 0, 0]);
        assert_eq!(seldom.pass_at(now + Duration::from_secs(61)), Some(97));
        assert_eq!(seldom.pass_at(now + Duration::from_secs(62)), Some(0));
    }
}

//! Which of the moves of a card's clock against its frames, that nobody has announced, were losses.
//!
//! A single small move says little: frames were lost, or something between the card and here has become slower by that much and
//! may become faster again. But nothing becomes ever slower. So moves add up, those back count against those forth, and what a
//! few minutes add up to is a loss once it is more than a buffer. Before that, only the time of day tells of it.
//! Not here: how a move is noticed (`drift`), what is recorded of a loss (`flow`).

use crate::drift::Slip;
use std::collections::VecDeque;
use std::time::Duration;
use tokio::time::Instant;

/// What has moved less than this in all may come back.
const LOSS: f64 = 0.1;
/// For so long moves add up. Each is known to some milliseconds only: endless sums would be of their errors.
const TOGETHER: Duration = Duration::from_secs(600);
/// More moves than can be noticed in that time.
const MOST: usize = 1024;

/// The moves that are not accounted for.
#[derive(Debug, Default)]
pub(super) struct Slips(VecDeque<(Instant, f64)>);

impl Slips {
    /// Another move. Gives what was surely lost by now, and has not been given before.
    pub(super) fn lost(&mut self, at: Instant, slip: Slip) -> Option<Duration> {
        while let Some(&(before, _)) = self.0.front()
            && (at.saturating_duration_since(before) > TOGETHER || self.0.len() >= MOST)
        {
            self.0.pop_front();
        }
        self.0.push_back((at, slip.seconds()));
        // What came too early first was late before: that it is late again is no loss, and no loss is made up by it either.
        let sum = self.0.iter().fold(0.0, |sum: f64, (_, by)| (sum + by).max(0.0));
        if sum < LOSS {
            return None;
        }
        self.0.clear();
        Duration::try_from_secs_f64(sum).ok()
    }

    /// The way from the card to here is another one now.
    pub(super) fn forget(&mut self) {
        self.0.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is told of moves, in milliseconds, so many seconds apart.
    fn told(apart: u64, moves: &[f64]) -> Vec<u128> {
        let (mut slips, mut now) = (Slips::default(), Instant::now());
        let lost = moves.iter().filter_map(|by| {
            now += Duration::from_secs(apart);
            slips.lost(now, Slip::of(by / 1_000.0))
        });
        lost.map(|lost| (lost.as_secs_f64() * 1_000.0).round() as u128).collect()
    }

    #[test]
    fn small_losses_add_up_and_what_comes_back_does_not() {
        assert_eq!(told(60, &[500.0]), [500]);
        assert_eq!(told(60, &[50.0, 60.0, 40.0, 40.0, 30.0]), [110, 110]);
        assert_eq!(told(60, &[80.0, -80.0].repeat(100)), [0; 0]);
        assert_eq!(told(60, &[-80.0, 80.0].repeat(100)), [0; 0]);
        assert_eq!(told(60, &[-200.0, 150.0]), [150], "what there was too much of makes up for nothing");
        assert_eq!(told(700, &[50.0; 100]), [0; 0], "too seldom to be told from a way that becomes slower");
        // Measured to 5 ms, for a day: the errors of it do not add up.
        let unsure: Vec<f64> = (0..2_880).map(|n| if n % 2 == 0 { 45.0 } else { -35.0 }).collect();
        assert_eq!(told(240, &unsure), [0; 0]);
    }
}

//! How figures spread: medians of runs, and distributions of delays.

use std::fmt;

/// Median, least and most of the figures of several runs.
#[derive(Clone, Debug, Default)]
pub struct Runs(Vec<f64>);

impl Runs {
    /// Adds the figure of a run.
    pub fn push(&mut self, figure: f64) {
        self.0.push(figure);
        self.0.sort_by(f64::total_cmp);
    }

    /// The middle one; of an even number, what is halfway between the two in the middle.
    pub fn median(&self) -> f64 {
        let middle = |place: usize| self.0.get(place).copied().unwrap_or(f64::NAN);
        let (half, last) = (self.0.len() / 2, self.0.len().saturating_sub(1));
        f64::midpoint(middle(half.min(last)), middle(last - half.min(last)))
    }

    /// The ratio to another, run by run as they were taken in turns, would hide a slow turn of either: this is the ratio
    /// of the medians.
    pub fn ratio(&self, other: &Self) -> f64 {
        self.median() / other.median()
    }
}

impl fmt::Display for Runs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ends = (self.0.first().copied().unwrap_or(f64::NAN), self.0.last().copied().unwrap_or(f64::NAN));
        let digits = match self.median() {
            figure if figure < 1.0 => 3,
            figure if figure < 10.0 => 2,
            _ => 0,
        };
        let text = format!("{:.digits$} ({:.digits$} to {:.digits$})", self.median(), ends.0, ends.1);
        f.pad(&text)
    }
}

/// Delays in seconds, and how they spread.
#[derive(Clone, Debug, Default)]
pub struct Delays(Vec<f32>);

impl Delays {
    /// Adds one, in seconds.
    pub fn push(&mut self, seconds: f64) {
        self.0.push(seconds as f32);
    }

    /// Takes in what others were measured.
    pub fn extend(&mut self, others: Self) {
        self.0.extend(others.0);
    }

    /// In milliseconds: the delay that this share of all is not longer than.
    pub fn at(&mut self, share: f64) -> f64 {
        let last = self.0.len().saturating_sub(1);
        let place = ((last as f64) * share).round() as usize;
        if self.0.is_empty() {
            return f64::NAN;
        }
        let (_, found, _) = self.0.select_nth_unstable_by(place.min(last), f32::total_cmp);
        f64::from(*found) * 1e3
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_and_medians() {
        let mut delays = Delays::default();
        (0..=100).rev().for_each(|n| delays.push(f64::from(n) / 1e3));
        assert_eq!([0.5, 0.9, 0.99, 1.0].map(|share| delays.at(share).round()), [50.0, 90.0, 99.0, 100.0]);
        let mut runs = Runs::default();
        [30.0, 10.0, 20.0].into_iter().for_each(|n| runs.push(n));
        assert_eq!(runs.to_string(), "20 (10 to 30)");
        runs.push(20.0);
        runs.push(40.0);
        runs.push(40.0);
        assert_eq!((runs.median(), Runs::default().median().is_nan()), (25.0, true));
    }
}

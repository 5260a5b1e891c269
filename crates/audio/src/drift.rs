//! How fast a clock is: that of a sound card, against the time of day.

use std::fmt;

/// How much faster a card's clock runs than ours, in parts in a billion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drift(i32);

impl Drift {
    /// From parts in a million.
    pub fn from_ppm(ppm: f64) -> Self {
        Self((ppm * 1_000.0).round() as i32)
    }

    /// From parts in a billion.
    pub const fn from_ppb(ppb: i32) -> Self {
        Self(ppb)
    }

    /// In parts in a million: above zero for a card that is fast.
    pub fn ppm(self) -> f64 {
        f64::from(self.0) / 1_000.0
    }

    /// In parts in a billion.
    pub const fn ppb(self) -> i32 {
        self.0
    }

    /// As exactly as it is worth telling: a tenth of a part in a million is 9 ms in a day.
    pub fn rounded(self) -> Self {
        Self(self.0.saturating_add(50 * self.0.signum()) / 100 * 100)
    }
}

impl fmt::Display for Drift {
    /// `+12.3 ppm`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:+.1} ppm", self.ppm())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn in_words_and_rounded() {
        assert_eq!(Drift::from_ppb(-12_345).to_string(), "-12.3 ppm");
        assert_eq!(Drift::from_ppb(0).to_string(), "+0.0 ppm");
        for (exactly, told) in
            [(0, 0), (49, 0), (50, 100), (-49, 0), (-50, -100), (12_349, 12_300), (i32::MIN, i32::MIN / 100 * 100)]
        {
            assert_eq!(Drift::from_ppb(exactly).rounded(), Drift::from_ppb(told), "{exactly}");
        }
        assert_eq!(Drift::from_ppm(12.345_4).ppb(), 12_345);
    }
}

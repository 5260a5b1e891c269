//! A small source of chance, for white noise and for waiting times that do not fall together. Not for secrets.

/// Marsaglia's xorshift with a multiplied output (xorshift64*): fast, and white enough for the ear.
#[derive(Clone, Debug)]
pub(crate) struct Random(u64);

impl Random {
    /// The same seed gives the same numbers.
    pub(crate) const fn new(seed: u64) -> Self {
        // Zero is the one state that it never leaves.
        Self(if seed == 0 { 0x9E37_79B9_7F4A_7C15 } else { seed })
    }

    /// A seed that differs between any two runs.
    pub(crate) fn seeded() -> Self {
        let bytes = uuid::Uuid::new_v4().into_bytes();
        Self::new(bytes.iter().fold(0, |n, &b| n.rotate_left(8) ^ u64::from(b)))
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// Evenly spread over 0 (inclusive) to 1 (exclusive).
    pub(crate) fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn even_and_repeatable() {
        let mut random = Random::new(7);
        let numbers: Vec<f64> = (0..10_000).map(|_| random.unit()).collect();
        assert!(numbers.iter().all(|n| (0.0..1.0).contains(n)));
        let mean = numbers.iter().sum::<f64>() / 10_000.0;
        let lag = numbers.windows(2).map(|w| (w[0] - 0.5) * (w[1] - 0.5)).sum::<f64>() / 10_000.0;
        assert!((mean - 0.5).abs() < 0.02 && lag.abs() < 0.005, "{mean} {lag}");
        assert_eq!(Random::new(7).unit(), numbers[0]);
        assert_ne!(Random::new(0).unit(), 0.0);
    }
}

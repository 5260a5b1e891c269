//! How many frames make a piece of 20 ms. Where that is no whole number (11025 Hz: 220.5), lengths alternate, so that
//! fifty pieces are always exactly one second.

use livetape_audio::{FrameCount, Spec};

const PIECES_PER_SECOND: u64 = 50;

/// Lengths of the pieces of one source, one after another.
#[derive(Clone, Debug)]
pub(crate) struct Pieces {
    rate: u64,
    /// Pieces taken in this second.
    taken: u64,
}

impl Pieces {
    pub(crate) fn new(spec: Spec) -> Self {
        Self { rate: u64::from(spec.rate()), taken: 0 }
    }

    /// Length of the piece that comes next.
    pub(crate) fn next(&self) -> FrameCount {
        let end = |pieces: u64| pieces * self.rate / PIECES_PER_SECOND;
        FrameCount::new(end(self.taken + 1) - end(self.taken))
    }

    /// The piece was taken.
    pub(crate) const fn advance(&mut self) {
        self.taken = (self.taken + 1) % PIECES_PER_SECOND;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use livetape_audio::SampleFormat;

    #[test]
    fn no_drift_at_any_rate() {
        for rate in [8_000, 11_025, 16_000, 22_050, 44_100, 48_000, 96_000, 191_999, 192_000] {
            let mut pieces = Pieces::new(Spec::new(SampleFormat::S16, rate, 1).unwrap());
            for _ in 0..3 {
                let mut second = 0;
                for _ in 0..50 {
                    let n = pieces.next().get();
                    assert!(n.abs_diff(u64::from(rate / 50)) <= 1, "{n} frames at {rate} Hz");
                    second += n;
                    pieces.advance();
                }
                assert_eq!(second, u64::from(rate));
            }
        }
    }
}

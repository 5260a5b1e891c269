//! Channels to other channels.
//!
//! | from → to | how |
//! |---|---|
//! | the same number | as they are |
//! | one → more | the first two carry it, the others are silent |
//! | more → one | the mean of left and right, of what the next line makes of more than two |
//! | three to eight → two | left and right, each with centre and surround at -3 dB and without the low-frequency channel, scaled so that nothing clips |
//! | more, otherwise | the first ones |
//! | fewer, otherwise | the others are silent |

use std::f64::consts::FRAC_1_SQRT_2 as LESS;
use std::fmt;

/// How many frames' samples go where. One row for each channel that comes out.
#[derive(Clone, Debug, PartialEq)]
pub struct Mix {
    from: usize,
    to: usize,
    /// `None`: as they are.
    rows: Option<Vec<Vec<f64>>>,
}

/// What each of three to eight channels gives to left and right, in the order of WAV files: front left, front right,
/// centre, low frequencies, back left, back right, side left, side right; for five and for four without the fourth.
fn to_stereo(from: usize) -> [Vec<f64>; 2] {
    let pairs: &[(f64, f64)] = match from {
        3 => &[(1.0, 0.0), (0.0, 1.0), (LESS, LESS)],
        4 => &[(1.0, 0.0), (0.0, 1.0), (LESS, 0.0), (0.0, LESS)],
        5 => &[(1.0, 0.0), (0.0, 1.0), (LESS, LESS), (LESS, 0.0), (0.0, LESS)],
        6 => &[(1.0, 0.0), (0.0, 1.0), (LESS, LESS), (0.0, 0.0), (LESS, 0.0), (0.0, LESS)],
        7 => &[(1.0, 0.0), (0.0, 1.0), (LESS, LESS), (0.0, 0.0), (0.5, 0.5), (LESS, 0.0), (0.0, LESS)],
        8 => &[(1.0, 0.0), (0.0, 1.0), (LESS, LESS), (0.0, 0.0), (LESS, 0.0), (0.0, LESS), (LESS, 0.0), (0.0, LESS)],
        _ => &[(1.0, 0.0), (0.0, 1.0)],
    };
    let loudest: f64 = pairs.iter().map(|(left, _)| left).sum();
    let row = |of: fn(&(f64, f64)) -> f64| {
        let mut row: Vec<f64> = pairs.iter().map(|pair| of(pair) / loudest).collect();
        row.resize(from, 0.0);
        row
    };
    [row(|pair| pair.0), row(|pair| pair.1)]
}

impl Mix {
    /// From so many channels to so many.
    pub fn new(from: u16, to: u16) -> Self {
        let (from, to) = (usize::from(from.max(1)), usize::from(to.max(1)));
        let only = |channel: usize| (0..from).map(|n| f64::from(u8::from(n == channel))).collect::<Vec<_>>();
        let rows = match (from, to) {
            (a, b) if a == b => None,
            (1, _) => Some((0..to).map(|n| only(if n < 2 { 0 } else { usize::MAX })).collect()),
            (_, 1) => {
                let [left, right] = to_stereo(from);
                Some(vec![left.iter().zip(&right).map(|(l, r)| (l + r) / 2.0).collect()])
            }
            (3..=8, 2) => Some(to_stereo(from).into()),
            _ => Some((0..to).map(only).collect()),
        };
        Self { from, to, rows }
    }

    /// Whether anything changes.
    pub const fn changes(&self) -> bool {
        self.rows.is_some()
    }

    /// Appends the mixed frames.
    pub(crate) fn apply(&self, samples: &[f64], out: &mut Vec<f64>) {
        let Some(rows) = &self.rows else { return out.extend_from_slice(samples) };
        for frame in samples.chunks_exact(self.from) {
            out.extend(
                rows.iter()
                    .map(|row| row.iter().zip(frame).filter(|(w, _)| **w != 0.0).map(|(w, s)| w * s).sum::<f64>()),
            );
        }
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} channels to {}", self.from, self.to)
    }
}

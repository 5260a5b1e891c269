//! Channels to other channels.
//!
//! | from → to | how |
//! |---|---|
//! | the same number | as they are |
//! | one → more | the first two carry it, the others are silent |
//! | more → one | the mean of left and right, of what the next line makes of more than two |
//! | three to eight → two | left and right, each with centre and surround at -3 dB and without the low-frequency channel, scaled so that nothing clips: after ITU-R BS.775. Of channels that are for no known loudspeakers as if they were for the usual ones |
//! | more, otherwise | the first ones |
//! | fewer, otherwise | the others are silent |

use super::Sound;
use livetape_audio::{ChannelLayout, Speaker};
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

/// What a loudspeaker gives to left and right. Of those that the standard does not have, the ones in front are as the nearest
/// of its own, and those above and behind as its surround.
const fn sides(speaker: Speaker) -> (f64, f64) {
    match speaker {
        Speaker::FrontLeft | Speaker::FrontLeftOfCenter => (1.0, 0.0),
        Speaker::FrontRight | Speaker::FrontRightOfCenter => (0.0, 1.0),
        Speaker::FrontCenter => (LESS, LESS),
        Speaker::LowFrequency => (0.0, 0.0),
        Speaker::BackLeft | Speaker::SideLeft | Speaker::TopFrontLeft | Speaker::TopBackLeft => (LESS, 0.0),
        Speaker::BackRight | Speaker::SideRight | Speaker::TopFrontRight | Speaker::TopBackRight => (0.0, LESS),
        Speaker::BackCenter | Speaker::TopCenter | Speaker::TopFrontCenter | Speaker::TopBackCenter => (0.5, 0.5),
    }
}

/// What each of so many channels gives to left and right.
fn to_stereo(from: usize, layout: ChannelLayout) -> [Vec<f64>; 2] {
    let pairs: Vec<(f64, f64)> = layout.speakers().map(sides).collect();
    let sum = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>();
    let loudest = sum(|pair| pair.0).max(sum(|pair| pair.1)).max(f64::MIN_POSITIVE);
    let row = |of: fn(&(f64, f64)) -> f64| {
        let mut row: Vec<f64> = pairs.iter().map(|pair| of(pair) / loudest).collect();
        row.resize(from, 0.0);
        row
    };
    [row(|pair| pair.0), row(|pair| pair.1)]
}

impl Mix {
    /// From these channels to so many.
    pub fn new(of: Sound, to: u16) -> Self {
        let from = of.channels;
        let layout = match (of.layout.channels() == from, from) {
            (true, _) => of.layout,
            // What of many more is left and right, nobody can guess.
            (false, 9..) => ChannelLayout::usual(2),
            (false, _) => ChannelLayout::usual(from),
        };
        let (from, to) = (usize::from(from.max(1)), usize::from(to.max(1)));
        let only = |channel: usize| (0..from).map(|n| f64::from(u8::from(n == channel))).collect::<Vec<_>>();
        let rows = match (from, to) {
            (a, b) if a == b => None,
            (1, _) => Some((0..to).map(|n| only(if n < 2 { 0 } else { usize::MAX })).collect()),
            (_, 1) => {
                let [left, right] = to_stereo(from, layout);
                Some(vec![left.iter().zip(&right).map(|(l, r)| (l + r) / 2.0).collect()])
            }
            (3..=8, 2) => Some(to_stereo(from, layout).into()),
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

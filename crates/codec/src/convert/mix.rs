//! Channels to other channels.
//!
//! | from → to | how |
//! |---|---|
//! | known loudspeakers → other known ones | each to its own, or to those nearest to it, [`near`]: after ITU-R BS.775 to stereo; scaled so that nothing clips. As below, if one would be heard nowhere |
//! | the same number, otherwise | as they are |
//! | one → more | the first two carry it, the others are silent |
//! | more → one | the mean of left and right, of what the next line makes of more than two |
//! | three to eight → two | as if they were for the loudspeakers that so many channels usually are for |
//! | more, otherwise | the first ones |
//! | fewer, otherwise | the others are silent |

use super::Sound;
use livetape_audio::{ChannelLayout, Speaker, Spec};
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

/// Where a loudspeaker is heard that is not there: at those with their share, the first of these lines of which all are.
/// What has no line, or none that fits, is not heard: low frequencies are not missed, and for others there is another way.
///
/// Centre and surround as ITU-R BS.775 says; of those that it does not have, the ones in front are as the nearest of its own, and those
/// above and behind as its surround.
const fn near(speaker: Speaker) -> &'static [&'static [(Speaker, f64)]] {
    use Speaker::{
        BackCenter, BackLeft, BackRight, FrontCenter, FrontLeft, FrontLeftOfCenter, FrontRight, FrontRightOfCenter,
        LowFrequency, SideLeft, SideRight, TopBackCenter, TopBackLeft, TopBackRight, TopCenter, TopFrontCenter,
        TopFrontLeft, TopFrontRight,
    };
    match speaker {
        FrontLeft | FrontRight | LowFrequency => &[],
        FrontCenter => &[&[(FrontLeft, LESS), (FrontRight, LESS)]],
        FrontLeftOfCenter => &[&[(FrontLeft, 1.0)]],
        FrontRightOfCenter => &[&[(FrontRight, 1.0)]],
        BackLeft => &[&[(SideLeft, 1.0)], &[(FrontLeft, LESS)]],
        BackRight => &[&[(SideRight, 1.0)], &[(FrontRight, LESS)]],
        SideLeft => &[&[(BackLeft, 1.0)], &[(FrontLeft, LESS)]],
        SideRight => &[&[(BackRight, 1.0)], &[(FrontRight, LESS)]],
        BackCenter => &[
            &[(BackLeft, LESS), (BackRight, LESS)],
            &[(SideLeft, LESS), (SideRight, LESS)],
            &[(FrontLeft, 0.5), (FrontRight, 0.5)],
        ],
        TopFrontLeft | TopBackLeft => &[&[(FrontLeft, LESS)]],
        TopFrontRight | TopBackRight => &[&[(FrontRight, LESS)]],
        TopCenter | TopFrontCenter | TopBackCenter => &[&[(FrontLeft, 0.5), (FrontRight, 0.5)]],
    }
}

/// What each of the channels of one layout gives to those of another.
fn between(from: ChannelLayout, to: ChannelLayout) -> Vec<Vec<f64>> {
    let share = |at: Speaker, of: Speaker| {
        let there = |speaker: Speaker| to.speakers().any(|known| known == speaker);
        if there(of) {
            return if at == of { 1.0 } else { 0.0 };
        }
        let line = near(of).iter().find(|line| line.iter().all(|&(speaker, _)| there(speaker)));
        line.into_iter()
            .flat_map(|line| line.iter())
            .find(|(speaker, _)| *speaker == at)
            .map_or(0.0, |(_, share)| *share)
    };
    let mut rows: Vec<Vec<f64>> = to.speakers().map(|at| from.speakers().map(|of| share(at, of)).collect()).collect();
    let loudest = rows.iter().map(|row| row.iter().sum::<f64>()).fold(1.0, f64::max);
    rows.iter_mut().flatten().for_each(|share| *share /= loudest);
    rows
}

impl Mix {
    /// From these channels to those of a recording.
    pub fn new(from: Sound, to: Spec) -> Self {
        let (target, known) = (to.layout(), from.known().filter(|_| to.layout().is_known()));
        let Some(layout) = known.filter(|layout| *layout != target) else { return Self::to(from, to.channels()) };
        let rows = between(layout, target);
        let is_heard =
            |(n, speaker)| speaker == Speaker::LowFrequency || rows.iter().any(|row| row.get(n) > Some(&0.0));
        match layout.speakers().enumerate().all(is_heard) {
            true => Self { from: from.channels.into(), to: to.channels().into(), rows: Some(rows) },
            false => Self::to(from, to.channels()),
        }
    }

    /// From these channels to so many, for no known loudspeakers but left and right.
    pub(crate) fn to(sound: Sound, to: u16) -> Self {
        let (from, to) = (usize::from(sound.channels.max(1)), usize::from(to.max(1)));
        let only = |channel: usize| (0..from).map(|n| f64::from(u8::from(n == channel))).collect::<Vec<_>>();
        let stereo = || {
            // Of many more, nobody can guess what is left and right.
            let guess = if from > 8 { ChannelLayout::UNKNOWN } else { ChannelLayout::usual(sound.channels) };
            match sound.known().unwrap_or(guess) {
                layout if layout.is_known() => between(layout, ChannelLayout::usual(2)),
                _ => vec![only(0), only(1)],
            }
        };
        let rows = match (from, to) {
            (a, b) if a == b => None,
            (1, _) => Some((0..to).map(|n| only(if n < 2 { 0 } else { usize::MAX })).collect()),
            (_, 1) => {
                let both = stereo();
                Some(vec![(0..from).map(|n| both.iter().filter_map(|row| row.get(n)).sum::<f64>() / 2.0).collect()])
            }
            (3.., 2) => Some(stereo()),
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
            let heard = |row: &Vec<f64>| {
                let parts = row.iter().zip(frame).filter(|(share, _)| **share != 0.0);
                // What nothing is heard from is 0; an empty sum would be -0.
                parts.fold(0.0, |sum, (share, sample)| sum + share * sample)
            };
            out.extend(rows.iter().map(heard));
        }
    }
}

impl fmt::Display for Mix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} channels to {}", self.from, self.to)
    }
}

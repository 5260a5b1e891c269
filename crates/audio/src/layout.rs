//! Which loudspeaker each channel is for.
//!
//! Not here: how channels are mixed, which is `livetape-codec`'s.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// A place of a loudspeaker, by the bit that stands for it in `dwChannelMask` of `WAVEFORMATEXTENSIBLE`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "each is what its name says")]
pub enum Speaker {
    FrontLeft,
    FrontRight,
    FrontCenter,
    LowFrequency,
    BackLeft,
    BackRight,
    FrontLeftOfCenter,
    FrontRightOfCenter,
    BackCenter,
    SideLeft,
    SideRight,
    TopCenter,
    TopFrontLeft,
    TopFrontCenter,
    TopFrontRight,
    TopBackLeft,
    TopBackCenter,
    TopBackRight,
}

/// In the order of their bits, with the short names that most programs use.
const SPEAKERS: [(Speaker, &str); 18] = [
    (Speaker::FrontLeft, "FL"),
    (Speaker::FrontRight, "FR"),
    (Speaker::FrontCenter, "FC"),
    (Speaker::LowFrequency, "LFE"),
    (Speaker::BackLeft, "BL"),
    (Speaker::BackRight, "BR"),
    (Speaker::FrontLeftOfCenter, "FLC"),
    (Speaker::FrontRightOfCenter, "FRC"),
    (Speaker::BackCenter, "BC"),
    (Speaker::SideLeft, "SL"),
    (Speaker::SideRight, "SR"),
    (Speaker::TopCenter, "TC"),
    (Speaker::TopFrontLeft, "TFL"),
    (Speaker::TopFrontCenter, "TFC"),
    (Speaker::TopFrontRight, "TFR"),
    (Speaker::TopBackLeft, "TBL"),
    (Speaker::TopBackCenter, "TBC"),
    (Speaker::TopBackRight, "TBR"),
];

/// For no loudspeakers that anybody knows.
const NONE: &str = "none";

/// The loudspeakers of some channels, one for each, in the order of WAV, which is that of the channels: `FL+FR+FC+LFE+BL+BR`. Or that
/// nobody knows them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String")]
pub struct ChannelLayout(u32);

/// Why it is no layout.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LayoutError {
    /// Not loudspeakers in their order.
    #[error("the layout {0:?} is neither loudspeakers in the order of WAV files, such as FL+FR+FC+LFE+BL+BR, nor none")]
    Names(String),
    /// A bit that stands for nothing.
    #[error("the channel mask {0:#x} has bits that stand for no loudspeaker: there are {count} of them", count = SPEAKERS.len())]
    Mask(u32),
}

impl ChannelLayout {
    /// Nobody knows.
    pub const UNKNOWN: Self = Self(0);

    /// Of a `dwChannelMask`; 0 says that nobody knows.
    ///
    /// # Errors
    /// [`LayoutError::Mask`] for a bit from the 19th on.
    pub const fn of_mask(mask: u32) -> Result<Self, LayoutError> {
        if mask >> SPEAKERS.len() == 0 { Ok(Self(mask)) } else { Err(LayoutError::Mask(mask)) }
    }

    /// What so many channels are for in most files that do not say (the order of WAV; RFC 9639, section 9.1.3, has the same):
    /// mono, stereo, 3.0, quadro, 5.0, 5.1, 6.1, 7.1. [`ChannelLayout::UNKNOWN`] of others.
    pub const fn usual(channels: u16) -> Self {
        Self(match channels {
            1 => 0x004,
            2 => 0x003,
            3 => 0x007,
            4 => 0x033,
            5 => 0x037,
            6 => 0x03F,
            7 => 0x70F,
            8 => 0x63F,
            _ => 0,
        })
    }

    /// As in a `dwChannelMask`; 0 where nobody knows.
    pub const fn mask(self) -> u32 {
        self.0
    }

    /// Whether somebody knows.
    pub const fn is_known(self) -> bool {
        self.0 != 0
    }

    /// How many channels it is of; none where nobody knows.
    pub const fn channels(self) -> u16 {
        self.0.count_ones() as u16
    }

    /// The loudspeakers, channel after channel.
    pub fn speakers(self) -> impl Iterator<Item = Speaker> {
        self.named().map(|(speaker, _)| speaker)
    }

    fn named(self) -> impl Iterator<Item = (Speaker, &'static str)> {
        (0..).zip(SPEAKERS).filter(move |(bit, _)| self.0 >> bit & 1 == 1).map(|(_, named)| named)
    }
}

impl fmt::Display for ChannelLayout {
    /// `FL+FR+FC`, or `none`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.is_known() {
            return f.write_str(NONE);
        }
        for (n, (_, name)) in self.named().enumerate() {
            write!(f, "{}{name}", if n == 0 { "" } else { "+" })?;
        }
        Ok(())
    }
}

impl FromStr for ChannelLayout {
    type Err = LayoutError;
    fn from_str(s: &str) -> Result<Self, LayoutError> {
        if s == NONE {
            return Ok(Self::UNKNOWN);
        }
        let bad = || LayoutError::Names(s.chars().take(80).collect());
        s.split('+').try_fold(Self::UNKNOWN, |known, name| {
            let bit = SPEAKERS.iter().position(|(_, known)| *known == name).ok_or_else(bad)?;
            // The channels are in the order of the bits: another order is something else.
            if known.0 >> bit == 0 { Ok(Self(known.0 | 1 << bit)) } else { Err(bad()) }
        })
    }
}

impl TryFrom<String> for ChannelLayout {
    type Error = LayoutError;
    fn try_from(s: String) -> Result<Self, LayoutError> {
        s.parse()
    }
}

impl From<ChannelLayout> for String {
    fn from(layout: ChannelLayout) -> Self {
        layout.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn written_as_programs_write_it() {
        for (channels, name) in [
            (1, "FC"),
            (2, "FL+FR"),
            (3, "FL+FR+FC"),
            (4, "FL+FR+BL+BR"),
            (5, "FL+FR+FC+BL+BR"),
            (6, "FL+FR+FC+LFE+BL+BR"),
            (7, "FL+FR+FC+LFE+BC+SL+SR"),
            (8, "FL+FR+FC+LFE+BL+BR+SL+SR"),
        ] {
            let layout = ChannelLayout::usual(channels);
            assert_eq!((layout.to_string().as_str(), layout.channels()), (name, channels));
            assert_eq!(name.parse(), Ok(layout));
            assert_eq!(layout.speakers().count(), usize::from(channels));
        }
        assert_eq!(("none".parse(), ChannelLayout::UNKNOWN.to_string()), (Ok(ChannelLayout::UNKNOWN), "none".into()));
        for bad in ["", "FR+FL", "FL+FL", "FL+", "L+R", "fl", "5.1", "FL FR"] {
            assert!(bad.parse::<ChannelLayout>().is_err(), "{bad}");
        }
    }

    #[test]
    fn bits_that_stand_for_nothing() {
        assert!(ChannelLayout::of_mask(0x3_FFFF).is_ok_and(|all| all.channels() == 18));
        assert_eq!(ChannelLayout::of_mask(1 << 18), Err(LayoutError::Mask(1 << 18)));
        assert!(!ChannelLayout::of_mask(0).unwrap().is_known() && !ChannelLayout::usual(9).is_known());
    }
}

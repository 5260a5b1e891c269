//! Which channels of a recording are heard, and in which order.

use livetape_audio::Spec;
use std::fmt;
use std::str::FromStr;

/// One to eight channels of a recording, each at most once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pick {
    channels: [u8; Spec::MAX_CHANNELS as usize],
    len: u8,
}

/// Why channels cannot be picked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PickError {
    /// Not a list of channels.
    #[error("ch is one to eight different numbers of channels from 1 on, as in 1,2")]
    Unclear,
    /// Not that many channels.
    #[error("there is no channel {0}: the recording has {1}")]
    Missing(u8, u16),
}

impl Pick {
    /// The first `n` channels; at least one, at most eight.
    pub fn first(n: u16) -> Self {
        let len = n.clamp(1, Spec::MAX_CHANNELS as u16) as u8;
        Self { channels: [0, 1, 2, 3, 4, 5, 6, 7], len }
    }

    /// How many.
    pub const fn len(self) -> usize {
        self.len as usize
    }
    /// Never.
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }

    /// Their numbers, from 0 on.
    pub fn channels(&self) -> impl Iterator<Item = usize> {
        self.channels.iter().take(self.len()).map(|&channel| usize::from(channel))
    }

    /// Whether a recording has them.
    pub(crate) fn check(self, spec: Spec) -> Result<(), PickError> {
        match self.channels().find(|&channel| channel >= usize::from(spec.channels())) {
            Some(channel) => Err(PickError::Missing(channel as u8 + 1, spec.channels())),
            None => Ok(()),
        }
    }

    /// Takes them out of interleaved samples of so many channels.
    pub(crate) fn apply<T: Copy>(self, samples: &[T], of: usize, out: &mut Vec<T>) {
        for frame in samples.chunks_exact(of) {
            out.extend(self.channels().filter_map(|channel| frame.get(channel)));
        }
    }
}

impl FromStr for Pick {
    type Err = PickError;
    fn from_str(s: &str) -> Result<Self, PickError> {
        let mut pick = Self { channels: [0; 8], len: 0 };
        for number in s.split(',') {
            let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
            let number = number.parse::<u8>().ok().filter(|&n| digits && (1..=8).contains(&n));
            let channel = number.ok_or(PickError::Unclear)? - 1;
            let known = pick.channels().any(|known| known == usize::from(channel));
            match pick.channels.get_mut(usize::from(pick.len)) {
                Some(place) if !known => *place = channel,
                _ => return Err(PickError::Unclear),
            }
            pick.len += 1;
        }
        Ok(pick)
    }
}

impl fmt::Display for Pick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, channel) in self.channels().enumerate() {
            write!(f, "{}{}", if n == 0 { "" } else { "," }, channel + 1)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use livetape_audio::SampleFormat;

    #[test]
    fn written_from_one_on() {
        for good in ["1", "1,2", "2,1", "8,7,6,5,4,3,2,1"] {
            assert_eq!(good.parse::<Pick>().unwrap().to_string(), good);
        }
        for bad in ["", ",", "0", "9", "1,1", "1,", "+1", "1, 2", "1,2,3,4,5,6,7,8,8", "left"] {
            assert_eq!(bad.parse::<Pick>(), Err(PickError::Unclear), "{bad}");
        }
        let stereo = Spec::new(SampleFormat::S16, 48_000, 2).unwrap();
        assert_eq!("1,3".parse::<Pick>().unwrap().check(stereo), Err(PickError::Missing(3, 2)));
    }

    #[test]
    fn taken_out_in_their_order() {
        let mut out = Vec::new();
        "3,1".parse::<Pick>().unwrap().apply(&[1, 2, 3, 11, 12, 13], 3, &mut out);
        assert_eq!(out, [3, 1, 13, 11]);
    }
}

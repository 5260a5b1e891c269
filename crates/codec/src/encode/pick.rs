//! Which channels of a recording are heard, and in which order, or mixed to which number.

use crate::convert::Mix;
use livetape_audio::Spec;
use std::fmt;
use std::str::FromStr;

/// One to eight channels of a recording, each at most once; or all of them mixed to one or two.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Pick {
    channels: [u8; Spec::MAX_CHANNELS as usize],
    len: u8,
    mixed: bool,
}

/// Why channels cannot be picked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PickError {
    /// Not a list of channels.
    #[error("ch is one to eight different numbers of channels from 1 on, as in 1,2, or mono or stereo")]
    Unclear,
    /// A mix, where nothing is to be lost.
    #[error("channels are not mixed there, only picked")]
    Mixed,
    /// Not that many channels.
    #[error("there is no channel {0}: the recording has {1}")]
    Missing(u8, u16),
}

impl Pick {
    /// The first `n` channels; at least one, at most eight.
    pub fn first(n: u16) -> Self {
        let len = n.clamp(1, Spec::MAX_CHANNELS as u16) as u8;
        Self { channels: [0, 1, 2, 3, 4, 5, 6, 7], len, mixed: false }
    }

    /// What is heard in stereo where nothing is said: all channels mixed, if it is known for which loudspeakers they are; else the
    /// first two, or the only one.
    pub fn usual(spec: Spec) -> Self {
        if spec.layout().is_known() { Self::mixed(2) } else { Self::first(spec.channels().min(2)) }
    }

    /// All channels mixed to one or two for the loudspeakers that they are for, or usually are ([`Mix`], after ITU-R BS.775).
    const fn mixed(len: u8) -> Self {
        Self { channels: [0; 8], len, mixed: true }
    }

    /// Whether it is a mix of all channels.
    pub const fn is_mixed(self) -> bool {
        self.mixed
    }

    /// How many.
    pub const fn len(self) -> usize {
        self.len as usize
    }
    /// Never.
    pub const fn is_empty(self) -> bool {
        self.len == 0
    }

    /// Their numbers, from 0 on; none of a mix.
    pub fn channels(&self) -> impl Iterator<Item = usize> {
        self.channels.iter().take(if self.mixed { 0 } else { self.len() }).map(|&channel| usize::from(channel))
    }

    /// Whether a recording has them.
    pub(crate) fn check(self, spec: Spec) -> Result<(), PickError> {
        match self.channels().find(|&channel| channel >= usize::from(spec.channels())) {
            Some(channel) => Err(PickError::Missing(channel as u8 + 1, spec.channels())),
            None => Ok(()),
        }
    }

    /// Takes them out of interleaved samples of such a recording, or mixes those.
    pub(crate) fn apply(self, samples: &[f64], of: Spec, out: &mut Vec<f64>) {
        if self.mixed {
            return Mix::to(of.into(), self.len.into()).apply(samples, out);
        }
        for frame in samples.chunks_exact(usize::from(of.channels())) {
            out.extend(self.channels().filter_map(|channel| frame.get(channel)));
        }
    }
}

impl FromStr for Pick {
    type Err = PickError;
    fn from_str(s: &str) -> Result<Self, PickError> {
        match s {
            "mono" => return Ok(Self::mixed(1)),
            "stereo" => return Ok(Self::mixed(2)),
            _ => {}
        }
        let mut pick = Self { channels: [0; 8], len: 0, mixed: false };
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
        if self.mixed {
            return f.write_str(if self.len == 1 { "mono" } else { "stereo" });
        }
        for (n, channel) in self.channels().enumerate() {
            write!(f, "{}{}", if n == 0 { "" } else { "," }, channel + 1)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use livetape_audio::{ChannelLayout, SampleFormat};

    #[test]
    fn written_from_one_on() {
        for good in ["1", "1,2", "2,1", "8,7,6,5,4,3,2,1", "mono", "stereo"] {
            assert_eq!(good.parse::<Pick>().unwrap().to_string(), good);
        }
        for bad in ["", ",", "0", "9", "1,1", "1,", "+1", "1, 2", "1,2,3,4,5,6,7,8,8", "left"] {
            assert_eq!(bad.parse::<Pick>(), Err(PickError::Unclear), "{bad}");
        }
        let stereo = Spec::new(SampleFormat::S16, 48_000, 2).unwrap();
        assert_eq!("1,3".parse::<Pick>().unwrap().check(stereo), Err(PickError::Missing(3, 2)));
    }

    fn spec(channels: u32) -> Spec {
        Spec::new(SampleFormat::S16, 48_000, channels).unwrap()
    }

    /// What becomes of each channel by itself, at full scale.
    fn each(how: Pick, of: Spec) -> Vec<f64> {
        let (mut out, frames) = (Vec::new(), usize::from(of.channels()));
        how.check(of).unwrap();
        let alone: Vec<f64> = (0..frames * frames).map(|n| f64::from(u8::from(n % (frames + 1) == 0))).collect();
        how.apply(&alone, of, &mut out);
        out
    }

    fn close(a: &[f64], b: &[f64]) {
        assert!(a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12), "{a:?}, not {b:?}");
    }

    #[test]
    fn taken_out_in_their_order() {
        let mut out = Vec::new();
        "3,1".parse::<Pick>().unwrap().apply(&[1.0, 2.0, 3.0, 11.0, 12.0, 13.0], spec(3), &mut out);
        assert_eq!(out, [3.0, 1.0, 13.0, 11.0]);
    }

    #[test]
    fn mixed_after_itu_r_bs_775() {
        let mixed = |how: &str, of: u32| each(how.parse().unwrap(), spec(of));
        let (full, less) = (1.0 / (1.0 + 2.0 * 0.5_f64.sqrt()), 0.5_f64.sqrt() / (1.0 + 2.0 * 0.5_f64.sqrt()));
        // Front left and right, centre, low frequencies, surround left and right.
        let six = [full, 0.0, 0.0, full, less, less, 0.0, 0.0, less, 0.0, 0.0, less];
        close(&mixed("stereo", 6), &six);
        let one: Vec<f64> = six.chunks(2).map(|both| (both[0] + both[1]) / 2.0).collect();
        close(&mixed("mono", 6), &one);
        assert_eq!(mixed("stereo", 2), [1.0, 0.0, 0.0, 1.0]);
        assert_eq!((mixed("mono", 2), mixed("stereo", 1)), (vec![0.5, 0.5], vec![1.0, 1.0]));
    }

    #[test]
    fn what_is_heard_of_known_loudspeakers_is_all_of_them() {
        let usual = |layout: &str| {
            let layout: ChannelLayout = layout.parse().unwrap();
            let of = spec(layout.channels().into()).for_speakers(layout).unwrap();
            (Pick::usual(of).to_string(), each(Pick::usual(of), of))
        };
        let (full, less) = (1.0 / (1.0 + 2.0 * 0.5_f64.sqrt()), 0.5_f64.sqrt() / (1.0 + 2.0 * 0.5_f64.sqrt()));
        let (name, six) = usual("FL+FR+FC+LFE+SL+SR");
        assert_eq!(name, "stereo");
        close(&six, &[full, 0.0, 0.0, full, less, less, 0.0, 0.0, less, 0.0, 0.0, less]);
        // Four, of which the third is not at the left.
        let (full, less) = (1.0 / (1.5 + 0.5_f64.sqrt()), 0.5_f64.sqrt() / (1.5 + 0.5_f64.sqrt()));
        close(&usual("FL+FR+FC+BC").1, &[full, 0.0, 0.0, full, less, less, full / 2.0, full / 2.0]);
        // More on one side than on the other: nothing clips on either.
        let uneven = usual("FL+FR+FRC").1;
        close(&uneven, &[0.5, 0.0, 0.0, 0.5, 0.0, 0.5]);
        assert_eq!(Pick::usual(spec(6)).to_string(), "1,2");
        assert_eq!(Pick::usual(spec(1)).to_string(), "1");
    }
}

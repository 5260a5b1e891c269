//! Titles between the audio, as Shoutcast and Icecast put them there: after every so many bytes one that says how long a text
//! follows, in units of 16, and mostly that none does.

use bytes::{Bytes, BytesMut};
use livetape_audio::Title;

/// Largest distance between two texts that is believed, in bytes.
const MAX_INTERVAL: usize = 1 << 24;

/// Part of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Part {
    Audio(Bytes),
    Title(Title),
}

/// Takes texts out of a stream.
#[derive(Debug)]
pub(super) struct Icy {
    interval: usize,
    /// Bytes of audio before the next text.
    audio: usize,
    /// Bytes of the text that are still missing.
    missing: usize,
    text: BytesMut,
}

impl Icy {
    /// By the value of `icy-metaint`; `None` if there are no texts.
    pub(super) fn every(metaint: Option<&str>) -> Option<Self> {
        let interval = metaint?.trim().parse().ok().filter(|n| (1..=MAX_INTERVAL).contains(n))?;
        Some(Self { interval, audio: interval, missing: 0, text: BytesMut::new() })
    }

    /// The next part of `block`; `None` when it is empty.
    pub(super) fn next(&mut self, block: &mut Bytes) -> Option<Part> {
        while !block.is_empty() {
            if self.missing > 0 {
                let part = block.split_to(self.missing.min(block.len()));
                self.missing -= part.len();
                self.text.extend_from_slice(&part);
                if self.missing == 0
                    && let Some(title) = title(&self.text.split())
                {
                    return Some(Part::Title(title));
                }
            } else if self.audio > 0 {
                let part = block.split_to(self.audio.min(block.len()));
                self.audio -= part.len();
                return Some(Part::Audio(part));
            } else {
                self.missing = usize::from(block.split_to(1).first().copied().unwrap_or(0)) * 16;
                self.audio = self.interval;
            }
        }
        None
    }
}

/// `StreamTitle='…';`, in which the title may hold anything but its own end.
fn title(text: &[u8]) -> Option<Title> {
    let text = crate::title::decoded(text.strip_suffix(b"\0").map_or(text, trimmed), None);
    let (_, rest) = text.split_once("StreamTitle='")?;
    let end = rest.find("';StreamUrl=").or_else(|| rest.rfind("';")).or_else(|| rest.rfind('\''));
    Some(crate::title::plain(rest.get(..end.unwrap_or(rest.len()))?))
}

fn trimmed(mut text: &[u8]) -> &[u8] {
    while let Some(less) = text.strip_suffix(b"\0") {
        text = less;
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn padded(text: &str) -> Vec<u8> {
        let units = text.len().div_ceil(16);
        let mut block = vec![units as u8];
        block.extend_from_slice(text.as_bytes());
        block.resize(1 + units * 16, 0);
        block
    }

    #[test]
    fn audio_and_titles_however_they_are_cut() {
        let stream =
            [b"abcd".as_slice(), &padded("StreamTitle='A - 'B';C';StreamUrl='x';"), b"efgh", &[0], b"ij"].concat();
        for step in [1, 3, 7, 1_000] {
            let mut icy = Icy::every(Some("4")).unwrap();
            let (mut audio, mut titles) = (Vec::new(), Vec::new());
            for block in stream.chunks(step) {
                let mut block = Bytes::copy_from_slice(block);
                while let Some(part) = icy.next(&mut block) {
                    match part {
                        Part::Audio(part) => audio.extend_from_slice(&part),
                        Part::Title(title) => titles.push((audio.len(), title.to_string())),
                    }
                }
            }
            assert_eq!((audio.as_slice(), titles), (&b"abcdefghij"[..], vec![(4, "A - 'B';C".to_owned())]), "{step}");
        }
        for none in [None, Some("0"), Some("-1"), Some("x"), Some("99999999999")] {
            assert!(Icy::every(none).is_none());
        }
    }

    #[test]
    fn texts() {
        let of = |text: &[u8]| title(text).map(|title| title.to_string());
        assert_eq!(of(b"StreamTitle='K\xe4se';\0\0"), Some("Käse".into()));
        assert_eq!(of(b"StreamTitle='no end"), Some("no end".into()));
        assert_eq!(of(b"StreamTitle='';"), Some(String::new()));
        assert_eq!((of(b"StreamUrl='x';"), of(b"")), (None, None));
    }
}

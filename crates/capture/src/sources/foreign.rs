//! Is it audio that somebody forgot to decode? Recording an MP3 as PCM would record noise, so the beginning of a stream
//! is looked at. PCM may begin with any bytes: what is refused has to be unmistakable.

/// Files that are known by bytes at a fixed place.
const MAGICS: [(usize, &[u8], &str); 15] = [
    (0, b"OggS", "an Ogg file (Vorbis, Opus)"),
    (0, b"fLaC", "a FLAC file"),
    (0, b"ID3", "an MP3 file"),
    (0, b"caff", "a CAF file"),
    (0, b"FORM", "an AIFF file"),
    (4, b"ftyp", "an MP4 or M4A file"),
    (0, b"\x1A\x45\xDF\xA3", "a WebM or Matroska file"),
    (0, b"\x30\x26\xB2\x75\x8E\x66\xCF\x11", "a WMA file"),
    (0, b"wvpk", "a WavPack file"),
    (0, b"MAC ", "a Monkey's Audio file"),
    (0, b"RIFF", "a RIFF file that is no WAV (AVI, WebP)"),
    (0, b"RIFX", "a big-endian WAV file"),
    (0, b".snd", "an AU file"),
    (0, b"\x1F\x8B\x08", "gzip"),
    (0, b"%PDF", "a PDF document"),
];

/// Enough bytes to tell files by their magic, and text.
pub(crate) const GLANCE: usize = 32;

/// What the beginning of a stream looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// Nothing known: PCM.
    Plain,
    /// Something else.
    Foreign(&'static str),
    /// So many bytes would tell.
    More(usize),
}

/// Looks at the beginning of a stream; `complete` says that no more bytes will come.
pub(crate) fn look(bytes: &[u8], complete: bool) -> Look {
    let magic = |&(at, magic, _): &(usize, &[u8], &str)| bytes.get(at..).is_some_and(|rest| rest.starts_with(magic));
    if let Some((.., name)) = MAGICS.iter().find(|m| magic(m)) {
        return Look::Foreign(name);
    }
    if bytes.len() < GLANCE && !complete {
        return Look::More(GLANCE);
    }
    let glance = bytes.get(..GLANCE).unwrap_or(bytes);
    if glance.len() >= 4 && glance.iter().all(|&b| matches!(b, b'\t' | b'\n' | b'\r' | b' '..=b'~')) {
        return Look::Foreign("text");
    }
    mpeg(bytes, complete)
}

/// A sync word alone is a plausible sample; a second one just where the first header says is not.
fn mpeg(bytes: &[u8], complete: bool) -> Look {
    let Some((name, len)) = mpeg_frame(bytes) else { return Look::Plain };
    match bytes.get(len..) {
        Some(rest) if rest.len() >= 7 => match mpeg_frame(rest) {
            Some(_) => Look::Foreign(name),
            None => Look::Plain,
        },
        _ if complete => Look::Plain,
        _ => Look::More(len + 7),
    }
}

/// Kind and length of the MPEG audio frame that begins here.
fn mpeg_frame(bytes: &[u8]) -> Option<(&'static str, usize)> {
    let &[0xFF, b, c, d, e, f, _, ..] = bytes else { return None };
    if b & 0xF6 == 0xF0 {
        let len = usize::from(d & 3) << 11 | usize::from(e) << 3 | usize::from(f >> 5);
        return (len >= 7 && c >> 2 & 0xF < 13).then_some(("an AAC stream", len));
    }
    let (version, layer) = (b >> 3 & 3, b >> 1 & 3);
    // Version 1 is reserved; layer 1 is layer III, the one that is met.
    if b & 0xE0 != 0xE0 || version == 1 || layer != 1 {
        return None;
    }
    let (first, rates) = if version == 3 {
        ([0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320], [44_100, 48_000, 32_000])
    } else {
        ([0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160], [22_050, 24_000, 16_000])
    };
    let bitrate = 1_000 * *first.get(usize::from(c >> 4)).filter(|&&k| k > 0)?;
    let rate = rates.get(usize::from(c >> 2 & 3))? / if version == 0 { 2 } else { 1 };
    let samples = if version == 3 { 144 } else { 72 };
    Some(("an MP3 stream", samples * bitrate / rate + usize::from(c >> 1 & 1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One MPEG-1 layer III frame header of 128 kbit/s at 44.1 kHz: frames of 417 bytes.
    const MP3: [u8; 4] = [0xFF, 0xFB, 0x90, 0x00];

    #[test]
    fn files_are_named() {
        let padded = |head: &[u8]| [head, &[0; 64]].concat();
        for (at, magic, name) in MAGICS {
            let bytes = padded(&[&vec![0; at][..], magic].concat());
            assert_eq!(look(&bytes, false), Look::Foreign(name));
        }
        assert_eq!(look(b"#!/bin/sh\necho this is not audio at all\n", false), Look::Foreign("text"));
        assert_eq!(look(b"oops\n", true), Look::Foreign("text"));
    }

    #[test]
    fn mp3_is_known_by_its_second_frame() {
        let mut bytes = vec![0; 417 + 8];
        bytes[..4].copy_from_slice(&MP3);
        assert_eq!(look(&bytes, false), Look::Plain, "one plausible sample is no MP3");
        bytes[417..421].copy_from_slice(&MP3);
        assert_eq!(look(&bytes, false), Look::Foreign("an MP3 stream"));
        assert_eq!(look(&bytes[..100], false), Look::More(424));
        assert_eq!(look(&bytes[..100], true), Look::Plain);
    }

    #[test]
    fn aac_is_known_by_its_second_frame() {
        let head = [0xFF, 0xF1, 0x50, 0x80, 0x02, 0x1F, 0xFC];
        let mut bytes = head.to_vec();
        bytes.resize(16, 0);
        bytes.extend_from_slice(&head);
        bytes.resize(64, 0);
        assert_eq!(look(&bytes, false), Look::Foreign("an AAC stream"));
    }

    #[test]
    fn pcm_is_left_alone() {
        assert_eq!(look(&[0; 64], false), Look::Plain);
        assert_eq!(look(&[0xFF; 64], false), Look::Plain, "the sample -1");
        assert_eq!(look(&[], true), Look::Plain);
        assert_eq!(look(&[1, 2], false), Look::More(GLANCE));
        let mut random = crate::random::Random::new(9);
        for _ in 0..20_000 {
            let bytes: Vec<u8> = (0..GLANCE).map(|_| (random.unit() * 256.0) as u8).collect();
            match look(&bytes, false) {
                Look::Plain => {}
                Look::More(n) => assert!(n <= 8_191 + 7),
                Look::Foreign(name) => assert_eq!(name, "", "three or four bytes by chance are very rare"),
            }
        }
    }
}

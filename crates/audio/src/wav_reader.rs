//! Reading the head of a WAV stream: enough to know the spec and where the audio begins.
//! Takes what real encoders send: chunks before `data`, and sizes that only stand for "until it ends".

use crate::layout::ChannelLayout;
use crate::spec::{SampleFormat, Spec, SpecError};
use crate::wav::{SUBFORMAT_GUID_TAIL, TAG_EXTENSIBLE, TAG_FLOAT, TAG_PCM, UNKNOWN};
use std::ops::Range;

/// The most bytes that may stand before the audio.
pub const MAX_HEAD: usize = 1 << 20;

/// Who writes to a pipe has to put a size into the head and does not know it. From here on sizes are such: sox takes
/// 0x7FFFF000 and above, arecord 0x7FFFFF00, ffmpeg 0xFFFFFFFF, each less the head or rounded to frames.
const PLACEHOLDER: u32 = 0x7FFF_0000;

/// What the head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WavHead {
    /// Shape of the audio.
    pub spec: Spec,
    /// Offset of the first audio byte.
    pub data_at: usize,
    /// Bytes of audio, if the head says so; otherwise it goes on until the stream ends.
    pub data_len: Option<u64>,
}

/// Why it is not a WAV that can be recorded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WavError {
    /// Not RIFF or RF64.
    #[error("it does not begin like a WAV file (RIFF or RF64)")]
    NotWav,
    /// No `data` chunk within [`MAX_HEAD`] bytes, or audio before `fmt`.
    #[error("the WAV head is broken: {0}")]
    Broken(&'static str),
    /// A codec or bit depth that is not recorded as it is.
    #[error(
        "WAV format tag {tag:#06x} with {bits} bits is not PCM of 16, 24 or 32 bits or 32-bit float: decode it first"
    )]
    Unsupported {
        /// Format tag.
        tag: u16,
        /// Bits of each sample.
        bits: u16,
    },
    /// Rate or channels out of range.
    #[error(transparent)]
    Spec(#[from] SpecError),
}

/// Where things are in a WAV, whatever its audio is: also where that is of a kind that is not recorded as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Offset of the first audio byte.
    pub data_at: usize,
    /// Bytes of audio, if the head says so; otherwise it goes on until the stream ends.
    pub data_len: Option<u64>,
    /// The byte after the file, if the head says so.
    end: Option<u64>,
    fmt: Range<usize>,
}

/// What stands where the audio is over according to the head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum After {
    /// Audio: the head says a size that is none. Many devices have one head for whatever they send.
    Audio,
    /// So many bytes that are no audio.
    Chunks(u64),
    /// Another WAV.
    Another,
}

/// Bytes that [`Layout::after`] looks at.
pub const AFTER: usize = 13;

impl Layout {
    /// Writes into the head, as it was read, that it does not say where the audio ends, and that it is no RF64.
    pub fn unsay(&self, head: &mut [u8]) {
        let (magic, size) = (*b"RIFF\xff\xff\xff\xff", UNKNOWN.to_le_bytes());
        let places = [(0, &magic[..]), (self.data_at.saturating_sub(4), &size[..])];
        for (at, bytes) in places {
            if let Some(place) = head.get_mut(at..at + bytes.len()) {
                place.copy_from_slice(bytes);
            }
        }
    }

    /// The loudspeakers that the head names, as it was read: one for each channel.
    pub fn speakers(&self, head: &[u8]) -> ChannelLayout {
        head.get(self.fmt.clone()).map_or(ChannelLayout::UNKNOWN, speakers)
    }

    /// What the [`AFTER`] bytes are that come where the audio is over according to the head; fewer, if there are no more. Chunks
    /// are only what the size of the whole file counts, too.
    pub fn after(&self, bytes: &[u8]) -> After {
        let begins = |file: &[u8]| matches!(&file[..4], b"RIFF" | b"RF64") && file.ends_with(b"WAVE");
        if bytes.get(..12).is_some_and(begins) {
            return After::Another;
        }
        let (Some(len), Some(end)) = (self.data_len, self.end) else { return After::Audio };
        let left = end.saturating_sub(len.saturating_add(self.data_at as u64));
        let pad = usize::from(len % 2 == 1);
        let is_chunk = |head: &[u8]| {
            let size = u64::from(le32(&head[4..]));
            head[..4].iter().all(|byte| matches!(byte, b' '..=b'~')) && (pad as u64 + 8).saturating_add(size) <= left
        };
        let is_pad = (pad, bytes.len(), left) == (1, 1, 1);
        if bytes.get(pad..pad + 8).map_or(is_pad, is_chunk) { After::Chunks(left) } else { After::Audio }
    }
}

/// Finds the audio from the beginning of a stream; `Ok(None)` while more bytes are needed.
///
/// # Errors
/// [`WavError`] as soon as it is certain that no more bytes can help.
pub fn find(bytes: &[u8]) -> Result<Option<Layout>, WavError> {
    let Some(magic) = bytes.get(..12) else {
        let n = bytes.len().min(4);
        let could_be = b"RIFF".starts_with(&bytes[..n]) || b"RF64".starts_with(&bytes[..n]);
        return if could_be { Ok(None) } else { Err(WavError::NotWav) };
    };
    let rf64 = &magic[..4] == b"RF64";
    if !(rf64 || &magic[..4] == b"RIFF") || &magic[8..] != b"WAVE" {
        return Err(WavError::NotWav);
    }
    let (mut at, mut fmt, mut long_sizes) = (12_usize, None, None);
    loop {
        let Some(head) = bytes.get(at..at + 8) else { return more(at) };
        let (id, size) = (&head[..4], le32(&head[4..]));
        let body = at + 8;
        if id == b"data" {
            let fmt = fmt.ok_or(WavError::Broken("audio comes before its format"))?;
            let (file, data) = long_sizes.filter(|_| rf64).unzip();
            let end = said(le32(&magic[4..]), file).map(|size| size.saturating_add(8));
            return Ok(Some(Layout { data_at: body, data_len: said(size, data), end, fmt }));
        }
        let end = body.saturating_add(size as usize + size as usize % 2);
        let inside = body..body.saturating_add(size as usize);
        let Some(chunk) = bytes.get(inside.clone()) else { return more(end) };
        match id {
            b"fmt " => fmt = Some(inside),
            b"ds64" => long_sizes = chunk.get(..16).map(|sizes| (le64(sizes), le64(&sizes[8..]))),
            _ => {}
        }
        at = end;
    }
}

/// A size in a head, if it is one; `long` is what an RF64 says instead.
fn said(size: u32, long: Option<u64>) -> Option<u64> {
    match size {
        UNKNOWN => long.filter(|&size| size < i64::MAX as u64 / 2),
        0 | PLACEHOLDER.. => None,
        size => Some(u64::from(size)),
    }
}

/// Reads the head from the beginning of a stream; `Ok(None)` while more bytes are needed.
///
/// # Errors
/// [`WavError`] as soon as it is certain that no more bytes can help.
pub fn read_head(bytes: &[u8]) -> Result<Option<WavHead>, WavError> {
    let Some(Layout { data_at, data_len, fmt, .. }) = find(bytes)? else { return Ok(None) };
    let spec = read_fmt(bytes.get(fmt).unwrap_or_default())?;
    Ok(Some(WavHead { spec, data_at, data_len }))
}

const fn more(at: usize) -> Result<Option<Layout>, WavError> {
    if at > MAX_HEAD { Err(WavError::Broken("no audio within the first MiB")) } else { Ok(None) }
}

fn read_fmt(chunk: &[u8]) -> Result<Spec, WavError> {
    let Some(plain) = chunk.get(..16) else { return Err(WavError::Broken("its format chunk is too short")) };
    let (mut tag, channels, rate, bits) = (le16(plain), le16(&plain[2..]), le32(&plain[4..]), le16(&plain[14..]));
    if tag == TAG_EXTENSIBLE {
        tag = match chunk.get(24..40) {
            Some(guid) if guid[2..] == SUBFORMAT_GUID_TAIL => le16(guid),
            _ => tag,
        };
    }
    let format = match (tag, bits) {
        (TAG_PCM, 16) => SampleFormat::S16,
        (TAG_PCM, 24) => SampleFormat::S24,
        (TAG_PCM, 32) => SampleFormat::S32,
        (TAG_FLOAT, 32) => SampleFormat::F32,
        _ => return Err(WavError::Unsupported { tag, bits }),
    };
    let spec = Spec::new(format, rate, u32::from(channels))?;
    if u32::from(le16(&plain[12..])) != spec.frame_bytes() {
        return Err(WavError::Broken("its block size does not match its channels and bits"));
    }
    Ok(spec.for_speakers(speakers(chunk)).unwrap_or(spec))
}

/// What a format chunk says about loudspeakers. A mask that does not name one for each channel says nothing.
fn speakers(chunk: &[u8]) -> ChannelLayout {
    let (tag, channels) = (chunk.get(..2).map(le16), chunk.get(2..4).map(le16));
    let mask = chunk.get(20..24).filter(|_| tag == Some(TAG_EXTENSIBLE)).map_or(0, le32);
    let layout = ChannelLayout::of_mask(mask).unwrap_or_default();
    if Some(layout.channels()) == channels { layout } else { ChannelLayout::UNKNOWN }
}

fn le16(b: &[u8]) -> u16 {
    b.iter().take(2).rev().fold(0, |n, &b| n << 8 | u16::from(b))
}

fn le32(b: &[u8]) -> u32 {
    b.iter().take(4).rev().fold(0, |n, &b| n << 8 | u32::from(b))
}

fn le64(b: &[u8]) -> u64 {
    b.iter().take(8).rev().fold(0, |n, &b| n << 8 | u64::from(b))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::{Container, DataSize};
    use crate::position::FrameCount;
    use proptest::prelude::*;

    #[test]
    fn reads_what_we_write_byte_by_byte() {
        for format in SampleFormat::ALL {
            for channels in [1, 2, 6] {
                let spec = Spec::new(format, 44_100, channels).unwrap();
                for container in [Container::Wav, Container::Rf64] {
                    for (size, len) in [
                        (DataSize::Growing, None),
                        (DataSize::Known(FrameCount::new(7)), Some(spec.bytes(FrameCount::new(7)))),
                    ] {
                        let head = container.header(spec, size);
                        for n in 0..head.len() {
                            assert_eq!(read_head(&head[..n]), Ok(None), "{n} bytes");
                        }
                        assert_eq!(read_head(&head), Ok(Some(WavHead { spec, data_at: head.len(), data_len: len })));
                    }
                }
            }
        }
    }

    #[test]
    fn sizes_that_writers_to_pipes_make_up_are_no_sizes() {
        let spec = Spec::new(SampleFormat::S16, 48_000, 2).unwrap();
        for (size, len) in [
            (0, None),
            (192_000, Some(192_000)),
            (0x7FFF_F000 - 36, None), // sox
            (0x7FFF_FF00, None),      // arecord
            (0xFFFF_FFFF - 36, None),
            (0xFFFF_FFFF, None), // ffmpeg
        ] {
            let mut head = Container::Wav.header(spec, DataSize::Growing);
            head[40..44].copy_from_slice(&u32::to_le_bytes(size));
            assert_eq!(read_head(&head).unwrap().unwrap().data_len, len, "{size:#x}");
        }
    }

    #[test]
    fn skips_chunks_and_refuses_what_is_not_audio() {
        let spec = Spec::new(SampleFormat::S16, 48_000, 2).unwrap();
        let mut head = Container::Wav.header(spec, DataSize::Growing);
        head.splice(36..36, *b"LIST\x03\0\0\0abc\0");
        assert_eq!(read_head(&head).unwrap().unwrap().data_at, 56);
        assert_eq!(read_head(b"#!/bin/sh"), Err(WavError::NotWav));
        assert_eq!(read_head(b"OggS"), Err(WavError::NotWav));
        head[20] = 0x55; // MP3 in WAV
        assert!(matches!(read_head(&head), Err(WavError::Unsupported { tag: 0x55, .. })));
        let endless = [b"RIFF\xff\xff\xff\xffWAVEjunk\xff\xff\xff\x7f".as_slice(), &[0; 64]].concat();
        assert!(matches!(read_head(&endless), Err(WavError::Broken(_))));
    }

    /// A head of 44 bytes that says these sizes.
    fn sized(file: u32, data: u32) -> Vec<u8> {
        let spec = Spec::new(SampleFormat::S16, 48_000, 2).unwrap();
        let mut head = Container::Wav.header(spec, DataSize::Growing);
        head[4..8].copy_from_slice(&file.to_le_bytes());
        head[40..44].copy_from_slice(&data.to_le_bytes());
        head
    }

    #[test]
    fn what_comes_where_the_audio_is_said_to_be_over() {
        let after = |file: u32, data: u32, bytes: &[u8]| find(&sized(file, data)).unwrap().unwrap().after(bytes);
        let list = b"LIST\x1a\0\0\0INFOI";
        assert_eq!(after(36 + 100 + 34, 100, list), After::Chunks(34));
        assert_eq!(
            after(36 + 101 + 35, 101, b"\0LIST\x1a\0\0\0INFO"),
            After::Chunks(35),
            "after an odd number of bytes"
        );
        assert_eq!(after(36 + 101 + 1, 101, b"\0"), After::Chunks(1), "nothing but what makes the number even");
        // As devices do whose head is a constant, and programs that count wrong.
        assert_eq!(after(36 + 100, 100, list), After::Audio);
        assert_eq!(after(36 + 100 + 33, 100, list), After::Audio);
        assert_eq!(after(36 + 101 + 1, 101, list), After::Audio);
        assert_eq!(after(36 + 100 + 34, 100, b"\x12\x34\0\0\0\0\0\0\0\0\0\0\0"), After::Audio);
        for file in [0, 0xFFFF_FFFF] {
            assert_eq!(after(file, 100, list), After::Audio);
        }
        assert_eq!(after(136, 100, b"LIST"), After::Audio, "and there it ends");
        assert_eq!(after(136, 100, &sized(0, 0)[..AFTER]), After::Another);
    }

    #[test]
    fn loudspeakers_are_those_of_every_channel() {
        let spec = Spec::new(SampleFormat::S16, 44_100, 6).unwrap();
        let known = spec.for_speakers("FL+FR+FC+LFE+SL+SR".parse().unwrap()).unwrap();
        for spec in [spec, known] {
            let mut head = Container::Wav.header(spec, DataSize::Growing);
            assert_eq!(read_head(&head).unwrap().map(|head| head.spec), Some(spec));
            let layout = find(&head).unwrap().unwrap();
            assert_eq!(layout.speakers(&head), spec.layout());
            // One more than there are channels, one less, and one that there is not.
            for mask in [0x7F_u32, 0x1F, 1 << 18 | 0x1F] {
                head[40..44].copy_from_slice(&mask.to_le_bytes());
                assert_eq!(read_head(&head).unwrap().map(|head| head.spec.layout()), Some(ChannelLayout::UNKNOWN));
            }
        }
    }

    #[test]
    fn an_end_can_be_unsaid() {
        let spec = Spec::new(SampleFormat::S24, 44_100, 6).unwrap();
        for container in [Container::Wav, Container::Rf64] {
            let mut head = container.header(spec, DataSize::Known(FrameCount::new(7)));
            let layout = find(&head).unwrap().unwrap();
            layout.unsay(&mut head);
            let (data_at, data_len) = (head.len(), None);
            assert_eq!(read_head(&head), Ok(Some(WavHead { spec, data_at, data_len })));
            assert_eq!(head[..8], *b"RIFF\xff\xff\xff\xff");
        }
    }

    proptest! {
        #[test]
        fn no_panic_on_any_input(mut bytes in prop::collection::vec(any::<u8>(), 0..200), wav: bool) {
            if wav && bytes.len() >= 12 {
                bytes[..4].copy_from_slice(b"RIFF");
                bytes[8..12].copy_from_slice(b"WAVE");
            }
            let _ = read_head(&bytes);
            if let Ok(Some(layout)) = find(&bytes) {
                let _ = layout.after(bytes.get(layout.data_at..).unwrap_or_default());
                layout.unsay(&mut bytes);
            }
        }
    }
}

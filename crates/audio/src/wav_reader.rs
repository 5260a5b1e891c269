//! Reading the head of a WAV stream: enough to know the spec and where the audio begins.
//! Takes what real encoders send: chunks before `data`, and sizes that only stand for "until it ends".

use crate::spec::{SampleFormat, Spec, SpecError};
use crate::wav::{SUBFORMAT_GUID_TAIL, TAG_EXTENSIBLE, TAG_FLOAT, TAG_PCM, UNKNOWN};

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

/// Reads the head from the beginning of a stream; `Ok(None)` while more bytes are needed.
///
/// # Errors
/// [`WavError`] as soon as it is certain that no more bytes can help.
pub fn read_head(bytes: &[u8]) -> Result<Option<WavHead>, WavError> {
    let Some(magic) = bytes.get(..12) else {
        let n = bytes.len().min(4);
        let could_be = b"RIFF".starts_with(&bytes[..n]) || b"RF64".starts_with(&bytes[..n]);
        return if could_be { Ok(None) } else { Err(WavError::NotWav) };
    };
    let rf64 = &magic[..4] == b"RF64";
    if !(rf64 || &magic[..4] == b"RIFF") || &magic[8..] != b"WAVE" {
        return Err(WavError::NotWav);
    }
    let (mut at, mut spec, mut long_size) = (12_usize, None, None);
    loop {
        let Some(head) = bytes.get(at..at + 8) else { return more(at) };
        let (id, size) = (&head[..4], le32(&head[4..]));
        let body = at + 8;
        if id == b"data" {
            let spec = spec.ok_or(WavError::Broken("audio comes before its format"))?;
            let data_len = match size {
                UNKNOWN if rf64 => long_size.filter(|&n| n < i64::MAX as u64 / 2),
                0 | PLACEHOLDER.. => None,
                n => Some(u64::from(n)),
            };
            return Ok(Some(WavHead { spec, data_at: body, data_len }));
        }
        let end = body.saturating_add(size as usize + size as usize % 2);
        let Some(chunk) = bytes.get(body..body.saturating_add(size as usize)) else { return more(end) };
        match id {
            b"fmt " => spec = Some(read_fmt(chunk)?),
            b"ds64" => long_size = chunk.get(8..16).map(le64),
            _ => {}
        }
        at = end;
    }
}

const fn more(at: usize) -> Result<Option<WavHead>, WavError> {
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
    Ok(spec)
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

    proptest! {
        #[test]
        fn no_panic_on_any_input(mut bytes in prop::collection::vec(any::<u8>(), 0..200), wav: bool) {
            if wav && bytes.len() >= 12 {
                bytes[..4].copy_from_slice(b"RIFF");
                bytes[8..12].copy_from_slice(b"WAVE");
            }
            let _ = read_head(&bytes);
        }
    }
}

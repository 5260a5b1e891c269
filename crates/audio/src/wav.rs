//! The one file that knows how RIFF is written. Reading it is `wav_reader`'s.
//!
//! Sources: Microsoft's Multimedia Programming Interface (RIFF WAVE), `WAVEFORMATEXTENSIBLE`, EBU Tech 3306 (RF64).

use crate::container::DataSize;
use crate::layout::ChannelLayout;
use crate::position::FrameCount;
use crate::spec::{SampleFormat, Spec};

pub(crate) const TAG_PCM: u16 = 1;
pub(crate) const TAG_FLOAT: u16 = 3;
pub(crate) const TAG_EXTENSIBLE: u16 = 0xFFFE;
/// What follows the format tag in the sub-format GUID of `WAVE_FORMAT_EXTENSIBLE`.
pub(crate) const SUBFORMAT_GUID_TAIL: [u8; 14] = [0, 0, 0, 0, 0x10, 0, 0x80, 0, 0, 0xAA, 0, 0x38, 0x9B, 0x71];
/// "The size is unknown": the one value that every client measured plays to the end.
pub(crate) const UNKNOWN: u32 = u32::MAX;

const fn extensible(spec: Spec) -> bool {
    spec.channels() > 2 || spec.format().bytes() > 2
}

const fn fmt_len(spec: Spec) -> u64 {
    if extensible(spec) { 40 } else { 16 }
}

/// 44, or 68 for more than 2 channels or 16 bits.
pub(crate) const fn riff_header_len(spec: Spec) -> u64 {
    12 + 8 + fmt_len(spec) + 8
}

/// 80, or 104.
pub(crate) const fn rf64_header_len(spec: Spec) -> u64 {
    riff_header_len(spec) + 36
}

fn known_bytes(spec: Spec, size: DataSize) -> Option<u64> {
    match size {
        DataSize::Growing => None,
        DataSize::Known(frames) => Some(spec.bytes(frames)),
    }
}

pub(crate) fn riff_header(spec: Spec, size: DataSize) -> Vec<u8> {
    let len = riff_header_len(spec);
    let fits = |bytes: u64| u32::try_from(bytes).ok().filter(|&n| n != UNKNOWN);
    let data = known_bytes(spec, size);
    // Both sizes fit, or both are unknown: a header that contradicts itself confuses readers.
    let sizes = data.and_then(|d| Some((fits(d + len - 8 + d % 2)?, fits(d)?)));
    let (riff, data) = sizes.unwrap_or((UNKNOWN, UNKNOWN));
    let mut out = Vec::with_capacity(len as usize);
    out.extend_from_slice(b"RIFF");
    out.extend_from_slice(&riff.to_le_bytes());
    out.extend_from_slice(b"WAVE");
    fmt_chunk(&mut out, spec);
    out.extend_from_slice(b"data");
    out.extend_from_slice(&data.to_le_bytes());
    out
}

pub(crate) fn rf64_header(spec: Spec, size: DataSize) -> Vec<u8> {
    // The largest positive number: players take 0 and -1 for broken files.
    const ENDLESS: u64 = i64::MAX as u64;
    let len = rf64_header_len(spec);
    let (riff, data, frames) = match (known_bytes(spec, size), size) {
        (Some(d), DataSize::Known(frames)) => (d + len - 8 + d % 2, d, frames.get()),
        _ => (ENDLESS, ENDLESS - len, 0),
    };
    let mut out = Vec::with_capacity(len as usize);
    rf64_begin(&mut out, [riff, data, frames]);
    fmt_chunk(&mut out, spec);
    out.extend_from_slice(b"data");
    out.extend_from_slice(&UNKNOWN.to_le_bytes());
    out
}

/// Header of a file whose length is known, with a chunk before its format, as the broadcast wave format wants it. RF64 if
/// the sizes do not fit otherwise. `chunk` has an even number of bytes.
pub(crate) fn with_chunk(spec: Spec, frames: FrameCount, name: &[u8; 4], chunk: &[u8]) -> Vec<u8> {
    let audio = spec.bytes(frames);
    let rest = 4 + 8 + chunk.len() as u64 + 8 + fmt_len(spec) + 8 + audio + audio % 2;
    let mut out = Vec::new();
    let size = match u32::try_from(rest).ok().filter(|&n| n != UNKNOWN) {
        Some(size) => {
            out.extend_from_slice(b"RIFF");
            out.extend_from_slice(&size.to_le_bytes());
            out.extend_from_slice(b"WAVE");
            // Smaller than what it is in.
            audio as u32
        }
        None => {
            rf64_begin(&mut out, [rest + 36, audio, frames.get()]);
            UNKNOWN
        }
    };
    out.extend_from_slice(name);
    out.extend_from_slice(&(chunk.len() as u32).to_le_bytes());
    out.extend_from_slice(chunk);
    fmt_chunk(&mut out, spec);
    out.extend_from_slice(b"data");
    out.extend_from_slice(&size.to_le_bytes());
    out
}

/// `RF64` and its `ds64` chunk, which has the sizes: of all, of the audio, and the frames.
fn rf64_begin(out: &mut Vec<u8>, sizes: [u64; 3]) {
    out.extend_from_slice(b"RF64");
    out.extend_from_slice(&UNKNOWN.to_le_bytes());
    out.extend_from_slice(b"WAVEds64");
    out.extend_from_slice(&28_u32.to_le_bytes());
    for n in sizes {
        out.extend_from_slice(&n.to_le_bytes());
    }
    out.extend_from_slice(&0_u32.to_le_bytes());
}

fn fmt_chunk(out: &mut Vec<u8>, spec: Spec) {
    let tag = if spec.format() == SampleFormat::F32 { TAG_FLOAT } else { TAG_PCM };
    let bits = (spec.format().bytes() * 8) as u16;
    out.extend_from_slice(b"fmt ");
    out.extend_from_slice(&(fmt_len(spec) as u32).to_le_bytes());
    out.extend_from_slice(&if extensible(spec) { TAG_EXTENSIBLE } else { tag }.to_le_bytes());
    out.extend_from_slice(&spec.channels().to_le_bytes());
    out.extend_from_slice(&spec.rate().to_le_bytes());
    out.extend_from_slice(&(spec.byte_rate() as u32).to_le_bytes());
    out.extend_from_slice(&(spec.frame_bytes() as u16).to_le_bytes());
    out.extend_from_slice(&bits.to_le_bytes());
    if extensible(spec) {
        out.extend_from_slice(&22_u16.to_le_bytes());
        out.extend_from_slice(&bits.to_le_bytes());
        out.extend_from_slice(&speaker_mask(spec).to_le_bytes());
        out.extend_from_slice(&tag.to_le_bytes());
        out.extend_from_slice(&SUBFORMAT_GUID_TAIL);
    }
}

/// Mono and stereo have a known layout; more channels are inputs, not loudspeakers, unless somebody has said otherwise.
const fn speaker_mask(spec: Spec) -> u32 {
    match spec.channels() {
        channels @ (1 | 2) => ChannelLayout::usual(channels).mask(),
        _ => spec.layout().mask(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::Container;

    fn spec(format: SampleFormat, channels: u32) -> Spec {
        Spec::new(format, 48_000, channels).unwrap()
    }

    #[test]
    fn length_depends_on_the_spec_alone() {
        for format in SampleFormat::ALL {
            for channels in 1..=8 {
                let spec = spec(format, channels);
                for container in Container::ALL {
                    for size in [
                        DataSize::Growing,
                        DataSize::Known(FrameCount::ZERO),
                        DataSize::Known(FrameCount::new(1 << 40)),
                    ] {
                        assert_eq!(container.header(spec, size).len() as u64, container.header_len(spec));
                    }
                }
            }
        }
        assert_eq!(riff_header_len(spec(SampleFormat::S16, 2)), 44);
        assert_eq!(riff_header_len(spec(SampleFormat::S24, 1)), 68);
        assert_eq!(riff_header_len(spec(SampleFormat::S16, 3)), 68);
    }

    #[test]
    fn sizes_are_true_or_unknown() {
        let spec = spec(SampleFormat::S16, 2);
        let sizes = |size| {
            let h = riff_header(spec, size);
            (u32::from_le_bytes(h[4..8].try_into().unwrap()), u32::from_le_bytes(h[40..44].try_into().unwrap()))
        };
        assert_eq!(sizes(DataSize::Growing), (UNKNOWN, UNKNOWN));
        assert_eq!(sizes(DataSize::Known(FrameCount::new(100))), (436, 400));
        let last = u64::from(u32::MAX) / 4;
        assert_eq!(sizes(DataSize::Known(FrameCount::new(last - 9))), (4_294_967_292, 4_294_967_256));
        assert_eq!(sizes(DataSize::Known(FrameCount::new(last - 5))), (UNKNOWN, UNKNOWN), "past 4 GiB with its header");
    }

    #[test]
    fn a_chunk_before_the_format_in_a_file_of_any_length() {
        let spec = spec(SampleFormat::S24, 1);
        let number = |h: &[u8], at: usize| u32::from_le_bytes(h[at..at + 4].try_into().unwrap());
        let short = with_chunk(spec, FrameCount::new(101), b"bext", &[7; 602]);
        assert_eq!((&short[..4], &short[8..16]), (&b"RIFF"[..], &b"WAVEbext"[..]));
        assert_eq!((number(&short, 4), number(&short, 16)), (short.len() as u32 - 8 + 303 + 1, 602));
        assert_eq!((number(&short, short.len() - 4), &short[622..626]), (303, &b"fmt "[..]));
        let long = with_chunk(spec, FrameCount::new(1 << 31), b"bext", &[7; 602]);
        let wide = |at: usize| u64::from_le_bytes(long[at..at + 8].try_into().unwrap());
        assert_eq!((&long[..4], number(&long, 4), number(&long, long.len() - 4)), (&b"RF64"[..], UNKNOWN, UNKNOWN));
        assert_eq!((wide(20), wide(28), wide(36)), (long.len() as u64 - 8 + (3 << 31), 3 << 31, 1 << 31));
        assert_eq!(&long[48..52], b"bext");
    }
}

//! What encoders put before and after the audio, which is to be taken off: as each container says it.
//!
//! Ogg and MP3 say it in each packet, and their decoders have taken it off already. Here: the pre-skip of Opus (RFC 7845,
//! section 5.1), which may be longer than a packet; CAF's packet table; in MP4 iTunes' own tag, or else the edit list (ISO/IEC
//! 14496-12, section 8.6.6) and the durations of samples.

use super::Input;
use livetape_audio::FrameCount;
use std::io::{Read, Seek, SeekFrom};
use std::ops::Range;
use symphonia::core::codecs::audio::AudioCodecParameters;
use symphonia::core::codecs::audio::well_known::CODEC_ID_OPUS;
use symphonia::core::formats::{FormatReader, Track};
use symphonia::core::io::MediaSource as _;
use symphonia::core::packet::Packet;

/// Most boxes of an MP4 that are looked at.
const MAX_BOXES: u32 = 10_000;
/// Delays beyond this are nobody's, in frames.
const MAX_DELAY: u64 = 1 << 20;

/// What is to be taken off.
#[derive(Debug, Default)]
pub(super) struct Trim {
    /// Frames still to be skipped.
    skip: u64,
    /// Frames still to be kept; `None`: all.
    take: Option<u64>,
    /// A packet's duration says how many of its frames count.
    by_duration: bool,
    /// The container is an MP4, and may say more.
    mp4: bool,
    rate: u32,
}

impl Trim {
    pub(super) fn of(format: &dyn FormatReader, track: &Track, params: &AudioCodecParameters) -> Self {
        let name = format.format_info().short_name;
        let rate = params.sample_rate.unwrap_or(0);
        let delay = u64::from(track.delay.unwrap_or(0));
        let mut trim = Self { mp4: name == "isomp4", rate, ..Self::default() };
        if params.codec == CODEC_ID_OPUS {
            trim.skip = pre_skip(params).unwrap_or(delay);
        } else if name == "caf" {
            trim.skip = delay;
            trim.take = track.padding.and(track.num_frames);
        }
        // Only where durations count frames.
        let counts = track.time_base.is_some_and(|base| base.numer.get() == 1 && base.denom.get() == rate);
        trim.by_duration = trim.mp4 && counts;
        trim.skip = if trim.skip > MAX_DELAY { 0 } else { trim.skip };
        trim
    }

    /// So many frames count, and whatever is read after them does not.
    pub(super) fn only(&mut self, frames: FrameCount) {
        self.take = Some(frames.get());
    }

    /// What an MP4 says.
    pub(super) fn container(&mut self, edit: Option<Edit>, smpb: Option<String>) {
        if !self.mp4 {
            return;
        }
        if let Some((skip, take)) = smpb.as_deref().and_then(parse_smpb) {
            (self.skip, self.take) = (skip, Some(take));
        } else if let Some(edit) = edit {
            let frames =
                |units: u64, scale: u32| (u128::from(units) * u128::from(self.rate)).div_ceil(u128::from(scale.max(1)));
            let skip = frames(edit.start, edit.media_scale) as u64;
            // In milliseconds, as it often is, the length would cut audio off: then that of the samples has to do.
            let exact = edit.movie_scale >= self.rate && edit.length > 0;
            let take = u64::try_from(frames(edit.length, edit.movie_scale)).ok().filter(|_| exact);
            if skip <= MAX_DELAY {
                (self.skip, self.take) = (skip, take);
            }
        }
    }

    /// Which frames of a decoded packet count.
    pub(super) fn keep(&mut self, packet: &Packet, frames: usize, rate: u32) -> Range<usize> {
        let mut end = frames as u64;
        if self.by_duration && rate == self.rate && packet.dur.get() > 0 {
            end = end.min(packet.dur.get());
        }
        let start = self.skip.min(end);
        self.skip -= start;
        if let Some(take) = &mut self.take {
            end = end.min(start + *take);
            *take -= end - start;
        }
        start as usize..end as usize
    }
}

/// From the identification header, which containers carry as they are.
fn pre_skip(params: &AudioCodecParameters) -> Option<u64> {
    let head = params.extra_data.as_deref()?;
    let bytes = head.get(10..12).filter(|_| head.starts_with(b"OpusHead"))?;
    Some(u64::from(u16::from_le_bytes(bytes.try_into().ok()?)))
}

/// ` 00000000 00000840 000001CA 00000000003F31F6 …`: the second number is the delay, the fourth the length.
fn parse_smpb(text: &str) -> Option<(u64, u64)> {
    let mut numbers = text.split_whitespace().map(|word| u64::from_str_radix(word, 16));
    let (delay, length) = (numbers.nth(1)?.ok()?, numbers.nth(1)?.ok()?);
    (delay <= MAX_DELAY && length > 0).then_some((delay, length))
}

/// The part of a track that is to be played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Edit {
    /// In units of the media.
    start: u64,
    media_scale: u32,
    /// In units of the movie.
    length: u64,
    movie_scale: u32,
}

/// The edit of an MP4's first audio track, if there is just one. Leaves the input as it was.
pub(super) fn edits(input: &mut Input) -> Option<Edit> {
    if !input.is_seekable() {
        return None;
    }
    let end = input.byte_len()?;
    let mut boxes = Boxes { input, left: MAX_BOXES };
    let edit = boxes.edit(end);
    input.seek(SeekFrom::Start(0)).ok()?;
    edit
}

/// Walks through the boxes of an MP4. Reads a few bytes of each, whatever they say about their size.
struct Boxes<'a> {
    input: &'a mut Input,
    left: u32,
}

impl Boxes<'_> {
    fn bytes<const N: usize>(&mut self, at: u64) -> Option<[u8; N]> {
        let mut bytes = [0; N];
        self.input.seek(SeekFrom::Start(at)).ok()?;
        self.input.read_exact(&mut bytes).ok()?;
        Some(bytes)
    }

    fn short(&mut self, at: u64) -> Option<u32> {
        self.bytes(at).map(u32::from_be_bytes)
    }

    fn long(&mut self, at: u64) -> Option<u64> {
        self.bytes(at).map(u64::from_be_bytes)
    }

    /// The contents of the next box in `range`, its kind, and where the one after it begins.
    fn next(&mut self, range: &Range<u64>) -> Option<([u8; 4], Range<u64>)> {
        self.left = self.left.checked_sub(1)?;
        let at = range.start;
        let (size, head) = match u64::from(self.short(at)?) {
            0 => (range.end.checked_sub(at)?, 8),
            1 => (self.long(at + 8)?, 16),
            size => (size, 8),
        };
        let kind = self.bytes(at + 4)?;
        let end = at.checked_add(size).filter(|&end| end <= range.end && size >= head)?;
        Some((kind, at + head..end))
    }

    /// The contents of the first box of a kind in `range`.
    fn find(&mut self, mut range: Range<u64>, kind: &[u8; 4]) -> Option<Range<u64>> {
        while range.start < range.end {
            let (found, contents) = self.next(&range)?;
            if found == *kind {
                return Some(contents);
            }
            range.start = contents.end;
        }
        None
    }

    fn edit(&mut self, end: u64) -> Option<Edit> {
        if self.bytes(4)? != *b"ftyp" {
            return None;
        }
        let movie = self.find(0..end, b"moov")?;
        let head = self.find(movie.clone(), b"mvhd")?;
        let movie_scale = self.scale(head.start)?;
        let mut rest = movie;
        loop {
            let track = self.find(rest.clone(), b"trak")?;
            rest.start = track.end;
            let media = self.find(track.clone(), b"mdia")?;
            let handler = self.find(media.clone(), b"hdlr")?;
            if self.bytes(handler.start + 8)? == *b"soun" {
                let head = self.find(media, b"mdhd")?;
                let media_scale = self.scale(head.start)?;
                let edits = self.find(track, b"edts")?;
                let list = self.find(edits, b"elst")?;
                let (start, length) = self.only_edit(list)?;
                return Some(Edit { start, media_scale, length, movie_scale });
            }
        }
    }

    /// The time scale of a movie's or a media's head.
    fn scale(&mut self, at: u64) -> Option<u32> {
        let version = self.bytes::<1>(at)?;
        self.short(at + if version == [1] { 20 } else { 12 }).filter(|&scale| scale > 0)
    }

    /// Start and length of the one edit that is not empty.
    fn only_edit(&mut self, list: Range<u64>) -> Option<(u64, u64)> {
        let (long, count) = (self.bytes::<1>(list.start)? == [1], self.short(list.start + 4)?);
        let mut only = None;
        for n in 0..u64::from(count.min(4)) {
            let at = list.start + 8 + n * if long { 20 } else { 12 };
            let (length, start) = if long {
                (self.long(at)?, self.long(at + 8)? as i64)
            } else {
                (u64::from(self.short(at)?), i64::from(self.short(at + 4)? as i32))
            };
            // Empty ones only say when to begin.
            if let Ok(start) = u64::try_from(start) {
                match only {
                    None => only = Some((start, length)),
                    Some(_) => return None,
                }
            }
        }
        only
    }
}

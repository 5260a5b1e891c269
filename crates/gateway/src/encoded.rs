//! A compressed view, as a listener reads it: which bytes exist, and the next ones of them.
//!
//! Not here: making blocks (`blocks`), what a listener waits for (`listener`), and where it begins (`live`, `recording`).

use crate::blocks::{Blocks, Compressed, Key, Seat};
use crate::library::ReadError;
use crate::problem::Problem;
use crate::rendition::Rendition;
use crate::tape::Tape;
use bytes::Bytes;
use livetape_audio::{Frame, FrameCount, RecordingId};
use livetape_codec::encode::{Encoding, Flac, Joined, Track};
use std::ops::Range;
use std::sync::Arc;

/// A compressed view in progress, with leave to encode it.
pub(crate) struct Encoded {
    rendition: Compressed,
    /// The frame at which its blocks begin.
    origin: Frame,
    track: Option<Track>,
    live: bool,
    _seat: Arc<Seat>,
}

impl Encoded {
    /// A rendition that begins at `origin`, heard from there or from a block on. `None` for one that is not compressed.
    pub(crate) fn begin(
        blocks: &Blocks,
        recording: RecordingId,
        rendition: Rendition,
        origin: Frame,
        joined: Option<Joined>,
    ) -> Result<Option<Self>, Problem> {
        let Some(rendition) = Compressed::of(rendition) else { return Ok(None) };
        let seat = blocks.seat(recording, rendition, joined.is_some())?;
        let track = track(recording, rendition, joined.unwrap_or(Joined::Beginning));
        Ok(Some(Self { rendition, origin, track, live: joined.is_some(), _seat: seat }))
    }

    /// Goes on with the beginning of the next recording of a stream: the bytes that come before its audio. `None` where
    /// players do not take that.
    pub(crate) fn go_on(&mut self, recording: RecordingId) -> Option<Bytes> {
        self.origin = Frame::ZERO;
        self.track = track(recording, self.rendition, Joined::Beginning);
        self.track.as_ref().map(|track| track.header().into())
    }

    /// Where what exists ends: in bytes after the header, or for FLAC in blocks. The recording goes to `end`; with `is_final`,
    /// and the view no further.
    pub(crate) fn available(&self, end: Frame, is_final: bool) -> u64 {
        let frames = end.since(self.origin).get();
        match (&self.track, is_final) {
            (Some(track), _) => track.len(frames, is_final),
            (None, true) => frames.div_ceil(Flac::BLOCK),
            (None, false) => frames / Flac::BLOCK,
        }
    }

    /// Some of what exists from `range.start` on, and where the rest of it begins. `end` is where the view ends, if it does.
    pub(crate) async fn read(
        &self,
        blocks: &Blocks,
        tape: &mut Tape,
        range: Range<u64>,
        end: Option<Frame>,
    ) -> Result<(Bytes, u64), ReadError> {
        let number = self.track.as_ref().map_or(range.start, |track| track.block_at(range.start));
        let needed = self.origin + FrameCount::new(u64::try_from(self.rendition.needs(number).end).unwrap_or(0));
        let (recording, rendition, origin) = (tape.recording.id, self.rendition, self.origin);
        let key = Key { recording, rendition, origin, number, end: end.filter(|&end| end < needed) };
        let block = blocks.get(key, tape, self.live).await?;
        let Some(track) = &self.track else { return Ok((block, range.start + 1)) };
        let frames = end.map(|end| end.since(self.origin).get());
        let bytes = Bytes::from(track.cut(range.clone(), &block, frames));
        if bytes.is_empty() {
            return Err(ReadError::new("compressed audio", "a block has less than it should".into()));
        }
        let next = range.start + bytes.len() as u64;
        Ok((bytes, next))
    }
}

fn track(recording: RecordingId, rendition: Compressed, joined: Joined) -> Option<Track> {
    match rendition {
        Compressed::Packets(encoding) => Some(track_of(recording, encoding, joined)),
        Compressed::Flac(_) => None,
    }
}

/// The bytes of a rendition of a recording. Streams of Ogg that may follow one another differ in their serial numbers.
pub(crate) fn track_of(recording: RecordingId, encoding: Encoding, joined: Joined) -> Track {
    let id = recording.to_string();
    let serial = id.bytes().fold(0x811C_9DC5_u32, |sum, byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193));
    Track::new(encoding, joined, serial)
}

//! A compressed view, as a listener reads it: which bytes exist, and the next ones of them.
//!
//! Not here: making blocks (`blocks`), what a listener waits for (`listener`), and where it begins (`live`, `recording`).

use crate::blocks::{Blocks, Compressed, Key};
use crate::library::ReadError;
use crate::problem::Problem;
use crate::rendition::Rendition;
use crate::seats::Seat;
use crate::tape::Tape;
use bytes::Bytes;
use livetape_audio::{Frame, FrameCount, RecordingId, Title};
use livetape_codec::encode::{Encoding, Flac, Joined, Track};
use std::ops::Range;

/// A compressed view in progress.
pub(crate) struct Encoded {
    rendition: Compressed,
    /// The frame at which its blocks begin.
    origin: Frame,
    track: Option<Track>,
    /// Where it is heard in real time.
    seat: Option<Seat>,
    /// Links of a chain that were begun for a title.
    links: u32,
}

impl Encoded {
    /// A rendition that begins at `origin`, heard in real time from there or from a block on. `None` for one that is not
    /// compressed.
    pub(crate) fn live(
        blocks: &Blocks,
        recording: RecordingId,
        rendition: Rendition,
        joined: Joined,
    ) -> Result<Option<Self>, Problem> {
        let Some(rendition) = Compressed::of(rendition) else { return Ok(None) };
        let track = track(recording, rendition, joined);
        let number = match joined {
            Joined::Beginning => 0,
            Joined::Block(number) => number,
        };
        let seat = blocks.seat(Key { recording, rendition, origin: Frame::ZERO, number, end: None })?;
        Ok(Some(Self { rendition, origin: Frame::ZERO, track, seat: Some(seat), links: 0 }))
    }

    /// The same for who takes it as fast as it comes. `from` is where it begins to: bytes after the header, or for FLAC blocks;
    /// `end` is where the view ends, if that is settled.
    pub(crate) fn download(
        blocks: &Blocks,
        recording: RecordingId,
        rendition: Rendition,
        (origin, end): (Frame, Option<Frame>),
        from: Option<u64>,
    ) -> Result<Option<Self>, Problem> {
        let Some(rendition) = Compressed::of(rendition) else { return Ok(None) };
        let track = track(recording, rendition, Joined::Beginning);
        let encoded = Self { rendition, origin, track, seat: None, links: 0 };
        if let Some(from) = from {
            blocks.admit(encoded.key(recording, from, end))?;
        }
        Ok(Some(encoded))
    }

    /// The block in which a byte after the header is; for FLAC, the block of this number.
    fn key(&self, recording: RecordingId, at: u64, end: Option<Frame>) -> Key {
        let number = self.track.as_ref().map_or(at, |track| track.block_at(at));
        let needed = self.origin + FrameCount::new(u64::try_from(self.rendition.needs(number).end).unwrap_or(0));
        let end = end.filter(|&end| end < needed);
        Key { recording, rendition: self.rendition, origin: self.origin, number, end }
    }

    /// Goes on with the beginning of the next recording of a stream: the bytes that come before its audio. `None` where
    /// players do not take that.
    pub(crate) fn go_on(&mut self, recording: RecordingId, title: Option<&Title>) -> Option<Bytes> {
        self.origin = Frame::ZERO;
        self.track = track(recording, self.rendition, Joined::Beginning);
        self.track.as_ref().map(|track| track.titled(title.map(Title::as_str).unwrap_or_default()).into())
    }

    /// Whether titles have a place in it: in the header of each link of a chain.
    pub(crate) fn tells_titles(&self) -> bool {
        self.track.as_ref().is_some_and(|track| track.page_end(0).is_some())
    }

    /// The end of the page of which this is the beginning.
    pub(crate) fn page_end(&self, at: u64) -> Option<u64> {
        self.track.as_ref().and_then(|track| track.page_end(at))
    }

    /// The end of the block in which this is.
    pub(crate) fn block_end(&self, at: u64) -> u64 {
        let block = self.track.as_ref().map_or(1, |track| track.encoding().block_bytes());
        (at / block + 1).saturating_mul(block)
    }

    /// Ends a link of the chain at the end of a page.
    pub(crate) fn close(&mut self, at: u64) {
        if let Some(track) = &mut self.track {
            track.close(at);
        }
    }

    pub(crate) fn is_closed(&self, at: u64) -> bool {
        self.track.as_ref().is_some_and(|track| track.is_closed(at))
    }

    /// What comes before the audio of the next link, where one was closed. `end` as in [`Encoded::read`].
    pub(crate) async fn link(
        &mut self,
        blocks: &Blocks,
        tape: &mut Tape,
        at: u64,
        end: Option<Frame>,
        title: &Title,
    ) -> Result<Bytes, ReadError> {
        let key = self.key(tape.recording.id, at.saturating_sub(1), end);
        let block = blocks.get(key, tape, self.seat.as_mut()).await?;
        let Some(track) = &mut self.track else { return Ok(Bytes::new()) };
        self.links = self.links.wrapping_add(1);
        let serial = serial(tape.recording.id).wrapping_add(self.links);
        Ok(track.go_on(at, serial, title.as_str(), &block).into())
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

    /// The frame that is heard at a byte after the header; of FLAC, at a block.
    pub(crate) fn frame_at(&self, at: u64) -> Frame {
        let frames = self.track.as_ref().map_or(at.saturating_mul(Flac::BLOCK), |track| track.frame_at(at));
        self.origin + FrameCount::new(frames)
    }

    /// Some of what exists from `range.start` on, and where the rest of it begins. `end` is where the view ends, if it does.
    pub(crate) async fn read(
        &mut self,
        blocks: &Blocks,
        tape: &mut Tape,
        range: Range<u64>,
        end: Option<Frame>,
    ) -> Result<(Bytes, u64), ReadError> {
        let key = self.key(tape.recording.id, range.start, end);
        let block = blocks.get(key, tape, self.seat.as_mut()).await?;
        let Some(track) = &self.track else { return Ok((block, range.start + 1)) };
        let frames = end.map(|end| end.since(self.origin).get());
        let bytes = track.cut(range.clone(), &block, frames);
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
    Track::new(encoding, joined, serial(recording))
}

fn serial(recording: RecordingId) -> u32 {
    let id = recording.to_string();
    id.bytes().fold(0x811C_9DC5, |sum, byte| (sum ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

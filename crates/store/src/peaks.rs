//! Reading peaks: any part of a recording in so many points, at a cost that depends on the points and not on the part.
//!
//! Each point is put together from the coarsest records that fit into it; what those do not cover at the growing end, or do
//! not prove, comes from finer ones, and what is finer than all of them from the audio.

use crate::data_dir::DataDir;
use crate::disk::{Disk, DiskFile};
use crate::error::StoreError;
use crate::format::derived::HEAD;
use crate::format::peaks::{LEVELS, Layout, peaks_name, record_frames};
use crate::reader::TapeReader;
use crate::recording::Recording;
use livetape_audio::peaks::{Gathered, Point, hear};
use livetape_audio::{Frame, FrameCount};
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

/// Records of a zoom that a point is made from at least, so that points can be nearly as long as was asked for.
const FINENESS: u64 = 4;
/// Records that are read at a time.
const BATCH: u64 = 2048;
/// Records of the coarsest zoom that the longest recording has, of one byte for each frame, and as many again.
const MOST_COARSEST: u64 = 1 << 16;
/// Audio that is read at a time, in frames.
const PIECE: u64 = 16 * 1024;
/// Frames of audio that are read in place of records that do not prove themselves.
const MAX_MENDED: u64 = 1 << 20;

/// Waveform data of a part of a recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Peaks {
    /// Where the first point begins: where was asked for, or a little before.
    pub first: Frame,
    /// The frame after the last one that the points tell of. Before the end of what was asked for, if that is not made yet.
    pub end: Frame,
    /// Frames of each point; the last one may have fewer.
    pub frames_per_point: FrameCount,
    /// The points, for each all channels one after the other.
    pub points: Vec<Point>,
}

/// Reads peaks of one recording.
#[derive(Debug)]
pub struct PeaksReader {
    disk: Disk,
    folder: PathBuf,
    recording: Arc<Recording>,
    tape: TapeReader,
    /// Each zoom, once it was looked at; `None` in it if there is no such file.
    levels: [Option<Option<Level>>; LEVELS],
    /// How much may be read still.
    records_left: u64,
    mends_left: u64,
}

#[derive(Debug)]
struct Level {
    file: DiskFile,
    layout: Layout,
    records: u64,
}

/// The points that are being made.
struct Canvas {
    first: Frame,
    frames_per_point: u64,
    channels: usize,
    points: Vec<Gathered>,
}

impl Canvas {
    /// The channels of the point in which a frame lies.
    fn at(&mut self, frame: Frame) -> &mut [Gathered] {
        let point = frame.since(self.first).get() / self.frames_per_point;
        let start = usize::try_from(point).unwrap_or(usize::MAX).saturating_mul(self.channels);
        self.points.get_mut(start..start.saturating_add(self.channels)).unwrap_or_default()
    }
}

impl Peaks {
    /// Most points that are given at once.
    pub const MAX_WIDTH: u32 = 4096;
}

impl PeaksReader {
    /// A reader of the recording's peaks. Opens nothing yet.
    pub fn open(dir: &DataDir, recording: Arc<Recording>) -> Self {
        Self {
            disk: dir.disk().clone(),
            folder: dir.folder(&recording),
            tape: TapeReader::shared(dir, recording.clone()),
            recording,
            levels: [const { None }; LEVELS],
            records_left: 0,
            mends_left: 0,
        }
    }

    /// The peaks of some frames, none after the tail, in at most `width` points, and at least half as many where the frames
    /// suffice. `width` is 1 to [`Peaks::MAX_WIDTH`]; more is taken for that.
    ///
    /// # Errors
    /// [`StoreError::is_missing`] when the recording was deleted, [`StoreError::Damaged`] when the peaks are and have to be
    /// made again, and what the file system refuses.
    pub fn read(&mut self, frames: Range<Frame>, width: u32) -> Result<Peaks, StoreError> {
        let width = u64::from(width.clamp(1, Peaks::MAX_WIDTH));
        // About twice what is needed where everything is in order.
        (self.records_left, self.mends_left) = (width * FINENESS * 8 + MOST_COARSEST, MAX_MENDED);
        let wanted = frames.end.since(frames.start).get().div_ceil(width).max(1);
        let level = (0..LEVELS).rev().find(|&level| record_frames(level) * FINENESS <= wanted);
        match level.or((wanted >= record_frames(0)).then_some(0)) {
            Some(level) => {
                let size = record_frames(level);
                let first = Frame::new(frames.start.get() / size * size);
                let span = frames.end.since(first).get().div_ceil(size).div_ceil(width) * size;
                let due = Frame::new(frames.end.get().div_ceil(record_frames(0)).saturating_mul(record_frames(0)));
                let end = due.min(self.made()?).max(first);
                let mut canvas = self.canvas(first..end, span);
                self.cover(level, first..end, &mut canvas)?;
                Ok(canvas.finished(end))
            }
            None => {
                let mut canvas = self.canvas(frames.clone(), wanted);
                self.listen(frames.clone(), &mut canvas)?;
                Ok(canvas.finished(frames.end.max(frames.start)))
            }
        }
    }

    fn canvas(&self, frames: Range<Frame>, frames_per_point: u64) -> Canvas {
        let channels = usize::from(self.recording.spec.channels());
        let points = frames.end.since(frames.start).get().div_ceil(frames_per_point);
        let places = usize::try_from(points).unwrap_or(0).saturating_mul(channels);
        Canvas { first: frames.start, frames_per_point, channels, points: vec![Gathered::default(); places] }
    }

    /// How far peaks are made.
    fn made(&mut self) -> Result<Frame, StoreError> {
        let records = self.level(0)?.map_or(0, |level| level.records);
        let end = Frame::new(records.saturating_mul(record_frames(0)));
        // The last record of a finished recording tells of fewer frames.
        Ok(self.recording.seal.map_or(end, |seal| end.min(seal.end)))
    }

    fn level(&mut self, number: usize) -> Result<Option<&Level>, StoreError> {
        let Some(place) = self.levels.get_mut(number) else { return Ok(None) };
        if place.is_none() {
            let layout = Layout::new(&self.recording, number);
            let level = match self.disk.open(&self.folder.join(peaks_name(number))) {
                Ok(file) => {
                    let mut head = [0; HEAD];
                    let is_ours = file.read_at(&mut head, 0)? == HEAD && head == *layout.head();
                    let records = layout.records(file.len()?);
                    is_ours.then_some(Level { file, layout, records })
                }
                Err(e) if e.is_missing() => None,
                Err(e) => return Err(e),
            };
            *place = Some(level);
        }
        Ok(place.as_ref().and_then(Option::as_ref))
    }

    /// Takes in frames that begin at a record of this zoom.
    fn cover(&mut self, level: usize, frames: Range<Frame>, canvas: &mut Canvas) -> Result<(), StoreError> {
        let size = record_frames(level);
        let is_last = level == 0 && self.recording.seal.is_some_and(|seal| seal.end == frames.end);
        let whole = if is_last { frames.end.get().div_ceil(size) } else { frames.end.get() / size };
        let mut next = frames.start.get() / size;
        while next < whole {
            let (taken, bad) = self.records(level, next..whole, frames.end, canvas)?;
            next = taken;
            // What does not prove itself, and all that is missing at the end, is looked for further down.
            let missing = Frame::new(next * size)..Frame::new((next + bad) * size).min(frames.end);
            self.finer(level, missing, canvas)?;
            next += bad;
        }
        let rest = Frame::new(next.max(frames.start.get() / size) * size).min(frames.end)..frames.end;
        self.finer(level, rest, canvas)
    }

    fn finer(&mut self, level: usize, frames: Range<Frame>, canvas: &mut Canvas) -> Result<(), StoreError> {
        match level.checked_sub(1) {
            _ if frames.is_empty() => Ok(()),
            Some(finer) => self.cover(finer, frames, canvas),
            None => {
                let count = frames.end.since(frames.start).get();
                self.mends_left = self.mends_left.checked_sub(count).ok_or_else(|| self.damaged())?;
                self.listen(frames, canvas)
            }
        }
    }

    fn damaged(&self) -> StoreError {
        StoreError::damaged(&self.folder.join(peaks_name(0)), "the peaks are not what was made from the audio")
    }

    /// Takes in records up to one that does not prove itself: which that is, and how many of them follow each other.
    fn records(
        &mut self,
        number: usize,
        mut records: Range<u64>,
        end: Frame,
        canvas: &mut Canvas,
    ) -> Result<(u64, u64), StoreError> {
        let size = record_frames(number);
        let (mut left, mut bad) = (self.records_left, 0);
        let Some(level) = self.level(number)? else { return Ok((records.start, records.end - records.start)) };
        let mut bytes = Vec::new();
        'all: while !records.is_empty() && bad == 0 {
            let count = BATCH.min(records.end - records.start);
            if left < count {
                return Err(self.damaged());
            }
            left -= count;
            bytes.resize(usize::try_from(count).unwrap_or(0) * level.layout.record_bytes(), 0);
            let read = level.file.read_at(&mut bytes, level.layout.offset(records.start))?;
            let there = bytes.get(..read).unwrap_or_default().chunks(level.layout.record_bytes());
            for record in there {
                match level.layout.decode(records.start + bad, record) {
                    Some(points) if bad == 0 => {
                        let first = Frame::new(records.start * size);
                        let weight = end.since(first).get().min(size);
                        canvas.at(first).iter_mut().zip(points).for_each(|(to, point)| to.merge_point(point, weight));
                        records.start += 1;
                    }
                    Some(_) => break 'all,
                    None => bad += 1,
                }
            }
            if read < bytes.len() {
                bad = records.end - records.start;
            }
        }
        self.records_left = left;
        Ok((records.start, bad))
    }

    /// Takes in frames from the audio itself.
    fn listen(&mut self, frames: Range<Frame>, canvas: &mut Canvas) -> Result<(), StoreError> {
        let spec = self.recording.spec;
        let mut at = frames.start;
        while at < frames.end {
            let audio = self.tape.read(at..frames.end.min(at + FrameCount::new(PIECE)))?;
            let mut audio = &audio[..];
            while !audio.is_empty() {
                let inside = at.since(canvas.first).get() % canvas.frames_per_point;
                let bytes = spec.bytes(FrameCount::new(canvas.frames_per_point - inside));
                let (now, later) = audio.split_at(audio.len().min(usize::try_from(bytes).unwrap_or(usize::MAX)));
                hear(spec, now, canvas.at(at));
                (audio, at) = (later, at + spec.frames_in(now.len() as u64).0);
            }
        }
        Ok(())
    }
}

impl Canvas {
    fn finished(self, end: Frame) -> Peaks {
        let points = self.points.iter().map(Gathered::point).collect();
        Peaks { first: self.first, end, frames_per_point: FrameCount::new(self.frames_per_point), points }
    }
}

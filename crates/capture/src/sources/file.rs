//! Audio files: one, those of a folder, or those that a playlist names, one after another.
//!
//! ```text
//! list: which files -> decoding: a thread for each, which may panic or hang -> 20 ms pieces, at the pace that was asked for
//! ```
//!
//! A file that cannot be played, or not to its end, is said and left; what was decoded before stays. If it was the only one,
//! the source fails after that. Files wait: while the recorder takes nothing, nothing is read, and nothing is lost.
//! Not here: decoders and conversion (`livetape_codec`).

mod error;
mod list;
pub(crate) mod playlist;

pub use error::FileError;

use super::decoding::{Decoding, Material, Outcome, Said, Target};
use super::pieces::Pieces;
use super::{Chunk, Piece, Source, SourceError};
use crate::clock::{CaptureClock, Reading};
use crate::shape::Shape;
use bytes::{Bytes, BytesMut};
use livetape_audio::{Frame, FrameCount, Spec, Title};
use livetape_codec::decode::Input;
use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::time::{sleep_until, timeout};

/// A decoder that gives nothing for so long hangs.
const HANGS: Duration = Duration::from_secs(30);
/// Decoders that may hang: each keeps a thread for ever.
const MAX_HANGING: u32 = 4;
/// Later than this, playing was held up and goes on from there.
const LATE: Duration = Duration::from_millis(200);

/// How fast files are played.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Pace {
    /// As they sound.
    #[default]
    Realtime,
    /// As fast as the recorder takes them. Times of day are those of real time from the beginning.
    Fast,
}

/// How to play files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Playing {
    /// How fast.
    pub pace: Pace,
    /// From the beginning again after the last one.
    pub repeat: bool,
}

/// Files as a source.
#[derive(Debug)]
pub struct Files {
    path: PathBuf,
    how: Playing,
    target: Target,
    spec: Spec,
    queue: VecDeque<PathBuf>,
    /// There is only this one file.
    single: bool,
    /// The file that is being played.
    decoding: Option<(PathBuf, Decoding)>,
    /// Audio before `title`.
    buffer: BytesMut,
    title: Option<Title>,
    /// Nothing follows, and why.
    ended: Option<Option<FileError>>,
    /// Whether anything of the list was played since its beginning, and what the first was that was not.
    played_any: bool,
    first_broken: Option<FileError>,
    hanging: u32,
    /// With a decoder that gives nothing.
    patience: Duration,
    pieces: Pieces,
    clock: CaptureClock,
    began: Reading,
    /// Frames since it began.
    played: FrameCount,
}

impl Files {
    /// Looks for the first file that can be played, whose shape fills in what `shape` leaves open.
    ///
    /// # Errors
    /// [`FileError`] if there is none.
    pub async fn open(path: &Path, how: Playing, shape: Shape) -> Result<Self, FileError> {
        Self::open_within(HANGS, path, how, shape).await
    }

    async fn open_within(patience: Duration, path: &Path, how: Playing, shape: Shape) -> Result<Self, FileError> {
        let now = Reading::now();
        let spec = shape.spec().map_err(|error| FileError::other(path, &error))?;
        let mut files = Self {
            path: path.to_owned(),
            how,
            target: Target::Shape(shape),
            spec,
            queue: list::of(path.to_owned()).await?.into(),
            single: false,
            decoding: None,
            buffer: BytesMut::new(),
            title: None,
            ended: None,
            played_any: false,
            first_broken: None,
            hanging: 0,
            patience,
            pieces: Pieces::new(spec),
            clock: CaptureClock::new(now),
            began: now,
            played: FrameCount::ZERO,
        };
        files.single = files.queue.len() == 1;
        while files.buffer.is_empty() {
            match files.ended.take() {
                Some(why) => return Err(why.unwrap_or(FileError::Empty(path.to_owned()))),
                None => files.fill().await?,
            }
        }
        files.pieces = Pieces::new(files.spec);
        Ok(files)
    }

    /// Takes in what comes next: more audio, a title, another file, the end.
    async fn fill(&mut self) -> Result<(), FileError> {
        let Some((_, decoding)) = &mut self.decoding else { return self.next_file().await };
        match timeout(self.patience, decoding.said.recv()).await {
            Ok(Some(Said::Begins { spec, title })) => {
                (self.spec, self.target) = (spec, Target::Spec(spec));
                self.title = title;
            }
            Ok(Some(Said::Title(title))) => self.title = Some(title),
            Ok(Some(Said::Audio(audio))) => {
                self.played_any = true;
                self.buffer.extend_from_slice(&audio);
            }
            Ok(Some(Said::Ends(outcome))) => self.file_ended(outcome),
            Ok(None) => {
                let outcome = Outcome::panicked(decoding);
                self.file_ended(outcome);
            }
            Err(_) => {
                let outcome = Outcome::hanging(decoding, self.patience);
                self.hanging += 1;
                self.file_ended(outcome);
            }
        }
        Ok(())
    }

    async fn next_file(&mut self) -> Result<(), FileError> {
        if let Some(path) = self.queue.pop_front() {
            let started = decode(&path, self.target).map_err(|error| FileError::other(&path, &error))?;
            self.decoding = Some((path, started));
            return Ok(());
        }
        if !self.played_any {
            let first = self.first_broken.take().map(Box::new);
            self.ended = Some(Some(match first {
                Some(first) if self.single => *first,
                Some(first) => FileError::Nothing { path: self.path.clone(), first },
                None => FileError::Empty(self.path.clone()),
            }));
        } else if self.how.repeat {
            self.queue = list::of(self.path.clone()).await?.into();
            (self.single, self.played_any, self.first_broken) = (self.queue.len() == 1, false, None);
        } else {
            self.ended = Some(None);
        }
        Ok(())
    }

    fn file_ended(&mut self, outcome: Outcome) {
        let Some(path) = self.decoding.take().map(|(path, _)| path) else { return };
        let file = path.display();
        if outcome.damaged > 0 {
            tracing::warn!(%file, packets = outcome.damaged, "parts of the file are damaged and were left out");
        }
        let Some(why) = outcome.error else {
            tracing::info!(%file, length = ?outcome.position, "played");
            return;
        };
        let Outcome { position, byte, .. } = outcome;
        let broken = match position.is_zero() {
            true => FileError::Unplayable { path, byte, why },
            false => FileError::Broken { path, position, byte, why },
        };
        if self.hanging > MAX_HANGING || (self.single && self.played_any && !self.how.repeat) {
            self.ended = Some(Some(broken));
            return;
        }
        if !self.single {
            tracing::error!("{broken}; going on with the next file");
        }
        self.first_broken.get_or_insert(broken);
    }

    /// The next piece, when it is due.
    async fn take(&mut self, bytes: usize) -> Chunk {
        let (frames, _) = self.spec.frames_in(bytes as u64);
        let time = match self.how.pace {
            Pace::Fast => self.began.wall.after_frames(self.played, self.spec),
            Pace::Realtime => {
                let due = self.began.mono + self.spec.duration(self.played + frames);
                sleep_until(due).await;
                let now = Reading::now();
                self.clock.observe(now);
                let late = now.mono.saturating_duration_since(due);
                if late > LATE {
                    self.began.mono += late;
                }
                self.clock.at(self.began.mono + self.spec.duration(self.played))
            }
        };
        self.played = self.played + frames;
        self.pieces.advance();
        // A copy: a piece that waits for the recorder must not keep the whole buffer alive.
        let pcm = Bytes::copy_from_slice(&self.buffer.split_to(bytes));
        Chunk { time, pcm }
    }

    /// Bytes of the next piece, when they are all here. What comes before another title may be shorter.
    fn ready(&self) -> Option<usize> {
        let whole = usize::try_from(self.spec.bytes(self.pieces.next())).unwrap_or(usize::MAX);
        let here = self.buffer.len();
        let all = self.title.is_some() || self.ended.is_some();
        if here >= whole { Some(whole) } else { Some(here).filter(|&n| all && n > 0) }
    }
}

fn decode(path: &Path, target: Target) -> std::io::Result<Decoding> {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let material = Material {
        name: path.display().to_string(),
        extension: path.extension().map(|extension| extension.to_string_lossy().into_owned()),
        untitled: Some(crate::title::plain(&stem)),
        feeding: None,
    };
    let path = path.to_owned();
    Decoding::start(material, target, move || list::open(&path).map(Input::file))
}

impl Source for Files {
    fn spec(&self) -> Spec {
        self.spec
    }

    fn begin(&mut self, _next: Frame) {
        self.began = Reading::now();
        self.clock = CaptureClock::new(self.began);
    }

    fn can_wait(&self) -> bool {
        true
    }

    async fn next(&mut self) -> Result<Option<Piece>, SourceError> {
        // The first file has begun with its title, and audio that comes after that.
        if self.played.is_zero()
            && let Some(title) = self.title.take()
        {
            return Ok(Some(Piece::Title(title)));
        }
        loop {
            if let Some(bytes) = self.ready() {
                return Ok(Some(Piece::Audio(self.take(bytes).await)));
            }
            if let Some(title) = self.title.take() {
                return Ok(Some(Piece::Title(title)));
            }
            match self.ended.take() {
                Some(Some(why)) => return Err(why.into()),
                Some(None) => return Ok(None),
                None => self.fill().await?,
            }
        }
    }
}

#[cfg(test)]
mod tests;

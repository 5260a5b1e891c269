//! Audio files: one, those of a folder, or those that a playlist names, one after another.
//!
//! ```text
//! list: which files -> queue: in which order -> decoding: a thread for each, which may panic or hang -> 20 ms pieces, at the pace that was asked for
//! ```
//!
//! A file that cannot be played, or not to its end, is said and left; what was decoded before stays. If it was the only one,
//! the source fails after that. What is repeated and was played once is waited for when it is gone. Files wait: while the recorder takes nothing, nothing is read, and nothing is lost.
//! Not here: decoders and conversion (`livetape_codec`).

mod ahead;
mod error;
mod list;
pub(crate) mod playlist;
mod queue;

pub use error::FileError;

use super::decoding::{Decoding, Material, Outcome, Said, Target};
use super::pieces::Pieces;
use super::{Chunk, Piece, Source, SourceError};
use crate::backoff::Backoff;
use crate::clock::{CaptureClock, Reading};
use crate::desk::{Desk, Program, UPCOMING};
use crate::random::Random;
use crate::shape::Shape;
use ahead::Ahead;
use bytes::{Bytes, BytesMut};
use livetape_audio::{Frame, FrameCount, Spec, Title};
use livetape_codec::decode::Input;
use queue::Queue;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{sleep, sleep_until, timeout};

/// A decoder that gives nothing for so long hangs.
const HANGS: Duration = Duration::from_secs(30);
/// Decoders that may hang: each keeps a thread for ever.
const MAX_HANGING: u32 = 4;
/// Between two looks for files that are gone: the first wait and the longest.
const ROUNDS: RangeInclusive<Duration> = Duration::from_secs(1)..=Duration::from_secs(30);
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
    /// In an order that is another one each time.
    pub shuffle: bool,
}

/// Files as a source.
#[derive(Debug)]
pub struct Files {
    path: PathBuf,
    how: Playing,
    target: Target,
    spec: Spec,
    queue: Queue,
    /// The file that is being played, and whether anything was heard of it yet.
    decoding: Option<(PathBuf, Decoding)>,
    begun: bool,
    /// Audio before `title`.
    buffer: BytesMut,
    title: Option<Title>,
    /// Nothing follows, and why.
    ended: Option<Option<FileError>>,
    /// Whether anything of the list was played since its beginning, and what the first was that was not.
    played_any: bool,
    first_broken: Option<FileError>,
    /// What was said of the only file, which is played again and again.
    told: Option<String>,
    hanging: u32,
    /// How long to wait for a round in which there is something, and why there was nothing, as it was said.
    rounds: Backoff,
    missed: Option<String>,
    /// What plays, what came next when it began, and what those are called.
    playing: Title,
    upcoming: Vec<PathBuf>,
    ahead: Ahead,
    /// Where it is told to skip, and how often it was.
    desk: Desk,
    skips: watch::Receiver<u64>,
    skipped: u64,
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
        let desk = Desk::default();
        let mut files = Self {
            path: path.to_owned(),
            how,
            target: Target::Shape(shape),
            spec,
            queue: Queue::of(path, how).await?,
            decoding: None,
            begun: false,
            buffer: BytesMut::new(),
            title: None,
            ended: None,
            played_any: false,
            first_broken: None,
            told: None,
            hanging: 0,
            rounds: Backoff::new(ROUNDS, Random::seeded()),
            missed: None,
            playing: Title::default(),
            upcoming: Vec::new(),
            ahead: Ahead::new(patience),
            skips: desk.skips(),
            desk,
            skipped: 0,
            patience,
            pieces: Pieces::new(spec),
            clock: CaptureClock::new(now),
            began: now,
            played: FrameCount::ZERO,
        };
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
        let said = tokio::select! {
            said = timeout(self.patience, decoding.next()) => said,
            // Whoever asks for the next piece sees to it; while nothing can be left, it waits.
            _ = self.skips.changed(), if self.begun => return Ok(()),
        };
        match said {
            Ok(Some(Said::Begins { spec, title })) => {
                if let (Some((path, _)), Some(title)) = (&self.decoding, &title) {
                    self.ahead.is(path, title);
                }
                (self.spec, self.target) = (spec, Target::Spec(spec));
                (self.title, self.begun) = (title, true);
            }
            Ok(Some(Said::Title(title))) => self.title = Some(title),
            Ok(Some(Said::Audio(audio))) => {
                (self.played_any, self.missed) = (true, None);
                self.rounds.reset();
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
        if let Some(path) = self.queue.pop().await {
            let started = decode(&path, self.target).map_err(|error| FileError::other(&path, &error))?;
            (self.decoding, self.begun) = (Some((path, started)), false);
            return Ok(());
        }
        let nothing = (!self.played_any).then(|| self.nothing());
        if self.how.repeat && (self.played_any || !self.played.is_zero()) {
            self.next_round(nothing).await;
        } else {
            self.ended = Some(nothing);
        }
        Ok(())
    }

    /// Why nothing of a round was played.
    fn nothing(&mut self) -> FileError {
        match self.first_broken.take().map(Box::new) {
            Some(first) if self.queue.is_single() => *first,
            Some(first) => FileError::Nothing { path: self.path.clone(), first },
            None => FileError::Empty(self.path.clone()),
        }
    }

    /// Begins the next round. What could be played once is waited for when it is not there: somebody changes it, or a disk is away.
    async fn next_round(&mut self, nothing: Option<FileError>) {
        let begun = match nothing {
            Some(why) => Err(why),
            None => self.queue.begin_anew().await,
        };
        let Err(why) = begun else {
            (self.played_any, self.first_broken) = (false, None);
            return;
        };
        let why = why.to_string();
        if self.missed.as_ref() != Some(&why) {
            tracing::error!("{why}; it is looked for again and again");
            self.missed = Some(why);
        }
        self.queue.forget();
        // Whoever gives up waiting looks at once when it asks again.
        self.played_any = true;
        sleep(self.rounds.wait()).await;
    }

    /// Leaves what is heard, if somebody wants that. What has begun to be decoded after it goes on.
    fn skip(&mut self) {
        let is_next = self.title.is_some() || (self.decoding.is_some() && !self.begun);
        if is_next && self.buffer.is_empty() {
            // It is to be heard of before it can be left.
            return;
        }
        self.skipped = self.skipped.saturating_add(1);
        self.buffer.clear();
        if !is_next && let Some((path, _)) = self.decoding.take() {
            tracing::info!(file = %path.display(), "skipped");
            self.played_any = true;
        }
    }

    /// Says what plays from now on.
    fn announce(&mut self, title: &Title) {
        self.playing = title.clone();
        self.upcoming = self.queue.upcoming().take(UPCOMING).map(Into::into).collect();
        self.show();
    }

    fn show(&mut self) {
        let upcoming = self.ahead.titles(&self.upcoming);
        self.desk.show(Program { playing: self.playing.clone(), upcoming });
    }

    fn file_ended(&mut self, outcome: Outcome) {
        let Some(path) = self.decoding.take().map(|(path, _)| path) else { return };
        let file = path.display();
        if outcome.damaged > 0 {
            tracing::warn!(%file, packets = outcome.damaged, "parts of the file are damaged and were left out");
        }
        let Some(why) = outcome.error else {
            tracing::info!(%file, length = ?outcome.position, "played");
            self.told = None;
            return;
        };
        let Outcome { position, byte, .. } = outcome;
        let broken = match position.is_zero() {
            true => FileError::Unplayable { path, byte, why },
            false => FileError::Broken { path, position, byte, why },
        };
        if self.hanging > MAX_HANGING || (self.queue.is_single() && self.played_any && !self.how.repeat) {
            self.ended = Some(Some(broken));
            return;
        }
        if !self.queue.is_single() {
            tracing::error!("{broken}; going on with the next file");
        } else if self.played_any {
            // Otherwise it is the error with which the source ends.
            let told = broken.to_string();
            if self.told.as_ref() != Some(&told) {
                tracing::error!("{broken}; going on from its beginning");
                self.told = Some(told);
            }
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
    let material = Material {
        name: path.display().to_string(),
        extension: path.extension().map(|extension| extension.to_string_lossy().into_owned()),
        untitled: Some(queue::name(path)),
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

    fn desk(&self) -> Option<Desk> {
        Some(self.desk.clone())
    }

    async fn next(&mut self) -> Result<Option<Piece>, SourceError> {
        // The first file has begun with its title, and audio that comes after that.
        if self.played.is_zero()
            && let Some(title) = self.title.take()
        {
            self.announce(&title);
            return Ok(Some(Piece::Title(title)));
        }
        if self.ahead.has_learned() {
            self.show();
        }
        loop {
            if *self.skips.borrow() > self.skipped {
                self.skip();
            }
            if let Some(bytes) = self.ready() {
                return Ok(Some(Piece::Audio(self.take(bytes).await)));
            }
            if let Some(title) = self.title.take() {
                self.announce(&title);
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

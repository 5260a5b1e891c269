//! A source with another one that takes over while nothing comes of it, and hands back. Frames go on one after another: what
//! passed until it was noticed is silence, and so is what the source missed without anybody taking over.

use super::file::Files;
use super::pieces::Pieces;
use super::{Chunk, Generator, Piece, Source, SourceError, voice};
use crate::clock::Reading;
use crate::source_spec::{SourceSpec, SourceSpecError};
use livetape_audio::{Frame, FrameCount, Spec, Title, WallTime};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// What is later than this does not come: longer than networks stammer, shorter than what players hold in hand.
const HOLD: Duration = Duration::from_millis(500);
/// More than this is not filled with silence: a machine that slept.
const MOST: Duration = Duration::from_secs(10);

/// What plays while a source is away.
pub(crate) enum Backup {
    /// A generator, which begins anew each time.
    Voice(SourceSpec, Option<Box<Generator>>),
    /// Files, which go on where they were.
    Files(Box<Files>),
}

impl Backup {
    fn take_over(&mut self, spec: Spec) -> Result<(), SourceSpecError> {
        if let Self::Voice(source, generator) = self {
            let mut new = voice(source, spec)?.map(|voice| Box::new(Generator::new(voice, spec)));
            new.iter_mut().for_each(|new| new.begin(Frame::ZERO));
            *generator = new;
        }
        Ok(())
    }

    /// What comes next; nothing, when it is over.
    async fn next(&mut self) -> Option<Piece> {
        let next = match self {
            Self::Voice(_, Some(generator)) => generator.next().await,
            Self::Voice(_, None) => Ok(None),
            Self::Files(files) => files.next().await,
        };
        next.unwrap_or_else(|error| {
            tracing::error!("the fallback has failed: {error}; silence takes its place");
            None
        })
    }
}

/// A source, and what plays while it is away. Both have the same shape.
pub(crate) struct Fallback<P> {
    main: P,
    backup: Backup,
    hold: Duration,
    /// The backup plays.
    away: bool,
    /// The backup has ended: silence takes its place.
    over: bool,
    pieces: Pieces,
    /// Until when there is audio, by both clocks.
    until: Instant,
    until_wall: WallTime,
    /// The latest of them: what lay in a card when it went comes late.
    latest: WallTime,
    /// What the source has missed since it was heard last.
    lost: FrameCount,
    /// Silence that is still to come before anything else.
    silence: FrameCount,
    /// What each of them says that it plays.
    titles: [Option<Title>; 2],
    /// To be said next, and what follows.
    say: Option<Title>,
    back: Option<Chunk>,
}

impl<P: Source> Fallback<P> {
    pub(crate) fn new(main: P, backup: Backup) -> Self {
        let pieces = Pieces::new(main.spec());
        let now = Reading::now();
        Self {
            main,
            backup,
            hold: HOLD,
            away: false,
            over: false,
            pieces,
            until: now.mono,
            until_wall: now.wall,
            latest: now.wall,
            lost: FrameCount::ZERO,
            silence: FrameCount::ZERO,
            titles: [None, None],
            say: None,
            back: None,
        }
    }

    fn audio(&mut self, chunk: Chunk) -> Piece {
        let spec = self.main.spec();
        self.until_wall = chunk.time.after_frames(chunk.frames(spec), spec);
        self.latest = self.latest.max(self.until_wall);
        self.until = Instant::now();
        Piece::Audio(chunk)
    }

    /// The next 20 ms of the silence that is to come.
    fn some_silence(&mut self) -> Piece {
        let spec = self.main.spec();
        let frames = self.pieces.next().min(self.silence);
        self.pieces.advance();
        self.silence = self.silence - frames;
        let (time, pcm) = (self.until_wall, vec![0; usize::try_from(spec.bytes(frames)).unwrap_or(0)]);
        self.audio(Chunk { time, pcm: pcm.into() })
    }

    fn take_over(&mut self) -> Result<(), SourceError> {
        tracing::warn!("nothing comes of the source: the fallback takes over");
        let passed = Instant::now().saturating_duration_since(self.until);
        self.silence = self.main.spec().frames(passed.min(MOST));
        (self.away, self.lost) = (true, FrameCount::ZERO);
        self.say = Some(self.titles[1].clone().unwrap_or_default());
        Ok(self.backup.take_over(self.main.spec())?)
    }

    fn hand_back(&mut self, first: Chunk) {
        tracing::info!("the source is back");
        self.away = false;
        self.say = Some(self.titles[0].clone().unwrap_or_default());
        self.back = Some(first);
    }

    /// What the main source gives, as far as it is to be heard.
    fn heard(&mut self, piece: Piece) -> Option<Piece> {
        match piece {
            Piece::Title(title) => {
                self.titles[0] = Some(title.clone());
                (!self.away).then_some(Piece::Title(title))
            }
            // The backup has played.
            Piece::Gap(_) if self.away => None,
            // It was over before anybody took over.
            Piece::Gap(lost) => {
                self.lost = self.lost + lost.frames;
                None
            }
            Piece::Audio(chunk) if self.away => {
                self.hand_back(chunk);
                None
            }
            Piece::Audio(chunk) if !self.lost.is_zero() => {
                // Of what the source missed, what has not been heard of the backup either.
                let passed = self.main.spec().frames(chunk.time.since(self.latest).min(MOST));
                self.silence = passed.min(std::mem::take(&mut self.lost));
                self.until_wall = self.latest;
                self.back = Some(chunk);
                None
            }
            Piece::Audio(chunk) => Some(self.audio(chunk)),
        }
    }

    /// What the backup gives.
    fn played(&mut self, piece: Option<Piece>) -> Option<Piece> {
        match piece {
            Some(Piece::Title(title)) => {
                self.titles[1] = Some(title.clone());
                Some(Piece::Title(title))
            }
            Some(Piece::Audio(chunk)) => Some(self.audio(chunk)),
            Some(Piece::Gap(_)) => None,
            None => {
                self.over = true;
                None
            }
        }
    }
}

impl<P: Source> Source for Fallback<P> {
    fn spec(&self) -> Spec {
        self.main.spec()
    }

    fn begin(&mut self, next: Frame) {
        self.main.begin(next);
        let now = Reading::now();
        (self.until, self.until_wall, self.latest) = (now.mono, now.wall, now.wall);
    }

    fn waits_for_answer(&self) -> bool {
        self.main.waits_for_answer()
    }

    async fn next(&mut self) -> Result<Option<Piece>, SourceError> {
        loop {
            if !self.silence.is_zero() {
                return Ok(Some(self.some_silence()));
            }
            if let Some(title) = self.say.take() {
                return Ok(Some(Piece::Title(title)));
            }
            if let Some(chunk) = self.back.take() {
                return Ok(Some(self.audio(chunk)));
            }
            let (away, over) = (self.away, self.over);
            let heard = tokio::select! {
                biased;
                piece = self.main.next() => match piece? {
                    Some(piece) => self.heard(piece),
                    // Whoever ends by itself ends all of this.
                    None => return Ok(None),
                },
                piece = self.backup.next(), if away && !over => self.played(piece),
                () = sleep_until(self.until + self.hold), if !away => {
                    self.take_over()?;
                    None
                }
                () = sleep_until(self.until + super::PIECE), if away && over => {
                    self.silence = self.pieces.next();
                    None
                }
            };
            if heard.is_some() {
                return Ok(heard);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sources::Counting;
    use livetape_audio::SampleFormat;
    use livetape_testkit::counting;
    use std::collections::VecDeque;

    /// Counts in real time, for so many pieces; then it is away for a while, and so on.
    struct Unsteady {
        counting: Generator,
        script: VecDeque<(u32, Duration)>,
        until: Option<Instant>,
    }

    impl Source for Unsteady {
        fn spec(&self) -> Spec {
            self.counting.spec()
        }
        fn begin(&mut self, next: Frame) {
            self.counting.begin(next);
        }
        async fn next(&mut self) -> Result<Option<Piece>, SourceError> {
            let Some((left, away)) = self.script.front_mut() else { return Ok(None) };
            if *left > 0 {
                let piece = self.counting.next().await?;
                *left -= 1;
                return Ok(piece);
            }
            // The future may be dropped: the end of the wait is kept.
            let until = *self.until.get_or_insert(Instant::now() + *away);
            sleep_until(until).await;
            self.until = None;
            let away = self.script.pop_front().map(|(_, away)| away).unwrap_or_default();
            // A source that comes back counts on, and its clock begins anew.
            let (spec, first) = (self.spec(), 1_000_000);
            self.counting = Generator::new(Box::new(Counting), spec);
            self.counting.begin(Frame::new(first));
            Ok(Some(Piece::Gap(super::super::Lost {
                frames: spec.frames(away),
                reason: livetape_audio::GapReason::SourceRestarted,
            })))
        }
    }

    #[tokio::test]
    async fn takes_over_and_hands_back_without_a_gap() {
        let spec = Spec::new(SampleFormat::S16, 48_000, 2).unwrap();
        let counting = Generator::new(Box::new(Counting), spec);
        let script = [
            (25, Duration::from_millis(900)),
            (25, Duration::ZERO),
            (25, Duration::from_millis(60)),
            (10, Duration::ZERO),
        ];
        let main = Unsteady { counting, script: script.into(), until: None };
        let mut both = Fallback::new(main, Backup::Voice(SourceSpec::Silence, None));
        both.hold = Duration::from_millis(400);
        both.begin(Frame::ZERO);
        let (mut pcm, mut last, mut titles): (Vec<u8>, Option<WallTime>, _) = (Vec::new(), None, 0);
        while let Some(piece) = both.next().await.unwrap() {
            match piece {
                Piece::Audio(chunk) => {
                    // No time passes without audio but for the moment of handing back, and that is shorter than its wait.
                    let apart = last.map_or(Duration::ZERO, |last| last.distance(chunk.time));
                    assert!(apart < Duration::from_millis(150), "{apart:?}");
                    last = Some(chunk.time.after_frames(chunk.frames(spec), spec));
                    pcm.extend_from_slice(&chunk.pcm);
                }
                Piece::Title(_) => titles += 1,
                Piece::Gap(gap) => panic!("{gap:?}"),
            }
        }
        assert_eq!(titles, 2, "once taken over, once handed back");
        let counted: Vec<_> = counting::runs(&pcm).into_iter().filter(|run| run.frames.get() > 960).collect();
        let frames: Vec<_> = counted.iter().map(|run| (run.first, run.frames.get())).collect();
        assert_eq!(frames[0], (0, 24_000), "{frames:?}");
        assert!(frames[1..].iter().all(|(first, _)| *first == 1_000_000), "{frames:?}");
        let between = counted[1].at.get() - 24_000;
        assert!((40_000..60_000).contains(&between), "{between} frames for 0.9 s");
        assert!(
            pcm[24_000 * 4..][..between as usize * 4].iter().all(|&byte| byte == 0),
            "only the backup is heard there"
        );
        let missed = counted[3].at.get() - (counted[2].at.get() + counted[2].frames.get());
        assert!((960..=2_880).contains(&missed), "60 ms that nobody noticed are silence, not {missed} frames");
    }
}

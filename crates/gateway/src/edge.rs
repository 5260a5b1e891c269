//! The newest audio of growing recordings, read once for all their listeners.
//!
//! For each recording that somebody follows, one task watches the tail, reads what is new and only then tells the
//! listeners: each wakes once and finds its bytes in memory. Most of what a listener costs is being woken, so those who
//! can wait are told a few times a second ([`Pace`]) and find one piece, whatever the recorder's own pace. A listener
//! that is further behind reads for itself.

use crate::library::{FrameReader, Library};
use crate::trace::Delivery;
use bytes::Bytes;
use livetape_audio::{Frame, FrameCount, RecordingId, Spec, Tail};
use livetape_store::Recording;
use livetape_tail::TailWatch;
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::{CancellationToken, DropGuard};
use tracing::{Instrument, Span};

/// Seconds of a followed recording that are kept, and how many bytes that is at least and at most.
const KEPT: u64 = 2;
const KEPT_BYTES: Range<u64> = 512 * 1024..8 << 20;

/// How soon a listener is told of what is new.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// At once.
    Prompt,
    /// Four times a second.
    Calm,
    /// Twice a second.
    Slow,
}

impl Pace {
    /// What serves a listener who has so much audio in hand: it waits for at most a quarter of that.
    pub(crate) fn with_in_hand(in_hand: Duration) -> Self {
        let slowest = [Self::Slow, Self::Calm].into_iter().find(|pace| in_hand >= pace.time() * 4);
        slowest.unwrap_or(Self::Prompt)
    }

    /// Time between two pieces.
    const fn time(self) -> Duration {
        Duration::from_millis(match self {
            Self::Prompt => 0,
            Self::Calm => 250,
            Self::Slow => 500,
        })
    }
}

/// The feeds of all recordings that are followed now.
#[derive(Default)]
pub(crate) struct Edges(Mutex<HashMap<RecordingId, Weak<Feed>>>);

/// The newest audio of one recording; kept up to date for as long as somebody holds it.
pub(crate) struct Feed {
    recent: Arc<RwLock<Recent>>,
    prompt: watch::Receiver<Tail>,
    calm: watch::Receiver<Tail>,
    slow: watch::Receiver<Tail>,
    _running: DropGuard,
}

impl Edges {
    /// Joins those who follow the recording. `None` when its tail is not known.
    pub(crate) fn follow(&self, library: &dyn Library, recording: &Arc<Recording>) -> Option<Arc<Feed>> {
        let mut feeds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(feed) = feeds.get(&recording.id).and_then(Weak::upgrade) {
            return Some(feed);
        }
        let feed = Arc::new(Feed::start(library.tail(recording.id)?, library.reader(recording), recording.spec));
        feeds.retain(|_, feed| feed.strong_count() > 0);
        feeds.insert(recording.id, Arc::downgrade(&feed));
        Some(feed)
    }
}

impl Feed {
    fn start(mut source: TailWatch, reader: Box<dyn FrameReader>, spec: Spec) -> Self {
        let now = source.current();
        let (tell, prompt) = watch::channel(now);
        let ((calm, tell_calm), (slow, tell_slow)) = (Tick::begin(Pace::Calm, now), Tick::begin(Pace::Slow, now));
        let recent = Arc::new(RwLock::new(Recent::new(spec)));
        let stop = CancellationToken::new();
        let keeper = Keeper { source, reader, prompt: tell, ticks: [tell_calm, tell_slow], recent: recent.clone() };
        tokio::spawn(stop.clone().run_until_cancelled_owned(keeper.keep()));
        Self { recent, prompt, calm, slow, _running: stop.drop_guard() }
    }

    /// The tail, as far as its audio is at hand.
    pub(crate) fn tail(&self, pace: Pace) -> TailWatch {
        TailWatch::new(match pace {
            Pace::Prompt => self.prompt.clone(),
            Pace::Calm => self.calm.clone(),
            Pace::Slow => self.slow.clone(),
        })
    }

    /// The first of these frames, if they are at hand.
    pub(crate) fn get(&self, frames: Range<Frame>) -> Option<Bytes> {
        self.recent.read().unwrap_or_else(PoisonError::into_inner).get(frames)
    }
}

struct Keeper {
    source: TailWatch,
    reader: Box<dyn FrameReader>,
    prompt: watch::Sender<Tail>,
    ticks: [Tick; 2],
    recent: Arc<RwLock<Recent>>,
}

/// Those who are told from time to time.
struct Tick {
    pace: Pace,
    tell: watch::Sender<Tail>,
    told: Instant,
}

impl Tick {
    fn begin(pace: Pace, now: Tail) -> (watch::Receiver<Tail>, Self) {
        let (tell, told_to) = watch::channel(now);
        (told_to, Self { pace, tell, told: Instant::now() })
    }

    /// When to tell that this is the tail, if that is news.
    fn due(&self, now: &Tail) -> Option<Instant> {
        (*self.tell.borrow() != *now).then(|| self.told + self.pace.time())
    }
}

impl Keeper {
    async fn keep(mut self) {
        let mut open = true;
        while open {
            let now = *self.prompt.borrow();
            let due = self.ticks.iter().filter_map(|tick| tick.due(&now)).min();
            open = tokio::select! {
                newer = self.source.changed() => newer && {
                    self.take_in().await;
                    true
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => true,
            };
            let (now, time) = (*self.prompt.borrow(), Instant::now());
            for tick in &mut self.ticks {
                if tick.due(&now).is_some_and(|due| due <= time || now.is_sealed() || !open) {
                    // In one piece, whatever it came in.
                    self.recent.write().unwrap_or_else(PoisonError::into_inner).join(tick.tell.borrow().end);
                    tick.tell.send_replace(now);
                    tick.told = time;
                }
            }
        }
    }

    /// Reads what is new and tells those who want to know at once.
    async fn take_in(&mut self) {
        let (at, tail) = (self.prompt.borrow().end, self.source.current());
        let new = self.recent.read().unwrap_or_else(PoisonError::into_inner).worth_reading(at, tail.end);
        if !new.is_empty() {
            let delivery = Delivery::begin(&self.source, &new);
            let span = delivery.as_ref().map_or_else(Span::none, Delivery::span);
            let read = async { self.reader.read(new.clone()).await?.load().await };
            match read.instrument(span).await {
                Ok(bytes) => {
                    let mut recent = self.recent.write().unwrap_or_else(PoisonError::into_inner);
                    recent.push(new.start, bytes);
                    // One that nobody has taken yet is waited for until there is another.
                    recent.delivery = delivery.or(recent.delivery.take());
                }
                // The listeners will find the same, and say so.
                Err(error) => tracing::warn!(%error, "the newest audio could not be read"),
            }
        }
        self.prompt.send_replace(tail);
    }
}

/// Blocks without holes between them, oldest first.
struct Recent {
    spec: Spec,
    kept: u64,
    blocks: VecDeque<(Range<Frame>, Bytes)>,
    bytes: u64,
    delivery: Option<Delivery>,
}

impl Recent {
    fn new(spec: Spec) -> Self {
        let kept = (spec.byte_rate() * KEPT).clamp(KEPT_BYTES.start, KEPT_BYTES.end);
        Self { spec, kept, blocks: VecDeque::new(), bytes: 0, delivery: None }
    }

    /// What to read when the tail moves: all that is new, or the end of it after a long pause.
    fn worth_reading(&self, at: Frame, end: Frame) -> Range<Frame> {
        let (most, _) = self.spec.frames_in(self.kept / 4);
        at.max(end.back(most.max(FrameCount::new(1))))..end
    }

    fn push(&mut self, first: Frame, bytes: Bytes) {
        let (frames, _) = self.spec.frames_in(bytes.len() as u64);
        if self.blocks.back().is_some_and(|(last, _)| last.end != first) {
            self.blocks.clear();
            self.bytes = 0;
        }
        self.bytes += bytes.len() as u64;
        self.blocks.push_back((first..first + frames, bytes));
        while self.bytes > self.kept
            && let Some((_, oldest)) = self.blocks.pop_front()
        {
            self.bytes -= oldest.len() as u64;
        }
    }

    /// Makes one block of those from `first` on.
    fn join(&mut self, first: Frame) {
        let from = self.blocks.partition_point(|(block, _)| block.start < first);
        if self.blocks.len() - from < 2 {
            return;
        }
        let new: Vec<_> = self.blocks.drain(from..).collect();
        if let (Some((begin, _)), Some((end, _))) = (new.first(), new.last()) {
            let frames = begin.start..end.end;
            let bytes = new.iter().flat_map(|(_, bytes)| bytes.iter().copied()).collect();
            self.blocks.push_back((frames, bytes));
        }
    }

    fn get(&self, frames: Range<Frame>) -> Option<Bytes> {
        let (block, bytes) = self.blocks.iter().rev().find(|(block, _)| block.contains(&frames.start))?;
        let byte = |frame: Frame| usize::try_from(self.spec.bytes(frame.since(block.start))).ok();
        let frames = frames.start..frames.end.min(block.end);
        if let Some(delivery) = &self.delivery {
            delivery.taken(&frames);
        }
        Some(bytes.slice(byte(frames.start)?..byte(frames.end)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use livetape_audio::SampleFormat;

    fn frames(range: Range<u64>) -> Range<Frame> {
        Frame::new(range.start)..Frame::new(range.end)
    }

    #[test]
    fn gives_what_it_has_and_nothing_else() {
        let mut recent = Recent::new(Spec::new(SampleFormat::S16, 8_000, 1).unwrap());
        recent.push(Frame::new(10), Bytes::from_static(&[1, 1, 2, 2]));
        recent.push(Frame::new(12), Bytes::from_static(&[3, 3]));
        assert_eq!(recent.get(frames(10..13)).unwrap(), &[1, 1, 2, 2][..], "up to the end of a block");
        assert_eq!(recent.get(frames(11..12)).unwrap(), &[2, 2][..]);
        assert_eq!(recent.get(frames(12..13)).unwrap(), &[3, 3][..]);
        assert_eq!(recent.get(frames(9..10)), None);
        assert_eq!(recent.get(frames(13..14)), None);
        recent.push(Frame::new(20), Bytes::from_static(&[4, 4]));
        assert_eq!(recent.get(frames(12..13)), None, "a hole: what was before it is forgotten");
        assert_eq!(recent.get(frames(20..21)).unwrap(), &[4, 4][..]);
    }

    #[test]
    fn nobody_waits_for_long_with_little_in_hand() {
        let pace = |ms| Pace::with_in_hand(Duration::from_millis(ms));
        assert_eq!([pace(0), pace(999), pace(1_000)], [Pace::Prompt, Pace::Prompt, Pace::Calm]);
        assert_eq!([pace(1_999), pace(2_000), pace(60_000)], [Pace::Calm, Pace::Slow, Pace::Slow]);
    }

    #[test]
    fn what_came_in_several_pieces_goes_in_one() {
        let mut recent = Recent::new(Spec::new(SampleFormat::S16, 8_000, 1).unwrap());
        for n in 0..5_u8 {
            recent.push(Frame::new(u64::from(n) * 2), Bytes::from(vec![n; 4]));
        }
        recent.join(Frame::new(6));
        assert_eq!(recent.get(frames(6..10)).unwrap(), &[3, 3, 3, 3, 4, 4, 4, 4][..]);
        assert_eq!(recent.get(frames(7..10)).unwrap(), &[3, 3, 4, 4, 4, 4][..]);
        assert_eq!(recent.get(frames(4..10)).unwrap(), &[2, 2, 2, 2][..], "what was told before stays as it was");
        recent.join(Frame::new(6));
        recent.join(Frame::new(10));
        assert_eq!(recent.blocks.len(), 4);
    }

    #[test]
    fn has_a_bound() {
        let mut recent = Recent::new(Spec::new(SampleFormat::S16, 8_000, 1).unwrap());
        for n in 0..100 {
            recent.push(Frame::new(n * 5_000), Bytes::from(vec![0; 10_000]));
        }
        assert!(recent.bytes <= KEPT_BYTES.start && recent.blocks.len() as u64 == KEPT_BYTES.start / 10_000);
        assert_eq!(recent.worth_reading(Frame::new(0), Frame::new(10)), frames(0..10));
        assert_eq!(recent.worth_reading(Frame::new(0), Frame::new(100_000)), frames(100_000 - 65_536..100_000));
    }
}

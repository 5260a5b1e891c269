//! The newest audio of growing recordings, read once for all their listeners.
//!
//! For each recording that somebody follows, one task watches the tail, reads what is new and only then tells the
//! listeners: each wakes once and finds its bytes in memory. A listener that is further behind reads for itself.

use crate::library::{FrameReader, Library};
use bytes::Bytes;
use livetape_audio::{Frame, FrameCount, RecordingId, Spec, Tail};
use livetape_store::Recording;
use livetape_tail::TailWatch;
use std::collections::{HashMap, VecDeque};
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use tokio::sync::watch;
use tokio_util::sync::{CancellationToken, DropGuard};

/// Bytes that are kept of each followed recording.
const KEPT: usize = 512 * 1024;
/// Most bytes that are read at once.
const BLOCK: u64 = 128 * 1024;

/// The feeds of all recordings that are followed now.
#[derive(Default)]
pub(crate) struct Edges(Mutex<HashMap<RecordingId, Weak<Feed>>>);

/// The newest audio of one recording; kept up to date for as long as somebody holds it.
pub(crate) struct Feed {
    recent: Arc<RwLock<Recent>>,
    tail: watch::Receiver<Tail>,
    _running: DropGuard,
}

impl Edges {
    /// Joins those who follow the recording. `None` when its tail is not known.
    pub(crate) fn follow(&self, library: &dyn Library, recording: &Recording) -> Option<Arc<Feed>> {
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
        let (sender, tail) = watch::channel(source.current());
        let recent = Arc::new(RwLock::new(Recent::new(spec)));
        let stop = CancellationToken::new();
        tokio::spawn(stop.clone().run_until_cancelled_owned(keep(source, reader, sender, recent.clone())));
        Self { recent, tail, _running: stop.drop_guard() }
    }

    /// The tail, as far as its audio is at hand.
    pub(crate) fn tail(&self) -> TailWatch {
        TailWatch::new(self.tail.clone())
    }

    /// The first of these frames, if they are at hand.
    pub(crate) fn get(&self, frames: Range<Frame>) -> Option<Bytes> {
        self.recent.read().unwrap_or_else(PoisonError::into_inner).get(frames)
    }
}

async fn keep(
    mut source: TailWatch,
    mut reader: Box<dyn FrameReader>,
    sender: watch::Sender<Tail>,
    recent: Arc<RwLock<Recent>>,
) {
    let mut at = sender.borrow().end;
    while source.changed().await {
        let tail = source.current();
        let new = recent.read().unwrap_or_else(PoisonError::into_inner).worth_reading(at, tail.end);
        if !new.is_empty() {
            match reader.read(new.clone()).await {
                Ok(bytes) => recent.write().unwrap_or_else(PoisonError::into_inner).push(new.start, bytes),
                // The listeners will find the same, and say so.
                Err(error) => tracing::warn!(%error, "the newest audio could not be read"),
            }
        }
        at = tail.end;
        sender.send_replace(tail);
    }
}

/// Blocks without holes between them, oldest first.
struct Recent {
    spec: Spec,
    blocks: VecDeque<(Range<Frame>, Bytes)>,
    bytes: usize,
}

impl Recent {
    const fn new(spec: Spec) -> Self {
        Self { spec, blocks: VecDeque::new(), bytes: 0 }
    }

    /// What to read when the tail moves: all that is new, or the end of it after a long pause.
    fn worth_reading(&self, at: Frame, end: Frame) -> Range<Frame> {
        let (most, _) = self.spec.frames_in(BLOCK);
        at.max(end.back(most.max(FrameCount::new(1))))..end
    }

    fn push(&mut self, first: Frame, bytes: Bytes) {
        let (frames, _) = self.spec.frames_in(bytes.len() as u64);
        if self.blocks.back().is_some_and(|(last, _)| last.end != first) {
            self.blocks.clear();
            self.bytes = 0;
        }
        self.bytes += bytes.len();
        self.blocks.push_back((first..first + frames, bytes));
        while self.bytes > KEPT
            && let Some((_, oldest)) = self.blocks.pop_front()
        {
            self.bytes -= oldest.len();
        }
    }

    fn get(&self, frames: Range<Frame>) -> Option<Bytes> {
        let (block, bytes) = self.blocks.iter().rev().find(|(block, _)| block.contains(&frames.start))?;
        let byte = |frame: Frame| usize::try_from(self.spec.bytes(frame.since(block.start))).ok();
        Some(bytes.slice(byte(frames.start)?..byte(frames.end.min(block.end))?))
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
    fn has_a_bound() {
        let mut recent = Recent::new(Spec::new(SampleFormat::S16, 8_000, 1).unwrap());
        for n in 0..100 {
            recent.push(Frame::new(n * 5_000), Bytes::from(vec![0; 10_000]));
        }
        assert!(recent.bytes <= KEPT && recent.blocks.len() == KEPT / 10_000);
        assert_eq!(recent.worth_reading(Frame::new(0), Frame::new(10)), frames(0..10));
        assert_eq!(recent.worth_reading(Frame::new(0), Frame::new(100_000)), frames(100_000 - 65_536..100_000));
    }
}

//! The way out of the audio callback: two rings without locks, one for bytes, one for what is said about them.
//!
//! The host's thread must never wait: the callback copies bytes, looks at the clock and goes. It takes no lock,
//! allocates nothing and logs nothing. When the rings are full, it counts what it drops, and says so with the next
//! block that fits.

use livetape_audio::FrameCount;
use rtrb::{Consumer, Producer, RingBuffer};
use std::time::{Duration, Instant};

/// Blocks that may wait.
const BLOCKS: usize = 4096;
/// Troubles that may wait; more of them say nothing new.
const TROUBLES: usize = 64;

/// What is said about a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// When the callback got it.
    pub at: Instant,
    /// How much earlier than that its last frame had been captured, as far as the host knows.
    pub latency: Duration,
    /// Its length.
    pub frames: FrameCount,
    /// Frames dropped before it because the rings were full.
    pub dropped: FrameCount,
}

/// Something went wrong at the host.
#[derive(Debug)]
struct Trouble {
    /// When it was said: before the blocks that came later.
    at: Instant,
    /// What, in the host's words: they are let go of where there is time for it.
    error: cpal::Error,
}

/// The end in the data callback.
pub(crate) struct Tap {
    bytes: Producer<u8>,
    marks: Producer<Mark>,
    frame_bytes: usize,
    rate: u32,
    dropped: u64,
}

impl Tap {
    /// Takes a block that came at `at`, whose first frame had been captured `age` before.
    pub(crate) fn take(&mut self, block: &[u8], at: Instant, age: Duration) {
        let (frames, half) = ((block.len() / self.frame_bytes) as u64, block.len() % self.frame_bytes);
        // Half a frame would shift all that follows.
        let Some(block) = block.get(..block.len() - half).filter(|block| !block.is_empty()) else { return };
        if self.marks.is_full() || self.bytes.push_entire_slice(block).is_err() {
            self.dropped += frames;
            return;
        }
        let length = Duration::from_nanos(frames.saturating_mul(1_000_000_000) / u64::from(self.rate));
        let latency = age.saturating_sub(length);
        let dropped = FrameCount::new(std::mem::take(&mut self.dropped));
        let mark = Mark { at, latency, frames: FrameCount::new(frames), dropped };
        // There is room: nobody else puts anything in.
        let _ = self.marks.push(mark);
    }
}

/// The end in the error callback.
pub(crate) struct Alarm(Producer<Trouble>);

impl Alarm {
    /// Takes what the host says.
    pub(crate) fn raise(&mut self, error: cpal::Error, at: Instant) {
        // The ones that wait have already said that something is wrong.
        let _ = self.0.push(Trouble { at, error });
    }
}

/// The end outside.
pub(crate) struct Outlet {
    bytes: Consumer<u8>,
    marks: Consumer<Mark>,
    troubles: Consumer<Trouble>,
    frame_bytes: usize,
}

/// What came out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Audio as the host gave it.
    Block(Mark, Vec<u8>),
    /// Something went wrong before the blocks that follow.
    Trouble(cpal::Error),
}

/// A way for blocks of frames of `frame_bytes` bytes at `rate` frames a second, with room for `room` frames.
pub(crate) fn tap(frame_bytes: usize, rate: u32, room: FrameCount) -> (Tap, Alarm, Outlet) {
    let frames = usize::try_from(room.get()).unwrap_or(usize::MAX);
    let (bytes_in, bytes) = RingBuffer::new(frames.saturating_mul(frame_bytes));
    let (marks_in, marks) = RingBuffer::new(BLOCKS);
    let (troubles_in, troubles) = RingBuffer::new(TROUBLES);
    let tap = Tap { bytes: bytes_in, marks: marks_in, frame_bytes, rate: rate.max(1), dropped: 0 };
    (tap, Alarm(troubles_in), Outlet { bytes, marks, troubles, frame_bytes })
}

impl Outlet {
    /// What came next, if anything did.
    pub(crate) fn next(&mut self) -> Option<Outcome> {
        let mark = self.marks.peek().ok().copied();
        let trouble = self.troubles.peek().ok().map(|trouble| trouble.at);
        if let Some(at) = trouble
            && mark.is_none_or(|mark| at <= mark.at)
            && let Ok(trouble) = self.troubles.pop()
        {
            return Some(Outcome::Trouble(trouble.error));
        }
        let mark = mark?;
        let _ = self.marks.pop();
        let mut pcm = vec![0; usize::try_from(mark.frames.get()).unwrap_or(0).saturating_mul(self.frame_bytes)];
        // The bytes were put in before the mark.
        let _ = self.bytes.pop_entire_slice(&mut pcm);
        Some(Outcome::Block(mark, pcm))
    }

    /// Whether the host's threads are gone.
    pub(crate) fn is_abandoned(&self) -> bool {
        self.marks.is_abandoned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use cpal::ErrorKind;
    use std::sync::atomic::{AtomicBool, Ordering};

    const BLOCK: usize = 960 * 4;

    fn bytes(n: u8) -> Vec<u8> {
        vec![n; BLOCK]
    }

    #[test]
    fn the_callback_allocates_nothing_even_when_nobody_reads() {
        let (mut tap, mut alarm, mut outlet) = tap(4, 48_000, FrameCount::new(9_600));
        let (block, start) = (bytes(7), Instant::now());
        let counted = allocation_counter::measure(|| {
            for _ in 0..10_000 {
                tap.take(&block, Instant::now(), Duration::from_millis(21));
                alarm.raise(ErrorKind::Xrun.into(), Instant::now());
            }
        });
        assert_eq!((counted.count_total, counted.bytes_total), (0, 0));
        // The counter counts.
        assert!(allocation_counter::measure(|| drop(std::hint::black_box(bytes(1)))).count_total > 0);

        let out: Vec<Outcome> = std::iter::from_fn(|| outlet.next()).collect();
        let blocks: Vec<Mark> =
            out.iter().filter_map(|o| if let Outcome::Block(mark, _) = o { Some(*mark) } else { None }).collect();
        assert_eq!((blocks.len(), out.len()), (10, 10 + TROUBLES));
        assert!(blocks.iter().all(|mark| mark.at >= start && mark.latency == Duration::from_millis(1)));
        tap.take(&block, Instant::now(), Duration::ZERO);
        let Some(Outcome::Block(mark, _)) = outlet.next() else { panic!("no block") };
        assert_eq!(mark.dropped, FrameCount::new(960 * 9_990), "what was dropped is said with the next block");
    }

    /// How often this thread has given its processor away by itself, to wait for something.
    fn waits() -> u64 {
        let status = std::fs::read_to_string("/proc/thread-self/status").unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:")).unwrap();
        line.trim().parse().unwrap()
    }

    #[test]
    fn the_callback_never_waits_for_who_reads() {
        let (mut tap, mut alarm, mut outlet) = tap(4, 48_000, FrameCount::new(9_600));
        let over = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    std::hint::black_box(outlet.next());
                }
            });
            let (block, before) = (bytes(7), waits());
            // Long enough for both threads to be interrupted, at whatever they are doing, many times.
            for _ in 0..200_000 {
                tap.take(&block, Instant::now(), Duration::from_millis(21));
                alarm.raise(ErrorKind::Xrun.into(), Instant::now());
            }
            let waited = waits() - before;
            over.store(true, Ordering::Relaxed);
            // A lock has it wait thousands of times. Memory that was swapped out is waited for, too.
            assert!(waited < 10, "it has waited {waited} times");
        });
    }

    #[test]
    fn in_order_and_whole() {
        let (mut tap, mut alarm, mut outlet) = tap(4, 48_000, FrameCount::new(96_000));
        let at = |ms| Instant::now() + Duration::from_millis(ms);
        tap.take(&bytes(1), at(1_000), Duration::ZERO);
        alarm.raise(ErrorKind::Xrun.into(), at(2_000));
        tap.take(&bytes(2), at(3_000), Duration::ZERO);
        tap.take(&[], at(4_000), Duration::ZERO);
        tap.take(&[9; 3], at(5_000), Duration::ZERO);
        tap.take(&[bytes(3), vec![9; 3]].concat(), at(6_000), Duration::ZERO);
        let kinds: Vec<u8> = std::iter::from_fn(|| outlet.next())
            .map(|outcome| match outcome {
                Outcome::Block(_, pcm) => {
                    assert_eq!(pcm, bytes(pcm[0]));
                    pcm[0]
                }
                Outcome::Trouble(_) => 0,
            })
            .collect();
        assert_eq!(kinds, [1, 0, 2, 3]);
        assert!(!outlet.is_abandoned());
        drop((tap, alarm));
        assert!(outlet.is_abandoned() && outlet.next().is_none());
    }
}

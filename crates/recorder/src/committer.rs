//! Group commit: one thread for each data folder writes and syncs everything that waits, in rounds.
//!
//! A round begins on the tick, or later when the one before took longer: under load the tick stretches, and the
//! lag says so. A tape travels to the thread with its steps and comes back with the outcome, so it has one owner at
//! any time and needs no lock. What was written is synced file by file, or all at once, whichever is quicker here.
//! Not here: what the steps mean.

mod ways;

use crate::metrics::Instruments;
use bytes::Bytes;
use livetape_audio::{Durable, Entry, WallTime};
use livetape_store::{DataDir, Flush, Flushed, StoreError, TapeWriter};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;
use ways::Ways;

/// Audio that waits so much longer than a tick shows that the disk is behind.
const LAG: Duration = Duration::from_secs(1);

/// What a piece of audio or an entry counts besides its bytes: many small ones are as much to keep as few large ones.
const STEP: usize = 256;

/// One thing to do to a tape, in order.
#[derive(Debug)]
enum Step {
    /// Put an entry on the timeline.
    Note(Entry),
    /// Append frames that follow each other without a jump in time.
    Audio {
        /// Time of day of the first frame.
        time: WallTime,
        /// When that came.
        arrived: Instant,
        /// Whole frames.
        chunks: Vec<Bytes>,
    },
}

/// What waits to be written to one tape. Its task adds while the tape is on its way to a round; the round takes all.
#[derive(Debug, Default)]
pub(crate) struct Pending(Mutex<(Vec<Step>, usize)>);

impl Pending {
    fn with<R>(&self, f: impl FnOnce(&mut Vec<Step>, &mut usize) -> R) -> R {
        let mut guard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (steps, bytes) = &mut *guard;
        f(steps, bytes)
    }

    /// Adds an entry for the timeline.
    pub(crate) fn note(&self, entry: Entry) {
        self.with(|steps, bytes| {
            *bytes += STEP;
            steps.push(Step::Note(entry));
        });
    }

    /// Adds frames, of which the first was captured at `time`.
    pub(crate) fn audio(&self, time: WallTime, pcm: Bytes) {
        if pcm.is_empty() {
            return;
        }
        self.with(|steps, bytes| {
            *bytes += pcm.len() + STEP;
            // A jump in time comes with an entry, so frames without one between follow each other.
            match steps.last_mut() {
                Some(Step::Audio { chunks, .. }) => chunks.push(pcm),
                _ => steps.push(Step::Audio { time, arrived: Instant::now(), chunks: vec![pcm] }),
            }
        });
    }

    /// Bytes that wait, roughly.
    pub(crate) fn bytes(&self) -> usize {
        self.with(|_, bytes| *bytes)
    }

    /// Whether nothing waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.with(|steps, _| steps.is_empty())
    }

    /// Forgets everything.
    pub(crate) fn clear(&self) {
        drop(self.take());
    }

    fn take(&self) -> Vec<Step> {
        self.with(|steps, bytes| {
            *bytes = 0;
            std::mem::take(steps)
        })
    }
}

/// A tape that comes back from a round: everything is durable, or nothing of it was kept.
pub(crate) type Committed = (TapeWriter, Result<Durable, StoreError>);

struct Job {
    tape: TapeWriter,
    pending: Arc<Pending>,
    /// When the oldest of it came.
    since: Instant,
    reply: oneshot::Sender<Committed>,
}

/// Handle of the committing thread, which ends with the last handle.
#[derive(Clone)]
pub(crate) struct Committer {
    jobs: mpsc::Sender<Job>,
}

impl Committer {
    /// Starts the thread. `tick` is the time between two rounds while the disk keeps up.
    pub(crate) fn start(dir: &DataDir, tick: Duration, instruments: Arc<Instruments>) -> anyhow::Result<Self> {
        let (jobs, queue) = mpsc::channel();
        let flush = Flush::of(dir)?;
        std::thread::Builder::new()
            .name("committer".into())
            .spawn(move || rounds(&queue, tick, flush.as_ref(), &instruments))?;
        Ok(Self { jobs })
    }

    /// Writes and syncs. At most one job of each recording is under way, so the queue is bounded by their number.
    ///
    /// The receiver fails only when the thread has died.
    pub(crate) fn commit(&self, tape: TapeWriter, pending: Arc<Pending>) -> oneshot::Receiver<Committed> {
        let (reply, outcome) = oneshot::channel();
        // If the thread is gone, the reply is dropped with the job and the receiver says so.
        drop(self.jobs.send(Job { tape, pending, since: Instant::now(), reply }));
        outcome
    }
}

fn rounds(queue: &mpsc::Receiver<Job>, tick: Duration, flush: Option<&Flush>, instruments: &Instruments) {
    let (mut last, mut ways) = (Instant::now(), Ways::default());
    while let Ok(first) = queue.recv() {
        std::thread::sleep((last + tick).saturating_duration_since(Instant::now()));
        last = Instant::now();
        let jobs: Vec<Job> = std::iter::once(first).chain(queue.try_iter()).collect();
        // Everything is written before anything is synced: the kernel then has the whole round to work with.
        let tapes = jobs.len();
        let written: Vec<_> = jobs.into_iter().map(write).collect();
        let (begun, flush) = (Instant::now(), flush.filter(|_| ways.prefer_all(tapes)));
        // Where that fails, a sync of each tells which of them has lost something.
        let flushed = flush.map(Flush::all).and_then(|flushed| {
            flushed.inspect_err(|error| tracing::warn!(%error, "syncing each file, one after the other")).ok()
        });
        let mut worst = Duration::ZERO;
        for (job, outcome) in written {
            worst = worst.max(finish(job, outcome, flushed, instruments));
        }
        ways.took(flushed.is_some(), tapes, begun.elapsed());
        instruments.round.observe(last.elapsed().as_secs_f64());
        if worst > tick + LAG {
            tracing::warn!(lag = ?worst, tapes, "the disk is behind: audio waits this long until it is durable");
        }
    }
}

fn write(mut job: Job) -> (Job, Result<(), StoreError>) {
    let mut outcome = Ok(());
    for step in job.pending.take() {
        outcome = match step {
            Step::Note(entry) => job.tape.note(entry),
            Step::Audio { time, arrived, chunks } => {
                job.since = job.since.min(arrived);
                job.tape.append(&chunks, time).map(|_| ())
            }
        };
        if outcome.is_err() {
            break;
        }
    }
    (job, outcome)
}

fn finish(
    mut job: Job,
    written: Result<(), StoreError>,
    flushed: Option<Flushed>,
    instruments: &Instruments,
) -> Duration {
    let before = job.tape.durable().end();
    let outcome = written.and_then(|()| match flushed {
        Some(flushed) => job.tape.flushed(flushed),
        None => job.tape.sync(),
    });
    // Pages of a failed sync may be lost although they look clean: go back to what is proven and write anew.
    if outcome.is_err()
        && let Err(worse) = job.tape.rewind()
    {
        tracing::error!(error = %worse, "could not go back to the durable end");
    }
    let waited = job.since.elapsed();
    if let Ok(durable) = &outcome {
        let recording = job.tape.recording();
        instruments.durable(&recording.stream, recording.spec, durable.end().since(before));
        instruments.lag.observe(waited.as_secs_f64());
    }
    // Nobody waits any more only when the process stops.
    drop(job.reply.send((job.tape, outcome)));
    waited
}

//! Makes the peaks of all recordings and measures how loud they are: the open ones as they grow, twice a second; finished ones
//! that lack it, a little at a time. What is durable is read again from the page cache for it, so nothing here is in the way
//! of what is being recorded: no lock, no queue and no sync is shared with it.
//!
//! Measuring takes a hundred times what peaks take. Where there is more than it may take, it is behind, and made good after
//! the recordings have ended.

use crate::stream::Shared;
use livetape_audio::{Frame, RecordingId};
use livetape_store::{DataDir, LoudnessWriter, PeaksWriter, Query, Recording, StoreError};
use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Semaphore;
use tokio::time::MissedTickBehavior;

/// How often it is looked what is new.
const TICK: Duration = Duration::from_millis(500);
/// Audio of an open recording that is read in one round, in bytes: more than comes, so that a restart is made up for.
const OPEN_BYTES: u64 = 8 << 20;
/// How much of a round measuring of open recordings may take, and how much audio of one is measured before it is another's turn.
const LOUDNESS_TIME: Duration = Duration::from_millis(100);
const LOUDNESS_BYTES: u64 = 1 << 20;
/// How much of a round finished recordings may take, and how much audio is read between two looks at the clock.
const OLD_TIME: Duration = Duration::from_millis(50);
const OLD_BYTES: u64 = 1 << 20;
/// How long nothing is tried again that has failed.
const PAUSE: Duration = Duration::from_secs(60);
/// Finished recordings that wait because somebody asked for them.
const MAX_WANTED: usize = 256;
/// Recordings that are looked through together.
const PAGE: usize = 64;
/// Readings of peaks at once.
const READS: usize = 16;

/// What is asked for out of turn, and room for those who read.
#[derive(Debug)]
pub(crate) struct Waveforms {
    wanted: Mutex<VecDeque<Want>>,
    pub(crate) reads: Semaphore,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Want {
    id: RecordingId,
    /// What is there is no good.
    anew: bool,
}

impl Default for Waveforms {
    fn default() -> Self {
        Self { wanted: Mutex::default(), reads: Semaphore::new(READS) }
    }
}

impl Waveforms {
    /// Has the peaks of a finished recording made before those of others; from the beginning, if they are damaged.
    pub(crate) fn want(&self, id: RecordingId, anew: bool) {
        let mut wanted = self.wanted.lock().unwrap_or_else(PoisonError::into_inner);
        if wanted.len() < MAX_WANTED && !wanted.iter().any(|want| want.id == id) {
            wanted.push_back(Want { id, anew });
        }
    }

    fn next(&self) -> Option<Want> {
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

/// Makes them for as long as the recorder runs.
pub(crate) async fn run(shared: Arc<Shared>) {
    let mut ticks = tokio::time::interval(TICK);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut maker = Maker::default();
    loop {
        ticks.tick().await;
        let shared = Arc::clone(&shared);
        let round = tokio::task::spawn_blocking(move || {
            maker.round(&shared);
            maker
        });
        maker = round.await.unwrap_or_else(|error| {
            tracing::error!(%error, "peaks were broken off");
            Maker::default()
        });
    }
}

/// What is being made.
#[derive(Default)]
struct Maker {
    open: HashMap<RecordingId, Writers>,
    /// The one that is measured first in the next round.
    turn: Option<RecordingId>,
    /// The finished one that is worked on, and where it ends.
    old: Option<(Arc<Recording>, Writers, Frame)>,
    /// Finished ones that were found, and after which one to look for more; `None` when all were looked at.
    found: VecDeque<RecordingId>,
    search: Search,
    /// What has failed, and when.
    failed: HashMap<RecordingId, Instant>,
}

/// Of one recording.
struct Writers {
    peaks: PeaksWriter,
    loudness: LoudnessWriter,
}

impl Writers {
    fn open(dir: &DataDir, recording: Arc<Recording>, end: Frame) -> Result<Self, StoreError> {
        let peaks = PeaksWriter::open(dir, Arc::clone(&recording), end)?;
        Ok(Self { peaks, loudness: LoudnessWriter::open(dir, recording, end)? })
    }

    fn discard(self, dir: &DataDir) -> Result<Self, StoreError> {
        Ok(Self { peaks: self.peaks.discard()?, loudness: self.loudness.discard(dir)? })
    }

    fn are_complete(dir: &DataDir, recording: &Recording) -> bool {
        PeaksWriter::is_complete(dir, recording) && LoudnessWriter::is_complete(dir, recording)
    }

    /// Goes on with what is behind; how far both are then.
    fn advance(&mut self, to: Frame, most_bytes: u64) -> Result<Frame, StoreError> {
        if self.peaks.end() < to {
            self.peaks.advance(to, most_bytes)?;
        } else {
            self.loudness.advance(to, most_bytes)?;
        }
        Ok(self.peaks.end().min(self.loudness.end()))
    }
}

#[derive(Default)]
enum Search {
    #[default]
    FromTheBeginning,
    After(RecordingId),
    Over,
}

impl Maker {
    fn round(&mut self, shared: &Shared) {
        self.failed.retain(|_, since| since.elapsed() < PAUSE);
        let growing: HashSet<RecordingId> = shared.tails.ids().into_iter().collect();
        for &id in &growing {
            self.go_on(shared, id);
        }
        self.measure(shared);
        for id in self.open.keys().copied().filter(|id| !growing.contains(id)).collect::<Vec<_>>() {
            self.open.remove(&id);
            shared.waveforms.want(id, false);
        }
        let begin = Instant::now();
        while begin.elapsed() < OLD_TIME && self.make_old(shared) {}
    }

    /// Goes on with an open recording.
    fn go_on(&mut self, shared: &Shared, id: RecordingId) {
        let (Some(tail), Some(recording)) = (shared.tails.get(id), shared.archive.get(id)) else { return };
        if tail.is_sealed() || self.failed.contains_key(&id) {
            return;
        }
        let writer = match self.open.remove(&id) {
            Some(writer) => Ok(writer),
            None => Writers::open(&shared.dir, recording, tail.end),
        };
        let made = writer.and_then(|mut writer| {
            writer.peaks.advance(tail.end, OPEN_BYTES)?;
            Ok(writer)
        });
        match made {
            Ok(writer) => _ = self.open.insert(id, writer),
            Err(error) => self.fail(id, &error),
        }
    }

    /// Measures the open recordings, one after the other, for as long as that may take; whose turn it was not is the first
    /// one in the next round.
    fn measure(&mut self, shared: &Shared) {
        let begin = Instant::now();
        let mut turns: Vec<RecordingId> = self.open.keys().copied().collect();
        turns.sort_unstable();
        let first = self.turn.take().map_or(0, |turn| turns.partition_point(|&id| id < turn));
        let first = first.min(turns.len());
        turns.rotate_left(first);
        for id in turns {
            if begin.elapsed() > LOUDNESS_TIME {
                self.turn = Some(id);
                return;
            }
            let (Some(writers), Some(tail)) = (self.open.get_mut(&id), shared.tails.get(id)) else { continue };
            if let Err(error) = writers.loudness.advance(tail.end, LOUDNESS_BYTES) {
                self.open.remove(&id);
                self.fail(id, &error);
            }
        }
    }

    /// Goes on with a finished recording, or finds one. Whether there is more to do.
    fn make_old(&mut self, shared: &Shared) -> bool {
        let Some((recording, mut writers, end)) = self.old.take() else { return self.find_old(shared) };
        match writers.advance(end, OLD_BYTES) {
            Ok(made) if made < end => self.old = Some((recording, writers, end)),
            Ok(_) => tracing::debug!(recording = %recording.id, "its peaks and loudness are made"),
            Err(error) => self.fail(recording.id, &error),
        }
        true
    }

    fn find_old(&mut self, shared: &Shared) -> bool {
        let want = match shared.waveforms.next().or_else(|| Some(Want { id: self.found.pop_front()?, anew: false })) {
            Some(want) => want,
            None => return self.search(shared),
        };
        let Some(recording) = shared.archive.get(want.id) else { return true };
        let Some(end) = recording.seal.map(|seal| seal.end).filter(|_| !self.failed.contains_key(&want.id)) else {
            return true;
        };
        if !want.anew && Writers::are_complete(&shared.dir, &recording) {
            return true;
        }
        let writers = Writers::open(&shared.dir, Arc::clone(&recording), end);
        match writers.and_then(|writers| if want.anew { writers.discard(&shared.dir) } else { Ok(writers) }) {
            Ok(writers) => self.old = Some((recording, writers, end)),
            Err(error) => self.fail(want.id, &error),
        }
        true
    }

    /// Looks for finished recordings, page by page. What is recorded later is noticed when it ends.
    fn search(&mut self, shared: &Shared) -> bool {
        let after = match self.search {
            Search::FromTheBeginning => None,
            Search::After(id) => Some(id),
            Search::Over => return false,
        };
        let page = shared.archive.all.list(&Query { after, limit: PAGE, ..Query::default() });
        self.found.extend(page.recordings.iter().filter(|recording| recording.seal.is_some()).map(|r| r.id));
        self.search = page.next.map_or(Search::Over, Search::After);
        true
    }

    fn fail(&mut self, id: RecordingId, error: &StoreError) {
        // Deleted meanwhile, or begun anew: there is nothing to say.
        if !error.is_missing() {
            tracing::warn!(recording = %id, %error, "its peaks or loudness cannot be made now");
            self.failed.insert(id, Instant::now());
        }
    }
}

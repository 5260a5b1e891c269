//! All recordings of a data folder, in memory. The cost of a page depends on the page, not on the archive.

use crate::recording::Recording;
use livetape_audio::{Drift, RecordingId, RecordingMode, StreamName, WallTime};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};
use std::ops::Bound;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// Knows every recording. Filled from a scan, kept by the recorder.
#[derive(Debug, Default)]
pub struct Catalogue {
    shelves: RwLock<Shelves>,
}

/// Which recordings are asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Query {
    /// Of this stream only.
    pub stream: Option<StreamName>,
    /// Those with audio after this time, as their own timelines say; an open one may still get some.
    pub from: Option<WallTime>,
    /// Those with audio before this time. Of an open one that is not known here, so it counts.
    pub to: Option<WallTime>,
    /// Those after this one, which need not exist.
    pub after: Option<RecordingId>,
    /// At most so many; at least one is given, if there is one.
    pub limit: usize,
}

/// Some of the recordings that were asked for, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The recordings.
    pub recordings: Vec<Arc<Recording>>,
    /// `after` for the next page, if there is one.
    pub next: Option<RecordingId>,
}

/// What is known of a stream besides its recordings.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StreamInfo {
    /// When it is recorded.
    pub mode: RecordingMode,
    /// A source is there that waits until somebody begins a recording.
    pub waiting: bool,
    /// For some time nothing but silence has come.
    pub silent: bool,
    /// How the clock of its source runs, if that is known.
    pub drift: Option<Drift>,
}

#[derive(Debug, Default)]
struct Shelves {
    by_id: HashMap<RecordingId, Arc<Recording>>,
    by_stream: BTreeMap<StreamName, Shelf>,
    /// What is not true of every stream.
    infos: BTreeMap<StreamName, StreamInfo>,
}

/// The recordings of one stream by id, which is by age.
#[derive(Debug, Default)]
struct Shelf {
    recordings: Vec<Arc<Recording>>,
    /// `ended[i]`: the latest time of day in recordings 0 to `i`. Rises, so it can be searched, whatever clocks did.
    ended: Vec<WallTime>,
    /// `begun[i]`: the earliest time of day in the sealed recordings from `i` on. Rises, too.
    begun: Vec<WallTime>,
    /// Those that may get any time of day yet. Rarely more than one.
    open: BTreeSet<RecordingId>,
}

/// After every time.
const NEVER: WallTime = WallTime::from_unix_nanos(i64::MAX);

/// When the latest of a recording's audio was, or will be.
fn ended(recording: &Recording) -> WallTime {
    recording.seal.map_or(NEVER, |seal| seal.ended)
}

/// When the earliest of a recording's audio was; `None` while it is open.
fn begun(recording: &Recording) -> Option<WallTime> {
    recording.seal.map(|seal| seal.earliest.unwrap_or(recording.started))
}

impl Shelf {
    fn place(&self, id: RecordingId) -> Result<usize, usize> {
        self.recordings.binary_search_by_key(&id, |recording| recording.id)
    }

    fn insert(&mut self, recording: Arc<Recording>) {
        match recording.seal {
            None => _ = self.open.insert(recording.id),
            Some(_) => _ = self.open.remove(&recording.id),
        }
        let at = match self.place(recording.id) {
            Ok(at) => {
                if let Some(place) = self.recordings.get_mut(at) {
                    *place = recording;
                }
                at
            }
            Err(at) => {
                self.recordings.insert(at, recording);
                self.begun.insert(at, NEVER);
                at
            }
        };
        self.count_from(at);
        self.count_down_from(at);
    }

    fn remove(&mut self, id: RecordingId) {
        self.open.remove(&id);
        if let Ok(at) = self.place(id) {
            self.recordings.remove(at);
            self.begun.remove(at);
            self.count_from(at);
            if let Some(before) = at.checked_sub(1) {
                self.count_down_from(before);
            }
        }
    }

    /// Almost always the newest changes, and hardly any before it has audio that is later.
    fn count_down_from(&mut self, at: usize) {
        let mut earliest = self.begun.get(at + 1).copied().unwrap_or(NEVER);
        for (i, recording) in self.recordings.iter().enumerate().take(at + 1).rev() {
            earliest = earliest.min(begun(recording).unwrap_or(NEVER));
            match self.begun.get_mut(i) {
                Some(known) if i == at || *known != earliest => *known = earliest,
                _ => break,
            }
        }
    }

    /// Almost always only the newest changes, or the oldest goes.
    fn count_from(&mut self, at: usize) {
        self.ended.truncate(at);
        for recording in self.recordings.iter().skip(at) {
            let before = self.ended.last().copied().unwrap_or(ended(recording));
            self.ended.push(before.max(ended(recording)));
        }
    }

    /// Where to begin for a query; nothing before it is meant.
    fn start(&self, query: &Query) -> usize {
        let after = query.after.map_or(0, |id| self.recordings.partition_point(|recording| recording.id <= id));
        let from = query.from.map_or(0, |from| self.ended.partition_point(|&until| until <= from));
        after.max(from)
    }

    /// The first recording at or after `at` that is meant. What is looked at in vain are recordings that stand among
    /// others of another time, as after a clock was set: where no sealed one can be meant, only open ones are left.
    fn next(&self, mut at: usize, query: &Query) -> Option<(usize, &Arc<Recording>)> {
        loop {
            let recording = self.recordings.get(at)?;
            let before = |time: WallTime| query.to.is_none_or(|to| time < to);
            if query.from.is_none_or(|from| ended(recording) > from) && begun(recording).is_none_or(before) {
                return Some((at, recording));
            }
            at += 1;
            if self.begun.get(at).is_some_and(|&earliest| !before(earliest)) {
                let after = (Bound::Excluded(recording.id), Bound::Unbounded);
                at = self.place(*self.open.range(after).next()?).ok()?;
            }
        }
    }
}

impl Catalogue {
    fn read(&self) -> RwLockReadGuard<'_, Shelves> {
        // Nothing between taking the lock and giving it back can panic, so it is never poisoned.
        self.shelves.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Shelves> {
        self.shelves.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a recording, or replaces what was known of it.
    pub fn insert(&self, recording: Recording) {
        let recording = Arc::new(recording);
        let mut shelves = self.write();
        let before = shelves.by_id.insert(recording.id, Arc::clone(&recording));
        if let Some(before) = before.filter(|before| before.stream != recording.stream) {
            shelves.take(&before);
        }
        shelves.by_stream.entry(recording.stream.clone()).or_default().insert(recording);
    }

    /// Forgets a recording; a stream without recordings is forgotten with it.
    pub fn remove(&self, id: RecordingId) {
        let mut shelves = self.write();
        if let Some(recording) = shelves.by_id.remove(&id) {
            shelves.take(&recording);
        }
    }

    /// A recording.
    pub fn get(&self, id: RecordingId) -> Option<Arc<Recording>> {
        self.read().by_id.get(&id).cloned()
    }

    /// The streams that have recordings, or a source that waits, by name.
    pub fn streams(&self) -> Vec<StreamName> {
        self.streams_after(None, usize::MAX)
    }

    /// Those of them after this one; at most so many.
    pub fn streams_after(&self, stream: Option<&StreamName>, limit: usize) -> Vec<StreamName> {
        let shelves = self.read();
        let after = (stream.map_or(Bound::Unbounded, Bound::Excluded), Bound::Unbounded);
        let mut recorded = shelves.by_stream.range::<StreamName, _>(after).map(|(name, _)| name).peekable();
        let waiting = shelves.infos.range::<StreamName, _>(after).filter(|(_, info)| info.waiting);
        let mut waiting = waiting.map(|(name, _)| name).peekable();
        let mut next = || match (recorded.peek(), waiting.peek()) {
            (Some(a), Some(b)) if a == b => {
                recorded.next();
                waiting.next()
            }
            (Some(a), Some(b)) if b < a => waiting.next(),
            (Some(_), _) => recorded.next(),
            (None, _) => waiting.next(),
        };
        std::iter::from_fn(|| next().cloned()).take(limit).collect()
    }

    /// What is known of a stream besides its recordings.
    pub fn info(&self, stream: &StreamName) -> StreamInfo {
        self.read().infos.get(stream).copied().unwrap_or_default()
    }

    /// The streams of which more is known than their recordings.
    pub fn infos(&self) -> Vec<(StreamName, StreamInfo)> {
        self.read().infos.iter().map(|(name, info)| (name.clone(), *info)).collect()
    }

    /// Takes in what is known of a stream. Returns whether that is news.
    pub fn inform(&self, stream: &StreamName, info: StreamInfo) -> bool {
        let mut shelves = self.write();
        let before = match info == StreamInfo::default() {
            true => shelves.infos.remove(stream),
            false => shelves.infos.insert(stream.clone(), info),
        };
        before.unwrap_or_default() != info
    }

    /// The newest recording of a stream.
    pub fn latest(&self, stream: &StreamName) -> Option<Arc<Recording>> {
        self.read().by_stream.get(stream)?.recordings.last().cloned()
    }

    /// The recording of the same stream before this one.
    pub fn previous(&self, id: RecordingId) -> Option<Arc<Recording>> {
        let shelves = self.read();
        let shelf = shelves.by_stream.get(&shelves.by_id.get(&id)?.stream)?;
        let before = shelf.place(id).ok()?.checked_sub(1)?;
        shelf.recordings.get(before).cloned()
    }

    /// How many recordings there are.
    pub fn len(&self) -> usize {
        self.read().by_id.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A page of recordings.
    pub fn list(&self, query: &Query) -> Page {
        self.list_of(query, |_| true)
    }

    /// A page of recordings of those streams that `wanted` takes, as if there were no others.
    pub fn list_of(&self, query: &Query, wanted: impl Fn(&StreamName) -> bool) -> Page {
        let (shelves, limit) = (self.read(), query.limit.max(1));
        let asked: Vec<&Shelf> = match &query.stream {
            Some(stream) => shelves.by_stream.get(stream).filter(|_| wanted(stream)).into_iter().collect(),
            None => shelves.by_stream.iter().filter(|(name, _)| wanted(name)).map(|(_, shelf)| shelf).collect(),
        };
        // The next recording of each stream, the oldest of them on top.
        let next = |shelf: usize, from: usize| {
            let (at, recording) = asked.get(shelf)?.next(from, query)?;
            Some(Reverse((recording.id, shelf, at)))
        };
        let starts = asked.iter().enumerate().filter_map(|(i, shelf)| next(i, shelf.start(query)));
        let mut heads: BinaryHeap<_> = starts.collect();
        let mut page = Page::default();
        while let Some(Reverse((id, shelf, at))) = heads.pop() {
            if page.recordings.len() == limit {
                page.next = page.recordings.last().map(|recording| recording.id);
                break;
            }
            page.recordings.extend(shelves.by_id.get(&id).cloned());
            heads.extend(next(shelf, at + 1));
        }
        page
    }
}

impl Shelves {
    fn take(&mut self, recording: &Recording) {
        if let Some(shelf) = self.by_stream.get_mut(&recording.stream) {
            shelf.remove(recording.id);
            if shelf.recordings.is_empty() {
                self.by_stream.remove(&recording.stream);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::recording::Seal;
    use livetape_audio::{Epoch, Frame, FrameCount, Instance, SampleFormat, SealReason, Spec};
    use proptest::prelude::*;

    fn at(second: u64) -> WallTime {
        WallTime::from_unix_nanos(second as i64 * 1_000_000_000)
    }

    /// A sealed one whose source's clock is off by so many seconds.
    fn off(mut recording: Recording, by: i64) -> Recording {
        if let Some(seal) = &mut recording.seal {
            let moved = |time: WallTime| WallTime::from_unix_nanos(time.unix_nanos() + by * 1_000_000_000);
            (seal.earliest, seal.ended) = (Some(moved(recording.started)), moved(seal.ended));
        }
        recording
    }

    /// Number `n` of a stream, from `start` to `end`.
    fn recording(stream: u8, n: u8, start: u64, end: Option<u64>) -> Recording {
        Recording {
            id: RecordingId::new(start * 1000, &[stream + 1, n, 0, 0, 0, 0, 0, 0, 0, 0]),
            stream: format!("s{stream}").parse().unwrap(),
            spec: Spec::new(SampleFormat::S16, 8_000, 1).unwrap(),
            source: "test".parse().unwrap(),
            title: "".parse().unwrap(),
            started: at(start),
            epoch: Epoch(1),
            instance: Instance::default(),
            segment_frames: FrameCount::new(1),
            notes: Default::default(),
            locked: false,
            titled: false,
            genre: Default::default(),
            seal: end.map(|end| Seal {
                end: Frame::ZERO,
                earliest: None,
                ended: at(end),
                reason: SealReason::Rolled,
                next: None,
            }),
        }
    }

    #[test]
    fn neighbours_and_replacements() {
        let catalogue = Catalogue::default();
        let [old, new] = [recording(0, 0, 10, Some(20)), recording(0, 1, 30, None)];
        let other = recording(1, 0, 15, Some(40));
        for recording in [&new, &old, &other] {
            catalogue.insert(recording.clone());
        }
        assert_eq!(catalogue.streams(), [old.stream.clone(), other.stream.clone()]);
        assert_eq!(catalogue.latest(&old.stream).as_deref(), Some(&new));
        let [s0, s1, idle] = [&old.stream, &other.stream, &"s01".parse().unwrap()];
        let after =
            |after, limit| catalogue.streams_after(after, limit).iter().map(StreamName::to_string).collect::<Vec<_>>();
        assert_eq!((after(None, 9), after(None, 1)), (vec!["s0".into(), "s1".into()], vec!["s0".into()]));
        assert_eq!((after(Some(s0), 9), after(Some(s1), 9)), (vec!["s1".into()], vec![]));
        // A stream that has no recording is there for as long as a source waits on it.
        let info = |waiting| StreamInfo { mode: RecordingMode::OnDemand, waiting, ..StreamInfo::default() };
        assert!(
            catalogue.inform(idle, info(true))
                && !catalogue.inform(idle, info(true))
                && catalogue.inform(s0, info(true))
        );
        assert_eq!(
            (after(None, 9), after(Some(s0), 1)),
            (vec!["s0".into(), "s01".into(), "s1".into()], vec!["s01".into()])
        );
        assert_eq!((catalogue.info(idle), catalogue.info(s1)), (info(true), StreamInfo::default()));
        assert_eq!(catalogue.infos().len(), 2);
        assert!(catalogue.inform(idle, info(false)) && catalogue.inform(s0, StreamInfo::default()));
        assert_eq!((after(None, 9), catalogue.infos().len()), (vec!["s0".into(), "s1".into()], 1));
        assert_eq!(catalogue.previous(new.id).as_deref(), Some(&old));
        assert_eq!((catalogue.previous(old.id), catalogue.previous(other.id)), (None, None));
        let sealed = recording(0, 1, 30, Some(50));
        catalogue.insert(sealed.clone());
        assert_eq!(catalogue.get(new.id).as_deref(), Some(&sealed));
        let late = Query { from: Some(at(50)), limit: 9, ..Query::default() };
        assert_eq!(catalogue.list(&late), Page::default(), "it has ended");
        catalogue.remove(other.id);
        catalogue.remove(other.id);
        assert_eq!(catalogue.streams(), [old.stream]);
        assert_eq!(catalogue.get(other.id), None);
    }

    #[test]
    fn audio_is_found_by_its_own_clock() {
        let catalogue = Catalogue::default();
        let behind = off(recording(0, 0, 1_000, Some(1_100)), -500);
        let [right, open] = [recording(0, 1, 1_200, Some(1_300)), recording(0, 2, 1_400, None)];
        for recording in [&behind, &right, &open] {
            catalogue.insert(recording.clone());
        }
        let found = |from, to| {
            let query = Query { from: Some(at(from)), to: Some(at(to)), limit: 9, ..Query::default() };
            catalogue.list(&query).recordings.iter().map(|r| r.id).collect::<Vec<_>>()
        };
        assert_eq!(found(500, 600), [behind.id, open.id], "an open one may have any time of day");
        assert_eq!(found(1_000, 1_100), [open.id], "the recorder's clock does not count");
        assert_eq!(found(1_250, 1_260), [right.id, open.id]);
        // The clock was set back while it was recorded.
        catalogue.insert(off(recording(0, 2, 1_400, Some(1_450)), -900));
        assert_eq!((found(510, 520), found(1_400, 1_450)), (vec![behind.id, open.id], vec![]));
    }

    /// Streams of recordings one after the other, the last of each perhaps open, with clocks that are wrong now and then.
    fn archive() -> impl Strategy<Value = Vec<Recording>> {
        let wrong = prop_oneof![3 => Just(0_i64), 1 => -200_i64..200];
        let lengths = prop::collection::vec((0_u64..20, 1_u64..30, wrong, prop::bool::weighted(0.05)), 0..20);
        prop::collection::vec((lengths, any::<bool>()), 0..4).prop_map(|streams| {
            let mut all = Vec::new();
            for (stream, (lengths, open)) in (0..).zip(streams) {
                let (mut now, count) = (100, lengths.len());
                for (n, (pause, length, wrong, left_open)) in lengths.into_iter().enumerate() {
                    let start = now + pause;
                    now = start + length;
                    let end = (!left_open && (!open || n + 1 < count)).then_some(now);
                    all.push(off(recording(stream, n as u8, start, end), wrong));
                }
            }
            all
        })
    }

    proptest! {
        /// Page after page gives just what looking at every recording gives.
        #[test]
        fn pages_are_complete(
            all in archive(),
            stream in prop::option::of(0_u8..4),
            from in prop::option::of(50_u64..700),
            to in prop::option::of(50_u64..700),
            limit in 0_usize..6,
            order in prop::collection::vec(any::<prop::sample::Index>(), 0..9),
            gone in prop::collection::vec(any::<prop::sample::Index>(), 0..3),
        ) {
            let catalogue = Catalogue::default();
            let some = order.iter().filter(|_| !all.is_empty()).map(|index| index.get(&all));
            for recording in some.chain(&all) {
                // As the recorder does: first open, then sealed.
                catalogue.insert(Recording { seal: None, ..recording.clone() });
                catalogue.insert(recording.clone());
            }
            let mut due: Vec<_> = all.clone();
            for index in gone.iter().filter(|_| !all.is_empty()) {
                let id = index.get(&all).id;
                catalogue.remove(id);
                due.retain(|recording| recording.id != id);
            }
            due.retain(|r| stream.is_none_or(|s| r.stream.as_str() == format!("s{s}")));
            due.retain(|r| from.is_none_or(|from| r.seal.is_none_or(|seal| seal.ended > at(from))));
            due.retain(|r| to.is_none_or(|to| r.seal.is_none_or(|seal| seal.earliest.unwrap_or(r.started) < at(to))));
            due.sort_by_key(|r| r.id);
            let stream = stream.map(|s| format!("s{s}").parse().unwrap());
            let mut query = Query { stream, from: from.map(at), to: to.map(at), after: None, limit };
            let mut listed = Vec::new();
            loop {
                let page = catalogue.list(&query);
                prop_assert!(page.recordings.len() <= limit.max(1));
                listed.extend(page.recordings.iter().map(|r| Recording::clone(r)));
                let Some(next) = page.next else { break };
                query.after = Some(next);
            }
            prop_assert_eq!(listed, due);
        }
    }
}

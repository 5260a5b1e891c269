//! Which finished recordings go, so that there is room for those to come: whole ones, never locked ones, oldest first.
//!
//! The decision is a pure function of what there is; a task looks again and again, and at once when the disk has taken no more,
//! and carries it out. What it did is an event on the stream's timeline, a line of the log, and a count.

mod awaited;

use crate::keeper::Keeper;
use crate::stream::Shared;
use crate::tape;
use crate::wish::Refused;
use awaited::{Awaited, Seen};
use livetape_audio::{EventKind, Frame, RecordingId, StreamName, WallTime};
use livetape_store::{Query, Recording, Space};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};

/// How often everything is looked at; also, how soon again where nothing could be removed.
const INTERVAL: Duration = Duration::from_secs(10);
/// How often the free space alone is. In that time no more may come than there is to be free.
const GLANCE: Duration = Duration::from_secs(1);
/// Recordings that are looked at together.
const PAGE: usize = 1024;

/// How much is kept. What is not said limits nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    /// Recordings that ended longer ago go.
    pub max_age: Option<Duration>,
    /// While all audio together has more bytes, the oldest goes.
    pub max_bytes: Option<u64>,
    /// While the file system has fewer free bytes, the oldest goes; also when it takes no more although it has more. Has to be
    /// more than what comes in a few seconds, with what is allocated ahead for each stream, or sources are refused for as long.
    /// Where removing frees nothing, nothing more is removed for this.
    pub min_free_bytes: Option<u64>,
}

/// Why a recording goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Why {
    Age,
    Bytes,
    Space,
}

impl Why {
    pub(crate) const ALL: [Self; 3] = [Self::Age, Self::Bytes, Self::Space];

    /// In metrics.
    pub(crate) const fn word(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Bytes => "bytes",
            Self::Space => "space",
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Age => "it is older than recordings are kept",
            Self::Bytes => "there are more bytes of audio than are kept",
            Self::Space => "the disk has too little free space",
        }
    }
}

/// What the decision needs to know of a recording.
#[derive(Clone, Copy, Debug)]
struct Candidate {
    id: RecordingId,
    bytes: u64,
    /// When it ended; `None` if it may not go.
    ended: Option<WallTime>,
}

impl Retention {
    /// Whether a file system can have it so.
    ///
    /// # Errors
    /// When more is to be free than there is: then whatever has ended would go.
    pub(crate) fn check(&self, space: Space) -> anyhow::Result<()> {
        let size = space.size;
        match self.min_free_bytes {
            Some(least) if least >= size => anyhow::bail!(
                "keep_free (LIVETAPE_KEEP_FREE) is {least} bytes, and all of its file system has {size}: every recording that \
                 has ended would be removed; say less than that"
            ),
            _ => Ok(()),
        }
    }

    const fn limits_nothing(&self) -> bool {
        self.max_age.is_none() && self.max_bytes.is_none() && self.min_free_bytes.is_none()
    }

    const fn is_short_of(&self, free: u64) -> bool {
        matches!(self.min_free_bytes, Some(least) if free < least)
    }

    /// Whether something would go so that there is more free space.
    const fn wants_more(&self, free: u64, has_room: bool) -> bool {
        self.min_free_bytes.is_some() && (!has_room || self.is_short_of(free))
    }

    /// Removing frees nothing.
    const fn without_space(mut self) -> Self {
        self.min_free_bytes = None;
        self
    }

    /// The disk takes no more: whatever is free is too little.
    const fn when_full(mut self, free: u64) -> Self {
        if let Some(least) = self.min_free_bytes
            && least <= free
        {
            self.min_free_bytes = Some(free.saturating_add(1));
        }
        self
    }

    /// Which go, and why. `all` is everything that there is, oldest first; `free` what the file system has left.
    fn choose(&self, all: &[Candidate], free: u64, now: WallTime) -> Vec<(RecordingId, Why)> {
        let total: u64 = all.iter().map(|candidate| candidate.bytes).fold(0, u64::saturating_add);
        let mut over = self.max_bytes.map_or(0, |most| total.saturating_sub(most));
        let mut short = self.min_free_bytes.map_or(0, |least| least.saturating_sub(free));
        let mut chosen = Vec::new();
        for Candidate { id, bytes, ended } in all {
            let Some(ended) = *ended else { continue };
            let why = if self.max_age.is_some_and(|most| now.since(ended) > most) {
                Why::Age
            } else if over > 0 {
                Why::Bytes
            } else if short > 0 {
                Why::Space
            } else {
                continue;
            };
            (over, short) = (over.saturating_sub(*bytes), short.saturating_sub(*bytes));
            chosen.push((*id, why));
        }
        chosen
    }
}

/// When a recording ended, by whatever clock says the latest: a source whose clock is wrong costs nobody a recording.
fn ended(recording: &Recording) -> Option<WallTime> {
    let seal = recording.seal.filter(|_| !recording.locked)?;
    let played = recording.spec.duration(seal.end.since(Frame::ZERO));
    Some(recording.started.later(played).max(seal.ended))
}

/// Looks, for as long as the recorder runs. How much room there is it tells in any case.
pub(crate) async fn run(keep: Retention, shared: Arc<Shared>, keeper: Keeper) {
    let mut glances = tokio::time::interval(GLANCE);
    glances.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut awaited = Awaited::default();
    // When everything is looked at again, and until when a disk that is short of space is no reason to: nothing could be removed.
    let (mut due, mut worth) = (Instant::now(), Instant::now());
    loop {
        let is_full = tokio::select! {
            _ = glances.tick() => false,
            () = shared.instruments.short() => true,
        };
        let Some(seen) = see(&shared).await else { continue };
        let now = Instant::now();
        let free = awaited.look(seen, now);
        let in_vain = free.is_none() && keep.wants_more(seen.free, shared.instruments.has_room());
        if shared.instruments.retention_in_vain(in_vain) != in_vain && in_vain {
            tracing::error!(
                "removing recordings has not made the disk less full, so no more are removed for its sake until there is more \
                 room: snapshots of the file system, or programs that have the files open, keep what was removed"
            );
        }
        let (keep, free) = match free {
            Some(free) if is_full => (keep.when_full(seen.free), free),
            Some(free) => (keep, free),
            None => (keep.without_space(), seen.free),
        };
        let is_short = keep.is_short_of(free);
        if keep.limits_nothing() || !(now >= due || is_short && now >= worth) {
            continue;
        }
        due = now + INTERVAL;
        let removed = look(keep, free, &shared, &keeper).await;
        if is_short && removed.is_none() {
            worth = due;
        }
        awaited.removed(removed.unwrap_or(0), seen, Instant::now());
        // Nearly always it is there at once; what recordings take of it from now on is taken from what there is.
        if removed.is_some()
            && let Some(seen) = see(&shared).await
        {
            awaited.look(seen, Instant::now());
        }
    }
}

/// How much room there is, and tells it.
async fn see(shared: &Shared) -> Option<Seen> {
    let space = space(shared).await?;
    shared.instruments.space(space);
    Some(Seen { free: space.free, written: shared.instruments.written() })
}

async fn space(shared: &Shared) -> Option<Space> {
    let dir = shared.dir.clone();
    let outcome = tokio::task::spawn_blocking(move || dir.space()).await;
    match outcome.map_err(anyhow::Error::from).and_then(|space| Ok(space?)) {
        Ok(space) => Some(space),
        Err(error) => {
            tracing::error!(%error, "cannot tell how much space is free; nothing is removed");
            None
        }
    }
}

/// Removes what has to go. How many bytes went, if anything did.
async fn look(keep: Retention, free: u64, shared: &Arc<Shared>, keeper: &Keeper) -> Option<u64> {
    let mut removed: BTreeMap<StreamName, Vec<(Arc<Recording>, Why)>> = BTreeMap::new();
    let mut bytes = 0_u64;
    for (id, why) in chosen(keep, free, shared).await {
        let Some(recording) = shared.archive.get(id) else { continue };
        match keeper.delete(id).await {
            Ok(()) => {
                tracing::info!(stream = %recording.stream, recording = %id, why = why.as_str(), "removed by retention");
                shared.instruments.removed(why);
                bytes = bytes.saturating_add(bytes_of(&recording, shared));
                removed.entry(recording.stream.clone()).or_default().push((recording, why));
            }
            // Locked or deleted since the decision.
            Err(Refused::Locked(_) | Refused::Gone(_)) => {}
            Err(error) => tracing::error!(recording = %id, %error, "could not be removed"),
        }
    }
    for (stream, removed) in &removed {
        keeper.tell(stream, EventKind::Retention, told(removed)).await;
    }
    (!removed.is_empty()).then_some(bytes)
}

/// Which go, and why. There may be very many to choose from, so this is no work for a thread that others wait for.
async fn chosen(keep: Retention, free: u64, shared: &Arc<Shared>) -> Vec<(RecordingId, Why)> {
    let shared = Arc::clone(shared);
    let choosing = move || keep.choose(&everything(&shared), free, tape::now());
    tokio::task::spawn_blocking(choosing).await.unwrap_or_else(|error| {
        tracing::error!(%error, "what is kept could not be looked through; nothing is removed");
        Vec::new()
    })
}

fn bytes_of(recording: &Recording, shared: &Shared) -> u64 {
    let tail = || shared.tails.get(recording.id).map_or(Frame::ZERO, |tail| tail.end);
    let end = recording.seal.map_or_else(tail, |seal| seal.end);
    recording.spec.bytes(end.since(Frame::ZERO))
}

/// All recordings, oldest first.
fn everything(shared: &Shared) -> Vec<Candidate> {
    let (mut all, mut query) = (Vec::new(), Query { limit: PAGE, ..Query::default() });
    loop {
        let page = shared.archive.all.list(&query);
        all.extend(page.recordings.iter().map(|recording| {
            let bytes = bytes_of(recording, shared);
            Candidate { id: recording.id, bytes, ended: ended(recording) }
        }));
        query.after = page.next;
        if query.after.is_none() {
            return all;
        }
    }
}

/// What the stream's timeline says. However many went, it is one short text.
fn told(removed: &[(Arc<Recording>, Why)]) -> String {
    match removed {
        [(recording, why)] => {
            format!("removed recording {} of {}: {}", recording.id, recording.started, why.as_str())
        }
        [(first, why), .., (last, _)] => format!(
            "removed {} recordings, from {} of {} to {} of {}: {}",
            removed.len(),
            first.id,
            first.started,
            last.id,
            last.started,
            why.as_str()
        ),
        [] => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Why::{Age, Bytes, Space};
    use livetape_audio::{Epoch, FrameCount, Instance, SampleFormat, SealReason, Spec, Title};
    use livetape_store::Seal;

    fn id(n: u8) -> RecordingId {
        RecordingId::new(u64::from(n), &[n; 10])
    }

    fn at(hour: u64) -> WallTime {
        WallTime::default().later(Duration::from_secs(hour * 3600))
    }

    /// Four recordings of 100 bytes that ended at 1, 2, 3 and 4 o'clock; `kept` may not go. And one that is growing.
    fn chosen(keep: Retention, free: u64, kept: &[u8]) -> Vec<(u8, Why)> {
        let ended = |n: u8| (n < 5 && !kept.contains(&n)).then(|| at(u64::from(n)));
        let all: Vec<_> = (1..=5).map(|n| Candidate { id: id(n), bytes: 100, ended: ended(n) }).collect();
        let chosen = keep.choose(&all, free, at(5)).into_iter();
        chosen.map(|(chosen, why)| ((1..=5).find(|&n| id(n) == chosen).unwrap(), why)).collect()
    }

    #[test]
    fn what_is_not_limited_is_kept() {
        assert!(Retention::default().limits_nothing());
        assert_eq!(chosen(Retention::default(), 0, &[]), []);
    }

    #[test]
    fn by_age() {
        let hours = |n: u64| Retention { max_age: Some(Duration::from_secs(n * 3600)), ..Retention::default() };
        assert_eq!(chosen(hours(2), 0, &[]), [(1, Age), (2, Age)], "not the one that is just that old");
        assert_eq!(chosen(hours(0), 0, &[1, 3]), [(2, Age), (4, Age)], "neither locked nor growing ones");
        assert_eq!(chosen(hours(9), 0, &[]), []);
    }

    #[test]
    fn by_bytes_oldest_first_and_no_more_than_needed() {
        let bytes = |n| Retention { max_bytes: Some(n), ..Retention::default() };
        assert_eq!(chosen(bytes(500), 0, &[]), []);
        assert_eq!(chosen(bytes(499), 0, &[]), [(1, Bytes)]);
        assert_eq!(chosen(bytes(300), 0, &[1]), [(2, Bytes), (3, Bytes)], "what is locked takes room, too");
        assert_eq!(chosen(bytes(0), 0, &[]).len(), 4, "never what is growing");
    }

    #[test]
    fn by_free_space() {
        let space = |n| Retention { min_free_bytes: Some(n), ..Retention::default() };
        assert_eq!(chosen(space(1000), 1000, &[]), []);
        assert_eq!(chosen(space(1000), 900, &[]), [(1, Space)]);
        assert_eq!(chosen(space(1000), 899, &[2]), [(1, Space), (3, Space)]);
    }

    #[test]
    fn more_than_the_disk_is_large_cannot_be_free() {
        let keep = Retention { min_free_bytes: Some(1000), ..Retention::default() };
        let disk = |size| livetape_store::Space { free: 10, size };
        assert!(keep.check(disk(1001)).is_ok() && Retention::default().check(disk(0)).is_ok());
        let error = keep.check(disk(1000)).unwrap_err().to_string();
        assert!(error.contains("LIVETAPE_KEEP_FREE") && error.contains("1000 bytes"), "{error}");
    }

    #[test]
    fn what_the_disk_refuses_is_too_much_whatever_is_free() {
        let keep = Retention { min_free_bytes: Some(1000), ..Retention::default() };
        assert!(keep.is_short_of(999) && !keep.is_short_of(1000));
        assert_eq!(chosen(keep.when_full(2000), 2000, &[]), [(1, Space)], "one, and then it is looked again");
        assert_eq!(chosen(keep.when_full(850), 850, &[]), [(1, Space), (2, Space)]);
        assert_eq!(chosen(Retention::default().when_full(0), 0, &[]), [], "nobody has asked for it");
    }

    #[test]
    fn the_end_is_the_later_one_of_both_clocks_and_never_that_of_what_may_not_go() {
        let spec = Spec::new(SampleFormat::S16, 8_000, 1).unwrap();
        let recording = |started, ended| Recording {
            id: id(1),
            stream: "a".parse().unwrap(),
            spec,
            source: "test".parse().unwrap(),
            title: Title::default(),
            started,
            epoch: Epoch(1),
            instance: Instance::default(),
            segment_frames: FrameCount::new(1),
            seal: Some(Seal {
                end: Frame::ZERO + spec.frames(Duration::from_secs(3600)),
                reason: SealReason::SourceEnded,
                next: None,
                earliest: None,
                ended,
            }),
            notes: Default::default(),
            locked: false,
            titled: false,
            genre: Default::default(),
        };
        // It plays for an hour. By the recorder's clock it ended at 3; the source's says something else.
        assert_eq!(ended(&recording(at(2), at(3))), Some(at(3)));
        assert_eq!(ended(&recording(at(2), at(1))), Some(at(3)), "the source's clock is behind");
        assert_eq!(
            ended(&recording(at(2), at(7))),
            Some(at(7)),
            "the source's clock is ahead, or the recorder's was behind"
        );
        assert_eq!(ended(&Recording { locked: true, ..recording(at(2), at(3)) }), None);
        assert_eq!(ended(&Recording { seal: None, ..recording(at(2), at(3)) }), None);
    }

    #[test]
    fn what_goes_for_one_reason_counts_for_the_others() {
        let age = Some(Duration::from_secs(3 * 3600));
        let keep = Retention { max_age: age, max_bytes: Some(400), min_free_bytes: Some(1000) };
        assert_eq!(chosen(keep, 800, &[]), [(1, Age), (2, Space)]);
    }
}

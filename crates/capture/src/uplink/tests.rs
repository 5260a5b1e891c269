use super::*;
use crate::spool::{Folder, Identity, Spool};
use bytes::Bytes;
use livetape_audio::{Durable, Instance, RecordingId, SampleFormat, WallTime};
use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

fn spec() -> Spec {
    Spec::new(SampleFormat::S16, 8_000, 2).unwrap()
}

fn recording() -> RecordingId {
    RecordingId::new(1_763_649_000_000, &[1; 10])
}

/// What is missing before a frame.
#[derive(Clone, Copy, Debug, Default)]
struct Hole {
    known: u64,
    unknown: bool,
}

impl Hole {
    fn add(&mut self, frames: Option<FrameCount>) {
        match frames {
            Some(frames) => self.known += frames.get(),
            None => self.unknown = true,
        }
    }

    fn join(&mut self, other: Self) {
        self.known += other.known;
        self.unknown |= other.unknown;
    }
}

/// The recorder, as its contract says: frames by number, gaps that wait for the frame behind them, a durable end.
#[derive(Default)]
struct Recorder {
    /// What each frame carried: which captured frame it is.
    frames: Vec<u32>,
    gaps: BTreeMap<usize, Hole>,
    pending: Option<Hole>,
    /// What is playing from a frame on.
    titles: BTreeMap<usize, u32>,
    title: Option<u32>,
    durable: usize,
    epoch: u64,
    /// The call's number of frame 0 here.
    offset: u64,
    ended: bool,
}

impl Recorder {
    /// Answers an open: `(epoch, next, resume)`. Everything written becomes durable first, as the contract says.
    fn open(&mut self, new_offset: u64) -> (Epoch, Frame, Frame) {
        self.durable = self.frames.len();
        (self.pending, self.title) = (None, None);
        self.epoch += 1;
        let resume = Frame::new(self.offset + self.durable as u64);
        // Numbers may begin anew, as they do when the recording has rolled.
        self.offset = new_offset;
        (Epoch(self.epoch), Frame::new(self.offset + self.durable as u64), resume)
    }

    fn take(&mut self, message: Outgoing) {
        let next = Frame::new(self.offset + self.frames.len() as u64);
        match message {
            Outgoing::Append { epoch, first, pcm, .. } => {
                assert_eq!((epoch.0, first), (self.epoch, next), "in order, without a hole");
                self.gap();
                if let Some(title) = self.title.take() {
                    self.titles.insert(self.frames.len(), title);
                }
                self.frames.extend(pcm.chunks(4).map(|f| u32::from_le_bytes(f.try_into().unwrap())));
            }
            Outgoing::Gap { epoch, at, frames, .. } => {
                assert_eq!((epoch.0, at), (self.epoch, next));
                self.pending.get_or_insert_default().add(frames);
            }
            Outgoing::Title { epoch, at, title } => {
                assert_eq!((epoch.0, at), (self.epoch, next));
                self.title = Some(title.as_str().parse().unwrap());
            }
            Outgoing::End { epoch, at } => {
                assert_eq!((epoch.0, at), (self.epoch, next));
                self.gap();
                self.durable = self.frames.len();
                self.ended = true;
            }
        }
    }

    fn gap(&mut self) {
        if let Some(hole) = self.pending.take() {
            self.gaps.entry(self.frames.len()).or_default().join(hole);
        }
    }

    /// Loses what is not durable.
    fn crash(&mut self) {
        self.frames.truncate(self.durable);
        self.gaps.retain(|&at, _| at < self.durable);
        self.titles.retain(|&at, _| at < self.durable);
        (self.pending, self.title) = (None, None);
    }

    fn durable(&self) -> Durable {
        Durable(Frame::new(self.offset + self.durable as u64))
    }

    /// Each frame has the title that was on when it was captured.
    fn check_titles(&self, said: &BTreeMap<u32, u32>) {
        for (n, frame) in self.frames.iter().enumerate() {
            let found = self.titles.range(..=n).next_back().map(|(_, title)| title);
            let wanted = said.range(..=frame).next_back().map(|(_, title)| title);
            assert_eq!(found, wanted, "frame {n}, captured as {frame}: {:?}, {said:?}", self.titles);
        }
    }

    /// Every counted frame is here exactly once and in order, or in exactly the reported gap. In a gap of unknown length
    /// are also those that were `lost` with a process. A process that cannot know what the recorder got of the one before
    /// it says a gap of known length again, in the same place as the unknown one, which stays unknown by that.
    fn check(&self, counted: u32, lost: &BTreeSet<u32>) {
        let mut expected = 0_u32;
        for (n, frame) in self.frames.iter().copied().chain([counted]).enumerate() {
            assert!(frame >= expected, "frame {n} is {frame}, after {expected}");
            let hole = self.gaps.get(&n).copied().unwrap_or_default();
            let (skipped, killed) = (u64::from(frame - expected), lost.range(expected..frame).count() as u64);
            let fits = if hole.unknown { hole.known >= skipped - killed } else { hole.known == skipped };
            assert!(fits, "before frame {n}, {expected}..{frame}: {hole:?}, {killed} with a process; {:?}", self.gaps);
            expected = frame + 1;
        }
    }
}

/// A source that counts everything, also what it misses.
struct World {
    uplink: Uplink,
    recorder: Recorder,
    wire: VecDeque<Outgoing>,
    counted: u32,
    missed: u64,
    now: Instant,
    /// The title that was said last, and those that were on, each with the first counted frame.
    said: u32,
    titles: BTreeMap<u32, u32>,
    /// The place and the first number of all that was counted, and whether it was captured.
    history: Vec<(Place, u32, bool)>,
    /// Numbers of what was lost with a process.
    lost: BTreeSet<u32>,
    kills: u32,
    folder: Option<tempfile::TempDir>,
    room: Arc<AtomicU64>,
}

/// Of titles in these tests.
const DISTANCE: FrameCount = FrameCount::new(12);

fn uplink(limit: u64) -> Uplink {
    let mut uplink = Uplink::new(spec(), limit);
    uplink.notes.distance = DISTANCE;
    uplink
}

/// Of the spool in these tests.
const SPOOL_BYTES: u64 = 3_000;

impl World {
    fn new(limit_frames: u64) -> Self {
        Self {
            uplink: uplink(limit_frames * 4),
            recorder: Recorder::default(),
            wire: VecDeque::new(),
            counted: 0,
            missed: 0,
            now: Instant::now(),
            said: 0,
            titles: BTreeMap::new(),
            history: Vec::new(),
            lost: BTreeSet::new(),
            kills: 0,
            folder: None,
            room: Arc::new(AtomicU64::new(u64::MAX)),
        }
    }

    fn spooled(limit_frames: u64) -> Self {
        let mut world = Self::new(limit_frames);
        world.folder = Some(tempfile::tempdir().unwrap());
        world.start();
        world
    }

    /// A process begins, with what it finds in the spool.
    fn start(&mut self) {
        let mut folder = Folder::lock(self.folder.as_ref().unwrap().path(), &"live".parse().unwrap()).unwrap();
        folder.room = Some(Arc::clone(&self.room));
        let fresh = Identity { instance: Instance([7; 16]), spec: spec() };
        let (spool, restored) = Spool::open(folder, SPOOL_BYTES, fresh).unwrap();
        let restored = restored.map(|(identity, restored)| {
            assert_eq!(identity, fresh);
            restored
        });
        let again = restored.is_some();
        let spool = Box::new(spool.sized(SPOOL_BYTES, SPOOL_BYTES / 5));
        self.uplink = uplink(self.uplink.limit).with_store(spool, restored);
        if again {
            self.uplink.restarted();
        }
    }

    /// The process is gone, without a last word, and another one begins.
    fn kill(&mut self, delivered: usize) {
        for _ in 0..delivered {
            self.deliver();
        }
        self.wire.clear();
        let saved = self.uplink.memory.front().map_or(self.uplink.end, |first| first.held.at);
        let ends = self.history.iter().skip(1).map(|h| h.1).chain([self.counted]);
        for (&(place, first, captured), end) in self.history.iter().zip(ends) {
            let skip = if captured { saved.since(place).get() } else { u64::from(place < saved) * u64::from(end) };
            self.lost.extend(first.saturating_add(skip as u32)..end);
        }
        self.uplink = uplink(self.uplink.limit); // the old one lets go of its folder
        self.start();
        self.history.clear();
        self.kills += 1;
    }

    /// One title at a time is on, for at least a few captured frames.
    fn say(&mut self) {
        self.said += 1;
        self.uplink.title(self.said.to_string().parse().unwrap());
    }

    fn capture(&mut self, frames: u32) {
        let end = self.uplink.end;
        let near = self.uplink.notes.newest_place().is_some_and(|last| end.since(last) < DISTANCE);
        if self.said > 0 && !near {
            self.titles.insert(self.counted, self.said);
        }
        let pcm: Vec<u8> = (self.counted..self.counted + frames).flat_map(u32::to_le_bytes).collect();
        let time = WallTime::default().after_frames(FrameCount::new(u64::from(self.counted)), spec());
        self.history.push((self.uplink.end, self.counted, true));
        self.now += Duration::from_millis(10) * frames;
        self.uplink.push(Chunk { time, pcm: pcm.into() }, self.now).unwrap();
        self.counted += frames;
        assert!(self.uplink.bytes <= self.uplink.limit, "the queue has a bound");
        assert!(self.uplink.held() <= self.uplink.limit + (64 << 10), "and so has what is read from the spool");
        let waiting: u64 = self.uplink.memory.iter().map(|waiting| waiting.held.chunk.pcm.len() as u64).sum();
        assert_eq!(waiting, self.uplink.bytes, "the count of bytes is true");
        if let Some(folder) = &self.folder {
            let files = std::fs::read_dir(folder.path().join("live")).unwrap();
            let bytes: u64 = files.map(|file| file.unwrap().metadata().unwrap().len()).sum();
            assert!(bytes <= SPOOL_BYTES + 500, "the spool has a bound: {bytes}");
        }
    }

    fn miss(&mut self, frames: u32) {
        self.history.push((self.uplink.end, self.counted, false));
        self.uplink.gap(Lost { frames: FrameCount::new(u64::from(frames)), reason: GapReason::Xrun });
        self.counted += frames;
        self.missed += u64::from(frames);
    }

    fn open(&mut self, offset: u64) {
        self.wire.clear();
        let known = self.uplink.numbers.recording.is_some();
        let (epoch, next, resume) = self.recorder.open(offset);
        self.uplink.opened(epoch, recording(), next, Some(resume).filter(|_| known), 40).unwrap();
    }

    fn break_off(&mut self, delivered: usize) {
        for _ in 0..delivered {
            self.deliver();
        }
        self.wire.clear();
        self.uplink.disconnected();
    }

    fn send(&mut self) {
        let more = self.uplink.has_to_send();
        let message = self.uplink.next_to_send();
        assert_eq!(message.is_some(), more);
        self.wire.extend(message);
    }

    fn deliver(&mut self) {
        if let Some(message) = self.wire.pop_front() {
            self.recorder.take(message);
        }
    }

    fn sync(&mut self, part: usize) {
        let written = self.recorder.frames.len();
        self.recorder.durable += (written - self.recorder.durable).min(part);
    }

    fn acknowledge(&mut self) {
        if self.uplink.line.is_some() {
            self.uplink.acknowledged(self.recorder.durable()).unwrap();
        }
    }

    fn finish(mut self) {
        self.break_off(0);
        self.open(0);
        self.uplink.end();
        while self.uplink.has_to_send() {
            self.send();
            self.deliver();
        }
        assert!(self.recorder.ended);
        self.acknowledge();
        assert!(self.uplink.is_settled());
        self.recorder.check(self.counted, &self.lost);
        let status = self.uplink.status();
        assert_eq!(status.waiting(), FrameCount::ZERO);
        if self.kills == 0 {
            self.recorder.check_titles(&self.titles);
            assert_eq!(status.captured.get(), u64::from(self.counted) - self.missed);
            assert_eq!(status.acknowledged.get(), self.recorder.frames.len() as u64);
            assert_eq!(status.missed.get(), self.missed);
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Capture(u32),
    Miss(u32),
    Say,
    Send,
    Deliver,
    Sync(usize),
    Acknowledge,
    /// So many messages that were under way still arrive.
    BreakOff(usize),
    Crash,
    Open(u64),
    /// The process of the uplink, after which so many messages still arrive.
    Kill(usize),
    /// So many bytes still fit on the disk.
    Room(u64),
}

impl World {
    fn act(&mut self, op: Op) {
        match op {
            Op::Capture(frames) => self.capture(frames),
            Op::Miss(frames) => self.miss(frames),
            Op::Say => self.say(),
            Op::Send => self.send(),
            Op::Deliver => self.deliver(),
            Op::Sync(part) => self.sync(part),
            Op::Acknowledge => self.acknowledge(),
            Op::BreakOff(delivered) => self.break_off(delivered),
            Op::Crash => {
                self.break_off(0);
                self.recorder.crash();
            }
            Op::Open(offset) => self.open(offset),
            Op::Kill(delivered) => self.kill(delivered),
            Op::Room(bytes) => self.room.store(bytes, Ordering::SeqCst),
        }
    }
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (1_u32..25).prop_map(Op::Capture),
        1 => (1_u32..25).prop_map(Op::Miss),
        2 => Just(Op::Say),
        8 => Just(Op::Send),
        8 => Just(Op::Deliver),
        3 => (1_usize..40).prop_map(Op::Sync),
        3 => Just(Op::Acknowledge),
        1 => (0_usize..4).prop_map(Op::BreakOff),
        1 => Just(Op::Crash),
        2 => (0_u64..1_000).prop_map(Op::Open),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 1_000, ..ProptestConfig::default() })]
    #[test]
    fn every_frame_is_recorded_once_or_in_a_reported_gap(
        ops in prop::collection::vec(op(), 0..200),
        limit in 20_u64..200,
    ) {
        let mut world = World::new(limit);
        ops.into_iter().for_each(|op| world.act(op));
        world.finish();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]
    #[test]
    fn and_so_it_is_when_the_process_is_killed(
        ops in prop::collection::vec(prop_oneof![30 => op(), 1 => (0_usize..4).prop_map(Op::Kill)], 0..300),
        limit in 20_u64..200,
    ) {
        let mut world = World::spooled(limit);
        // Before the first answer nothing survives a process, which no gap can say of what has not begun.
        world.open(0);
        ops.into_iter().for_each(|op| world.act(op));
        world.finish();
    }

    #[test]
    fn and_when_the_disk_is_full(
        ops in prop::collection::vec(
            prop_oneof![
                30 => op(),
                1 => (0_u64..3_000).prop_map(Op::Room),
                1 => Just(Op::Room(u64::MAX)),
            ],
            0..300,
        ),
        limit in 20_u64..200,
    ) {
        let mut world = World::spooled(limit);
        ops.into_iter().for_each(|op| world.act(op));
        world.finish();
    }
}

/// Messages as `first..end` of audio and `(at, lost)` of gaps.
fn sent(world: &mut World) -> Vec<String> {
    let mut out = Vec::new();
    while let Some(message) = world.uplink.next_to_send() {
        out.push(match &message {
            Outgoing::Append { first, pcm, .. } => format!("{}..{}", first, first.get() + pcm.len() as u64 / 4),
            Outgoing::Gap { at, frames, reason, .. } => {
                let frames = frames.map_or("?".into(), |frames| frames.to_string());
                format!("gap {frames} at {at} {}", reason.as_str())
            }
            Outgoing::Title { at, title, .. } => format!("{:?} at {at}", title.as_str()),
            Outgoing::End { at, .. } => format!("end {at}"),
        });
        world.wire.push_back(message);
    }
    out
}

#[test]
fn overflow_while_away_is_one_gap_and_shrinks_by_what_was_durable() {
    let mut world = World::new(30);
    world.open(0);
    world.capture(10);
    world.capture(10);
    assert_eq!(sent(&mut world), ["0..10", "10..20"]);
    world.break_off(2); // both arrive, no answer does
    for _ in 0..4 {
        world.capture(10);
    }
    assert_eq!(world.uplink.status().given_up, FrameCount::new(30), "all that was sent, and ten more");
    world.recorder.durable = 15;
    world.recorder.crash();
    world.open(0);
    assert_eq!(world.uplink.status().given_up, FrameCount::new(15), "15 of them are durable");
    assert_eq!(sent(&mut world), ["gap 15 at 15 overflow", "15..25", "25..35", "35..45"]);
    world.finish();
}

#[test]
fn what_is_under_way_is_given_up_first_and_may_arrive_nevertheless() {
    let mut world = World::new(30);
    world.open(0);
    for _ in 0..2 {
        world.capture(10);
        world.send();
    }
    for _ in 0..3 {
        world.capture(10);
    }
    assert_eq!(world.uplink.status().given_up, FrameCount::new(20));
    assert_eq!(sent(&mut world), ["20..30", "30..40", "40..50"]);
    for _ in 0..2 {
        world.deliver();
    }
    world.sync(20);
    world.acknowledge();
    assert_eq!(world.uplink.status().given_up, FrameCount::ZERO);
    world.break_off(0);
    world.open(0);
    assert_eq!(sent(&mut world), ["20..30", "30..40", "40..50"]);
    world.finish();
}

#[test]
fn a_killed_process_goes_on_where_it_was_and_says_so() {
    let mut world = World::spooled(100);
    world.open(0);
    world.capture(10);
    assert_eq!(sent(&mut world), ["0..10"]);
    world.break_off(1);
    world.capture(10);
    world.miss(5);
    world.capture(10);
    assert_eq!((world.uplink.bytes, world.uplink.status().spooled), (0, FrameCount::new(30)), "nothing is in memory");
    world.kill(0);
    assert_eq!(world.uplink.upcoming(), Frame::new(30));
    world.capture(10);
    world.open(500);
    assert_eq!(
        sent(&mut world),
        ["510..520", "gap 5 at 520 xrun", "520..530", "gap ? at 530 source_restarted", "530..540"]
    );
    world.finish();
}

#[test]
fn audio_that_is_not_acknowledged_in_time_goes_to_the_spool() {
    let mut world = World::spooled(1_000);
    world.open(0);
    for n in 1..=20_u64 {
        world.capture(10); // 100 ms by the clock of these tests
        world.send();
        // All of it, when the oldest is a second old.
        let spooled = if n > 10 { 110 } else { 0 };
        assert_eq!(world.uplink.status().spooled.get(), spooled, "after {n}");
    }
    assert_eq!(world.uplink.status().spooled_bytes, 440);
    for _ in 0..20 {
        world.deliver();
    }
    world.sync(1_000);
    world.acknowledge();
    assert_eq!(world.uplink.status().spooled, FrameCount::ZERO);
    world.finish();
}

#[test]
fn a_gap_is_sent_again_until_a_frame_behind_it_is_durable() {
    let mut world = World::new(100);
    world.open(0);
    world.capture(10);
    world.miss(7);
    world.capture(10);
    assert_eq!(sent(&mut world), ["0..10", "gap 7 at 10 xrun", "10..20"]);
    world.break_off(3);
    world.recorder.durable = 10;
    world.recorder.crash();
    world.open(500);
    assert_eq!(sent(&mut world), ["gap 7 at 510 xrun", "510..520"]);
    world.break_off(2);
    world.recorder.durable = 11;
    world.recorder.crash();
    world.open(0);
    assert_eq!(sent(&mut world), ["11..20"]);
    world.finish();
}

#[test]
fn long_messages_are_cut_and_times_follow() {
    let mut world = World::new(100);
    world.open(0);
    world.capture(25);
    assert_eq!(sent(&mut world), ["0..10", "10..20", "20..25"]);
    let Some(Outgoing::Append { time, .. }) = world.wire.get(1) else { panic!() };
    assert_eq!(*time, WallTime::default().after_frames(FrameCount::new(10), spec()));
    world.finish();
}

#[test]
fn answers_that_cannot_be_are_refused_and_lose_nothing() {
    let mut world = World::new(100);
    let narrow = world.uplink.opened(Epoch(1), recording(), Frame::ZERO, None, 3);
    assert!(matches!(narrow, Err(UplinkError::Narrow { max: 3, frame: 4 })));
    world.open(0);
    world.capture(10);
    world.send();
    assert!(matches!(world.uplink.acknowledged(Durable(Frame::new(11))), Err(UplinkError::NeverSent { .. })));
    world.uplink.disconnected();
    // Somebody else has recorded far past what we sent.
    world.uplink.opened(Epoch(9), recording(), Frame::new(5_000), Some(Frame::new(5_000)), 40).unwrap();
    assert_eq!(sent(&mut world), ["5000..5010"]);
    let half = world.uplink.push(Chunk { time: WallTime::default(), pcm: Bytes::from_static(b"abc") }, world.now);
    assert!(matches!(half, Err(UplinkError::HalfFrame { bytes: 3, .. })));
}

#[test]
fn the_end_is_said_again_in_each_call() {
    let mut world = World::new(100);
    world.open(0);
    world.capture(5);
    world.uplink.end();
    assert_eq!(sent(&mut world), ["0..5", "end 5"]);
    assert!(world.uplink.awaits_answer());
    world.break_off(1);
    world.open(0);
    assert_eq!(sent(&mut world), ["end 5"]);
}

#[test]
fn titles_are_said_at_their_frame_and_the_last_again_in_each_call() {
    let mut world = World::new(1_000);
    world.open(0);
    world.say();
    world.capture(10);
    world.say(); // too early: waits
    world.capture(5);
    world.capture(5);
    world.uplink.title("2".parse().unwrap()); // known
    world.capture(20);
    assert_eq!(sent(&mut world), ["\"1\" at 0", "0..10", "10..15", "\"2\" at 15", "15..20", "20..30", "30..40"]);
    world.break_off(7);
    world.open(1_000);
    assert_eq!(sent(&mut world), ["\"2\" at 1040"], "the recording may be another one");
    world.recorder.check_titles(&world.titles);
}

mod standby;

#[test]
fn a_gap_that_the_recorder_has_is_said_again_by_a_process_that_cannot_know() {
    let ops = [Op::Miss(8), Op::Open(0), Op::Send, Op::Capture(1), Op::Send, Op::Kill(2), Op::Capture(1)];
    let mut world = World::spooled(20);
    ops.into_iter().for_each(|op| world.act(op));
    world.finish();
}

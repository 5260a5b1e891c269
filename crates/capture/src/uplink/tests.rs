use super::*;
use livetape_audio::SampleFormat;
use proptest::prelude::*;
use std::collections::BTreeMap;

fn spec() -> Spec {
    Spec::new(SampleFormat::S16, 8_000, 2).unwrap()
}

/// The recorder, as its contract says: frames by number, gaps that wait for the frame behind them, a durable end.
#[derive(Default)]
struct Recorder {
    /// What each frame carried: which captured frame it is.
    frames: Vec<u32>,
    gaps: BTreeMap<usize, u64>,
    pending: u64,
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
        self.pending = 0;
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
                if self.pending > 0 {
                    *self.gaps.entry(self.frames.len()).or_default() += std::mem::take(&mut self.pending);
                }
                self.frames.extend(pcm.chunks(4).map(|f| u32::from_le_bytes(f.try_into().unwrap())));
            }
            Outgoing::Gap { epoch, at, lost } => {
                assert_eq!((epoch.0, at), (self.epoch, next));
                self.pending += lost.frames.get();
            }
            Outgoing::End { epoch, at } => {
                assert_eq!((epoch.0, at), (self.epoch, next));
                if self.pending > 0 {
                    *self.gaps.entry(self.frames.len()).or_default() += std::mem::take(&mut self.pending);
                }
                self.durable = self.frames.len();
                self.ended = true;
            }
        }
    }

    /// Loses what is not durable.
    fn crash(&mut self) {
        self.frames.truncate(self.durable);
        self.gaps.retain(|&at, _| at < self.durable);
        self.pending = 0;
    }

    fn durable(&self) -> Durable {
        Durable(Frame::new(self.offset + self.durable as u64))
    }

    /// Every captured frame is here exactly once and in order, or in exactly the reported gap.
    fn check(&self, captured: u32, missed: u64) {
        let mut expected = 0_u64;
        for (n, &frame) in self.frames.iter().enumerate() {
            expected += self.gaps.get(&n).copied().unwrap_or(0);
            assert_eq!(u64::from(frame), expected, "frame {n}; gaps {:?}", self.gaps);
            expected += 1;
        }
        expected += self.gaps.get(&self.frames.len()).copied().unwrap_or(0);
        assert_eq!(expected, u64::from(captured) + missed, "the end; gaps {:?}", self.gaps);
    }
}

/// A source that counts everything, also what it misses.
struct World {
    uplink: Uplink,
    recorder: Recorder,
    wire: VecDeque<Outgoing>,
    counted: u32,
    missed: u64,
}

impl World {
    fn new(limit_frames: u64) -> Self {
        Self {
            uplink: Uplink::new(spec(), limit_frames * 4),
            recorder: Recorder::default(),
            wire: VecDeque::new(),
            counted: 0,
            missed: 0,
        }
    }

    fn capture(&mut self, frames: u32) {
        let pcm: Vec<u8> = (self.counted..self.counted + frames).flat_map(u32::to_le_bytes).collect();
        let time = WallTime::default().after_frames(FrameCount::new(u64::from(self.counted)), spec());
        self.uplink.push(Chunk { time, pcm: pcm.into() }).unwrap();
        self.counted += frames;
        assert!(self.uplink.bytes <= self.uplink.limit, "the queue has a bound");
        let waiting: u64 = self
            .uplink
            .sent
            .iter()
            .map(|s| if let What::Audio(c) = &s.what { c.pcm.len() as u64 } else { 0 })
            .sum::<u64>()
            + self
                .uplink
                .unsent
                .iter()
                .map(|p| if let Piece::Audio(c) = p { c.pcm.len() as u64 } else { 0 })
                .sum::<u64>();
        assert_eq!(waiting, self.uplink.bytes, "the count of bytes is true");
    }

    fn miss(&mut self, frames: u32) {
        self.uplink.gap(Lost { frames: FrameCount::new(u64::from(frames)), reason: GapReason::Xrun });
        self.counted += frames;
        self.missed += u64::from(frames);
    }

    fn open(&mut self, offset: u64) {
        self.wire.clear();
        let first = self.recorder.epoch == 0;
        let (epoch, next, resume) = self.recorder.open(offset);
        self.uplink.opened(epoch, next, Some(resume).filter(|_| !first), 40).unwrap();
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
        let (captured, missed) = (self.counted - self.missed as u32, self.missed);
        self.recorder.check(captured, missed);
        let status = self.uplink.status();
        assert_eq!(status.captured.get(), u64::from(captured));
        assert_eq!(status.acknowledged.get(), self.recorder.frames.len() as u64);
        assert_eq!(status.missed.get(), missed);
        assert_eq!(status.waiting(), FrameCount::ZERO);
    }
}

#[derive(Clone, Copy, Debug)]
enum Op {
    Capture(u32),
    Miss(u32),
    Send,
    Deliver,
    Sync(usize),
    Acknowledge,
    /// So many messages that were under way still arrive.
    BreakOff(usize),
    Crash,
    Open(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        8 => (1_u32..25).prop_map(Op::Capture),
        1 => (1_u32..25).prop_map(Op::Miss),
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
        for op in ops {
            match op {
                Op::Capture(frames) => world.capture(frames),
                Op::Miss(frames) => world.miss(frames),
                Op::Send => world.send(),
                Op::Deliver => world.deliver(),
                Op::Sync(part) => world.sync(part),
                Op::Acknowledge => world.acknowledge(),
                Op::BreakOff(delivered) => world.break_off(delivered),
                Op::Crash => {
                    world.break_off(0);
                    world.recorder.crash();
                }
                Op::Open(offset) => world.open(offset),
            }
        }
        world.finish();
    }
}

/// Messages as `first..end` of audio and `(at, lost)` of gaps.
fn sent(world: &mut World) -> Vec<String> {
    let mut out = Vec::new();
    while let Some(message) = world.uplink.next_to_send() {
        out.push(match &message {
            Outgoing::Append { first, pcm, .. } => format!("{}..{}", first, first.get() + pcm.len() as u64 / 4),
            Outgoing::Gap { at, lost, .. } => format!("gap {} at {at} {}", lost.frames, lost.reason.as_str()),
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
fn while_connected_only_what_was_not_sent_is_given_up() {
    let mut world = World::new(30);
    world.open(0);
    for _ in 0..2 {
        world.capture(10);
        world.send();
    }
    for _ in 0..3 {
        world.capture(10);
    }
    assert_eq!(sent(&mut world), ["gap 20 at 20 overflow", "20..30"]);
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
    let narrow = world.uplink.opened(Epoch(1), Frame::ZERO, None, 3);
    assert!(matches!(narrow, Err(UplinkError::Narrow { max: 3, frame: 4 })));
    world.open(0);
    world.capture(10);
    world.send();
    assert!(matches!(world.uplink.acknowledged(Durable(Frame::new(11))), Err(UplinkError::NeverSent { .. })));
    world.uplink.disconnected();
    // Somebody else has recorded far past what we sent.
    world.uplink.opened(Epoch(9), Frame::new(5_000), Some(Frame::new(5_000)), 40).unwrap();
    assert_eq!(sent(&mut world), ["5000..5010"]);
    let half = world.uplink.push(Chunk { time: WallTime::default(), pcm: Bytes::from_static(b"abc") });
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

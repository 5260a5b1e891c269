//! The decision by itself: what fits, what does not, and what the timeline learns.

use super::*;
use livetape_audio::{SampleFormat, TitleChange};
use proptest::prelude::*;

const A: Instance = Instance([1; 16]);
const B: Instance = Instance([2; 16]);
const DAY: Duration = Duration::from_secs(86_400);

fn spec() -> Spec {
    Spec::new(SampleFormat::S16, 8_000, 1).unwrap()
}

fn at(text: &str) -> WallTime {
    text.parse().unwrap()
}

fn noon() -> WallTime {
    at("2026-11-20T12:00:00Z")
}

fn seconds(n: u64) -> FrameCount {
    FrameCount::new(n * 8_000)
}

fn named(instance: Instance) -> (Instance, SourceName) {
    (instance, "test".parse().unwrap())
}

fn fresh(roll_after: Duration) -> Ingest {
    Ingest::new(spec(), roll_after, Epoch(1), named(A), Position::default())
}

fn source(frame: Frame, instance: Instance) -> Entry {
    Entry::Source(SourceChange { frame, source: named(instance).1, instance })
}

fn append(epoch: u64, first: Frame, frames: FrameCount, captured: WallTime) -> Message {
    Message::Append { epoch: Epoch(epoch), first, bytes: spec().bytes(frames), captured }
}

fn title(epoch: u64, at: Frame, title: &str) -> Message {
    Message::Title { epoch: Epoch(epoch), at, title: title.parse().unwrap() }
}

/// The source says what is playing from the next frame on.
fn say(ingest: &mut Ingest, text: &str) {
    let message = title(ingest.epoch().0, ingest.in_call(ingest.next()), text);
    assert_eq!(ingest.decide(message, noon()), Ok(Decision::Nothing));
}

fn titled(frame: u64, title: &str) -> Entry {
    Entry::Title(TitleChange { frame: Frame::new(frame), title: title.parse().unwrap() })
}

/// Appends that many seconds at the end, captured on time, and returns the entries.
fn go_on(ingest: &mut Ingest, n: u64, captured: WallTime) -> Vec<Entry> {
    let message = append(ingest.epoch().0, ingest.in_call(ingest.next()), seconds(n), captured);
    match ingest.decide(message, noon()) {
        Ok(Decision::Write { entries, .. }) => entries,
        other => panic!("{other:?}"),
    }
}

#[test]
fn the_first_frame_is_an_anchor_and_the_rest_is_silence() {
    let mut ingest = fresh(DAY);
    let anchor = Entry::Anchor(Anchor { frame: Frame::ZERO, time: noon() });
    assert_eq!(go_on(&mut ingest, 1, noon()), [source(Frame::ZERO, A), anchor]);
    assert_eq!(go_on(&mut ingest, 1, noon().later(Duration::from_millis(1_009))), [], "jitter is not drift");
    let drifted = noon().later(Duration::from_millis(2_010));
    assert_eq!(go_on(&mut ingest, 1, drifted), [Entry::Anchor(Anchor { frame: Frame::new(16_000), time: drifted })]);
}

#[test]
fn repeats_are_harmless_and_overlaps_are_cut() {
    let mut ingest = fresh(DAY);
    go_on(&mut ingest, 10, noon());
    assert_eq!(ingest.decide(append(1, Frame::ZERO, seconds(10), noon()), noon()), Ok(Decision::Nothing));
    let overlap = append(1, Frame::new(5 * 8_000), seconds(10), noon().later(Duration::from_secs(5)));
    let Ok(Decision::Write { skip, take, time, .. }) = ingest.decide(overlap, noon()) else { panic!() };
    assert_eq!((skip, take), (seconds(5), seconds(5)));
    assert_eq!(time, noon().later(Duration::from_secs(10)));
}

#[test]
fn what_does_not_fit_changes_nothing() {
    let mut ingest = fresh(DAY);
    go_on(&mut ingest, 1, noon());
    ingest.opened(Epoch(2), named(B));
    let next = ingest.next();
    let gap = |epoch, at| Message::Gap { epoch: Epoch(epoch), at, lost: None, reason: GapReason::Xrun };
    let beyond = next + FrameCount::new(1);
    let cases = [
        (append(1, next, seconds(1), noon()), Refusal::OldEpoch { got: Epoch(1), current: Epoch(2) }),
        (append(3, next, seconds(1), noon()), Refusal::UnknownEpoch { got: Epoch(3), current: Epoch(2) }),
        (append(2, beyond, seconds(1), noon()), Refusal::Hole { got: beyond, next }),
        (append(2, Frame::new(u64::MAX), seconds(1), noon()), Refusal::Hole { got: Frame::new(u64::MAX), next }),
        (
            Message::Append { epoch: Epoch(2), first: next, bytes: 3, captured: noon() },
            Refusal::HalfFrame { bytes: 3, frame_bytes: 2 },
        ),
        (gap(1, next), Refusal::OldEpoch { got: Epoch(1), current: Epoch(2) }),
        (gap(2, beyond), Refusal::Hole { got: beyond, next }),
        (gap(2, Frame::ZERO), Refusal::Past { got: Frame::ZERO, next }),
        (title(1, next, "x"), Refusal::OldEpoch { got: Epoch(1), current: Epoch(2) }),
        (title(2, beyond, "x"), Refusal::Hole { got: beyond, next }),
        (Message::End { epoch: Epoch(2), at: Frame::ZERO }, Refusal::Past { got: Frame::ZERO, next }),
    ];
    for (message, refusal) in cases {
        assert_eq!(ingest.decide(message, noon()), Err(refusal));
        assert_eq!(ingest.next(), next);
    }
    assert_eq!(ingest.decide(Message::End { epoch: Epoch(2), at: next }, noon()), Ok(Decision::Seal));
}

#[test]
fn a_source_that_lost_its_memory_leaves_one_gap() {
    let mut ingest = fresh(DAY);
    go_on(&mut ingest, 10, noon());
    ingest.opened(Epoch(2), named(A));
    assert_eq!(go_on(&mut ingest, 1, noon().later(Duration::from_secs(10))), [], "it came back with everything");
    // The new source may come and go as it likes before its first frame.
    for epoch in 3..6 {
        ingest.opened(Epoch(epoch), named(B));
    }
    let (at, to) = (ingest.next(), noon().later(Duration::from_secs(60)));
    let from = noon().later(Duration::from_secs(11));
    let gap = Entry::Gap(Gap { at, lost: None, from, to, reason: GapReason::SourceRestarted });
    assert_eq!(go_on(&mut ingest, 1, to), [source(at, B), gap]);
    ingest.opened(Epoch(6), named(B));
    assert_eq!(go_on(&mut ingest, 1, to.later(Duration::from_secs(1))), []);
}

#[test]
fn a_new_source_that_knows_what_is_missing_is_believed() {
    let mut ingest = fresh(DAY);
    go_on(&mut ingest, 10, noon());
    ingest.opened(Epoch(2), named(B));
    let (at, lost) = (ingest.next(), Some(FrameCount::new(77)));
    ingest.decide(Message::Gap { epoch: Epoch(2), at, lost, reason: GapReason::Overflow }, noon()).unwrap();
    let entries = go_on(&mut ingest, 1, noon().later(Duration::from_secs(60)));
    assert!(matches!(entries.as_slice(), [Entry::Source(_), Entry::Gap(gap)] if gap.lost == lost));
}

#[test]
fn a_gap_that_no_frame_followed_is_announced_again_and_counted_once() {
    let mut ingest = fresh(DAY);
    go_on(&mut ingest, 1, noon());
    let (at, lost) = (ingest.next(), Some(FrameCount::new(5)));
    for epoch in 2..5 {
        ingest.opened(Epoch(epoch), named(A));
        ingest.decide(Message::Gap { epoch: Epoch(epoch), at, lost, reason: GapReason::Xrun }, noon()).unwrap();
    }
    let entries = go_on(&mut ingest, 1, noon().later(Duration::from_secs(2)));
    assert!(matches!(entries.as_slice(), [Entry::Gap(gap)] if gap.lost == lost));
}

#[test]
fn after_a_crash_the_timeline_tells_whose_the_last_frame_is() {
    let mut timeline = Timeline::new(spec());
    let durable = Durable(Frame::new(8_000));
    for entry in [source(Frame::ZERO, A), Entry::Anchor(Anchor { frame: Frame::ZERO, time: noon() })] {
        timeline.push(entry).unwrap();
    }
    // Written with frames that the crash took.
    timeline.push(source(durable.end(), B)).unwrap();
    let position = Position::of(&timeline, durable);
    assert_eq!((position.next, position.writer), (durable.end(), Some(A)));
    for (instance, gaps) in [(A, 0), (B, 1)] {
        let mut ingest = Ingest::new(spec(), DAY, Epoch(1), named(B), position.clone());
        ingest.opened(Epoch(2), named(instance));
        let entries = go_on(&mut ingest, 1, noon().later(Duration::from_secs(1)));
        assert_eq!(entries.iter().filter(|e| matches!(e, Entry::Gap(_))).count(), gaps);
    }
}

#[test]
fn gaps_at_one_frame_are_one_gap() {
    let mut ingest = fresh(DAY);
    go_on(&mut ingest, 1, noon());
    for lost in [100, 23] {
        let at = ingest.next();
        let gap = Message::Gap { epoch: Epoch(1), at, lost: Some(FrameCount::new(lost)), reason: GapReason::Xrun };
        assert_eq!(ingest.decide(gap, noon()), Ok(Decision::Nothing));
    }
    let entries = go_on(&mut ingest, 1, noon().later(Duration::from_secs(2)));
    let [Entry::Gap(gap)] = entries.as_slice() else { panic!("{entries:?}") };
    assert_eq!((gap.lost, gap.reason), (Some(FrameCount::new(123)), GapReason::Xrun));
}

#[test]
fn a_restart_is_the_reason_whatever_is_said_again_with_it() {
    use GapReason::{Overflow, SourceRestarted, Xrun};
    for (reasons, reason) in [
        ([Xrun, SourceRestarted], SourceRestarted),
        ([SourceRestarted, Xrun], SourceRestarted),
        ([Xrun, Overflow], GapReason::Other),
    ] {
        let mut ingest = fresh(DAY);
        go_on(&mut ingest, 1, noon());
        for reason in reasons {
            let (at, lost) = (ingest.next(), (reason != SourceRestarted).then_some(FrameCount::new(8)));
            ingest.decide(Message::Gap { epoch: Epoch(1), at, lost, reason }, noon()).unwrap();
        }
        let entries = go_on(&mut ingest, 1, noon().later(Duration::from_secs(2)));
        let [Entry::Gap(gap)] = entries.as_slice() else { panic!("{entries:?}") };
        assert_eq!(gap.reason, reason, "{reasons:?}");
        assert_eq!(gap.lost.is_none(), reason == SourceRestarted, "how much a restart has cost is not known");
    }
}

#[test]
fn a_clock_that_is_set_is_an_event_and_cuts_nothing() {
    for step in [3_600_i64, -3_600] {
        let mut ingest = fresh(DAY);
        go_on(&mut ingest, 1, noon());
        let time = WallTime::from_unix_nanos(noon().unix_nanos() + (1 + step) * 1_000_000_000);
        let entries = go_on(&mut ingest, 1, time);
        let frame = Frame::new(8_000);
        let [Entry::Event(event), Entry::Anchor(anchor)] = entries.as_slice() else { panic!("{entries:?}") };
        assert_eq!((event.kind, event.frame), (EventKind::ClockStep, frame));
        assert_eq!(*anchor, Anchor { frame, time });
        assert_eq!(go_on(&mut ingest, 1, time.later(Duration::from_secs(1))), []);
    }
}

#[test]
fn a_trembling_clock_cannot_flood_the_timeline() {
    let mut ingest = fresh(DAY);
    let mut entries = 0;
    for chunk in 0..5_000_u64 {
        let first = ingest.next();
        let wrong = Duration::from_secs(chunk % 2 * 1_000);
        let message = append(1, first, FrameCount::new(160), noon().later(wrong));
        let Ok(Decision::Write { entries: new, .. }) = ingest.decide(message, noon()) else { panic!() };
        entries += new.len();
    }
    // Distances of 0.2, 0.4, … 6.4 s, then 10 s.
    assert!(entries <= 2 * (6 + 10) + 2, "{entries} entries in 100 seconds");
}

/// Feeds whole seconds until the recording ends, and tells after how many frames and why.
fn until_sealed(ingest: &mut Ingest, from: WallTime) -> (FrameCount, SealReason) {
    for second in 0_u64.. {
        let captured = from.later(Duration::from_secs(second));
        let message = append(1, ingest.in_call(ingest.next()), seconds(1), captured);
        match ingest.decide(message, noon()).unwrap() {
            Decision::Write { then: Some(reason), .. } => return (ingest.next().since(Frame::ZERO), reason),
            Decision::Write { .. } => {}
            other => panic!("{other:?}"),
        }
    }
    unreachable!()
}

#[test]
fn rolls_at_the_first_midnight_after_it_is_long_enough_to_the_frame() {
    let start = at("2026-11-20T23:59:50.5001Z");
    let mut ingest = fresh(Duration::from_secs(3));
    // 9.4999 s to midnight; the first frame at or after it is number 75999.2 -> 76000.
    assert_eq!(until_sealed(&mut ingest, start), (FrameCount::new(76_000), SealReason::Rolled));
    ingest.rolled();
    let rest = append(1, Frame::new(72_000), seconds(1), start.later(Duration::from_secs(9)));
    let Ok(Decision::Write { entries, skip, take, time, then: None }) = ingest.decide(rest, noon()) else { panic!() };
    assert_eq!((skip, take), (FrameCount::new(4_000), FrameCount::new(4_000)));
    assert_eq!(entries, [source(Frame::ZERO, A), Entry::Anchor(Anchor { frame: Frame::ZERO, time })]);
    assert_eq!(time, at("2026-11-21T00:00:00.0001Z"));
    assert_eq!(ingest.in_call(ingest.next()), Frame::new(80_000), "the numbering of the call goes on");
}

#[test]
fn too_short_at_midnight_waits_for_the_next_one() {
    let mut ingest = fresh(Duration::from_secs(20));
    let (frames, _) = until_sealed(&mut ingest, at("2026-11-20T23:59:50Z"));
    assert_eq!(frames, seconds(86_410));
}

#[test]
fn a_gap_over_midnight_stands_before_the_first_frame_of_the_next() {
    let mut ingest = fresh(Duration::from_secs(3));
    go_on(&mut ingest, 5, at("2026-11-20T23:59:50Z"));
    ingest.opened(Epoch(1), named(B));
    let to = at("2026-11-21T00:10:00Z");
    let late = append(1, ingest.next(), seconds(1), to);
    let Ok(Decision::Write { entries, take, then, .. }) = ingest.decide(late, noon()) else { panic!() };
    assert_eq!((entries, take, then), (vec![], FrameCount::ZERO, Some(SealReason::Rolled)));
    // Also if the process ended between the two recordings.
    let restarted = Ingest::new(spec(), DAY, Epoch(1), named(B), ingest.position().continued());
    ingest.rolled();
    for (mut ingest, first) in [(ingest, seconds(5)), (restarted, FrameCount::ZERO)] {
        let message = append(1, Frame::ZERO + first, seconds(1), to);
        let Ok(Decision::Write { entries, take, then: None, .. }) = ingest.decide(message, noon()) else { panic!() };
        assert_eq!(take, seconds(1));
        let gap = Gap {
            at: Frame::ZERO,
            lost: None,
            from: at("2026-11-20T23:59:55Z"),
            to,
            reason: GapReason::SourceRestarted,
        };
        assert_eq!(entries, [source(Frame::ZERO, B), Entry::Gap(gap)]);
    }
}

#[test]
fn never_reaches_the_largest_size() {
    let position = Position {
        title: Title::default(),
        next: Frame::new((1 << 38) - 10),
        anchor: Some(Anchor { frame: Frame::new((1 << 38) - 20), time: noon() }),
        writer: Some(A),
        due: None,
    };
    let mut ingest = Ingest::new(spec(), Duration::MAX, Epoch(1), named(A), position.clone());
    let message = append(1, position.next, seconds(1), noon());
    let Ok(Decision::Write { take, then, .. }) = ingest.decide(message, noon()) else { panic!() };
    assert_eq!((take, then), (FrameCount::new(10), Some(SealReason::SizeLimit)));
}

#[test]
fn a_recording_from_midnight_on_with_no_length_to_wait_for_rolls_a_day_later() {
    let mut ingest = fresh(Duration::ZERO);
    assert_eq!(until_sealed(&mut ingest, at("2026-11-20T00:00:00Z")).0, seconds(86_400));
}

/// What two sources do to one stream.
#[derive(Clone, Debug)]
enum Deed {
    Open(bool),
    /// Sends `frames` that begin `back` before the next one (late or repeated) or after a hole.
    Append {
        of: bool,
        back: i8,
        frames: u8,
    },
    Gap {
        of: bool,
        at: i8,
    },
    /// The disk loses what was not durable.
    Rewind(u8),
}

fn deeds() -> impl Strategy<Value = Vec<Deed>> {
    let deed = prop_oneof![
        1 => any::<bool>().prop_map(Deed::Open),
        8 => (any::<bool>(), -3..20_i8, 0..30_u8).prop_map(|(of, back, frames)| Deed::Append { of, back, frames }),
        1 => (any::<bool>(), -2..3_i8).prop_map(|(of, at)| Deed::Gap { of, at }),
        1 => (0..10_u8).prop_map(Deed::Rewind),
    ];
    prop::collection::vec(deed, 1..200)
}

proptest! {
    /// Whatever is lost, late, repeated or reordered by two sources: each frame is written once, in order, by the source
    /// that holds the epoch, and nothing is written past a hole.
    #[test]
    fn two_sources_and_a_bad_network(deeds in deeds()) {
        let mut ingest = fresh(DAY);
        let (mut epoch_a, mut epoch_b) = (1, 0);
        let mut written = 0_u64; // the model: how many frames are written
        for deed in deeds {
            let epoch = |of| if of { epoch_a } else { epoch_b };
            match deed {
                Deed::Open(a) => {
                    let epoch = ingest.epoch().next();
                    ingest.opened(epoch, named(if a { A } else { B }));
                    if a { epoch_a = epoch.0 } else { epoch_b = epoch.0 }
                }
                Deed::Append { of, back, frames } => {
                    let first = written.saturating_add_signed(-i64::from(back));
                    let message = append(epoch(of), Frame::new(first), FrameCount::new(frames.into()), noon());
                    let may = epoch(of) == ingest.epoch().0;
                    match ingest.decide(message, noon()) {
                        Ok(Decision::Write { skip, take, then, .. }) => {
                            prop_assert!(may && first <= written && then.is_none());
                            prop_assert_eq!(first + skip.get(), written, "in order, once");
                            prop_assert_eq!(skip.get() + take.get(), u64::from(frames), "all of it");
                            written += take.get();
                        }
                        Ok(Decision::Nothing) => prop_assert!(may && first + u64::from(frames) <= written),
                        Ok(Decision::Seal) => prop_assert!(false, "nobody said so"),
                        Err(Refusal::Hole { .. }) => prop_assert!(may && first > written),
                        Err(_) => prop_assert!(!may),
                    }
                }
                Deed::Gap { of, at } => {
                    let at = Frame::new(written.saturating_add_signed(at.into()));
                    let gap = Message::Gap { epoch: Epoch(epoch(of)), at, lost: None, reason: GapReason::Xrun };
                    let fits = epoch(of) == ingest.epoch().0 && at.get() == written;
                    prop_assert_eq!(ingest.decide(gap, noon()).is_ok(), fits);
                }
                Deed::Rewind(lost) => {
                    written = written.saturating_sub(lost.into());
                    let anchor = (written > 0).then_some(Anchor { frame: Frame::ZERO, time: noon() });
                    let position = Position { next: Frame::new(written), anchor, writer: Some(A), due: None, title: Title::default() };
                    ingest.rewound(position);
                }
            }
            prop_assert_eq!(ingest.next().get(), written);
        }
    }
}

/// Appends one second at a time, on time, and returns the titles of all entries.
fn titles(ingest: &mut Ingest, seconds: u64) -> Vec<Entry> {
    let titles = (0..seconds).flat_map(|_| {
        let time = noon().after_frames(ingest.next().since(Frame::ZERO), spec());
        go_on(ingest, 1, time)
    });
    titles.filter(|entry| matches!(entry, Entry::Title(_))).collect()
}

#[test]
fn a_title_stands_at_its_frame_and_repeats_are_harmless() {
    let mut ingest = fresh(DAY);
    say(&mut ingest, "One");
    assert_eq!(titles(&mut ingest, 2), [titled(0, "One")]);
    say(&mut ingest, "One");
    assert_eq!(titles(&mut ingest, 1), []);
    say(&mut ingest, "nobody hears this");
    say(&mut ingest, "Two");
    assert_eq!(titles(&mut ingest, 1), [titled(24_000, "Two")]);
    let past = title(1, Frame::new(8_000), "One");
    assert_eq!(ingest.decide(past, noon()), Ok(Decision::Nothing));
    assert_eq!(titles(&mut ingest, 1), [], "what is said of recorded frames was said before");
    ingest.opened(Epoch(2), named(A));
    assert_eq!(titles(&mut ingest, 1), [], "the same source comes back");
    ingest.opened(Epoch(3), named(B));
    assert_eq!(titles(&mut ingest, 1), [titled(48_000, "")], "another one has not said anything");
}

#[test]
fn titles_keep_their_distance() {
    let mut ingest = fresh(DAY);
    let mut entries = Vec::new();
    for n in 0..100 {
        say(&mut ingest, &format!("title {n}"));
        let time = noon().after_frames(ingest.next().since(Frame::ZERO), spec());
        let message = append(1, ingest.next(), FrameCount::new(800), time);
        let Ok(Decision::Write { entries: new, .. }) = ingest.decide(message, noon()) else { panic!() };
        entries.extend(new.into_iter().filter(|entry| matches!(entry, Entry::Title(_))));
    }
    let expected: Vec<_> = (0..10).map(|n| titled(n * 8_000, &format!("title {}", n * 10))).collect();
    assert_eq!(entries, expected);
    assert_eq!(titles(&mut ingest, 1), [titled(80_000, "title 99")], "the last one counts");
}

#[test]
fn a_title_does_not_go_on_in_the_recording_of_another_source() {
    for (holder, goes_on) in [(A, true), (B, false)] {
        let mut before = fresh(DAY);
        say(&mut before, "One");
        titles(&mut before, 1);
        let mut after = fresh(DAY);
        after.goes_on_after(before.position(), holder);
        let expected = if goes_on { vec![titled(0, "One")] } else { vec![] };
        assert_eq!(titles(&mut after, 1), expected, "of {holder:?}");
    }
}

#[test]
fn a_title_goes_on_in_the_next_recording_and_after_a_restart() {
    let mut ingest = fresh(DAY);
    say(&mut ingest, "One");
    titles(&mut ingest, 1);
    ingest.rolled();
    assert_eq!(titles(&mut ingest, 1), [titled(0, "One")]);

    let mut timeline = Timeline::new(spec());
    timeline.push(Entry::Anchor(Anchor { frame: Frame::ZERO, time: noon() })).unwrap();
    timeline.push(titled(0, "One")).unwrap();
    timeline.push(titled(8_000, "Two")).unwrap();
    let resumed = |durable| {
        let position = Position::of(&timeline, Durable(Frame::new(durable)));
        Ingest::new(spec(), DAY, Epoch(2), named(A), position)
    };
    let mut ingest = resumed(8_000);
    say(&mut ingest, "Two");
    assert_eq!(titles(&mut ingest, 1), [], "it stands there, though its frame was not durable");
    let mut ingest = resumed(4_000);
    say(&mut ingest, "Two");
    assert_eq!(titles(&mut ingest, 1), [titled(4_000, "Two")]);
}

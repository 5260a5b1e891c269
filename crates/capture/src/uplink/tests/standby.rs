//! Recording on demand: what is captured while nobody wants it leaves nothing behind.

use super::*;

fn frames(n: u64) -> FrameCount {
    FrameCount::new(n)
}

/// Counted frames from `first` on.
fn chunk(first: u32, n: u32) -> Chunk {
    let pcm: Vec<u8> = (first..first + n).flat_map(u32::to_le_bytes).collect();
    Chunk { time: WallTime::default().after_frames(frames(u64::from(first)), spec()), pcm: pcm.into() }
}

fn opened(uplink: &mut Uplink, epoch: u64) {
    uplink.opened(Epoch(epoch), recording(), Frame::ZERO, None, 1 << 20).unwrap();
}

/// Everything that it has to send: epochs, numbers, and what each frame counted.
fn sent(uplink: &mut Uplink) -> Vec<(u64, u64, Vec<u32>)> {
    let mut all = Vec::new();
    while let Some(message) = uplink.next_to_send() {
        let Outgoing::Append { epoch, first, pcm, .. } = message else { panic!("{message:?}") };
        let counted = pcm.chunks(4).map(|f| u32::from_le_bytes(f.try_into().unwrap())).collect();
        all.push((epoch.0, first.get(), counted));
    }
    all
}

#[test]
fn the_first_frame_is_the_first_after_the_beginning() {
    let (mut uplink, now) = (Uplink::new(spec(), 1 << 20), Instant::now());
    uplink.stand_by();
    uplink.push(chunk(0, 3), now).unwrap();
    assert!(uplink.next_to_send().is_none() && !uplink.awaits_answer() && uplink.held() == 0);
    let status = uplink.status();
    assert!(status.connected && status.standing_by);
    assert_eq!((status.captured, status.unwanted, status.waiting()), (frames(3), frames(3), frames(0)));

    opened(&mut uplink, 1);
    uplink.push(chunk(3, 2), now).unwrap();
    assert_eq!(sent(&mut uplink), [(1, 0, vec![3, 4])]);
    assert!(uplink.acknowledged(Durable(Frame::new(1))).unwrap());

    // Sealed while one frame was under way, one more waited, and something was missed before it.
    uplink.gap(Lost { frames: frames(9), reason: GapReason::Xrun });
    uplink.push(chunk(14, 1), now).unwrap();
    uplink.stand_by();
    uplink.gap(Lost { frames: frames(9), reason: GapReason::Xrun });
    uplink.push(chunk(24, 1), now).unwrap();
    let status = uplink.status();
    assert_eq!((status.acknowledged, status.unwanted, status.given_up), (frames(1), frames(6), frames(0)));
    assert_eq!((status.waiting(), status.missed), (frames(0), frames(18)));
    opened(&mut uplink, 2);
    uplink.push(chunk(25, 1), now).unwrap();
    assert_eq!(sent(&mut uplink), [(2, 0, vec![25])], "no gap either: the recording begins here");
    assert!(uplink.acknowledged(Durable(Frame::new(1))).unwrap());
    assert!(!uplink.status().standing_by && uplink.is_settled());
}

#[test]
fn what_is_playing_is_said_when_it_begins() {
    let (mut uplink, now) = (Uplink::new(spec(), 1 << 20), Instant::now());
    uplink.title("old".parse().unwrap());
    uplink.stand_by();
    uplink.title("new".parse().unwrap());
    uplink.push(chunk(0, 3), now).unwrap();
    opened(&mut uplink, 1);
    uplink.push(chunk(3, 2), now).unwrap();
    let title = uplink.next_to_send().unwrap();
    let Outgoing::Title { at, title, .. } = title else { panic!("{title:?}") };
    assert_eq!((at, title.as_str()), (Frame::ZERO, "new"));
    assert_eq!(sent(&mut uplink), [(1, 0, vec![3, 4])], "once");
}

#[test]
fn nothing_stays_in_the_spool() {
    let mut world = World::spooled(1_000);
    let (uplink, now) = (&mut world.uplink, Instant::now());
    opened(uplink, 1);
    uplink.disconnected();
    uplink.push(chunk(0, 200), now).unwrap();
    assert_eq!(uplink.status().spooled, frames(200));
    // Sealed by somebody while the source could not be reached.
    uplink.stand_by();
    uplink.disconnected();
    uplink.push(chunk(200, 200), now).unwrap();
    assert_eq!(uplink.status().spooled, frames(0));
    assert!(!uplink.status().connected && uplink.status().standing_by);
    world.uplink = Uplink::new(spec(), 1); // lets go of its folder
    world.start();
    assert_eq!(world.uplink.status().waiting(), frames(0), "nor for a process after this one");
}

#[test]
fn a_gap_at_the_very_end_is_let_go_with_all_that_was_before_it() {
    let mut world = World::spooled(1_000);
    let (uplink, now) = (&mut world.uplink, Instant::now());
    opened(uplink, 1);
    uplink.push(chunk(0, 200), now).unwrap();
    uplink.disconnected();
    // It stands before a frame that comes when nobody wants it.
    uplink.gap(Lost { frames: frames(7), reason: GapReason::Xrun });
    uplink.stand_by();
    world.uplink = Uplink::new(spec(), 1); // lets go of its folder
    world.start();
    opened(&mut world.uplink, 2);
    let said: Vec<_> = std::iter::from_fn(|| world.uplink.next_to_send()).collect();
    let known = said.iter().any(|message| matches!(message, Outgoing::Gap { frames: Some(_), .. }));
    assert!(!known, "a gap of a recording that is over: {said:?}");
}

#[test]
fn a_source_that_ends_while_nobody_wants_it_is_done() {
    let mut uplink = Uplink::new(spec(), 1 << 20);
    uplink.stand_by();
    assert!(!uplink.is_over());
    uplink.end();
    assert!(uplink.is_over() && uplink.next_to_send().is_none());
    // In the other order, as when it is sealed in the same moment.
    let mut uplink = Uplink::new(spec(), 1 << 20);
    opened(&mut uplink, 1);
    uplink.end();
    assert!(!uplink.is_over() && uplink.has_to_send());
    uplink.stand_by();
    assert!(uplink.is_over() && !uplink.has_to_send());
}

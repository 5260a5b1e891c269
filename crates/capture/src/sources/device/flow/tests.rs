use super::*;
use livetape_audio::Frame;
use livetape_testkit::counting;

const RATE: u32 = 48_000;
const BLOCK: u64 = 960;

/// A card that counts what it captures, and both clocks.
struct World {
    flow: Flow,
    start: std::time::Instant,
    /// Frames that the card has captured since the start, lost ones too.
    captured: u64,
    slept: Duration,
}

impl World {
    fn new() -> Self {
        let start = std::time::Instant::now();
        let spec = counting::spec(RATE).unwrap();
        let now = Reading { mono: Instant::from_std(start), wall: WallTime::from_unix_nanos(1_000_000_000_000) };
        let flow = Flow::new(spec, cpal::SampleFormat::I16, now, Duration::ZERO).unwrap();
        Self { flow, start, captured: 0, slept: Duration::ZERO }
    }

    fn after(&self, frames: u64) -> std::time::Instant {
        self.start + Duration::from_nanos(frames * 1_000_000_000 / u64::from(RATE))
    }

    fn observe(&mut self) {
        let mono = Instant::from_std(self.after(self.captured));
        let wall = WallTime::from_unix_nanos(1_000_000_000_000).later(mono.into_std() - self.start + self.slept);
        self.flow.observe(Reading { mono, wall }, self.slept);
    }

    /// The next block, seen `late` after its end.
    fn block_of(&mut self, frames: u64, dropped: u64, late: Duration) {
        self.captured += dropped;
        let pcm = counting::encode(Frame::new(self.captured), FrameCount::new(frames));
        self.captured += frames;
        let mark = Mark {
            at: self.after(self.captured) + late,
            latency: Duration::ZERO,
            frames: FrameCount::new(frames),
            dropped: FrameCount::new(dropped),
        };
        self.observe();
        self.flow.block(mark, pcm);
    }

    fn blocks(&mut self, n: u64) {
        (0..n).for_each(|k| self.block_of(BLOCK, 0, Duration::from_micros(100 + k % 7 * 300)));
    }

    /// What has come out, with each chunk checked against the card's numbers: chunks as frames, gaps as (frames, reason).
    fn out(&mut self) -> Vec<Result<u64, (u64, GapReason)>> {
        std::iter::from_fn(|| self.flow.next())
            .map(|piece| match piece {
                Piece::Audio(Chunk { time, pcm }) => {
                    let first = u64::from(u32::from_le_bytes(pcm[..4].try_into().unwrap()));
                    counting::verify(&pcm, Frame::new(first)).unwrap();
                    let truth = WallTime::from_unix_nanos(1_000_000_000_000)
                        .later(Duration::from_nanos(first * 1_000_000_000 / u64::from(RATE)) + self.slept);
                    assert!(time.distance(truth) < Duration::from_millis(10), "{time} {truth}");
                    Ok(pcm.len() as u64 / 4)
                }
                Piece::Gap(lost) => Err((lost.frames.get(), lost.reason)),
                other => panic!("{other:?}"),
            })
            .collect()
    }
}

fn gaps(out: &[Result<u64, (u64, GapReason)>]) -> Vec<(u64, GapReason)> {
    out.iter().filter_map(|piece| piece.err()).collect()
}

fn frames(out: &[Result<u64, (u64, GapReason)>]) -> u64 {
    out.iter().filter_map(|piece| piece.ok()).sum()
}

#[test]
fn blocks_of_any_length_become_pieces_of_20_ms() {
    let mut world = World::new();
    for frames in [1, 11_000, 959, 2, 960, 4_799, 7] {
        world.block_of(frames, 0, Duration::ZERO);
    }
    let out = world.out();
    assert!(out.iter().all(|&piece| piece == Ok(960)), "{out:?}");
    assert_eq!(frames(&out), 17_728 / 960 * 960);
    world.flow.trouble(GapReason::Xrun);
    assert_eq!(world.out(), [Ok(17_728 % 960)], "what was captured before is not held back");
}

#[test]
fn what_an_overrun_has_cost_is_measured_by_the_clock() {
    let mut world = World::new();
    world.blocks(200);
    let before = frames(&world.out());
    for (lost, reason) in [(4_800, GapReason::Xrun), (480_000, GapReason::DeviceAway), (0, GapReason::DeviceChanged)] {
        world.flow.trouble(reason);
        assert!(!world.flow.is_settled());
        world.captured += lost;
        world.blocks(3);
        assert_eq!(world.out(), [], "one block may be seen late: they wait for each other");
        world.blocks(47);
        assert!(world.flow.is_settled());
        let out = world.out();
        let [(measured, said)] = gaps(&out)[..] else { panic!("{out:?}") };
        assert_eq!(said, reason);
        assert!(measured.abs_diff(lost) < 48, "{measured} of {lost}: within a millisecond");
        assert_eq!(frames(&out), 48_000);
    }
    assert_eq!(before, 192_000);
}

#[test]
fn one_absence_is_one_gap() {
    let mut world = World::new();
    world.blocks(100);
    world.out();
    world.flow.trouble(GapReason::Xrun);
    world.flow.trouble(GapReason::DeviceAway);
    world.captured += 96_000;
    world.blocks(50);
    let [(lost, GapReason::DeviceAway)] = gaps(&world.out())[..] else { panic!() };
    assert!(lost.abs_diff(96_000) < 48, "{lost}");
    // It fails again before it has settled: what came in between is kept, between two gaps.
    world.flow.trouble(GapReason::DeviceAway);
    world.captured += 48_000;
    world.blocks(2);
    world.flow.trouble(GapReason::DeviceAway);
    world.captured += 24_000;
    world.blocks(50);
    let out = world.out();
    assert_eq!((gaps(&out).len(), frames(&out)), (2, 52 * 960), "{out:?}");
}

#[test]
fn a_machine_that_slept_missed_what_its_clocks_say() {
    let mut world = World::new();
    world.blocks(100);
    world.out();
    // No driver says anything, and the monotonic clock stood still.
    world.slept += Duration::from_secs(3_600);
    world.observe();
    // Hosts complain afterwards.
    world.flow.trouble(GapReason::DeviceAway);
    world.blocks(100);
    let out = world.out();
    let [(lost, GapReason::Suspended)] = gaps(&out)[..] else { panic!("{out:?}") };
    assert!(lost.abs_diff(3_600 * u64::from(RATE)) < 48, "{lost}");
}

#[test]
fn what_was_dropped_here_is_known_to_the_frame() {
    let mut world = World::new();
    world.blocks(99);
    world.block_of(500, 0, Duration::ZERO);
    world.out();
    world.block_of(BLOCK, 12_345, Duration::ZERO);
    world.blocks(100);
    let out = world.out();
    assert_eq!(out[0], Ok(500), "what was there before");
    assert_eq!(out[1], Err((12_345, GapReason::Xrun)));
    assert_eq!((gaps(&out).len(), frames(&out)), (1, 500 + 101 * 960));
}

#[test]
fn what_nobody_says_is_noticed() {
    let mut world = World::new();
    world.blocks(500);
    world.out();
    world.captured += 24_000;
    (0..500).for_each(|_| world.block_of(BLOCK, 0, Duration::from_micros(200)));
    let pieces: Vec<Piece> = std::iter::from_fn(|| world.flow.next()).collect();
    let gaps: Vec<&Lost> =
        pieces.iter().filter_map(|p| if let Piece::Gap(lost) = p { Some(lost) } else { None }).collect();
    let [lost] = gaps[..] else { panic!("{gaps:?}") };
    assert!(lost.frames.get().abs_diff(24_000) < 96, "{lost:?}");
}

/// What is told, in seconds, of a card that loses so many seconds every `every` seconds, or whose way to here becomes so many
/// seconds slower, and faster again, for `minutes`.
fn told(every: u64, minutes: u64, loses: f64, slower: f64) -> Vec<f64> {
    let spec = Spec::new(livetape_audio::SampleFormat::S16, 8_000, 1).unwrap();
    let start = std::time::Instant::now();
    let wall = |mono: std::time::Instant| WallTime::from_unix_nanos(1_000_000_000_000).later(mono - start);
    let reading = |mono| Reading { mono: Instant::from_std(mono), wall: wall(mono) };
    let mut flow = Flow::new(spec, cpal::SampleFormat::I16, reading(start), Duration::ZERO).unwrap();
    // Each block is seen late by something else, besides.
    let mut random = crate::random::Random::new(every);
    let (mut captured, mut way, mut gaps) = (0.0, 0.0, Vec::new());
    for block in 0..minutes * 60 * 20 {
        if block > 120 * 20 && block % (every * 20) == 0 {
            captured += loses;
            way = slower - way;
        }
        captured += 0.05;
        let at = start + Duration::from_secs_f64(captured + way + random.unit() * 0.004);
        flow.observe(reading(at), Duration::ZERO);
        let mark = Mark { at, latency: Duration::ZERO, frames: FrameCount::new(400), dropped: FrameCount::ZERO };
        flow.block(mark, vec![0; 800]);
        gaps.extend(std::iter::from_fn(|| flow.next()).filter_map(|piece| match piece {
            Piece::Gap(lost) => Some(spec.duration(lost.frames).as_secs_f64()),
            _ => None,
        }));
    }
    gaps
}

#[test]
fn small_losses_are_told_together_and_a_slower_way_is_none() {
    // 50 ms every ten seconds, as a sound server on a busy machine: 347 losses in an hour.
    let gaps = told(10, 60, 0.05, 0.0);
    let (sum, lost) = (gaps.iter().sum::<f64>(), 347.0 * 0.05);
    assert!((lost - 0.3..lost + 0.1).contains(&sum), "{sum} s of {lost} s in {} gaps", gaps.len());
    assert!(gaps.iter().all(|gap| (0.1..0.2).contains(gap)), "{gaps:?}");
    // 60 ms slower, and faster again, every half minute.
    assert_eq!(told(30, 60, 0.0, 0.06), [0.0; 0]);
}

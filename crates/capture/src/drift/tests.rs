use super::*;
use crate::random::Random;
use livetape_audio::SampleFormat;
use proptest::prelude::*;

const BLOCK: u64 = 960;
const NONE: Duration = Duration::ZERO;

/// A card that is `ppm` fast, and a machine that looks late: mostly a little, at times a lot.
struct Card {
    spec: Spec,
    start: Instant,
    ppm: f64,
    random: Random,
    frames: u64,
    /// Frames that it lost.
    lost: u64,
}

impl Card {
    fn new(ppm: f64) -> Self {
        let spec = Spec::new(SampleFormat::S16, 48_000, 2).unwrap();
        Self { spec, start: Instant::now(), ppm, random: Random::new(3), frames: 0, lost: 0 }
    }

    /// When the card had captured so many frames.
    fn truth(&self, frames: u64) -> Instant {
        self.start + Duration::from_secs_f64((frames + self.lost) as f64 / 48_000.0 / (1.0 + self.ppm * 1e-6))
    }

    fn lateness(&mut self) -> f64 {
        let (usual, rare) = (self.random.unit(), self.random.unit());
        0.000_2 - 0.002 * (1.0 - usual).ln() + if rare > 0.99 { 0.045 * self.random.unit() } else { 0.0 }
    }

    /// The next block, and when it is seen.
    fn block(&mut self) -> Instant {
        self.frames += BLOCK;
        let late = self.lateness();
        self.truth(self.frames) + Duration::from_secs_f64(late)
    }
}

fn error(clock: &CardClock, card: &Card) -> f64 {
    let (told, truth) = (clock.at(clock.counted()).unwrap(), card.truth(card.frames));
    told.saturating_duration_since(truth).as_secs_f64() - truth.saturating_duration_since(told).as_secs_f64()
}

#[test]
fn the_rate_of_a_card_is_found_through_the_jitter() {
    for ppm in [-300.0, -100.0, 0.0, 100.0, 300.0] {
        let mut card = Card::new(ppm);
        let mut clock = CardClock::new(card.spec);
        for n in 0..50 * 1_800 {
            let at = card.block();
            assert_eq!(clock.arrived(FrameCount::new(BLOCK), at, NONE), None, "at {ppm} ppm, block {n}");
            let off = error(&clock, &card);
            let most = if n < 500 { 0.02 } else { 0.006 };
            assert!(off.abs() < most, "{off} s at {ppm} ppm, block {n}");
        }
        let found = clock.drift().unwrap();
        assert!((found.ppm() - ppm).abs() < 2.0, "{found} instead of {ppm} ppm");
        let off = error(&clock, &card);
        assert!(off.abs() < 0.001, "{off} s at {ppm} ppm after half an hour");
    }
}

#[test]
fn nothing_is_known_before_anything_came() {
    let clock = CardClock::new(Card::new(0.0).spec);
    assert_eq!((clock.at(FrameCount::ZERO), clock.drift()), (None, None));
}

#[test]
fn frames_that_were_lost_in_silence_are_missed() {
    let mut card = Card::new(50.0);
    let mut clock = CardClock::new(card.spec);
    for _ in 0..50 * 200 {
        let at = card.block();
        clock.arrived(FrameCount::new(BLOCK), at, NONE);
    }
    card.lost += 9_600;
    let mut slips = Vec::new();
    for _ in 0..50 * 60 {
        let at = card.block();
        slips.extend(clock.arrived(FrameCount::new(BLOCK), at, NONE));
    }
    let [slip] = slips[..] else { panic!("{slips:?}") };
    assert!((slip.seconds() - 0.2).abs() < 0.005, "{slip:?}");
    assert!(error(&clock, &card).abs() < 0.005, "the time follows");
    assert!(clock.drift().is_some(), "it is still the same card");
}

#[test]
fn a_busy_machine_loses_nothing() {
    let mut card = Card::new(0.0);
    let mut clock = CardClock::new(card.spec);
    for n in 0..50 * 120 {
        let at = card.block();
        // Three seconds in which every block is seen late.
        let late = if (3_000..3_150).contains(&n) { Duration::from_millis(40) } else { Duration::ZERO };
        assert_eq!(clock.arrived(FrameCount::new(BLOCK), at + late, NONE), None, "block {n}");
    }
    assert!(error(&clock, &card).abs() < 0.005);
}

#[test]
fn audio_that_came_twice_is_no_loss() {
    let mut card = Card::new(0.0);
    let mut clock = CardClock::new(card.spec);
    for _ in 0..50 * 100 {
        let at = card.block();
        clock.arrived(FrameCount::new(BLOCK), at, NONE);
    }
    let at = card.block();
    for _ in 0..3 {
        clock.arrived(FrameCount::new(BLOCK), at, NONE);
    }
    let slips: Vec<Slip> = (0..200)
        .filter_map(|_| {
            let at = card.block();
            clock.arrived(FrameCount::new(BLOCK), at, NONE)
        })
        .collect();
    assert!(matches!(slips[..], [slip] if slip.seconds() < 0.0), "{slips:?}");
}

#[test]
fn the_least_latency_that_the_host_knows_of_counts() {
    let mut card = Card::new(0.0);
    let mut clock = CardClock::new(card.spec);
    for n in 0..50 * 100 {
        let at = card.block() + Duration::from_millis(30);
        // Nonsense at times, and never less than what is true.
        let latency = Duration::from_millis(if n % 7 == 0 { 900 } else { 30 + n % 5 });
        clock.arrived(FrameCount::new(BLOCK), at, latency);
    }
    assert!(error(&clock, &card).abs() < 0.002);
}

#[test]
fn a_host_that_finds_out_how_late_it_is_has_lost_nothing() {
    for least in [230, 0] {
        let mut card = Card::new(0.0);
        let mut clock = CardClock::new(card.spec);
        let mut slips = Vec::new();
        for n in 0..50 * 100 {
            let at = card.block() + Duration::from_millis(30);
            // As PulseAudio does when its source has just begun: wrong, all of the first second.
            let latency = Duration::from_millis(if n < 50 { least } else { 30 });
            slips.extend(clock.arrived(FrameCount::new(BLOCK), at, latency));
        }
        assert!(slips.iter().all(|slip| slip.seconds() <= 0.0), "{slips:?}");
        assert!(error(&clock, &card).abs() < 0.002);
    }
}

proptest! {
    /// The edge of the hull is the best of all lines through two points that have no point below them.
    #[test]
    fn the_line_is_the_nearest_below_all_points(late in prop::collection::vec(0.0_f64..1.0, 2..30)) {
        let points: VecDeque<Point> = late.iter().enumerate().map(|(n, &late)| Point { audio: n as f64, late, arrived: late }).collect();
        let cost = |line: Line| points.iter().map(|p| p.late - line.late(p.audio)).sum::<f64>();
        let below = |line: Line| points.iter().all(|p| line.late(p.audio) <= p.late + 1e-9);
        let found = support(&points).unwrap();
        prop_assert!(below(found));
        for a in &points {
            for b in points.iter().filter(|b| b.audio > a.audio) {
                let line = Line { at: *a, slope: (b.late - a.late) / (b.audio - a.audio) };
                prop_assert!(!below(line) || cost(found) <= cost(line) + 1e-9);
            }
        }
    }
}

//! Sound cards that vanish and come back as others, are read too late, begin to work in another way, and cannot be had.
//!
//! ALSA reads its configuration once, from where the environment says: so each test runs again in a process of its own,
//! while this one lets the cards hear.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test")]

mod host;

use cpal::{ErrorKind, SampleFormat as CardFormat};
use host::{Lines, Machine};
use livetape_audio::{Frame, FrameCount, GapReason, Spec, WallTime};
use livetape_capture::sources::device::{CardError, Cards, Device, Wish};
use livetape_capture::sources::{Chunk, Lost, Piece, Source};
use livetape_capture::{Shape, Status};
use livetape_testkit::alsa::{Alsa, BLOCK};
use livetape_testkit::{counting, spawn};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::timeout;

const LIMIT: Duration = Duration::from_secs(30);
/// After so long a future is dropped and another one asked for, as is done by who has a fallback.
const DROPPED: Duration = Duration::from_millis(20);
/// Set in the process in which the test itself runs.
const INSIDE: &str = "LIVETAPE_TEST_ALSA";

/// Runs the test of this name where ALSA has the cards `mic0`, `mic1` (s16), `deep` (s32) and `taken`.
fn with_cards(name: &str, test: impl AsyncFnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        return runtime.block_on(test());
    }
    let alsa = Alsa::new(&["mic0", "mic1", "deep"], &[]).unwrap();
    alsa.taken().unwrap();
    let deep = |first, frames| {
        let samples = counting::encode(first, frames);
        samples.as_chunks::<2>().0.iter().flat_map(|&[a, b]| [0, 0, a, b]).collect()
    };
    let _microphones = [
        alsa.microphone("mic0").unwrap(),
        alsa.microphone("mic1").unwrap(),
        alsa.microphone_of("deep", 8, deep).unwrap(),
    ];
    let mut again = spawn::command(std::env::current_exe().unwrap());
    again.args([name, "--exact", "--nocapture"]).env("ALSA_CONFIG_PATH", alsa.config()).env(INSIDE, "1");
    let finished = spawn::run(again, LIMIT * 4).unwrap();
    assert!(finished.text().contains("1 passed"), "{}{}", finished.text(), finished.stderr);
}

struct Listening {
    device: Device,
    status: watch::Receiver<Status>,
    /// What came last: its end, by the clock and by its number.
    end: Option<(WallTime, Frame)>,
}

impl Listening {
    async fn to(machine: &Machine, card: &str) -> Self {
        Self::with(machine.cards(), card).await
    }

    async fn with(cards: Cards, card: &str) -> Self {
        let (sender, status) = watch::channel(Status::default());
        let wish = Wish { shape: Shape::default(), buffer: Some(BLOCK) };
        let mut device = Device::open(cards, card.parse().unwrap(), wish, sender).await.unwrap();
        device.begin(Frame::ZERO);
        Self { device, status, end: None }
    }

    fn spec(&self) -> Spec {
        self.device.spec()
    }

    async fn piece(&mut self) -> Piece {
        self.piece_within(LIMIT).await.expect("a piece")
    }

    async fn piece_within(&mut self, limit: Duration) -> Option<Piece> {
        let began = Instant::now();
        while began.elapsed() < limit {
            if let Ok(piece) = timeout(DROPPED, self.device.next()).await {
                return Some(piece.unwrap().expect("no end"));
            }
        }
        None
    }

    /// Its number by what it says, if it is in one piece.
    fn check(&mut self, chunk: &Chunk) -> Frame {
        let first = Frame::new(u32::from_le_bytes(chunk.pcm[..4].try_into().unwrap()).into());
        counting::verify(&chunk.pcm, first).unwrap();
        let frames = chunk.frames(self.spec());
        self.end = Some((chunk.time.after_frames(frames, self.spec()), first + frames));
        first
    }

    /// So much audio without a hole. On a busy machine an overrun may come before it, which this card has for real.
    async fn audio(&mut self, frames: u64) {
        let mut heard = FrameCount::ZERO;
        let mut at = None;
        while heard.get() < frames {
            let chunk = match self.piece().await {
                Piece::Audio(chunk) => chunk,
                Piece::Gap(Lost { reason: GapReason::Xrun, .. }) => {
                    (heard, at) = (FrameCount::ZERO, None);
                    continue;
                }
                other => panic!("{other:?}"),
            };
            let first = self.check(&chunk);
            assert!(at.is_none_or(|at| at == first), "{first} after {at:?}");
            heard = heard + chunk.frames(self.spec());
            at = self.end.map(|(_, end)| end);
        }
    }

    /// Waits for the next gap. Gives it, the length of it by the times before and after it, and the frame after it less the
    /// one that was due.
    async fn gap(&mut self) -> (Lost, Duration, FrameCount) {
        let lost = loop {
            match self.piece().await {
                Piece::Audio(chunk) => drop(self.check(&chunk)),
                Piece::Gap(lost) => break lost,
                other => panic!("{other:?}"),
            }
        };
        let (before, due) = self.end.unwrap();
        let Piece::Audio(chunk) = self.piece().await else { panic!("two gaps") };
        let first = self.check(&chunk);
        (lost, chunk.time.since(before), first.since(due))
    }

    /// Waits for the next gap for this reason. Overruns of a busy machine may come before it.
    async fn gap_of(&mut self, reason: GapReason) -> (Lost, Duration, FrameCount) {
        loop {
            let gap = self.gap().await;
            match gap.0.reason {
                its if its == reason => return gap,
                GapReason::Xrun => {}
                other => panic!("{other:?} instead of {reason:?}"),
            }
        }
    }

    /// Lets time pass in which nothing comes.
    async fn nothing(&mut self) {
        while let Some(piece) = self.piece_within(Duration::from_millis(700)).await {
            let Piece::Audio(chunk) = piece else { panic!("a gap has no end yet") };
            self.check(&chunk);
        }
    }

    /// Waits until this was said.
    async fn says(&mut self, part: &str) {
        let began = Instant::now();
        while host::said(part) == 0 {
            assert!(began.elapsed() < LIMIT, "{part:?} was not said");
            self.piece_within(DROPPED).await;
        }
    }
}

#[test]
fn a_card_that_is_pulled_out_is_found_again_by_its_name() {
    with_cards("a_card_that_is_pulled_out_is_found_again_by_its_name", async || {
        let machine = Machine::default();
        machine.plug("usb", "mic0", CardFormat::I16);
        let mut listening = Listening::to(&machine, "custom:usb").await;
        listening.audio(48_000).await;
        assert!(listening.status.borrow().card.is_some_and(|card| card.present && card.losses == 0));

        machine.unplug("usb");
        // Another card is no replacement.
        machine.plug("other", "mic0", CardFormat::I16);
        listening.nothing().await;
        assert!(listening.status.borrow().card.is_some_and(|card| !card.present && card.losses == 1));

        // It comes back at another place.
        machine.plug("usb", "mic1", CardFormat::I16);
        let (lost, away, _) = listening.gap().await;
        assert_eq!(lost.reason, GapReason::DeviceAway);
        let measured = listening.spec().duration(lost.frames);
        assert!(measured >= Duration::from_millis(600), "{measured:?}");
        assert!(measured.abs_diff(away) < Duration::from_millis(50), "{measured:?} lost between times {away:?} apart");
        listening.audio(48_000).await;
        assert!(listening.status.borrow().card.is_some_and(|card| card.present && card.losses == 1));
    });
}

/// `/proc/asound` with cards of these names, numbered from 0 on.
fn numbered(asound: &Path, names: &[&str]) {
    for (number, name) in names.iter().enumerate() {
        let card = asound.join(format!("card{number}"));
        std::fs::create_dir_all(&card).unwrap();
        std::fs::write(card.join("id"), format!("{name}\n")).unwrap();
    }
}

#[test]
fn a_card_that_was_given_by_its_number_is_found_under_another_one() {
    with_cards("a_card_that_was_given_by_its_number_is_found_under_another_one", async || {
        let (usb, other) = ("hw:CARD=USB,DEV=0", "hw:CARD=Other,DEV=0");
        let (machine, asound) = (Machine::default(), tempfile::tempdir().unwrap());
        machine.plug(usb, "mic0", CardFormat::I16);
        numbered(asound.path(), &["PCH", "USB"]);
        let cards = machine.cards().with_asound(asound.path());
        let mut listening = Listening::with(cards, "hw:1,0").await;
        listening.audio(24_000).await;

        // Its number is another card's now.
        machine.unplug(usb);
        machine.plug(other, "mic0", CardFormat::I16);
        numbered(asound.path(), &["PCH", "Other"]);
        listening.nothing().await;
        assert!(listening.status.borrow().card.is_some_and(|card| !card.present));

        machine.plug(usb, "mic1", CardFormat::I16);
        numbered(asound.path(), &["PCH", "Other", "USB"]);
        listening.gap_of(GapReason::DeviceAway).await;
        assert!(machine.is_running(usb) && !machine.is_running(other));
        listening.audio(24_000).await;
    });
}

#[test]
fn why_a_card_stays_away_is_said_when_it_changes() {
    with_cards("why_a_card_stays_away_is_said_when_it_changes", async || {
        tracing::subscriber::set_global_default(Lines).unwrap();
        let machine = Machine::default();
        machine.plug("usb", "mic0", CardFormat::I16);
        let mut listening = Listening::to(&machine, "custom:usb").await;
        listening.audio(24_000).await;
        machine.complain("usb", ErrorKind::RealtimeDenied.into());
        listening.says("Real-time scheduling was refused").await;

        machine.unplug("usb");
        listening.says("no such sound card").await;
        machine.plug_in("usb", "mic0", CardFormat::I16, Some(ErrorKind::DeviceBusy));
        listening.says("another program uses the sound card").await;
        machine.refuse("usb", ErrorKind::PermissionDenied);
        listening.says("no permission to use the sound card").await;
        // However often it is tried.
        listening.nothing().await;
        machine.plug("usb", "mic0", CardFormat::I16);
        listening.gap_of(GapReason::DeviceAway).await;
        listening.says("gives audio again").await;
        for part in ["no such sound card", "another program", "no permission", "gives audio again"] {
            assert_eq!(host::said(part), 1, "{part}");
        }
        listening.audio(24_000).await;
    });
}

#[test]
fn an_overrun_is_a_gap_and_the_card_goes_on() {
    with_cards("an_overrun_is_a_gap_and_the_card_goes_on", async || {
        let machine = Machine::default();
        machine.plug("usb", "mic0", CardFormat::I16);
        let mut listening = Listening::to(&machine, "default").await;
        listening.audio(48_000).await;
        machine.overrun("usb", 200);
        let (lost, apart, missing) = listening.gap().await;
        assert_eq!(lost.reason, GapReason::Xrun);
        assert_eq!(missing.get(), 200 * u64::from(BLOCK), "as many as were not given");
        let measured = listening.spec().duration(lost.frames);
        assert!(
            measured.abs_diff(apart) < Duration::from_millis(50),
            "{measured:?} lost between times {apart:?} apart"
        );
        // Two seconds by the card's numbers, and by the clock of a machine that may be busy.
        assert!((1.0..4.0).contains(&measured.as_secs_f64()), "{measured:?}");
        listening.audio(48_000).await;
        assert!(listening.status.borrow().card.is_some_and(|card| card.present && card.xruns == 1 && card.losses == 0));
    });
}

#[test]
fn callbacks_allocate_log_and_wait_for_nothing() {
    with_cards("callbacks_allocate_log_and_wait_for_nothing", async || {
        tracing::subscriber::set_global_default(Lines).unwrap();
        let machine = Machine::default();
        machine.plug("usb", "mic0", CardFormat::I16);
        let mut listening = Listening::to(&machine, "default").await;
        listening.audio(96_000).await;
        // Words that were made for this one, which somebody has to let go of.
        let words = |n| cpal::Error::with_message(ErrorKind::DeviceChanged, format!("trouble {n}"));
        (0..10).for_each(|n| machine.complain("usb", words(n)));
        listening.gap().await;
        listening.audio(24_000).await;
        let cost = machine.cost("usb");
        assert!(cost.calls.0 >= 250 && cost.calls.1 == 10, "{cost:?}");
        assert_eq!((cost.allocations, cost.lines), ((0, 0), 0), "{cost:?}");
        // Memory that was swapped out is waited for.
        assert!(cost.waits < 3, "{cost:?}");
        // What counts lines counts them.
        let before = host::lines();
        tracing::trace!("a line");
        assert_eq!(host::lines(), before + 1);
    });
}

#[test]
fn a_card_that_works_in_another_way_is_opened_again() {
    with_cards("a_card_that_works_in_another_way_is_opened_again", async || {
        let machine = Machine::default();
        machine.plug("usb", "mic0", CardFormat::I16);
        let mut listening = Listening::to(&machine, "custom:usb").await;
        listening.audio(24_000).await;
        machine.plug("usb", "deep", CardFormat::I32);
        machine.stop("usb", ErrorKind::StreamInvalidated);
        listening.gap_of(GapReason::DeviceChanged).await;
        // What is recorded keeps its shape.
        listening.audio(24_000).await;
        assert_eq!(listening.spec(), counting::spec(48_000).unwrap());
        // It is gone for good until it gives again what is recorded: for that it is waited, whatever it is.
        machine.plug("usb", "deep", CardFormat::DsdU8);
        machine.stop("usb", ErrorKind::StreamInvalidated);
        listening.nothing().await;
        machine.plug("usb", "mic0", CardFormat::I16);
        listening.gap_of(GapReason::DeviceChanged).await;
    });
}

#[test]
fn a_machine_that_slept_says_so() {
    with_cards("a_machine_that_slept_says_so", async || {
        let (machine, slept) = (Machine::default(), Arc::new(AtomicU64::new(7)));
        machine.plug("usb", "mic0", CardFormat::I16);
        let clock = Arc::clone(&slept);
        let cards = machine.cards().with_sleep(move || Duration::from_secs(clock.load(Ordering::Acquire)));
        let mut listening = Listening::with(cards, "custom:usb").await;
        listening.audio(24_000).await;
        // An hour, in which the monotonic clock stood still.
        let before = Instant::now();
        slept.fetch_add(3_600, Ordering::AcqRel);
        let (lost, ..) = listening.gap_of(GapReason::Suspended).await;
        let measured = listening.spec().duration(lost.frames).as_secs_f64();
        // And what it took to begin anew.
        let most = 3_601.0 + before.elapsed().as_secs_f64();
        assert!((3_600.0..most).contains(&measured), "{measured} s of at most {most}");
        listening.audio(24_000).await;
    });
}

#[test]
fn a_card_that_somebody_else_has_is_busy_until_they_let_go() {
    with_cards("a_card_that_somebody_else_has_is_busy_until_they_let_go", async || {
        let config = std::path::PathBuf::from(std::env::var_os("ALSA_CONFIG_PATH").unwrap());
        let said = refused(Cards::default(), "taken", Shape::default()).await;
        assert_eq!(said, CardError::Busy("taken".parse().unwrap()));
        assert!(said.to_string().contains("another program uses the sound card"), "{said}");
        std::fs::remove_file(config.with_file_name(Alsa::TAKEN)).unwrap();
        let wish = Wish { shape: Shape::default(), buffer: Some(BLOCK) };
        let opened = Device::open(Cards::default(), "taken".parse().unwrap(), wish, watch::Sender::default()).await;
        let mut device = opened.unwrap();
        device.begin(Frame::ZERO);
        let Ok(Ok(Some(Piece::Audio(_)))) = timeout(LIMIT, device.next()).await else { panic!("no audio") };
    });
}

async fn refused(cards: Cards, card: &str, shape: Shape) -> CardError {
    let wish = Wish { shape, buffer: Some(BLOCK) };
    let opened = Device::open(cards, card.parse().unwrap(), wish, watch::Sender::default()).await;
    opened.err().expect("it cannot be opened")
}

#[test]
fn why_a_card_cannot_be_had() {
    with_cards("why_a_card_cannot_be_had", async || {
        let machine = Machine::default();
        assert_eq!(refused(machine.cards(), "default", Shape::default()).await, CardError::NoDefault);
        machine.plug("usb", "mic0", CardFormat::I16);
        let usb = || "custom:usb".parse().unwrap();

        let mono = Shape { channels: Some(1), ..Shape::default() };
        let error = refused(machine.cards(), "custom:usb", mono).await;
        assert!(matches!(error, CardError::Offers { .. }), "{error}");
        let said = error.to_string();
        assert!(
            said.contains("1 channel, blocks of 480") && said.contains("2 channels") && said.contains("s16"),
            "{said}"
        );

        let said = refused(machine.cards(), "custom:usb2", Shape::default()).await.to_string();
        assert!(said.contains("custom:usb2") && said.contains("there are custom:usb"), "{said}");

        machine.refuse("usb", ErrorKind::DeviceBusy);
        assert_eq!(refused(machine.cards(), "custom:usb", Shape::default()).await, CardError::Busy(usb()));
        machine.refuse("usb", ErrorKind::PermissionDenied);
        assert_eq!(refused(machine.cards(), "custom:usb", Shape::default()).await, CardError::Denied(usb()));
        machine.refuse("usb", ErrorKind::BackendError);
        let error = refused(machine.cards(), "custom:usb", Shape::default()).await;
        assert!(matches!(error, CardError::Failed { .. }), "{error}");

        let none = Cards::of(|| Err(ErrorKind::HostUnavailable.into()));
        let error = refused(none, "custom:usb", Shape::default()).await;
        assert!(matches!(error, CardError::Host { .. }), "{error}");
    });
}

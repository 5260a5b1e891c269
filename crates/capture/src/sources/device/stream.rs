//! A sound card that is open: the thread that owns the host's stream.
//!
//! Opening a card, starting and closing it may take long or, with a bad driver, never end. So each has a thread of its own
//! that is not waited for any longer than is good, and that closes the card when nobody wants it any more. Of threads that
//! never come back there are few: then the driver has to let go of one first.

use super::card_id::CardId;
use super::cards::{CardError, Cards, Way};
use super::offer::{self, Choice, Offer, Summary, Wish};
use super::quiet::Quiet;
use super::tap::{Alarm, Outlet, Tap, tap};
use cpal::traits::{DeviceTrait, StreamTrait};
use livetape_audio::Spec;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use tokio::sync::oneshot;

/// How long opening and starting may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// Threads for one card that may be busy with its driver.
const MOST_THREADS: usize = 4;
/// Audio that waits for the source to be looked at.
const ROOM: Duration = Duration::from_secs(4);

/// What the thread is asked to do, besides closing the card when it is asked no more.
struct Start(oneshot::Sender<Result<(), CardError>>);

/// An open card. Closed when dropped.
pub(crate) struct Opened {
    /// What it gives.
    pub(crate) choice: Choice,
    /// Where that comes out.
    pub(crate) outlet: Outlet,
    card: CardId,
    thread: mpsc::Sender<Start>,
}

impl Opened {
    /// Opens a card. It gives nothing until it is started. Each thread for this card holds one of `threads`.
    pub(crate) async fn open(cards: Cards, card: CardId, wish: Wish, threads: &Arc<()>) -> Result<Self, CardError> {
        Self::open_within(PATIENCE, cards, card, wish, threads).await
    }

    async fn open_within(
        patience: Duration,
        cards: Cards,
        card: CardId,
        wish: Wish,
        threads: &Arc<()>,
    ) -> Result<Self, CardError> {
        if Arc::strong_count(threads) > MOST_THREADS {
            return Err(CardError::Silent(card));
        }
        let (ready, opened) = oneshot::channel();
        let (name, held) = (card.clone(), Arc::clone(threads));
        let thread = std::thread::Builder::new().name("sound card".into());
        let failed = |error: std::io::Error| CardError::Failed { card: card.clone(), error: error.to_string() };
        let work = move || {
            own(&cards, &name, wish, ready);
            drop(held);
        };
        thread.spawn(work).map_err(failed)?;
        match tokio::time::timeout(patience, opened).await {
            Ok(Ok(opened)) => opened,
            Ok(Err(_)) | Err(_) => Err(CardError::Silent(card)),
        }
    }

    /// Starts it.
    pub(crate) async fn start(&mut self) -> Result<(), CardError> {
        let silent = || CardError::Silent(self.card.clone());
        let (done, started) = oneshot::channel();
        self.thread.send(Start(done)).map_err(|_| silent())?;
        match tokio::time::timeout(PATIENCE, started).await {
            Ok(Ok(started)) => started,
            Ok(Err(_)) | Err(_) => Err(silent()),
        }
    }
}

/// The thread: opens the card, starts it when asked, closes it when nobody can ask any more.
fn own(cards: &Cards, card: &CardId, wish: Wish, ready: oneshot::Sender<Result<Opened, CardError>>) {
    let quiet = Quiet::new();
    let (asks, asked) = mpsc::channel();
    let (stream, choice, outlet) = match build(cards, card, wish, &quiet) {
        Ok(built) => built,
        Err(error) => {
            let _ = ready.send(Err(error));
            return;
        }
    };
    // Nobody waits any more: then there is nobody who can ask either.
    let _ = ready.send(Ok(Opened { choice, outlet, card: card.clone(), thread: asks }));
    while let Ok(Start(done)) = asked.recv() {
        let _ = done.send(stream.play().map_err(|error| explained(card, &error, &quiet)));
    }
}

fn build(cards: &Cards, card: &CardId, wish: Wish, quiet: &Quiet) -> Result<(cpal::Stream, Choice, Outlet), CardError> {
    let failed = |error: cpal::Error| explained(card, &error, quiet);
    let device = cards.find(card, Way::In)?;
    let offers: Vec<_> = device.supported_input_configs().map_err(failed)?.collect();
    let choice = offer::choose(wish, &offers).ok_or_else(|| {
        let offers: Vec<Offer> = offers.iter().map(Offer::from).collect();
        CardError::Offers { card: card.clone(), wanted: wish.to_string(), offers: Summary(&offers).to_string() }
    })?;
    let rate = choice.spec.rate();
    let frame_bytes = choice.format.sample_size() * usize::from(choice.config.channels);
    let room = room(choice.spec);
    let (tap, alarm, outlet) = tap(frame_bytes, rate, room);
    let (on_data, on_error) = (data(tap), errors(alarm));
    let stream =
        device.build_input_stream_raw(choice.config, choice.format, on_data, on_error, None).map_err(failed)?;
    Ok((stream, choice, outlet))
}

fn room(spec: Spec) -> livetape_audio::FrameCount {
    spec.frames(ROOM)
}

/// The host's thread runs this: no lock, no allocation, no log line.
fn data(mut tap: Tap) -> impl FnMut(&cpal::Data, &cpal::InputCallbackInfo) + Send + 'static {
    move |data, info| {
        let stamp = info.timestamp();
        tap.take(data.bytes(), Instant::now(), stamp.callback.saturating_duration_since(stamp.capture));
    }
}

/// Likewise.
fn errors(mut alarm: Alarm) -> impl FnMut(cpal::Error) + Send + 'static {
    move |error| alarm.raise(error, Instant::now())
}

/// What the host says, in its library's words if it has no better ones.
fn explained(card: &CardId, error: &cpal::Error, quiet: &Quiet) -> CardError {
    match CardError::of(card, error) {
        CardError::Failed { card, error } => {
            let error = quiet.said().map_or_else(|| error.clone(), |said| format!("{error} ({said})"));
            CardError::Failed { card, error }
        }
        error => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_driver_that_never_answers_costs_few_threads() {
        let (let_go, hangs) = mpsc::channel::<()>();
        let hangs = std::sync::Mutex::new(hangs);
        let cards = Cards::of(move || {
            let _ = hangs.lock().unwrap().recv();
            Err(cpal::ErrorKind::DeviceNotAvailable.into())
        });
        let (card, threads) = (CardId::default_card(), Arc::new(()));
        for _ in 0..3 * MOST_THREADS {
            let short = Duration::from_millis(20);
            let opened = Opened::open_within(short, cards.clone(), card.clone(), Wish::default(), &threads).await;
            assert!(matches!(opened, Err(CardError::Silent(_))));
        }
        assert_eq!(Arc::strong_count(&threads), MOST_THREADS + 1);
        drop(let_go);
        while Arc::strong_count(&threads) > 1 {
            std::thread::yield_now();
        }
        let opened = Opened::open(cards, card, Wish::default(), &threads).await;
        assert!(matches!(opened, Err(CardError::NoDefault)), "it is asked again once it answers");
    }
}

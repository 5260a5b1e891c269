//! A sound card as a source.
//!
//! ```text
//! host's thread: callback -> tap -> rings without locks          (no lock, no allocation, no log line)
//! this task:     outlet -> flow -> pieces and gaps -> uplink      (looks every few milliseconds)
//! card's thread: opens, starts and closes the host's stream       (may take as long as the driver likes)
//! ```
//!
//! The card is opened before the recording begins: what it does not offer is said at once. Afterwards nothing ends the
//! source: a card that stops, fails or is unplugged is looked for by its name until it is there again, and what was
//! missed meanwhile is a gap. How far the search has come is kept in the state: who has a fallback drops the future of
//! `next` every 20 ms.
//! Not here: what the recorder makes of times and gaps.

mod card_id;
mod cards;
mod convert;
mod flow;
mod offer;
mod quiet;
mod slips;
mod speaker;
mod stream;
mod tap;

pub use card_id::{CardId, CardIdError};
pub use cards::{Abilities, CardError, CardInfo, Cards, Way};
pub use flow::Flow;
pub use offer::{Offer, Wish};
pub use speaker::Speaker;
pub use tap::Mark;

use super::{Piece, Source, SourceError};
use crate::backoff::Backoff;
use crate::clock::Reading;
use crate::random::Random;
use crate::status::{CardStatus, Status};
use cpal::ErrorKind;
use livetape_audio::{Frame, GapReason, Spec};
use std::ops::RangeInclusive;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use stream::Opened;
use tap::Outcome;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, sleep_until};

/// The rings are looked at this often.
const LOOK: Duration = Duration::from_millis(10);
/// Most blocks in one look.
const AT_ONCE: usize = 4096;
/// A card that gives nothing for longer hangs.
const HANGS: Duration = Duration::from_secs(5);
/// Between two looks for a card that is away: the first wait and the longest.
const BACKOFF: RangeInclusive<Duration> = Duration::from_millis(100)..=Duration::from_secs(5);

/// A sound card.
pub struct Device {
    cards: Cards,
    card: CardId,
    /// What it was opened with, to open it again just so.
    wish: Wish,
    spec: Spec,
    flow: Flow,
    state: State,
    /// Held by each thread that has to do with the card.
    threads: Arc<()>,
    backoff: Backoff,
    /// What was said last about its being away.
    told: Option<CardError>,
    /// Whether it was said how its clock runs.
    timed: bool,
    status: watch::Sender<Status>,
}

enum State {
    /// On its way to give audio.
    Coming(Coming),
    /// It gives audio; when it did last.
    Running(Opened, Instant),
    /// To be looked for from this time on.
    Away(Instant),
}

/// A card that is being opened and started.
type Coming = Pin<Box<dyn Future<Output = Result<Opened, CardError>> + Send>>;

async fn started(mut opened: Opened) -> Result<Opened, CardError> {
    opened.start().await?;
    Ok(opened)
}

impl Device {
    /// Opens a card as it is wished. `status` learns how it is doing.
    ///
    /// # Errors
    /// [`CardError`] says why it cannot be used, and what to do.
    pub async fn open(
        cards: Cards,
        card: CardId,
        wish: Wish,
        status: watch::Sender<Status>,
    ) -> Result<Self, CardError> {
        // What is looked for later is this card, whatever number it has then.
        let card = cards.by_name(&card);
        let threads = Arc::new(());
        let opened = Opened::open(cards.clone(), card.clone(), wish, &threads).await?;
        let spec = opened.choice.spec;
        let flow = Flow::new(spec, opened.choice.format, Reading::now(), cards.slept());
        let unknown = || CardError::Failed { card: card.clone(), error: "it gives no PCM".into() };
        let flow = flow.ok_or_else(unknown)?;
        tracing::info!(%card, %spec, from = %opened.choice.format, blocks = ?opened.choice.config.buffer_size, "sound card");
        let wish = Wish { shape: spec.into(), ..wish };
        let backoff = Backoff::new(BACKOFF, Random::seeded());
        // Started with the first look: nothing is captured before.
        let state = State::Coming(Box::pin(started(opened)));
        let mut new = Self { cards, card, wish, spec, flow, state, threads, backoff, told: None, timed: false, status };
        new.show(|_| {});
        Ok(new)
    }

    fn show(&mut self, change: impl FnOnce(&mut CardStatus)) {
        let drift = self.flow.drift();
        if let Some(drift) = drift.filter(|_| !std::mem::replace(&mut self.timed, true)) {
            tracing::info!(card = %self.card, "the sound card's clock runs at {drift} of this machine's");
        }
        self.status.send_if_modified(|status| {
            let mut card = status.card.unwrap_or(CardStatus { present: true, ..CardStatus::default() });
            card.drift = drift;
            change(&mut card);
            status.card.replace(card) != Some(card)
        });
    }

    /// Takes what has come.
    fn look(&mut self) {
        self.flow.observe(Reading::now(), self.cards.slept());
        let State::Running(opened, last) = &mut self.state else { return };
        let (mut lost, mut xruns) = (None, 0);
        // No more than there may be at once: a PCM that gives audio faster than it sounds must not keep this task for itself.
        for outcome in std::iter::from_fn(|| opened.outlet.next()).take(AT_ONCE) {
            let error = match outcome {
                Outcome::Block(mark, pcm) => {
                    *last = Instant::now();
                    self.flow.block(mark, pcm);
                    continue;
                }
                Outcome::Trouble(error) => error,
            };
            match error.kind() {
                // Nothing is lost by that yet.
                ErrorKind::RealtimeDenied => tracing::warn!(card = %self.card, "{error}"),
                ErrorKind::Xrun => {
                    xruns += 1;
                    self.flow.trouble(GapReason::Xrun);
                }
                ErrorKind::DeviceChanged => self.flow.trouble(GapReason::DeviceChanged),
                kind => {
                    lost = Some((reason(kind), error.to_string()));
                    // What came after it is of a card that is closed now.
                    break;
                }
            }
        }
        let silent = last.elapsed() > HANGS || opened.outlet.is_abandoned();
        if let Some((reason, why)) = lost.or_else(|| silent.then(|| (GapReason::DeviceAway, SILENT.into()))) {
            self.lose(reason, &CardError::Failed { card: self.card.clone(), error: why });
        }
        let back = matches!(&self.state, State::Running(..)) && self.flow.is_settled();
        if back && self.told.take().is_some() {
            tracing::info!(card = %self.card, "the sound card gives audio again");
            self.backoff.reset();
        }
        self.show(|card| {
            card.present |= back;
            card.xruns += xruns;
        });
    }

    /// The card is away.
    fn lose(&mut self, reason: GapReason, error: &CardError) {
        self.flow.trouble(reason);
        self.tell(error);
        self.show(|card| {
            card.present = false;
            card.losses += 1;
        });
        self.wait();
    }

    /// It is looked for a little later.
    fn wait(&mut self) {
        self.state = State::Away(Instant::now() + self.backoff.wait());
    }

    /// Says what is wrong, each time that it is something else.
    fn tell(&mut self, error: &CardError) {
        if self.told.as_ref() != Some(error) {
            tracing::warn!("{error}; the sound card is looked for until it is there again");
            self.told = Some(error.clone());
        }
    }

    fn look_for(&mut self) {
        // The clock goes on meanwhile.
        self.flow.observe(Reading::now(), self.cards.slept());
        let (cards, card, wish) = (self.cards.clone(), self.card.clone(), self.wish);
        let threads = Arc::clone(&self.threads);
        let coming = async move { started(Opened::open(cards, card, wish, &threads).await?).await };
        self.state = State::Coming(Box::pin(coming));
    }

    fn came(&mut self, come: Result<Opened, CardError>) {
        match come {
            Ok(opened) => {
                self.flow.reopened(opened.choice.format);
                self.state = State::Running(opened, Instant::now());
            }
            // It could be opened, so it was there.
            Err(error) if self.told.is_none() => self.lose(GapReason::DeviceAway, &error),
            Err(error) => {
                self.tell(&error);
                self.wait();
            }
        }
    }
}

const SILENT: &str = "it gives nothing";

fn reason(kind: ErrorKind) -> GapReason {
    match kind {
        ErrorKind::StreamInvalidated | ErrorKind::UnsupportedConfig => GapReason::DeviceChanged,
        _ => GapReason::DeviceAway,
    }
}

impl Source for Device {
    fn spec(&self) -> Spec {
        self.spec
    }

    fn begin(&mut self, _next: Frame) {
        // The card is started with the first look.
    }

    async fn next(&mut self) -> Result<Option<Piece>, SourceError> {
        loop {
            if let Some(piece) = self.flow.next() {
                return Ok(Some(piece));
            }
            match &mut self.state {
                State::Coming(coming) => {
                    let come = coming.await;
                    self.came(come);
                }
                State::Running(..) => {
                    sleep(LOOK).await;
                    self.look();
                }
                State::Away(until) => {
                    sleep_until(*until).await;
                    self.look_for();
                }
            }
        }
    }
}

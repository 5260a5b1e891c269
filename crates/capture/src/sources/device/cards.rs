//! Which sound cards there are, and why one cannot be had.

use super::card_id::CardId;
use super::offer::{Offer, Summary};
use super::quiet::Quiet;
use cpal::traits::{DeviceTrait, HostTrait};
use cpal::{ErrorKind, HostId};
use serde::Serialize;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// Names of cards in a message.
const NAMES: usize = 20;
/// PCMs that ALSA's configuration defines for special purposes: there are dozens of them, and nobody records from one.
const SPECIAL: [&str; 20] = [
    "null",
    "lavrate",
    "samplerate",
    "speexrate",
    "speex",
    "jack",
    "oss",
    "upmix",
    "vdownmix",
    "usbstream",
    "front",
    "rear",
    "center_lfe",
    "side",
    "surround21",
    "surround40",
    "surround51",
    "surround71",
    "dmix",
    "dsnoop",
];

/// Which way audio goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// From the card.
    In,
    /// To the card.
    Out,
}

/// Why a sound card cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CardError {
    /// Nobody answers for the hosts.
    #[error("device {card}: {host} cannot be reached: {error}")]
    Host {
        /// The card.
        card: CardId,
        /// Its host.
        host: String,
        /// What it said.
        error: String,
    },
    /// There is none of this name.
    #[error("device {card}: there is no such sound card; {}", names(.known))]
    None {
        /// Its name.
        card: CardId,
        /// Those that there are.
        known: Vec<CardId>,
    },
    /// There is none at all.
    #[error(
        "device default: this machine has no sound card, or this process may not see it (`livetape devices` lists them; \
         docs/devices.md says what to look for)"
    )]
    NoDefault,
    /// Somebody else has it.
    #[error(
        "device {0}: another program uses the sound card; stop it (fuser -v /dev/snd/* names it), or record through \
         a sound server"
    )]
    Busy(CardId),
    /// No right to it.
    #[error("device {0}: no permission to use the sound card; the user has to be in the group audio")]
    Denied(CardId),
    /// It cannot do what is wanted.
    #[error("device {card}: it does not offer {wanted}; it offers {offers}")]
    Offers {
        /// The card.
        card: CardId,
        /// What was wanted.
        wanted: String,
        /// What it offers.
        offers: String,
    },
    /// Another error.
    #[error("device {card}: {error}")]
    Failed {
        /// The card.
        card: CardId,
        /// What its host says.
        error: String,
    },
    /// It takes too long.
    #[error("device {0}: the sound card does not answer")]
    Silent(CardId),
}

fn names(cards: &[CardId]) -> String {
    if cards.is_empty() {
        return "this machine has none, or this process may not see it (docs/devices.md)".into();
    }
    let names: Vec<&str> = cards.iter().take(NAMES).map(CardId::as_str).collect();
    format!("there are {}{}", names.join(", "), if cards.len() > NAMES { ", …" } else { "" })
}

impl CardError {
    pub(crate) fn of(card: &CardId, error: &cpal::Error) -> Self {
        let card = card.clone();
        match error.kind() {
            ErrorKind::DeviceBusy => Self::Busy(card),
            ErrorKind::PermissionDenied => Self::Denied(card),
            ErrorKind::DeviceNotAvailable if card.is_default() => Self::NoDefault,
            ErrorKind::DeviceNotAvailable => Self::None { card, known: Vec::new() },
            _ => Self::Failed { card, error: error.to_string() },
        }
    }
}

/// A sound card, for people and programs that choose one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CardInfo {
    /// What to say to use it: `--source device:ID`.
    pub id: String,
    /// Its name for people.
    pub name: String,
    /// What else there is to say.
    pub about: Vec<String>,
    /// Whether it is used when nobody says which: `device:default`.
    pub default: bool,
    /// What it records, or why that is not known; absent if it does not record.
    pub input: Option<Abilities>,
    /// What it plays, or why that is not known; absent if it does not play.
    pub output: Option<Abilities>,
}

/// What a card can do in one direction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Abilities {
    /// This.
    Offers(Vec<Offer>),
    /// It cannot be asked now, because of this.
    Unknown(String),
}

impl std::fmt::Display for Abilities {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Offers(offers) => Summary(offers).fmt(f),
            Self::Unknown(why) => write!(f, "cannot be asked now: {why}"),
        }
    }
}

type MakeHost = dyn Fn() -> Result<cpal::Host, cpal::Error> + Send + Sync;
type Slept = dyn Fn() -> Duration + Send + Sync;

/// Where Linux tells about ALSA's cards.
const ASOUND: &str = "/proc/asound";

/// The sound cards of this machine, or of a host of one's own.
#[derive(Clone)]
pub struct Cards {
    make: Option<Arc<MakeHost>>,
    /// Where the kernel tells about ALSA's cards.
    asound: Arc<Path>,
    /// How long the machine has slept.
    slept: Arc<Slept>,
}

impl Default for Cards {
    /// Those of this machine.
    fn default() -> Self {
        Self { make: None, asound: Path::new(ASOUND).into(), slept: Arc::new(slept) }
    }
}

/// How long this machine has slept since it was started, or less.
fn slept() -> Duration {
    use rustix::time::{ClockId, clock_gettime};
    let clock = |id| Duration::try_from(clock_gettime(id)).unwrap_or_default();
    let boot = clock(ClockId::Boottime);
    boot.saturating_sub(clock(ClockId::Monotonic))
}

impl std::fmt::Debug for Cards {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if self.make.is_some() { "Cards(own)" } else { "Cards(system)" })
    }
}

impl Cards {
    /// Those of the host that `make` makes.
    pub fn of(make: impl Fn() -> Result<cpal::Host, cpal::Error> + Send + Sync + 'static) -> Self {
        Self { make: Some(Arc::new(make)), ..Self::default() }
    }

    /// The numbers of ALSA's cards are told there, in place of `/proc/asound`.
    #[must_use]
    pub fn with_asound(self, asound: &Path) -> Self {
        Self { asound: asound.into(), ..self }
    }

    /// The machine has slept for what `slept` says.
    #[must_use]
    pub fn with_sleep(self, slept: impl Fn() -> Duration + Send + Sync + 'static) -> Self {
        Self { slept: Arc::new(slept), ..self }
    }

    /// How long the machine has slept since it was started.
    pub(crate) fn slept(&self) -> Duration {
        (self.slept)()
    }

    /// The same card by its name, as [`CardId::by_name`] does it. To be asked once: a name stays, a number does not.
    pub(crate) fn by_name(&self, card: &CardId) -> CardId {
        card.by_name(&self.asound)
    }

    /// Every host that answers. Made anew each time: that is when a host looks at what is plugged in.
    fn hosts(&self) -> Vec<cpal::Host> {
        match &self.make {
            Some(make) => make().into_iter().collect(),
            None => cpal::available_hosts().into_iter().filter_map(|id| cpal::host_from_id(id).ok()).collect(),
        }
    }

    /// The host that knows this card.
    fn host(&self, card: &CardId, id: &cpal::DeviceId) -> Result<cpal::Host, CardError> {
        let made = match &self.make {
            Some(make) => make(),
            None => cpal::host_from_id(id.host()),
        };
        let failed = |error: cpal::Error| {
            let (card, host) = (card.clone(), id.host().to_string());
            CardError::Host { card, host, error: error.to_string() }
        };
        made.map_err(failed)
    }

    /// Looks for a card.
    pub(crate) fn find(&self, card: &CardId, way: Way) -> Result<cpal::Device, CardError> {
        if card.is_default() {
            return self.default_card(way).ok_or(CardError::NoDefault);
        }
        let id = card.in_host();
        let host = self.host(card, &id)?;
        let same = |device: &cpal::Device| device.id().is_ok_and(|its| its.id() == id.id());
        let found = host.device_by_id(&id).or_else(|| host.devices().ok()?.find(same));
        found.ok_or_else(|| {
            let goes = |device: &cpal::Device| match way {
                Way::In => device.supports_input(),
                Way::Out => device.supports_output(),
            };
            let known = host.devices().into_iter().flatten().filter(goes).filter_map(|device| device.id().ok());
            let known = known.filter(|id| !is_special(id)).map(|id| CardId::of(&id)).collect();
            CardError::None { card: card.clone(), known }
        })
    }

    fn default_card(&self, way: Way) -> Option<cpal::Device> {
        self.hosts().into_iter().filter(|host| Some(host.id()) != jack()).find_map(|host| match way {
            Way::In => host.default_input_device(),
            Way::Out => host.default_output_device(),
        })
    }

    /// All cards and what they can do; with those that ALSA's configuration defines for special purposes if `all`.
    /// Asks each card, which takes a moment.
    pub fn list(&self, all: bool) -> Vec<CardInfo> {
        let _quiet = Quiet::new();
        let mut list = Vec::new();
        for host in self.hosts() {
            let defaults = [host.default_input_device(), host.default_output_device()];
            let defaults: Vec<_> = defaults.into_iter().flatten().filter_map(|device| device.id().ok()).collect();
            let devices = host.devices().into_iter().flatten();
            let wanted = |device: &cpal::Device| all || device.id().is_ok_and(|id| !is_special(&id));
            list.extend(devices.filter(wanted).filter_map(|device| info(&device, &defaults)));
        }
        list
    }
}

/// JACK's default is whatever its patch bay says: nobody means that without saying so.
fn jack() -> Option<HostId> {
    cpal::available_hosts().into_iter().find(|id| id.to_string() == "jack")
}

/// For a special purpose, or another name of a card: by a number that changes.
fn is_special(id: &cpal::DeviceId) -> bool {
    let (plugin, rest) = id.id().split_once(':').unwrap_or((id.id(), ""));
    let card = rest.strip_prefix("CARD=").and_then(|rest| rest.split(',').next()).unwrap_or_default();
    let number = !card.is_empty() && card.bytes().all(|b| b.is_ascii_digit());
    id.host() == HostId::Alsa && (SPECIAL.contains(&plugin) || number)
}

fn info(device: &cpal::Device, defaults: &[cpal::DeviceId]) -> Option<CardInfo> {
    let id = device.id().ok()?;
    let description = device.description().ok();
    let name = description.as_ref().map_or_else(|| id.id().to_owned(), |d| d.name().to_owned());
    let about = description.iter().flat_map(|d| d.extended()).map(str::to_owned).filter(|line| *line != name).collect();
    let ask = |configs: Result<Vec<_>, cpal::Error>| match configs {
        Ok(configs) if configs.is_empty() => None,
        Ok(configs) => Some(Abilities::Offers(configs.iter().map(Offer::from).collect())),
        Err(error) if matches!(error.kind(), ErrorKind::UnsupportedOperation | ErrorKind::DeviceNotAvailable) => None,
        Err(error) => Some(Abilities::Unknown(error.to_string())),
    };
    let ins = device.supported_input_configs().map(Iterator::collect);
    let outs = device.supported_output_configs().map(Iterator::collect);
    let info = CardInfo {
        default: defaults.contains(&id),
        id: id.to_string(),
        name,
        about,
        input: ask(ins),
        output: ask(outs),
    };
    (info.input.is_some() || info.output.is_some()).then_some(info)
}

//! Which sound card: what a person writes after `device:`.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

/// A sound card's name: `default`, or a host and what the host calls it, `alsa:hw:CARD=PCH,DEV=0`. Without a host,
/// ALSA is meant.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct CardId(String);

/// Not a sound card's name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("device {0:?}: a sound card's name has 1 to 200 visible characters; `livetape devices` lists them")]
pub struct CardIdError(String);

impl CardId {
    const MAX_CHARS: usize = 200;

    /// The card that the system uses when nobody says which.
    pub fn default_card() -> Self {
        Self("default".into())
    }

    /// Whether it is that one.
    pub fn is_default(&self) -> bool {
        self.0 == "default"
    }

    /// As a person writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// By its host.
    pub(crate) fn of(id: &cpal::DeviceId) -> Self {
        Self(id.to_string())
    }

    /// As a host knows it.
    pub(crate) fn in_host(&self) -> cpal::DeviceId {
        self.0.parse().unwrap_or_else(|_| cpal::DeviceId::new(cpal::HostId::Alsa, &self.0))
    }

    /// The same card by its name, if it was given by a number that a card of ALSA has now: another card may have that number
    /// the next time. `asound` is where the kernel tells about cards, `/proc/asound`.
    #[must_use]
    pub(crate) fn by_name(&self, asound: &Path) -> Self {
        let id = self.in_host();
        let named = (id.host() == cpal::HostId::Alsa).then(|| by_name(id.id(), asound)).flatten();
        named.map_or_else(|| self.clone(), |pcm| Self::of(&cpal::DeviceId::new(id.host(), pcm)))
    }
}

impl fmt::Display for CardId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for CardId {
    type Err = CardIdError;
    fn from_str(s: &str) -> Result<Self, CardIdError> {
        let fits = (1..=Self::MAX_CHARS).contains(&s.chars().count()) && !s.chars().any(char::is_control);
        if fits { Ok(Self(s.into())) } else { Err(CardIdError(s.chars().take(40).collect())) }
    }
}

/// PCMs of ALSA's configuration whose first argument is a card, and whether the second is one of its devices.
const OF_A_CARD: [(&str, bool); 19] = [
    ("hw", true),
    ("plughw", true),
    ("dsnoop", true),
    ("dmix", true),
    ("default", false),
    ("sysdefault", false),
    ("usbstream", false),
    ("front", true),
    ("rear", true),
    ("side", true),
    ("center_lfe", true),
    ("surround21", true),
    ("surround40", true),
    ("surround41", true),
    ("surround50", true),
    ("surround51", true),
    ("surround71", true),
    ("hdmi", true),
    ("iec958", true),
];

/// `hw:1,0` and `hw:CARD=1,DEV=0` as `hw:CARD=USB,DEV=0`, the way in which ALSA lists them; `None` where no number of a card
/// that is there is named.
fn by_name(pcm: &str, asound: &Path) -> Option<String> {
    let (plugin, rest) = pcm.split_once(':')?;
    let &(_, has_device) = OF_A_CARD.iter().find(|(known, _)| *known == plugin)?;
    let mut arguments: Vec<String> = rest.split(',').map(|argument| argument.trim().to_owned()).collect();
    let card = match arguments.iter().position(|argument| argument.starts_with("CARD=")) {
        Some(at) => at,
        None if arguments.first()?.contains('=') => return None,
        None => 0,
    };
    let number = arguments.get(card)?.trim_start_matches("CARD=").parse::<u32>().ok()?;
    let name = std::fs::read_to_string(asound.join(format!("card{number}/id"))).ok()?;
    let name = name.trim();
    if name.is_empty() {
        return None;
    }
    *arguments.get_mut(card)? = format!("CARD={name}");
    if has_device && card == 0 {
        match arguments.get_mut(1) {
            None => arguments.push("DEV=0".into()),
            Some(device) if device.contains('=') => {}
            Some(device) => *device = format!("DEV={device}"),
        }
    }
    Some(format!("{plugin}:{}", arguments.join(",")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_and_without_a_host() {
        let in_host = |s: &str| s.parse::<CardId>().unwrap().in_host().to_string();
        assert_eq!(in_host("alsa:hw:CARD=PCH,DEV=0"), "alsa:hw:CARD=PCH,DEV=0");
        assert_eq!(in_host("hw:CARD=PCH,DEV=0"), "alsa:hw:CARD=PCH,DEV=0");
        assert_eq!(in_host("mic0"), "alsa:mic0");
        assert!(CardId::default_card().is_default() && "default".parse::<CardId>().unwrap().is_default());
        for bad in ["", "a\nb", &"x".repeat(201)] {
            assert!(bad.parse::<CardId>().unwrap_err().to_string().len() < 250);
        }
    }

    #[test]
    fn a_number_is_the_name_of_the_card_that_has_it_now() {
        let asound = tempfile::tempdir().unwrap();
        for (number, name) in [(0, "PCH\n"), (1, "USB\n"), (2, "")] {
            let card = asound.path().join(format!("card{number}"));
            std::fs::create_dir(&card).unwrap();
            std::fs::write(card.join("id"), name).unwrap();
        }
        for (given, named) in [
            ("hw:1,0", "alsa:hw:CARD=USB,DEV=0"),
            ("alsa:hw:1", "alsa:hw:CARD=USB,DEV=0"),
            ("hw:CARD=1,DEV=3", "alsa:hw:CARD=USB,DEV=3"),
            ("hw:DEV=3,CARD=1", "alsa:hw:DEV=3,CARD=USB"),
            ("plughw: 0 , 1", "alsa:plughw:CARD=PCH,DEV=1"),
            ("hw:1,0,2", "alsa:hw:CARD=USB,DEV=0,2"),
            ("sysdefault:1", "alsa:sysdefault:CARD=USB"),
            ("sysdefault:CARD=1", "alsa:sysdefault:CARD=USB"),
            ("default:0", "alsa:default:CARD=PCH"),
            ("dsnoop:0", "alsa:dsnoop:CARD=PCH,DEV=0"),
        ] {
            assert_eq!(given.parse::<CardId>().unwrap().by_name(asound.path()).as_str(), named, "{given}");
        }
        // A name already, no card, one that is not there, one without a name, arguments that are no cards.
        for same in [
            "hw:CARD=PCH,DEV=0",
            "hw:USB,0",
            "default",
            "mic0",
            "hw:3,0",
            "hw:2,0",
            "mine:1",
            "plug:1",
            "hw:DEV=1",
            "hw:",
        ] {
            assert_eq!(same.parse::<CardId>().unwrap().by_name(asound.path()).as_str(), same);
        }
        let other_host = "custom:hw:1,0".parse::<CardId>().unwrap();
        assert_eq!(other_host.by_name(asound.path()), other_host);
    }
}

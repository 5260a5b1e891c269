//! Which sound card: what a person writes after `device:`.

use std::fmt;
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

    /// As a host knows it, by the card's name: a card's number changes with the order in which cards are plugged in.
    pub(crate) fn in_host(&self) -> cpal::DeviceId {
        let id = self.0.parse().unwrap_or_else(|_| cpal::DeviceId::new(cpal::HostId::Alsa, &self.0));
        if id.host() == cpal::HostId::Alsa { cpal::DeviceId::new(id.host(), by_name(id.id())) } else { id }
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

/// `hw:1,0` and `hw:CARD=1,DEV=0` as `hw:CARD=USB,DEV=0`, if card 1 is there and has that name.
fn by_name(pcm: &str) -> String {
    let named = || {
        let (plugin, rest) = pcm.split_once(':')?;
        let (card, device) = rest.split_once(',').unwrap_or((rest, "0"));
        let card = card.trim().trim_start_matches("CARD=");
        let number: u32 = card.parse().ok()?;
        let name = std::fs::read_to_string(format!("/proc/asound/card{number}/id")).ok()?;
        Some(format!("{plugin}:CARD={},DEV={}", name.trim(), device.trim().trim_start_matches("DEV=")))
    };
    named().unwrap_or_else(|| pcm.into())
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
        assert_eq!(in_host("hw:4000,0"), "alsa:hw:4000,0", "there is no such card");
        assert!(CardId::default_card().is_default() && "default".parse::<CardId>().unwrap().is_default());
        for bad in ["", "a\nb", &"x".repeat(201)] {
            assert!(bad.parse::<CardId>().unwrap_err().to_string().len() < 250);
        }
    }
}

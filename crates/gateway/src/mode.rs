//! What a growing recording says about its length: no single reply to `Range: bytes=0-` works for every player.
//!
//! Browsers want an unknown total (`*`); everything built on libavformat reads that as zero and plays noise, and
//! wants a constant one. So the reply depends on who asks, unless the address says it: `?len=star|huge|now|none`.
//! Pure. Not here: what each mode sends (`answer`).

use std::str::FromStr;

/// The total that `huge` claims: 2^40 bytes. Above every recording (2^39), below 2^46, where Firefox gives up.
pub(crate) const HUGE_TOTAL: u64 = 1 << 40;

/// Request headers by which the mode is chosen, for `Vary`.
pub(crate) const VARY: &str = "Sec-Fetch-Dest, User-Agent, Icy-MetaData";

/// What is said about the length while it is not known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mode {
    /// An unknown total, `*`, and a body that follows. For browsers.
    Star,
    /// A constant total of [`HUGE_TOTAL`] and a body that follows. For players and unknown clients.
    Huge,
    /// What exists now, as if it were finished. For downloads, editors and scripts.
    Now,
    /// No ranges from the start: 200 and a body that follows; later starts as with `Star`.
    None,
}

/// What of a request the choice depends on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Hints<'a> {
    /// `len` of the address.
    pub len: Option<Mode>,
    /// Whether `Icy-MetaData` was sent.
    pub icy: bool,
    /// `User-Agent`.
    pub user_agent: Option<&'a str>,
    /// `Sec-Fetch-Dest`.
    pub fetch_dest: Option<&'a str>,
    /// Whether the audio is compressed: then nobody looks for its end, which would be far from what exists.
    pub compressed: bool,
}

impl Mode {
    /// The first rule that fits: the address; players on libavformat; browsers; everybody else.
    pub(crate) fn choose(hints: Hints<'_>) -> Self {
        let agent = hints.user_agent.unwrap_or_default();
        let browser = matches!(hints.fetch_dest, Some("audio" | "video")) || agent.starts_with("Mozilla/");
        let libavformat = hints.icy || agent.starts_with("Lavf/") || agent.starts_with("libmpv");
        match hints.len {
            Some(mode) => mode,
            None if libavformat => Self::Huge,
            None if browser => Self::Star,
            None if hints.compressed => Self::None,
            None => Self::Huge,
        }
    }
}

impl FromStr for Mode {
    type Err = ();
    fn from_str(s: &str) -> Result<Self, ()> {
        match s {
            "star" => Ok(Self::Star),
            "huge" => Ok(Self::Huge),
            "now" => Ok(Self::Now),
            "none" => Ok(Self::None),
            _ => Err(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agent(user_agent: &str) -> Hints<'_> {
        Hints { user_agent: Some(user_agent), ..Hints::default() }
    }

    #[test]
    fn the_address_comes_first() {
        for (text, mode) in [("star", Mode::Star), ("huge", Mode::Huge), ("now", Mode::Now), ("none", Mode::None)] {
            let asked = Hints { len: text.parse().ok(), icy: true, ..agent("Mozilla/5.0") };
            assert_eq!(Mode::choose(asked), mode);
        }
        assert!("Star".parse::<Mode>().is_err());
    }

    #[test]
    fn libavformat_never_gets_a_star() {
        assert_eq!(Mode::choose(agent("Lavf/59.27.100")), Mode::Huge);
        assert_eq!(Mode::choose(agent("libmpv")), Mode::Huge);
        let dressed_up = Hints { icy: true, fetch_dest: Some("audio"), ..agent("Mozilla/5.0") };
        assert_eq!(Mode::choose(dressed_up), Mode::Huge);
    }

    #[test]
    fn browsers_get_a_star() {
        assert_eq!(Mode::choose(agent("Mozilla/5.0 (X11; Linux x86_64)")), Mode::Star);
        for dest in ["audio", "video"] {
            assert_eq!(Mode::choose(Hints { fetch_dest: Some(dest), ..Hints::default() }), Mode::Star);
        }
        assert_eq!(Mode::choose(Hints { fetch_dest: Some("document"), ..Hints::default() }), Mode::Huge);
    }

    #[test]
    fn compressed_audio_is_followed() {
        let compressed = |hints| Mode::choose(Hints { compressed: true, ..hints });
        assert_eq!(compressed(Hints::default()), Mode::None);
        assert_eq!(compressed(agent("Lavf/59.27.100")), Mode::Huge);
        assert_eq!(compressed(agent("Mozilla/5.0")), Mode::Star);
    }

    #[test]
    fn everybody_else_gets_huge() {
        assert_eq!(Mode::choose(Hints::default()), Mode::Huge);
        assert_eq!(Mode::choose(agent("curl/7.88.1")), Mode::Huge);
        assert_eq!(Mode::choose(agent("VLC/3.0.24 LibVLC/3.0.24")), Mode::Huge);
    }
}

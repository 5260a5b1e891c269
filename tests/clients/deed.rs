//! What a person does with a player, and how the table in docs/players.md names it.

use std::fmt::{Display, Formatter, Result};

/// A rendition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Wav,
    Mp3,
    Opus,
    Flac,
}

impl Kind {
    /// Ending of its addresses.
    pub(crate) const fn extension(self) -> &'static str {
        match self {
            Self::Wav => "wav",
            Self::Mp3 => "mp3",
            Self::Opus => "opus",
            Self::Flac => "flac",
        }
    }
}

/// What a person does with a player.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Deed {
    Live(Kind),
    Behind,
    Opens(Kind),
    Seeks(Kind),
    Tells,
    Beyond,
    Edge,
    Ahead,
    Far,
    Ends(Kind),
    Finished(Kind),
    Exact,
    Part,
    Page,
    Long,
    Tracks,
    Steady,
    Titles,
    NoNoise,
}

impl Deed {
    /// In the order of the table.
    pub(crate) const ALL: [Self; 29] = [
        Self::Live(Kind::Wav),
        Self::Behind,
        Self::Opens(Kind::Wav),
        Self::Seeks(Kind::Wav),
        Self::Tells,
        Self::Beyond,
        Self::Edge,
        Self::Ahead,
        Self::Far,
        Self::Ends(Kind::Wav),
        Self::Exact,
        Self::Finished(Kind::Wav),
        Self::Part,
        Self::Page,
        Self::Long,
        Self::Live(Kind::Mp3),
        Self::Titles,
        Self::Opens(Kind::Mp3),
        Self::Seeks(Kind::Mp3),
        Self::Ends(Kind::Mp3),
        Self::Finished(Kind::Mp3),
        Self::Live(Kind::Opus),
        Self::Steady,
        Self::Opens(Kind::Opus),
        Self::Seeks(Kind::Opus),
        Self::Ends(Kind::Opus),
        Self::Tracks,
        Self::Finished(Kind::Opus),
        Self::Live(Kind::Flac),
    ];
    /// Comes after everything else.
    pub(crate) const LAST: Self = Self::NoNoise;
}

impl Display for Deed {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.write_str(match self {
            Self::Live(kind) => return write!(f, "`live.{}`: hears what is recorded now", kind.extension()),
            Self::Behind => "`live.wav?offset=20`: hears what was recorded 20 s ago, and goes on",
            Self::Opens(kind) => {
                return write!(f, "a growing recording, `audio.{}`: opens, from the start", kind.extension());
            }
            Self::Seeks(_) => "seeks in it, forth and back",
            Self::Tells => "says where it is then",
            Self::Beyond => "seeks beyond the length that it had when it was opened",
            Self::Edge => "follows what is recorded meanwhile",
            Self::Ahead => "seeks 3 s ahead of the recording: waits, and plays",
            Self::Far => "seeks an hour ahead of it: another seek brings it back",
            Self::Ends(_) => "ends when the recording does, within 25 s, with its last second",
            Self::Exact => "run from the start to that end: every sample, and exit code 0",
            Self::Finished(Kind::Wav) => "a finished recording: opens, seeks, ends",
            Self::Finished(_) => "finished: opens, seeks, ends",
            Self::Part => "`?pos=`: begins there, and follows",
            Self::Page => "the page at `/`: plays live, from the start, and from second 50",
            Self::Long => "past 4 GiB (23,000 s): seeks there, in `audio.rf64` or `audio.wav`",
            Self::Tracks => "shows its duration while it grows, within 1 s of what there is; at the end exactly",
            Self::Steady => "`live.opus?burst=5`: sound from what comes at once, and 15 s without a break",
            Self::Titles => "shows the title of what is played (ICY), and the next one",
            Self::NoNoise => "in all this never louder than what was recorded",
        })
    }
}

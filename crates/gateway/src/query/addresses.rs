//! What each kind of address asks for, read from its query.

use super::Parameters;
use super::known::{
    DEFAULT_MINUTES, DEFAULT_WIDTH, ENTRIES, EVENTS, LIST, LIVE, LOUDNESS, MAX_BURST, MAX_ENTRIES, MAX_MINUTES,
    MAX_RECORDINGS, MAX_STREAMS, MAX_WIDTH, MP3_PART, PART, PEAKS, PLAIN, PLAYLIST, RECORDING, STREAMS,
};
use super::number;
use crate::mode::Mode;
use crate::problem::Problem;
use crate::rendition::{Named, Wanted};
use livetape_audio::time::parse_seconds;
use livetape_audio::{Moment, RecordingId, StreamName, ViewAddress, WallTime};
use std::str::FromStr;
use std::time::Duration;

/// Addresses a part of a recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct RecordingAddress {
    /// Which part.
    pub(crate) view: ViewAddress,
    /// What to say about the length.
    pub(crate) len: Option<Mode>,
    /// In which rendition.
    pub(crate) wanted: Wanted,
}

/// Addresses a stream's live audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LiveAddress {
    pub(crate) join: Join,
    /// In which rendition.
    pub(crate) wanted: Wanted,
}

/// Where a listener joins a stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Join {
    /// At the live edge, with so much audio at once; by default what starts players quickly.
    Edge(Option<Duration>),
    /// So much recorded audio behind the edge.
    Behind(Duration),
    /// At a time of day.
    At(WallTime),
}

/// Which recordings to list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ListAddress {
    pub(crate) stream: Option<StreamName>,
    pub(crate) from: Option<WallTime>,
    pub(crate) to: Option<WallTime>,
    pub(crate) after: Option<RecordingId>,
    pub(crate) limit: usize,
}

/// Which entries of a timeline: so many, after the first `after` ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EntriesAddress {
    pub(crate) after: usize,
    pub(crate) limit: usize,
}

/// Which streams: so many, after this name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct StreamsAddress {
    pub(crate) after: Option<StreamName>,
    pub(crate) limit: usize,
}

/// Which part of a recording, in how many points.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PeaksAddress {
    pub(crate) view: ViewAddress,
    pub(crate) width: u32,
}

/// Which part of a recording, and how many of its minutes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LoudnessAddress {
    pub(crate) view: ViewAddress,
    pub(crate) minutes: u32,
}

/// Which part of a recording, as it is now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct ClipAddress(pub(crate) ViewAddress);

/// The same, and in which rendition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Mp3ClipAddress {
    pub(crate) view: ViewAddress,
    pub(crate) wanted: Wanted,
}

/// Whether an event stream tells levels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct EventsAddress {
    pub(crate) levels: bool,
}

/// What a playlist leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct PlaylistAddress {
    pub(crate) rendition: Option<Named>,
}

/// Nothing: of everything that takes no parameters.
pub(crate) struct Plain;

/// `pos`, `from`, `to`, `len` of `/recordings/{id}/audio.…`.
impl FromStr for RecordingAddress {
    type Err = Problem;
    fn from_str(query: &str) -> Result<Self, Problem> {
        let q = Parameters::parse(query, RECORDING, |name| match name {
            "at" | "offset" | "burst" => "this belongs to a stream's live address; here use `pos` or `from`",
            _ => "a recording takes pos, from, to and len; compressed, also rendition, bitrate and ch",
        })?;
        if q.has("pos") && q.has("from") {
            return Err(Problem::bad_request("pos and from both say where to start", "give one of them"));
        }
        let from = q.take("pos", Moment::from_str)?.or(q.take("from", Moment::from_str)?);
        let len = |s: &str| Mode::from_str(s).map_err(|()| "len is one of star, huge, now and none");
        Ok(Self {
            view: ViewAddress { from, to: q.take("to", Moment::from_str)? },
            len: q.take("len", len)?,
            wanted: q.wanted()?,
        })
    }
}

/// `burst`, `offset`, `at` of `/streams/{stream}/live.…`.
impl FromStr for LiveAddress {
    type Err = Problem;
    fn from_str(query: &str) -> Result<Self, Problem> {
        let q = Parameters::parse(query, LIVE, |name| match name {
            "pos" | "from" | "to" | "len" => "this belongs to a recording's address; a stream takes offset or at",
            _ => "a stream takes burst, offset and at; compressed, also rendition, bitrate and ch",
        })?;
        let wanted = q.wanted()?;
        let burst = |s: &str| match parse_seconds(s) {
            Ok(d) if d <= MAX_BURST => Ok(d),
            _ => Err("burst is a number of seconds from 0 to 30"),
        };
        let (burst, behind) = (q.take("burst", burst)?, q.take("offset", parse_seconds)?);
        match (burst, behind, q.take("at", WallTime::from_str)?) {
            (None, Some(d), None) => Ok(Self { join: Join::Behind(d), wanted }),
            (None, None, Some(t)) => Ok(Self { join: Join::At(t), wanted }),
            (burst, None, None) => Ok(Self { join: Join::Edge(burst), wanted }),
            _ => Err(Problem::bad_request("burst, offset and at each say where to start", "give one of them")),
        }
    }
}

/// `stream`, `from`, `to`, `after`, `limit` of `/recordings`.
impl FromStr for ListAddress {
    type Err = Problem;
    fn from_str(query: &str) -> Result<Self, Problem> {
        let q = Parameters::parse(query, LIST, |_| "a list takes stream, from, to, after and limit")?;
        let (from, to) = (q.take("from", WallTime::from_str)?, q.take("to", WallTime::from_str)?);
        if let (Some(from), Some(to)) = (from, to)
            && to <= from
        {
            return Err(Problem::bad_request("to is not after from", "let `to` be the later time"));
        }
        Ok(Self {
            stream: q.take("stream", StreamName::from_str)?,
            from,
            to,
            after: q.take("after", RecordingId::from_str)?,
            limit: q.take("limit", |s| number(s, 1, MAX_RECORDINGS))?.unwrap_or(100),
        })
    }
}

/// `after`, `limit` of `/streams`.
impl FromStr for StreamsAddress {
    type Err = Problem;
    fn from_str(query: &str) -> Result<Self, Problem> {
        let q = Parameters::parse(query, STREAMS, |_| "the list of streams takes after and limit")?;
        Ok(Self {
            after: q.take("after", StreamName::from_str)?,
            limit: q.take("limit", |s| number(s, 1, MAX_STREAMS))?.unwrap_or(MAX_STREAMS),
        })
    }
}

/// `after`, `limit` of `/recordings/{id}/timeline`.
impl FromStr for EntriesAddress {
    type Err = Problem;
    fn from_str(query: &str) -> Result<Self, Problem> {
        let q = Parameters::parse(query, ENTRIES, |_| "a timeline takes after and limit")?;
        Ok(Self {
            after: q.take("after", |s| number(s, 0, usize::MAX))?.unwrap_or(0),
            limit: q.take("limit", |s| number(s, 1, MAX_ENTRIES))?.unwrap_or(MAX_ENTRIES),
        })
    }
}

/// `from`, `to`, `width` of `/recordings/{id}/peaks`.
impl FromStr for PeaksAddress {
    type Err = Problem;
    fn from_str(query: &str) -> Result<Self, Problem> {
        let q = Parameters::parse(query, PEAKS, |_| "peaks take from, to and width")?;
        let view = ViewAddress { from: q.take("from", Moment::from_str)?, to: q.take("to", Moment::from_str)? };
        let width = |s: &str| number(s, 1, MAX_WIDTH);
        let width = q.take("width", width)?.and_then(|width| u32::try_from(width).ok());
        Ok(Self { view, width: width.unwrap_or(DEFAULT_WIDTH) })
    }
}

/// `from`, `to`, `minutes` of `/recordings/{id}/loudness`.
impl FromStr for LoudnessAddress {
    type Err = Problem;
    fn from_str(query: &str) -> Result<Self, Problem> {
        let q = Parameters::parse(query, LOUDNESS, |_| "loudness takes from, to and minutes")?;
        let view = ViewAddress { from: q.take("from", Moment::from_str)?, to: q.take("to", Moment::from_str)? };
        let minutes = |s: &str| number(s, 0, MAX_MINUTES);
        let minutes = q.take("minutes", minutes)?.and_then(|minutes| u32::try_from(minutes).ok());
        Ok(Self { view, minutes: minutes.unwrap_or(DEFAULT_MINUTES) })
    }
}

/// `from`, `to` of `/recordings/{id}/clip.wav`.
impl FromStr for ClipAddress {
    type Err = Problem;
    fn from_str(query: &str) -> Result<Self, Problem> {
        let q = Parameters::parse(query, PART, |_| "a clip takes from and to")?;
        Ok(Self(ViewAddress { from: q.take("from", Moment::from_str)?, to: q.take("to", Moment::from_str)? }))
    }
}

/// The same of `/recordings/{id}/clip.mp3`, and how it is compressed.
impl FromStr for Mp3ClipAddress {
    type Err = Problem;
    fn from_str(query: &str) -> Result<Self, Problem> {
        let q = Parameters::parse(
            query,
            MP3_PART,
            |_| "a clip takes from and to; compressed, also rendition, bitrate and ch",
        )?;
        let view = ViewAddress { from: q.take("from", Moment::from_str)?, to: q.take("to", Moment::from_str)? };
        Ok(Self { view, wanted: q.wanted()? })
    }
}

/// `levels` of event streams.
impl FromStr for EventsAddress {
    type Err = Problem;
    fn from_str(query: &str) -> Result<Self, Problem> {
        let q = Parameters::parse(query, EVENTS, |_| "event streams take levels")?;
        let on = |s: &str| match s {
            "on" => Ok(true),
            "off" => Ok(false),
            _ => Err("levels is on or off"),
        };
        Ok(Self { levels: q.take("levels", on)?.unwrap_or(false) })
    }
}

/// `rendition` of playlists.
impl FromStr for PlaylistAddress {
    type Err = Problem;
    fn from_str(query: &str) -> Result<Self, Problem> {
        let q = Parameters::parse(query, PLAYLIST, |_| "a playlist takes rendition")?;
        Ok(Self { rendition: q.take("rendition", Named::from_str)? })
    }
}

/// None. `v` is for whoever needs a fresh URL.
impl FromStr for Plain {
    type Err = Problem;
    fn from_str(query: &str) -> Result<Self, Problem> {
        Parameters::parse(query, PLAIN, |_| "this address takes no parameters").map(|_| Self)
    }
}

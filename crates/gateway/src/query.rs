//! Addresses: what the query of a URL means. Whatever is unknown, said twice or contradictory is refused by name,
//! because a misspelt `pso=600` that plays from the start is worse than an error. Pure.

use crate::mode::Mode;
use crate::problem::{Problem, quoted};
use crate::rendition::{Named, Wanted};
use axum::extract::FromRequestParts;
use http::request::Parts;
use livetape_audio::time::parse_seconds;
use livetape_audio::{Moment, RecordingId, StreamName, ViewAddress, WallTime};
use livetape_codec::encode::Pick;
use livetape_store::{Measured, Peaks};
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

/// Longest query that is looked at, in bytes.
const MAX_QUERY: usize = 2_048;
/// Longest `burst`.
const MAX_BURST: Duration = Duration::from_secs(30);
/// Highest `bitrate` that is looked at.
const MAX_BITRATE: usize = 10_000;
/// Most entries of one page, of streams, of recordings and of a timeline.
const MAX_STREAMS: usize = 1_000;
const MAX_RECORDINGS: usize = 1_000;
const MAX_ENTRIES: usize = 10_000;

/// A parameter that an address takes. What is not in the list of an address is refused there, so what the description
/// of the interface says of parameters is all that there is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Parameter {
    pub(crate) name: &'static str,
    /// What it says, for people.
    pub(crate) says: &'static str,
    pub(crate) shape: Shape,
}

/// What the value of a parameter looks like.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Shape {
    /// A number of seconds, with up to nine decimals.
    Seconds {
        max: Option<u64>,
    },
    /// A number of seconds, or a time of day.
    Moment,
    /// RFC 3339 with an offset.
    TimeOfDay,
    /// A whole number.
    Number {
        min: usize,
        max: usize,
        default: usize,
    },
    Stream,
    Recording,
    /// One of these words.
    Word(&'static [&'static str]),
    /// Anything.
    Text,
}

const fn parameter(name: &'static str, shape: Shape, says: &'static str) -> Parameter {
    Parameter { name, says, shape }
}

const FRESH: Parameter = parameter("v", Shape::Text, "Ignored: for whoever needs an address that no cache knows.");

const BITRATE: Parameter = parameter(
    "bitrate",
    Shape::Number { min: 1, max: MAX_BITRATE, default: 128 },
    "Of MP3 and Opus, in kbit/s: one of those that are offered. By default the first of them.",
);
const CHANNELS: Parameter = parameter(
    "ch",
    Shape::Text,
    "Which channels of the recording are heard, from 1 on, as in `1,2`: one or two for MP3 and Opus, where the first two are \
     heard by default, and up to eight for FLAC. `stereo` and `mono`, of MP3 and Opus: all of them mixed after ITU-R BS.775, as \
     if they were for the loudspeakers that so many channels usually are for.",
);
const RENDITION: Parameter = parameter(
    "rendition",
    Shape::Text,
    "The rendition by its name, as `mp3-128`, `opus-96` or `flac`: the same as extension and `bitrate`.",
);

/// Of a recording's audio.
pub(crate) const RECORDING: &[Parameter] = &[
    parameter("pos", Shape::Moment, "Where to start: recorded seconds from the first frame, or a time of day."),
    parameter("from", Shape::Moment, "The same as `pos`; only one of them may be given."),
    parameter("to", Shape::Moment, "Where to end, behind the start. What lies ahead of the tail is waited for."),
    parameter(
        "len",
        Shape::Word(&["star", "huge", "now", "none"]),
        "What to say about a length that is not known yet: an unknown total, a constant huge one, what exists now as if it \
         were all, or no ranges at first. By default the kind of client decides.",
    ),
    RENDITION,
    BITRATE,
    CHANNELS,
    FRESH,
];

/// Of a stream's live audio.
pub(crate) const LIVE: &[Parameter] = &[
    parameter(
        "burst",
        Shape::Seconds { max: Some(MAX_BURST.as_secs()) },
        "How much audio to send at once at the start.",
    ),
    parameter("offset", Shape::Seconds { max: None }, "So many recorded seconds behind the live edge."),
    parameter("at", Shape::TimeOfDay, "From this time of day on. Only one of `burst`, `offset` and `at` may be given."),
    RENDITION,
    BITRATE,
    CHANNELS,
    FRESH,
];

/// Of the list of recordings.
pub(crate) const LIST: &[Parameter] = &[
    parameter("stream", Shape::Stream, "Only recordings of this stream."),
    parameter("from", Shape::TimeOfDay, "Only recordings with audio at this time or later."),
    parameter("to", Shape::TimeOfDay, "Only recordings with audio before this time, which is after `from`."),
    parameter("after", Shape::Recording, "`next` of the page before."),
    parameter("limit", Shape::Number { min: 1, max: MAX_RECORDINGS, default: 100 }, "Most recordings of the page."),
];

/// Of the list of streams.
pub(crate) const STREAMS: &[Parameter] = &[
    parameter("after", Shape::Stream, "`next` of the page before."),
    parameter("limit", Shape::Number { min: 1, max: MAX_STREAMS, default: MAX_STREAMS }, "Most streams of the page."),
];

/// Of playlists.
pub(crate) const PLAYLIST: &[Parameter] = &[
    parameter(
        "rendition",
        Shape::Text,
        "What the playlist leads to, as `mp3-128`, `opus-96`, `flac` or `wav`; by default what most players play.",
    ),
    FRESH,
];

/// Of a timeline.
pub(crate) const ENTRIES: &[Parameter] = &[
    parameter("after", Shape::Number { min: 0, max: usize::MAX, default: 0 }, "`next` of the page before."),
    parameter("limit", Shape::Number { min: 1, max: MAX_ENTRIES, default: MAX_ENTRIES }, "Most entries of the page."),
];

/// Of everything that takes no parameters.
pub(crate) const PLAIN: &[Parameter] = &[FRESH];

/// Points of a waveform, if nothing is said.
const DEFAULT_WIDTH: u32 = 1_000;
const MAX_WIDTH: usize = Peaks::MAX_WIDTH as usize;

/// Of a part of a recording that is wanted as it is now: a clip.
pub(crate) const PART: &[Parameter] = &[
    parameter("from", Shape::Moment, "Where it starts: recorded seconds from the first frame, or a time of day."),
    parameter("to", Shape::Moment, "Where it ends, behind the start; by default as far as is recorded."),
    FRESH,
];

/// Of event streams.
pub(crate) const EVENTS: &[Parameter] =
    &[parameter("levels", Shape::Word(&["on", "off"]), "Whether to tell how loud it is, too; by default not."), FRESH];

/// Of waveform data.
pub(crate) const PEAKS: &[Parameter] = &[
    parameter("from", Shape::Moment, "Where to start: recorded seconds from the first frame, or a time of day."),
    parameter("to", Shape::Moment, "Where to end, behind the start; what lies ahead of the tail is left out."),
    parameter("width", Shape::Number { min: 1, max: MAX_WIDTH, default: DEFAULT_WIDTH as usize }, "Most points."),
    FRESH,
];

/// Minutes of which the loudness is told each by itself, if nothing is said.
const DEFAULT_MINUTES: u32 = 60;
const MAX_MINUTES: usize = Measured::MAX_MINUTES as usize;

/// Of loudness.
pub(crate) const LOUDNESS: &[Parameter] = &[
    parameter("from", Shape::Moment, "Where to start: recorded seconds from the first frame, or a time of day."),
    parameter("to", Shape::Moment, "Where to end, behind the start; what lies ahead of the tail is left out."),
    parameter(
        "minutes",
        Shape::Number { min: 0, max: MAX_MINUTES, default: DEFAULT_MINUTES as usize },
        "Of so many minutes, from the start on, each by itself.",
    ),
    FRESH,
];

/// What a request's query says, as a handler takes it.
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: FromStr<Err = Problem>> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.uri.query().unwrap_or_default().parse().map(Self)
    }
}

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

fn number(s: &str, min: usize, max: usize) -> Result<usize, String> {
    let digits = !s.is_empty() && s.bytes().all(|b| b.is_ascii_digit());
    let n = s.parse().ok().filter(|n| digits && (min..=max).contains(n));
    n.ok_or_else(|| format!("this is a whole number from {min} to {max}"))
}

/// Names and values, decoded.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn wanted(&self) -> Result<Wanted, Problem> {
        let bitrate = self.take("bitrate", |s| number(s, 1, MAX_BITRATE))?;
        let bitrate = bitrate.and_then(|kbps| u32::try_from(kbps).ok());
        let named = self.take("rendition", Named::from_str)?;
        Ok(Wanted { named, bitrate, pick: self.take("ch", Pick::from_str)? })
    }

    fn parse(query: &str, known: &[Parameter], hint: impl Fn(&str) -> &'static str) -> Result<Self, Problem> {
        if query.len() > MAX_QUERY {
            return Err(Problem::bad_request(format!("the query is longer than {MAX_QUERY} bytes"), "shorten it"));
        }
        let mut pairs: Vec<(String, String)> = Vec::new();
        for pair in query.split('&').filter(|p| !p.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let (Some(name), Some(value)) = (decode(name), decode(value)) else {
                return Err(Problem::bad_request("the query is not UTF-8 in percent-encoding", "encode it again"));
            };
            if known.iter().all(|known| known.name != name) {
                let error = format!("the parameter {:?} is unknown here", quoted(&name));
                return Err(Problem::bad_request(error, hint(&name)));
            }
            if pairs.iter().any(|(n, _)| *n == name) {
                return Err(Problem::bad_request(format!("{name} is given twice"), "give it once"));
            }
            pairs.push((name, value));
        }
        Ok(Self(pairs))
    }

    fn has(&self, name: &str) -> bool {
        self.0.iter().any(|(n, _)| n == name)
    }

    fn take<T, E: Display>(&self, name: &str, parse: impl FnOnce(&str) -> Result<T, E>) -> Result<Option<T>, Problem> {
        let Some((_, value)) = self.0.iter().find(|(n, _)| n == name) else { return Ok(None) };
        let refused =
            |why: E| Problem::bad_request(format!("{name}={:?} was not understood", quoted(value)), why.to_string());
        parse(value).map(Some).map_err(refused)
    }
}

/// Undoes percent-encoding, and `+` for a space. `None` for bad escapes and what is not UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => hex(bytes.next()?)? << 4 | hex(bytes.next()?)?,
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(out).ok()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|n| u8::try_from(n).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seconds(n: u64) -> Duration {
        Duration::from_secs(n)
    }

    #[test]
    fn parts_of_a_recording() {
        let recording = str::parse::<RecordingAddress>;
        let position = |n| Some(Moment::Position(seconds(n)));
        let all = recording("").unwrap();
        assert_eq!((all.view, all.len), (ViewAddress::default(), None));
        let part = recording("pos=10&to=20&len=star&v=3").unwrap();
        assert_eq!(part.view, ViewAddress { from: position(10), to: position(20) });
        assert_eq!(part.len, Some(Mode::Star));
        assert_eq!(recording("from=10").unwrap().view.from, position(10));
        let noon = "2026-11-20T12:00:00Z".parse().unwrap();
        for text in ["from=2026-11-20T13:00:00+01:00", "from=2026-11-20T13%3A00%3A00%2B01%3A00"] {
            assert_eq!(recording(text).unwrap().view.from, Some(Moment::TimeOfDay(noon)));
        }
    }

    #[test]
    fn joining_a_stream() {
        let live = |text: &str| text.parse::<LiveAddress>().map(|address| address.join);
        assert_eq!(live(""), Ok(Join::Edge(None)));
        assert_eq!(live("burst=0"), Ok(Join::Edge(Some(Duration::ZERO))));
        assert_eq!(live("burst=30"), Ok(Join::Edge(Some(seconds(30)))));
        assert_eq!(live("offset=600"), Ok(Join::Behind(seconds(600))));
        let noon = "2026-11-20T12:00:00Z".parse().unwrap();
        assert_eq!(live("at=2026-11-20T12:00:00Z"), Ok(Join::At(noon)));
    }

    #[test]
    fn refused_by_name() {
        let recording = str::parse::<RecordingAddress>;
        let live = str::parse::<LiveAddress>;
        let list = str::parse::<ListAddress>;
        let entries = str::parse::<EntriesAddress>;
        let texts: Vec<_> = [
            recording("pso=10").unwrap_err(),
            recording("pos=1&from=1").unwrap_err(),
            recording("pos=1&pos=2").unwrap_err(),
            recording("pos=-1").unwrap_err(),
            recording("pos=").unwrap_err(),
            recording("pos").unwrap_err(),
            recording("len=all").unwrap_err(),
            recording("offset=10").unwrap_err(),
            recording("pos=%ff").unwrap_err(),
            recording("pos=%2").unwrap_err(),
            live("pos=1").unwrap_err(),
            live("burst=31").unwrap_err(),
            live("offset=1&at=2026-11-20T12:00:00Z").unwrap_err(),
            live("offset=1&burst=1").unwrap_err(),
            live("at=yesterday").unwrap_err(),
            live("bitrate=0").unwrap_err(),
            live("bitrate=-1").unwrap_err(),
            recording("bitrate=128k").unwrap_err(),
            recording("bitrate=99999999999999999999").unwrap_err(),
            recording("ch=0").unwrap_err(),
            recording("ch=1,1").unwrap_err(),
            recording("rendition=mp3-129").unwrap_err(),
            "rendition=vorbis".parse::<PlaylistAddress>().unwrap_err(),
            list("limit=0").unwrap_err(),
            list("limit=1001").unwrap_err(),
            list("stream=../../etc").unwrap_err(),
            list("from=2026-11-20T12:00:00Z&to=2026-11-20T12:00:00Z").unwrap_err(),
            entries("limit=10001").unwrap_err(),
            entries("after=+1").unwrap_err(),
            "x=1".parse::<Plain>().err().unwrap(),
            recording(&format!("{}=1", "x".repeat(1_000))).unwrap_err(),
            recording(&"x".repeat(5_000)).unwrap_err(),
        ]
        .into_iter()
        .map(|p| {
            assert_eq!(p.status, 400);
            assert!(!p.hint.is_empty() && p.hint.len() < 300 && p.error.len() < 300, "{p:?}");
            p.error
        })
        .collect();
        assert!(texts.first().is_some_and(|t| t.contains("pso")), "{texts:?}");
    }

    #[test]
    fn pages() {
        let list = str::parse::<ListAddress>;
        let entries = str::parse::<EntriesAddress>;
        let page = list("stream=live&limit=1000").unwrap();
        assert_eq!((page.stream.unwrap().as_str(), page.limit), ("live", 1_000));
        assert_eq!(list("").unwrap().limit, 100);
        assert_eq!(entries("after=7").unwrap(), EntriesAddress { after: 7, limit: 10_000 });
    }

    proptest! {
        #[test]
        fn never_a_panic(query in "[a-z0-9=&%+.:-]{0,60}|\\PC{0,40}") {
            let recording = str::parse::<RecordingAddress>;
            let live = str::parse::<LiveAddress>;
            let list = str::parse::<ListAddress>;
            let entries = str::parse::<EntriesAddress>;
            for problem in [recording(&query).err(), live(&query).err(), list(&query).err(), entries(&query).err()] {
                prop_assert!(problem.is_none_or(|p| p.status == 400));
            }
        }
    }
}

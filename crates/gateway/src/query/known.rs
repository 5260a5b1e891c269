//! Which parameters each kind of address takes, their shapes and limits. The description of the interface is made of the same tables.

use livetape_store::{Measured, Peaks};
use std::time::Duration;

/// Longest `burst`.
pub(super) const MAX_BURST: Duration = Duration::from_secs(30);
/// Highest `bitrate` that is looked at.
pub(super) const MAX_BITRATE: usize = 10_000;
/// Most entries of one page, of streams, of recordings and of a timeline.
pub(super) const MAX_STREAMS: usize = 1_000;
pub(super) const MAX_RECORDINGS: usize = 1_000;
pub(super) const MAX_ENTRIES: usize = 10_000;

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
    "Which channels of the recording are heard, from 1 on, as in `1,2`: one or two for MP3 and Opus, up to eight for FLAC. \
     `stereo` and `mono`, of MP3 and Opus: all of them mixed after ITU-R BS.775, for the loudspeakers that they are for, or as if \
     they were for those that so many channels usually are for. By default FLAC has all; MP3 and Opus have `stereo` where the \
     recording says for which loudspeakers its channels are, and else the first two.",
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
pub(super) const DEFAULT_WIDTH: u32 = 1_000;
pub(super) const MAX_WIDTH: usize = Peaks::MAX_WIDTH as usize;

const PART_FROM: Parameter =
    parameter("from", Shape::Moment, "Where it starts: recorded seconds from the first frame, or a time of day.");
const PART_TO: Parameter =
    parameter("to", Shape::Moment, "Where it ends, behind the start; by default as far as is recorded.");

/// Of a part of a recording that is wanted as it is now: a clip.
pub(crate) const PART: &[Parameter] = &[PART_FROM, PART_TO, FRESH];

/// Of one that is compressed.
pub(crate) const MP3_PART: &[Parameter] = &[PART_FROM, PART_TO, RENDITION, BITRATE, CHANNELS, FRESH];

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
pub(super) const DEFAULT_MINUTES: u32 = 60;
pub(super) const MAX_MINUTES: usize = Measured::MAX_MINUTES as usize;

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

//! Addresses: what the query of a URL means. Whatever is unknown, said twice or contradictory is refused by name,
//! because a misspelt `pso=600` that plays from the start is worse than an error. Pure.

mod addresses;
mod known;

pub(crate) use addresses::{
    ClipAddress, EntriesAddress, EventsAddress, Join, ListAddress, LiveAddress, LoudnessAddress, Mp3ClipAddress,
    PeaksAddress, Plain, PlaylistAddress, RecordingAddress, StreamsAddress,
};
pub(crate) use known::{
    ENTRIES, EVENTS, LIST, LIVE, LOUDNESS, MP3_PART, PART, PEAKS, PLAIN, PLAYLIST, Parameter, RECORDING, STREAMS, Shape,
};

use crate::problem::{Problem, quoted};
use crate::rendition::{Named, Wanted};
use axum::extract::FromRequestParts;
use http::request::Parts;
use known::MAX_BITRATE;
use livetape_codec::encode::Pick;
use std::fmt::Display;
use std::str::FromStr;

/// Longest query that is looked at, in bytes.
const MAX_QUERY: usize = 2_048;

/// What a request's query says, as a handler takes it.
pub(crate) struct Query<T>(pub(crate) T);

impl<S: Send + Sync, T: FromStr<Err = Problem>> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.uri.query().unwrap_or_default().parse().map(Self)
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
    use crate::mode::Mode;
    use livetape_audio::{Moment, ViewAddress};
    use proptest::prelude::*;
    use std::time::Duration;

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

//! What the fuzz targets feed, and what has to be true of whatever they feed. Only there when compiled with `--cfg fuzzing`.
#![allow(clippy::panic, reason = "a wrong answer is a finding")]

use crate::answer::{Answer, Asked, Facts, Growth, decide};
use crate::mode::{HUGE_TOTAL, Mode};
use crate::problem::Problem;
use crate::query::{
    ClipAddress, EntriesAddress, EventsAddress, ListAddress, LiveAddress, LoudnessAddress, PeaksAddress, Plain,
    RecordingAddress, StreamsAddress, decode,
};
use crate::range;
use crate::request::{AudioFile, LiveFile, Segment};
use livetape_audio::{
    Anchor, Durable, End, Entry, Frame, Generation, RecordingId, SampleFormat, Spec, StreamName, Tail, Timeline,
    WallTime,
};
use livetape_proto::v1;
use prost::Message;
use std::time::Duration;

/// Input: 8 bytes for the length, one for the kind of client, then `Range` and, after a line, `If-Range`.
pub fn range(data: &[u8]) {
    let Some((length, rest)) = data.split_first_chunk::<8>() else { return };
    let Some((&how, text)) = rest.split_first() else { return };
    let Ok(text) = str::from_utf8(text) else { return };
    let (range, if_range) = text.split_once('\n').map_or((text, None), |(range, other)| (range, Some(other)));
    // No recording has more bytes than 2^39, nor has a representation of one.
    let bytes = u64::from_le_bytes(*length) % (1 << 40);
    let mode = [Mode::Star, Mode::Huge, Mode::None][usize::from(how) % 3];
    let (named, may_hold, compressed) = (how & 4 != 0, how & 8 != 0, how & 64 != 0);
    let growing = Growth { mode, named, byte_rate: 192_000, may_hold, compressed };
    let facts = Facts { bytes, growth: (how & 16 != 0).then_some(growing), etag: "\"e\"" };
    let answer = decide(Asked { head: how & 32 != 0, range: Some(range), if_range }, facts);
    let exists = |part: &std::ops::Range<u64>| part.start < part.end && part.end <= bytes;
    let right = match &answer {
        Answer::Whole { length } => facts.growth.is_none() && *length == bytes,
        Answer::Follow => facts.growth.is_some(),
        Answer::Part { bytes: part, total } => {
            exists(part) && total.is_none_or(|total| total >= part.end && (total == bytes || total == HUGE_TOTAL))
        }
        Answer::FollowFrom { first, last, total } => {
            facts.growth.is_some() && *first < bytes && first <= last && total.is_none_or(|total| *last < total)
        }
        Answer::Parts { ranges, .. } => {
            let apart = |a: &std::ops::Range<u64>, b: &std::ops::Range<u64>| a.end < b.start || b.end < a.start;
            let all = ranges.iter().enumerate();
            (2..=8).contains(&ranges.len())
                && ranges.iter().all(exists)
                && all.clone().all(|(n, a)| {
                    all.clone().skip(n + 1).all(|(_, b)| apart(a, b) || a.end == b.start || b.end == a.start)
                })
        }
        Answer::Hold { until } => facts.growth.is_some_and(|growth| growth.may_hold) && *until >= bytes,
        Answer::Unsatisfiable { existing, retry_after } => {
            *existing == bytes && (facts.growth.is_some() || retry_after.is_none())
        }
    };
    assert!(right, "{range:?} of {facts:?}: {answer:?}");
    // What was understood of a header is what it says.
    for spec in range::parse(range).into_iter().flatten() {
        assert!(spec.within(bytes).is_none_or(|part| exists(&part)), "{spec:?} of {bytes}");
    }
}

fn minute() -> (Spec, Timeline, Tail) {
    let spec = Spec::new(SampleFormat::S16, 8_000, 1).unwrap_or_else(|error| panic!("{error}"));
    let mut timeline = Timeline::new(spec);
    let anchor = |second: u64, time: i64| {
        let time = WallTime::from_unix_nanos(1_763_649_000_000_000_000 + time * 1_000_000_000);
        Entry::Anchor(Anchor { frame: Frame::new(second * 8_000), time })
    };
    for entry in [anchor(0, 0), anchor(20, 100), anchor(40, 50)] {
        timeline.push(entry).unwrap_or_else(|error| panic!("{error}"));
    }
    (spec, timeline, Tail::open(Durable(Frame::new(480_000)), Generation(1)))
}

/// Input: a path, and after a line a query.
pub fn address(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let (path, query) = text.split_once('\n').unwrap_or(("", text));
    if let Some(part) = decode(path) {
        brief(StreamName::read(&part).err());
        brief(RecordingId::read(&part).err());
        brief(LiveFile::read(&part).err());
        brief(AudioFile::read(&part).err());
        assert!(part.len() <= path.len(), "decoding makes nothing longer");
    }
    brief(query.parse::<LiveAddress>().err());
    brief(query.parse::<PeaksAddress>().err());
    brief(query.parse::<ClipAddress>().err());
    brief(query.parse::<LoudnessAddress>().err());
    brief(query.parse::<EventsAddress>().err());
    brief(query.parse::<ListAddress>().err());
    brief(query.parse::<StreamsAddress>().err());
    brief(query.parse::<EntriesAddress>().err());
    brief(query.parse::<Plain>().err());
    match query.parse::<RecordingAddress>() {
        Err(problem) => brief(Some(problem)),
        Ok(address) => {
            let (spec, timeline, tail) = minute();
            match address.view.resolve(spec, &timeline, &tail, Duration::from_secs(10)) {
                Err(error) => brief(Some(error.into())),
                Ok(view) => {
                    assert!(
                        view.first <= tail.end + spec.frames(Duration::from_secs(11)),
                        "{view:?} begins too far ahead"
                    );
                    assert!(!matches!(view.end, End::At(end) if end <= view.first), "{view:?} runs backwards");
                    _ = view.known_end(&timeline, &tail);
                }
            }
        }
    }
}

/// Refusals do not carry long texts back, and are somebody's fault outside.
fn brief(problem: Option<Problem>) {
    let right = problem.as_ref().is_none_or(|problem| {
        problem.error.len() < 1_000 && problem.hint.len() < 1_000 && problem.status.is_client_error()
    });
    assert!(right, "{problem:?}");
}

/// What a recorder says about a recording and a tail.
pub fn told(data: &[u8]) {
    if let Ok(recording) = v1::Recording::decode(data) {
        _ = crate::remote::recording_of(recording);
    }
    if let Ok(tail) = v1::Tail::decode(data) {
        _ = <(RecordingId, Tail)>::try_from(tail);
    }
}

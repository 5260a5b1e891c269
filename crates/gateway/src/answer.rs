//! The decision: what a request for a representation gets. A pure function of the request's headers and of how long
//! the representation is now; it knows no clock, no socket and no audio.
//!
//! A length that is not final is never sent as `Content-Length`, and a body that follows ends cleanly only where the
//! recording does. Not here: which mode a client gets (`mode`), and the headers that do not depend on the range.

use crate::mode::{HUGE_TOTAL, Mode};
use crate::range::{self, RangeSpec};
use std::ops::Range;
use std::time::Duration;

/// A start at most this far past the live edge is waited for; further away it is refused at once.
pub(crate) const HORIZON: Duration = Duration::from_secs(10);

/// The last byte that is claimed when the end is unknown; below 2^46, above every recording.
const OPEN_LAST: u64 = HUGE_TOTAL - 1;

/// At most so many parts in one reply.
const MAX_PARTS: usize = 8;

/// What of a request the answer depends on.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Asked<'a> {
    /// Whether only the head is wanted.
    pub head: bool,
    /// `Range`.
    pub range: Option<&'a str>,
    /// `If-Range`.
    pub if_range: Option<&'a str>,
}

/// What is known about the representation at this moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Facts<'a> {
    /// Bytes that exist; the final length unless it grows.
    pub bytes: u64,
    /// How it grows, if it does.
    pub growth: Option<Growth>,
    /// Its entity tag, quoted and strong.
    pub etag: &'a str,
}

/// How a representation grows.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Growth {
    /// What is said about its length. [`Mode::Now`] does not grow.
    pub mode: Mode,
    /// Whether the address names the mode.
    pub named: bool,
    /// Bytes of one second.
    pub byte_rate: u64,
    /// Whether a start past the edge may still be waited for.
    pub may_hold: bool,
    /// Whether the audio is compressed: who is told a constant total would look for the end of it.
    pub compressed: bool,
}

/// What to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Answer {
    /// 200 with a final length: `Content-Length`, `Accept-Ranges`.
    Whole {
        /// The length.
        length: u64,
    },
    /// 200 that follows to the end: neither `Content-Length` nor `Accept-Ranges`.
    Follow,
    /// 206 with a known length.
    Part {
        /// The bytes, inside what exists; not empty.
        bytes: Range<u64>,
        /// The total to claim; `*` if there is none.
        total: Option<u64>,
    },
    /// 206 that follows: no `Content-Length`.
    FollowFrom {
        /// The first byte.
        first: u64,
        /// The last byte to claim.
        last: u64,
        /// The total to claim; `*` if there is none.
        total: Option<u64>,
    },
    /// 206 `multipart/byteranges`.
    Parts {
        /// At least two ranges, in the order asked, none of which touches another.
        ranges: Vec<Range<u64>>,
        /// The total to claim; `*` if there is none.
        total: Option<u64>,
    },
    /// Wait until byte `until` exists or the length is final, at most as long as holds last; then decide again.
    Hold {
        /// The byte.
        until: u64,
    },
    /// 416.
    Unsatisfiable {
        /// For `Content-Range: bytes */…`.
        existing: u64,
        /// When the byte will exist, if it may.
        retry_after: Option<Duration>,
    },
}

/// Decides.
pub(crate) fn decide(asked: Asked<'_>, facts: Facts<'_>) -> Answer {
    let whole = match facts.growth {
        None => Answer::Whole { length: facts.bytes },
        Some(_) => Answer::Follow,
    };
    // Only GET has ranges. Who says `len=star` knows RFC 8673, which probes with HEAD.
    let probe = facts.growth.is_some_and(|g| g.named && g.mode == Mode::Star);
    if asked.head && !probe {
        return whole;
    }
    if asked.if_range.is_some_and(|validator| validator != facts.etag) {
        return whole;
    }
    match asked.range.and_then(range::parse).as_deref() {
        None => whole,
        Some([spec]) => match facts.growth {
            None => one_of_finished(*spec, facts.bytes),
            Some(growth) => one_of_growing(*spec, facts.bytes, growth, asked.head),
        },
        Some(specs) => many(specs, facts).unwrap_or(whole),
    }
}

fn one_of_finished(spec: RangeSpec, length: u64) -> Answer {
    match spec.within(length) {
        Some(bytes) => Answer::Part { bytes, total: Some(length) },
        None => Answer::Unsatisfiable { existing: length, retry_after: None },
    }
}

fn one_of_growing(spec: RangeSpec, existing: u64, growth: Growth, head: bool) -> Answer {
    match spec {
        RangeSpec::Suffix(_) => match spec.within(existing) {
            // Counted from the live edge, never from a claimed total.
            Some(bytes) => Answer::Part { bytes, total: None },
            None => past_the_edge(existing, existing, growth),
        },
        RangeSpec::From { first, .. } if first >= existing => {
            let horizon = growth.byte_rate.saturating_mul(HORIZON.as_secs());
            if growth.may_hold && !head && first - existing < horizon {
                Answer::Hold { until: first }
            } else {
                past_the_edge(first, existing, growth)
            }
        }
        RangeSpec::From { first, last: Some(last) } if last < existing => {
            Answer::Part { bytes: first..last.saturating_add(1), total: claimed_total(growth) }
        }
        RangeSpec::From { first, last: Some(last) } if is_very_large(last, existing) => {
            // Under `len=huge` the client has been told that this is the end of the file.
            if growth.named && growth.mode == Mode::Huge && last >= OPEN_LAST {
                return Answer::FollowFrom { first, last: OPEN_LAST, total: Some(HUGE_TOTAL) };
            }
            Answer::FollowFrom { first, last, total: None }
        }
        // A server may send a part of what was asked; the client asks for the rest.
        RangeSpec::From { first, last: Some(_) } => {
            Answer::Part { bytes: first..existing, total: claimed_total(growth) }
        }
        RangeSpec::From { first: 0, last: None } if growth.mode == Mode::None => Answer::Follow,
        RangeSpec::From { first: 0, last: None } if growth.compressed && growth.mode == Mode::Huge && !growth.named => {
            Answer::Follow
        }
        RangeSpec::From { first, last: None } => {
            Answer::FollowFrom { first, last: OPEN_LAST, total: claimed_total(growth) }
        }
    }
}

fn claimed_total(growth: Growth) -> Option<u64> {
    (growth.mode == Mode::Huge).then_some(HUGE_TOTAL)
}

/// RFC 8673, section 2.2: by such a last position a client shows that it understands a body without an end.
fn is_very_large(last: u64, existing: u64) -> bool {
    last > existing.saturating_add(1 << 32) || last >= 1 << 39
}

fn past_the_edge(first: u64, existing: u64, growth: Growth) -> Answer {
    let missing = first.saturating_sub(existing).saturating_add(1);
    let seconds = missing.div_ceil(growth.byte_rate.max(1)).clamp(1, 3_600);
    Answer::Unsatisfiable { existing, retry_after: Some(Duration::from_secs(seconds)) }
}

/// Several ranges: all that exist, if they are few and apart. `None`: too costly to honour, send the whole.
fn many(specs: &[RangeSpec], facts: Facts<'_>) -> Option<Answer> {
    let ranges: Vec<_> = specs.iter().filter_map(|spec| spec.within(facts.bytes)).collect();
    let total = facts.growth.map_or(Some(facts.bytes), claimed_total);
    if ranges.is_empty() {
        let retry_after = facts.growth.map(|_| Duration::from_secs(1));
        return Some(Answer::Unsatisfiable { existing: facts.bytes, retry_after });
    }
    // While it grows, a range may not reach past the edge: what it means would change under the client.
    let reaches_past = specs.iter().any(|s| match *s {
        RangeSpec::From { last, .. } => last.is_none_or(|last| last >= facts.bytes),
        RangeSpec::Suffix(_) => false,
    });
    if facts.growth.is_some() && reaches_past {
        return None;
    }
    if let [bytes] = ranges.as_slice() {
        return Some(Answer::Part { bytes: bytes.clone(), total });
    }
    let mut sorted: Vec<_> = ranges.iter().map(|r| (r.start, r.end)).collect();
    sorted.sort_unstable();
    let neighbours = || sorted.iter().zip(sorted.iter().skip(1));
    if neighbours().any(|(a, b)| b.0 < a.1) || ranges.len() > MAX_PARTS {
        return None;
    }
    if neighbours().all(|(a, b)| b.0 == a.1) {
        let (first, last) = (sorted.first()?.0, sorted.last()?.1);
        return Some(Answer::Part { bytes: first..last, total });
    }
    Some(Answer::Parts { ranges, total })
}

#[cfg(test)]
#[path = "answer_tests.rs"]
mod tests;

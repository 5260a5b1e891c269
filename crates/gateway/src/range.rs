//! The `Range` header of RFC 9110, section 14: what it asks for, and which bytes that is of a known length.
//!
//! Pure, and without a word about growing recordings: what a range past the live edge means is `answer`'s.

use std::ops::Range;

/// More ranges than anybody needs: such a header is ignored, as RFC 9110, section 14.2 allows.
const MAX_SPECS: usize = 32;

/// One element of a range set. Positions are bytes of the representation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RangeSpec {
    /// `first-` or `first-last`, both inclusive; `last` is not before `first`.
    From {
        /// First byte.
        first: u64,
        /// Last byte, if one was named that fits 64 bits.
        last: Option<u64>,
    },
    /// `-count`: that many bytes from the end.
    Suffix(u64),
}

impl RangeSpec {
    /// The bytes that this means of a representation of `len` bytes; `None` when it has none of them.
    pub(crate) fn within(self, len: u64) -> Option<Range<u64>> {
        let range = match self {
            Self::From { first, last } => first..last.map_or(len, |l| l.saturating_add(1).min(len)),
            Self::Suffix(count) => len.saturating_sub(count)..len,
        };
        (range.start < range.end).then_some(range)
    }
}

/// Reads a `Range` header. `None` means that it has to be ignored: another unit, bad syntax, a last byte before the
/// first one, or absurdly many ranges. The set is never empty.
pub(crate) fn parse(header: &str) -> Option<Vec<RangeSpec>> {
    let (unit, set) = header.trim().split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    // Empty list elements are allowed (RFC 9110, section 5.6.1.2).
    let elements = set.split(',').map(|e| e.trim_matches([' ', '\t'])).filter(|e| !e.is_empty());
    let mut specs = Vec::new();
    for element in elements {
        if specs.len() == MAX_SPECS {
            return None;
        }
        specs.push(parse_spec(element)?);
    }
    (!specs.is_empty()).then_some(specs)
}

fn parse_spec(element: &str) -> Option<RangeSpec> {
    let (first, last) = element.split_once('-')?;
    if first.is_empty() {
        return Some(RangeSpec::Suffix(number(last)?.unwrap_or(u64::MAX)));
    }
    let first = number(first)?.unwrap_or(u64::MAX);
    let last = if last.is_empty() { None } else { number(last)? };
    if last.is_some_and(|last| last < first) {
        return None;
    }
    Some(RangeSpec::From { first, last })
}

/// Digits only. `Some(None)` is a number past 64 bits: valid, and larger than everything.
fn number(digits: &str) -> Option<Option<u64>> {
    let ok = !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit());
    ok.then(|| digits.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn one(header: &str, len: u64) -> Option<Range<u64>> {
        match parse(header).as_deref() {
            Some([spec]) => spec.within(len),
            other => panic!("{header}: {other:?}"),
        }
    }

    /// The examples of RFC 9110, sections 14.1.1 and 14.1.2, for a representation of 10,000 bytes.
    #[test]
    fn examples_of_the_rfc() {
        assert_eq!(one("bytes=0-499", 10_000), Some(0..500));
        assert_eq!(one("bytes=500-999", 10_000), Some(500..1_000));
        assert_eq!(one("bytes=-500", 10_000), Some(9_500..10_000));
        assert_eq!(one("bytes=9500-", 10_000), Some(9_500..10_000));
        let both = |h| parse(h).unwrap().iter().map(|s| s.within(10_000).unwrap()).collect::<Vec<_>>();
        assert_eq!(both("bytes=0-0,-1"), [0..1, 9_999..10_000]);
        assert_eq!(both("bytes= 0-999, 4500-5499, -1000"), [0..1_000, 4_500..5_500, 9_000..10_000]);
        assert_eq!(both("bytes=500-600,601-999"), [500..601, 601..1_000]);
        assert_eq!(both("bytes=500-700,601-999"), [500..701, 601..1_000]);
    }

    #[test]
    fn clamped_to_what_is_there() {
        assert_eq!(one("bytes=0-5000", 1_000), Some(0..1_000));
        assert_eq!(one("bytes=-5000", 1_000), Some(0..1_000));
        assert_eq!(one("bytes=1000-", 1_000), None);
        assert_eq!(one("bytes=999-", 1_000), Some(999..1_000));
        assert_eq!(one("bytes=-0", 1_000), None);
        assert_eq!(one("bytes=-1", 0), None);
        assert_eq!(one("bytes=0-", 0), None);
    }

    #[test]
    fn unit_in_any_case_and_other_units_ignored() {
        assert_eq!(one("Bytes=0-1", 1_000), Some(0..2));
        for other in ["items=0-1", "bytes", "bytes 0-1", "=0-1", "byte=0-1"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }

    #[test]
    fn bad_syntax_is_ignored() {
        for bad in [
            "",
            "bytes=",
            "bytes=,",
            "bytes=abc",
            "bytes=1",
            "bytes=-",
            "bytes=--1",
            "bytes=1-2-3",
            "bytes=5-2",
            "bytes=0-0,5-2",
            "bytes=+1-2",
            "bytes=0x1-",
            "bytes=1 -2",
            "bytes=\u{0661}-",
            "bytes=1.5-",
            "bytes=-1-",
        ] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn numbers_past_every_end() {
        assert_eq!(one("bytes=9223372036854775807-", 1_000), None, "what libavformat asks after Accept-Ranges");
        assert_eq!(one("bytes=0-18446744073709551615", 1_000), Some(0..1_000));
        assert_eq!(one("bytes=0-99999999999999999999999", 1_000), Some(0..1_000));
        assert_eq!(one("bytes=99999999999999999999999-", 1_000), None);
        assert_eq!(one("bytes=-99999999999999999999999", 1_000), Some(0..1_000));
        let exact = Some(RangeSpec::From { first: 0, last: Some(9_007_199_254_740_991) });
        assert_eq!(parse("bytes=0-9007199254740991").unwrap().first().copied(), exact);
    }

    #[test]
    fn lists_with_holes_and_without_end() {
        assert_eq!(parse("bytes=0-0, ,2-3,").unwrap().len(), 2);
        let many = |n| parse(&format!("bytes={}", "0-0,".repeat(n)));
        assert_eq!(many(32).unwrap().len(), 32);
        assert_eq!(many(33), None);
    }

    proptest! {
        #[test]
        fn never_outside_and_never_a_panic(header in "\\PC{0,40}", len in any::<u64>()) {
            for spec in parse(&header).unwrap_or_default() {
                if let Some(range) = spec.within(len) {
                    prop_assert!(range.start < range.end && range.end <= len);
                }
            }
        }

        #[test]
        fn says_what_was_written(first in any::<u64>(), more in any::<u64>(), len in any::<u64>()) {
            let last = first.saturating_add(more);
            let spec = parse(&format!("bytes={first}-{last}")).unwrap();
            prop_assert_eq!(&spec, &[RangeSpec::From { first, last: Some(last) }]);
            let got = spec[0].within(len);
            prop_assert_eq!(got.is_some(), first < len);
            if let Some(range) = got {
                prop_assert_eq!(range, first..last.saturating_add(1).min(len));
            }
        }
    }
}

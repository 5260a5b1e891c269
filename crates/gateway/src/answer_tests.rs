//! One test for each kind of request, named by what it gets.

use super::*;

/// Bytes that exist: 60 s of 48 kHz stereo s16 behind a header.
const E: u64 = 44 + 60 * RATE;
const RATE: u64 = 192_000;
const ETAG: &str = "\"r-0-open-wav\"";
/// 2^40 - 1.
const L40: u64 = 1_099_511_627_775;

fn growing(mode: Mode) -> Facts<'static> {
    Facts {
        bytes: E,
        growth: Some(Growth { mode, named: false, byte_rate: RATE, may_hold: true, compressed: false }),
        etag: ETAG,
    }
}

fn named(mode: Mode) -> Facts<'static> {
    Facts {
        bytes: E,
        growth: Some(Growth { mode, named: true, byte_rate: RATE, may_hold: true, compressed: false }),
        etag: ETAG,
    }
}

const FINISHED: Facts<'static> = Facts { bytes: E, growth: None, etag: ETAG };
const GROWING_MODES: [Mode; 3] = [Mode::Star, Mode::Huge, Mode::None];

fn get(range: &str) -> Asked<'_> {
    Asked { range: Some(range), ..Asked::default() }
}

fn part(bytes: Range<u64>, total: Option<u64>) -> Answer {
    Answer::Part { bytes, total }
}

fn follow_from(first: u64, last: u64, total: Option<u64>) -> Answer {
    Answer::FollowFrom { first, last, total }
}

#[test]
fn row_1_a_growing_recording_without_a_range_is_followed() {
    for mode in GROWING_MODES {
        assert_eq!(decide(Asked::default(), growing(mode)), Answer::Follow);
    }
}

#[test]
fn row_2_a_finished_recording_without_a_range_has_its_length() {
    assert_eq!(decide(Asked::default(), FINISHED), Answer::Whole { length: E });
}

#[test]
fn row_3_star_from_the_start_has_a_large_end_and_no_total() {
    assert_eq!(decide(get("bytes=0-"), growing(Mode::Star)), follow_from(0, L40, None));
}

#[test]
fn row_4_star_from_the_middle_likewise() {
    assert_eq!(decide(get("bytes=1000-"), growing(Mode::Star)), follow_from(1_000, L40, None));
    let last = format!("bytes={}-", E - 1);
    assert_eq!(decide(get(&last), growing(Mode::Star)), follow_from(E - 1, L40, None));
}

#[test]
fn row_5_a_very_large_end_is_echoed_in_every_mode() {
    for mode in GROWING_MODES {
        for last in [9_007_199_254_740_991, 1 << 39, E + (1 << 32) + 1, u64::MAX] {
            let asked = format!("bytes=1000-{last}");
            assert_eq!(decide(get(&asked), growing(mode)), follow_from(1_000, last, None), "{mode:?} {last}");
        }
    }
    let asked = format!("bytes=0-{L40}");
    assert_eq!(decide(get(&asked), named(Mode::Huge)), follow_from(0, L40, Some(HUGE_TOTAL)), "it was told so");
    assert_eq!(decide(get(&asked), FINISHED), part(0..E, Some(E)));
}

#[test]
fn row_6_a_range_that_exists_has_its_length() {
    let asked = get("bytes=100-199");
    assert_eq!(decide(asked, growing(Mode::Star)), part(100..200, None));
    assert_eq!(decide(asked, growing(Mode::None)), part(100..200, None));
    assert_eq!(decide(asked, growing(Mode::Huge)), part(100..200, Some(HUGE_TOTAL)));
    assert_eq!(decide(asked, FINISHED), part(100..200, Some(E)), "and `now` is a finished one");
}

#[test]
fn row_7_a_range_across_the_edge_gets_what_exists() {
    let asked = format!("bytes=100-{}", E + 1_000);
    assert_eq!(decide(get(&asked), growing(Mode::Star)), part(100..E, None));
    assert_eq!(decide(get(&asked), growing(Mode::Huge)), part(100..E, Some(HUGE_TOTAL)));
    let last_of_what_is_not_very_large = format!("bytes=100-{}", E + (1 << 32));
    assert_eq!(decide(get(&last_of_what_is_not_very_large), growing(Mode::Star)), part(100..E, None));
}

#[test]
fn row_8_huge_claims_a_constant_total() {
    for first in [0, 44, 1_000] {
        let asked = format!("bytes={first}-");
        assert_eq!(decide(get(&asked), growing(Mode::Huge)), follow_from(first, L40, Some(HUGE_TOTAL)));
    }
}

#[test]
fn row_9_now_ends_where_it_is() {
    assert_eq!(decide(get("bytes=1000-"), FINISHED), part(1_000..E, Some(E)));
}

#[test]
fn row_10_follow_ignores_a_range_from_the_start_and_stars_later_ones() {
    assert_eq!(decide(get("bytes=0-"), growing(Mode::None)), Answer::Follow);
    assert_eq!(decide(get("bytes=1-"), growing(Mode::None)), follow_from(1, L40, None));
}

#[test]
fn row_11_a_suffix_counts_from_the_edge() {
    for mode in GROWING_MODES {
        assert_eq!(decide(get("bytes=-100"), growing(mode)), part(E - 100..E, None), "{mode:?}");
        assert_eq!(decide(get("bytes=-999999999999"), growing(mode)), part(0..E, None));
    }
    assert_eq!(decide(get("bytes=-100"), FINISHED), part(E - 100..E, Some(E)));
    let nothing = Answer::Unsatisfiable { existing: E, retry_after: None };
    assert_eq!(decide(get("bytes=-0"), FINISHED), nothing);
}

#[test]
fn row_12_a_start_soon_to_come_is_waited_for_once() {
    for mode in GROWING_MODES {
        for first in [E, E + 2 * RATE, E + 10 * RATE - 1] {
            let asked = format!("bytes={first}-");
            assert_eq!(decide(get(&asked), growing(mode)), Answer::Hold { until: first });
        }
        let mut held = growing(mode);
        held.growth = held.growth.map(|g| Growth { may_hold: false, ..g });
        let asked = format!("bytes={}-", E + RATE);
        let refused = Answer::Unsatisfiable { existing: E, retry_after: Some(Duration::from_secs(2)) };
        assert_eq!(decide(get(&asked), held), refused, "as a far one");
    }
}

#[test]
fn row_13_a_start_far_past_the_edge_is_refused_with_a_time_to_come_back() {
    let far = |seconds: u64| format!("bytes={}-", E + seconds * RATE);
    let refused = |seconds| Answer::Unsatisfiable { existing: E, retry_after: Some(Duration::from_secs(seconds)) };
    assert_eq!(decide(get(&far(10)), growing(Mode::Huge)), refused(11));
    assert_eq!(decide(get(&far(100)), growing(Mode::Star)), refused(101));
    assert_eq!(decide(get("bytes=9223372036854775807-"), growing(Mode::Huge)), refused(3_600));
    assert_eq!(decide(get("bytes=99999999999999999999-"), growing(Mode::Huge)), refused(3_600));
}

#[test]
fn row_14_a_start_past_a_final_end_is_refused() {
    let refused = Answer::Unsatisfiable { existing: E, retry_after: None };
    assert_eq!(decide(get(&format!("bytes={E}-")), FINISHED), refused);
    assert_eq!(decide(get("bytes=999999999999-"), FINISHED), refused);
}

#[test]
fn row_15_after_the_end_totals_are_real() {
    assert_eq!(decide(get("bytes=0-"), FINISHED), part(0..E, Some(E)));
    assert_eq!(decide(get(&format!("bytes=5-{L40}")), FINISHED), part(5..E, Some(E)));
}

#[test]
fn row_16_several_ranges_if_few_and_apart() {
    let parts = |total| Answer::Parts { ranges: vec![0..10, 20..30], total };
    assert_eq!(decide(get("bytes=0-9,20-29"), FINISHED), parts(Some(E)));
    assert_eq!(decide(get("bytes=0-9,20-29"), growing(Mode::Star)), parts(None));
    assert_eq!(decide(get("bytes=0-9,20-29"), growing(Mode::Huge)), parts(Some(HUGE_TOTAL)));
    assert_eq!(decide(get("bytes=0-9,10-29"), FINISHED), part(0..30, Some(E)), "they touch");
    assert_eq!(decide(get("bytes=0-0,999999999-"), FINISHED), part(0..1, Some(E)), "one is left");
    let none_left = Answer::Unsatisfiable { existing: E, retry_after: None };
    assert_eq!(decide(get("bytes=999999999-,-0"), FINISHED), none_left);
    let whole = Answer::Whole { length: E };
    assert_eq!(decide(get("bytes=0-9,5-29"), FINISHED), whole, "they overlap");
    assert_eq!(decide(get("bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16"), FINISHED), whole, "nine");
    assert_eq!(decide(get("bytes=0-9,999999999-"), growing(Mode::Star)), Answer::Follow, "reaches past the edge");
    assert_eq!(decide(get("bytes=0-9,20-"), growing(Mode::Star)), Answer::Follow);
}

#[test]
fn row_17_what_is_no_byte_range_is_ignored() {
    for bad in ["items=0-1", "bytes=5-2", "bytes=abc", "bytes"] {
        assert_eq!(decide(get(bad), FINISHED), Answer::Whole { length: E });
        assert_eq!(decide(get(bad), growing(Mode::Huge)), Answer::Follow);
    }
}

#[test]
fn row_18_head_has_no_ranges_except_where_rfc_8673_was_asked_for() {
    let head = Asked { head: true, ..get("bytes=0-9") };
    assert_eq!(decide(head, FINISHED), Answer::Whole { length: E });
    assert_eq!(decide(head, growing(Mode::Star)), Answer::Follow);
    assert_eq!(decide(head, named(Mode::Huge)), Answer::Follow);
    assert_eq!(decide(head, named(Mode::Star)), part(0..10, None));
    let asked = format!("bytes={E}-");
    let ahead = Asked { head: true, ..get(&asked) };
    assert!(matches!(decide(ahead, named(Mode::Star)), Answer::Unsatisfiable { .. }), "nothing to wait for");
}

#[test]
fn row_19_if_range_that_matches_lets_the_range_through() {
    let asked = Asked { if_range: Some(ETAG), ..get("bytes=0-9") };
    assert_eq!(decide(asked, FINISHED), part(0..10, Some(E)));
    assert_eq!(decide(asked, growing(Mode::Star)), part(0..10, None));
}

#[test]
fn row_20_any_other_if_range_gets_everything() {
    for other in ["\"something-else\"", "W/\"r-0-open-wav\"", "Fri, 20 Nov 2026 12:00:00 GMT", "", "*"] {
        let asked = Asked { if_range: Some(other), ..get("bytes=0-9") };
        assert_eq!(decide(asked, FINISHED), Answer::Whole { length: E }, "{other}");
        assert_eq!(decide(asked, growing(Mode::Star)), Answer::Follow);
    }
}

#[test]
fn a_representation_without_a_byte_yet() {
    let empty = Facts { bytes: 0, ..growing(Mode::Star) };
    assert_eq!(decide(get("bytes=0-"), empty), Answer::Hold { until: 0 });
    assert!(matches!(decide(get("bytes=-5"), empty), Answer::Unsatisfiable { retry_after: Some(_), .. }));
    let over = Facts { bytes: 0, ..FINISHED };
    assert_eq!(decide(Asked::default(), over), Answer::Whole { length: 0 });
    assert!(matches!(decide(get("bytes=0-"), over), Answer::Unsatisfiable { retry_after: None, .. }));
}

proptest::proptest! {
    /// Whatever is asked: nothing that does not exist is promised with a length, and no number of ours confuses a player.
    #[test]
    fn promises_are_kept(first in 0_u64..E * 2, len in 0_u64..1 << 50, bytes in 0_u64..E * 2, finished in proptest::bool::ANY) {
        let facts = if finished { FINISHED } else { growing(Mode::Huge) };
        let facts = Facts { bytes, ..facts };
        let asked = format!("bytes={first}-{}", first + len);
        match decide(get(&asked), facts) {
            Answer::Part { bytes: range, total } => {
                proptest::prop_assert!(range.start == first && range.start < range.end && range.end <= bytes);
                proptest::prop_assert!(total.is_none_or(|t| t >= range.end && t < 1 << 46));
            }
            Answer::FollowFrom { first: from, last, .. } => {
                proptest::prop_assert!(!finished && from == first && last == first + len);
            }
            Answer::Unsatisfiable { existing, .. } => proptest::prop_assert!(existing == bytes && first >= bytes),
            Answer::Hold { until } => proptest::prop_assert!(!finished && until >= bytes && until == first),
            other => proptest::prop_assert!(false, "{other:?}"),
        }
    }
}

/// Who is told a constant total looks for the end of it, unless it begins without knowing of ranges.
#[test]
fn compressed_audio_begins_without_ranges_for_libavformat() {
    let compressed = |named| Facts {
        bytes: E,
        growth: Some(Growth { mode: Mode::Huge, named, byte_rate: RATE, may_hold: true, compressed: true }),
        etag: ETAG,
    };
    let ask = |range, named| decide(Asked { range: Some(range), ..Asked::default() }, compressed(named));
    assert_eq!(ask("bytes=0-", false), Answer::Follow);
    let total = Some(HUGE_TOTAL);
    assert_eq!(ask("bytes=0-", true), Answer::FollowFrom { first: 0, last: OPEN_LAST, total });
    assert_eq!(ask("bytes=1-", false), Answer::FollowFrom { first: 1, last: OPEN_LAST, total });
    assert_eq!(ask("bytes=0-9", false), Answer::Part { bytes: 0..10, total });
}

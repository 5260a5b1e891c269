//! What curl gets from a recording that grows: each length mode, ranges inside, at and past the edge.

use anyhow::Result;
use livetape_testkit::http::{self, Ending};
use livetape_tests::clients::curl;
use livetape_tests::growing::{Growing, SECOND, WAV_HEADER};
use livetape_tests::tone;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

/// First byte after the huge total, and the last byte position that stands for "as far as it goes".
const T40: u64 = 1 << 40;

/// One recording for all of these tests: 60 s old and growing.
fn growing() -> &'static Growing {
    static GROWING: OnceLock<Growing> = OnceLock::new();
    GROWING.get_or_init(|| Growing::start(tone, Duration::from_secs(60)).expect("a growing recording"))
}

#[test]
fn a_range_inside_has_its_length() -> Result<()> {
    let g = growing();
    let got = curl(&g.wav_url("len=star"), &["--range", "0-99"])?;
    assert_eq!((got.code, got.status, got.body.len()), (0, 206, 100));
    assert_eq!(got.header("content-range"), Some("bytes 0-99/*"));
    assert_eq!(got.header("content-length"), Some("100"));
    assert_eq!(&got.body[..4], b"RIFF");
    g.assert_audio(WAV_HEADER, &got.body[44..]);
    Ok(())
}

/// Reads an endless reply for 3 s and checks all of it: what there was at once, then what was recorded meanwhile.
fn follow(query: &str, args: &[&str], start: u64, content_range: &str) -> Result<()> {
    let g = growing();
    let before = g.at_least();
    let got = curl(&g.wav_url(query), &[args, &["--max-time", "3"]].concat())?;
    let after = g.at_most();
    assert_eq!((got.code, got.status), (28, 206), "curl had to stop it");
    assert_eq!(got.header("content-range"), Some(content_range));
    assert_eq!(got.header("transfer-encoding"), Some("chunked"));
    assert_eq!(got.header("content-length"), None);
    let end = start + got.body.len() as u64;
    // 3 s pass in real time; the last sync round and the way through curl may take half a second of it.
    assert!(end >= before + SECOND * 5 / 2, "it did not follow: {end} bytes, {before} before");
    assert!(end <= after, "more than was recorded: {end} bytes, {after} after");
    let header = usize::try_from(WAV_HEADER.saturating_sub(start))?;
    g.assert_audio(start + header as u64, &got.body[header..]);
    Ok(())
}

#[test]
fn star_follows_the_edge() -> Result<()> {
    follow("len=star", &["--range", "0-"], 0, "bytes 0-1099511627775/*")
}

#[test]
fn a_very_large_last_byte_is_echoed() -> Result<()> {
    let range = ["--header", "Range: bytes=1000-9007199254740991"];
    follow("", &range, 1000, "bytes 1000-9007199254740991/*")
}

#[test]
fn huge_follows_the_edge() -> Result<()> {
    follow("len=huge", &["--range", "0-"], 0, &format!("bytes 0-{}/{T40}", T40 - 1))
}

#[test]
fn a_range_from_the_middle_follows_the_edge() -> Result<()> {
    let start = WAV_HEADER + 30 * SECOND + 1;
    let range = format!("{start}-");
    follow("", &["--range", &range], start, &format!("bytes {start}-{}/{T40}", T40 - 1))
}

#[test]
fn now_is_what_there_is_now() -> Result<()> {
    let g = growing();
    let before = g.at_least();
    let got = curl(&g.wav_url("len=now"), &["--range", "-100"])?;
    let after = g.at_most();
    assert_eq!((got.code, got.status, got.body.len()), (0, 206, 100));
    let range = got.header("content-range").expect("a range");
    let (first, total) = range.strip_prefix("bytes ").and_then(|r| r.split_once('/')).expect("bytes a-b/total");
    let total: u64 = total.parse()?;
    assert_eq!(first, format!("{}-{}", total - 100, total - 1));
    assert!((before..=after).contains(&total), "{before} <= {total} <= {after}");
    g.assert_audio(total - 100, &got.body);
    Ok(())
}

#[test]
fn far_past_the_edge_there_is_nothing() -> Result<()> {
    let g = growing();
    let got = curl(&g.wav_url(""), &["--range", "999999999999-"])?;
    assert_eq!((got.status, got.body.len()), (416, 0));
    assert!(got.took < Duration::from_millis(500), "{:?}", got.took);
    let total: u64 =
        got.header("content-range").and_then(|r| r.strip_prefix("bytes */")).expect("bytes */E").parse()?;
    assert!(total <= g.at_most());
    assert!(got.header("retry-after").is_some());
    Ok(())
}

#[test]
fn just_past_the_edge_it_waits() -> Result<()> {
    let g = growing();
    let asked = Instant::now();
    let start = g.at_least() + 2 * SECOND;
    let mut reply = http::get(g.livetape.http(), &g.wav("")).range(&format!("{start}-")).send()?;
    let waited = asked.elapsed();
    assert_eq!(reply.status, 206);
    assert!((Duration::from_millis(1500)..Duration::from_millis(2700)).contains(&waited), "{waited:?}");
    g.assert_audio(start, &reply.at_least(1000, Duration::from_secs(2))?);
    Ok(())
}

#[test]
fn two_ranges() -> Result<()> {
    let g = growing();
    let got = curl(&g.wav_url(""), &["--range", "44-143,1000-1099"])?;
    let kind = got.header("content-type").unwrap_or_default().to_owned();
    // Either is right; what is not is one range, or both without their borders.
    if got.status == 206 {
        assert_eq!(got.code, 0);
        let boundary = kind.strip_prefix("multipart/byteranges; boundary=").expect("two parts");
        let parts = String::from_utf8_lossy(&got.body).matches(&format!("--{}", boundary.trim_matches('"'))).count();
        assert_eq!(parts, 3, "two parts and an end");
        for start in [44, 1000] {
            let part = g.expected(start, 100);
            assert!(got.body.windows(100).any(|w| w == part), "the part from {start}");
        }
    } else {
        assert_eq!((got.status, kind.as_str()), (200, "audio/wav"));
    }
    Ok(())
}

#[test]
fn head_knows_no_ranges() -> Result<()> {
    let g = growing();
    let got = curl(&g.wav_url(""), &["--head", "--range", "0-9"])?;
    assert_eq!((got.code, got.status), (0, 200));
    assert_eq!(got.header("content-range"), None);
    assert_eq!(got.header("content-type"), Some("audio/wav"));
    Ok(())
}

#[test]
fn http_1_0_reads_to_the_end_of_the_connection() -> Result<()> {
    let g = growing();
    let got = curl(&g.wav_url(""), &["--http1.0", "--max-time", "2"])?;
    assert_eq!((got.code, got.status), (28, 200));
    assert_eq!(got.header("transfer-encoding"), None);
    assert_eq!(got.header("content-length"), None);
    assert_eq!(got.header("connection").map(str::to_ascii_lowercase).as_deref(), Some("close"));
    g.assert_audio(WAV_HEADER, &got.body[44..]);
    Ok(())
}

#[test]
fn one_validator_for_all_of_it() -> Result<()> {
    let g = growing();
    let ask = |etag: Option<&str>| {
        let request = http::get(g.livetape.http(), &g.wav("")).range("100-199");
        etag.map_or(request.clone(), |etag| request.header("If-Range", etag)).send()
    };
    let etag = ask(None)?.header("etag").expect("a validator").to_owned();
    assert!(etag.starts_with('"'), "a strong one: {etag}");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(ask(None)?.header("etag"), Some(etag.as_str()), "the same while it grows");
    let mut same = ask(Some(&etag))?;
    assert_eq!((same.status, same.body()?), (206, g.expected(100, 100)));
    let mut other = ask(Some("\"other\""))?;
    assert_eq!(other.status, 200, "from the start, as if no range was asked for");
    assert_eq!(&other.at_least(4, Duration::from_secs(2))?[..4], b"RIFF");
    assert_eq!(other.ending(), Ending::Open);
    Ok(())
}

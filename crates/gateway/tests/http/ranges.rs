//! Recordings and their ranges, row by row of the decision table.

use crate::client::{Client, Ending, fetch, open};
use crate::house::{FRAME, HEADER, House, RATE, SECOND, counting, wav};
use livetape_audio::{RecordingId, SealReason};
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);
/// 2^40 and the last byte before it.
const T: u64 = 1 << 40;
const L40: u64 = T - 1;

fn url(id: RecordingId, query: &str) -> String {
    format!("/recordings/{id}/audio.wav{query}")
}

/// Query, headers, the first byte of the body, `Content-Range`.
type Case<'a> = (&'a str, &'a [(&'a str, &'a str)], u64, Option<String>);

/// The header of a WAV that grows.
async fn growing_header(house: &House, id: RecordingId) -> Vec<u8> {
    let (_, reply, header) = open(house.addr, &url(id, "?len=star"), &[("Range", "bytes=0-")], 44).await;
    assert_eq!(reply.status, 206);
    assert_eq!(header[4..8], [0xFF; 4]);
    assert_eq!(header[40..44], [0xFF; 4]);
    header
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_1_to_5_and_8_to_10_follow_a_growing_recording() {
    let house = House::new().await;
    let mut deck = house.record("live", MINUTE);
    deck.play(3 * RATE);
    let header = growing_header(&house, deck.id).await;
    let vlc = "bytes=1000-9007199254740991";
    let cases: &[Case<'_>] = &[
        ("", &[], 0, None),
        ("?len=star", &[("Range", "bytes=0-")], 0, Some(format!("bytes 0-{L40}/*"))),
        ("?len=star", &[("Range", "bytes=1001-")], 1_001, Some(format!("bytes 1001-{L40}/*"))),
        ("", &[("Range", "bytes=7-"), ("Sec-Fetch-Dest", "audio")], 7, Some(format!("bytes 7-{L40}/*"))),
        ("", &[("Range", "bytes=7-"), ("User-Agent", "Mozilla/5.0 X")], 7, Some(format!("bytes 7-{L40}/*"))),
        ("", &[("Range", vlc)], 1_000, Some("bytes 1000-9007199254740991/*".into())),
        ("?len=star", &[("Range", vlc)], 1_000, Some("bytes 1000-9007199254740991/*".into())),
        ("?len=none", &[("Range", vlc)], 1_000, Some("bytes 1000-9007199254740991/*".into())),
        ("", &[("Range", "bytes=0-")], 0, Some(format!("bytes 0-{L40}/{T}"))),
        ("?len=huge", &[("Range", "bytes=45-")], 45, Some(format!("bytes 45-{L40}/{T}"))),
        ("", &[("Range", "bytes=46-"), ("User-Agent", "Lavf/59.27.100")], 46, Some(format!("bytes 46-{L40}/{T}"))),
        (
            "",
            &[("Range", "bytes=44-"), ("Icy-MetaData", "1"), ("User-Agent", "Mozilla/5.0")],
            44,
            Some(format!("bytes 44-{L40}/{T}")),
        ),
        ("?len=none", &[("Range", "bytes=0-")], 0, None),
        ("?len=none", &[("Range", "bytes=9-")], 9, Some(format!("bytes 9-{L40}/*"))),
        ("", &[("Range", "items=0-5")], 0, None),
    ];
    let mut open_bodies = Vec::new();
    for (query, headers, first, content_range) in cases {
        let already = (HEADER + 3 * SECOND - first) as usize;
        let (client, reply, bytes) = open(house.addr, &url(deck.id, query), headers, already).await;
        assert_eq!(reply.status, if content_range.is_some() { 206 } else { 200 }, "{query} {headers:?}");
        assert_eq!(reply.header("content-range"), content_range.as_deref(), "{query} {headers:?}");
        assert!(reply.is_chunked() && reply.header("content-length").is_none());
        assert_eq!(reply.header("accept-ranges").is_some(), reply.status == 206, "a 200 of unknown length may not");
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(reply.header("content-type"), Some("audio/wav"));
        let vary = reply.header("vary");
        assert_eq!(vary, query.is_empty().then_some("Sec-Fetch-Dest, User-Agent, Icy-MetaData"));
        assert!(bytes == wav(*first..HEADER + 3 * SECOND, &header), "{query} {headers:?}");
        open_bodies.push((client, reply));
    }
    // All of them follow, and end cleanly with the recording.
    deck.play(RATE / 2);
    for (client, reply) in &mut open_bodies {
        let (bytes, ending) = client.take(reply, (SECOND / 2) as usize).await;
        assert!(ending.is_none() && bytes == counting(3 * RATE..3 * RATE + RATE / 2));
    }
    deck.play(1);
    deck.seal(SealReason::SourceEnded, None);
    for (client, reply) in &mut open_bodies {
        let (bytes, ending) = client.rest(reply).await;
        assert_eq!((bytes, ending), (counting(3 * RATE + RATE / 2..3 * RATE + RATE / 2 + 1), Ending::Clean));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_2_14_and_15_a_finished_recording_is_a_file() {
    let house = House::new().await;
    let mut deck = house.record("live", MINUTE);
    deck.play(3 * RATE);
    let (_, star, _) = open(house.addr, &url(deck.id, "?len=star"), &[("Range", "bytes=0-")], 44).await;
    deck.play(RATE);
    deck.seal(SealReason::SourceEnded, None);
    let (reply, body) = fetch(house.addr, "GET", &url(deck.id, ""), &[]).await;
    let length = HEADER + 4 * SECOND;
    assert_eq!(reply.status, 200);
    assert_eq!(reply.header("content-length"), Some(length.to_string().as_str()));
    assert_eq!(reply.header("accept-ranges"), Some("bytes"));
    assert_eq!(reply.header("cache-control"), Some("public, max-age=86400, immutable"));
    assert!(reply.header("date").is_some());
    let etag = reply.header("etag").unwrap();
    assert!(etag.starts_with('"') && Some(etag) != star.header("etag"), "the header's sizes have changed");
    let sizes = |at: usize| u64::from(u32::from_le_bytes(body[at..at + 4].try_into().unwrap()));
    assert_eq!((sizes(4), sizes(40)), (length - 8, 4 * SECOND));
    assert!(body[44..] == counting(0..4 * RATE));

    // Even for clients that saw an unknown or another total, and whatever they ask for.
    for query in ["", "?len=star", "?len=huge", "?len=now", "?len=none"] {
        for (range, first) in [("bytes=0-", 0), ("bytes=100001-", 100_001), ("bytes=5-9007199254740991", 5)] {
            let (reply, part) = fetch(house.addr, "GET", &url(deck.id, query), &[("Range", range)]).await;
            assert_eq!(reply.status, 206);
            let content_range = format!("bytes {first}-{}/{length}", length - 1);
            assert_eq!(reply.header("content-range"), Some(content_range.as_str()));
            assert!(part == body[first..]);
        }
    }
    let (reply, body) = fetch(house.addr, "GET", &url(deck.id, ""), &[("Range", &format!("bytes={length}-"))]).await;
    assert_eq!((reply.status, body.len()), (416, 0));
    assert_eq!(reply.header("content-range"), Some(format!("bytes */{length}").as_str()));
    assert_eq!((reply.header("content-length"), reply.header("retry-after")), (Some("0"), None));
    let known = [("If-None-Match", etag)];
    let (reply, _) = fetch(house.addr, "GET", &url(deck.id, ""), &known).await;
    assert_eq!(reply.status, 304);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_6_7_9_11_and_13_have_exact_lengths_while_it_grows() {
    let house = House::new().await;
    let mut deck = house.record("live", MINUTE);
    deck.play(2 * RATE + 7);
    let header = growing_header(&house, deck.id).await;
    let e = deck.wav_bytes();
    // One connection for all: bodies with a length keep it.
    let mut client = Client::connect(house.addr).await;
    let across = format!("bytes=100-{}", e + 1_000);
    for (query, range, bytes, total) in [
        ("?len=star", "bytes=0-99", 0..100, "*".to_owned()),
        ("?len=huge", "bytes=0-99", 0..100, T.to_string()),
        ("", "bytes=0-99", 0..100, T.to_string()),
        ("?len=none", "bytes=0-99", 0..100, "*".to_owned()),
        ("?len=star", "bytes=47-47", 47..48, "*".to_owned()),
        ("?len=star", "bytes=45-100050", 45..100_051, "*".to_owned()),
        ("", across.as_str(), 100..e, T.to_string()),
        ("?len=star", across.as_str(), 100..e, "*".to_owned()),
        ("?len=star", "bytes=-100", e - 100..e, "*".to_owned()),
        ("", "bytes=-101", e - 101..e, "*".to_owned()),
    ] {
        let mut reply = client.request("GET", &url(deck.id, query), &[("Range", range)]).await;
        let (body, ending) = client.rest(&mut reply).await;
        assert_eq!((reply.status, ending), (206, Ending::Clean), "{query} {range}");
        let expected = format!("bytes {}-{}/{total}", bytes.start, bytes.end - 1);
        assert_eq!(reply.header("content-range"), Some(expected.as_str()), "{query} {range}");
        assert_eq!(reply.header("content-length"), Some((bytes.end - bytes.start).to_string().as_str()));
        assert!(body == wav(bytes, &header), "{query} {range}");
    }
    // `now` is a file of its own, with true sizes.
    let (reply, all) = fetch(house.addr, "GET", &url(deck.id, "?len=now"), &[]).await;
    assert_eq!((reply.status, all.len() as u64), (200, e));
    assert_eq!(u64::from(u32::from_le_bytes(all[40..44].try_into().unwrap())), e - HEADER);
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let (reply, part) = fetch(house.addr, "GET", &url(deck.id, "?len=now"), &[("Range", "bytes=1001-")]).await;
    assert_eq!(reply.header("content-range"), Some(format!("bytes 1001-{}/{e}", e - 1).as_str()));
    assert!(part == all[1001..]);

    let began = Instant::now();
    for (range, wait) in [("bytes=999999999999-", "3600"), (&*format!("bytes={}-", e + 60 * SECOND), "61")] {
        let (reply, body) = fetch(house.addr, "GET", &url(deck.id, ""), &[("Range", range)]).await;
        assert_eq!((reply.status, body.len()), (416, 0));
        assert_eq!(reply.header("content-range"), Some(format!("bytes */{e}").as_str()));
        assert_eq!((reply.header("content-length"), reply.header("retry-after")), (Some("0"), Some(wait)));
    }
    assert!(began.elapsed() < Duration::from_millis(400), "at once");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_12_a_range_that_is_about_to_come_is_held() {
    let house = House::with(|c| c.limits.hold = Duration::from_secs(1)).await;
    let mut deck = house.record("live", MINUTE);
    deck.play(RATE);
    let wanted = HEADER + SECOND + SECOND / 2 + 1;
    let range = format!("bytes={wanted}-");
    let target = url(deck.id, "");
    let held = tokio::spawn({
        let (addr, range) = (house.addr, range.clone());
        async move {
            let (_, reply, bytes) = open(addr, &target, &[("Range", &range)], 999).await;
            (reply, bytes, Instant::now())
        }
    });
    tokio::time::sleep(Duration::from_millis(300)).await;
    deck.play(RATE / 2);
    tokio::time::sleep(Duration::from_millis(100)).await;
    assert!(!held.is_finished(), "the asked byte is still not there");
    let there = Instant::now();
    deck.play(RATE);
    let (reply, bytes, came) = held.await.unwrap();
    assert!(came - there < Duration::from_millis(300), "as soon as it is there");
    assert_eq!(reply.header("content-range"), Some(format!("bytes {wanted}-{L40}/{T}").as_str()));
    let header = growing_header(&house, deck.id).await;
    assert!(bytes == wav(wanted..wanted + 999, &header));

    // When nothing comes, as if it were far.
    let e = deck.wav_bytes();
    let began = Instant::now();
    let (reply, _) = fetch(house.addr, "GET", &url(deck.id, ""), &[("Range", &format!("bytes={e}-"))]).await;
    assert_eq!((reply.status, reply.header("retry-after")), (416, Some("1")));
    assert!((900..2_000).contains(&began.elapsed().as_millis()));
    // When it ends meanwhile, the real length.
    let target = url(deck.id, "?len=star");
    let held = tokio::spawn({
        let addr = house.addr;
        async move { fetch(addr, "GET", &target, &[("Range", &format!("bytes={e}-"))]).await.0 }
    });
    tokio::time::sleep(Duration::from_millis(200)).await;
    deck.seal(SealReason::SourceEnded, None);
    let reply = held.await.unwrap();
    assert_eq!((reply.status, reply.header("content-range")), (416, Some(format!("bytes */{e}").as_str())));
}

#[tokio::test(flavor = "multi_thread")]
async fn row_16_several_ranges() {
    let house = House::new().await;
    let id = house.finished("live", MINUTE, 3 * RATE);
    let length = HEADER + 3 * SECOND;
    let (_, all) = fetch(house.addr, "GET", &url(id, ""), &[]).await;
    let (reply, body) = fetch(house.addr, "GET", &url(id, ""), &[("Range", "bytes=100-109,400050-400150")]).await;
    assert_eq!((reply.status, reply.header("content-range")), (206, None));
    assert_eq!(reply.header("content-length"), Some(body.len().to_string().as_str()));
    let boundary = reply.header("content-type").unwrap().strip_prefix("multipart/byteranges; boundary=").unwrap();
    let mut expected = Vec::new();
    for part in [100..110, 400_050..400_151] {
        let place = format!("bytes {}-{}/{length}", part.start, part.end - 1);
        let head = format!("\r\n--{boundary}\r\nContent-Type: audio/wav\r\nContent-Range: {place}\r\n\r\n");
        expected.extend_from_slice(head.as_bytes());
        expected.extend_from_slice(&all[part]);
    }
    expected.extend_from_slice(format!("\r\n--{boundary}--\r\n").as_bytes());
    assert!(body == expected);
    let (reply, body) = fetch(house.addr, "GET", &url(id, ""), &[("Range", "bytes=0-9,5-20")]).await;
    assert_eq!((reply.status, body.len() as u64), (200, length), "overlapping ones are ignored");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_18_head_has_the_fields_of_a_get_and_no_body() {
    let house = House::new().await;
    let mut deck = house.record("live", MINUTE);
    deck.play(RATE);
    let finished = house.finished("other", MINUTE, RATE);
    let mut client = Client::connect(house.addr).await;
    for (target, length) in [
        (url(finished, ""), Some((HEADER + SECOND).to_string())),
        (url(deck.id, ""), None),
        (url(deck.id, "?len=now"), Some((HEADER + SECOND).to_string())),
        ("/streams/live/live.wav".into(), None),
        (format!("/recordings/{}", deck.id), Some(String::new())),
    ] {
        let reply = client.request("HEAD", &target, &[("Range", "bytes=0-9")]).await;
        assert_eq!((reply.status, reply.header("content-range")), (200, None), "{target}");
        match length.as_deref() {
            Some("") => assert!(reply.header("content-length").is_some_and(|n| n != "0"), "{target}"),
            length => assert_eq!(reply.header("content-length"), length, "{target}"),
        }
    }
    let reply = client.request("HEAD", &url(deck.id, "?len=star"), &[("Range", "bytes=0-9")]).await;
    assert_eq!((reply.status, reply.header("content-range")), (206, Some("bytes 0-9/*")), "a probe of RFC 8673");
    let reply = client.request("HEAD", &url(finished, ""), &[]).await;
    assert_eq!(reply.status, 200, "the connection is still in order");
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_19_and_20_if_range() {
    let house = House::new().await;
    let mut deck = house.record("live", MINUTE);
    deck.play(RATE);
    let range = ("Range", "bytes=44-143");
    let (reply, _) = fetch(house.addr, "GET", &url(deck.id, ""), &[range]).await;
    let etag = reply.header("etag").unwrap().to_owned();
    deck.play(RATE);
    let (reply, part) = fetch(house.addr, "GET", &url(deck.id, ""), &[range, ("If-Range", &etag)]).await;
    assert_eq!((reply.status, part), (206, counting(0..25)), "the tag of a growing recording stays");
    let weak = format!("W/{etag}");
    for other in ["\"other\"", "Fri, 20 Nov 2026 12:00:00 GMT", &weak] {
        let (_, reply, _) = open(house.addr, &url(deck.id, ""), &[range, ("If-Range", other)], 100).await;
        assert_eq!((reply.status, reply.header("content-range")), (200, None), "{other}");
    }
    deck.seal(SealReason::SourceEnded, None);
    let (reply, _) = fetch(house.addr, "GET", &url(deck.id, ""), &[range, ("If-Range", &etag)]).await;
    assert_eq!(reply.status, 200, "its header has changed");
}

#[tokio::test(flavor = "multi_thread")]
async fn row_24_a_view_is_a_file_of_its_own() {
    let house = House::new().await;
    let mut deck = house.record("live", MINUTE);
    deck.play(10 * RATE);
    let clip = url(deck.id, "?pos=2.5&to=3.5");
    let (reply, body) = fetch(house.addr, "GET", &clip, &[]).await;
    assert_eq!(reply.status, 200, "a clip that is complete has its length although the recording grows");
    assert_eq!(reply.header("x-livetape-first-frame"), Some("120000"));
    let name = reply.header("content-disposition").unwrap();
    assert!(name.starts_with("inline; filename=\"live-20") && name.ends_with("Z-at-2s.wav\""), "{name}");
    assert!(!name.contains(':'), "not every file system takes a colon: {name}");
    assert_eq!(body.len() as u64, HEADER + SECOND);
    assert!(body[44..] == counting(120_000..168_000));
    let (reply, part) = fetch(house.addr, "GET", &clip, &[("Range", "bytes=50-100049")]).await;
    assert_eq!(reply.header("content-range"), Some(format!("bytes 50-100049/{}", HEADER + SECOND).as_str()));
    assert!(part == body[50..100_050]);

    let (_, _, bytes) = open(house.addr, &url(deck.id, "?from=9"), &[], (HEADER + SECOND) as usize).await;
    assert!(bytes[44..] == counting(9 * RATE..10 * RATE));
    let noon = deck.time().earlier(Duration::from_secs(4));
    let by_time = url(deck.id, &format!("?from={noon}"));
    let (_, reply, bytes) = open(house.addr, &by_time, &[], 48).await;
    assert_eq!(reply.header("x-livetape-first-frame"), Some((6 * RATE).to_string().as_str()));
    assert!(bytes[44..] == counting(6 * RATE..6 * RATE + 1));

    // An end that has not come yet is followed until it is reached.
    let until = deck.time().later(Duration::from_secs(1));
    let by_second = open(house.addr, &url(deck.id, "?pos=9&to=11"), &[], 44).await;
    let by_time = open(house.addr, &url(deck.id, &format!("?pos=9&to={until}")), &[], 44).await;
    deck.play(3 * RATE);
    for (mut client, mut reply, _) in [by_second, by_time] {
        assert!(reply.is_chunked());
        let (rest, ending) = client.rest(&mut reply).await;
        assert_eq!(ending, Ending::Clean);
        assert!(rest == counting(9 * RATE..11 * RATE));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_24_and_40_addresses_that_mean_nothing() {
    let house = House::new().await;
    let mut deck = house.record("live", MINUTE);
    deck.play(10 * RATE);
    let finished = house.finished("other", MINUTE, RATE);
    let future = crate::house::now().later(Duration::from_secs(3_600));
    for (target, status) in [
        (url(deck.id, "?pos=100"), 409),
        (url(deck.id, &format!("?pos={future}")), 409),
        (url(finished, "?pos=100"), 404),
        (url(deck.id, "?pos=5&to=4"), 400),
        (url(deck.id, "?pos=5&from=4"), 400),
        (url(deck.id, "?offset=5"), 400),
        (url(deck.id, "?len=short"), 400),
        (url(deck.id, "?pso=5"), 400),
        (format!("/recordings/{}/audio.aac", deck.id), 404),
        ("/recordings/01932c07-209c-7a3e-8c1f-5d2e9b7a4f10/audio.wav".into(), 404),
        ("/recordings/x/audio.wav".into(), 404),
        ("/nothing".into(), 404),
    ] {
        let (reply, body) = fetch(house.addr, "GET", &target, &[]).await;
        assert_eq!(reply.status, status, "{target}");
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert!(body["error"].is_string() && body["hint"].is_string(), "{target}");
        assert_eq!(reply.header("retry-after").is_some(), status == 409, "{target}");
        assert_eq!(reply.header("cache-control"), Some("no-store"));
    }
    // A start that is about to come is granted, and its first byte is the right one.
    let (mut client, mut reply, _) = open(house.addr, &url(deck.id, "?pos=11"), &[], 44).await;
    deck.play(2 * RATE);
    let (bytes, _) = client.take(&mut reply, SECOND as usize).await;
    assert!(bytes == counting(11 * RATE..12 * RATE));
}

#[tokio::test(flavor = "multi_thread")]
async fn pcm_and_rf64_and_gaps() {
    let house = House::new().await;
    let mut deck = house.record("live", MINUTE);
    deck.play(RATE);
    let gap = deck.time();
    deck.gap(Duration::from_secs(20));
    deck.play(RATE);
    let pcm = format!("/recordings/{}/audio.pcm", deck.id);
    let (reply, body) = fetch(house.addr, "GET", &pcm, &[("Range", "bytes=191990-192009")]).await;
    assert_eq!(reply.header("content-type"), Some("application/octet-stream"));
    assert_eq!(reply.header("x-audio-format"), Some("s16le;rate=48000;channels=2"));
    assert!(body == counting(0..2 * RATE)[191_990..192_010], "a gap takes no frames");
    let inside = gap.later(Duration::from_secs(7));
    let (_, reply, bytes) = open(house.addr, &format!("{pcm}?from={inside}"), &[], FRAME as usize).await;
    assert_eq!(reply.header("x-livetape-first-frame"), Some("48000"), "a time inside a gap: the first frame after it");
    assert_eq!(bytes, counting(RATE..RATE + 1));
    let etag = fetch(house.addr, "HEAD", &pcm, &[]).await.0.header("etag").unwrap().to_owned();
    deck.seal(SealReason::SourceEnded, None);
    let (reply, _) = fetch(house.addr, "GET", &pcm, &[("Range", "bytes=0-3"), ("If-Range", &etag)]).await;
    assert_eq!(reply.status, 206, "PCM has no header that changes");
    let (_, body) = fetch(house.addr, "GET", &pcm.replace(".pcm", ".rf64"), &[]).await;
    assert_eq!(&body[..4], b"RF64");
    assert!(body[80..] == counting(0..2 * RATE));
}

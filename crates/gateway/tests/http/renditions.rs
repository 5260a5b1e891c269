//! Compressed renditions: the same bytes whoever makes them and whenever, one encoding however many listen.

use crate::client::{Client, Ending, fetch, open};
use crate::house::{House, RATE, counting};
use livetape_audio::{RecordingId, SampleFormat, SealReason, Spec};
use livetape_codec::decode::{Decoder, Input};
use livetape_gateway::Renditions;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// Headers, the first byte of the body, `Content-Range`.
type Case<'a> = (&'a [(&'a str, &'a str)], usize, Option<String>);

fn url(id: RecordingId, file: &str) -> String {
    format!("/recordings/{id}/{file}")
}

/// What a decoder hears: samples as s16, channel after channel.
fn decoded(bytes: Vec<u8>) -> Vec<i16> {
    let mut decoder = Decoder::open(Input::bytes(bytes), None).unwrap();
    let mut out = Vec::new();
    while let Some(block) = decoder.next().unwrap() {
        out.extend(block.samples.iter().map(|s| (s * 32_768.0) as i16));
    }
    out
}

fn total(reply: &crate::client::Reply) -> u64 {
    reply.header("content-range").unwrap().rsplit_once('/').unwrap().1.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_same_bytes_growing_sealed_and_from_another_gateway() {
    let house = House::new().await;
    for (file, block) in [("audio.mp3", 19_200), ("audio.mp3?bitrate=320", 48_000), ("audio.opus", 12_185)] {
        let mut deck = house.record("live", MINUTE);
        deck.play(3 * RATE + 17);
        let url = url(deck.id, file);
        // 206 from the first request on, across two blocks.
        let across = format!("bytes={}-{}", block - 100, block + 99);
        let (reply, early) = fetch(house.addr, "GET", &url, &[("Range", &across)]).await;
        assert_eq!((reply.status, early.len()), (206, 200), "{file}");
        assert_eq!(reply.header("content-range"), Some(&*format!("bytes {}-{}/*", block - 100, block + 99)));
        let tag = reply.header("etag").unwrap().to_owned();
        assert!(tag.contains("x64") || cfg!(not(target_arch = "x86_64")), "{tag}");
        // As far as it goes: what is asked beyond is left out.
        let (reply, growing) = fetch(house.addr, "GET", &url, &[("Range", "bytes=0-999999")]).await;
        assert_eq!(reply.status, 206);
        assert!(growing.len() >= 2 * block && growing.len() < 4 * block, "{file}: {}", growing.len());
        assert!(growing[block - 100..block + 100] == early);
        let (reply, _) = fetch(house.addr, "GET", &url, &[("Range", "bytes=5000000-")]).await;
        assert_eq!((reply.status, reply.header("content-range")), (416, Some(&*format!("bytes */{}", growing.len()))));

        let elsewhere = house.restarted().await;
        deck.play(RATE);
        deck.seal(SealReason::SourceEnded, None);
        let (reply, sealed) = fetch(elsewhere, "GET", &url, &[]).await;
        assert_eq!(reply.status, 200);
        assert_eq!(reply.header("content-length"), Some(&*sealed.len().to_string()));
        assert_eq!(reply.header("etag"), Some(&*tag));
        assert!(sealed.starts_with(&growing), "{file}: what was heard stays as it was");
        let (reply, again) = fetch(house.addr, "GET", &url, &[]).await;
        assert!(again == sealed && reply.header("accept-ranges") == Some("bytes"));
        for (from, to) in [(0, 0), (block - 1, block), (3, 2 * block + 3), (sealed.len() - 5, sealed.len() - 1)] {
            let range = format!("bytes={from}-{to}");
            for addr in [house.addr, elsewhere] {
                let (reply, part) = fetch(addr, "GET", &url, &[("Range", &range)]).await;
                assert_eq!((reply.status, total(&reply)), (206, sealed.len() as u64));
                assert!(part == sealed[from..=to], "{file} {range}");
            }
        }
        let past = format!("bytes={}-", sealed.len());
        assert_eq!(fetch(house.addr, "GET", &url, &[("Range", &past)]).await.0.status, 416);
        let (reply, body) = fetch(house.addr, "GET", &url, &[("If-None-Match", &tag)]).await;
        assert_eq!((reply.status, body.len()), (304, 0));
        let frames = decoded(sealed).len() as u64 / 2;
        let whole = if file.contains("opus") { 1 } else { 2 * 1_152 };
        assert!(frames.abs_diff(4 * RATE + 17) < whole, "{file}: {frames}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn how_a_growing_one_is_followed() {
    let house = House::new().await;
    let mut deck = house.record("live", MINUTE);
    deck.play(2 * RATE);
    let url = url(deck.id, "audio.opus");
    let lavf = ("User-Agent", "Lavf/59.27.100");
    let (last, all) = ((1_u64 << 40) - 1, 1_u64 << 40);
    let cases: [Case<'_>; 6] = [
        (&[], 0, None),
        (&[("Range", "bytes=0-")], 0, None),
        (&[("Range", "bytes=0-"), lavf], 0, None),
        (&[("Range", "bytes=10-"), lavf], 10, Some(format!("bytes 10-{last}/{all}"))),
        (&[("Range", "bytes=10-")], 10, Some(format!("bytes 10-{last}/*"))),
        (&[("Range", "bytes=0-"), ("Sec-Fetch-Dest", "audio")], 0, Some(format!("bytes 0-{last}/*"))),
    ];
    let mut bodies = Vec::new();
    for (headers, first, range) in cases {
        let (client, reply, bytes) = open(house.addr, &url, headers, 20_000).await;
        assert_eq!(reply.header("content-range"), range.as_deref(), "{headers:?}");
        assert_eq!(reply.header("accept-ranges").is_some(), range.is_some());
        assert_eq!(reply.header("content-type"), Some("audio/ogg; codecs=opus"));
        assert_eq!(reply.header("x-livetape-rendition"), Some("opus-96;rate=48000;channels=1,2"));
        assert!(reply.is_chunked());
        bodies.push((client, reply, bytes, first));
    }
    deck.play(RATE + 5);
    deck.seal(SealReason::SourceEnded, None);
    let (_, sealed) = fetch(house.addr, "GET", &url, &[]).await;
    for (client, reply, mut bytes, first) in bodies {
        let (mut client, mut reply) = (client, reply);
        let (rest, ending) = client.rest(&mut reply).await;
        bytes.extend(rest);
        assert!(matches!(ending, Ending::Clean), "{ending:?}");
        assert!(bytes == sealed[first..], "from {first}");
    }
    // Each block was made once, for all of them.
    assert_eq!(house.count("livetape_gateway_encoded_blocks_total{codec=\"opus\"}"), 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_encoding_for_all_who_listen_and_none_for_nobody() {
    let house = House::with(|c| c.limits.away = MINUTE).await;
    let mut deck = house.record("live", MINUTE);
    deck.play(10 * RATE);
    assert_eq!(house.count("livetape_gateway_encoded_blocks_total{codec=\"mp3\"}"), 0);
    let files = ["live.mp3", "live.mp3?bitrate=64", "live.opus"];
    let mut listeners = Vec::new();
    for n in 0..30 {
        let target = format!("/streams/live/{}", files[n % 3]);
        // Sound at once: the burst is there before anything is recorded.
        let (client, reply, bytes) = open(house.addr, &target, &[], 20_000).await;
        assert_eq!((reply.status, reply.header("content-range")), (200, None));
        assert!(reply.is_chunked() && reply.header("accept-ranges").is_none());
        listeners.push((client, reply, bytes));
    }
    assert_eq!(house.count("livetape_gateway_encoders"), 3);
    for _ in 0..8 {
        deck.play(RATE / 2);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    deck.seal(SealReason::SourceEnded, None);
    let mut bodies: Vec<Vec<u8>> = Vec::new();
    for (mut client, mut reply, mut bytes) in listeners {
        let (rest, ending) = client.rest(&mut reply).await;
        assert!(matches!(ending, Ending::Clean), "{ending:?}");
        bytes.extend(rest);
        bodies.push(bytes);
    }
    for n in 3..30 {
        assert!(bodies[n] == bodies[n % 3], "listener {n}");
    }
    // From the block in which the burst begins to the end: 3 s before the 10th second, or 36 KiB at 64 kbit/s.
    let mp3 = house.count("livetape_gateway_encoded_blocks_total{codec=\"mp3\"}");
    let opus = house.count("livetape_gateway_encoded_blocks_total{codec=\"opus\"}");
    let blocks = |from: f64, length: f64| (14.0 / length).ceil() as u64 - (from / length).floor() as u64;
    assert_eq!(mp3, blocks(7.0, 1.2) + blocks(10.0 - 36_864.0 / 8_000.0, 1.2));
    assert!((blocks(6.9, 1.0)..=blocks(6.9, 1.0) + 1).contains(&opus), "{opus}");
    house.until("livetape_gateway_encoders", 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn as_many_encoders_as_may_be() {
    let house = House::with(|c| c.limits.encoders = 1).await;
    let mut deck = house.record("live", MINUTE);
    deck.play(5 * RATE);
    let (mut client, mut reply, _) = open(house.addr, "/streams/live/live.mp3", &[], 1).await;
    // Those who hear the same need no other.
    let (_, other, _) = open(house.addr, "/streams/live/live.mp3", &[], 1).await;
    assert_eq!((reply.status, other.status), (200, 200));
    for target in ["/streams/live/live.opus".into(), url(deck.id, "audio.mp3"), url(deck.id, "audio.flac")] {
        let (reply, body) = fetch(house.addr, "GET", &target, &[]).await;
        assert_eq!((reply.status, reply.header("retry-after")), (503, Some("10")), "{target}");
        assert!(String::from_utf8(body).unwrap().contains("wav"));
        assert_eq!(fetch(house.addr, "HEAD", &target, &[]).await.0.status, 200, "a head needs none");
    }
    assert_eq!(house.count("livetape_gateway_refused_encoders_total"), 3);
    assert_eq!(house.count("livetape_gateway_encoders_limit"), 1);
    assert_eq!(fetch(house.addr, "GET", &url(deck.id, "audio.wav?len=now"), &[]).await.0.status, 200);
    deck.seal(SealReason::SourceEnded, None);
    client.rest(&mut reply).await;
    house.until("livetape_gateway_encoders", 0).await;
    assert_eq!(fetch(house.addr, "GET", &url(deck.id, "audio.opus"), &[]).await.0.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_encodes_counts() {
    let house = House::with(|c| (c.limits.encoders, c.limits.away) = (1, MINUTE)).await;
    let mut deck = house.record("live", MINUTE);
    deck.play(200 * RATE);
    let recorded = url(deck.id, "audio.mp3");
    // Many who take their time over what was encoded for the first of them: it waits for nobody.
    let mut slow = Vec::new();
    for _ in 0..8 {
        let (client, reply, _) = open(house.addr, &recorded, &[], 10).await;
        assert_eq!(reply.status, 200);
        slow.push(client);
    }
    house.until("livetape_gateway_encoders", 0).await;
    // Another moment is another encoding, though it is of the same recording and rendition; the same one is not.
    let (first, reply, _) = open(house.addr, "/streams/live/live.mp3", &[], 1).await;
    let (other, same, _) = open(house.addr, "/streams/live/live.mp3?burst=9", &[], 1).await;
    assert_eq!((reply.status, same.status), (200, 200));
    // As soon as both have come to the edge.
    house.until("livetape_gateway_encoders", 1).await;
    let (refused, _) = fetch(house.addr, "GET", "/streams/live/live.mp3?offset=100", &[]).await;
    assert_eq!(refused.status, 503);
    // A download of what is at hand needs none, of what is not it does.
    assert_eq!(fetch(house.addr, "GET", &recorded, &[("Range", "bytes=0-9")]).await.0.status, 206);
    assert_eq!(
        fetch(house.addr, "GET", &url(deck.id, "audio.opus"), &[("Range", "bytes=400-409")]).await.0.status,
        503
    );
    // Where the stream goes on in the next recording, the seat goes with it: who comes then finds it there.
    let mut next = house.record("live", Duration::ZERO);
    next.play(5 * RATE);
    deck.seal(SealReason::Rolled, Some(next.id));
    drop(other);
    let (mut client, mut reply) = loop {
        let mut client = Client::connect(house.addr).await;
        let reply = client.request("GET", "/streams/live/live.mp3?burst=4", &[]).await;
        if reply.status == 200 {
            break (client, reply);
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    house.until("livetape_gateway_encoders", 1).await;
    next.seal(SealReason::SourceEnded, None);
    let (_, ending) = client.rest(&mut reply).await;
    assert!(matches!(ending, Ending::Clean));
    drop((first, client));
    house.until("livetape_gateway_encoders", 0).await;
}

/// Browsers hand nothing to their decoders before they have 32 KiB.
#[tokio::test(flavor = "multi_thread")]
async fn the_burst_is_enough_at_every_bitrate_and_moment() {
    let house = House::with(|c| c.limits.away = MINUTE).await;
    let mut deck = house.record("live", MINUTE);
    deck.play(20 * RATE);
    for more in [0, 17, 30_000, 57_000] {
        deck.play(more);
        for file in ["mp3?bitrate=64", "mp3?bitrate=96", "mp3", "mp3?bitrate=320", "opus?bitrate=24", "opus"] {
            let (_, reply, bytes) = open(house.addr, &format!("/streams/live/live.{file}"), &[], 36_864).await;
            assert_eq!((reply.status, bytes.len()), (200, 36_864), "{file}");
            let first: u64 = reply.header("x-livetape-first-frame").unwrap().parse().unwrap();
            assert!(deck.frames() - first < 15 * RATE && deck.frames() - first >= 3 * RATE - 4_000, "{file}: {first}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn flac_loses_nothing() {
    let house = House::new().await;
    let mut deck = house.record("live", MINUTE);
    deck.play(2 * RATE + 1_001);
    let url = url(deck.id, "audio.flac");
    let (mut client, mut following, early) = open(house.addr, &url, &[("Range", "bytes=5-")], 100).await;
    assert_eq!((following.status, following.header("accept-ranges")), (200, Some("none")));
    deck.seal(SealReason::SourceEnded, None);
    let (rest, ending) = client.rest(&mut following).await;
    assert!(matches!(ending, Ending::Clean));
    let was: Vec<i16> =
        counting(0..2 * RATE + 1_001).as_chunks::<2>().0.iter().map(|&s| i16::from_le_bytes(s)).collect();
    assert!(decoded([early, rest].concat()) == was);
    let (reply, body) = fetch(house.addr, "GET", &format!("{url}?from=0.5&to=1.5&ch=2"), &[]).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("audio/flac")));
    assert!(decoded(body).iter().eq(was[RATE as usize..3 * RATE as usize].iter().skip(1).step_by(2)));
    let (reply, part) =
        fetch(house.addr, "GET", &format!("/recordings/{}/audio.opus?from=0.5&to=1.5", deck.id), &[]).await;
    assert_eq!(reply.header("x-livetape-first-frame"), Some("24000"));
    assert_eq!(decoded(part).len() as u64, 2 * RATE, "to the frame");
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_the_edge_and_into_the_next_recording() {
    let house = House::new().await;
    let mut deck = house.record("live", MINUTE);
    deck.play(20 * RATE);
    let (mut client, mut reply, mut bytes) = open(house.addr, "/streams/live/live.opus?offset=10.5", &[], 10_000).await;
    // From the block's beginning, but for what decoders need.
    assert_eq!(reply.header("x-livetape-first-frame"), Some(&*(9 * RATE + 3_840 - 120).to_string()));
    let mut next = house.record("live", Duration::ZERO);
    next.play(2 * RATE);
    deck.seal(SealReason::Rolled, Some(next.id));
    next.seal(SealReason::SourceEnded, None);
    let (rest, ending) = client.rest(&mut reply).await;
    assert!(matches!(ending, Ending::Clean), "{ending:?}");
    bytes.extend(rest);
    let second = (1..bytes.len() - 36).find(|&at| bytes[at..].starts_with(b"OggS\0\x02")).expect("a chained stream");
    let (first, second) = bytes.split_at(second);
    assert_eq!(decoded(first.to_vec()).len() as u64, 2 * (11 * RATE - 3_840 + 120));
    assert_eq!(decoded(second.to_vec()).len() as u64, 2 * 2 * RATE);
    assert_ne!(first[14..18], second[14..18], "serial numbers");
    let (_, whole) = fetch(house.addr, "GET", &url(next.id, "audio.opus"), &[]).await;
    assert!(second == whole);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_there_is_not() {
    let house = House::with(|c| c.renditions = Renditions::named(["mp3-128", "opus-96"]).unwrap()).await;
    let mut deck = house.record("live", MINUTE);
    deck.play(RATE);
    let slow = house.record_as("slow", MINUTE, Spec::new(SampleFormat::S16, 8_000, 1).unwrap());
    for (target, status, says) in [
        (url(deck.id, "audio.mp3?bitrate=320"), 400, "128"),
        (url(deck.id, "audio.mp3?bitrate=0"), 400, "whole number"),
        (url(deck.id, "audio.opus?bitrate=97"), 400, "96"),
        (url(deck.id, "audio.opus?ch=3"), 400, "has 2"),
        (url(deck.id, "audio.wav?ch=1"), 400, "flac"),
        (url(deck.id, "audio.wav?bitrate=128"), 400, "no bitrate"),
        (url(deck.id, "audio.flac"), 404, "opus-96"),
        (url(deck.id, "audio.aac"), 404, "audio.mp3"),
        (url(slow.id, "audio.mp3?bitrate=128"), 400, "64"),
        ("/streams/live/live.flac".into(), 404, "mp3-128"),
        ("/streams/live/live.mp3?bitrate=12800000".into(), 400, "whole number"),
        ("/streams/live/live.rf64".into(), 404, "live.mp3"),
    ] {
        let (reply, body) = fetch(house.addr, "GET", &target, &[]).await;
        let body = String::from_utf8(body).unwrap();
        assert!(reply.status == status && body.contains(says), "{target}: {} {body}", reply.status);
    }
    // A rate that MP3 has no usual bitrate for: the highest that there is.
    let (reply, _) = fetch(house.addr, "HEAD", &url(slow.id, "audio.mp3"), &[]).await;
    assert_eq!(reply.header("x-livetape-rendition"), Some("mp3-64;rate=8000;channels=1"));
}

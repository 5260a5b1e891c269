//! Live audio: the burst, joining behind the edge or at a time of day, and stepping from recording to recording.

use crate::client::{Ending, fetch, open};
use crate::house::{Deck, FRAME, HEADER, House, RATE, SECOND, counting, now, spec};
use livetape_audio::{RecordingId, SampleFormat, SealReason, Spec};
use std::time::{Duration, Instant};

const MINUTE: Duration = Duration::from_secs(60);

/// A deck whose audio ends now.
fn on_air(house: &House, seconds: u64) -> Deck {
    let mut deck = house.record("live", Duration::from_secs(seconds));
    deck.play(seconds * RATE);
    deck
}

fn first_frame(reply: &crate::client::Reply) -> u64 {
    reply.header("x-livetape-first-frame").unwrap().parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_22_and_23_a_burst_and_then_what_comes() {
    let house = House::new().await;
    let mut deck = on_air(&house, 10);
    for (target, headers, burst) in [
        ("/streams/live/live.wav", &[][..], RATE),
        ("/streams/live/live.wav", &[("Range", "bytes=0-")][..], RATE),
        ("/streams/live/live.pcm?burst=0", &[][..], 0),
        ("/streams/live/live.wav?burst=0.5", &[][..], RATE / 2),
        ("/streams/live/live.wav?burst=30", &[][..], u64::MAX),
    ] {
        let head = if target.contains("wav") { HEADER } else { 0 };
        let edge = deck.frames();
        let first = edge - burst.min(edge);
        let already = (head + (edge - first) * FRAME) as usize;
        let (mut client, mut reply, bytes) = open(house.addr, target, headers, already).await;
        assert_eq!((reply.status, reply.header("content-range")), (200, None), "{target}");
        assert!(reply.is_chunked() && reply.header("accept-ranges").is_none() && reply.header("etag").is_none());
        assert_eq!(reply.header("cache-control"), Some("no-store"));
        assert_eq!(first_frame(&reply), first, "{target}");
        assert_eq!(reply.header("x-livetape-recording"), Some(deck.id.to_string().as_str()));
        assert!(bytes[head as usize..] == counting(first..edge), "{target}");
        deck.play(RATE / 10);
        let (bytes, _) = client.take(&mut reply, (SECOND / 10) as usize).await;
        assert!(bytes == counting(edge..edge + RATE / 10), "{target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_burst_is_enough_for_a_browser_at_low_rates() {
    let house = House::new().await;
    let slow = Spec::new(SampleFormat::S16, 8_000, 1).unwrap();
    let mut deck = house.record_as("live", MINUTE, slow);
    deck.play(60 * 8_000);
    let (_, reply, _) = open(house.addr, "/streams/live/live.pcm", &[], 36 * 1_024).await;
    assert_eq!(first_frame(&reply), 60 * 8_000 - 18 * 1_024);
}

#[tokio::test(flavor = "multi_thread")]
async fn behind_the_edge_and_at_a_time_of_day() {
    let house = House::new().await;
    let mut deck = on_air(&house, 20);
    let edge = deck.frames();
    let time = |ago: u64| now().earlier(Duration::from_secs(ago)).to_string();
    let (mut client, mut reply, bytes) = open(house.addr, "/streams/live/live.pcm?offset=7.5", &[], 4).await;
    assert_eq!(first_frame(&reply), edge - 7 * RATE - RATE / 2);
    assert_eq!(bytes, counting(edge - 7 * RATE - RATE / 2..edge - 7 * RATE - RATE / 2 + 1));
    let (rest, _) = client.take(&mut reply, (7 * SECOND) as usize).await;
    assert!(rest == counting(edge - 15 * RATE / 2 + 1..edge - RATE / 2 + 1), "up to the edge without a pause");

    let (_, reply, _) = open(house.addr, "/streams/live/live.pcm?offset=99999", &[], 4).await;
    assert_eq!(first_frame(&reply), 0, "the oldest frame");
    let (_, reply, bytes) = open(house.addr, &format!("/streams/live/live.pcm?at={}", time(5)), &[], 4).await;
    // Meanwhile time goes on, and how much of it a busy machine takes is not what is tested.
    assert!((edge - 5 * RATE - RATE / 2..edge).contains(&first_frame(&reply)));
    assert_eq!(bytes, counting(first_frame(&reply)..first_frame(&reply) + 1));
    let (_, reply, _) = open(house.addr, &format!("/streams/live/live.pcm?at={}", time(3_600)), &[], 4).await;
    assert_eq!(first_frame(&reply), 0, "before the recording: its first frame");

    let gap_at = deck.time();
    deck.gap(Duration::from_millis(200));
    tokio::time::sleep(Duration::from_millis(250)).await;
    deck.play(RATE / 10);
    let inside = gap_at.later(Duration::from_millis(100));
    let (_, reply, _) = open(house.addr, &format!("/streams/live/live.pcm?at={inside}"), &[], 4).await;
    assert_eq!(first_frame(&reply), edge, "inside a gap: the first frame after it");

    let tomorrow = now().later(Duration::from_secs(86_400));
    for (query, status) in [
        (format!("at={tomorrow}"), 400),
        ("at=noon".into(), 400),
        ("offset=1&at=2026-11-20T12:00:00Z".into(), 400),
        ("offset=-1".into(), 400),
        ("burst=31".into(), 400),
        ("pos=1".into(), 400),
    ] {
        let (reply, body) = fetch(house.addr, "GET", &format!("/streams/live/live.wav?{query}"), &[]).await;
        assert_eq!(reply.status, status, "{query}: {}", String::from_utf8_lossy(&body));
    }
}

/// Three recordings that go on from each other, and one of another spec before them.
fn chain(house: &House) -> (Vec<RecordingId>, Deck) {
    let mut other = house.record_as("live", Duration::from_secs(100), Spec::new(SampleFormat::S16, 44_100, 2).unwrap());
    other.play(44_100);
    other.seal(SealReason::SpecChanged, None);
    let mut first = house.record("live", Duration::from_secs(60));
    first.play(10 * RATE);
    let mut second = house.record("live", Duration::from_secs(30));
    second.play(10 * RATE);
    first.seal(SealReason::SourceLost, None);
    let mut third = house.record("live", Duration::from_secs(20));
    second.seal(SealReason::Rolled, Some(third.id));
    third.play(20 * RATE);
    (vec![first.id, second.id, third.id], third)
}

#[tokio::test(flavor = "multi_thread")]
async fn an_offset_steps_back_through_recordings_of_the_same_spec() {
    let house = House::new().await;
    let (ids, _third) = chain(&house);
    for (offset, recording, first) in
        [(20, ids[2], 0), (25, ids[1], 5 * RATE), (35, ids[0], 5 * RATE), (4_000, ids[0], 0)]
    {
        let target = format!("/streams/live/live.pcm?offset={offset}");
        let all = (offset.min(40) * SECOND) as usize;
        let (_, reply, bytes) = open(house.addr, &target, &[], all).await;
        assert_eq!(reply.header("x-livetape-recording"), Some(recording.to_string().as_str()), "{offset}");
        assert_eq!(first_frame(&reply), first);
        // The same audio without a seam: the recordings count from 0 each.
        let tapes = [10, 10, 20].map(|seconds| counting(0..seconds * RATE)).concat();
        assert!(bytes == tapes[tapes.len() - all..], "{offset}");
    }
    // The burst goes back only where nothing is missing.
    let mut fourth = house.record("live", Duration::ZERO);
    fourth.play(RATE / 10);
    let (_, reply, _) = open(house.addr, "/streams/live/live.pcm", &[], 4).await;
    assert_eq!((first_frame(&reply), reply.header("x-livetape-recording")), (0, Some(fourth.id.to_string().as_str())));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_listener_goes_on_in_the_next_recording_and_ends_with_the_last() {
    let house = House::with(|c| c.limits.successor = Duration::from_millis(600)).await;
    let mut deck = on_air(&house, 1);
    let (mut client, mut reply, _) = open(house.addr, "/streams/live/live.pcm?burst=0", &[], 0).await;
    deck.play(RATE / 2);
    let mut next = house.record("live", Duration::ZERO);
    deck.seal(SealReason::Rolled, Some(next.id));
    next.play(RATE / 2);
    let expected = [counting(RATE..RATE + RATE / 2), counting(0..RATE / 2)].concat();
    let (bytes, _) = client.take(&mut reply, SECOND as usize).await;
    assert!(bytes == expected, "to the frame");

    // Sealed without naming one; another one begins soon.
    next.seal(SealReason::SourceLost, None);
    tokio::time::sleep(Duration::from_millis(200)).await;
    let mut later = house.record("live", Duration::ZERO);
    later.play(100);
    let (bytes, _) = client.take(&mut reply, 400).await;
    assert!(bytes == counting(0..100));

    // No other one: the end.
    later.seal(SealReason::SourceEnded, None);
    assert_eq!(client.rest(&mut reply).await, (Vec::new(), Ending::Clean));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_spec_breaks_a_live_body_off() {
    let house = House::new().await;
    let mut deck = on_air(&house, 1);
    let (mut client, mut reply, _) = open(house.addr, "/streams/live/live.wav", &[], HEADER as usize).await;
    let other = house.record_as("live", Duration::ZERO, Spec::new(SampleFormat::S24, 48_000, 2).unwrap());
    deck.seal(SealReason::SpecChanged, Some(other.id));
    let (bytes, ending) = client.rest(&mut reply).await;
    assert_eq!((bytes.len() as u64, ending), (SECOND, Ending::Cut), "the stream goes on: its end would be a lie");
}

#[tokio::test(flavor = "multi_thread")]
async fn audio_from_before_the_clock_was_set_back_is_found() {
    let house = House::new().await;
    let hour = Duration::from_secs(3_600);
    let wrong = now().later(hour).earlier(MINUTE);
    let mut before = house.record_by("live", MINUTE, wrong, spec());
    before.play(30 * RATE);
    // Set back in the middle of a recording, and sealed an hour before its latest audio.
    before.set_clock(wrong.earlier(hour).later(Duration::from_secs(30)));
    before.play(10 * RATE);
    before.seal(SealReason::SourceLost, None);
    let mut after = house.record("live", Duration::from_secs(10));
    after.play(10 * RATE);
    let at = |time: livetape_audio::WallTime| format!("/streams/live/live.pcm?at={time}");
    let (_, reply, bytes) = open(house.addr, &at(wrong.later(Duration::from_secs(20))), &[], 40).await;
    assert_eq!(reply.header("x-livetape-recording"), Some(before.id.to_string().as_str()));
    assert!(first_frame(&reply) == 20 * RATE && bytes == counting(20 * RATE..20 * RATE + 10));
    let (reply, _) = fetch(house.addr, "GET", &at(now().later(hour)), &[]).await;
    assert_eq!(reply.status, 400, "no such audio, and the time has not come");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_whose_source_has_not_come_back_is_not_live() {
    let house = House::new().await;
    let mut deck = on_air(&house, 5);
    let again = house.restarted().await;
    let state = async || crate::client::json(again, "/streams/live").await.1["state"].clone();
    assert_eq!(state().await, "waiting");
    let (reply, _) = fetch(again, "GET", "/streams/live/live.wav", &[]).await;
    assert_eq!(reply.status, 503);
    deck.play(RATE / 10);
    open(again, "/streams/live/live.wav", &[], 44).await;
    assert_eq!(state().await, "live", "with its first new frame");
    // What begins while the gateway runs begins with its source.
    deck.seal(SealReason::Rolled, None);
    let mut next = house.record("live", Duration::ZERO);
    let (mut client, mut reply, _) = open(again, "/streams/live/live.pcm", &[], 0).await;
    next.play(100);
    assert_eq!(client.take(&mut reply, 400).await.0, counting(0..100));
}

#[tokio::test(flavor = "multi_thread")]
async fn row_40_a_stream_whose_source_is_away() {
    let house = House::with(|c| c.limits.away = Duration::from_millis(500)).await;
    let (reply, _) = fetch(house.addr, "GET", "/streams/live/live.wav", &[]).await;
    assert_eq!(reply.status, 404, "never heard of");
    let mut deck = on_air(&house, 5);
    open(house.addr, "/streams/live/live.wav", &[], 44).await;
    tokio::time::sleep(Duration::from_millis(900)).await;
    let (reply, body) = fetch(house.addr, "GET", "/streams/live/live.wav", &[]).await;
    assert_eq!((reply.status, reply.header("retry-after")), (503, Some("5")));
    assert!(String::from_utf8(body).unwrap().contains("nothing is being recorded on live"));
    // What was recorded can be heard all the same.
    let (_, reply, bytes) = open(house.addr, "/streams/live/live.pcm?offset=2", &[], (2 * SECOND) as usize).await;
    assert!(first_frame(&reply) == 3 * RATE && bytes == counting(3 * RATE..5 * RATE));
    let (reply, _) = fetch(house.addr, "GET", "/streams/live/live.pcm?offset=0", &[]).await;
    assert_eq!(reply.status, 503, "nothing to play");
    let at = now().earlier(Duration::from_secs(1_000));
    open(house.addr, &format!("/streams/live/live.pcm?at={at}"), &[], 4).await;
    // And live again as soon as frames come.
    deck.play(RATE);
    open(house.addr, "/streams/live/live.wav", &[], 44).await;
    deck.seal(SealReason::SourceEnded, None);
    let (reply, _) = fetch(house.addr, "GET", "/streams/live/live.wav", &[]).await;
    assert_eq!(reply.status, 503);
    let (reply, body) = fetch(house.addr, "GET", "/streams/live/live.pcm?offset=1", &[]).await;
    assert_eq!(reply.status, 200);
    assert!(body == counting(5 * RATE..6 * RATE), "to its end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_live_body_without_frames_is_reset_and_one_of_a_recording_waits() {
    let house = House::with(|c| c.limits.live_silence = Duration::from_millis(400)).await;
    let deck = on_air(&house, 1);
    let (mut client, mut reply, _) = open(house.addr, "/streams/live/live.pcm?burst=0", &[], 0).await;
    let target = format!("/recordings/{}/audio.pcm", deck.id);
    let (mut patient, mut waiting, _) = open(house.addr, &target, &[], SECOND as usize).await;
    let began = Instant::now();
    assert_eq!(client.rest(&mut reply).await, (Vec::new(), Ending::Cut));
    assert!((300..1_500).contains(&began.elapsed().as_millis()));
    let mut deck = deck;
    deck.play(10);
    assert_eq!(patient.take(&mut waiting, 40).await, (counting(RATE..RATE + 10), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn many_listeners_hear_the_same_at_the_same_time() {
    let house = House::new().await;
    let stop = tokio_util::sync::CancellationToken::new();
    let deck = on_air(&house, 2).run(stop.clone());
    let listeners: Vec<_> = (0..100)
        .map(|_| {
            let addr = house.addr;
            tokio::spawn(async move {
                let (_, reply, bytes) = open(addr, "/streams/live/live.pcm", &[], (2 * SECOND) as usize).await;
                let first = first_frame(&reply);
                assert!(bytes == counting(first..first + 2 * RATE));
            })
        })
        .collect();
    for listener in listeners {
        listener.await.unwrap();
    }
    stop.cancel();
    deck.await.unwrap();
    assert_eq!(spec().byte_rate(), SECOND);
}

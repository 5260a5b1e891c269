//! Event streams.

use crate::client::{Client, Ending, Reply, fetch};
use crate::house::{House, RATE};
use livetape_audio::SealReason;
use serde_json::Value;
use std::time::Duration;

/// What comes up to the next empty line.
async fn paragraph(client: &mut Client, reply: &mut Reply) -> String {
    let mut text = String::new();
    while !text.ends_with("\n\n") {
        let (byte, ending) = client.take(reply, 1).await;
        assert_eq!(ending, None);
        text.push(char::from(byte[0]));
    }
    text
}

/// The next event: its id and its data.
async fn event(client: &mut Client, reply: &mut Reply) -> (u64, Value) {
    loop {
        let text = paragraph(client, reply).await;
        let field = |name: &str| text.lines().find_map(|l| l.strip_prefix(name)).map(str::to_owned);
        if let (Some(id), Some(data)) = (field("id: "), field("data: ")) {
            return (id.parse().unwrap(), serde_json::from_str(&data).unwrap());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tails_are_told_as_they_move() {
    let house = House::with(|c| c.limits.away = Duration::from_millis(700)).await;
    let mut deck = house.record("live", Duration::from_secs(60));
    deck.play(RATE);
    let mut other = house.record("other", Duration::from_secs(60));
    other.play(5);
    let mut client = Client::connect(house.addr).await;
    let mut reply = client.request("GET", "/streams/live/events", &[]).await;
    assert_eq!((reply.status, reply.header("content-type")), (200, Some("text/event-stream")));
    assert_eq!(reply.header("cache-control"), Some("no-store"));
    let (id, data) = event(&mut client, &mut reply).await;
    assert_eq!(id, RATE);
    assert_eq!(data["recording"], deck.id.to_string());
    assert_eq!((&data["stream"], &data["frames"]), (&"live".into(), &RATE.into()));
    assert_eq!((data["seconds"].as_f64(), &data["state"]), (Some(1.0), &"live".into()));
    assert_eq!(data["time"], deck.time().to_string());
    // Many steps in a second are few events.
    let mut seen = Vec::new();
    for _ in 0..50 {
        deck.play(RATE / 50);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    while seen.last().is_none_or(|id| *id < 2 * RATE) {
        seen.push(event(&mut client, &mut reply).await.0);
    }
    assert!((2..=7).contains(&seen.len()) && seen.is_sorted(), "{seen:?}");
    let (_, data) = event(&mut client, &mut reply).await;
    assert_eq!((&data["state"], &data["frames"]), (&"waiting".into(), &(2 * RATE).into()));
    deck.seal(SealReason::SourceEnded, None);
    let (_, data) = event(&mut client, &mut reply).await;
    assert_eq!(data["state"], "ended");
    // The stream of all has the other one, too.
    let mut all = Client::connect(house.addr).await;
    let mut reply = all.request("GET", "/events", &[]).await;
    let mut streams =
        [event(&mut all, &mut reply).await.1, event(&mut all, &mut reply).await.1].map(|d| d["stream"].to_string());
    streams.sort();
    assert_eq!(streams, ["\"live\"", "\"other\""]);
}

/// The next `level`.
async fn level(client: &mut Client, reply: &mut Reply) -> Value {
    loop {
        let text = paragraph(client, reply).await;
        if let Some(data) = text.strip_prefix("event: level\ndata: ") {
            return serde_json::from_str(data).unwrap();
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn levels_and_loudness_while_somebody_wants_them() {
    let house = House::new().await;
    let (mut deck, mut other) =
        (house.record("live", Duration::from_secs(60)), house.record("other", Duration::from_secs(60)));
    for deck in [&mut deck, &mut other] {
        deck.play(RATE / 2);
        deck.draw();
    }
    let mut one = Client::connect(house.addr).await;
    let mut reply = one.request("GET", "/streams/live/events?levels=on", &[]).await;
    let first = level(&mut one, &mut reply).await;
    assert_eq!((&first["stream"], &first["recording"]), (&"live".into(), &deck.id.to_string().into()));
    assert_eq!((&first["first_frame"], &first["end_frame"]), (&0.into(), &23_808.into()), "as far as the peaks go");
    let span = first["frames_per_point"].as_u64().unwrap();
    let (peak, rms) = (first["peak"].as_array().unwrap(), first["rms"].as_array().unwrap());
    assert_eq!((peak.len() as u64, rms.len()), (23_808_u64.div_ceil(span), peak.len()));
    assert!(peak.len() <= 5, "at most ten a second: {first}");
    for (n, peak) in (0..).zip(peak) {
        let due = ((n + 1) * span).min(23_808) - 1;
        assert_eq!(peak[0].as_f64().unwrap() as f32, due as f32 / 32_768.0, "point {n}");
        assert_eq!(peak[1], 0.0);
    }
    // Half a second of a rising saw: no short-term loudness yet, but a momentary one.
    assert!(first["loudness"]["momentary"].is_number() && first["loudness"]["true_peak"].is_number(), "{first}");
    // Further ones go on where these end, and are told of both streams to whoever watches all, without loudness.
    let mut all = Client::connect(house.addr).await;
    let mut both = all.request("GET", "/events?levels=on", &[]).await;
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 2 {
        for deck in [&mut deck, &mut other] {
            deck.play(RATE / 10);
            deck.draw();
        }
        let told = level(&mut all, &mut both).await;
        seen.insert(told["stream"].to_string());
        assert!(told["stream"] == "live" || told["loudness"].is_null(), "{told}");
    }
    let next = level(&mut one, &mut reply).await;
    assert!(next["first_frame"].as_u64().unwrap() <= 23_808 && next["end_frame"].as_u64().unwrap() > 23_808, "{next}");
    for wrong in ["/events?levels=1", "/events?level=on", "/streams/live/events?levels="] {
        assert_eq!(fetch(house.addr, "GET", wrong, &[]).await.0.status, 400, "{wrong}");
    }
    // Who does not ask is not told.
    let mut plain = Client::connect(house.addr).await;
    let mut reply = plain.request("GET", "/streams/other/events", &[]).await;
    assert!(event(&mut plain, &mut reply).await.1["state"].is_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn something_comes_even_where_nothing_happens() {
    let house = House::new().await;
    house.finished("live", Duration::from_secs(60), 100);
    let mut client = Client::connect(house.addr).await;
    let mut reply = client.request("GET", "/events", &[]).await;
    let mut beats = Vec::new();
    // At the beginning it is promised, and then it is kept.
    while beats.len() < 2 {
        let text = tokio::time::timeout(Duration::from_secs(30), paragraph(&mut client, &mut reply)).await.unwrap();
        beats.extend(text.strip_prefix("event: beat\ndata: ").map(str::to_owned));
    }
    let promised: Value = serde_json::from_str(&beats[0]).unwrap();
    assert!((1..=15).contains(&promised["seconds"].as_u64().unwrap()) && beats[0] == beats[1], "{beats:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_only_so_many() {
    let house = House::with(|c| c.limits.event_streams = 1).await;
    house.finished("live", Duration::from_secs(60), 100);
    let mut client = Client::connect(house.addr).await;
    let mut reply = client.request("GET", "/events", &[]).await;
    event(&mut client, &mut reply).await;
    let (refused, _) = fetch(house.addr, "GET", "/events", &[]).await;
    assert_eq!((refused.status, refused.header("retry-after")), (503, Some("10")));
    assert_eq!(fetch(house.addr, "GET", "/streams/none/events", &[]).await.0.status, 404);
    drop(client);
    tokio::time::sleep(Duration::from_millis(600)).await;
    let mut client = Client::connect(house.addr).await;
    let mut reply = client.request("GET", "/events", &[]).await;
    assert_eq!(reply.status, 200, "room again");
    house.shutdown.cancel();
    assert_eq!(client.rest(&mut reply).await.1, Ending::Clean);
}

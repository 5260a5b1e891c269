//! Event streams.

use crate::client::{Client, Ending, Reply, fetch};
use crate::house::{House, RATE};
use livetape_audio::SealReason;
use serde_json::Value;
use std::time::Duration;

/// The next event: its id and its data.
async fn event(client: &mut Client, reply: &mut Reply) -> (u64, Value) {
    loop {
        let mut text = String::new();
        while !text.ends_with("\n\n") {
            let (byte, ending) = client.take(reply, 1).await;
            assert_eq!(ending, None);
            text.push(char::from(byte[0]));
        }
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

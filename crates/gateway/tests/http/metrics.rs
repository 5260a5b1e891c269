//! What the gateway counts, against what clients saw.

use crate::client::{Client, Ending, fetch, open};
use crate::house::{House, RATE};
use std::time::Duration;

impl House {
    /// The value of a series as `/metrics` shows it; nothing counted is nothing shown.
    pub fn count(&self, series: &str) -> u64 {
        let text = self.metrics.text();
        let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
        line.map_or(0, |value| value.parse().unwrap())
    }

    pub async fn until(&self, series: &str, value: u64) {
        for _ in 0..1_000 {
            if self.count(series) == value {
                return;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        panic!("{series} never became {value}:\n{}", self.metrics.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_bytes_requests_and_resets() {
    let house = House::with(|c| {
        c.limits.live_silence = Duration::from_secs(1);
        c.limits.connections = 3;
    })
    .await;
    let mut deck = house.record("live", Duration::from_secs(60));
    deck.play(RATE);
    let whole = format!("/recordings/{}/audio.pcm?len=now", deck.id);
    let (_, body) = fetch(house.addr, "GET", &whole, &[]).await;
    house.until("livetape_gateway_sent_bytes_total{kind=\"recording\"}", body.len() as u64).await;
    fetch(house.addr, "GET", &whole, &[("Range", "bytes=0-9")]).await;
    for path in ["/nothing/here", "/nothing/either", "/streams/other/live.wav"] {
        assert_eq!(fetch(house.addr, "GET", path, &[]).await.0.status, 404);
    }
    house.until("livetape_gateway_sent_bytes_total{kind=\"recording\"}", body.len() as u64 + 10).await;
    for (route, status, requests) in [
        ("/recordings/{id}/{file}", 200, 1),
        ("/recordings/{id}/{file}", 206, 1),
        ("/streams/{stream}/{file}", 404, 1),
        ("none", 404, 2),
    ] {
        let series = format!("livetape_gateway_requests_total{{route=\"{route}\",status=\"{status}\"}}");
        assert_eq!(house.count(&series), requests, "{series}");
    }

    house.until("livetape_gateway_connections", 0).await;
    let (mut client, mut reply, _) = open(house.addr, "/streams/live/live.pcm?burst=0.1", &[], 1).await;
    assert_eq!(house.count("livetape_gateway_listeners{kind=\"live\"}"), 1);
    assert_eq!(house.count("livetape_gateway_connections"), 1);
    let others = [Client::connect(house.addr).await, Client::connect(house.addr).await];
    let mut third = Client::connect(house.addr).await;
    assert_eq!(third.head(false).await.status, 503);
    assert_eq!(house.count("livetape_gateway_limit_rejections_total{limit=\"connections\"}"), 1);
    drop(others);
    // Nothing more is recorded.
    assert_eq!(client.rest(&mut reply).await.1, Ending::Cut);
    house.until("livetape_gateway_resets_total{reason=\"source_silent\"}", 1).await;
    house.until("livetape_gateway_listeners{kind=\"live\"}", 0).await;
    house.until("livetape_gateway_connections", 0).await;
    assert_eq!(house.count("livetape_gateway_sent_bytes_total{kind=\"live\"}"), RATE / 10 * 4);
}

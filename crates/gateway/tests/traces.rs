//! A request as a collector sees it. In a program of its own: traces are switched on for a whole process.

#![allow(unreachable_pub, dead_code, reason = "modules of another test program")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test that unwraps says all there is to say"
)]

#[path = "http/client.rs"]
mod client;
#[path = "http/house.rs"]
mod house;

use client::{Ending, fetch, open};
use house::{House, RATE};
use livetape_service::logging::{self, Format, LogSettings};
use livetape_testkit::otlp::Collector;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn a_request_is_traced_from_its_head_to_its_last_byte() {
    let collector = Collector::start();
    let otlp = Some(collector.url().parse().unwrap());
    let (filter, service) = ("off".to_owned(), "livetape-gateway".to_owned());
    let telemetry = logging::start(&LogSettings { filter, format: Format::Text, otlp, service, over: false }).unwrap();
    let house = House::with(|c| c.limits.live_silence = Duration::from_secs(1)).await;
    let mut deck = house.record("live", Duration::from_secs(60));
    deck.play(RATE);
    let whole = format!("/recordings/{}/audio.pcm?len=now", deck.id);
    let parent = ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
    let (_, body) = fetch(house.addr, "GET", &whole, &[parent]).await;
    fetch(house.addr, "GET", "/healthz", &[]).await;
    fetch(house.addr, "GET", "/nothing/here", &[]).await;
    // Live, and nothing comes any more: broken off.
    let (mut client, mut reply, _) = open(house.addr, "/streams/live/live.pcm?burst=0.1", &[], 1).await;
    assert_eq!(client.rest(&mut reply).await.1, Ending::Cut);
    house.shutdown.cancel();
    house.running.await.unwrap().unwrap();
    tokio::task::spawn_blocking(move || telemetry.finish()).await.unwrap();

    let spans = collector.spans();
    let of = |route: &str| {
        let mut found = spans.iter().filter(|s| s.attribute("http.route") == route);
        found.next().unwrap_or_else(|| panic!("no span of {route} in {spans:?}"))
    };
    let recording = of("/recordings/{id}/{file}");
    assert_eq!((recording.trace().as_str(), recording.parent().as_str()), (&parent.1[3..35], &parent.1[36..52]));
    assert_eq!(recording.attribute("http.response.status_code"), "200");
    assert_eq!(recording.attribute("http.response.body.size"), body.len().to_string());
    assert_eq!(recording.attribute("http.request.method"), "GET");
    assert_eq!(of("none").attribute("http.response.status_code"), "404");
    let live = of("/streams/{stream}/{file}");
    assert!(live.parent().is_empty() && live.trace() != recording.trace());
    assert_eq!(live.attribute("http.response.body.size"), (RATE / 10 * 4).to_string());
    assert_eq!(live.span.status.as_ref().map(|status| status.code), Some(2), "broken off is an error");
    assert!(live.span.end_time_unix_nano - live.span.start_time_unix_nano >= 900_000_000, "until the last byte");
    assert_eq!(spans.len(), 3, "nobody wants to see who asks whether it is well");
}

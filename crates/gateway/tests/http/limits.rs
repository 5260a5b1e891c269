//! What each client may take: refused by 429 with a time to come back, counted by its name, and nobody else notices.

use crate::client::{Client, Ending, fetch, open};
use crate::house::{House, RATE};
use livetape_access::{Access, Grants};
use livetape_gateway::GatewayConfig;
use livetape_service::{Networks, Proxies};
use std::time::Duration;
use tokio::io::AsyncReadExt;

const MINUTE: Duration = Duration::from_secs(60);

/// A house in which this machine has no privileges, and may say for whom it asks.
async fn strict(change: impl FnOnce(&mut GatewayConfig)) -> House {
    House::with(|c| {
        c.clients.unlimited = Networks::default();
        c.proxies = Proxies { trusted: Networks::loopback(), ..Proxies::default() };
        c.access = Some(Access::open(Grants::all()).unwrap());
        change(c);
    })
    .await
}

fn rejected(house: &House, limit: &str) -> u64 {
    let text = house.metrics.text();
    let series = format!("livetape_gateway_limit_rejections_total{{limit=\"{limit}\"}} ");
    let value = text.lines().find_map(|line| line.strip_prefix(&series));
    value.unwrap_or_else(|| panic!("no {series} in {text}")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_of_one_client_not_of_another() {
    let house = strict(|c| c.clients.rate_per_address = 1).await;
    house.finished("live", MINUTE, 100);
    let asks = async |client: &str| fetch(house.addr, "GET", "/streams", &[("X-Forwarded-For", client)]).await;
    for _ in 0..10 {
        assert_eq!(asks("2001:db8::1").await.0.status, 200, "as many at once as in ten seconds");
    }
    let (reply, body) = asks("2001:db8::99").await;
    assert_eq!(reply.status, 429, "the same network of 64 bits is the same client");
    assert_eq!(reply.header("retry-after"), Some("1"));
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert!(body["hint"].as_str().unwrap().contains("LIVETAPE_LIMIT_REQUEST_RATE_PER_ADDRESS"), "{body}");
    assert_eq!(asks("2001:db8:0:1::1").await.0.status, 200);
    let health = fetch(house.addr, "GET", "/healthz", &[("X-Forwarded-For", "2001:db8::1")]).await;
    assert_eq!(health.0.status, 200, "who looks whether it is well is answered in any case");
    assert_eq!(rejected(&house, "request_rate_per_address"), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn listeners_of_one_client_not_of_another() {
    let house = strict(|c| c.clients.lasting_per_address = 2).await;
    let mut deck = house.record("live", MINUTE);
    deck.play(RATE);
    let by = |client: &'static str| [("X-Forwarded-For", client)];
    let live = open(house.addr, "/streams/live/live.pcm", &by("192.0.2.1"), 100).await;
    let events = open(house.addr, "/events", &by("192.0.2.1"), 10).await;
    for path in ["/streams/live/live.pcm", "/events"] {
        let (reply, _) = fetch(house.addr, "GET", path, &by("192.0.2.1")).await;
        assert_eq!((reply.status, reply.header("retry-after")), (429, Some("5")), "{path}");
    }
    assert_eq!(fetch(house.addr, "GET", "/streams", &by("192.0.2.1")).await.0.status, 200, "all else is answered");
    let other = open(house.addr, "/streams/live/live.pcm", &by("192.0.2.2"), 100).await;
    assert_eq!(rejected(&house, "listeners_per_address"), 2);
    drop((live, events, other));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(open(house.addr, "/events", &by("192.0.2.1"), 10).await.1.status, 200, "room again");
}

#[tokio::test(flavor = "multi_thread")]
async fn connections_of_one_address_but_not_of_a_proxy() {
    let two = |c: &mut GatewayConfig| c.clients.connections = 2;
    let house = House::with(|c| {
        two(c);
        c.clients.unlimited = Networks::default();
    })
    .await;
    house.finished("live", MINUTE, 100);
    let mut held = [Client::connect(house.addr).await, Client::connect(house.addr).await];
    assert_eq!(held[1].request("GET", "/streams", &[]).await.status, 200);
    let mut third = Client::connect(house.addr).await;
    let mut reply = third.head(false).await;
    let (body, ending) = third.rest(&mut reply).await;
    assert_eq!((reply.status, reply.header("retry-after"), ending), (429, Some("5"), Ending::Clean));
    assert!(String::from_utf8_lossy(&body).contains("LIVETAPE_LIMIT_CONNECTIONS_PER_ADDRESS"));
    assert_eq!(rejected(&house, "connections_per_address"), 1);
    drop(held);
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(fetch(house.addr, "GET", "/streams", &[]).await.0.status, 200);

    for house in [strict(two).await, House::with(two).await] {
        let mut many = Vec::new();
        for _ in 0..20 {
            let mut client = Client::connect(house.addr).await;
            assert_eq!(client.request("GET", "/streams", &[]).await.status, 200, "of a proxy, and of this machine");
            many.push(client);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_of_requests_have_their_bounds() {
    let house = House::with(|c| {
        c.limits.head = 9_000;
        c.limits.body = 100;
        c.limits.body_time = Duration::from_millis(300);
        c.operations_url = Some(livetape_proto::RecorderAddress::new("http://127.0.0.1:1"));
    })
    .await;
    let id = house.finished("live", MINUTE, 100);
    let send = async |length: usize, body: &str| {
        let mut client = Client::connect(house.addr).await;
        let head = format!("PATCH /recordings/{id} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n");
        client.send(&format!("{head}Content-Length: {length}\r\n\r\n{body}")).await;
        client.head(false).await.status
    };
    assert_eq!(send(200, &" ".repeat(200)).await, 413);
    assert_eq!(send(50, "{").await, 408, "one that never comes");
    assert_eq!((rejected(&house, "body_size"), rejected(&house, "body_time")), (1, 1));
    let mut client = Client::connect(house.addr).await;
    client.send(&format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(30_000))).await;
    let mut answer = Vec::new();
    _ = client.stream.read_to_end(&mut answer).await;
    assert!(answer.starts_with(b"HTTP/1.1 431"), "{}", String::from_utf8_lossy(&answer));
}

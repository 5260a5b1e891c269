//! Which addresses there are, under which hosts, what is refused, and what a reply says about its length.

use crate::client::{Client, fetch, json};
use crate::house::{HEADER, House, RATE, SECOND};
use livetape_access::{Access, Grants, Right, Rights};
use livetape_gateway::GatewayConfig;
use std::net::SocketAddr;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);
const UNKNOWN: &str = "01932c07-209c-7a3e-8c1f-5d2e9b7a4f10";

#[tokio::test(flavor = "multi_thread")]
async fn addresses() {
    let house = House::new().await;
    let mut deck = house.record("studio-a", MINUTE);
    deck.play(RATE);
    let id = deck.id;
    let audio = |file: &str| format!("/recordings/{id}/{file}");
    for (target, kind) in [
        ("/", "text/html; charset=utf-8"),
        ("/healthz", "text/plain; charset=utf-8"),
        ("/readyz", "text/plain; charset=utf-8"),
        ("/metrics", "text/plain; version=0.0.4"),
        ("/events", "text/event-stream"),
        ("/streams", "application/json"),
        ("/streams/studio-a", "application/json"),
        ("/streams/studio%2Da", "application/json"),
        ("/streams/studio-a/events", "text/event-stream"),
        ("/streams/studio-a/live.wav", "audio/wav"),
        ("/streams/studio-a/live%2Ewav", "audio/wav"),
        ("/streams/studio-a/live.pcm", "application/octet-stream"),
        ("/recordings", "application/json"),
        (&format!("/recordings/{id}"), "application/json"),
        (&audio("timeline"), "application/json"),
        (&audio("audio.wav"), "audio/wav"),
        (&audio("audio.rf64"), "audio/wav"),
        (&audio("audio.pcm"), "application/octet-stream"),
    ] {
        let (reply, body) = fetch(house.addr, "HEAD", target, &[]).await;
        assert_eq!((reply.status, reply.header("content-type"), body.len()), (200, Some(kind), 0), "{target}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hostile_paths_are_refused() {
    let house = House::new().await;
    for (path, status) in [
        ("//", 404),
        ("/streams/", 404),
        ("/streams//live.wav", 404),
        ("/../../etc/passwd", 404),
        ("/streams/../../etc/passwd", 404),
        ("/streams/..", 404),
        ("/streams/a%2Fb", 404),
        ("/streams/a%2Fb/live.wav", 404),
        ("/streams/..%2f..%2fetc/passwd", 404),
        ("/streams/a%00", 404),
        ("/streams/%00/live.wav", 404),
        ("/streams/%ff", 400),
        ("/streams/%2", 400),
        ("/streams/%zz", 400),
        ("/nothing/%c3/%a9", 400),
        ("/streams/A/live.wav", 404),
        ("/streams/a/live.rf64", 404),
        ("/streams/a/live.mp3", 404),
        ("/streams/a/live", 404),
        ("/streams/a/live.wav/x", 404),
        ("/recordings/x/audio.wav", 404),
        (&format!("/recordings/{}/audio.wav", UNKNOWN.to_uppercase()), 404),
        (&format!("/recordings/{UNKNOWN}/audio.flac"), 404),
        (&format!("/recordings/{UNKNOWN}/"), 404),
        (&"/a".repeat(5_000), 414),
        (&format!("/streams/{}", "a".repeat(10_000)), 414),
    ] {
        let (got, body) = json(house.addr, path).await;
        assert_eq!(got, status, "{path}");
        let short = |name: &str| body[name].as_str().is_some_and(|text| !text.is_empty() && text.len() < 300);
        assert!(short("error") && short("hint"), "{path}: {body}");
    }
    assert_eq!(fetch(house.addr, "GET", "/streams", &[]).await.0.status, 200, "well all the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn hosts() {
    let house = House::new().await;
    let ask = async |text: &str| {
        let mut client = Client::connect(house.addr).await;
        client.send(text).await;
        let mut reply = client.head(false).await;
        let (body, _) = client.rest(&mut reply).await;
        (reply.status, String::from_utf8_lossy(&body).into_owned())
    };
    let (status, text) = ask("GET /streams HTTP/1.1\r\nHost: rebound.example\r\n\r\n").await;
    assert!(status == 421 && text.contains("rebound.example") && text.contains("LIVETAPE_HOSTS"));
    assert_eq!(ask("GET /nothing HTTP/1.1\r\nHost: rebound.example\r\n\r\n").await.0, 421);
    assert_eq!(ask("GET /streams HTTP/1.1\r\n\r\n").await.0, 400);
    assert_eq!(ask("GET /streams HTTP/1.1\r\nHost: 127.0.0.1:1\r\n\r\n").await.0, 200);
    assert_eq!(ask("GET /healthz HTTP/1.1\r\nHost: 10.0.0.1:1\r\n\r\n").await.0, 200, "asked by the node it runs on");
    let (status, _) = ask("GET * HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    assert!([400, 404].contains(&status), "{status}");
}

#[tokio::test(flavor = "multi_thread")]
async fn every_address_only_reads() {
    let house = House::new().await;
    for target in ["/", "/streams", "/streams/%ff", "/nothing", &"/a".repeat(1_000)] {
        for method in ["POST", "PUT", "DELETE", "TRACE", "BREW"] {
            let (reply, body) = fetch(house.addr, method, target, &[]).await;
            assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, HEAD, OPTIONS")), "{method} {target}");
            assert!(serde_json::from_slice::<serde_json::Value>(&body).is_ok_and(|b| b["hint"].is_string()));
            assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
        }
    }
}

/// A length is said where it is final, and nowhere else: not of a body that has none yet, nor where none may follow.
#[tokio::test(flavor = "multi_thread")]
async fn lengths() {
    let house = House::new().await;
    let finished = house.finished("live", 2 * MINUTE, RATE);
    let mut deck = house.record("live", MINUTE);
    deck.play(2 * RATE);
    let whole = format!("/recordings/{finished}/audio.wav");
    let length = (HEADER + SECOND).to_string();
    let (got, page) = fetch(house.addr, "GET", "/page.css", &[]).await;
    assert_eq!(got.header("content-length"), Some(page.len().to_string().as_str()));
    for (method, target, asked, status, said) in [
        ("HEAD", "/page.css", None, 200, Some(page.len().to_string())),
        ("HEAD", "/healthz", None, 200, Some("5".to_owned())),
        ("HEAD", whole.as_str(), None, 200, Some(length)),
        ("GET", &whole, Some(("Range", "bytes=0-9")), 206, Some("10".to_owned())),
        ("GET", &whole, Some(("Range", "bytes=9999999-")), 416, Some("0".to_owned())),
        ("GET", &whole, Some(("If-None-Match", "*")), 304, None),
        ("HEAD", &whole, Some(("If-None-Match", "*")), 304, None),
        ("OPTIONS", &whole, None, 204, None),
        ("OPTIONS", "/nothing", None, 204, None),
        ("HEAD", "/streams/live/live.wav", None, 200, None),
        ("HEAD", &format!("/recordings/{}/audio.wav", deck.id), None, 200, None),
        ("HEAD", "/events", None, 200, None),
    ] {
        let mut client = Client::connect(house.addr).await;
        let reply = client.request(method, target, asked.as_slice()).await;
        assert_eq!((reply.status, reply.header("content-length")), (status, said.as_deref()), "{method} {target}");
        assert_eq!(reply.header("transfer-encoding"), None, "{method} {target}");
        if status != 206 {
            // Nothing follows but the next reply, on the same connection.
            assert_eq!(client.request("GET", "/healthz", &[]).await.status, 200, "{method} {target}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn figures_are_for_this_machine() {
    for (addr, host, status) in
        [("127.0.0.1:0", "localhost", 200), ("127.0.0.1:0", "radio.example", 403), ("0.0.0.0:0", "localhost", 403)]
    {
        let hosts = vec!["radio.example".to_owned()];
        let access = Some(Access::open(Grants::everywhere(Rights::of([Right::Listen]))).unwrap());
        let house = House::with(|config| {
            *config = GatewayConfig { addr: addr.parse().unwrap(), hosts, access, ..config.clone() };
        })
        .await;
        let here = SocketAddr::from(([127, 0, 0, 1], house.addr.port()));
        let ask = async |path: &str| {
            let mut client = Client::connect(here).await;
            client.send(&format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n\r\n")).await;
            let mut reply = client.head(false).await;
            let (body, _) = client.rest(&mut reply).await;
            (reply.status, String::from_utf8_lossy(&body).contains("\nlivetape_gateway_connections "))
        };
        assert_eq!(ask("/metrics").await, (status, status == 200), "{addr} {host}");
        assert_eq!(ask("/readyz").await, (200, false), "{addr} {host}");
    }
}

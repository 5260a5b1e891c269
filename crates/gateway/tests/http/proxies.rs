//! Whom a gateway takes its clients for, behind a proxy and without one.

use crate::client::fetch;
use crate::house::House;
use livetape_access::{Access, Grants, Right, Rights};
use livetape_service::{Proxies, ProxyHeader};
use std::sync::Arc;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// Whoever it is may listen, and nothing else.
fn all_listen() -> Option<Arc<Access>> {
    Some(Access::open(Grants::everywhere(Rights::of([Right::Listen]))).unwrap())
}

fn trusting(networks: &[&str]) -> Proxies {
    Proxies { trusted: networks.iter().map(|n| n.parse().unwrap()).collect(), header: ProxyHeader::XForwarded }
}

/// The status of `GET /streams` with these headers.
async fn status(house: &House, headers: &[(&str, &str)]) -> u16 {
    fetch(house.addr, "GET", "/streams", headers).await.0.status
}

#[tokio::test(flavor = "multi_thread")]
async fn the_name_that_the_client_used_is_the_one_that_has_to_be_known() {
    let house = House::with(|c| {
        c.proxies = trusting(&["127.0.0.1"]);
        c.access = all_listen();
        c.hosts = vec!["radio.example".into()];
    })
    .await;
    house.finished("live", MINUTE, 100);
    let by = "192.0.2.1";
    assert_eq!(status(&house, &[("X-Forwarded-For", by), ("X-Forwarded-Host", "radio.example")]).await, 200);
    assert_eq!(status(&house, &[("X-Forwarded-For", by), ("X-Forwarded-Host", "evil.example")]).await, 421);
    let lists = [("X-Forwarded-For", "evil, 192.0.2.1"), ("X-Forwarded-Host", "evil.example, radio.example")];
    assert_eq!(status(&house, &lists).await, 200, "only what the proxy added counts");
    // The page came from there, whatever the proxy calls this gateway.
    let change = async |origin| {
        let headers = [("X-Forwarded-Proto", "https"), ("X-Forwarded-Host", "radio.example"), ("Origin", origin)];
        fetch(house.addr, "DELETE", "/session", &headers).await.0.status
    };
    assert_eq!((change("https://radio.example").await, change("https://evil.example").await), (204, 403));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_through_a_proxy_of_this_machine_is_not_this_machine() {
    let house = House::with(|c| c.proxies = trusting(&["127.0.0.1"])).await;
    let id = house.finished("live", MINUTE, 100);
    let stranger = [("X-Forwarded-For", "192.0.2.1")];
    assert_eq!(status(&house, &stranger).await, 403, "nobody said that anybody may");
    let audio = format!("/recordings/{id}/audio.wav");
    assert_eq!(fetch(house.addr, "GET", &audio, &stranger).await.0.status, 403);
    let session = fetch(house.addr, "GET", "/session", &stranger).await.1;
    let session: serde_json::Value = serde_json::from_slice(&session).unwrap();
    assert_eq!(session["rights"], serde_json::json!([]));
    for own in [&[][..], &[("X-Forwarded-For", "127.0.0.1")], &[("X-Forwarded-For", "::1")]] {
        assert_eq!(status(&house, own).await, 200, "{own:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_is_believed() {
    let house = House::with(|c| {
        c.proxies = trusting(&["192.0.2.0/24"]);
        c.hosts = vec!["radio.example".into()];
    })
    .await;
    house.finished("live", MINUTE, 100);
    let lies = [
        ("X-Forwarded-For", "192.0.2.1"),
        ("X-Forwarded-Host", "evil.example"),
        ("Forwarded", "for=192.0.2.1;host=evil.example"),
    ];
    assert_eq!(status(&house, &lies).await, 200, "it is localhost whatever is said");
    let own = [("X-Forwarded-Host", "radio.example"), ("Origin", "https://radio.example")];
    assert_eq!(fetch(house.addr, "DELETE", "/session", &own).await.0.status, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_figures_are_for_this_machine_not_for_whoever_comes_through_its_proxy() {
    let house = House::with(|c| c.proxies = trusting(&["127.0.0.1"])).await;
    let figures = async |headers: &[(&str, &str)]| fetch(house.addr, "GET", "/metrics", headers).await.0.status;
    assert_eq!(figures(&[]).await, 200);
    assert_eq!(figures(&[("X-Forwarded-For", "127.0.0.1")]).await, 200);
    assert_eq!(figures(&[("X-Forwarded-For", "192.0.2.1")]).await, 403);
    assert_eq!(figures(&[("X-Forwarded-For", "127.0.0.1, 192.0.2.1")]).await, 403);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_reply_says_what_a_browser_may_do_with_it() {
    let house = House::with(|c| (c.proxies, c.access) = (trusting(&["127.0.0.1"]), all_listen())).await;
    let id = house.finished("live", MINUTE, 100);
    let headers = async |target: &str, by: &[(&str, &str)]| fetch(house.addr, "GET", target, by).await.0;
    let https = [("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-Proto", "https")];
    for target in ["/streams", "/nothing", "/", "/healthz"] {
        let reply = headers(target, &https).await;
        let policy = reply.header("content-security-policy").unwrap_or_default();
        assert!(
            policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"),
            "{target}: {policy}"
        );
        assert!(reply.header("permissions-policy").unwrap_or_default().contains("microphone=()"), "{target}");
    }
    let audio = headers(&format!("/recordings/{id}/audio.wav"), &https).await;
    // A browser shows it in a page of its own, which loads it.
    assert_eq!(
        (audio.header("content-security-policy"), audio.header("x-content-type-options")),
        (None, Some("nosniff"))
    );
    assert!(audio.header("permissions-policy").is_some());
    assert!(audio.header("strict-transport-security").is_some(), "the client speaks HTTPS, to the proxy");
    let plain = [("X-Forwarded-For", "192.0.2.1"), ("X-Forwarded-Proto", "http")];
    assert_eq!(headers("/streams", &plain).await.header("strict-transport-security"), None);
}

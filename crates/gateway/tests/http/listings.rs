//! JSON, the page, and which other origins may ask.

use crate::client::{fetch, json};
use crate::house::{House, RATE, now, spec};
use livetape_access::{Access, Grants, Right, Rights};
use livetape_audio::{RecordingId, SealReason};
use livetape_gateway::{Gateway, GatewayConfig, GatewayError};
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn streams_and_recordings() {
    let house = House::new().await;
    let first = house.finished("live", 3 * MINUTE, 2 * RATE);
    let mut deck = house.record("live", MINUTE);
    deck.play(RATE);
    deck.gap(Duration::from_secs(10));
    deck.play(RATE / 2);

    let (status, one) = json(house.addr, &format!("/recordings/{}", deck.id)).await;
    assert_eq!(status, 200);
    assert_eq!(one["id"], deck.id.to_string());
    assert_eq!(
        (&one["stream"], &one["title"], &one["source"]),
        (&"live".into(), &"Studio A".into(), &"counting".into())
    );
    assert_eq!(one["spec"], serde_json::json!({ "format": "s16", "rate": 48_000, "channels": 2 }));
    assert_eq!(
        (&one["state"], one["frames"].as_u64(), one["seconds"].as_f64()),
        (&"open".into(), Some(72_000), Some(1.5))
    );
    assert_eq!((one["bytes"].as_u64(), &one["sealed"], &one["gaps"]), (Some(288_000), &().into(), &1.into()));
    assert_eq!(one["edge"], deck.time().to_string(), "time of day of the tail, past the gap");
    assert_eq!(one["urls"]["wav"], format!("/recordings/{}/audio.wav", deck.id));

    let (_, live) = json(house.addr, "/streams/live").await;
    assert_eq!((&live["name"], &live["state"], &live["recording"]["id"]), (&"live".into(), &"live".into(), &one["id"]));
    deck.seal(SealReason::Operator, None);
    let (_, streams) = json(house.addr, "/streams").await;
    assert_eq!(streams["streams"][0]["state"], "ended");
    assert_eq!(streams["next"], serde_json::Value::Null);
    let (_, sealed) = json(house.addr, &format!("/recordings/{}", deck.id)).await;
    assert_eq!((&sealed["state"], &sealed["sealed"]["reason"]), (&"sealed".into(), &"operator".into()));

    let (_, list) = json(house.addr, "/recordings?stream=live&limit=1").await;
    assert_eq!(list["recordings"][0]["id"], first.to_string(), "oldest first");
    let next = list["next"].as_str().unwrap();
    let (_, list) = json(house.addr, &format!("/recordings?stream=live&after={next}")).await;
    assert_eq!((&list["recordings"][0]["id"], list["recordings"].as_array().unwrap().len()), (&one["id"], 1));
    assert!(list["next"].is_null());
    let since = deck.time().earlier(Duration::from_secs(1));
    let (_, list) = json(house.addr, &format!("/recordings?from={since}")).await;
    assert_eq!(list["recordings"].as_array().unwrap().len(), 1);

    let (_, timeline) = json(house.addr, &format!("/recordings/{}/timeline", deck.id)).await;
    let kinds: Vec<_> = timeline["entries"].as_array().unwrap().iter().map(|e| e["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["anchor", "gap"]);
    assert_eq!((&timeline["tail"]["frames"], &timeline["tail"]["state"]), (&72_000.into(), &"sealed".into()));
    let (_, page) = json(house.addr, &format!("/recordings/{}/timeline?limit=1", deck.id)).await;
    assert_eq!(page["next"], 1);
    let (_, page) = json(house.addr, &format!("/recordings/{}/timeline?after=1", deck.id)).await;
    assert_eq!((&page["entries"][0]["type"], &page["next"]), (&"gap".into(), &().into()));

    for (target, status) in [
        ("/streams/none", 404),
        ("/recordings?limit=1001", 400),
        ("/recordings?stream=..", 400),
        ("/recordings?page=2", 400),
        ("/streams/live?x=1", 400),
        ("/recordings/01932c07-209c-7a3e-8c1f-5d2e9b7a4f10", 404),
        ("/recordings/01932c07-209c-7a3e-8c1f-5d2e9b7a4f10/timeline", 404),
    ] {
        let (got, body) = json(house.addr, target).await;
        assert_eq!(got, status, "{target}");
        assert!(body["hint"].as_str().is_some_and(|h| !h.is_empty()));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn recordings_are_listed_by_the_clock_of_their_source() {
    let house = House::new().await;
    let long_ago = now().earlier(100 * MINUTE);
    let mut slow = house.record_by("live", 2 * MINUTE, long_ago, spec());
    slow.play(10 * RATE);
    slow.seal(SealReason::SourceEnded, None);
    let right = house.finished("live", MINUTE, 10 * RATE);
    let listed = async |from: livetape_audio::WallTime, seconds| {
        let to = from.later(Duration::from_secs(seconds));
        let (_, list) = json(house.addr, &format!("/recordings?from={from}&to={to}")).await;
        let recordings = list["recordings"].as_array().unwrap().clone();
        recordings.iter().map(|r| r["id"].as_str().unwrap().parse().unwrap()).collect::<Vec<RecordingId>>()
    };
    let fresh = house.record("live", MINUTE / 2);
    assert_eq!(listed(long_ago.later(Duration::from_secs(2)), 3).await, [slow.id]);
    assert_eq!(listed(now().earlier(2 * MINUTE), 65).await, [right], "the recorder's clock does not count");

    house.catalogue.remove(fresh.id);
    let mut open = house.record_by("live", MINUTE / 2, long_ago, spec());
    open.play(5 * RATE);
    assert_eq!(listed(long_ago, 2).await, [slow.id, open.id], "of an open one its timeline says it");
    let (_, item) = json(house.addr, &format!("/recordings/{}", slow.id)).await;
    assert_eq!(item["edge"], long_ago.later(Duration::from_secs(10)).to_string());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeline_that_cannot_be_read_hides_nothing_else() {
    let house = House::new().await;
    let (mut good, mut bad) = (house.record("good", MINUTE), house.record("bad", MINUTE));
    good.play(RATE);
    bad.play(RATE);
    let log = house.data.path().join("bad").join(bad.id.to_string()).join("timeline.log");
    std::fs::remove_file(&log).unwrap();
    std::fs::create_dir(&log).unwrap();
    let (status, streams) = json(house.addr, "/streams").await;
    assert_eq!((status, &streams["streams"][0]["recording"]["edge"]), (200, &().into()));
    assert_eq!(streams["streams"][1]["recording"]["edge"], good.time().to_string());
    let (status, list) = json(house.addr, "/recordings").await;
    assert_eq!((status, list["recordings"].as_array().unwrap().len()), (200, 2));
    assert_eq!(json(house.addr, &format!("/recordings/{}/timeline", bad.id)).await.0, 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_38_and_39_other_origins() {
    let radio = ("Origin", "https://radio.example");
    let closed = House::new().await;
    let open = House::with(|c| c.cors_origins = vec!["https://radio.example".into()]).await;
    for (house, allowed) in [(&closed, false), (&open, true)] {
        let id = house.finished("live", MINUTE, 100);
        let target = format!("/recordings/{id}/audio.wav");
        let (reply, _) = fetch(house.addr, "GET", &target, &[radio, ("Range", "bytes=0-9")]).await;
        let header = |name| reply.header(name);
        assert_eq!(header("access-control-allow-origin"), allowed.then_some("https://radio.example"));
        assert_eq!(header("cross-origin-resource-policy"), Some(if allowed { "cross-origin" } else { "same-origin" }));
        assert_eq!(header("access-control-expose-headers").is_some_and(|e| e.contains("Content-Range")), allowed);
        assert_eq!(header("x-content-type-options"), Some("nosniff"));
        let (reply, body) = fetch(house.addr, "OPTIONS", &target, &[radio]).await;
        assert_eq!((reply.status, body.len()), (204, 0));
        let allow = reply.header("access-control-allow-headers");
        assert_eq!(allow, allowed.then_some("Authorization, Range, If-Range, Icy-MetaData"));
        assert_eq!(reply.header("access-control-allow-methods"), allowed.then_some("GET, HEAD"));
        assert_eq!(reply.header("access-control-max-age"), allowed.then_some("600"));
        let (reply, _) = fetch(house.addr, "GET", &target, &[("Origin", "https://evil.example")]).await;
        assert_eq!(reply.header("access-control-allow-origin"), None);
        let (reply, _) = fetch(house.addr, "POST", &target, &[("Origin", "https://evil.example")]).await;
        assert_eq!(reply.status, 403);
        let (reply, _) = fetch(house.addr, "POST", &target, &[]).await;
        assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, HEAD, OPTIONS")));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_and_its_policy() {
    let house = House::new().await;
    for (path, kind) in [
        ("/", "text/html"),
        ("/page/app.js", "text/javascript"),
        ("/page.css", "text/css"),
        ("/icon.svg", "image/svg+xml"),
    ] {
        let (reply, body) = fetch(house.addr, "GET", path, &[]).await;
        assert_eq!(reply.status, 200);
        assert!(reply.header("content-type").unwrap().starts_with(kind) && !body.is_empty());
        let policy = reply.header("content-security-policy").unwrap();
        assert!(policy.contains("default-src 'none'") && policy.contains("media-src 'self'"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_without_scripts() {
    let house = House::new().await;
    let first = house.finished("live", 3 * MINUTE, RATE);
    let mut deck = house.record("live", MINUTE);
    deck.play(RATE);
    let get = async |target: &str| {
        let (reply, body) = fetch(house.addr, "GET", target, &[]).await;
        (reply.status, String::from_utf8(body).unwrap())
    };
    let (status, page) = get("/plain?limit=1").await;
    assert_eq!(status, 200);
    let next = format!("/plain?after={first}&amp;limit=1");
    let recent = "<a href=\"/plain?from=20";
    for part in
        ["<h3>live</h3>", "src=\"/streams/live/live.wav\"", &format!("/{first}/audio.wav"), "Studio A", &next, recent]
    {
        assert!(page.contains(part), "{part} in {page}");
    }
    let (status, page) = get(&next.replace("&amp;", "&")).await;
    assert_eq!(status, 200);
    assert!(
        page.contains(&format!("src=\"/recordings/{}/audio.wav\"", deck.id)) && !page.contains("/streams/"),
        "{page}"
    );
    // A further page is of what was asked for.
    let (from, to) = (now().earlier(4 * MINUTE), now().later(MINUTE));
    let (_, page) = get(&format!("/plain?stream=live&from={from}&to={to}&limit=1")).await;
    let next = format!("/plain?stream=live&amp;from={from}&amp;to={to}&amp;after={first}&amp;limit=1");
    assert!(page.contains(&next) && !page.contains("24 hours"), "{page}");
    assert_eq!(get(&next.replace("&amp;", "&")).await.0, 200);
    assert_eq!(get("/plain?limit=x").await.0, 400);
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_others_reach_need_a_permission() {
    let house = House::new().await;
    let bind = async |addr: &str, anonymous: bool| {
        let library =
            livetape_gateway::DirLibrary::new(house.data.clone(), house.catalogue.clone(), house.tails.clone());
        let listen = Grants::everywhere(Rights::of([Right::Listen]));
        let access = Access::open(if anonymous { listen } else { Grants::default() }).unwrap();
        let config = GatewayConfig { access: Some(access), ..GatewayConfig::new(addr.parse().unwrap()) };
        Gateway::bind(config, std::sync::Arc::new(library)).await
    };
    let Err(error @ GatewayError::Exposed(_)) = bind("0.0.0.0:0", false).await else { panic!("it was bound") };
    assert!(error.to_string().contains("LIVETAPE_ANONYMOUS"), "{error}");
    assert!(matches!(bind("[::]:0", false).await, Err(GatewayError::Exposed(_))));
    assert!(bind("0.0.0.0:0", true).await.is_ok());
    assert!(matches!(bind(&house.addr.to_string(), false).await, Err(GatewayError::Bind { .. })), "in use");
}

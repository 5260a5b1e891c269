//! What operators do, over HTTP.

use crate::client::{Client, Ending, fetch, json};
use crate::gateway::{gateway, ready};
use crate::recorder::Recorder;
use livetape_access::{Access, Grants, Right, Rights};
use livetape_audio::Entry;
use livetape_gateway::{GatewayConfig, GatewayError};
use serde_json::{Value, json as object};
use std::net::SocketAddr;
use tokio_util::sync::DropGuard;

struct Answer {
    status: u16,
    location: Option<String>,
    allow: Option<String>,
    json: Value,
}

async fn send(addr: SocketAddr, method: &str, target: &str, headers: &str, body: &str) -> Answer {
    let mut client = Client::connect(addr).await;
    let length = body.len();
    client
        .send(&format!(
            "{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: {length}\r\n{headers}\r\n{body}"
        ))
        .await;
    let mut reply = client.head(false).await;
    let (body, ending) = client.rest(&mut reply).await;
    assert_eq!(ending, Ending::Clean, "{method} {target}");
    Answer {
        status: reply.status,
        location: reply.header("location").map(Into::into),
        allow: reply.header("allow").map(Into::into),
        json: if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() },
    }
}

/// With a body of JSON, or none.
async fn ask(addr: SocketAddr, method: &str, target: &str, body: Value) -> Answer {
    let text = if body.is_null() { String::new() } else { body.to_string() };
    send(addr, method, target, "Content-Type: application/json\r\n", &text).await
}

async fn managed(recorder: &Recorder) -> (SocketAddr, DropGuard) {
    let url = recorder.url();
    let (addr, running) = gateway(recorder, |c| c.operations_url = Some(url.into())).await;
    ready(addr).await;
    (addr, running)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_source_plays_is_asked_and_changed() {
    let recorder = Recorder::new();
    let (addr, _running) = managed(&recorder).await;
    let program = ask(addr, "GET", "/streams/files/program", Value::Null).await;
    assert_eq!((program.status, program.json), (200, object!({ "playing": "a", "upcoming": ["b"] })));
    let skipped = ask(addr, "POST", "/streams/files/skip", object!({})).await;
    assert_eq!((skipped.status, skipped.json), (200, object!({ "playing": "b", "upcoming": ["a"] })));
    let said = ask(addr, "PUT", "/streams/files/title", object!({ "title": "x" })).await;
    assert_eq!((said.status, said.json), (204, Value::Null));
    for (method, target, body, status) in [
        ("GET", "/streams/live/program", Value::Null, 409),
        ("POST", "/streams/live/skip", object!({}), 409),
        ("POST", "/streams/files/skip", object!({ "x": 1 }), 400),
        ("PUT", "/streams/files/title", object!({ "title": "a\nb" }), 400),
        ("PUT", "/streams/files/title", object!({}), 400),
    ] {
        assert_eq!(ask(addr, method, target, body.clone()).await.status, status, "{method} {target} {body}");
    }
    // A gateway that knows nobody to ask says so.
    let (alone, _running) = gateway(&recorder, |_| {}).await;
    ready(alone).await;
    assert_eq!(ask(alone, "GET", "/streams/files/program", Value::Null).await.status, 501);
    assert_eq!(ask(alone, "PUT", "/streams/files/title", object!({ "title": "x" })).await.status, 405);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_recording_from_its_beginning_to_its_end() {
    let recorder = Recorder::new();
    let desk = &recorder.desk;
    let first = desk.record("live");
    desk.play(first, 96_000);
    let (addr, _running) = managed(&recorder).await;
    // Seal now and begin anew. Whoever asks next sees both.
    let begun = ask(addr, "POST", "/streams/live/recordings", Value::Null).await;
    assert_eq!((begun.status, &begun.json["stream"], &begun.json["locked"]), (201, &"live".into(), &false.into()));
    let here = begun.location.unwrap();
    assert_eq!(here, format!("/recordings/{}", begun.json["id"].as_str().unwrap()));
    assert_eq!(json(addr, &here).await.0, 200);
    let there = format!("/recordings/{first}");
    // Title and notes.
    let changed = ask(addr, "PATCH", &there, object!({ "title": "Morning", "notes": "a\nb" })).await;
    assert_eq!(
        (changed.status, &changed.json["title"], &changed.json["notes"]),
        (200, &"Morning".into(), &"a\nb".into())
    );
    let now = json(addr, &there).await.1;
    assert_eq!((&now["title"], &now["notes"]), (&"Morning".into(), &"a\nb".into()));
    let changed = ask(addr, "PATCH", &there, object!({ "notes": "" })).await;
    assert_eq!((&changed.json["title"], &changed.json["notes"]), (&"Morning".into(), &"".into()));
    // Locked, it stays.
    let lock = format!("{there}/lock");
    assert_eq!(ask(addr, "PUT", &lock, Value::Null).await.json["locked"], true);
    assert_eq!(json(addr, &there).await.1["locked"], true);
    let refused = ask(addr, "DELETE", &there, Value::Null).await;
    assert_eq!(refused.status, 409);
    assert!(refused.json["error"].as_str().unwrap().contains("unlock it first"), "{}", refused.json);
    assert_eq!(ask(addr, "DELETE", &lock, Value::Null).await.json["locked"], false);
    assert_eq!(ask(addr, "DELETE", &there, Value::Null).await.status, 204);
    assert_eq!(json(addr, &there).await.0, 404);
    assert_eq!(ask(addr, "DELETE", &there, Value::Null).await.status, 404);
    // What grows is sealed first, on its own or with its stream.
    assert_eq!(ask(addr, "DELETE", &here, Value::Null).await.status, 409);
    let sealed = ask(addr, "POST", &format!("{here}/seal"), object!({})).await;
    assert_eq!((sealed.status, &sealed.json["state"]), (200, &"sealed".into()));
    assert_eq!(ask(addr, "POST", "/streams/live/recordings", Value::Null).await.status, 409, "nobody pushes");
    let deleted = ask(addr, "DELETE", "/streams/live", Value::Null).await;
    assert_eq!((deleted.status, &deleted.json["removed"], &deleted.json["kept"]), (200, &1.into(), &0.into()));
    assert_eq!(json(addr, "/streams/live").await.0, 404);
    assert_eq!(ask(addr, "POST", "/streams/live/recordings", Value::Null).await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn marks_stand_where_they_are_said_to() {
    let recorder = Recorder::new();
    let desk = &recorder.desk;
    let id = desk.record("live");
    desk.play(id, 96_000);
    let (addr, _running) = managed(&recorder).await;
    let marks = format!("/recordings/{id}/marks");
    for (place, frame) in [
        (object!({}), 96_000),
        (object!({ "pos": 0.5 }), 24_000),
        (object!({ "pos": 1 }), 48_000),
        (object!({ "frame": 7 }), 7),
        (object!({ "at": "1970-01-01T00:00:01.5Z" }), 72_000),
    ] {
        let mut mark = place.clone();
        mark["text"] = "there".into();
        let added = ask(addr, "POST", &marks, mark).await;
        assert_eq!(
            (added.status, &added.json["frame"], &added.json["text"]),
            (201, &frame.into(), &"there".into()),
            "{place}"
        );
        assert!((added.json["seconds"].as_f64().unwrap() - frame as f64 / 48_000.0).abs() < 1e-6);
    }
    let entries = desk.writers()[&id].timeline().entries().to_vec();
    let marked = entries.iter().filter(|e| matches!(e, Entry::Mark(m) if m.text.as_str() == "there"));
    assert_eq!(marked.map(|e| e.frame().get()).collect::<Vec<_>>(), [96_000, 24_000, 48_000, 7, 72_000]);
    for (mark, status, word) in [
        (object!({ "text": "x", "pos": 1, "frame": 1 }), 400, "more than once"),
        (object!({ "text": "x", "pos": -1 }), 400, "pos"),
        (object!({ "text": "x", "pos": 1e300 }), 400, "pos"),
        (object!({ "text": "x", "pos": "1" }), 400, "body"),
        (object!({ "text": "x", "pos": 3 }), 409, "so far"),
        (object!({ "text": "x", "frame": 96_001 }), 400, "96000 frames"),
        (object!({ "text": "x", "at": "yesterday" }), 400, "body"),
        (object!({ "text": "full" }), 507, "disk is full"),
        (object!({ "text": "away" }), 503, "stopping"),
        (object!({}), 400, "body"),
    ] {
        let refused = ask(addr, "POST", &marks, mark.clone()).await;
        assert_eq!(refused.status, status, "{mark}: {}", refused.json);
        assert!(refused.json["error"].as_str().unwrap().contains(word), "{mark}: {}", refused.json);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_understood_changes_nothing() {
    let mut recorder = Recorder::new();
    let id = recorder.desk.record("live");
    let (addr, _running) = managed(&recorder).await;
    let there = format!("/recordings/{id}");
    let json_type = "Content-Type: application/json\r\n";
    let long = object!({ "notes": "x".repeat(70_000) }).to_string();
    let evil = format!("{json_type}Origin: https://evil.example\r\n");
    for (headers, body, status, word) in [
        (json_type, r#"{"titel":"x"}"#, 400, "titel"),
        (json_type, r#"{"title":7}"#, 400, "column 10"),
        (json_type, r#"{"title":"a","title":"b"}"#, 400, "title"),
        (json_type, "{", 400, "EOF"),
        (json_type, "[]", 400, "body"),
        (json_type, "", 400, "nothing"),
        (json_type, r#"{"title":"a\u0000b"}"#, 400, "title"),
        (json_type, &long, 413, "65536"),
        ("Content-Type: text/plain\r\n", r#"{"title":"x"}"#, 415, "JSON"),
        ("", r#"{"title":"x"}"#, 415, "JSON"),
        (&evil, r#"{"title":"x"}"#, 403, "web site"),
    ] {
        let refused = send(addr, "PATCH", &there, headers, body).await;
        let said = refused.json.to_string();
        assert!(refused.status == status && said.contains(word) && said.len() < 500, "{}: {said}", refused.status);
    }
    assert_eq!(json(addr, &there).await.1["title"], "Studio A");
    // Addresses that there are not, and methods that they do not have.
    assert_eq!(ask(addr, "POST", "/recordings/x/seal", Value::Null).await.status, 404);
    assert_eq!(ask(addr, "POST", &format!("{there}/seal?x=1"), Value::Null).await.status, 400);
    let refused = ask(addr, "POST", &there, Value::Null).await;
    assert!(refused.status == 405 && refused.allow.is_some_and(|allow| allow.contains("PATCH")), "{}", refused.json);
    let refused = ask(addr, "BREW", &there, Value::Null).await;
    assert!(refused.status == 405 && refused.allow.is_some(), "{}", refused.json);
    // A body that never comes whole.
    let mut client = Client::connect(addr).await;
    client.send(&format!("PATCH {there} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99\r\n{json_type}\r\n{{")).await;
    assert_eq!(client.head(false).await.status, 408);
    recorder.stop();
    let away = ask(addr, "POST", &format!("{there}/seal"), Value::Null).await;
    assert_eq!(away.status, 503, "{}", away.json);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_where_it_is_allowed() {
    let recorder = Recorder::new();
    let id = recorder.desk.record("live");
    let there = format!("/recordings/{id}/lock");
    let (addr, _running) = gateway(&recorder, |_| {}).await;
    ready(addr).await;
    let refused = ask(addr, "PUT", &there, Value::Null).await;
    assert_eq!((refused.status, refused.allow.as_deref()), (405, Some("GET, HEAD, OPTIONS")), "nobody carries it out");
    for (manage, status) in [(false, 403), (true, 200)] {
        let (addr, _running) = gateway(&recorder, |c| {
            c.operations_url = Some(recorder.url().into());
            c.addr = "0.0.0.0:0".parse().unwrap();
            let rights = [Right::Listen].into_iter().chain(manage.then_some(Right::Manage));
            c.access = Some(Access::open(Grants::everywhere(Rights::of(rights))).unwrap());
        })
        .await;
        let addr = SocketAddr::new("127.0.0.1".parse().unwrap(), addr.port());
        ready(addr).await;
        let answer = ask(addr, "PUT", &there, Value::Null).await;
        assert_eq!(answer.status, status, "{}", answer.json);
        assert!(manage || answer.json["hint"].as_str().unwrap().contains("LIVETAPE_ANONYMOUS"));
        assert_eq!(fetch(addr, "GET", "/streams", &[]).await.0.status, 200);
    }
    let remote =
        livetape_gateway::Remote::new(crate::conformance::config(&recorder, livetape_gateway::Reading::Recorder));
    let config =
        GatewayConfig { operations_url: Some("x".into()), ..GatewayConfig::new("127.0.0.1:0".parse().unwrap()) };
    let bound = livetape_gateway::Gateway::bind_remote(config, remote.unwrap()).await;
    assert!(matches!(bound, Err(GatewayError::Operations(_))));
}

//! Who may what: each row of the table of endpoints with each way to prove it, and what becomes of rights that end.

use crate::client::{Client, Ending, fetch, json, open};
use crate::gateway::{gateway, ready};
use crate::recorder::{Recorder, counting};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use livetape_access::{
    Access, Claims, ENDPOINTS, Endpoint, Grants, JwtAlgorithm, Needs, Protocol, Right, Rights, Secret, TokenHash,
    UrlKey, hash_password, issue, mint_token, wall_clock,
};
use livetape_audio::{RecordingId, WallTime};
use std::fs;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tempfile::TempDir;
use tokio_util::sync::DropGuard;

const SHARED: &str = "a shared secret of thirty-two bytes or more";

/// A gateway with an access file: everything is allowed on stream `mine`, nothing on `theirs`.
struct Guarded {
    recorder: Recorder,
    addr: SocketAddr,
    mine: RecordingId,
    dir: TempDir,
    token: Secret,
    url_key: UrlKey,
    file: String,
    _running: DropGuard,
}

impl Guarded {
    async fn new() -> Self {
        let recorder = Recorder::new();
        let mine = recorder.desk.record("mine");
        recorder.desk.play(mine, 48_000);
        let theirs = recorder.desk.record("theirs");
        recorder.desk.play(theirs, 48_000);
        let dir = tempfile::tempdir().unwrap();
        let (token, key) = (mint_token().unwrap(), UrlKey::mint().unwrap());
        fs::write(dir.path().join("url.key"), key.reveal()).unwrap();
        fs::write(dir.path().join("jwt.key"), SHARED).unwrap();
        let all = r#"["publish,listen,export,manage:mine"]"#;
        let (hash, password) = (TokenHash::of(&token), hash_password(&Secret::new("password")).unwrap());
        let file = format!(
            "[[token]]\nname = \"t\"\nsha256 = \"{hash}\"\ngrants = {all}\n\
             [[user]]\nname = \"u\"\npassword = \"{password}\"\ngrants = {all}\n\
             [[url_key]]\nid = \"k\"\nfile = \"url.key\"\ngrants = {all}\n\
             [jwt]\nkey = [{{ algorithm = \"HS256\", file = \"jwt.key\" }}]\n"
        );
        let path = dir.path().join("access.toml");
        fs::write(&path, &file).unwrap();
        let access = Access::load(&path, Grants::default()).unwrap();
        let url = recorder.url();
        let (addr, running) = gateway(&recorder, |c| {
            (c.operations_url, c.access) = (Some(url.into()), Some(access));
            // There are more rows than one may guess.
            c.clients.failed_proofs = 10_000;
        })
        .await;
        ready(addr).await;
        let url_key = UrlKey::new("k", key.reveal()).unwrap();
        Self { recorder, addr, mine, dir, token, url_key, file, _running: running }
    }

    fn rewrite(&self, text: &str) {
        fs::write(self.dir.path().join("new"), text).unwrap();
        fs::rename(self.dir.path().join("new"), self.dir.path().join("access.toml")).unwrap();
    }

    fn bearer(&self) -> String {
        format!("Bearer {}", self.token.reveal())
    }

    /// The target and headers of a request that shows something in a way.
    fn shows(&self, way: &str, target: &str) -> (String, Vec<(&'static str, String)>) {
        let plain = |header: &'static str, value: String| (target.to_owned(), vec![(header, value)]);
        match way {
            "token" => plain("Authorization", self.bearer()),
            "token as password" => {
                plain("Authorization", format!("Basic {}", STANDARD.encode(format!("x:{}", self.token.reveal()))))
            }
            "password" => plain("Authorization", format!("Basic {}", STANDARD.encode("u:password"))),
            "jwt" => plain("Authorization", format!("Bearer {}", jwt("mine", hour()).reveal())),
            "cookie" => plain("Cookie", format!("a=b; livetape={}", self.token.reveal())),
            "url" => {
                let path = target.split('?').next().unwrap();
                let rights = Rights::of([Right::Listen, Right::Export]);
                let signature = self.url_key.sign(path, rights, hour(), hour()).unwrap();
                let separator = if target.contains('?') { '&' } else { '?' };
                (format!("{target}{separator}sign={signature}"), Vec::new())
            }
            other => panic!("{other}"),
        }
    }

    async fn status(&self, method: &str, target: &str, headers: &[(&'static str, String)]) -> u16 {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        // Only the head: some bodies never end.
        Client::connect(self.addr).await.request(method, target, &headers).await.status
    }
}

fn hour() -> WallTime {
    wall_clock().later(Duration::from_secs(3_600))
}

fn jwt(stream: &str, until: WallTime) -> Secret {
    let livetape = vec![format!("publish,listen,export,manage:{stream}").parse().unwrap()].try_into().unwrap();
    let claims = Claims { exp: Some((until.unix_millis() / 1_000).into()), livetape, ..Claims::default() };
    issue(JwtAlgorithm::HS256, &Secret::new(SHARED), None, &claims).unwrap()
}

/// An address of a row, about stream `mine`.
fn target(row: &Endpoint, recording: RecordingId) -> String {
    let file = if row.path.starts_with("/streams") { "live.wav" } else { "audio.wav?len=now" };
    row.path.replace("{stream}", "mine").replace("{id}", &recording.to_string()).replace("{file}", file)
}

fn rows() -> impl Iterator<Item = &'static Endpoint> {
    ENDPOINTS.iter().filter(|row| row.protocol == Protocol::Http)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_row_with_each_way_of_proving() {
    let house = Guarded::new().await;
    for row in rows() {
        let target = target(row, house.mine);
        let ask = async |headers: Vec<(&'static str, String)>| house.status(row.method, &target, &headers).await;
        let bearer = |token: &Secret| vec![("Authorization", format!("Bearer {}", token.reveal()))];
        if row.needs == Needs::Nothing {
            let status = ask(vec![]).await;
            assert!(!matches!(status, 401 | 403 | 405), "{row:?}: {status}");
            continue;
        }
        assert_eq!(ask(vec![]).await, 401, "{row:?} with nothing");
        assert_eq!(ask(bearer(&mint_token().unwrap())).await, 401, "{row:?} with a wrong token");
        assert_eq!(ask(bearer(&jwt("mine", WallTime::default()))).await, 401, "{row:?} with an old JWT");
        let elsewhere = ask(bearer(&jwt("theirs", hour()))).await;
        let expected = match row.needs {
            // Who names a recording is told nothing of it.
            Needs::On(_) if row.path.starts_with("/recordings/") => 404,
            Needs::On(_) => 403,
            _ => 200,
        };
        assert_eq!(elsewhere, expected, "{row:?} with a right on another stream");
    }
    // What is changed is changed last.
    let (reads, changes): (Vec<&Endpoint>, Vec<&Endpoint>) = rows().partition(|row| row.method == "GET");
    for row in reads.into_iter().chain(changes).filter(|row| row.needs != Needs::Nothing) {
        let target = target(row, house.mine);
        for way in ["token", "token as password", "password", "jwt", "cookie", "url"] {
            let (target, headers) = house.shows(way, &target);
            let status = house.status(row.method, &target, &headers).await;
            let is_managing = row.needs == Needs::On(Right::Manage);
            if way == "url" && is_managing {
                assert_eq!(status, 403, "{row:?} by {way}: addresses are signed to listen");
            } else {
                assert!(!matches!(status, 401 | 403 | 405), "{row:?} by {way}: {status}");
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lists_show_what_one_may_hear() {
    let house = Guarded::new().await;
    let named = async |target: &str, list: &str, key: &str| {
        let auth = house.bearer();
        let (reply, body) = fetch(house.addr, "GET", target, &[("Authorization", &auth)]).await;
        assert_eq!(reply.status, 200, "{target}");
        let json: serde_json::Value = serde_json::from_slice(&body).unwrap();
        json[list].as_array().unwrap().iter().map(|item| item[key].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(named("/streams", "streams", "name").await, ["mine"]);
    assert_eq!(named("/recordings", "recordings", "stream").await, ["mine"]);
    assert!(named("/recordings?stream=theirs", "recordings", "stream").await.is_empty());
    let auth = house.bearer();
    let (_, _, bytes) = open(house.addr, "/events", &[("Authorization", &auth)], 179).await;
    let text = String::from_utf8(bytes).unwrap();
    assert!(text.contains("\"stream\":\"mine\""), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_in_progress_ends_with_the_right_to_it() {
    let house = Guarded::new().await;
    let target = format!("/recordings/{}/audio.pcm", house.mine);
    let auth = house.bearer();
    let (mut listener, mut reply, bytes) = open(house.addr, &target, &[("Authorization", &auth)], 4 * 48_000).await;
    assert!(bytes == counting(0..48_000));
    let (mut events, mut feed, _) = open(house.addr, "/events", &[("Authorization", &auth)], 20).await;
    let until = WallTime::default().later(Duration::from_secs(wall_clock().unix_millis() / 1_000 + 3));
    let signed = house.url_key.sign(&target, Rights::of([Right::Listen]), until, until).unwrap();
    let (mut brief, mut passing, _) = open(house.addr, &format!("{target}?sign={signed}"), &[], 4).await;
    // The signature ends.
    assert_eq!(brief.rest(&mut passing).await.1, Ending::Cut);
    assert!(wall_clock() >= until);
    assert_eq!(house.status("GET", &format!("{target}?sign={signed}"), &[]).await, 401);
    // The token is taken away.
    house.recorder.desk.play(house.mine, 500);
    assert!(listener.take(&mut reply, 2_000).await.0 == counting(48_000..48_500), "it goes on meanwhile");
    house.rewrite(&house.file.replacen("name = \"t\"", "name = \"t\"\nuntil = \"2001-01-01T00:00:00Z\"", 1));
    assert_eq!(listener.rest(&mut reply).await.1, Ending::Cut);
    assert_eq!(events.rest(&mut feed).await.1, Ending::Cut);
    assert_eq!(house.status("GET", &target, &[("Authorization", auth)]).await, 401);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_pages_session_is_a_cookie() {
    let house = Guarded::new().await;
    let auth = house.bearer();
    let (_, nobody) = json(house.addr, "/session").await;
    assert_eq!((&nobody["way"], &nobody["rights"]), (&"anonymous".into(), &serde_json::json!([])));
    let (reply, _) = fetch(house.addr, "POST", "/session", &[("Authorization", "Bearer lt_wrong")]).await;
    assert!(reply.status == 401 && reply.header("set-cookie").is_none());
    let (reply, _) = fetch(house.addr, "POST", "/session", &[]).await;
    assert_eq!(reply.status, 400);
    let (reply, body) = fetch(house.addr, "POST", "/session", &[("Authorization", &auth)]).await;
    let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert_eq!((reply.status, &body["name"], &body["way"]), (200, &"t".into(), &"token".into()));
    let cookie = reply.header("set-cookie").unwrap().to_owned();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    let cookie = cookie.split(';').next().unwrap();
    let (reply, _) = fetch(house.addr, "GET", "/streams", &[("Cookie", cookie)]).await;
    assert_eq!(reply.status, 200);
    // A page of another origin has nothing of it.
    let evil = [("Cookie", cookie), ("Origin", "https://evil.example")];
    assert_eq!(fetch(house.addr, "DELETE", &format!("/recordings/{}", house.mine), &evil).await.0.status, 403);
    let (reply, _) = fetch(house.addr, "DELETE", "/session", &[("Cookie", cookie)]).await;
    assert!(reply.status == 204 && reply.header("set-cookie").unwrap().contains("Max-Age=0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_said_to_who_may_not() {
    let house = Guarded::new().await;
    let get = async |headers: &[(&str, &str)]| fetch(house.addr, "GET", "/streams", headers).await;
    let (reply, body) = get(&[]).await;
    let said: serde_json::Value = serde_json::from_slice(&body).unwrap();
    assert!(reply.status == 401 && said["error"].as_str().unwrap().contains("listen"), "{said}");
    assert!(reply.header("www-authenticate").unwrap().contains("Basic"));
    let (reply, _) = get(&[("User-Agent", "Mozilla/5.0")]).await;
    assert!(!reply.header("www-authenticate").unwrap().contains("Basic"), "no window of the browser's own");
    assert_eq!(get(&[("Authorization", "Digest x")]).await.0.status, 400);
    let twice = house.bearer();
    assert_eq!(get(&[("Authorization", &twice), ("Authorization", &twice)]).await.0.status, 400);
    assert_eq!(house.status("GET", "/streams?sign=a&sign=b", &[]).await, 400);
    assert_eq!(house.status("GET", "/streams?sign=a", &[]).await, 401);
    let (reply, _) = fetch(house.addr, "PUT", "/streams", &[("Authorization", &twice)]).await;
    assert_eq!((reply.status, reply.header("allow")), (405, Some("GET, HEAD, OPTIONS")));
}

/// A radio: everybody may listen, and who manages has to prove it.
#[tokio::test(flavor = "multi_thread")]
async fn some_may_more_than_everybody() {
    let house = Guarded::new().await;
    let listen = Grants::everywhere(Rights::of([Right::Listen]));
    let access = Access::load(&house.dir.path().join("access.toml"), listen).unwrap();
    let url = house.recorder.url();
    let (addr, _running) = gateway(&house.recorder, |c| {
        (c.operations_url, c.access) = (Some(url.into()), Some(Arc::clone(&access)));
    })
    .await;
    ready(addr).await;
    let seal = format!("/recordings/{}/seal", house.mine);
    assert_eq!(fetch(addr, "GET", "/streams/theirs", &[]).await.0.status, 200);
    assert_eq!(fetch(addr, "POST", &seal, &[]).await.0.status, 401);
    let auth = house.bearer();
    assert_eq!(fetch(addr, "POST", &seal, &[("Authorization", &auth)]).await.0.status, 200);
}

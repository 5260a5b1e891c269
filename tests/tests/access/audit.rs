//! Who did what stands on the timeline and in the log, over HTTP through a gateway as over gRPC to the recorder; and nobody can
//! say to be somebody else.

use anyhow::{Context, Result, ensure};
use livetape_access::{Actor, Secret, TokenHash, mint_token};
use livetape_proto::v1;
use livetape_proto::v1::operation_service_client::OperationServiceClient;
use livetape_proto::v1::tape_service_client::TapeServiceClient;
use livetape_testkit::process::{Livetape, Start};
use livetape_testkit::{http, wait};
use livetape_tests::growing::SOON;
use serde_json::{Value, json};
use std::ffi::OsString;
use tempfile::TempDir;
use tonic::metadata::MetadataValue;
use tonic::transport::Channel;

/// Whoever has a token, in this order.
const PEOPLE: [(&str, &str); 4] = [
    ("ann", "listen,manage:studio"),
    ("bob", "listen,manage,export:*"),
    ("front", "listen,export,manage:*"),
    ("hall", "publish:*"),
];

/// Recorder, gateway and source, each with a token of its own.
struct House {
    recorder: Livetape,
    gateway: Livetape,
    capture: Livetape,
    tokens: Vec<Secret>,
    _dir: TempDir,
}

impl House {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let (mut tokens, mut file) = (Vec::new(), String::new());
        for (name, grants) in PEOPLE {
            let token = mint_token()?;
            let hash = TokenHash::of(&token);
            file += &format!("[[token]]\nname = \"{name}\"\nsha256 = \"{hash}\"\ngrants = [\"{grants}\"]\n");
            std::fs::write(dir.path().join(name), token.reveal())?;
            tokens.push(token);
        }
        std::fs::write(dir.path().join("access.toml"), file)?;
        let path = |name: &str| dir.path().join(name).into_os_string();
        let access = || [OsString::from("--access"), path("access.toml")];
        let token = |name: &str| [OsString::from("--token-file"), path(name)];
        let recorder = Start::recorder(dir.path().join("data")).args(access()).spawn()?;
        let capture = Start::capture(recorder.grpc()).args(["--stream", "studio"]).source("tone").args(token("hall"));
        let gateway = Start::gateway(recorder.grpc()).args(access()).args(token("front"));
        Ok(Self { gateway: gateway.spawn()?, capture: capture.spawn()?, recorder, tokens, _dir: dir })
    }

    fn token(&self, who: &str) -> Result<&str> {
        let at = PEOPLE.iter().position(|(name, _)| *name == who).context("nobody has this name")?;
        Ok(self.tokens[at].reveal())
    }

    /// Asks the gateway.
    fn ask(&self, who: &str, method: &str, target: &str, body: &Value) -> Result<(u16, Value)> {
        let request = http::request(self.gateway.http(), method, target, "1.1");
        let request =
            request.header("Authorization", &format!("Bearer {}", self.token(who)?)).header("Connection", "close");
        let mut reply = match body {
            Value::Null => request.send()?,
            body => request.json(body).send()?,
        };
        let status = reply.status;
        let (text, _) = reply.to_end(SOON)?;
        Ok((status, serde_json::from_slice(&text).unwrap_or_default()))
    }

    /// Wants to delete, and shows nothing.
    fn nobody(&self, target: &str) -> Result<u16> {
        let request = http::request(self.gateway.http(), "DELETE", target, "1.1").header("Connection", "close");
        Ok(request.send()?.status)
    }

    /// The recordings of the stream, oldest first, once there are so many.
    fn recordings(&self, count: usize) -> Result<Vec<String>> {
        wait::until("recordings", SOON, || {
            let (_, page) = self.ask("bob", "GET", "/recordings", &Value::Null).ok()?;
            let ids: Vec<_> =
                page["recordings"].as_array()?.iter().filter_map(|r| Some(r["id"].as_str()?.to_owned())).collect();
            (ids.len() == count).then_some(ids)
        })
    }

    /// What a timeline says that people did.
    fn deeds(&self, id: &str) -> Result<Vec<String>> {
        let (_, page) = self.ask("bob", "GET", &format!("/recordings/{id}/timeline"), &Value::Null)?;
        let entries = page["entries"].as_array().context("entries")?.iter();
        let deeds = entries.filter(|e| e["kind"] == "operated" || e["kind"] == "published");
        Ok(deeds.filter_map(|deed| Some(deed["detail"].as_str()?.to_owned())).collect())
    }

    /// Waits until a timeline says it.
    fn told(&self, id: &str, what: &str) -> Result<()> {
        let found = wait::until(what, SOON, || self.deeds(id).ok()?.iter().any(|deed| deed == what).then_some(()));
        found.with_context(|| format!("{:?}", self.deeds(id)))
    }

    async fn channel(&self) -> Result<Channel> {
        Ok(Channel::from_shared(format!("http://{}", self.recorder.grpc()))?.connect().await?)
    }

    /// A call to the recorder, by somebody who says to be somebody else.
    fn call<T>(&self, who: &str, says: Option<&str>, message: T) -> Result<tonic::Request<T>> {
        let mut request = tonic::Request::new(message);
        request.metadata_mut().insert("authorization", format!("Bearer {}", self.token(who)?).parse()?);
        if let Some(says) = says {
            request.metadata_mut().insert_bin(Actor::METADATA, MetadataValue::from_bytes(says.as_bytes()));
        }
        Ok(request)
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn who_did_what_is_written_down() -> Result<()> {
    let house = House::new()?;
    let id = house.recordings(1)?.remove(0);
    house.told(&id, "published by hall (token) at 127.0.0.1")?;

    // Through the gateway.
    let through = ", through front (token) at 127.0.0.1";
    let recording = format!("/recordings/{id}");
    let (status, _) = house.ask("ann", "PATCH", &recording, &json!({ "title": "Evensong" }))?;
    assert_eq!(status, 200);
    house.told(&id, &format!("titled by ann (token) at 127.0.0.1{through}"))?;
    assert_eq!(house.ask("ann", "PUT", &format!("{recording}/lock"), &Value::Null)?.0, 200);
    house.told(&id, &format!("locked by ann (token) at 127.0.0.1{through}"))?;
    assert_eq!(house.ask("ann", "POST", "/streams/studio/recordings", &Value::Null)?.0, 201);
    house.told(&id, &format!("sealed by ann (token) at 127.0.0.1{through}"))?;
    let second = house.recordings(2)?.remove(1);
    house.told(&second, &format!("begun by ann (token) at 127.0.0.1{through}"))?;
    house.told(&second, "published by hall (token) at 127.0.0.1")?;

    // At the recorder itself.
    let mut operations = OperationServiceClient::new(house.channel().await?);
    let unlock = || v1::UnlockRecordingRequest { recording_id: id.clone() };
    operations.unlock_recording(house.call("ann", Some("token\nbob\n192.0.2.1"), unlock())?).await?;
    house.told(&id, "unlocked by ann (token) at 127.0.0.1").context("ann is not believed to be bob")?;
    let mark = v1::AddMarkRequest { recording_id: id.clone(), frame: Some(0), text: "here".into() };
    operations.add_mark(house.call("bob", Some("token\ncarol\n192.0.2.1"), mark)?).await?;
    house.told(&id, "marked by carol (token) at 192.0.2.1, through bob (token) at 127.0.0.1")?;
    let mut tapes = TapeServiceClient::new(house.channel().await?);
    let export = v1::ExportRequest { recording_id: id.clone(), ..Default::default() };
    let mut file = tapes.export(house.call("bob", None, export)?).await?.into_inner();
    ensure!(file.message().await?.is_some(), "an empty file");
    house.told(&id, "exported by bob (token) at 127.0.0.1")?;

    // A clip over HTTP, which a player takes in parts.
    let clip = format!("{recording}/clip.wav");
    for range in ["bytes=0-99", "bytes=100-199", "bytes=0-"] {
        let request = http::get(house.gateway.http(), &clip).header("Range", range).header("Connection", "close");
        let bearer = format!("Bearer {}", house.token("bob")?);
        let mut reply = request.header("Authorization", &bearer).send()?;
        ensure!([200, 206].contains(&reply.status), "{}", reply.status);
        reply.to_end(SOON)?;
    }
    let taken = format!("exported by bob (token) at 127.0.0.1{through}");
    house.told(&id, &taken)?;
    assert_eq!(house.deeds(&id)?.iter().filter(|deed| **deed == taken).count(), 1, "told once");
    // What is refused is in the log of whoever refused it.
    assert_eq!(house.ask("hall", "PATCH", &recording, &json!({ "title": "x" }))?.0, 403);
    assert_eq!(house.ask("ann", "GET", &clip, &Value::Null)?.0, 403, "ann may not export");
    let call = operations.unlock_recording(house.call("hall", None, unlock())?).await;
    assert_eq!(call.unwrap_err().code(), tonic::Code::PermissionDenied);
    for _ in 0..100 {
        let nothing = tonic::Request::new(unlock());
        assert_eq!(operations.unlock_recording(nothing).await.unwrap_err().code(), tonic::Code::Unauthenticated);
        assert_eq!(house.nobody(&recording)?, 401);
    }
    let refused = |log: &str| {
        let of = |line: &&str| line.contains("livetape::audit") && line.contains("refused") && line.contains("manage");
        log.lines().filter(of).map(str::to_owned).collect::<Vec<_>>()
    };
    let (by_recorder, by_gateway) = (refused(&house.recorder.log()), refused(&house.gateway.log()));
    for (lines, who) in
        [(&by_recorder, "hall"), (&by_gateway, "hall"), (&by_gateway, "DELETE"), (&by_recorder, "Unlock")]
    {
        ensure!(lines.iter().any(|line| line.contains(who)), "{who}: {lines:?}");
        ensure!(lines.len() <= 70, "they fill the log: {}", lines.len());
    }

    // What is deleted has no timeline: that of the stream's open recording says it.
    assert_eq!(house.ask("ann", "DELETE", &recording, &Value::Null)?.0, 204);
    wait::until("the deletion on the timeline", SOON, || {
        let deeds = house.deeds(&second).ok()?;
        let said = |deed: &String| {
            deed.contains(&id) && deed.ends_with(&format!("deleted by ann (token) at 127.0.0.1{through}"))
        };
        deeds.iter().any(said).then_some(())
    })?;

    // Once nobody pushes.
    house.capture.terminate()?;
    wait::until("the end of the stream", SOON, || {
        (house.ask("ann", "DELETE", "/streams/studio", &Value::Null).ok()?.0 == 200).then_some(())
    })?;
    let log = house.recorder.log();
    for what in [
        "published",
        "titled",
        "locked",
        "sealed",
        "begun",
        "unlocked",
        "marked",
        "exported",
        "deleted",
        "deleted the stream",
    ] {
        let said = |line: &str| {
            line.contains("livetape::audit")
                && line.contains(what)
                && line.contains("studio")
                && line.contains("127.0.0.1")
        };
        assert!(log.lines().any(said), "{what}: {log}");
    }
    let gateway = house.gateway.log();
    assert!(
        gateway.lines().any(|line| line.contains("livetape::audit") && line.contains("ann") && line.contains("PATCH")),
        "{gateway}"
    );
    for token in &house.tokens {
        assert!(!log.contains(token.reveal()) && !gateway.contains(token.reveal()), "a secret in a log");
    }
    house.gateway.stop()?;
    house.recorder.stop()
}

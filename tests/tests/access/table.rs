//! Who may what: each address of HTTP, each call of gRPC and each request of a source, asked with every single right, proved in every
//! way that there is. What is expected stands here once more, written by hand: the table of the code is not believed.

use anyhow::{Context, Result, ensure};
use livetape_access::{
    Claims, ENDPOINTS, JwtAlgorithm, Needs, Protocol, Right, Rights, Secret, TokenHash, UrlKey, hash_password, issue,
    mint_token, wall_clock,
};
use livetape_testkit::http;
use livetape_testkit::process::{Livetape, Start};
use livetape_testkit::wait;
use livetape_tests::growing::SOON;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// What each needs: `-` for nothing.
const EXPECTED: &str = "
http GET / -
http GET /page.css -
http GET /page/{file} -
http GET /plain listen
http GET /openapi -
http GET /openapi.js -
http GET /openapi.css -
http GET /openapi.json -
http GET /icon.svg -
http GET /favicon.ico -
http GET /healthz -
http GET /readyz -
http GET /metrics -
http GET /session -
http POST /session -
http DELETE /session -
http GET /events listen
http GET /listen.m3u listen
http GET /listen.pls listen
http GET /listen.xspf listen
http GET /streams listen
http GET /streams/{stream} listen
http DELETE /streams/{stream} manage
http POST /streams/{stream}/recordings manage
http GET /streams/{stream}/program listen
http POST /streams/{stream}/skip manage
http PUT /streams/{stream}/title manage
http GET /streams/{stream}/events listen
http GET /streams/{stream}/listen.m3u listen
http GET /streams/{stream}/listen.pls listen
http GET /streams/{stream}/listen.xspf listen
http GET /streams/{stream}/{file} listen
http GET /recordings listen
http GET /recordings/{id} listen
http PATCH /recordings/{id} manage
http DELETE /recordings/{id} manage
http POST /recordings/{id}/seal manage
http PUT /recordings/{id}/lock manage
http DELETE /recordings/{id}/lock manage
http POST /recordings/{id}/marks manage
http GET /recordings/{id}/timeline listen
http GET /recordings/{id}/marks listen
http GET /recordings/{id}/marks.csv listen
http GET /recordings/{id}/marks.txt listen
http GET /recordings/{id}/clip.wav export
http GET /recordings/{id}/clip.mp3 export
http GET /recordings/{id}/loudness listen
http GET /recordings/{id}/peaks listen
http GET /recordings/{id}/peaks.json listen
http GET /recordings/{id}/peaks.dat listen
http GET /recordings/{id}/{file} listen
grpc call /livetape.v1.IngestService/Ingest publish
grpc call /livetape.v1.CatalogueService/ListStreams listen
grpc call /livetape.v1.CatalogueService/ListRecordings listen
grpc call /livetape.v1.CatalogueService/GetRecording listen
grpc call /livetape.v1.CatalogueService/ListTimeline listen
grpc call /livetape.v1.CatalogueService/WatchCatalogue listen
grpc call /livetape.v1.TapeService/WatchTail listen
grpc call /livetape.v1.TapeService/ReadFrames listen
grpc call /livetape.v1.TapeService/GetLoudness listen
grpc call /livetape.v1.TapeService/GetPeaks listen
grpc call /livetape.v1.TapeService/Export export
grpc call /livetape.v1.TapeService/WatchTraces listen
grpc call /livetape.v1.OperationService/BeginRecording manage
grpc call /livetape.v1.OperationService/SealRecording manage
grpc call /livetape.v1.OperationService/UpdateRecording manage
grpc call /livetape.v1.OperationService/DeleteRecording manage
grpc call /livetape.v1.OperationService/LockRecording manage
grpc call /livetape.v1.OperationService/UnlockRecording manage
grpc call /livetape.v1.OperationService/AddMark manage
grpc call /livetape.v1.OperationService/DeleteStream manage
grpc call /livetape.v1.OperationService/SetTitle manage
grpc call /livetape.v1.OperationService/GetProgram listen
grpc call /livetape.v1.OperationService/SkipTitle manage
grpc call /grpc.health.v1.Health/Check -
grpc call /grpc.health.v1.Health/Watch -
grpc call /grpc.health.v1.Health/List -
grpc call /grpc.reflection.v1.ServerReflection/ServerReflectionInfo -
grpc call /grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo -
source PUT /{mount} publish
source SOURCE /{mount} publish
source POST /{mount} publish
source GET /admin/metadata publish
source POST /admin/metadata publish
";

/// Protocol, method, path, and the right that is needed.
type Line = (&'static str, &'static str, &'static str, Option<Right>);

fn expected() -> Vec<Line> {
    let line = |line: &'static str| {
        let mut words = line.split(' ');
        let mut next = || words.next().unwrap_or_default();
        let (protocol, method, path, right) = (next(), next(), next(), next());
        (protocol, method, path, (right != "-").then(|| right.parse().expect("a right")))
    };
    EXPECTED.lines().filter(|line| !line.is_empty()).map(line).collect()
}

#[test]
fn every_row_is_expected_and_what_is_expected_has_a_row() {
    let mut rows: Vec<_> = ENDPOINTS
        .iter()
        .map(|row| {
            let (protocol, method) = match row.protocol {
                Protocol::Http => ("http", row.method),
                Protocol::Grpc => ("grpc", "call"),
                Protocol::Source => ("source", row.method),
            };
            let right = match row.needs {
                Needs::Nothing => None,
                Needs::On(right) | Needs::Any(right) => Some(right),
            };
            (protocol, method, row.path, right)
        })
        .collect();
    let mut expected = expected();
    rows.sort_unstable();
    expected.sort_unstable();
    assert_eq!(rows, expected);
}

/// A way to prove who one is: headers, or a signature for an address.
enum Proof {
    Header(String),
    Url(Box<UrlKey>, Rights),
}

/// One service, and who has which single right in it.
struct House {
    livetape: Livetape,
    /// A recording of the stream `mine`, sealed and locked.
    id: String,
    admin: String,
    proofs: Vec<(&'static str, Right, Proof)>,
    _dir: tempfile::TempDir,
}

const SHARED: &str = "a shared secret of thirty-two bytes or more";

impl House {
    fn new() -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let (admin, key) = (mint_token()?, UrlKey::mint()?);
        std::fs::write(dir.path().join("jwt.key"), SHARED)?;
        std::fs::write(dir.path().join("url.key"), key.reveal())?;
        let all = "publish,listen,export,manage";
        let mut file = format!(
            "[jwt]\nkey = [{{ algorithm = \"HS256\", file = \"jwt.key\" }}]\n\
             [[url_key]]\nid = \"k\"\nfile = \"url.key\"\ngrants = [\"{all}:mine\"]\n\
             [[token]]\nname = \"admin\"\nsha256 = \"{}\"\ngrants = [\"{all}:*\"]\n",
            TokenHash::of(&admin)
        );
        let hour = wall_clock().later(Duration::from_secs(3_600));
        let mut proofs = Vec::new();
        for right in Right::ALL {
            let grants = format!("{right}:mine");
            let token = mint_token()?;
            file += &format!("[[token]]\nname = \"t-{right}\"\nsha256 = \"{}\"\n", TokenHash::of(&token));
            file += &format!("grants = [\"{grants}\"]\n");
            proofs.push(("token", right, Proof::Header(format!("Authorization: Bearer {}\r\n", token.reveal()))));
            proofs.push(("cookie", right, Proof::Header(format!("Cookie: livetape={}\r\n", token.reveal()))));
            let hash = hash_password(&Secret::new(format!("password of {right}")))?;
            file += &format!("[[user]]\nname = \"{right}\"\npassword = \"{hash}\"\ngrants = [\"{grants}\"]\n");
            let basic = base64(format!("{right}:password of {right}").as_bytes());
            proofs.push(("password", right, Proof::Header(format!("Authorization: Basic {basic}\r\n"))));
            let claims = Claims {
                exp: Some((hour.unix_millis() / 1_000).into()),
                livetape: vec![grants.parse()?].try_into()?,
                ..Claims::default()
            };
            let jwt = issue(JwtAlgorithm::HS256, &Secret::new(SHARED), None, &claims)?;
            proofs.push(("JWT", right, Proof::Header(format!("Authorization: Bearer {}\r\n", jwt.reveal()))));
            // Nothing else can be signed.
            if matches!(right, Right::Listen | Right::Export) {
                let signing = Proof::Url(Box::new(UrlKey::new("k", key.reveal())?), Rights::of([right]));
                proofs.push(("signed address", right, signing));
            }
        }
        let access = dir.path().join("access.toml");
        std::fs::write(&access, file)?;
        let livetape = Start::new(dir.path().join("data"))
            .args(["--stream", "mine", "--source", "tone", "--access"])
            .args([access.into_os_string()])
            .args(["--limit-failed-proofs", "100000"])
            .spawn()?;
        let admin = format!("Bearer {}", admin.reveal());
        let one = http::get(livetape.http(), "/recordings?stream=mine").header("Authorization", &admin);
        let id = wait::until("a recording", SOON, || {
            let page: serde_json::Value = serde_json::from_slice(&one.clone().send().ok()?.body().ok()?).ok()?;
            let one = page["recordings"].get(0)?;
            (one["frames"].as_u64()? > 48_000).then(|| one["id"].as_str().map(str::to_owned))?
        })?;
        let house = Self { livetape, id, admin, proofs, _dir: dir };
        house.again("POST", "seal")?;
        house.again("PUT", "lock")?;
        Ok(house)
    }

    /// As somebody who may everything.
    fn again(&self, method: &str, what: &str) -> Result<u16> {
        let admin = format!("Authorization: {}\r\n", self.admin);
        ask(self.livetape.http(), method, &format!("/recordings/{}/{what}", self.id), &admin)
    }

    fn target(&self, path: &str) -> String {
        let file = if path.starts_with("/streams") { "live.wav" } else { "audio.wav" };
        let file = if path.starts_with("/page") { "player.js" } else { file };
        path.replace("{stream}", "mine").replace("{id}", &self.id).replace("{file}", file)
    }

    fn ask(&self, method: &str, path: &str, proof: &Proof) -> Result<u16> {
        let (to, target) = (self.livetape.http(), self.target(path));
        match proof {
            Proof::Header(header) => ask(to, method, &target, header),
            Proof::Url(key, rights) => {
                let hour = wall_clock().later(Duration::from_secs(3_600));
                let signature = key.sign(&target, *rights, hour, hour)?.to_string();
                ask(to, method, &format!("{target}?sign={signature}"), "")
            }
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let piece = |piece: &[u8]| {
        let n = piece.iter().chain([&0, &0]).take(3).fold(0_u32, |n, b| n << 8 | u32::from(*b));
        let digit =
            |at: usize| if at <= piece.len() { DIGITS[(n >> (18 - 6 * at) & 63) as usize] as char } else { '=' };
        (0..4).map(digit).collect::<String>()
    };
    bytes.chunks(3).map(piece).collect()
}

/// The status of one request, whose body is not waited for.
fn ask(to: SocketAddr, method: &str, target: &str, header: &str) -> Result<u16> {
    let mut stream = TcpStream::connect(to)?;
    stream.set_read_timeout(Some(SOON))?;
    write!(stream, "{method} {target} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{header}\r\n")?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).with_context(|| format!("{method} {target}"))?;
    std::str::from_utf8(&head[9..])?.parse().context("a status")
}

/// Whether somebody who has shown something was let in.
const fn is_let_in(status: u16) -> bool {
    !matches!(status, 401 | 403)
}

#[test]
fn every_single_right_on_every_address_in_every_way() -> Result<()> {
    let house = House::new()?;
    let mut asked = 0;
    for (_, method, path, needs) in expected().into_iter().filter(|line| line.0 == "http") {
        let nothing = ask(house.livetape.http(), method, &house.target(path), "")?;
        let (kind, mut all) = (if needs.is_some() { "refused" } else { "answered" }, Vec::new());
        // Of what needs nothing, one address answers only whoever may watch, and one wants to be shown something.
        let excepted = matches!((method, path), (_, "/metrics") | ("POST", "/session"));
        ensure!(excepted || (nothing == 401) == needs.is_some(), "{method} {path} with nothing: {nothing}, not {kind}");
        for (way, right, proof) in &house.proofs {
            // So that what is deleted is still there for the next one.
            if method == "DELETE" {
                ensure!(house.again("PUT", "lock")? < 300);
            }
            // A session of the page is made of a token, and an address that is signed is a player's.
            if path == "/session" || (*way == "signed address" && path == "/metrics") {
                continue;
            }
            let status = house.ask(method, path, proof)?;
            let right_is = needs.is_none_or(|needs| needs == *right);
            all.push(status);
            asked += 1;
            let let_in = is_let_in(status) || path == "/metrics";
            ensure!(let_in == right_is, "{method} {path} with {right} by {way}: {status}");
        }
    }
    ensure!(asked > 600, "{asked}");
    house.livetape.stop()
}

#[test]
fn every_single_right_where_sources_push() -> Result<()> {
    let house = House::new()?;
    let to = house.livetape.sources();
    for (_, method, path, needs) in expected().into_iter().filter(|line| line.0 == "source") {
        let target = match path {
            "/admin/metadata" => "/admin/metadata?mode=updinfo&mount=/mine&song=x",
            _ => "/mine",
        };
        ensure!(ask(to, method, target, "")? == 401, "{method} {path} with nothing");
        for (way, right, proof) in &house.proofs {
            let Proof::Header(header) = proof else { continue };
            if *way == "cookie" {
                continue;
            }
            let header = format!("{header}Content-Type: audio/wav\r\nContent-Length: 0\r\n");
            let status = ask(to, method, target, &header)?;
            ensure!(is_let_in(status) == (needs == Some(*right)), "{method} {path} with {right} by {way}: {status}");
        }
    }
    house.livetape.stop()
}

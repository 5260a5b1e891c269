//! Who may what over HTTP, where the door itself could tell something, or be too late.

use crate::client::{Client, Ending, fetch};
use crate::house::{House, RATE};
use http_body_util::Empty;
use hyper_util::rt::{TokioExecutor, TokioIo};
use livetape_access::{Access, Grants, Secret, TokenHash, mint_token};
use livetape_audio::RecordingId;
use std::path::PathBuf;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

const MINUTE: Duration = Duration::from_secs(60);

/// A house with a recording of the stream `mine` and several of `theirs`, and a token for all on `mine`.
struct Guarded {
    house: House,
    mine: RecordingId,
    theirs: RecordingId,
    bearer: String,
    token: Secret,
    folder: tempfile::TempDir,
}

fn path(folder: &tempfile::TempDir) -> PathBuf {
    folder.path().join("access.toml")
}

impl Guarded {
    async fn new(failed_proofs: u32) -> Self {
        let (folder, token) = (tempfile::tempdir().unwrap(), mint_token().unwrap());
        let hash = TokenHash::of(&token);
        let file = format!("[[token]]\nname = \"me\"\nsha256 = \"{hash}\"\ngrants = [\"listen,manage:mine\"]\n");
        std::fs::write(path(&folder), file).unwrap();
        let access = Access::load(&path(&folder), Grants::default()).unwrap();
        let house = House::with(|c| {
            c.access = Some(access);
            c.clients.failed_proofs = failed_proofs;
            c.operations_url = Some(livetape_proto::RecorderAddress::new("http://127.0.0.1:1"));
        })
        .await;
        let theirs = house.finished("theirs", MINUTE * 3, RATE);
        let mine = house.finished("mine", MINUTE * 2, 60 * RATE);
        house.finished("theirs", MINUTE / 2, RATE);
        let bearer = format!("Bearer {}", token.reveal());
        Self { house, mine, theirs, bearer, token, folder }
    }

    /// Status and text of the answer to somebody with the token.
    async fn ask(&self, method: &str, target: &str) -> (u16, String) {
        let (reply, body) = fetch(self.house.addr, method, target, &[("Authorization", &self.bearer)]).await;
        (reply.status, String::from_utf8_lossy(&body).into_owned())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_no_browser_keeps_is_refused() {
    let guarded = Guarded::new(30).await;
    let log_in = async |bytes: usize| {
        let bearer = format!("Bearer {}", "x".repeat(bytes));
        let (reply, body) = fetch(guarded.house.addr, "POST", "/session", &[("Authorization", &bearer)]).await;
        (reply.status, String::from_utf8_lossy(&body).into_owned())
    };
    // Of 4096 bytes nine are its name.
    assert_eq!(log_in(4_087).await.0, 401, "which could be kept, and is nobody's");
    let (status, why) = log_in(4_088).await;
    assert!(status == 400 && why.contains("4096 bytes"), "{status} {why}");
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_tells_of_what_one_may_not_hear() {
    let guarded = Guarded::new(30).await;
    for list in ["/recordings", "/recordings?limit=1", "/streams", "/streams?limit=1"] {
        let (status, text) = guarded.ask("GET", list).await;
        let said: serde_json::Value = serde_json::from_str(&text).unwrap();
        let items = said["recordings"].as_array().or(said["streams"].as_array()).unwrap();
        assert_eq!((status, items.len(), &said["next"]), (200, 1, &serde_json::Value::Null), "{list}: {text}");
        assert!(!text.contains("theirs"), "{list}: {text}");
    }
    // A recording that is somebody else's, and one that there is not.
    let (theirs, nowhere) = (guarded.theirs.to_string(), RecordingId::new(7, &[7; 10]).to_string());
    for (method, rest) in [
        ("GET", ""),
        ("GET", "/timeline"),
        ("GET", "/audio.wav"),
        ("DELETE", ""),
        ("PATCH", ""),
        ("PUT", "/lock"),
        ("POST", "/seal"),
    ] {
        let hidden = guarded.ask(method, &format!("/recordings/{theirs}{rest}")).await;
        let unknown = guarded.ask(method, &format!("/recordings/{nowhere}{rest}")).await;
        assert_eq!(hidden, unknown, "{method} {rest}");
        assert_eq!(hidden.0, 404, "{method} {rest}: {}", hidden.1);
        let nobody = async |id: &str| fetch(guarded.house.addr, method, &format!("/recordings/{id}{rest}"), &[]).await;
        let ((a, text), (b, _)) = (nobody(&theirs).await, nobody(&nowhere).await);
        assert_eq!((a.status, b.status), (401, 401), "{}", String::from_utf8_lossy(&text));
    }
    let stream = async |name| guarded.ask("GET", &format!("/streams/{name}")).await;
    let (hidden, unknown) = (stream("theirs").await, stream("others").await);
    assert_eq!((hidden.0, hidden.1.replace("theirs", "others")), unknown);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_needs_a_right_is_for_no_cache_of_many() {
    let guarded = Guarded::new(30).await;
    let target = format!("/recordings/{}/audio.wav", guarded.mine);
    let (reply, _) = fetch(guarded.house.addr, "HEAD", &target, &[("Authorization", &guarded.bearer)]).await;
    assert_eq!(reply.header("cache-control"), Some("private, no-cache"));
    let open = House::new().await;
    let target = format!("/recordings/{}/audio.wav", open.finished("live", MINUTE, 100));
    let (reply, _) = fetch(open.addr, "HEAD", &target, &[]).await;
    assert_eq!(reply.header("cache-control"), Some("public, max-age=86400, immutable"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_ends_ends_what_lies_in_the_socket() {
    let guarded = Guarded::new(30).await;
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut slow = socket.connect(guarded.house.addr).await.unwrap();
    let head = format!("Host: localhost\r\nAuthorization: {}\r\n\r\n", guarded.bearer);
    slow.write_all(format!("GET /recordings/{}/audio.pcm HTTP/1.1\r\n{head}", guarded.mine).as_bytes()).await.unwrap();
    slow.read_exact(&mut [0; 1_000]).await.unwrap();
    // A piece of a megabyte is on its way, for which this one would take minutes.
    let new = guarded.folder.path().join("new");
    std::fs::write(&new, format!("# not {}\n", TokenHash::of(&guarded.token))).unwrap();
    std::fs::rename(new, path(&guarded.folder)).unwrap();
    let reset = async {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            if let Err(error) = slow.read(&mut [0; 500]).await {
                return error.kind();
            }
        }
    };
    let reset = tokio::time::timeout(Duration::from_secs(20), reset).await.expect("it is over");
    assert_eq!(reset, std::io::ErrorKind::ConnectionReset);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_guesses_is_told_to_stop_and_who_is_right_is_let_in() {
    let guarded = Guarded::new(3).await;
    let asks = async |bearer: &str| fetch(guarded.house.addr, "GET", "/streams", &[("Authorization", bearer)]).await.0;
    for n in 0..6 {
        let wrong = format!("Bearer {}", mint_token().unwrap().reveal());
        let reply = asks(&wrong).await;
        let (status, wait) = if n < 3 { (401, None) } else { (429, Some("20")) };
        assert_eq!((reply.status, reply.header("retry-after")), (status, wait), "guess {n}");
        assert_eq!(asks(&guarded.bearer).await.status, 200);
    }
    let text = guarded.house.metrics.text();
    assert!(text.contains("livetape_gateway_limit_rejections_total{limit=\"failed_proofs\"} 3\n"), "{text}");
    assert!(text.contains("livetape_gateway_denied_requests_total{reason=\"too_often\"} 3\n"), "{text}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_is_taken_from_who_may_send_it() {
    let guarded = Guarded::new(30).await;
    // Whoever may not is told so before it has sent anything.
    let mut client = Client::connect(guarded.house.addr).await;
    let json = "Content-Type: application/json\r\nContent-Length: 50000";
    client.send(&format!("PATCH /recordings/{} HTTP/1.1\r\nHost: localhost\r\n{json}\r\n\r\n{{", guarded.mine)).await;
    let mut reply = client.head(false).await;
    assert_eq!((reply.status, client.rest(&mut reply).await.1), (401, Ending::Clean));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_right_that_ends_ends_a_body_of_http_2_whose_window_is_closed() {
    let guarded = Guarded::new(30).await;
    let io = TokioIo::new(TcpStream::connect(guarded.house.addr).await.unwrap());
    // Room for a little, and nothing is taken: so the gateway is never asked for more.
    let mut two = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    two.initial_stream_window_size(1_000).initial_connection_window_size(10_000);
    let (mut sender, connection) = two.handshake::<_, Empty<bytes::Bytes>>(io).await.unwrap();
    let connection = tokio::spawn(connection);
    let target = format!("http://{}/recordings/{}/audio.pcm", guarded.house.addr, guarded.mine);
    let request = http::Request::get(target).header("Authorization", &guarded.bearer).body(Empty::new()).unwrap();
    let reply = sender.send_request(request).await.unwrap();
    assert_eq!(reply.status(), 200);
    let new = guarded.folder.path().join("new");
    std::fs::write(&new, format!("# not {}\n", TokenHash::of(&guarded.token))).unwrap();
    std::fs::rename(new, path(&guarded.folder)).unwrap();
    let over =
        tokio::time::timeout(Duration::from_secs(20), connection).await.expect("it is over long before a stall is");
    assert!(over.unwrap().is_err(), "by a reset");
    drop(reply);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_taken_away_as_a_file_needs_the_right_to_export() {
    let guarded = Guarded::new(30).await;
    let clip = format!("/recordings/{}/clip.wav?from=0&to=1", guarded.mine);
    let (status, text) = guarded.ask("GET", &clip).await;
    assert_eq!(status, 403, "{text}");
    assert!(text.contains("export"), "{text}");
    let hash = TokenHash::of(&guarded.token);
    let file = format!("[[token]]\nname = \"me\"\nsha256 = \"{hash}\"\ngrants = [\"export:mine\"]\n");
    std::fs::write(path(&guarded.folder).with_extension("new"), file).unwrap();
    std::fs::rename(path(&guarded.folder).with_extension("new"), path(&guarded.folder)).unwrap();
    for _ in 0..100 {
        if guarded.ask("GET", &clip).await.0 == 200 {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("who may export may not");
}

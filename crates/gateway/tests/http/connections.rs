//! What happens to connections: resets, old and new versions of HTTP, slow and silent clients, the end of the gateway.

use crate::client::{Client, Ending, fetch, open};
use crate::house::{HEADER, House, RATE, SECOND, counting};
use http_body_util::{BodyExt, Empty, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use livetape_audio::SealReason;
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::net::{TcpSocket, TcpStream};

const MINUTE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn row_21_http_1_0_gets_no_chunks() {
    let house = House::new().await;
    let mut deck = house.record("live", MINUTE);
    deck.play(2 * RATE);
    let mut client = Client::connect(house.addr).await;
    client.send("GET /streams/live/live.pcm HTTP/1.0\r\nIcy-MetaData: 1\r\n\r\n").await;
    let mut reply = client.head(false).await;
    assert_eq!(
        (reply.status, reply.header("transfer-encoding"), reply.header("connection")),
        (200, None, Some("close"))
    );
    assert_eq!((reply.header("content-length"), reply.header("icy-metaint")), (None, None));
    let (bytes, _) = client.take(&mut reply, SECOND as usize).await;
    assert!(bytes == counting(RATE..2 * RATE));
    deck.play(10);
    deck.seal(SealReason::SourceEnded, None);
    assert_eq!(client.rest(&mut reply).await, (counting(2 * RATE..2 * RATE + 10), Ending::Clean));

    let mut client = Client::connect(house.addr).await;
    client.send(&format!("GET /recordings/{}/audio.pcm HTTP/1.0\r\nRange: bytes=4-7\r\n\r\n", deck.id)).await;
    let mut reply = client.head(false).await;
    assert_eq!((reply.status, client.rest(&mut reply).await), (206, (counting(1..2), Ending::Clean)));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_is_cut_never_looks_finished() {
    let house = House::with(|c| c.limits.live_silence = Duration::from_millis(300)).await;
    let mut deck = house.record("live", MINUTE);
    deck.play(2 * RATE);
    // HTTP/1.0, where closing would be the end: a TCP reset.
    let mut client = Client::connect(house.addr).await;
    client.send("GET /streams/live/live.pcm?burst=0.1 HTTP/1.0\r\n\r\n").await;
    let mut reply = client.head(false).await;
    let (bytes, ending) = client.rest(&mut reply).await;
    assert_eq!(ending, Ending::Reset);
    assert!(bytes == counting(2 * RATE - RATE / 10..2 * RATE), "all that was sent, to the frame");
    // HTTP/1.1: no last chunk.
    let (mut client, mut reply, _) = open(house.addr, "/streams/live/live.pcm?burst=0", &[], 0).await;
    assert_eq!(client.rest(&mut reply).await, (Vec::new(), Ending::Cut));
    // HTTP/2: RST_STREAM; the connection goes on.
    let mut sender = http2(house.addr).await;
    let live = format!("http://{}/streams/live/live.pcm?burst=0", house.addr);
    deck.play(10);
    let reply = sender.send_request(request(&live)).await.unwrap();
    assert_eq!(reply.status(), 200);
    let error = reply.into_body().collect().await.unwrap_err();
    assert!(format!("{error:?}").contains("INTERNAL_ERROR"), "{error:?}");
    let whole = format!("http://{}/recordings/{}/audio.pcm?len=now", house.addr, deck.id);
    let reply = sender.send_request(request(&whole)).await.unwrap();
    assert_eq!(reply.headers()["content-length"], ((2 * RATE + 10) * 4).to_string().as_str());
    assert!(reply.into_body().collect().await.unwrap().to_bytes() == counting(0..2 * RATE + 10));
}

async fn http2(addr: std::net::SocketAddr) -> hyper::client::conn::http2::SendRequest<Empty<bytes::Bytes>> {
    let io = TokioIo::new(TcpStream::connect(addr).await.unwrap());
    let (sender, connection) = hyper::client::conn::http2::handshake(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    sender
}

fn request(uri: &str) -> http::Request<Empty<bytes::Bytes>> {
    http::Request::get(uri).body(Empty::new()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn http_2_follows_to_the_end_and_many_at_once() {
    let house = House::new().await;
    let mut deck = house.record("live", MINUTE);
    deck.play(RATE);
    let mut sender = http2(house.addr).await;
    let target = format!("http://{}/recordings/{}/audio.pcm", house.addr, deck.id);
    let mut bodies = Vec::new();
    for _ in 0..5 {
        bodies.push(sender.send_request(request(&target)).await.unwrap().into_body());
    }
    deck.play(RATE);
    deck.seal(SealReason::SourceEnded, None);
    for body in bodies {
        assert!(body.collect().await.unwrap().to_bytes() == counting(0..2 * RATE));
    }
}

/// Connects with room for little, asks, and takes nothing.
async fn lazy(addr: std::net::SocketAddr, target: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(4_096).unwrap();
    let mut stream = socket.connect(addr).await.unwrap();
    let text = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\n\r\n");
    tokio::io::AsyncWriteExt::write_all(&mut stream, text.as_bytes()).await.unwrap();
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_that_take_nothing_are_cut_off() {
    let house = House::with(|c| {
        c.limits.patience.live = Duration::from_millis(600);
        c.limits.patience.recording = Duration::from_secs(3);
    })
    .await;
    let mut deck = house.record("live", Duration::from_secs(30));
    deck.play(30 * RATE);
    let id = deck.id;
    let stop = tokio_util::sync::CancellationToken::new();
    let deck = deck.run(stop.clone());
    let mut live = lazy(house.addr, "/streams/live/live.pcm?offset=30").await;
    let mut recording = lazy(house.addr, &format!("/recordings/{id}/audio.pcm?len=now")).await;
    // One that takes a little all the time is no stalled one.
    let (mut slow, mut reply, _) = open(house.addr, &format!("/recordings/{id}/audio.pcm?len=now"), &[], 0).await;
    let mut heard = 0;
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(2_200) {
        heard += slow.take(&mut reply, 20_000).await.0.len();
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert!(is_reset(&mut live).await, "a live one after 0.6 s");
    let mut byte = [0];
    assert_eq!(recording.peek(&mut byte).await.unwrap(), 1, "a recording has more time");
    tokio::time::sleep(Duration::from_millis(1_800)).await;
    assert!(is_reset(&mut recording).await, "but not for ever");
    let (rest, ending) = slow.rest(&mut reply).await;
    assert_eq!(ending, Ending::Clean, "after {} bytes", heard + rest.len());
    stop.cancel();
    let resets = "livetape_gateway_resets_total{reason=\"client_stalled\"} 2\n";
    assert!(house.metrics.text().contains(resets), "{}", house.metrics.text());
    deck.await.unwrap();
}

/// Whether the other side has reset the connection: what is read may come first.
async fn is_reset(stream: &mut TcpStream) -> bool {
    let mut buffer = vec![0; 1 << 20];
    loop {
        match tokio::time::timeout(Duration::from_secs(2), stream.read(&mut buffer)).await {
            Ok(Ok(0)) | Err(_) => return false,
            Ok(Ok(_)) => {}
            Ok(Err(_)) => return true,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_starved_http_2_body_is_cut_off_too() {
    let house = House::with(|c| c.limits.patience.live = Duration::from_millis(600)).await;
    let mut deck = house.record("live", MINUTE);
    deck.play(30 * RATE);
    let mut sender = http2(house.addr).await;
    let target = format!("http://{}/streams/live/live.pcm?offset=30", house.addr);
    // Its flow control window stays full, while the connection itself is in order.
    let body = sender.send_request(request(&target)).await.unwrap().into_body();
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    let ended = tokio::time::timeout(Duration::from_secs(2), body.collect()).await;
    assert!(ended.expect("it is over").is_err());
    assert!(sender.is_closed(), "with its connection: a single body that is not asked for cannot be told");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_starved_event_stream_is_cut_off_too() {
    let house = House::with(|c| c.limits.patience.live = Duration::from_millis(600)).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let deck = house.record("live", MINUTE).run(stop.clone());
    let io = TokioIo::new(TcpStream::connect(house.addr).await.unwrap());
    let mut two = hyper::client::conn::http2::Builder::new(TokioExecutor::new());
    let (mut sender, connection) = two.initial_stream_window_size(500).handshake(io).await.unwrap();
    tokio::spawn(connection);
    let events = request(&format!("http://{}/events", house.addr));
    let body: hyper::body::Incoming = sender.send_request(events).await.unwrap().into_body();
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    assert!(sender.is_closed());
    drop(body);
    // Who reads is left alone.
    let mut sender = http2(house.addr).await;
    let events = request(&format!("http://{}/events", house.addr));
    let mut body = sender.send_request(events).await.unwrap().into_body();
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(2_500) {
        body.frame().await.unwrap().unwrap();
    }
    stop.cancel();
    deck.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn there_are_only_so_many_bodies_however_few_connections() {
    let house = House::with(|c| c.limits.bodies = 3).await;
    let finished = house.finished("live", MINUTE, 60 * RATE);
    let mut deck = house.record("live", MINUTE / 2);
    deck.play(RATE);
    let mut sender = http2(house.addr).await;
    let recording = format!("http://{}/recordings/{finished}/audio.wav", house.addr);
    let live = format!("http://{}/streams/live/live.wav", house.addr);
    let mut bodies = Vec::new();
    for target in [&recording, &recording, &live] {
        let reply = sender.send_request(request(target)).await.unwrap();
        assert_eq!(reply.status(), 200);
        bodies.push(reply.into_body());
    }
    for target in [&recording, &live] {
        let reply = sender.send_request(request(target)).await.unwrap();
        assert_eq!((reply.status().as_u16(), &reply.headers()["retry-after"]), (503, &"5".parse().unwrap()));
        let body = reply.into_body().collect().await.unwrap().to_bytes();
        assert!(std::str::from_utf8(&body).unwrap().contains("listeners"), "{body:?}");
    }
    let reply = sender.send_request(request(&format!("http://{}/streams", house.addr))).await.unwrap();
    assert_eq!(reply.status(), 200, "all else is answered");
    bodies.pop();
    tokio::time::sleep(Duration::from_millis(200)).await;
    let reply = sender.send_request(request(&live)).await.unwrap();
    assert_eq!(reply.status(), 200, "room again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_nobody_wants_does_not_cost_the_reply() {
    let house = House::new().await;
    house.finished("live", MINUTE, 100);
    let io = TokioIo::new(TcpStream::connect(house.addr).await.unwrap());
    let (mut sender, connection) =
        hyper::client::conn::http2::handshake::<_, _, Full<bytes::Bytes>>(TokioExecutor::new(), io).await.unwrap();
    tokio::spawn(connection);
    // More than fits into the window, so that it has to be taken; and the client waits until it is.
    for (method, status) in [("POST", 405), ("GET", 200)] {
        for bytes in [10, 100_000, 900_000] {
            let request = http::Request::builder().method(method).uri(format!("http://{}/streams", house.addr));
            let request = request.body(Full::new(vec![b'x'; bytes].into())).unwrap();
            let reply = sender.send_request(request).await.unwrap();
            assert_eq!(reply.status(), status, "{method} with {bytes} bytes");
            reply.into_body().collect().await.unwrap();
        }
    }
    let mut client = Client::connect(house.addr).await;
    client
        .send(&format!("POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 500000\r\n\r\n{}", "x".repeat(500_000)))
        .await;
    let mut reply = client.head(false).await;
    assert_eq!((reply.status, client.rest(&mut reply).await.1), (405, Ending::Clean));
    let mut reply = client.request("GET", "/streams", &[]).await;
    assert_eq!((reply.status, client.rest(&mut reply).await.1), (200, Ending::Clean), "the connection goes on");
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_and_endless_heads() {
    let house = House::with(|c| c.limits.patience.idle = Duration::from_millis(500)).await;
    house.finished("live", MINUTE, 100);
    // Nothing at all; half a head; a byte now and then; an idle connection after a reply.
    let mut silent = TcpStream::connect(house.addr).await.unwrap();
    let mut half = Client::connect(house.addr).await;
    half.send("GET / HTTP/1.1\r\nHost: loc").await;
    let mut dripping = Client::connect(house.addr).await;
    let mut idle = Client::connect(house.addr).await;
    let mut reply = idle.request("GET", "/streams", &[]).await;
    idle.rest(&mut reply).await;
    let began = Instant::now();
    let drip = async {
        loop {
            if tokio::io::AsyncWriteExt::write_all(&mut dripping.stream, b"G").await.is_err() {
                break;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let closed = async |stream: &mut TcpStream| {
        let mut buffer = [0; 1_024];
        while stream.read(&mut buffer).await.is_ok_and(|n| n > 0) {}
    };
    let all = async {
        tokio::join!(drip, closed(&mut silent), closed(&mut half.stream), closed(&mut idle.stream));
    };
    tokio::time::timeout(Duration::from_secs(4), all).await.expect("they are all closed");
    assert!(began.elapsed() >= Duration::from_millis(400));
    // A head larger than any.
    let mut client = Client::connect(house.addr).await;
    let huge = format!("GET / HTTP/1.1\r\nHost: localhost\r\nX: {}\r\n\r\n", "x".repeat(100_000));
    _ = tokio::io::AsyncWriteExt::write_all(&mut client.stream, huge.as_bytes()).await;
    let mut buffer = vec![0; 1_024];
    let answer = client.stream.read(&mut buffer).await;
    assert!(answer.map_or(true, |n| buffer[..n].starts_with(b"HTTP/1.1 431")));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_for_audio_is_not_idle() {
    let house = House::with(|c| c.limits.patience.idle = Duration::from_millis(200)).await;
    let mut deck = house.record("live", MINUTE);
    deck.play(RATE);
    let (mut client, mut reply, _) = open(house.addr, "/streams/live/live.pcm?burst=0", &[], 0).await;
    // Long enough to be looked at twice.
    tokio::time::sleep(Duration::from_millis(1_200)).await;
    deck.play(10);
    assert_eq!(client.take(&mut reply, 40).await, (counting(RATE..RATE + 10), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_takes_a_byte_a_second_disturbs_nobody() {
    let house = House::new().await;
    let mut deck = house.record("live", MINUTE);
    deck.play(2 * RATE);
    let mut slow = lazy(house.addr, "/streams/live/live.pcm").await;
    let (mut client, mut reply, _) = open(house.addr, "/streams/live/live.pcm?burst=0", &[], 0).await;
    let stop = tokio_util::sync::CancellationToken::new();
    let deck = deck.run(stop.clone());
    let began = Instant::now();
    let mut byte = [0];
    for _ in 0..2 {
        slow.read_exact(&mut byte).await.unwrap();
        let (bytes, ending) = client.take(&mut reply, SECOND as usize).await;
        assert_eq!((bytes.len() as u64, ending), (SECOND, None));
    }
    assert!(began.elapsed() < Duration::from_millis(3_500));
    stop.cancel();
    deck.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_gateway_ends_in_good_order() {
    let house = House::new().await;
    let mut deck = house.record("live", MINUTE);
    deck.play(10 * RATE);
    let (mut live, mut live_reply, _) = open(house.addr, "/streams/live/live.pcm?burst=0", &[], 0).await;
    let finished = house.finished("other", MINUTE, 30 * RATE);
    let target = format!("/recordings/{finished}/audio.wav");
    let (mut whole, mut whole_reply, first) = open(house.addr, &target, &[], HEADER as usize).await;
    let mut idle = Client::connect(house.addr).await;
    let mut reply = idle.request("GET", "/readyz", &[]).await;
    assert_eq!((reply.status, idle.rest(&mut reply).await.1), (200, Ending::Clean));
    let mut events = Client::connect(house.addr).await;
    let mut events_reply = events.request("GET", "/events", &[]).await;
    deck.play(123);
    house.shutdown.cancel();
    let began = Instant::now();
    let (bytes, ending) = live.rest(&mut live_reply).await;
    assert_eq!(
        (bytes, ending),
        (counting(10 * RATE..10 * RATE + 123), Ending::Cut),
        "to the last frame, but not ended"
    );
    let (rest, ending) = whole.rest(&mut whole_reply).await;
    assert_eq!((first.len() + rest.len(), ending), ((HEADER + 30 * SECOND) as usize, Ending::Clean));
    assert_eq!(events.rest(&mut events_reply).await.1, Ending::Clean);
    assert_eq!(idle.stream.read(&mut [0]).await.unwrap(), 0);
    house.running.await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_millis(1_900), "nobody had to be thrown out");
    assert!(TcpStream::connect(house.addr).await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_end_in_time_is_reset() {
    let house = House::with(|c| c.drain = Duration::from_millis(300)).await;
    let finished = house.finished("live", MINUTE, 60 * RATE);
    let mut stalled = lazy(house.addr, &format!("/recordings/{finished}/audio.wav")).await;
    stalled.read_exact(&mut [0; 100]).await.unwrap();
    house.shutdown.cancel();
    let began = Instant::now();
    house.running.await.unwrap().unwrap();
    assert!(began.elapsed() < Duration::from_secs(2));
    assert!(is_reset(&mut stalled).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_recording_is_cut_off_and_gone() {
    let house = House::new().await;
    let mut deck = house.record("live", MINUTE);
    deck.play(60 * RATE);
    let id = deck.seal(SealReason::SourceEnded, None);
    let target = format!("/recordings/{id}/audio.pcm");
    let mut slow = lazy(house.addr, &target).await;
    slow.read_exact(&mut [0; 2_000]).await.unwrap();
    house.catalogue.remove(id);
    std::fs::remove_dir_all(house.data.path().join("live").join(id.to_string())).unwrap();
    let mut heard = 0;
    let mut buffer = vec![0; 1 << 20];
    while let Ok(n @ 1..) = slow.read(&mut buffer).await {
        heard += n as u64;
    }
    assert!(heard < 60 * SECOND - 1_000_000, "it was cut: {heard}");
    assert_eq!(fetch(house.addr, "GET", &target, &[]).await.0.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_room_for_so_many() {
    let house = House::with(|c| c.limits.connections = 2).await;
    house.finished("live", MINUTE, 100);
    let first = Client::connect(house.addr).await;
    let mut second = Client::connect(house.addr).await;
    let mut reply = second.request("GET", "/streams", &[]).await;
    assert_eq!((reply.status, second.rest(&mut reply).await.1), (200, Ending::Clean));
    let mut third = Client::connect(house.addr).await;
    let mut reply = third.head(false).await;
    let (body, _) = third.rest(&mut reply).await;
    assert_eq!(reply.status, 503);
    assert!(serde_json::from_slice::<serde_json::Value>(&body).is_ok());
    drop((first, second));
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert_eq!(fetch(house.addr, "GET", "/streams", &[]).await.0.status, 200);
}

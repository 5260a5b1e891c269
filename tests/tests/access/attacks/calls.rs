//! Strangers at the recorder: calls for which nothing has to be shown, and connections on which no call is let in.

use super::*;
use bytes::Bytes;
use http_body::{Body as _, Frame};
use livetape_proto::v1::ListStreamsResponse;
use std::collections::VecDeque;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::{self, Poll};
use tokio::task::JoinSet;
use tonic::body::Body;
use tonic::client::GrpcService;
use tonic::codegen::http;
use tonic::transport::{Channel, Endpoint};

/// What needs nothing.
const CHECK: &str = "/grpc.health.v1.Health/Check";
const FREE: [&str; 3] =
    [CHECK, "/grpc.health.v1.Health/Watch", "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo"];
/// A message of no bytes.
const EMPTY: &[u8] = &[0; 5];
/// The length of a call's beginning, and how long everything has that has to end.
const BLOCK: usize = 16 << 10;
const PATIENCE: Duration = Duration::from_secs(90);

/// What a caller sends: pieces, and then no end.
struct Pieces {
    pieces: VecDeque<Bytes>,
    ends: bool,
}

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut task::Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        match self.pieces.pop_front() {
            Some(piece) => Poll::Ready(Some(Ok(Frame::data(piece)))),
            None if self.ends => Poll::Ready(None),
            None => Poll::Pending,
        }
    }
}

/// Says that 4 MiB come, and sends all but the last piece of them.
fn large() -> Pieces {
    let head = Bytes::from_static(&[0, 0, 0x40, 0, 0]);
    let rest = std::iter::repeat_n(Bytes::from_static(&[0; BLOCK]), (4 << 20) / BLOCK - 1);
    Pieces { pieces: std::iter::once(head).chain(rest).collect(), ends: false }
}

/// Begins, and says no more.
fn cut() -> Pieces {
    Pieces { pieces: [Bytes::from_static(&[0])].into(), ends: false }
}

fn whole() -> Pieces {
    Pieces { pieces: [Bytes::from_static(EMPTY)].into(), ends: true }
}

/// With a channel of another address of this machine.
async fn channel(to: SocketAddr, from: &str) -> Result<Channel> {
    let endpoint = Endpoint::from_shared(format!("http://{to}"))?.local_address(Some(from.parse()?));
    Ok(endpoint.connect().await?)
}

/// How a call ends.
async fn call(mut channel: Channel, path: &str, pieces: Pieces) -> Result<Option<Code>> {
    let request = http::Request::post(format!("http://localhost{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(Body::new(pieces))?;
    poll_fn(|cx| GrpcService::<Body>::poll_ready(&mut channel, cx)).await?;
    let mut reply = channel.call(request).await?;
    let code = |headers: &http::HeaderMap| headers.get("grpc-status").map(|code| Code::from_bytes(code.as_bytes()));
    if let Some(code) = code(reply.headers()) {
        return Ok(Some(code));
    }
    while let Some(frame) = poll_fn(|cx| Pin::new(reply.body_mut()).poll_frame(cx)).await {
        if let Some(trailers) = frame?.trailers_ref() {
            return Ok(code(trailers));
        }
    }
    Ok(None)
}

#[test]
fn calls_that_need_nothing_hold_nothing() -> Result<()> {
    let attacked = Attacked::start(&["--unlimited", "none"])?;
    let (to, pid) = (attacked.g.livetape.grpc(), attacked.g.livetape.pid());
    let runtime = tokio::runtime::Runtime::new()?;
    let codes = runtime.block_on(async {
        let (many, other) = (channel(to, "127.0.0.2").await?, channel(to, "127.0.0.3").await?);
        let mut calls = JoinSet::new();
        for path in FREE {
            for _ in 0..50 {
                calls.spawn(call(many.clone(), path, large()));
            }
        }
        for n in 0..600 {
            calls.spawn(call(many.clone(), FREE[n % 2], cut()));
        }
        let mut ended = BTreeMap::new();
        let all = async {
            while let Some(one) = calls.join_next().await {
                let code = one?.map_or(None, |code| code.map(|code| format!("{code:?}")));
                *ended.entry(code.unwrap_or_else(|| "cut off".into())).or_insert(0) += 1;
                // Whoever else asks whether it is well is told so all the while.
                let asked = call(other.clone(), CHECK, whole()).await?;
                ensure!(asked == Some(Code::Ok), "{asked:?}");
                let now = memory(pid)?;
                ensure!(now <= attacked.before + SLACK, "{} bytes before, {now} now", attacked.before);
            }
            Ok(())
        };
        tokio::time::timeout(PATIENCE, all).await.context("they last")??;
        Ok::<_, anyhow::Error>(ended)
    })?;
    eprintln!("calls that need nothing: {codes:?}");
    let of = |code: &str| codes.get(code).copied().unwrap_or_default();
    ensure!(of("OutOfRange") > 0 && of("ResourceExhausted") > 0 && of("DeadlineExceeded") > 0, "{codes:?}");
    let refused = attacked.figure("livetape_recorder_limit_rejections_total{limit=\"checks\"}")?;
    ensure!(refused >= of("ResourceExhausted") + of("DeadlineExceeded"), "{refused}");
    attacked.end(SLACK)
}

/// Connections that speak HTTP/2, and say no more than that; those that are still there after a while.
fn spoken(runtime: &tokio::runtime::Runtime, from: &str, to: SocketAddr, n: u64) -> Result<Vec<tokio::net::TcpStream>> {
    let from: SocketAddr = from.parse()?;
    let hello = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &[0, 0, 0, 4, 0, 0, 0, 0, 0]].concat();
    runtime.block_on(async {
        let mut all = Vec::new();
        for _ in 0..n {
            let socket = TcpSocket::new_v4()?;
            socket.bind(from)?;
            let stream = socket.connect(to).await?;
            stream.writable().await?;
            ensure!(stream.try_write(&hello)? == hello.len());
            all.push(stream);
        }
        tokio::time::sleep(Duration::from_secs(1)).await;
        Ok(still_there(all))
    })
}

fn still_there(mut all: Vec<tokio::net::TcpStream>) -> Vec<tokio::net::TcpStream> {
    all.retain(|stream| {
        loop {
            match stream.try_read(&mut [0; 4096]) {
                Ok(0) => return false,
                Ok(_) => {}
                Err(error) => return error.kind() == ErrorKind::WouldBlock,
            }
        }
    });
    all
}

#[test]
fn connections_without_a_call_take_no_place_from_others() -> Result<()> {
    let runtime = tokio::runtime::Runtime::new()?;
    let limits = ["--limit-grpc-connections", "400", "--limit-connections-per-address", "400"];
    let attacked = Attacked::start(&[&["--unlimited", "none"][..], &limits].concat())?;
    let to = attacked.g.livetape.grpc();
    // Let in once, and silent ever after.
    let known = runtime.block_on(async {
        let known = channel(to, "127.0.0.2").await?;
        let mut catalogue = CatalogueServiceClient::new(known.clone());
        catalogue.list_streams(ListStreamsRequest::default()).await?;
        Ok::<_, anyhow::Error>(known)
    })?;
    let others = spoken(&runtime, "127.0.0.3:0", to, 5)?;
    let many = spoken(&runtime, "127.0.0.2:0", to, 390)?;
    let others = still_there(others);
    eprintln!("{} of 5 and {} of 390 are still there", others.len(), many.len());
    ensure!(others.len() == 5 && many.len() <= 100, "{} of 5, {} of 390", others.len(), many.len());
    runtime.block_on(async {
        let mut catalogue = CatalogueServiceClient::new(known);
        let again: tonic::Response<ListStreamsResponse> = catalogue.list_streams(ListStreamsRequest::default()).await?;
        ensure!(!again.get_ref().streams.is_empty());
        let late = channel(to, "127.0.0.4").await?;
        CatalogueServiceClient::new(late).list_streams(ListStreamsRequest::default()).await?;
        Ok(())
    })?;
    ensure!(attacked.figure("livetape_recorder_limit_rejections_total{limit=\"idle_connections\"}")? > 100);
    attacked.end(SLACK)
}

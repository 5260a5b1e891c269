//! A client that hides nothing: it sends text and says exactly what came back and how it ended.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(10);

/// How a body ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As its framing says: the length, the last chunk, or an orderly close where only that ends it.
    Clean,
    /// Earlier.
    Cut,
    /// By a TCP reset.
    Reset,
}

pub struct Client {
    pub stream: TcpStream,
    buffer: Vec<u8>,
}

pub struct Reply {
    pub status: u16,
    pub headers: HashMap<String, String>,
    framing: Framing,
    left: u64,
    over: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Framing {
    Length,
    Chunked,
    Close,
}

enum More {
    Some,
    End,
    Reset,
}

impl Client {
    pub async fn connect(addr: SocketAddr) -> Self {
        Self { stream: TcpStream::connect(addr).await.unwrap(), buffer: Vec::new() }
    }

    pub async fn send(&mut self, text: &str) {
        self.stream.write_all(text.as_bytes()).await.unwrap();
    }

    /// Sends a request over HTTP/1.1 and reads the head of the reply.
    pub async fn request(&mut self, method: &str, target: &str, headers: &[(&str, &str)]) -> Reply {
        let mut text = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\n");
        for (name, value) in headers {
            text += &format!("{name}: {value}\r\n");
        }
        self.send(&format!("{text}\r\n")).await;
        self.head(method == "HEAD").await
    }

    /// Reads the head of a reply.
    pub async fn head(&mut self, bodiless: bool) -> Reply {
        loop {
            if let Some(end) = self.buffer.windows(4).position(|w| w == b"\r\n\r\n") {
                let text = String::from_utf8(self.buffer.drain(..end + 4).collect()).unwrap();
                return Reply::parse(&text, bodiless);
            }
            assert!(matches!(self.more().await, More::Some), "no reply: {:?}", String::from_utf8_lossy(&self.buffer));
        }
    }

    async fn more(&mut self) -> More {
        let mut piece = vec![0; 64 * 1024];
        match timeout(PATIENCE, self.stream.read(&mut piece)).await.expect("nothing came for ten seconds") {
            Ok(0) => More::End,
            Ok(n) => {
                self.buffer.extend_from_slice(&piece[..n]);
                More::Some
            }
            Err(_) => More::Reset,
        }
    }

    /// At least `n` bytes of the body, fewer only if it ends. Exactly what was asked for is given.
    pub async fn take(&mut self, reply: &mut Reply, n: usize) -> (Vec<u8>, Option<Ending>) {
        let mut out = Vec::new();
        loop {
            self.decode(reply, &mut out, n);
            if out.len() == n {
                return (out, None);
            }
            if reply.over {
                return (out, Some(Ending::Clean));
            }
            match self.more().await {
                More::Some => {}
                More::End if reply.framing == Framing::Close => return (out, Some(Ending::Clean)),
                More::End => return (out, Some(Ending::Cut)),
                More::Reset => return (out, Some(Ending::Reset)),
            }
        }
    }

    /// The rest of the body and how it ended.
    pub async fn rest(&mut self, reply: &mut Reply) -> (Vec<u8>, Ending) {
        let (bytes, ending) = self.take(reply, usize::MAX).await;
        (bytes, ending.unwrap())
    }

    fn decode(&mut self, reply: &mut Reply, out: &mut Vec<u8>, n: usize) {
        while out.len() < n && !reply.over {
            if reply.framing == Framing::Chunked && reply.left == 0 && !self.chunk_head(reply) {
                return;
            }
            let take = (n - out.len()).min(self.buffer.len()).min(reply.left.try_into().unwrap_or(usize::MAX));
            out.extend(self.buffer.drain(..take));
            match reply.framing {
                Framing::Close => {}
                Framing::Length | Framing::Chunked => reply.left -= take as u64,
            }
            if reply.framing == Framing::Length && reply.left == 0 {
                reply.over = true;
            }
            if take == 0 {
                return;
            }
        }
    }

    /// Reads the size of the next chunk, if it is there.
    fn chunk_head(&mut self, reply: &mut Reply) -> bool {
        let skip = if self.buffer.starts_with(b"\r\n") { 2 } else { 0 };
        let Some(end) = self.buffer[skip..].windows(2).position(|w| w == b"\r\n") else { return false };
        let size = std::str::from_utf8(&self.buffer[skip..skip + end]).unwrap().to_owned();
        let size = u64::from_str_radix(&size, 16).unwrap_or_else(|_| panic!("chunk size {size:?}"));
        if size == 0 {
            if self.buffer.len() < skip + end + 4 {
                return false;
            }
            self.buffer.drain(..skip + end + 4);
            reply.over = true;
            return true;
        }
        self.buffer.drain(..skip + end + 2);
        reply.left = size;
        true
    }
}

impl Reply {
    fn parse(text: &str, bodiless: bool) -> Self {
        let mut lines = text.split("\r\n");
        let (_, status) = lines.next().unwrap().split_once(' ').unwrap();
        let headers: HashMap<_, _> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let length = headers.get("content-length").map(|n| n.parse::<u64>().unwrap());
        let chunked = headers.get("transfer-encoding").is_some_and(|t| t == "chunked");
        let status = status[..3].parse().unwrap();
        let bodiless = bodiless || status == 204 || status == 304;
        Self {
            status,
            framing: match length {
                Some(_) => Framing::Length,
                None if chunked => Framing::Chunked,
                None => Framing::Close,
            },
            left: length.unwrap_or(if chunked { 0 } else { u64::MAX }),
            over: bodiless || length == Some(0),
            headers,
        }
    }

    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub fn is_chunked(&self) -> bool {
        self.framing == Framing::Chunked
    }
}

/// One request on a connection of its own, its reply and its whole body.
pub async fn fetch(addr: SocketAddr, method: &str, target: &str, headers: &[(&str, &str)]) -> (Reply, Vec<u8>) {
    let mut client = Client::connect(addr).await;
    let mut reply = client.request(method, target, headers).await;
    let (body, ending) = client.rest(&mut reply).await;
    assert_eq!(ending, Ending::Clean, "{method} {target}");
    (reply, body)
}

/// One GET, and the first `n` bytes of its body.
pub async fn open(addr: SocketAddr, target: &str, headers: &[(&str, &str)], n: usize) -> (Client, Reply, Vec<u8>) {
    let mut client = Client::connect(addr).await;
    let mut reply = client.request("GET", target, headers).await;
    let (bytes, ending) = client.take(&mut reply, n).await;
    assert_eq!(ending, None, "{target} ended after {} bytes", bytes.len());
    (client, reply, bytes)
}

pub async fn json(addr: SocketAddr, target: &str) -> (u16, serde_json::Value) {
    let (reply, body) = fetch(addr, "GET", target, &[]).await;
    assert_eq!(reply.header("content-type"), Some("application/json"), "{target}");
    (reply.status, serde_json::from_slice(&body).unwrap())
}

//! A client that asks for ranges and checks every byte, without a library between it and the socket: what it costs must
//! not hide what the server costs.

use crate::bench::spread::Delays;
use crate::torture::numbers;
use anyhow::{Context, Result, ensure};
use livetape_testkit::counting::verify_at;
use std::net::SocketAddr;
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// A file of counting PCM on a server.
#[derive(Clone, Debug)]
pub struct Target {
    /// The server.
    pub to: SocketAddr,
    /// Path of the file.
    pub path: String,
    /// Its bytes; more may exist.
    pub bytes: u64,
}

/// A connection that asks for one range after the other.
#[derive(Debug)]
pub struct Client {
    stream: TcpStream,
    target: Target,
    buffer: Vec<u8>,
}

impl Client {
    /// Connects.
    ///
    /// # Errors
    /// When the server does not listen.
    pub async fn connect(target: Target) -> Result<Self> {
        let stream = TcpStream::connect(target.to).await?;
        stream.set_nodelay(true)?;
        Ok(Self { stream, target, buffer: vec![0; 256 * 1024] })
    }

    /// Asks for `len` bytes from `start` on and checks each of them.
    ///
    /// # Errors
    /// When it gets anything else.
    pub async fn get(&mut self, start: u64, len: u64) -> Result<()> {
        let Target { to, path, .. } = &self.target;
        let last = start + len - 1;
        let head = format!("GET {path} HTTP/1.1\r\nHost: {to}\r\nRange: bytes={start}-{last}\r\n\r\n");
        self.stream.write_all(head.as_bytes()).await?;
        let (mut have, body) = self.head(len).await?;
        verify_at(&self.buffer[body..have], start)?;
        let mut got = (have - body) as u64;
        while got < len {
            have = self.stream.read(&mut self.buffer).await?;
            ensure!(have > 0, "the connection ended after {got} bytes of {len}");
            verify_at(&self.buffer[..have], start + got)?;
            got += have as u64;
        }
        ensure!(got == len, "{got} bytes came instead of {len}");
        Ok(())
    }

    /// Reads the head of a reply: how much there is in the buffer, and where the body begins.
    async fn head(&mut self, len: u64) -> Result<(usize, usize)> {
        let mut have = 0;
        let end = loop {
            let n = self.stream.read(&mut self.buffer[have..]).await?;
            ensure!(n > 0, "the connection ended in the head of a reply");
            have += n;
            let seen = &self.buffer[..have.min(4096)];
            if let Some(end) = seen.windows(4).position(|w| w == b"\r\n\r\n") {
                break end;
            }
            ensure!(have < 4096, "a head without an end");
        };
        let head = std::str::from_utf8(&self.buffer[..end])?.to_ascii_lowercase();
        ensure!(head.starts_with("http/1.1 206 "), "{head}");
        let length = head.lines().find_map(|l| l.strip_prefix("content-length: ")).context("no length")?;
        ensure!(length.parse() == Ok(len), "{length} bytes announced instead of {len}");
        Ok((have, end + 4))
    }
}

/// Asks over several connections at once for ranges of `len` bytes, until there were `count`. Gives how long each took.
///
/// # Errors
/// When any is answered wrongly.
pub async fn random(target: &Target, connections: u64, count: u64, len: u64) -> Result<Delays> {
    let mut clients = Vec::new();
    for seed in 0..connections {
        let (target, share) = (target.clone(), count / connections);
        clients.push(tokio::spawn(async move {
            let mut client = Client::connect(target.clone()).await?;
            let (mut number, mut delays) = (numbers(seed), Delays::default());
            for _ in 0..share {
                let start = if target.bytes > len { number(target.bytes - len) } else { 0 };
                let asked = Instant::now();
                client.get(start, len).await.with_context(|| format!("bytes {start} and {len} from there"))?;
                delays.push(asked.elapsed().as_secs_f64());
            }
            anyhow::Ok(delays)
        }));
    }
    let mut all = Delays::default();
    for client in clients {
        all.extend(client.await??);
    }
    Ok(all)
}

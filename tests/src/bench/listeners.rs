//! Many listeners of one live stream. Each checks every byte, and knows of every byte when it was captured ([`checks`]).
//!
//! [`checks`]: crate::bench::checks

use crate::bench::checks::{Check, Checks};
use crate::bench::spread::Delays;
use anyhow::{Context, Result, ensure};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// One delay is noted for so many seconds of audio.
const SAMPLE: f64 = 0.01;

/// A live stream.
#[derive(Clone)]
pub struct Live {
    /// Its server.
    pub to: SocketAddr,
    /// Its path.
    pub path: String,
    /// Bytes of one second.
    pub byte_rate: u64,
    /// When its first byte was captured.
    pub zero: Instant,
    /// What its bytes should be.
    pub checks: Checks,
}

impl Live {
    /// Bytes that were captured so far.
    fn captured(&self) -> u64 {
        (self.zero.elapsed().as_secs_f64() * self.byte_rate as f64) as u64
    }
}

/// All who listen.
#[derive(Debug)]
pub struct Crowd {
    listeners: Vec<JoinHandle<Result<Delays>>>,
    measured: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    heard: Arc<AtomicUsize>,
}

impl Crowd {
    /// Lets `count` listeners join.
    ///
    /// # Errors
    /// When one cannot.
    pub async fn join(live: &Live, count: usize) -> Result<Self> {
        let crowd = Self {
            listeners: Vec::with_capacity(count),
            measured: Arc::default(),
            stop: Arc::default(),
            heard: Arc::default(),
        };
        let mut crowd = crowd;
        for _ in 0..count {
            let stream = ask(live).await?;
            let ear = Ear {
                check: (live.checks)(),
                live: live.clone(),
                measured: crowd.measured.clone(),
                stop: crowd.stop.clone(),
                heard: crowd.heard.clone(),
            };
            crowd.listeners.push(tokio::spawn(ear.listen(stream)));
        }
        Ok(crowd)
    }

    /// From now on delays are noted.
    pub fn measure(&self) {
        self.measured.store(true, Ordering::Relaxed);
    }

    /// Bytes heard since [`Crowd::measure`], by all of them.
    pub fn heard(&self) -> usize {
        self.heard.load(Ordering::Relaxed)
    }

    /// All leave. Gives the delays that they noted.
    ///
    /// # Errors
    /// What any of them got that it should not have got.
    pub async fn leave(self) -> Result<Delays> {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Delays::default();
        for listener in self.listeners {
            all.extend(listener.await??);
        }
        Ok(all)
    }
}

async fn ask(live: &Live) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(live.to).await?;
    stream.set_nodelay(true)?;
    let Live { to, path, .. } = live;
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: {to}\r\n\r\n").as_bytes()).await?;
    Ok(stream)
}

struct Ear {
    live: Live,
    check: Box<dyn Check>,
    measured: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    heard: Arc<AtomicUsize>,
}

impl Ear {
    async fn listen(mut self, mut stream: TcpStream) -> Result<Delays> {
        let (mut buffer, mut reply) = (vec![0; 32 * 1024], Reply::default());
        let (mut next, mut delays) = (None, Delays::default());
        let step = ((self.live.byte_rate as f64 * SAMPLE) as u64).max(4);
        while !self.stop.load(Ordering::Relaxed) {
            let read = stream.read(&mut buffer);
            let n = tokio::time::timeout(Duration::from_secs(10), read).await.context("nothing for 10 s")??;
            ensure!(n > 0, "the server hung up");
            let now = Instant::now();
            let measured = self.measured.load(Ordering::Relaxed);
            let (live, check) = (&self.live, &mut self.check);
            reply.take(&buffer[..n], |head, piece| {
                let at = match next {
                    Some(at) => at,
                    None => check.begin(head, piece, live.captured())?,
                };
                check.verify(piece, at).context("live audio")?;
                let end = at + piece.len() as u64;
                next = Some(end);
                if measured {
                    self.heard.fetch_add(piece.len(), Ordering::Relaxed);
                    for byte in (at.next_multiple_of(step)..end).step_by(step as usize) {
                        let captured = Duration::from_secs_f64(byte as f64 / self.live.byte_rate as f64);
                        let age = now.saturating_duration_since(self.live.zero).as_secs_f64();
                        delays.push(age - captured.as_secs_f64());
                    }
                }
                Ok(())
            })?;
        }
        Ok(delays)
    }
}

/// A reply as it comes: its head, then a body in chunks or up to the end.
#[derive(Default)]
struct Reply {
    head: Vec<u8>,
    body: Option<Body>,
}

enum Body {
    Plain,
    Chunked { left: usize, line: Vec<u8> },
}

impl Reply {
    fn take(&mut self, mut bytes: &[u8], mut audio: impl FnMut(&str, &[u8]) -> Result<()>) -> Result<()> {
        if self.body.is_none() {
            let before = self.head.len();
            self.head.extend_from_slice(bytes);
            let Some(end) = self.head.windows(4).position(|w| w == b"\r\n\r\n") else { return Ok(()) };
            bytes = &bytes[end + 4 - before..];
            let head = String::from_utf8_lossy(&self.head[..end]).to_ascii_lowercase();
            ensure!(head.split_whitespace().nth(1) == Some("200"), "{head}");
            let chunked = head.contains("\r\ntransfer-encoding: chunked");
            self.body = Some(if chunked { Body::Chunked { left: 0, line: Vec::new() } } else { Body::Plain });
            self.head = head.into_bytes();
        }
        let head = std::str::from_utf8(&self.head)?;
        match self.body.as_mut().context("a body")? {
            Body::Plain => {
                if bytes.is_empty() {
                    Ok(())
                } else {
                    audio(head, bytes)
                }
            }
            Body::Chunked { left, line } => {
                while !bytes.is_empty() {
                    if *left == 0 {
                        let end = bytes.iter().position(|b| *b == b'\n').map_or(bytes.len(), |at| at + 1);
                        line.extend_from_slice(&bytes[..end]);
                        bytes = &bytes[end..];
                        let text = String::from_utf8_lossy(line).into_owned();
                        if text == "\r\n" {
                            line.clear();
                        } else if let Some(size) = text.strip_suffix("\r\n") {
                            *left = usize::from_str_radix(size, 16).with_context(|| format!("a chunk of {text:?}"))?;
                            ensure!(*left > 0, "the stream ended");
                            line.clear();
                        }
                        continue;
                    }
                    let (now, later) = bytes.split_at(bytes.len().min(*left));
                    audio(head, now)?;
                    *left -= now.len();
                    bytes = later;
                }
                Ok(())
            }
        }
    }
}

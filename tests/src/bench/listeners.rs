//! Many listeners of one live stream of counting words. Each checks every byte, and knows of every byte when it was
//! captured: the word says which it is.

use crate::bench::bytes;
use crate::bench::spread::Delays;
use anyhow::{Context, Result, bail, ensure};
use livetape_testkit::counting::{number, verify_at};
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

/// One delay is noted for so many seconds of audio.
const SAMPLE: f64 = 0.01;

/// A live stream of counting words.
#[derive(Clone, Debug)]
pub struct Live {
    /// Its server.
    pub to: SocketAddr,
    /// Its path.
    pub path: String,
    /// Bytes of one second.
    pub byte_rate: u64,
    /// When its first byte was captured.
    pub zero: Instant,
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
    measured: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    heard: Arc<AtomicUsize>,
}

impl Ear {
    async fn listen(self, mut stream: TcpStream) -> Result<Delays> {
        let (mut buffer, mut reply) = (vec![0; 32 * 1024], Reply::default());
        let (mut next, mut delays) = (None, Delays::default());
        let step = ((self.live.byte_rate as f64 * SAMPLE) as u64).max(4);
        while !self.stop.load(Ordering::Relaxed) {
            let read = stream.read(&mut buffer);
            let n = tokio::time::timeout(Duration::from_secs(10), read).await.context("nothing for 10 s")??;
            ensure!(n > 0, "the server hung up");
            let now = Instant::now();
            let measured = self.measured.load(Ordering::Relaxed);
            reply.take(&buffer[..n], |piece| {
                let at = match next {
                    Some(at) => at,
                    None => begin(piece)?,
                };
                verify_at(piece, at).context("live audio")?;
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

/// Which byte of the stream the first of these is. A server may begin in the middle of a word.
fn begin(piece: &[u8]) -> Result<u64> {
    for within in 0..4 {
        let Some(word) = piece.get(within..).and_then(number) else { break };
        let at = (u64::from(word) * 4).wrapping_sub(within as u64);
        if piece.len() >= within + 8 && verify_at(piece, at).is_ok() {
            return Ok(at);
        }
    }
    bail!("these are no counting words: {:?}", &piece[..piece.len().min(16)])
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
    fn take(&mut self, mut bytes: &[u8], mut audio: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        if self.body.is_none() {
            let before = self.head.len();
            self.head.extend_from_slice(bytes);
            let Some(end) = self.head.windows(4).position(|w| w == b"\r\n\r\n") else { return Ok(()) };
            bytes = &bytes[end + 4 - before..];
            let head = String::from_utf8_lossy(&self.head[..end]).to_ascii_lowercase();
            ensure!(head.split_whitespace().nth(1) == Some("200"), "{head}");
            let chunked = head.contains("\r\ntransfer-encoding: chunked");
            self.body = Some(if chunked { Body::Chunked { left: 0, line: Vec::new() } } else { Body::Plain });
        }
        match self.body.as_mut().context("a body")? {
            Body::Plain => {
                // A first piece of less than two words does not say where it is.
                if bytes.is_empty() { Ok(()) } else { audio(bytes) }
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
                    audio(now)?;
                    *left -= now.len();
                    bytes = later;
                }
                Ok(())
            }
        }
    }
}

/// A source of counting words for Icecast, in real time.
#[derive(Debug)]
pub struct IcecastSource {
    /// When its first byte was captured.
    pub zero: Instant,
    task: JoinHandle<Result<()>>,
}

impl IcecastSource {
    /// Starts it, as `/live`.
    ///
    /// # Errors
    /// When Icecast does not want it.
    pub async fn start(to: SocketAddr, byte_rate: u64) -> Result<Self> {
        let mut stream = TcpStream::connect(to).await?;
        let login = "c291cmNlOmJlbmNo"; // source:bench
        let head = format!(
            "PUT /live HTTP/1.1\r\nHost: {to}\r\nAuthorization: Basic {login}\r\nContent-Type: audio/x-pcm\r\n\
             Expect: 100-continue\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await?;
        let mut answer = [0; 512];
        let n = stream.read(&mut answer).await?;
        let answer = String::from_utf8_lossy(&answer[..n]);
        ensure!(answer.contains(" 100 ") || answer.contains(" 200 "), "Icecast says {answer}");
        let zero = Instant::now();
        let task = tokio::spawn(async move {
            let (mut tick, mut sent) = (tokio::time::interval(Duration::from_millis(20)), 0);
            loop {
                tick.tick().await;
                let edge = (zero.elapsed().as_secs_f64() * byte_rate as f64) as u64 & !3;
                stream.write_all(&bytes(sent, edge)).await?;
                sent = edge;
            }
        });
        Ok(Self { zero, task })
    }
}

impl Drop for IcecastSource {
    fn drop(&mut self) {
        self.task.abort();
    }
}

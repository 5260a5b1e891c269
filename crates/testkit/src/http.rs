//! A raw HTTP/1.x client: sends exactly the request that is asked for, hides nothing of the reply, and tells a body
//! that ended cleanly from one that was cut. One connection for each request.

use anyhow::{Context, Result, bail, ensure};
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// How long a reply's head may take unless said otherwise: a gateway may hold a range near the edge for 10 s.
pub const HEAD_LIMIT: Duration = Duration::from_secs(15);
const MAX_HEAD: usize = 64 * 1024;

/// A request about to be sent.
#[derive(Clone, Debug)]
pub struct Request {
    to: SocketAddr,
    head: String,
    host: bool,
    body: String,
}

/// `GET target`.
pub fn get(to: SocketAddr, target: &str) -> Request {
    request(to, "GET", target, "1.1")
}

/// Any method and version (`1.0`, `1.1`).
pub fn request(to: SocketAddr, method: &str, target: &str, version: &str) -> Request {
    Request { to, head: format!("{method} {target} HTTP/{version}\r\n"), host: true, body: String::new() }
}

impl Request {
    /// With one more header field. A `Host` given here replaces the usual one.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.head.push_str(&format!("{name}: {value}\r\n"));
        self.host &= !name.eq_ignore_ascii_case("host");
        self
    }
    /// With `Range: bytes=…`.
    #[must_use]
    pub fn range(self, bytes: &str) -> Self {
        self.header("Range", &format!("bytes={bytes}"))
    }
    /// With JSON to take.
    #[must_use]
    pub fn json(self, body: &serde_json::Value) -> Self {
        let body = body.to_string();
        let sized = self.header("Content-Type", "application/json").header("Content-Length", &body.len().to_string());
        Self { body, ..sized }
    }
    /// Sends it and reads the head of the reply.
    ///
    /// # Errors
    /// When nobody listens, or no complete head comes within [`HEAD_LIMIT`].
    pub fn send(mut self) -> Result<Response> {
        if self.host {
            self.head.push_str(&format!("Host: {}\r\n", self.to));
        }
        self.head.push_str("\r\n");
        let mut stream = TcpStream::connect_timeout(&self.to, Duration::from_secs(5))?;
        stream.set_nodelay(true)?;
        stream.write_all((self.head.clone() + &self.body).as_bytes())?;
        Response::read(stream, Instant::now() + HEAD_LIMIT).with_context(|| format!("after {:?}", self.head))
    }
}

/// How a body came to its end, or did not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// As its framing says: all of `Content-Length`, or the last chunk, or (without either) the end of the connection.
    Clean,
    /// The connection ended before the body did: reset, or closed.
    Cut,
    /// Not yet: the time was over.
    Open,
}

#[derive(Clone, Copy, Debug)]
enum Framing {
    Length { left: u64 },
    Chunked { left: u64, started: bool },
    Close,
}

/// A reply whose body is read as it comes.
#[derive(Debug)]
pub struct Response {
    /// Version as in the status line, `HTTP/1.1`.
    pub version: String,
    /// Status code.
    pub status: u16,
    /// Header fields in the order of their coming.
    pub headers: Vec<(String, String)>,
    stream: TcpStream,
    /// Read from the connection and not yet looked at.
    raw: Vec<u8>,
    framing: Framing,
    ending: Ending,
}

impl Response {
    fn read(mut stream: TcpStream, deadline: Instant) -> Result<Self> {
        let mut raw = Vec::new();
        let end = loop {
            if let Some(at) = find(&raw, b"\r\n\r\n") {
                break at;
            }
            ensure!(raw.len() < MAX_HEAD, "the head has more than {MAX_HEAD} bytes");
            if !receive(&mut stream, &mut raw, deadline)? {
                bail!("the connection ended in the head: {:?}", String::from_utf8_lossy(&raw));
            }
            ensure!(Instant::now() < deadline, "no head in time, but {:?}", String::from_utf8_lossy(&raw));
        };
        let head = String::from_utf8(raw.drain(..end + 4).collect())?;
        let mut lines = head.trim_end().split("\r\n");
        let status_line = lines.next().unwrap_or_default();
        let mut words = status_line.splitn(3, ' ');
        let version = words.next().unwrap_or_default().to_owned();
        let status = words.next().and_then(|s| s.parse().ok()).with_context(|| format!("{status_line:?}"))?;
        let headers = lines
            .map(|line| line.split_once(':').map(|(n, v)| (n.to_owned(), v.trim().to_owned())))
            .collect::<Option<Vec<_>>>()
            .context("a header field without a colon")?;
        let framing = Framing::Close;
        let mut response = Self { version, status, headers, stream, raw, framing, ending: Ending::Open };
        response.framing = match (response.header("transfer-encoding"), response.header("content-length")) {
            (Some("chunked"), None) => Framing::Chunked { left: 0, started: false },
            (None, Some(length)) => Framing::Length { left: length.parse()? },
            (None, None) => Framing::Close,
            both => bail!("contradictory framing: {both:?}"),
        };
        Ok(response)
    }

    /// A header field by its name in any case.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.as_str())
    }

    /// How the body stands.
    pub const fn ending(&self) -> Ending {
        self.ending
    }

    /// The next piece of the body; empty when it has ended or nothing came before `deadline`: see [`Self::ending`].
    ///
    /// # Errors
    /// When the framing is broken.
    pub fn next_piece(&mut self, deadline: Instant) -> Result<Vec<u8>> {
        while self.ending == Ending::Open {
            let piece = self.unframe()?;
            if !piece.is_empty() || self.ending != Ending::Open || Instant::now() >= deadline {
                return Ok(piece);
            }
            match receive(&mut self.stream, &mut self.raw, deadline) {
                Ok(true) => {}
                Ok(false) if matches!(self.framing, Framing::Close) => self.ending = Ending::Clean,
                Ok(false) | Err(_) => self.ending = Ending::Cut,
            }
        }
        Ok(Vec::new())
    }

    fn unframe(&mut self) -> Result<Vec<u8>> {
        match &mut self.framing {
            Framing::Close => Ok(std::mem::take(&mut self.raw)),
            Framing::Length { left } => {
                let take = self.raw.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= take as u64;
                if *left == 0 {
                    self.ending = Ending::Clean;
                }
                Ok(self.raw.drain(..take).collect())
            }
            Framing::Chunked { left, started } => {
                if *left == 0 {
                    // The size line; after the first chunk the line break that ends the data comes before it.
                    let skip = if *started { 2 } else { 0 };
                    let Some(line) = self.raw.get(skip..).and_then(|raw| find(raw, b"\r\n")) else {
                        return Ok(Vec::new());
                    };
                    let size = String::from_utf8_lossy(&self.raw[skip..skip + line]).into_owned();
                    let hex = size.split(';').next().unwrap_or_default().trim();
                    *left = u64::from_str_radix(hex, 16).with_context(|| format!("chunk size {size:?}"))?;
                    self.raw.drain(..skip + line + 2);
                    *started = true;
                    if *left == 0 {
                        self.ending = Ending::Clean;
                        return Ok(Vec::new());
                    }
                }
                let take = self.raw.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= take as u64;
                Ok(self.raw.drain(..take).collect())
            }
        }
    }

    /// At least `n` bytes of the body, unless it ends before.
    ///
    /// # Errors
    /// When they do not come within `limit`.
    pub fn at_least(&mut self, n: usize, limit: Duration) -> Result<Vec<u8>> {
        let deadline = Instant::now() + limit;
        let mut body = Vec::new();
        while body.len() < n && self.ending == Ending::Open {
            ensure!(Instant::now() < deadline, "{} of {n} bytes came within {limit:?}", body.len());
            body.extend(self.next_piece(deadline)?);
        }
        Ok(body)
    }

    /// What comes of the body within `time`.
    ///
    /// # Errors
    /// When the framing is broken.
    pub fn for_a_while(&mut self, time: Duration) -> Result<Vec<u8>> {
        let deadline = Instant::now() + time;
        let mut body = Vec::new();
        while Instant::now() < deadline && self.ending == Ending::Open {
            body.extend(self.next_piece(deadline)?);
        }
        Ok(body)
    }

    /// The body to its end, and what the end was.
    ///
    /// # Errors
    /// When it does not end within `limit`.
    pub fn to_end(&mut self, limit: Duration) -> Result<(Vec<u8>, Ending)> {
        let body = self.for_a_while(limit)?;
        ensure!(self.ending != Ending::Open, "the body had not ended after {limit:?} and {} bytes", body.len());
        Ok((body, self.ending))
    }

    /// The body to its end, which must be a clean one.
    ///
    /// # Errors
    /// When it is cut or does not end within 30 s.
    pub fn body(&mut self) -> Result<Vec<u8>> {
        let (body, ending) = self.to_end(Duration::from_secs(30))?;
        ensure!(ending == Ending::Clean, "the body was cut after {} bytes", body.len());
        Ok(body)
    }
}

/// Reads once. `false` at the end of the connection; nothing when the deadline comes first.
fn receive(stream: &mut TcpStream, into: &mut Vec<u8>, deadline: Instant) -> Result<bool> {
    let left = deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Ok(true);
    }
    stream.set_read_timeout(Some(left))?;
    let mut buffer = [0; 64 * 1024];
    match stream.read(&mut buffer) {
        Ok(0) => Ok(false),
        Ok(n) => {
            into.extend_from_slice(&buffer[..n]);
            Ok(true)
        }
        Err(e) if matches!(e.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut | ErrorKind::Interrupted) => Ok(true),
        Err(e) => Err(e.into()),
    }
}

fn find(haystack: &[u8], needle: &[u8]) -> Option<usize> {
    haystack.windows(needle.len()).position(|w| w == needle)
}

/// The JSON document at `target`, which must answer 200.
///
/// # Errors
/// The status and the body when it is anything else.
pub fn json(to: SocketAddr, target: &str) -> Result<serde_json::Value> {
    let mut response = get(to, target).header("Connection", "close").send()?;
    let body = response.body()?;
    ensure!(response.status == 200, "{target}: {} {}", response.status, String::from_utf8_lossy(&body));
    serde_json::from_slice(&body).with_context(|| format!("{target}: {}", String::from_utf8_lossy(&body)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    /// Answers one request with `reply`, sent in two parts, and closes.
    fn answered(reply: &'static [u8]) -> Response {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let to = listener.local_addr().unwrap();
        std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut head = [0; 1024];
            assert!(stream.read(&mut head).unwrap() > 0);
            let (one, two) = reply.split_at(reply.len() * 2 / 3);
            stream.write_all(one).unwrap();
            std::thread::sleep(Duration::from_millis(30));
            stream.write_all(two).unwrap();
        });
        get(to, "/").send().unwrap()
    }

    fn read(reply: &'static [u8]) -> (String, Ending) {
        let (body, ending) = answered(reply).to_end(Duration::from_secs(5)).unwrap();
        (String::from_utf8(body).unwrap(), ending)
    }

    #[test]
    fn tells_a_clean_end_from_a_cut() {
        let full = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n";
        assert_eq!(read(full), ("abcde".into(), Ending::Clean));
        let cut = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n5\r\nde";
        assert_eq!(read(cut), ("abcde".into(), Ending::Cut));
        assert_eq!(read(b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nabc"), ("abc".into(), Ending::Clean));
        assert_eq!(read(b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabc"), ("abc".into(), Ending::Cut));
        assert_eq!(read(b"HTTP/1.1 200 OK\r\n\r\nabc"), ("abc".into(), Ending::Clean));
    }

    #[test]
    fn shows_the_head_as_it_is() {
        let reply =
            answered(b"HTTP/1.1 206 Partial Content\r\nContent-Range: bytes 0-1/*\r\nContent-Length: 0\r\n\r\n");
        assert_eq!((reply.status, reply.header("content-range")), (206, Some("bytes 0-1/*")));
        assert_eq!(reply.header("X"), None);
    }
}

//! Bodies: with a length, in chunks (RFC 9112, section 7.1), or until the connection ends. A sender that is silent for too
//! long is gone.

use super::head::Head;
use bytes::{Buf, Bytes, BytesMut};
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// Most bytes that are read at once.
const BLOCK: usize = 16 << 10;
/// Longest line that says how long a chunk is.
const MAX_LINE: usize = 256;

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Framing {
    /// Where the connection does.
    Close,
    /// After so many bytes.
    Length(u64),
    /// At the last chunk.
    Chunked,
}

impl Framing {
    /// As the head says.
    ///
    /// # Errors
    /// What is wrong.
    pub(crate) fn of(head: &Head) -> Result<Self, String> {
        match (head.count("transfer-encoding"), head.count("content-length")) {
            (0, 0) => Ok(Self::Close),
            (1, 0) => match head.text("transfer-encoding") {
                Some(coding) if coding.eq_ignore_ascii_case("chunked") => Ok(Self::Chunked),
                Some(coding) if coding.eq_ignore_ascii_case("identity") => Ok(Self::Close),
                _ => Err("of Transfer-Encoding, only chunked is understood".into()),
            },
            (0, 1) => {
                let length = head.text("content-length").filter(|text| text.bytes().all(|b| b.is_ascii_digit()));
                length.and_then(|text| text.parse().ok()).map(Self::Length).ok_or("Content-Length is no number".into())
            }
            _ => Err("the length of the body is said twice".into()),
        }
    }
}

/// A body in progress.
#[derive(Debug)]
pub(crate) struct Body<S> {
    stream: S,
    buffer: BytesMut,
    framing: Framing,
    /// Of a chunk, or of all: bytes still to come.
    left: u64,
    /// A chunk's end of line is still to come.
    after_chunk: bool,
    stall: Duration,
}

impl<S: AsyncRead + Unpin> Body<S> {
    /// The body that begins with `buffer`.
    pub(crate) fn new(stream: S, buffer: BytesMut, framing: Framing, stall: Duration) -> Self {
        let left = if let Framing::Length(length) = framing { length } else { 0 };
        Self { stream, buffer, framing, left, after_chunk: false, stall }
    }

    /// Whether only the end of the connection ends it.
    pub(crate) fn ends_with_connection(&self) -> bool {
        self.framing == Framing::Close
    }

    /// What comes next; `None` at the end. Dropping the future loses nothing.
    ///
    /// # Errors
    /// When the connection breaks off, is silent for too long, or its chunks are none.
    pub(crate) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            match self.framing {
                Framing::Close if !self.buffer.is_empty() => return Ok(Some(self.buffer.split().freeze())),
                Framing::Length(_) if self.left == 0 => return Ok(None),
                Framing::Chunked if self.left == 0 => match self.chunk()? {
                    Some(0) => return Ok(None),
                    Some(length) => self.left = length,
                    None => {}
                },
                _ => {}
            }
            if self.left > 0 && !self.buffer.is_empty() {
                let here = usize::try_from(self.left).unwrap_or(usize::MAX).min(self.buffer.len());
                self.left -= here as u64;
                self.after_chunk = self.framing == Framing::Chunked && self.left == 0;
                return Ok(Some(self.buffer.split_to(here).freeze()));
            }
            if self.read().await? == 0 {
                return match self.framing {
                    Framing::Close => Ok(None),
                    _ => Err(io::ErrorKind::UnexpectedEof.into()),
                };
            }
        }
    }

    async fn read(&mut self) -> io::Result<usize> {
        self.buffer.reserve(BLOCK);
        let read = timeout(self.stall, self.stream.read_buf(&mut self.buffer)).await;
        read.map_err(|_| io::Error::new(io::ErrorKind::TimedOut, format!("nothing came for {:?}", self.stall)))?
    }

    /// The length of the chunk that begins here, if all of the line is here.
    fn chunk(&mut self) -> io::Result<Option<u64>> {
        let wrong = || io::Error::new(io::ErrorKind::InvalidData, "what came is not in chunks");
        if self.after_chunk {
            match self.buffer.get(..2) {
                Some(b"\r\n") => self.buffer.advance(2),
                Some(_) => return Err(wrong()),
                None => return Ok(None),
            }
            self.after_chunk = false;
        }
        match httparse::parse_chunk_size(&self.buffer) {
            Ok(httparse::Status::Complete((line, length))) if line <= MAX_LINE => {
                self.buffer.advance(line);
                Ok(Some(length))
            }
            Ok(httparse::Status::Partial) if self.buffer.len() <= MAX_LINE => Ok(None),
            _ => Err(wrong()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn all(bytes: &[u8], framing: Framing) -> io::Result<Vec<u8>> {
        // Through a pipe of a few bytes, so that every line is cut somewhere.
        let (mut there, here) = tokio::io::duplex(3);
        let sent = bytes.to_vec();
        tokio::spawn(async move {
            let _ = tokio::io::AsyncWriteExt::write_all(&mut there, &sent).await;
        });
        let mut body = Body::new(here, BytesMut::new(), framing, Duration::from_secs(5));
        let mut all = Vec::new();
        while let Some(block) = body.next().await? {
            all.extend_from_slice(&block);
        }
        Ok(all)
    }

    #[tokio::test]
    async fn every_framing() {
        assert_eq!(all(b"abcdef", Framing::Close).await.unwrap(), b"abcdef");
        assert_eq!(all(b"abcdef", Framing::Length(4)).await.unwrap(), b"abcd");
        assert_eq!(
            all(b"3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\n\r\n", Framing::Chunked).await.unwrap(),
            b"abc0123456789"
        );
    }

    #[tokio::test]
    async fn broken_bodies() {
        assert!(all(b"abc", Framing::Length(4)).await.is_err());
        for bad in ["3\r\nabc", "3\r\nabcX\r\n0\r\n\r\n", "x\r\n", "-1\r\n", "fffffffffffffffff\r\n"] {
            assert!(all(bad.as_bytes(), Framing::Chunked).await.is_err(), "{bad}");
        }
        assert!(all(format!("3;{}\r\nabc", "x".repeat(300)).as_bytes(), Framing::Chunked).await.is_err());
        let (_there, here) = tokio::io::duplex(3);
        let mut body = Body::new(here, BytesMut::new(), Framing::Close, Duration::from_millis(20));
        assert_eq!(body.next().await.unwrap_err().kind(), io::ErrorKind::TimedOut);
    }
}

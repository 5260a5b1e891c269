//! Short answers in plain text, and good manners at the end of a connection.

use std::fmt;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::timeout;

/// How long somebody may take to read the answer, and most bytes of theirs that are thrown away meanwhile.
const LEAVE: Duration = Duration::from_secs(2);
const MOST_LEFT: usize = 1 << 20;

/// An answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    text: String,
    kind: &'static str,
    /// When it is worth asking again.
    again: Option<Duration>,
}

/// When to come back, where nobody knows better.
const SOON: Duration = Duration::from_secs(2);

impl Reply {
    /// With a text for people.
    pub(crate) fn new(status: u16, text: impl fmt::Display) -> Self {
        let again = (status == 503).then_some(SOON);
        Self { status, text: format!("{text}\n"), kind: "text/plain; charset=utf-8", again }
    }

    /// With a time to come back after.
    pub(crate) fn again(status: u16, text: impl fmt::Display, after: Duration) -> Self {
        Self { again: Some(after), ..Self::new(status, text) }
    }

    /// As a document.
    pub(crate) const fn document(kind: &'static str, text: String) -> Self {
        Self { status: 200, text, kind, again: None }
    }

    fn bytes(&self) -> Vec<u8> {
        let more = match self.status {
            401 => "WWW-Authenticate: Basic realm=\"livetape\", charset=\"UTF-8\"\r\n",
            204 | 405 => "Allow: GET, OPTIONS, POST, PUT, SOURCE\r\n",
            _ => "",
        };
        // In whole seconds, and not at once.
        let again = self.again.map(|after| format!("Retry-After: {}\r\n", after.as_millis().div_ceil(1000).max(1)));
        let again = again.unwrap_or_default();
        let (status, reason, kind, length) = (self.status, reason(self.status), self.kind, self.text.len());
        format!(
            "HTTP/1.1 {status} {reason}\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\
             Cache-Control: no-store\r\n{more}{again}\r\n{}",
            self.text
        )
        .into_bytes()
    }

    /// Sends it and closes. What is still coming is thrown away for a while: else the answer might be lost with it.
    pub(crate) async fn send(&self, stream: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
        let parting = async {
            stream.write_all(&self.bytes()).await?;
            stream.shutdown().await?;
            let (mut left, mut block) = (MOST_LEFT, [0; 4096]);
            while left > 0 {
                match stream.read(&mut block).await? {
                    0 => break,
                    n => left = left.saturating_sub(n),
                }
            }
            std::io::Result::Ok(())
        };
        // Who does not want the answer does not get it.
        drop(timeout(LEAVE, parting).await);
    }
}

const fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        204 => "No Content",
        400 => "Bad Request",
        401 => "Unauthorized",
        403 => "Forbidden",
        404 => "Not Found",
        405 => "Method Not Allowed",
        408 => "Request Timeout",
        409 => "Conflict",
        411 => "Length Required",
        413 => "Content Too Large",
        415 => "Unsupported Media Type",
        421 => "Misdirected Request",
        429 => "Too Many Requests",
        431 => "Request Header Fields Too Large",
        503 => "Service Unavailable",
        _ => "Internal Server Error",
    }
}

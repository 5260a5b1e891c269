//! A body of unknown length over HTTP/1, once hyper has sent its head: chunks, one write for each piece of audio, until
//! it ends. hyper would keep two buffers for the rest of the connection, which is most of what a listener costs.
//!
//! Not here: what is in the body, and when it comes. Such a connection says `Connection: close`, and is closed.

use crate::connection::Connection;
use crate::wire::Wire;
use axum::body::{Body, HttpBody};
use bytes::{Buf, Bytes};
use std::future::poll_fn;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncWrite, AsyncWriteExt};

/// How long a client may take to notice that all was said.
const FAREWELL: Duration = Duration::from_millis(200);

/// A body on its way.
pub(crate) struct Endless {
    wire: Wire,
    body: Body,
    /// Whether pieces are framed, as in HTTP/1.1, or end with the connection.
    chunked: bool,
    piece: Piece,
    ended: bool,
}

/// What is left of a piece: its frame and the audio.
type Piece = bytes::buf::Chain<bytes::buf::Chain<Bytes, Bytes>, Bytes>;

fn piece(head: impl Into<Bytes>, audio: Bytes, end: &'static [u8]) -> Piece {
    head.into().chain(audio).chain(Bytes::from_static(end))
}

impl Endless {
    pub(crate) fn new(wire: Wire, body: Body, chunked: bool) -> Self {
        wire.hold_little();
        Self { wire, body, chunked, piece: piece(Bytes::new(), Bytes::new(), b""), ended: false }
    }

    /// Sends it all. A body that stops early leaves the connection without the last chunk.
    pub(crate) async fn run(mut self, connection: &Connection) {
        let sent = tokio::select! {
            sent = poll_fn(|cx| self.poll(cx)) => sent,
            () = connection.ended() => return,
        };
        if sent.is_err() && !self.chunked {
            // Without chunks the end of the connection is the end of the audio: this one must look like what it is.
            connection.cut_hard();
        }
        if sent.is_ok() && self.wire.shutdown().await.is_ok() {
            // Closing at once could take the last bytes away from a client that is still saying something.
            _ = tokio::time::timeout(FAREWELL, poll_fn(|cx| self.wire.poll_gone(cx))).await;
        }
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let sent = self.poll_body(cx);
        if sent.is_pending() && self.wire.poll_gone(cx).is_ready() {
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        sent
    }

    fn poll_body(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            while self.piece.has_remaining() {
                let mut bufs = [IoSlice::new(&[]); 3];
                let filled = self.piece.chunks_vectored(&mut bufs);
                let bufs = bufs.get(..filled).unwrap_or_default();
                match ready!(Pin::new(&mut self.wire).poll_write_vectored(cx, bufs))? {
                    0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                    n => self.piece.advance(n),
                }
            }
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => {
                    let audio = frame.into_data().unwrap_or_default();
                    self.piece = match (audio.len(), self.chunked) {
                        // An empty chunk would be the last.
                        (0, _) => continue,
                        (len, true) => piece(format!("{len:x}\r\n"), audio, b"\r\n"),
                        (_, false) => piece(Bytes::new(), audio, b""),
                    };
                }
                Some(Err(stop)) => return Poll::Ready(Err(io::Error::other(stop))),
                None => {
                    self.ended = true;
                    let last: &[u8] = if self.chunked { b"0\r\n\r\n" } else { b"" };
                    self.piece = piece(Bytes::new(), Bytes::new(), last);
                }
            }
        }
    }
}

//! Bodies as hyper wants them: audio in memory, or something that the socket will replace by the audio (`wire`). A [`Stop`] becomes an error: hyper closes a chunked HTTP/1.1 body without its last
//! chunk and resets an HTTP/2 stream; a body that HTTP/1.0 ends by closing gets a TCP reset.

use crate::audience::Attending;
use crate::connection::{Connection, Progress};
use crate::context::Room;
use crate::library::{Block, blocking};
use crate::listener::{Listener, Stop};
use crate::metrics::Listening;
use axum::body::{Body, HttpBody};
use bytes::Bytes;
use futures::stream::{BoxStream, Stream, StreamExt, poll_fn, unfold};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use livetape_service::metrics::{Counter, Held};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// Less than this is read and sent with the head.
const SMALL: usize = 8 * 1024;
/// What was sent before a stop gets so long to leave the socket.
const FLUSH: Duration = Duration::from_millis(50);
/// Most of a request's body that is taken, in bytes, and for how long.
const MOST_DISCARDED: usize = 1 << 20;
const DISCARD: Duration = Duration::from_secs(5);

/// Media on its way to one client.
pub(crate) struct Media {
    bytes: BoxStream<'static, Result<Bytes, Stop>>,
    left: Option<u64>,
    _room: Room,
    sent: Counter,
    _listening: Held,
    _attending: Attending,
}

/// How a body of media is sent.
pub(crate) struct Delivery {
    pub(crate) connection: Arc<Connection>,
    /// Whether only closing the connection ends the body.
    pub(crate) until_closed: bool,
    /// Whether it is live: a client that takes nothing is cut off sooner.
    pub(crate) live: bool,
    /// Its length, if it has one.
    pub(crate) length: Option<u64>,
    /// Whether the connection has one body at a time, which its socket may send from the disk.
    pub(crate) from_disk: bool,
    /// Its place among the bodies that there may be.
    pub(crate) room: Room,
}

/// Notes since when a body has handed something over without being asked for more.
pub(crate) fn watched<T: 'static>(
    mut bytes: BoxStream<'static, T>,
    progress: Arc<Progress>,
) -> impl Stream<Item = T> + Send {
    poll_fn(move |cx| {
        let next = bytes.poll_next_unpin(cx);
        match &next {
            Poll::Ready(Some(_)) => progress.unasked.set(),
            _ => progress.unasked.clear(),
        }
        next
    })
}

/// What to give hyper for a block, so that sending it does not wait for the disk.
async fn ready(block: Block, from_disk: Option<&Arc<Connection>>) -> Result<Bytes, Stop> {
    match (block, from_disk) {
        (Block::Stored(stored), Some(connection)) if stored.len() >= SMALL => {
            if !stored.is_at_hand() {
                let reading = stored.clone();
                blocking("frames", move || reading.read()).await?;
            }
            Ok(connection.outgoing.push(stored))
        }
        (block, _) => Ok(block.load().await?),
    }
}

/// Takes what a client sends although nobody wants it, within bounds: told to stop, it might not read its reply.
pub(crate) async fn discard(mut body: Incoming) {
    let mut left = MOST_DISCARDED;
    let all = async {
        while let Some(Ok(frame)) = body.frame().await {
            let Some(rest) = left.checked_sub(frame.data_ref().map_or(0, Bytes::len)) else { break };
            left = rest;
        }
    };
    _ = tokio::time::timeout(DISCARD, all).await;
}

impl Media {
    pub(crate) fn body(listener: Listener, delivery: Delivery) -> Body {
        let Delivery { connection, until_closed, live, length, from_disk, room } = delivery;
        let progress = connection.body(live);
        let attending = listener.attend();
        let Listening { listeners, sent } = listener.instruments().listening(live).clone();
        let bytes = unfold(Some(listener), move |listener| {
            let connection = connection.clone();
            async move {
                let mut listener = listener?;
                let next = match listener.next().await {
                    Ok(block) => ready(block?, from_disk.then_some(&connection)).await,
                    Err(stop) => Err(stop),
                };
                match next {
                    Ok(bytes) => Some((Ok(bytes), Some(listener))),
                    Err(stop) => {
                        tracing::debug!(%stop, live, "a body is cut off");
                        listener.instruments().stopped(&stop);
                        tokio::time::sleep(FLUSH).await;
                        if until_closed {
                            connection.cut_hard();
                        }
                        Some((Err(stop), None))
                    }
                }
            }
        });
        Body::new(Self {
            bytes: watched(bytes.boxed(), progress).boxed(),
            left: length,
            _room: room,
            sent,
            _listening: Held::new(&listeners),
            _attending: attending,
        })
    }
}

impl HttpBody for Media {
    type Data = Bytes;
    type Error = Stop;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Stop>>> {
        let next = self.bytes.poll_next_unpin(cx);
        if let Poll::Ready(Some(Ok(bytes))) = &next {
            self.left = self.left.map(|left| left.saturating_sub(bytes.len() as u64));
            self.sent.inc_by(bytes.len() as u64);
        }
        next.map_ok(Frame::data)
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}

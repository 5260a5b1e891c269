//! Bodies as hyper wants them. A [`Stop`] becomes an error: hyper closes a chunked HTTP/1.1 body without its last
//! chunk and resets an HTTP/2 stream; a body that HTTP/1.0 ends by closing gets a TCP reset.

use crate::connection::{Connection, Progress};
use crate::listener::{Listener, Stop};
use axum::body::{Body, HttpBody};
use bytes::Bytes;
use futures::stream::{BoxStream, StreamExt, unfold};
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

/// What was sent before a stop gets so long to leave the socket.
const FLUSH: Duration = Duration::from_millis(50);

/// Media on its way to one client.
pub(crate) struct Media {
    bytes: BoxStream<'static, Result<Bytes, Stop>>,
    left: Option<u64>,
    progress: Arc<Progress>,
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
}

impl Media {
    pub(crate) fn body(listener: Listener, delivery: Delivery) -> Body {
        let Delivery { connection, until_closed, live, length } = delivery;
        let progress = connection.body(live);
        let bytes = unfold(Some(listener), move |listener| {
            let connection = connection.clone();
            async move {
                let mut listener = listener?;
                match listener.next().await {
                    Ok(bytes) => Some((Ok(bytes?), Some(listener))),
                    Err(stop) => {
                        tracing::debug!(%stop, live, "a body is cut off");
                        tokio::time::sleep(FLUSH).await;
                        if until_closed {
                            connection.cut_hard();
                        }
                        Some((Err(stop), None))
                    }
                }
            }
        });
        Body::new(Self { bytes: bytes.boxed(), left: length, progress })
    }
}

impl HttpBody for Media {
    type Data = Bytes;
    type Error = Stop;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Stop>>> {
        let next = self.bytes.poll_next_unpin(cx);
        match &next {
            Poll::Ready(Some(Ok(bytes))) => {
                self.left = self.left.map(|left| left.saturating_sub(bytes.len() as u64));
                self.progress.unasked.set();
            }
            _ => self.progress.unasked.clear(),
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

//! Whether there is a connection at all: nobody waits for an answer on one that is gone.
//!
//! The library queues a call for whatever drives its connection. Where that ends at the same moment, the call stays in the queue,
//! and nothing is said of it, ever: seen of one in ten thousand connections that broke while a call began, as behind a proxy whose
//! recorder is away. So connections are counted here, from the first try to the end, and a call that still waits a while after the
//! last of them has ended has failed.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::sync::watch;
use tokio::time::timeout;
use tonic::body::Body;
use tonic::codegen::StdError;
use tonic::codegen::http::{Request, Response, Uri};
use tonic::{Status, transport::Channel};

/// So long a call waits without any connection: more than it takes to begin another one.
const PATIENCE: Duration = Duration::from_secs(1);

/// How many connections there are, those that are being made among them.
#[derive(Clone, Debug)]
pub(super) struct Line(Arc<watch::Sender<usize>>);

impl Default for Line {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl Line {
    fn hold(&self) -> Held {
        self.0.send_modify(|n| *n += 1);
        Held(self.clone())
    }

    /// Ready when there has been no connection for a while.
    async fn lost(self) {
        let mut connections = self.0.subscribe();
        loop {
            // It cannot be closed: this is one who could change it.
            _ = connections.wait_for(|n| *n == 0).await;
            if timeout(PATIENCE, connections.wait_for(|n| *n > 0)).await.is_err() {
                return;
            }
        }
    }
}

/// One connection.
#[derive(Debug)]
struct Held(Line);

impl Drop for Held {
    fn drop(&mut self) {
        self.0.0.send_modify(|n| *n -= 1);
    }
}

/// Connects as another connector does, and counts.
#[derive(Clone, Debug)]
pub(super) struct Counting<C> {
    connector: C,
    line: Line,
}

impl<C> Counting<C> {
    pub(super) const fn new(connector: C, line: Line) -> Self {
        Self { connector, line }
    }
}

impl<C, S> tower::Service<Uri> for Counting<C>
where
    C: tower::Service<Uri, Response = hyper_util::rt::TokioIo<S>>,
    C::Future: Send + 'static,
    C::Error: 'static,
{
    type Response = hyper_util::rt::TokioIo<Counted<S>>;
    type Error = C::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, C::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), C::Error>> {
        self.connector.poll_ready(cx)
    }

    fn call(&mut self, to: Uri) -> Self::Future {
        let (held, connecting) = (self.line.hold(), self.connector.call(to));
        Box::pin(async move {
            let stream = connecting.await?.into_inner();
            Ok(hyper_util::rt::TokioIo::new(Counted { stream, _held: held }))
        })
    }
}

/// A connection that counts until it is closed.
#[derive(Debug)]
pub(super) struct Counted<S> {
    stream: S,
    _held: Held,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, buf)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, buf)
    }
    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(cx, bufs)
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Calls that fail when the line is lost before they are answered: [`Channel`] unless it is a test.
#[derive(Clone, Debug)]
pub struct Watched<C = Channel> {
    calls: C,
    line: Line,
}

impl<C> Watched<C> {
    pub(super) const fn new(calls: C, line: Line) -> Self {
        Self { calls, line }
    }
}

impl<C> tower::Service<Request<Body>> for Watched<C>
where
    C: tower::Service<Request<Body>, Response = Response<Body>>,
    C::Error: Into<StdError>,
    C::Future: Send + 'static,
{
    type Response = Response<Body>;
    type Error = StdError;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, StdError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StdError>> {
        Poll::Ready(ready!(self.calls.poll_ready(cx)).map_err(Into::into))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (answer, line) = (self.calls.call(request), self.line.clone());
        Box::pin(async move {
            tokio::select! {
                biased;
                answer = answer => answer.map_err(Into::into),
                () = line.lost() => Err(Status::unavailable("the connection to the recorder broke, and the call with it").into()),
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::pending;
    use tokio::time::Instant;
    use tower::Service as _;

    /// A call that nobody drives any more.
    #[derive(Clone)]
    struct Forgotten;

    impl tower::Service<Request<Body>> for Forgotten {
        type Response = Response<Body>;
        type Error = StdError;
        type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, StdError>> + Send>>;

        fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), StdError>> {
            Poll::Ready(Ok(()))
        }
        fn call(&mut self, _: Request<Body>) -> Self::Future {
            Box::pin(pending())
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_call_that_was_forgotten_ends_a_while_after_the_last_connection() {
        let line = Line::default();
        let first = line.hold();
        let mut calls = Watched::new(Forgotten, line.clone());
        let began = Instant::now();
        let call = tokio::spawn(calls.call(Request::new(Body::empty())));
        let later = |after: u64| tokio::time::sleep_until(began + PATIENCE * u32::try_from(after).unwrap() / 2);
        later(10).await;
        assert!(!call.is_finished(), "there is a connection");
        drop(first);
        later(11).await;
        let second = line.hold();
        later(15).await;
        assert!(!call.is_finished(), "there is another one");
        drop(second);
        let error = timeout(PATIENCE * 20, call).await.unwrap().unwrap().unwrap_err();
        assert_eq!(began.elapsed(), PATIENCE * 17 / 2, "{error}");
        assert_eq!(error.downcast::<Status>().unwrap().code(), tonic::Code::Unavailable);
    }
}

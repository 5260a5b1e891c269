//! Calls for which nobody has to show anything: whether the recorder is well, and what may be asked of it. Anybody may make them, so
//! they have bounds of their own, on this machine as well: so many at once, of which one of whoever has most has to go when another
//! one comes, so that nobody keeps whoever watches over the recorder from asking; and so long each.
//!
//! Not here: how large their messages may be, which `server` says.

use crate::incoming::Client;
use crate::status;
use futures::future::{BoxFuture, FutureExt};
use http::{HeaderMap, Response};
use http_body::{Frame, SizeHint};
use livetape_service::limits::{Knock, Silent};
use livetape_service::metrics::Counter;
use std::future::Future;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use tonic::body::Body;
use tonic::{Code, Status};

/// Most of them at once.
const AT_ONCE: usize = 256;
/// How long the message may take with which each begins.
const FIRST_MESSAGE: Duration = Duration::from_secs(10);
/// How long a call may last, but for one that watches.
const WHOLE: Duration = Duration::from_secs(60);
/// The one that watches: for as long as its caller likes.
const WATCH: &str = "/grpc.health.v1.Health/Watch";
/// How long a reader may take to notice that its call is over. After that its connection is closed.
const FAREWELL: Duration = Duration::from_secs(5);

/// Keeps the bounds.
#[derive(Debug)]
pub(crate) struct Checks {
    waiting: Mutex<Silent>,
    refused: Counter,
}

impl Checks {
    /// `refused` counts those that had to go, or took too long.
    pub(crate) fn new(refused: Counter) -> Self {
        Self { waiting: Mutex::new(Silent::new(AT_ONCE, refused.clone())), refused }
    }

    /// Has one answered, within its bounds.
    pub(crate) async fn answer<E>(
        &self,
        path: &str,
        from: IpAddr,
        client: Option<Client>,
        answering: impl Future<Output = Result<Response<Body>, E>>,
    ) -> Result<Response<Body>, E> {
        let knock = self.waiting.lock().unwrap_or_else(PoisonError::into_inner).one_more(from);
        let reply = tokio::select! {
            reply = timeout(FIRST_MESSAGE, answering) => reply,
            () = knock.sent_away() => return Ok(crowded().into_http()),
        };
        let Ok(reply) = reply else {
            self.refused.inc();
            let text = format!("the call has to begin with its message, within {FIRST_MESSAGE:?}");
            return Ok(status::refused(Code::DeadlineExceeded, "NO_MESSAGE", [], text).into_http());
        };
        let whole = (path != WATCH).then_some((WHOLE, self.refused.clone()));
        Ok(reply?.map(|body| Body::new(Bounded::new(body, knock, whole, client))))
    }
}

fn crowded() -> Status {
    let text = format!(
        "of calls for which nothing has to be shown there are at most {AT_ONCE} at once, and none but Watch lasts longer than \
         {WHOLE:?}: call again"
    );
    status::limit("checks", text, Duration::from_secs(1))
}

/// An answer that ends when its call has to.
struct Bounded {
    body: Body,
    over: BoxFuture<'static, ()>,
    is_over: bool,
    _clock: AbortOnDropHandle<()>,
}

impl Bounded {
    fn new(body: Body, knock: Knock, whole: Option<(Duration, Counter)>, client: Option<Client>) -> Self {
        let over = CancellationToken::new();
        let (ended, over) = (over.clone(), over.cancelled_owned().boxed());
        let late = async move {
            match whole {
                Some((whole, refused)) => {
                    sleep(whole).await;
                    refused.inc();
                }
                None => std::future::pending().await,
            }
        };
        let clock = tokio::spawn(async move {
            tokio::select! {
                () = knock.sent_away() => {}
                () = late => {}
            }
            ended.cancel();
            // Nobody asks for the rest of an answer that its reader has no room for.
            sleep(FAREWELL).await;
            if let Some(client) = client {
                client.close();
            }
        });
        Self { body, over, is_over: false, _clock: AbortOnDropHandle::new(clock) }
    }
}

impl http_body::Body for Bounded {
    type Data = bytes::Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<bytes::Bytes>, Status>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        if self.over.poll_unpin(cx).is_ready() {
            self.is_over = true;
            let mut trailers = HeaderMap::new();
            return Poll::Ready(Some(crowded().add_header(&mut trailers).map(|()| Frame::trailers(trailers))));
        }
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

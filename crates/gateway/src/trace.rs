//! A request in a trace: from its head to the last byte of its reply. Does nothing while nothing is exported.

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::response::Response;
use bytes::Bytes;
use http_body::{Frame, SizeHint};
use livetape_service::TraceContext;
use livetape_service::traces::{self, TARGET};
use std::pin::Pin;
use std::task::{Context, Poll};
use tracing::field::Empty;
use tracing::{Span, info_span};

/// The span of a request. It goes on in the trace of whoever asks, if that is recorded.
pub(crate) fn begin(request: &Request, route: Option<&str>) -> Span {
    // Whoever checks whether this process is well does so all the time.
    if !traces::is_active() || matches!(route, Some("/healthz" | "/readyz" | "/metrics")) {
        return Span::none();
    }
    let span = info_span!(
        target: TARGET,
        parent: None,
        "request",
        otel.kind = "server",
        otel.status_code = Empty,
        http.request.method = request.method().as_str(),
        http.route = route.unwrap_or("none"),
        http.response.status_code = Empty,
        http.response.body.size = Empty,
    );
    TraceContext::from_headers(request.headers()).adopt(&span);
    span
}

/// Lets the span last until the reply's body has ended or was dropped.
pub(crate) fn until_last_byte(span: Span, reply: Response) -> Response {
    if span.is_disabled() {
        return reply;
    }
    span.record("http.response.status_code", reply.status().as_u16());
    reply.map(|body| Body::new(Traced { body, sent: 0, span }))
}

struct Traced {
    body: Body,
    sent: u64,
    span: Span,
}

impl HttpBody for Traced {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let next = this.span.in_scope(|| Pin::new(&mut this.body).poll_frame(cx));
        match &next {
            Poll::Ready(Some(Ok(frame))) => this.sent += frame.data_ref().map_or(0, Bytes::len) as u64,
            Poll::Ready(Some(Err(_))) => drop(this.span.record("otel.status_code", "ERROR")),
            _ => {}
        }
        next
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for Traced {
    fn drop(&mut self) {
        self.span.record("http.response.body.size", self.sent);
    }
}

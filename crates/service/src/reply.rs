//! Replies in a trace: a span that lasts from a request's head to the last byte, or message, of what is answered. Does
//! nothing while nothing is exported.

use crate::traces::{self, TARGET};
use crate::{TraceContext, propagation};
use axum::body::{Body, Bytes, HttpBody};
use axum::extract::Request;
use axum::middleware::{Next, from_fn};
use axum::response::Response;
use http::HeaderMap;
use http_body::{Frame, SizeHint};
use std::pin::Pin;
use std::task::{Context, Poll};
use tonic::service::Routes;
use tracing::field::Empty;
use tracing::{Instrument, Span, info_span};

/// Longest part of an address that a span repeats, in characters.
const MAX_NAME: usize = 100;

/// Lets `span` last until the reply's body has ended or was dropped. Records what it declares of `otel.status_code`,
/// `http.response.status_code`, `http.response.body.size` and `rpc.grpc.status_code`.
pub fn until_last_byte(span: Span, reply: Response) -> Response {
    if span.is_disabled() {
        return reply;
    }
    span.record("http.response.status_code", reply.status().as_u16());
    grpc_status(&span, reply.headers());
    reply.map(|body| Body::new(Traced { body, sent: 0, span }))
}

/// gRPC calls go on in the trace of who calls, if that is recorded; others have none. A call that is a stream may last
/// for days, and so does its span: what calls by itself, without a request that waits for it, is better sent without.
pub fn calls(routes: Routes) -> Routes {
    routes.into_axum_router().layer(from_fn(call)).into()
}

async fn call(request: Request, next: Next) -> Response {
    let span = begin(&request);
    let reply = next.run(request).instrument(span.clone()).await;
    until_last_byte(span, reply)
}

fn begin(request: &Request) -> Span {
    if !traces::is_active() || !request.headers().contains_key(propagation::TRACEPARENT) {
        return Span::none();
    }
    let caller = TraceContext::from_headers(request.headers());
    if !caller.is_sampled() {
        return Span::none();
    }
    let name: String = request.uri().path().chars().skip(1).take(MAX_NAME).collect();
    let (service, method) = name.split_once('/').unwrap_or((&name, ""));
    let span = info_span!(
        target: TARGET,
        parent: None,
        "call",
        otel.name = name,
        otel.kind = "server",
        otel.status_code = Empty,
        rpc.system = "grpc",
        rpc.service = service,
        rpc.method = method,
        rpc.grpc.status_code = Empty,
    );
    caller.adopt(&span);
    span
}

/// Where a call ends with one: after its messages, or in its head if there are none.
fn grpc_status(span: &Span, headers: &HeaderMap) {
    let code = headers.get("grpc-status").and_then(|code| code.to_str().ok()?.parse::<u32>().ok());
    if let Some(code) = code {
        span.record("rpc.grpc.status_code", code);
        if code != 0 {
            span.record("otel.status_code", "ERROR");
        }
    }
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
            Poll::Ready(Some(Ok(frame))) => {
                this.sent += frame.data_ref().map_or(0, Bytes::len) as u64;
                frame.trailers_ref().inspect(|trailers| grpc_status(&this.span, trailers));
            }
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

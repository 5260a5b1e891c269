//! What is traced here: a request, from its head to the last byte of its reply, and the last part of a chunk's way, from
//! the news that it is durable until a listener has it. Does nothing while nothing is exported.

use axum::extract::Request;
use livetape_audio::Frame;
use livetape_service::TraceContext;
pub(crate) use livetape_service::reply::until_last_byte;
use livetape_service::traces::{self, TARGET};
use livetape_tail::TailWatch;
use std::net::IpAddr;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use tracing::field::Empty;
use tracing::{Span, info_span};

/// The span of a request. It goes on in the trace of whoever asks, if that is recorded.
pub(crate) fn begin(request: &Request, route: Option<&str>, client: Option<IpAddr>) -> Span {
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
        client.address = client.map(tracing::field::display),
        http.response.status_code = Empty,
        http.response.body.size = Empty,
    );
    TraceContext::from_headers(request.headers()).adopt(&span);
    span
}

/// A chunk that was traced on its way here. Whoever takes the frames first is the listener whom its trace shows.
#[derive(Debug)]
pub(crate) struct Delivery {
    first: Frame,
    span: Mutex<Option<Span>>,
}

impl Delivery {
    /// If these frames, of which the tail has just told, hold the beginning of a chunk that is traced.
    pub(crate) fn begin(tail: &TailWatch, frames: &Range<Frame>) -> Option<Self> {
        let chunk = traces::is_active().then(|| tail.traced(frames)).flatten()?;
        let span = info_span!(
            target: TARGET,
            parent: None,
            "deliver",
            otel.kind = "consumer",
            recording = %chunk.recording,
            first_frame = chunk.first.get(),
            delivered = Empty,
        );
        TraceContext::from_text(&chunk.traceparent).adopt(&span);
        Some(Self { first: chunk.first, span: Mutex::new(Some(span)) })
    }

    /// Its span, for what is done on the way.
    pub(crate) fn span(&self) -> Span {
        self.span.lock().unwrap_or_else(PoisonError::into_inner).clone().unwrap_or_else(Span::none)
    }

    /// A listener takes these frames.
    pub(crate) fn taken(&self, frames: &Range<Frame>) {
        if frames.contains(&self.first)
            && let Some(span) = self.span.lock().unwrap_or_else(PoisonError::into_inner).take()
        {
            span.record("delivered", true);
        }
    }
}

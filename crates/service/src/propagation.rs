//! A trace that crosses processes: W3C `traceparent` and `tracestate` in HTTP headers, in gRPC metadata, or as a text
//! in a message.
//!
//! A call that carries audio lasts for days, and its metadata are sent once. So metadata hold the trace of the call's
//! opening, and a chunk that is traced carries its own `traceparent` with it. What cannot be understood counts as not
//! sent: then the trace begins here. Without an exporter ([`crate::traces`]) all of this does nothing.
//!
//! ```text
//! capture:  let span = info_span!(target: TARGET, parent: None, "chunk");
//!           message.traceparent = propagation::to_text(&span).unwrap_or_default();
//! recorder: let span = info_span!(target: TARGET, parent: None, "durable");
//!           TraceContext::from_text(&message.traceparent).adopt(&span);
//! ```

use crate::traces;
use http::HeaderMap;
use http::header::HeaderName;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use std::collections::HashMap;
use tonic::metadata::{MetadataKey, MetadataMap};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

pub(crate) const TRACEPARENT: &str = "traceparent";
const TRACESTATE: &str = "tracestate";
/// Longest header that is looked at, in bytes; the standard asks to carry 512 of `tracestate`.
const MAX_BYTES: usize = 512;

/// Where in which trace somebody else was when it called.
#[derive(Clone, Debug, Default)]
pub struct TraceContext(opentelemetry::Context);

impl TraceContext {
    /// From the headers of an HTTP request.
    pub fn from_headers(headers: &HeaderMap) -> Self {
        Self(TraceContextPropagator::new().extract_with_context(&opentelemetry::Context::new(), &Headers(headers)))
    }

    /// From the metadata of a gRPC call.
    pub fn from_metadata(metadata: &MetadataMap) -> Self {
        Self::from_headers(metadata.as_ref())
    }

    /// From a `traceparent` inside a message; empty if there is none.
    pub fn from_text(traceparent: &str) -> Self {
        if traceparent.is_empty() || traceparent.len() > MAX_BYTES {
            return Self::default();
        }
        let carrier = HashMap::from([(TRACEPARENT.to_owned(), traceparent.to_owned())]);
        Self(TraceContextPropagator::new().extract_with_context(&opentelemetry::Context::new(), &carrier))
    }

    /// Whether the caller was in a trace that is recorded.
    pub fn is_sampled(&self) -> bool {
        self.0.span().span_context().is_sampled()
    }

    /// Makes it the parent of `span`, which must not have been entered yet. Without a context nothing changes.
    pub fn adopt(&self, span: &Span) {
        if self.0.span().span_context().is_valid() {
            // Fails only where nothing is exported.
            drop(span.set_parent(self.0.clone()));
        }
    }
}

/// Puts the context of `span` into the headers of an HTTP request.
pub fn to_headers(span: &Span, headers: &mut HeaderMap) {
    for (name, value) in fields(span) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), value.try_into()) {
            headers.insert(name, value);
        }
    }
}

/// Puts the context of `span` into the metadata of a gRPC call.
pub fn to_metadata(span: &Span, metadata: &mut MetadataMap) {
    for (name, value) in fields(span) {
        if let (Ok(name), Ok(value)) = (MetadataKey::from_bytes(name.as_bytes()), value.parse()) {
            metadata.insert(name, value);
        }
    }
}

/// The context of `span` as a `traceparent`, if traces are exported.
pub fn to_text(span: &Span) -> Option<String> {
    fields(span).remove(TRACEPARENT)
}

/// What is to be carried. It says so too if the span is not recorded: then the other side does not record its part.
fn fields(span: &Span) -> HashMap<String, String> {
    let mut fields = Fields(HashMap::new());
    if !traces::is_active() {
        return fields.0;
    }
    let context = span.context();
    TraceContextPropagator::new().inject_context(&context, &mut fields);
    fields.0
}

struct Fields(HashMap<String, String>);

impl Injector for Fields {
    fn set(&mut self, key: &str, value: String) {
        if !value.is_empty() && value.len() <= MAX_BYTES {
            self.0.insert(key.to_owned(), value);
        }
    }
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok()).filter(|value| value.len() <= MAX_BYTES)
    }

    fn keys(&self) -> Vec<&str> {
        vec![TRACEPARENT, TRACESTATE]
    }
}

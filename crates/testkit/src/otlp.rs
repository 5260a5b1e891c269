//! A small OpenTelemetry collector: takes traces over OTLP and gRPC, and shows what it got.

use crate::wait::until;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value};
use opentelemetry_proto::tonic::trace::v1::Span;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tonic::transport::server::TcpIncoming;

/// A span, and who made it.
#[derive(Clone, Debug)]
pub struct Exported {
    /// What its process says about itself.
    pub resource: Vec<KeyValue>,
    /// As it came.
    pub span: Span,
}

impl Exported {
    /// An attribute of its process, such as `service.name`; empty if there is none.
    pub fn of_process(&self, name: &str) -> String {
        attribute(&self.resource, name)
    }

    /// An attribute of its own; empty if there is none.
    pub fn attribute(&self, name: &str) -> String {
        attribute(&self.span.attributes, name)
    }

    /// The trace that it belongs to, in hex.
    pub fn trace(&self) -> String {
        hex(&self.span.trace_id)
    }

    /// Its id, in hex.
    pub fn id(&self) -> String {
        hex(&self.span.span_id)
    }

    /// Its parent's id, in hex; empty for the first of a trace.
    pub fn parent(&self) -> String {
        hex(&self.span.parent_span_id)
    }
}

fn attribute(attributes: &[KeyValue], name: &str) -> String {
    let value = attributes.iter().find(|a| a.key == name).and_then(|a| a.value.clone()?.value);
    match value {
        Some(Value::StringValue(text)) => text,
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::BoolValue(bool)) => bool.to_string(),
        Some(other) => format!("{other:?}"),
        None => String::new(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// The collector. Runs as long as the process.
#[derive(Clone, Debug)]
pub struct Collector {
    url: String,
    got: Arc<Mutex<Got>>,
}

#[derive(Debug, Default)]
struct Got {
    spans: Vec<Exported>,
    key: Option<String>,
}

impl Collector {
    /// Listens on a free port.
    pub fn start() -> Self {
        let got = Arc::default();
        let service = TraceServiceServer::new(Receiver(Arc::clone(&got)));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        listener.set_nonblocking(true).expect("a socket that can wait");
        let _inside = crate::runtime().enter();
        let incoming = TcpIncoming::from(tokio::net::TcpListener::from_std(listener).expect("a runtime"));
        tokio::spawn(tonic::transport::Server::builder().add_service(service).serve_with_incoming(incoming));
        Self { url, got }
    }

    /// Where to send traces.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// All spans until now.
    pub fn spans(&self) -> Vec<Exported> {
        self.got.lock().expect("no panic").spans.clone()
    }

    /// The header `api-key` of the last call.
    pub fn key(&self) -> Option<String> {
        self.got.lock().expect("no panic").key.clone()
    }

    /// Waits for a span of that name. They come in batches, some seconds apart.
    ///
    /// # Errors
    /// When it does not come.
    pub fn wait_for(&self, name: &str) -> anyhow::Result<Exported> {
        until(&format!("a span {name}"), Duration::from_secs(30), || {
            self.spans().into_iter().find(|exported| exported.span.name == name)
        })
    }
}

struct Receiver(Arc<Mutex<Got>>);

#[tonic::async_trait]
impl TraceService for Receiver {
    async fn export(
        &self,
        request: tonic::Request<ExportTraceServiceRequest>,
    ) -> Result<tonic::Response<ExportTraceServiceResponse>, tonic::Status> {
        let mut got = self.0.lock().expect("no panic");
        got.key = request.metadata().get("api-key").and_then(|key| key.to_str().ok()).map(str::to_owned);
        for spans in request.into_inner().resource_spans {
            let resource = spans.resource.map(|resource| resource.attributes).unwrap_or_default();
            let all = spans.scope_spans.into_iter().flat_map(|scope| scope.spans);
            got.spans.extend(all.map(|span| Exported { resource: resource.clone(), span }));
        }
        Ok(tonic::Response::new(ExportTraceServiceResponse::default()))
    }
}

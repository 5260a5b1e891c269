//! Traces to an OpenTelemetry collector, over OTLP and gRPC, if one is configured. If not, nothing of this runs.
//!
//! Which spans: only those that ask for it, by the target [`TARGET`]. Spans that merely name a log line may last as long
//! as the process, and libraries' spans (h2, hyper, tonic) would make traces of the export itself. Log lines of ours
//! inside a traced span go along.
//!
//! How many: a source makes 50 chunks a second, and a trace of each would cost more than recording it. So of each
//! source one chunk in ten seconds is traced ([`Sparing`]), from its capture to its acknowledgement: that shows where
//! time goes, and metrics show how often. Requests are traced, but of all that begins in this process, or was begun by
//! others, at most [`PER_SECOND`] a second; what is inside a traced span belongs to it. So neither a crowd of listeners
//! nor a client that sends `traceparent` with everything can flood a collector.
//!
//! The exporter has threads of its own and shares none with the roles, so that a slow collector slows nothing and the
//! last flush cannot wait for a runtime that waits for it, even on one core.

use opentelemetry::trace::{Link, SpanKind, TraceContextExt, TraceId, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SamplingDecision, SamplingResult, SdkTracer, SdkTracerProvider, ShouldSample};
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::runtime::Runtime;

/// The target of spans that are exported: `info_span!(target: livetape_service::traces::TARGET, "chunk")`.
pub const TARGET: &str = "livetape::trace";
/// Most traces that begin or go on here in a second.
pub const PER_SECOND: u32 = 20;
/// Time between two traced chunks of a source.
pub const SPARING: Duration = Duration::from_secs(10);

/// For the collector to answer, and for the last flush.
const PATIENCE: Duration = Duration::from_secs(3);

static ACTIVE: AtomicBool = AtomicBool::new(false);

/// Where the collector is: `http://HOST:PORT`, usually port 4317.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OtlpUrl(String);

/// Not the address of a collector. Does not repeat what was given, which may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum OtlpUrlError {
    /// Something else.
    #[error("the OTLP address is not understood: write it as http://HOST:4317")]
    Invalid,
    /// There is no TLS here.
    #[error(
        "the OTLP address is https: traces are sent without TLS, to a collector on this machine or network; use http://HOST:4317"
    )]
    Tls,
    /// It would show up in logs.
    #[error("the OTLP address holds a user or password: leave it out, and put keys into OTEL_EXPORTER_OTLP_HEADERS")]
    Secret,
    /// Another protocol is asked for.
    #[error(
        "OTEL_EXPORTER_OTLP_PROTOCOL asks for something else than grpc, which is all there is: set LIVETAPE_OTLP_URL to the collector's gRPC address, http://HOST:4317"
    )]
    Protocol,
}

impl FromStr for OtlpUrl {
    type Err = OtlpUrlError;
    fn from_str(text: &str) -> Result<Self, OtlpUrlError> {
        let uri: http::Uri = text.trim().parse().map_err(|_| OtlpUrlError::Invalid)?;
        let authority = uri.authority().ok_or(OtlpUrlError::Invalid)?;
        if authority.as_str().contains('@') {
            return Err(OtlpUrlError::Secret);
        }
        match uri.scheme_str() {
            Some("http") if matches!(uri.path(), "" | "/") && uri.query().is_none() => Ok(Self(text.trim().to_owned())),
            Some("https") => Err(OtlpUrlError::Tls),
            _ => Err(OtlpUrlError::Invalid),
        }
    }
}

impl OtlpUrl {
    /// The configured address, or else the one that OpenTelemetry's own variables name, which `variable` looks up.
    ///
    /// # Errors
    /// If such a variable asks for something that is not possible here.
    pub fn find(
        configured: Option<Self>,
        variable: impl Fn(&str) -> Option<String>,
    ) -> Result<Option<Self>, OtlpUrlError> {
        let variable = |name| variable(name).filter(|value| !value.trim().is_empty());
        if variable("OTEL_SDK_DISABLED").is_some_and(|value| value.trim().eq_ignore_ascii_case("true")) {
            return Ok(None);
        }
        if configured.is_some() {
            return Ok(configured);
        }
        let either = |traces, all| variable(traces).or_else(|| variable(all));
        let Some(url) = either("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT") else {
            return Ok(None);
        };
        match either("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL").as_deref() {
            None | Some("grpc") => url.parse().map(Some),
            Some(_) => Err(OtlpUrlError::Protocol),
        }
    }
}

/// The running exporter.
pub(crate) struct Exporter {
    provider: SdkTracerProvider,
    runtime: Runtime,
}

impl Exporter {
    /// Starts to export what `service` does. Does not connect: the collector may come later.
    pub(crate) fn start(url: &OtlpUrl, service: &str) -> anyhow::Result<Self> {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).thread_name("otlp").enable_all().build()?;
        let inside = runtime.enter();
        let exporter = SpanExporter::builder().with_tonic().with_endpoint(&url.0).with_timeout(PATIENCE).build()?;
        drop(inside);
        let limit = PerSecond::new(PER_SECOND);
        let provider = SdkTracerProvider::builder()
            .with_resource(resource(service))
            .with_sampler(Sampler::parent_based(limit.clone()).with_remote_parent_sampled(limit))
            .with_batch_exporter(exporter)
            .build();
        ACTIVE.store(true, Relaxed);
        Ok(Self { provider, runtime })
    }

    pub(crate) fn tracer(&self) -> SdkTracer {
        self.provider.tracer("livetape")
    }

    /// Sends what is left, for a bounded time.
    pub(crate) fn finish(self) {
        ACTIVE.store(false, Relaxed);
        if let Err(error) = self.provider.shutdown_with_timeout(PATIENCE) {
            tracing::warn!(%error, "the last traces may not have reached the collector");
        }
        self.runtime.shutdown_background();
    }
}

/// Whether traces are exported.
pub fn is_active() -> bool {
    ACTIVE.load(Relaxed)
}

/// Who we are, besides what OTEL_RESOURCE_ATTRIBUTES says.
fn resource(service: &str) -> Resource {
    let mut attributes = vec![
        KeyValue::new("service.namespace", "livetape"),
        KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
        KeyValue::new("process.pid", i64::from(std::process::id())),
    ];
    if let Ok(host) = std::fs::read_to_string("/proc/sys/kernel/hostname") {
        attributes.push(KeyValue::new("host.name", host.trim().to_owned()));
    }
    Resource::builder().with_service_name(service.to_owned()).with_attributes(attributes).build()
}

/// Says when the next of many equal things is to be traced. Costs one look at an atomic flag while nothing is exported.
#[derive(Debug)]
pub struct Sparing {
    every: Duration,
    last: Option<Instant>,
}

impl Default for Sparing {
    /// Every [`SPARING`].
    fn default() -> Self {
        Self { every: SPARING, last: None }
    }
}

impl Sparing {
    /// Whether this one is to be traced.
    pub fn is_due(&mut self) -> bool {
        is_active() && self.passed(Instant::now())
    }

    fn passed(&mut self, now: Instant) -> bool {
        let due = self.last.is_none_or(|last| now.saturating_duration_since(last) >= self.every);
        if due {
            self.last = Some(now);
        }
        due
    }
}

/// Lets a number of traces through in each second.
#[derive(Clone, Debug)]
struct PerSecond {
    most: u32,
    window: Arc<Mutex<(Instant, u32)>>,
}

impl PerSecond {
    fn new(most: u32) -> Self {
        Self { most, window: Arc::new(Mutex::new((Instant::now(), 0))) }
    }

    fn admits(&self, now: Instant) -> bool {
        let mut window = self.window.lock().unwrap_or_else(PoisonError::into_inner);
        if now.saturating_duration_since(window.0) >= Duration::from_secs(1) {
            *window = (now, 0);
        }
        window.1 = window.1.saturating_add(1);
        window.1 <= self.most
    }
}

impl ShouldSample for PerSecond {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        _: TraceId,
        _: &str,
        _: &SpanKind,
        _: &[KeyValue],
        _: &[Link],
    ) -> SamplingResult {
        let admitted = self.admits(Instant::now());
        SamplingResult {
            decision: if admitted { SamplingDecision::RecordAndSample } else { SamplingDecision::Drop },
            attributes: Vec::new(),
            trace_state: parent.map(|cx| cx.span().span_context().trace_state().clone()).unwrap_or_default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for good in ["http://127.0.0.1:4317", "http://collector:4317/", "http://[::1]:4317"] {
            assert!(good.parse::<OtlpUrl>().is_ok(), "{good}");
        }
        for (bad, why) in [
            ("", OtlpUrlError::Invalid),
            ("collector", OtlpUrlError::Invalid),
            ("collector:4317", OtlpUrlError::Invalid),
            ("ftp://collector", OtlpUrlError::Invalid),
            ("http://collector:4318/v1/traces", OtlpUrlError::Invalid),
            ("https://collector:4317", OtlpUrlError::Tls),
            ("http://me:geheim@collector:4317", OtlpUrlError::Secret),
            ("https://me:geheim@collector:4317", OtlpUrlError::Secret),
        ] {
            let error = bad.parse::<OtlpUrl>().unwrap_err();
            assert_eq!(error, why, "{bad}");
            assert!(!format!("{error} {error:?}").contains("geheim"));
        }
    }

    #[test]
    fn opentelemetrys_own_variables_are_known() {
        let find = |configured: Option<&str>, variables: &[(&str, &str)]| {
            let variable = |name: &str| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned());
            OtlpUrl::find(configured.map(|url| url.parse().unwrap()), variable).map(|url| url.map(|url| url.0))
        };
        let all = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://all:4317");
        let traces = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "http://traces:4317");
        let http = ("OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf");
        assert_eq!(find(None, &[]), Ok(None));
        assert_eq!(find(None, &[("OTEL_EXPORTER_OTLP_ENDPOINT", " ")]), Ok(None));
        assert_eq!(find(None, &[all]).unwrap().unwrap(), all.1);
        assert_eq!(find(None, &[all, traces]).unwrap().unwrap(), traces.1);
        assert_eq!(find(Some("http://ours:4317"), &[all, traces, http]).unwrap().unwrap(), "http://ours:4317");
        assert_eq!(find(None, &[all, http]), Err(OtlpUrlError::Protocol));
        assert_eq!(find(None, &[http]), Ok(None));
        assert_eq!(find(Some("http://ours:4317"), &[("OTEL_SDK_DISABLED", "true")]), Ok(None));
    }

    #[test]
    fn no_more_than_so_many_a_second_and_one_in_ten_seconds() {
        let (limit, start) = (PerSecond::new(3), Instant::now());
        let clone = limit.clone();
        let admitted = (0..10).filter(|_| limit.admits(start) || clone.admits(start)).count();
        assert_eq!(admitted, 3);
        assert!(limit.admits(start + Duration::from_millis(1100)));

        let mut sparing = Sparing::default();
        let due = (0..50 * 60).filter(|n| sparing.passed(start + Duration::from_millis(20) * *n)).count();
        assert_eq!(due, 6, "in a minute of chunks");
        assert!(!Sparing::default().is_due(), "nothing is exported");
    }
}

//! Traces as a real collector sees them. What is tested runs in a process of its own, as logging is started once.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that unwraps says all there is to say")]

use livetape_service::logging::{self, Format, LogSettings};
use livetape_service::traces::{self, PER_SECOND, TARGET};
use livetape_service::{TraceContext, propagation};
use livetape_testkit::otlp::Collector;
use std::net::TcpListener;
use std::process::{Command, Output, Stdio};
use std::time::Instant;
use tonic::metadata::MetadataMap;
use tracing::info_span;

const SECRET: &str = "geheim";
const ROLE: &str = "LIVETAPE_TEST_TRACES";
const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319d-b7ad6b7169203331-00";

/// Runs `child` in its own process.
fn run(role: &str, otlp: Option<&str>) -> Output {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "child", "--nocapture"]).env(ROLE, role).stderr(Stdio::piped());
    command.env("OTEL_EXPORTER_OTLP_HEADERS", format!("api-key={SECRET}")).env_remove("OTEL_EXPORTER_OTLP_ENDPOINT");
    if let Some(url) = otlp {
        command.env("OTEL_EXPORTER_OTLP_ENDPOINT", url);
    }
    let output = command.output().unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    assert!(!errors.contains(SECRET), "the log tells a secret: {errors}");
    output
}

#[test]
fn a_collector_sees_what_was_asked_for_with_its_parents() {
    let collector = Collector::start();
    let started = Instant::now();
    run("exports", Some(collector.url()));
    let possible = (started.elapsed().as_secs() as usize + 2) * PER_SECOND as usize;

    assert_eq!(collector.key().as_deref(), Some(SECRET), "what the collector asks for came with it");
    let spans = collector.spans();
    assert_eq!(spans[0].of_process("service.name"), "livetape-recorder");
    assert_eq!(spans[0].of_process("service.namespace"), "livetape");
    assert!(!spans[0].of_process("host.name").is_empty());
    let named = |name: &str| {
        let found: Vec<_> = spans.iter().filter(|s| s.span.name == name).collect();
        assert_eq!(found.len(), 1, "spans called {name}");
        found[0].clone()
    };
    let request = named("request");
    assert_eq!(request.trace(), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(request.parent(), "b7ad6b7169203331");
    assert_eq!(request.span.trace_state, "vendor=1");
    assert_eq!(request.span.events.iter().map(|e| e.name.as_str()).collect::<Vec<_>>(), ["the first byte"]);

    // A chunk, from its capture through a call to the recorder.
    let (chunk, open, durable) = (named("chunk"), named("open"), named("durable"));
    assert!(chunk.parent().is_empty(), "it begins a trace although it was made inside another span");
    for child in [open, durable] {
        assert_eq!((child.trace(), child.parent()), (chunk.trace(), chunk.id()));
    }
    for absent in ["source", "poll", "detail", "not recorded by its caller"] {
        assert!(!spans.iter().any(|s| s.span.name == absent), "{absent}");
    }
    let flood = spans.iter().filter(|s| s.span.name == "flood").count();
    assert!((1..=possible).contains(&flood), "{flood} of 1000");
}

#[test]
fn a_collector_that_never_answers_does_not_hold_the_process() {
    // The system takes connections for it, but nobody reads.
    let deaf = TcpListener::bind("127.0.0.1:0").unwrap();
    run("exports", Some(&format!("http://{}", deaf.local_addr().unwrap())));
}

#[test]
fn without_a_collector_nothing_runs() {
    run("is quiet", None);
}

/// Not a test by itself: what the tests start.
#[test]
fn child() {
    let Ok(role) = std::env::var(ROLE) else { return };
    let otlp = traces::OtlpUrl::find(None, |name| std::env::var(name).ok()).unwrap();
    let service = "livetape-recorder".to_owned();
    let settings = LogSettings { filter: "debug".into(), format: Format::Json, otlp, service, over: false };
    let telemetry = logging::start(&settings).unwrap();
    assert!(!format!("{settings:?} {telemetry:?}").contains(SECRET));
    let threads = || {
        let tasks = std::fs::read_dir("/proc/self/task").unwrap();
        let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
        names.filter(|name| name.starts_with("otlp") || name.starts_with("OpenTelemetry")).count()
    };
    if role == "is quiet" {
        let span = info_span!(target: TARGET, "chunk");
        TraceContext::from_text(PARENT).adopt(&span);
        let mut metadata = MetadataMap::new();
        propagation::to_metadata(&span, &mut metadata);
        assert!(metadata.is_empty() && propagation::to_text(&span).is_none() && !traces::is_active());
        assert!(!traces::Sparing::default().is_due());
        assert_eq!(threads(), 0);
    } else {
        assert!(traces::is_active() && traces::Sparing::default().is_due());
        // They name themselves when they begin.
        while threads() < 2 {
            std::thread::yield_now();
        }
        work();
    }
    telemetry.finish();
    assert!(!traces::is_active());
}

/// What two roles do, and what others do meanwhile.
fn work() {
    let source = info_span!("source").entered();
    let chunk = info_span!(target: TARGET, parent: None, "chunk");
    let mut metadata = MetadataMap::new();
    propagation::to_metadata(&chunk, &mut metadata);
    let open = info_span!(target: TARGET, parent: None, "open");
    TraceContext::from_metadata(&metadata).adopt(&open);
    let durable = info_span!(target: TARGET, parent: None, "durable");
    TraceContext::from_text(&propagation::to_text(&chunk).unwrap()).adopt(&durable);
    for span in [&open, &durable, &chunk] {
        span.in_scope(|| {
            drop(tracing::debug_span!(target: TARGET, "detail"));
            drop(info_span!(target: "h2", "poll"));
        });
    }
    drop(source);

    let mut headers = http::HeaderMap::new();
    headers.insert("traceparent", PARENT.parse().unwrap());
    headers.insert("tracestate", "vendor=1".parse().unwrap());
    let request = info_span!(target: TARGET, parent: None, "request");
    TraceContext::from_headers(&headers).adopt(&request);
    request.in_scope(|| {
        tracing::info!(target: "livetape_gateway", "the first byte");
        tracing::info!(target: "hyper", "not ours");
    });
    let mut onward = http::HeaderMap::new();
    propagation::to_headers(&request, &mut onward);
    let (sent, came) = (onward["traceparent"].to_str().unwrap(), PARENT);
    assert!(sent[..36] == came[..36] && sent != came && onward["tracestate"] == "vendor=1", "{onward:?}");

    let ignored = info_span!(target: TARGET, parent: None, "not recorded by its caller");
    TraceContext::from_text(UNSAMPLED).adopt(&ignored);
    let onward = propagation::to_text(&ignored).unwrap();
    assert!(onward[..36] == UNSAMPLED[..36] && onward.ends_with("-00"), "{onward}");
    ignored.in_scope(|| ());
    let garbage =
        ["", "00", "00-zz-zz-01", &"0".repeat(100_000), "00-00000000000000000000000000000000-b7ad6b7169203331-01"];
    for text in garbage {
        assert!(!TraceContext::from_text(text).is_sampled());
    }
    for _ in 0..1000 {
        info_span!(target: TARGET, parent: None, "flood").in_scope(|| ());
    }
}

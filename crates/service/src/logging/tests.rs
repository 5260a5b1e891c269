use super::*;
use opentelemetry_sdk::trace::Sampler;
use std::io::Write;
use std::sync::{Arc, Mutex};
use tracing::info_span;

/// Where log lines go.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

fn logged(format: Format, filter: &str) -> String {
    let (lines, settings) = (Lines::default(), settings(format, filter));
    let writer = lines.clone();
    let (subscriber, telemetry) = build(&settings, move || writer.clone(), false).unwrap();
    tracing::subscriber::with_default(subscriber, || {
        let span = info_span!("source", stream = "live", source = "tone");
        let _inside = span.enter();
        let _deeper = info_span!(target: TARGET, "chunk", first = 960).entered();
        tracing::warn!(frames = 7, "a \"quoted\"\nline \u{1b}[31m");
        tracing::debug!("too much");
    });
    telemetry.finish();
    lines.text()
}

fn settings(format: Format, filter: &str) -> LogSettings {
    LogSettings { filter: filter.into(), format, otlp: None, service: "livetape-test".into(), over: false }
}

#[test]
fn json_has_a_valid_object_on_each_line_with_the_fields_of_its_spans() {
    let text = logged(Format::Json, "info");
    assert_eq!(text.lines().count(), 1, "{text}");
    let line: serde_json::Value = serde_json::from_str(text.trim_end()).unwrap();
    assert_eq!(line["level"], "WARN");
    assert_eq!(line["target"], module_path!());
    assert_eq!(line["fields"]["message"], "a \"quoted\"\nline \u{1b}[31m");
    assert_eq!(line["fields"]["frames"], 7);
    assert_eq!(line["span"]["name"], "chunk");
    assert_eq!(line["spans"][0]["stream"], "live");
    assert_eq!(line["spans"][1]["first"], 960);
    assert!(line["timestamp"].as_str().is_some_and(|t| t.ends_with('Z')), "{line}");
    assert_eq!(logged(Format::Json, "livetape_service=debug").lines().count(), 2);
}

#[test]
fn text_is_for_people() {
    let text = logged(Format::Text, "info");
    assert!(text.contains("WARN source{stream=\"live\" source=\"tone\"}:chunk{first=960}: "), "{text}");
    assert!(!text.contains("too much") && !text.contains('\u{1b}'), "{text}");
}

#[test]
fn what_is_wrong_is_said() {
    assert_eq!("json".parse(), Ok(Format::Json));
    assert_eq!("JSON".parse::<Format>().unwrap_err(), "a log format is text or json");
    assert!(build(&settings(Format::Text, "info,livetape=loud"), std::io::stderr, false).is_err());
}

#[test]
fn a_line_of_json_says_in_which_trace_it_was_said() {
    use opentelemetry::trace::TracerProvider;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    let said = |format: Format, sampler: Sampler| {
        let lines = Lines::default();
        let writer = lines.clone();
        let provider = SdkTracerProvider::builder().with_sampler(sampler).build();
        let traces =
            tracing_opentelemetry::layer().with_tracer(provider.tracer("test")).with_filter(filter_fn(exported));
        let subscriber = tracing_subscriber::registry().with(traces).with(layer(format, move || writer.clone(), false));
        tracing::subscriber::with_default(subscriber, || {
            tracing::warn!("outside");
            let span = info_span!(target: TARGET, "request");
            let _inside = span.enter();
            tracing::warn!("inside");
            let _deeper = info_span!("not exported").entered();
            tracing::warn!("deeper");
        });
        lines.text()
    };
    let text = said(Format::Json, Sampler::AlwaysOn);
    let lines: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(lines.len(), 3, "{text}");
    assert!(lines[0].get("trace_id").is_none() && lines[0]["fields"]["message"] == "outside", "{text}");
    for (field, digits) in [("trace_id", 32), ("span_id", 16)] {
        let id = lines[1][field].as_str().unwrap();
        assert!(id.len() == digits && id.bytes().all(|b| b.is_ascii_hexdigit()) && id.contains(|c| c != '0'), "{text}");
        assert_eq!(lines[2][field], id, "a span that only names lines belongs to the one around it");
    }
    assert!(!said(Format::Json, Sampler::AlwaysOff).contains("trace_id"), "nobody would find it");
    assert!(!said(Format::Text, Sampler::AlwaysOn).contains("trace_id"));
}

use super::*;
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

//! Logs on standard error: text for people, JSON for machines; and the way of traces to their collector.
//!
//! A line of JSON has `timestamp`, `level`, `target`, `fields` (with `message`), `span` and `spans`, outermost first; and
//! `trace_id` and `span_id`, if it was said inside a span that is exported.
//! Not here: which spans are exported, and how many ([`crate::traces`]).

use crate::traces::{Exporter, OtlpUrl, TARGET};
use std::io::{IsTerminal, Write};
use std::str::FromStr;
use tracing::{Level, Metadata, Subscriber};
use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::LookupSpan;
use tracing_subscriber::util::SubscriberInitExt;

/// How a log line looks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// For people.
    #[default]
    Text,
    /// For machines: one object on each line.
    Json,
}

impl FromStr for Format {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("a log format is text or json".into()),
        }
    }
}

/// What is logged, how, and where traces go.
#[derive(Clone, Debug)]
pub struct LogSettings {
    /// In the form of `tracing`'s directives, such as `info,livetape_store=debug`.
    pub filter: String,
    /// How lines look.
    pub format: Format,
    /// Where traces go; nowhere without.
    pub otlp: Option<OtlpUrl>,
    /// Who speaks, as traces name it: `livetape-recorder`.
    pub service: String,
    /// Whether a line that somebody keeps drawing on the terminal is to be wiped before each log line.
    pub over: bool,
}

/// Standard error, of which a terminal's current line is wiped first if so.
struct Screen {
    wipe: bool,
}

impl<'a> MakeWriter<'a> for Screen {
    type Writer = std::io::Stderr;
    fn make_writer(&'a self) -> Self::Writer {
        let mut stderr = std::io::stderr();
        if self.wipe {
            // A log that cannot be written has nobody to tell.
            let _ = stderr.write_all(b"\r\x1b[2K");
        }
        stderr
    }
}

/// What was started. [`Telemetry::finish`] sends the last traces.
#[must_use = "the last traces are sent by `finish`"]
pub struct Telemetry {
    exporter: Option<Exporter>,
}

impl Telemetry {
    /// Sends the traces that were not sent yet, for at most a few seconds. Blocks; needs no runtime.
    pub fn finish(self) {
        if let Some(exporter) = self.exporter {
            exporter.finish();
        }
    }
}

impl std::fmt::Debug for Telemetry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Telemetry").field("exports", &self.exporter.is_some()).finish()
    }
}

/// Starts logging as text, without traces.
///
/// # Errors
/// If the filter cannot be understood, or logging was started before.
pub fn init(filter: &str) -> anyhow::Result<()> {
    let (format, service) = (Format::Text, String::from("livetape"));
    let settings = LogSettings { filter: filter.into(), format, otlp: None, service, over: false };
    start(&settings).map(Telemetry::finish)
}

/// Starts logging for the whole process, and the export of traces if there is somewhere to send them.
///
/// # Errors
/// If the filter cannot be understood, the exporter cannot start, or logging was started before.
pub fn start(settings: &LogSettings) -> anyhow::Result<Telemetry> {
    let terminal = std::io::stderr().is_terminal();
    // https://no-color.org: set and not empty.
    let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let screen = Screen { wipe: terminal && settings.over };
    let (subscriber, telemetry) = build(settings, screen, terminal && !plain)?;
    subscriber.try_init().map_err(|error| anyhow::anyhow!("logging cannot start: {error}"))?;
    Ok(telemetry)
}

fn build<W>(settings: &LogSettings, writer: W, ansi: bool) -> anyhow::Result<(impl Subscriber + Send + Sync, Telemetry)>
where
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(&settings.filter).map_err(|error| {
        anyhow::anyhow!("what to log (LIVETAPE_LOG) is not understood: {error}; write it as info, debug or info,livetape_store=debug")
    })?;
    let exporter = settings.otlp.as_ref().map(|url| Exporter::start(url, &settings.service)).transpose()?;
    let traces = exporter.as_ref().map(|exporter| {
        // Which line of the source and which thread it was says nothing about audio.
        let layer = tracing_opentelemetry::layer().with_tracer(exporter.tracer());
        layer.with_location(false).with_threads(false).with_tracked_inactivity(false).with_filter(filter_fn(exported))
    });
    let lines = layer(settings.format, writer, ansi);
    let subscriber = tracing_subscriber::registry().with(traces).with(lines.with_filter(filter));
    Ok((subscriber, Telemetry { exporter }))
}

fn layer<S, W>(format: Format, writer: W, ansi: bool) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    W: for<'a> MakeWriter<'a> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(ansi);
    match format {
        Format::Text => lines.boxed(),
        Format::Json => lines.json().map_event_format(in_trace::InTrace).boxed(),
    }
}

/// Spans that ask for it, and what we say inside them.
fn exported(about: &Metadata<'_>) -> bool {
    let ours = if about.is_span() { about.target() == TARGET } else { about.target().starts_with("livetape") };
    ours && *about.level() <= Level::INFO
}

mod in_trace;
#[cfg(test)]
mod tests;

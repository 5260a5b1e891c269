//! Lines of JSON that say in which trace they were said, so that a line leads to its trace and a trace to its lines.

use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt;
use std::fmt;
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{Format, FormatEvent, FormatFields, Json, Writer};
use tracing_subscriber::registry::LookupSpan;

/// The library's JSON, with `trace_id` and `span_id` at its end where a span is exported: lowercase hex, of 32 and 16 digits.
pub(super) struct InTrace(pub(super) Format<Json>);

impl<S, N> FormatEvent<S, N> for InTrace
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(&self, context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        // Whoever is inside a span is inside its context, too.
        let span = Context::map_current(|now| now.span().span_context().clone());
        if !span.is_sampled() {
            return self.0.format_event(context, writer, event);
        }
        let mut line = String::new();
        self.0.format_event(context, Writer::new(&mut line), event)?;
        match line.trim_end().strip_suffix('}') {
            Some(open) => {
                writeln!(writer, r#"{open},"trace_id":"{}","span_id":"{}"}}"#, span.trace_id(), span.span_id())
            }
            None => writer.write_str(&line),
        }
    }
}

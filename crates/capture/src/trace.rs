//! Now and then a chunk in a trace: from the moment at which it is sent until it is acknowledged, across the recorder; how long
//! it has waited before, and where, it says itself. One at a time, each ten seconds; none while nothing is exported.

use crate::uplink::Waited;
use livetape_audio::{StreamName, WallTime};
use livetape_proto::v1::ingest_request::Message;
use livetape_proto::v1::{Append, IngestRequest};
use livetape_service::propagation;
use livetape_service::traces::{Sparing, TARGET};
use std::time::{Duration, Instant, SystemTime};
use tracing::field::Empty;
use tracing::{Span, info_span};

/// The chunk that is traced, if there is one.
#[derive(Debug, Default)]
pub(crate) struct Chunks {
    sparing: Sparing,
    /// Its first frame, and its span.
    chunk: Option<(u64, Span)>,
}

impl Chunks {
    /// A message is about to be sent: its audio may be the next to trace.
    pub(crate) fn send(&mut self, stream: &StreamName, request: &mut IngestRequest, waited: Waited) {
        let Some(Message::Append(append)) = &mut request.message else { return };
        if self.chunk.is_some() || !self.sparing.is_due() {
            return;
        }
        let span = begin(stream, append, waited);
        append.traceparent = propagation::to_text(&span).unwrap_or_default();
        self.chunk = Some((append.first_frame, span));
    }

    /// All frames before `durable` are acknowledged.
    pub(crate) fn acknowledged(&mut self, durable: u64) {
        self.chunk.take_if(|(first, _)| durable > *first);
    }

    /// The call is over: the numbers mean nothing any more.
    pub(crate) fn give_up(&mut self) {
        if let Some((_, span)) = self.chunk.take() {
            span.record("otel.status_code", "ERROR");
        }
    }
}

/// From its capture until now. What comes out of the spool was captured by a clock that may have been set since.
fn wait(waited: Waited, captured: WallTime) -> Duration {
    match waited {
        Waited::InMemory(since) => Instant::now().saturating_duration_since(since),
        Waited::InStore => {
            let now = SystemTime::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
            WallTime::from_unix_nanos(i64::try_from(now).unwrap_or(i64::MAX)).since(captured)
        }
    }
}

fn begin(stream: &StreamName, append: &Append, waited: Waited) -> Span {
    let wait = wait(waited, WallTime::from_unix_nanos(append.captured_at_unix_ns));
    info_span!(
        target: TARGET,
        parent: None,
        "chunk",
        otel.kind = "producer",
        otel.status_code = Empty,
        %stream,
        first_frame = append.first_frame,
        bytes = append.pcm.len(),
        captured_at_unix_ns = append.captured_at_unix_ns,
        waited_ms = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX),
        spooled = matches!(waited, Waited::InStore),
    )
}

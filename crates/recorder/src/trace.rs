//! The recorder's part of the trace of a chunk: from its arrival until it is durable and acknowledged.

use crate::call::Writes;
use livetape_audio::{Frame, RecordingId};
use livetape_proto::v1::Append;
use livetape_proto::v1::IngestRequest;
use livetape_proto::v1::ingest_request::Message;
use livetape_service::traces::{self, TARGET};
use livetape_service::{TraceContext, propagation};
use livetape_tail::TracedChunk;
use std::sync::{Mutex, PoisonError};
use tracing::{Span, info_span};

/// The chunk of a call that is traced, if there is one. Which one is the source's choice.
#[derive(Debug, Default)]
pub(crate) struct Chunk(Mutex<Option<(u64, Span)>>);

impl Chunk {
    /// A message has come for the recording that its call writes to now. If it is one to trace, those who will read it may go on with its trace.
    pub(crate) fn arrived(&self, writes: Writes, request: &IngestRequest) -> Option<TracedChunk> {
        let Some(Message::Append(append)) = &request.message else { return None };
        if append.traceparent.is_empty() || !traces::is_active() {
            return None;
        }
        let mut chunk = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if chunk.is_some() {
            return None;
        }
        let Writes { recording, .. } = writes;
        let first = writes.frame(Frame::new(append.first_frame))?;
        let (_, span) = chunk.insert((append.first_frame, begin(recording, first, append)));
        let traceparent = propagation::to_text(span).filter(|text| TraceContext::from_text(text).is_sampled())?;
        Some(TracedChunk { recording, first, traceparent: traceparent.into() })
    }

    /// All frames before `end` are durable, and the source has been told.
    pub(crate) fn acknowledged(&self, end: Frame) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take_if(|(first, _)| end.get() > *first);
    }
}

fn begin(recording: RecordingId, first: Frame, append: &Append) -> Span {
    let span = info_span!(
        target: TARGET,
        parent: None,
        "make durable",
        otel.kind = "consumer",
        %recording,
        first_frame = first.get(),
        bytes = append.pcm.len(),
    );
    TraceContext::from_text(&append.traceparent).adopt(&span);
    span
}

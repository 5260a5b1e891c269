//! What a recorder counts.

use crate::call::Verdict;
use crate::ingest::Refusal;
use crate::tape::OpenError;
use livetape_audio::{FrameCount, Spec, StreamName};
use livetape_service::metrics::{Counters, Gauge, Histogram, Metrics, MetricsError, SECONDS};

/// The instruments of one recorder.
pub(crate) struct Instruments {
    pub(crate) metrics: Metrics,
    pub(crate) open_recordings: Gauge,
    pub(crate) sources: Gauge,
    pub(crate) waiting_sources: Gauge,
    /// From the arrival of audio until it is durable.
    pub(crate) lag: Histogram,
    /// From the begin of a sync round to its end.
    pub(crate) round: Histogram,
    frames: Counters<1>,
    bytes: Counters<1>,
    refusals: Counters<1>,
    storage_full: Gauge,
}

impl Instruments {
    pub(crate) fn new() -> Result<Self, MetricsError> {
        let m = Metrics::default();
        Ok(Self {
            open_recordings: m.gauge("livetape_recorder_open_recordings", "Recordings that are not sealed.")?,
            sources: m.gauge("livetape_recorder_connected_sources", "Sources that have a stream open.")?,
            waiting_sources: m.gauge(
                "livetape_recorder_waiting_sources",
                "Of these, sources of which nothing is recorded until somebody begins.",
            )?,
            lag: m.histogram(
                "livetape_recorder_durable_lag_seconds",
                "From the arrival of the oldest audio of a commit until it was durable.",
                SECONDS,
            )?,
            round: m.histogram(
                "livetape_recorder_commit_round_seconds",
                "From the begin of a round that writes and syncs all that waits to its end.",
                SECONDS,
            )?,
            frames: m.counters("livetape_recorder_durable_frames_total", "Frames that became durable.", ["stream"])?,
            bytes: m.counters("livetape_recorder_durable_bytes_total", "Audio that became durable.", ["stream"])?,
            refusals: m.counters("livetape_recorder_refusals_total", "Refused opens and calls, by kind.", ["kind"])?,
            storage_full: m.gauge("livetape_recorder_storage_full", "1 while the disk takes no more audio.")?,
            metrics: m,
        })
    }

    /// Frames of a stream have become durable: there is room on the disk.
    pub(crate) fn durable(&self, stream: &StreamName, spec: Spec, frames: FrameCount) {
        if frames.is_zero() {
            return;
        }
        self.frames.with([stream.as_str()]).inc_by(frames.get());
        self.bytes.with([stream.as_str()]).inc_by(spec.bytes(frames));
        self.storage_full.set(0);
    }

    /// The stream has no task any more: what it counted is not shown for ever.
    pub(crate) fn forget(&self, stream: &StreamName) {
        self.frames.forget([stream.as_str()]);
        self.bytes.forget([stream.as_str()]);
    }

    /// A source was refused.
    pub(crate) fn refused(&self, kind: &str) {
        self.refusals.with([kind]).inc();
    }

    /// A stream could not be opened.
    pub(crate) fn not_opened(&self, why: &OpenError) {
        match why {
            OpenError::Full(_) => self.full(),
            OpenError::Unavailable(_) => self.refused("unavailable"),
            OpenError::TooMany(_) => self.refused("too_many_streams"),
            OpenError::Forbidden(_) => self.refused("stream_not_allowed"),
        }
    }

    /// A call was ended.
    pub(crate) fn ended(&self, why: &Verdict) {
        match why {
            Verdict::Ended => {}
            Verdict::Full(_) => self.full(),
            Verdict::Failed(_) => self.refused("storage_failed"),
            Verdict::Replaced => self.refused("superseded"),
            Verdict::Refused(refusal) => self.refused(match refusal {
                Refusal::OldEpoch { .. } => "superseded",
                Refusal::UnknownEpoch { .. } => "unknown_epoch",
                Refusal::Hole { .. } => "hole",
                Refusal::Past { .. } => "past",
                Refusal::HalfFrame { .. } => "half_frame",
            }),
        }
    }

    /// Whether the disk takes audio, as far as is known.
    pub(crate) fn has_room(&self) -> bool {
        self.storage_full.get() == 0
    }

    fn full(&self) {
        self.refused("storage_full");
        self.storage_full.set(1);
    }
}

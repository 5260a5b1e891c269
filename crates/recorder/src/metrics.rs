//! What a recorder counts.

use crate::call::Verdict;
use crate::ingest::Refusal;
use crate::limits::OF_ALL;
use crate::retention::Why;
use crate::tape::OpenError;
use livetape_audio::{Entry, FrameCount, SealReason, Spec, StreamName};
use livetape_service::Rejections;
use livetape_service::metrics::{Counters, Gauge, Gauges, Histogram, Metrics, MetricsError, SECONDS};
use livetape_store::Space;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::Notify;

/// Why opens and calls are refused. All are shown from the start, so that the first one of a kind is seen as an increase.
const REFUSALS: [&str; 12] = [
    "hole",
    "past",
    "half_frame",
    "superseded",
    "unknown_epoch",
    "invalid",
    "too_many_streams",
    "too_many_recordings",
    "stream_not_allowed",
    "unavailable",
    "storage_full",
    "storage_failed",
];

/// What is given up because nobody reads it.
const UNREAD: [&str; 2] = ["call", "connection"];

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
    /// What was refused because of a limit.
    pub(crate) rejections: Rejections,
    unread: Counters<1>,
    removed: Counters<1>,
    retention_in_vain: Gauge,
    /// Of all streams, also of those that are gone.
    written: AtomicU64,
    /// Told when the disk takes no more.
    short: Notify,
    storage_full: Gauge,
    gaps: Counters<1>,
    seals: Counters<1>,
    connected: Gauges<1>,
    silence: Gauges<1>,
    disk_free: Gauge,
    disk_size: Gauge,
}

/// What is shown of a stream that has an open recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OnAir {
    /// Whether a source has it open, or the recording waits for one.
    pub(crate) connected: bool,
    /// How long the newest audio has been silent, in whole seconds.
    pub(crate) silence: Duration,
}

impl OnAir {
    /// Whether a source sends, and for long nothing but silence.
    pub(crate) fn is_dead_air(self) -> bool {
        self.connected && self.silence >= DEAD_AIR
    }
}

/// So much silence is more than a pause.
const DEAD_AIR: Duration = Duration::from_secs(10);

impl Instruments {
    pub(crate) fn new() -> Result<Self, MetricsError> {
        let m = Metrics::default();
        let refusals = m.counters("livetape_recorder_refusals_total", "Refused opens and calls, by kind.", ["kind"])?;
        let seals =
            m.counters("livetape_recorder_sealed_recordings_total", "Sealed recordings, by reason.", ["reason"])?;
        let rejections = Rejections::new(&m, "livetape_recorder_limit_rejections_total")?;
        let unread = "Calls that were given up because nobody read them, and connections that were closed because of such a call.";
        let unread = m.counters("livetape_recorder_unread_total", unread, ["what"])?;
        UNREAD.iter().for_each(|what| drop(unread.with([what])));
        let removed =
            m.counters("livetape_recorder_retention_removed_total", "Recordings that retention removed.", ["why"])?;
        Why::ALL.iter().for_each(|why| drop(removed.with([why.word()])));
        OF_ALL.iter().for_each(|limit| drop(rejections.of(limit)));
        REFUSALS.iter().for_each(|kind| drop(refusals.with([kind])));
        SealReason::ALL.iter().for_each(|reason| drop(seals.with([reason.as_str()])));
        let connected = "1 while a source has the stream open, 0 while its open recording waits for one.";
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
            refusals,
            rejections,
            unread,
            removed,
            retention_in_vain: m.gauge(
                "livetape_recorder_retention_in_vain",
                "1 while the disk is too full although recordings were removed: it has freed nothing.",
            )?,
            written: AtomicU64::new(0),
            short: Notify::new(),
            seals,
            gaps: m.counters("livetape_recorder_gaps_total", "Gaps on timelines.", ["stream"])?,
            connected: m.gauges("livetape_recorder_source_connected", connected, ["stream"])?,
            silence: m.gauges("livetape_recorder_silence_seconds", "How long only silence has come.", ["stream"])?,
            disk_free: m.gauge("livetape_recorder_disk_free_bytes", "Room for audio on the disk.")?,
            disk_size: m.gauge("livetape_recorder_disk_size_bytes", "Size of the disk with the audio.")?,
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
        self.written.fetch_add(spec.bytes(frames), Ordering::Relaxed);
        self.storage_full.set(0);
    }

    /// Shows how a stream is; without an open recording it is shown no more.
    pub(crate) fn on_air(&self, stream: &StreamName, now: Option<OnAir>) {
        let stream = [stream.as_str()];
        match now {
            Some(OnAir { connected, silence }) => {
                // The first gap is an increase, too.
                drop(self.gaps.with(stream));
                self.connected.with(stream).set(connected.into());
                self.silence.with(stream).set(i64::try_from(silence.as_secs()).unwrap_or(i64::MAX));
            }
            None => {
                self.connected.forget(stream);
                self.silence.forget(stream);
            }
        }
    }

    /// Entries go onto a stream's timeline.
    pub(crate) fn noted(&self, stream: &StreamName, entries: &[Entry]) {
        for entry in entries {
            if let Entry::Gap(_) = entry {
                self.gaps.with([stream.as_str()]).inc();
            }
        }
    }

    /// A recording is sealed.
    pub(crate) fn sealed(&self, why: SealReason) {
        self.seals.with([why.as_str()]).inc();
    }

    /// How much room the disk has.
    pub(crate) fn space(&self, Space { free, size }: Space) {
        self.disk_free.set(i64::try_from(free).unwrap_or(i64::MAX));
        self.disk_size.set(i64::try_from(size).unwrap_or(i64::MAX));
    }

    /// The stream has no task any more: what it counted is not shown for ever.
    pub(crate) fn forget(&self, stream: &StreamName) {
        self.on_air(stream, None);
        self.frames.forget([stream.as_str()]);
        self.bytes.forget([stream.as_str()]);
        self.gaps.forget([stream.as_str()]);
    }

    /// A call, or a connection, is given up because nobody reads it.
    pub(crate) fn unread(&self, what: &str) {
        self.unread.with([what]).inc();
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
            OpenError::TooMany(_) => {
                self.rejections.of("streams").inc();
                self.refused("too_many_streams");
            }
            OpenError::TooManyRecordings(_) => {
                self.rejections.of("recordings").inc();
                self.refused("too_many_recordings");
            }
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
        self.short.notify_one();
    }

    /// Waits until the disk takes no more, or for nothing, if it has taken no more since this was last waited for.
    pub(crate) async fn short(&self) {
        self.short.notified().await;
    }

    /// Bytes of audio that became durable.
    pub(crate) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    /// Whether the disk is too full although recordings were removed. How it was before.
    pub(crate) fn retention_in_vain(&self, now: bool) -> bool {
        let before = self.retention_in_vain.get() == 1;
        self.retention_in_vain.set(now.into());
        before
    }

    /// Retention has removed a recording.
    pub(crate) fn removed(&self, why: Why) {
        self.removed.with([why.word()]).inc();
    }
}

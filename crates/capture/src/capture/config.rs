//! What a capture is told to do, and why it may not be able to.

use crate::intake::{IntakeConfig, IntakeError};
use crate::meter::Meter;
use crate::session::{SessionError, Timing};
use crate::shape::Shape;
use crate::source_spec::{SourceSpec, SourceSpecError};
use crate::sources::device::Cards;
use crate::sources::file::Playing;
use crate::spool::{MAX_BYTES, SpoolConfig, SpoolError};
use livetape_audio::{StreamName, Title};
use livetape_proto::{AddressError, RecorderAddress};
use livetape_service::metrics::MetricsError;
use std::fmt;

/// The bounds of [`CaptureConfig::queue_bytes`]: a while of small audio, and what a machine can spare.
pub(super) const QUEUE_BYTES: std::ops::RangeInclusive<u64> = 1 << 20..=1 << 36;

/// What to capture and where to send it.
#[derive(Clone, Debug)]
pub struct CaptureConfig {
    /// The recorder's gRPC address, `http://HOST:PORT`.
    pub recorder_url: RecorderAddress,
    /// The sources; none twice on one stream.
    pub sources: Vec<SourceConfig>,
    /// Where sources of other programs connect; nowhere without.
    pub intake: Option<IntakeConfig>,
    /// Most bytes of audio of each source that wait for the recorder in memory: 1 MiB to 64 GiB; two seconds of it in any case.
    pub queue_bytes: u64,
    /// Where audio goes that waits for longer than a second, and survives the process; without it memory has to do.
    pub spool: Option<SpoolConfig>,
    /// How long to wait for what.
    pub timing: Timing,
    /// Where sound cards are looked for: on this machine.
    pub cards: Cards,
}

impl CaptureConfig {
    /// With the usual limits: 4 MiB of waiting audio for each source, so that a small board has 20 MiB for all of the process,
    /// and no spool.
    pub fn new(recorder_url: impl Into<RecorderAddress>, sources: Vec<SourceConfig>) -> Self {
        Self {
            recorder_url: recorder_url.into(),
            sources,
            intake: None,
            queue_bytes: 4 << 20,
            spool: None,
            timing: Timing::default(),
            cards: Cards::default(),
        }
    }
}

/// One source.
#[derive(Clone, Debug)]
pub struct SourceConfig {
    /// Where its audio goes.
    pub stream: StreamName,
    /// Where it comes from.
    pub source: SourceSpec,
    /// The shape of its audio; a WAV file on stdin brings its own.
    pub shape: Shape,
    /// Frames of a block that a sound card gives at once; without it, 50 ms of audio. Its buffer has two of them.
    pub buffer: Option<u32>,
    /// What takes over while nothing comes of the source.
    pub fallback: Option<SourceSpec>,
    /// How files are played.
    pub playing: Playing,
    /// Who measures it, if somebody does.
    pub meter: Option<Meter>,
    /// Whether being asked to stop is its end: then its recording is sealed, not kept open for it to come back.
    pub ends: bool,
    /// What people see.
    pub title: Title,
    /// What kind of thing is heard, for players and directories.
    pub genre: Title,
}

/// Why nothing can be captured, or which sources failed.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// Not an address of a recorder.
    #[error("{0} (LIVETAPE_RECORDER_URL)")]
    Url(#[from] AddressError),
    /// Out of range.
    #[error("queue_size: {0} bytes of audio that may wait: {min} to {max} are possible", min = QUEUE_BYTES.start(), max = QUEUE_BYTES.end())]
    QueueBytes(u64),
    /// Out of range.
    #[error("spool_size: a spool of {0} bytes: {min} to {max} are possible", min = MAX_BYTES.start(), max = MAX_BYTES.end())]
    SpoolBytes(u64),
    /// A stream's spool cannot be had.
    #[error("stream {stream}: {error} (LIVETAPE_SPOOL_DIR)")]
    Spool {
        /// The stream.
        stream: StreamName,
        /// Why.
        error: SpoolError,
    },
    /// A source cannot make that audio.
    #[error("stream {stream}: {error}")]
    Source {
        /// Its stream.
        stream: StreamName,
        /// Why.
        error: SourceSpecError,
    },
    /// Two sources would take the stream from each other.
    #[error("stream {0} has two sources: give each its own --stream")]
    StreamTwice(StreamName),
    /// There is one standard input.
    #[error("two sources want stdin, but there is only one")]
    StdinTwice,
    /// Nobody can connect to push.
    #[error(transparent)]
    Intake(#[from] IntakeError),
    /// Somebody may push to a stream, and nobody can.
    #[error("stream {0} waits for a source that is pushed, but there is no address for those: say --source-addr")]
    NoIntake(StreamName),
    /// Something cannot be counted, which is a bug.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// Some sources failed; the others went on until they ended or were stopped.
    #[error("{}", .0.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Failed(Vec<SourceFailure>),
}

/// A source that failed.
#[derive(Debug)]
pub struct SourceFailure {
    /// Its stream.
    pub stream: StreamName,
    /// Why; `None` for a panic, which is a bug.
    pub error: Option<SessionError>,
}

impl fmt::Display for SourceFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.error {
            Some(error) => write!(f, "source of stream {}: {error}", self.stream),
            None => write!(f, "source of stream {}: panicked, which is a bug", self.stream),
        }
    }
}

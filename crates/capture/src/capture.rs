//! The capture role: checks what it is told, and runs every configured source.

mod config;
mod running;

pub use config::{CaptureConfig, CaptureError, SourceConfig, SourceFailure};

use crate::intake::Intake;
use crate::intake::ports::Ports;
use crate::link::Destination;
use crate::metrics;
use crate::session::{Session, SessionError, Timing};
use crate::source_spec::{SourceSpec, SourceSpecError};
use crate::spool::{Folder, MAX_BYTES, SpoolConfig};
use crate::station::Station;
use crate::status::{Status, Statuses};
use config::QUEUE_BYTES;
use livetape_audio::{Instance, SourceName, Spec, StreamName};
use livetape_proto::{Opening, RecorderAddress};
use livetape_service::Readiness;
use livetape_service::metrics::Metrics;
use running::{opening, run};
use std::collections::{HashMap, HashSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

/// The connection is checked this often while nothing comes, and counts as dead after as long without an answer.
const KEEPALIVE: Duration = Duration::from_secs(5);
/// How much of a source's audio memory holds in any case: what waits for less than a second goes to no spool.
const LEAST_QUEUE: Duration = Duration::from_secs(2);

/// The checked sources, ready to run.
pub struct Capture {
    config: CaptureConfig,
    launcher: Launcher,
    /// A spool's folder for each source, locked from the start.
    spools: Vec<Option<Folder>>,
    statuses: Vec<watch::Sender<Status>>,
    /// Streams to which others push, as they were configured.
    pushed: HashMap<StreamName, SourceConfig>,
    intake: Option<Intake>,
    metrics: Metrics,
}

/// What every session needs.
#[derive(Clone)]
pub(crate) struct Launcher {
    destination: Destination,
    timing: Timing,
    queue_bytes: u64,
    spool: Option<SpoolConfig>,
    pub(crate) statuses: Statuses,
}

impl Launcher {
    fn session(&self, opening: Opening, ends: bool, folder: Option<Folder>, status: watch::Sender<Status>) -> Session {
        let max_bytes = self.spool.as_ref().map_or(0, |spool| spool.max_bytes);
        let queue_bytes = self.queue_bytes.max(opening.spec.bytes(opening.spec.frames(LEAST_QUEUE)));
        Session {
            destination: self.destination.clone(),
            opening,
            ends,
            timing: self.timing.clone(),
            queue_bytes,
            spool: folder.map(|folder| (folder, max_bytes)),
            status,
            publisher: watch::channel(None).1,
        }
    }

    /// A session that begins while others run, for a stream that has none.
    pub(crate) fn session_of(&self, stream: &StreamName, source: SourceName, spec: Spec, of: Station) -> Session {
        let locked = self.spool.as_ref().map(|spool| Folder::lock(&spool.dir, stream)).transpose();
        let folder = locked.unwrap_or_else(|error| {
            tracing::error!("{error}; capturing without a spool, with memory alone");
            None
        });
        let instance = Instance(uuid::Uuid::new_v4().into_bytes());
        let (stream, Station { title, genre }) = (stream.clone(), of);
        let opening = Opening { stream, source, instance, spec, resume: None, title, genre, ending: false };
        let status = self.statuses.add(opening.stream.clone());
        self.session(opening, false, folder, status)
    }
}

impl Capture {
    /// Checks the configuration. Does not connect: the recorder may come later.
    ///
    /// # Errors
    /// [`CaptureError`] names the setting that is wrong.
    pub async fn bind(mut config: CaptureConfig) -> Result<Self, CaptureError> {
        let destination = destination(&config.recorder_url, config.timing.open)?;
        if !QUEUE_BYTES.contains(&config.queue_bytes) {
            return Err(CaptureError::QueueBytes(config.queue_bytes));
        }
        config.sources.retain(|source| source.source != SourceSpec::None);
        let twice = twice(&config.sources);
        for source in &config.sources {
            let stream = &source.stream;
            let checked = source.shape.spec().map_err(SourceSpecError::from).and_then(|spec| source.source.check(spec));
            checked.map_err(|error| CaptureError::Source { stream: stream.clone(), error })?;
            if let Some(fallback) = &source.fallback {
                let fits = fallback.stands_in_for(&source.source);
                fits.map_err(|error| CaptureError::Source { stream: stream.clone(), error })?;
            }
            if source.source == SourceSpec::Push && config.intake.is_none() {
                return Err(CaptureError::NoIntake(stream.clone()));
            }
        }
        if let Some(stream) = twice {
            return Err(CaptureError::StreamTwice(stream));
        }
        if config.sources.iter().filter(|source| source.source == SourceSpec::Stdin).count() > 1 {
            return Err(CaptureError::StdinTwice);
        }
        let (pushed, own) = config.sources.into_iter().partition(|source| {
            // With a fallback there is always something to record.
            source.source == SourceSpec::Push && source.fallback.is_none()
        });
        config.sources = own;
        let spools = spools(&config)?;
        let all = Statuses::default();
        let statuses: Vec<_> = config.sources.iter().map(|source| all.add(source.stream.clone())).collect();
        let metrics = metrics::declare(&all)?;
        let intake = match config.intake.take() {
            Some(intake) => Intake::bind(intake, &metrics).await?,
            None => None,
        };
        let launcher = Launcher {
            destination,
            timing: config.timing.clone(),
            queue_bytes: config.queue_bytes,
            spool: config.spool.clone(),
            statuses: all,
        };
        let of_stream = |source: SourceConfig| (source.stream.clone(), source);
        let pushed: Vec<SourceConfig> = pushed;
        let pushed = pushed.into_iter().map(of_stream).collect();
        Ok(Self { config, launcher, spools, statuses, pushed, intake, metrics })
    }

    /// Where sources of other programs connect, if they can.
    pub fn source_addr(&self) -> Option<SocketAddr> {
        self.intake.as_ref().map(Intake::local_addr)
    }

    /// How each source is doing, now and later.
    pub fn statuses(&self) -> Vec<(StreamName, watch::Receiver<Status>)> {
        self.launcher.statuses.all()
    }

    /// Ready once every source was opened. One that goes away later is looked for here, and nothing else would help.
    pub fn readiness(&self) -> Readiness {
        let (readiness, statuses) = (Readiness::default(), self.statuses());
        let all = |holds: fn(&Status) -> bool| {
            let statuses = statuses.clone();
            move || statuses.iter().all(|(_, status)| holds(&status.borrow()))
        };
        readiness.needs("sources", all(|status| status.begun));
        if self.config.sources.iter().any(|source| matches!(source.source, SourceSpec::Device(_))) {
            readiness.tells("sound card", all(|status| status.card.is_none_or(|card| card.present)));
        }
        readiness.tells("recorder", all(|status| status.connected));
        readiness
    }

    /// What it counts.
    pub fn metrics(&self) -> Metrics {
        self.metrics.clone()
    }

    /// Captures until every source has ended, or until `shutdown` and the flush after it. One that fails is logged and
    /// the others go on. With an address for pushed sources it goes on after that, unless one has failed: nobody may have
    /// asked for that address. Without sources and without it, it returns at once.
    ///
    /// # Errors
    /// [`CaptureError::Failed`] with every source that failed.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), CaptureError> {
        let (mut tasks, mut streams) = (JoinSet::new(), HashMap::new());
        let own = |source: &&SourceConfig| source.source != SourceSpec::Push;
        let taken = self.config.sources.iter().filter(own).map(|source| source.stream.clone()).collect();
        let most = self.intake.as_ref().map_or(0, Intake::most);
        let pushing = shutdown.child_token();
        let ports = Ports::new(self.launcher.clone(), self.pushed, most, pushing.clone());
        for ((source, spool), status) in self.config.sources.into_iter().zip(self.spools).zip(self.statuses) {
            let stream = source.stream.clone();
            let Ok(spec) = source.shape.spec() else { continue };
            let session = self.launcher.session(opening(&source, spec), source.ends, spool, status);
            let span = tracing::info_span!("source", %stream, source = %source.source);
            let running = run(session, source, self.config.cards.clone(), Arc::clone(&ports), shutdown.clone());
            let task = tasks.spawn(running.instrument(span));
            streams.insert(task.id(), stream);
        }
        let asked_for = async {
            let outcome = outcomes(tasks, streams).await;
            if outcome.is_err() {
                pushing.cancel();
            }
            outcome
        };
        let intake = async {
            let Some(intake) = self.intake else { return };
            intake.run(ports, taken, pushing.clone()).await;
        };
        tokio::join!(intake, asked_for).1
    }
}

/// What becomes of the sources.
async fn outcomes(
    mut tasks: JoinSet<Result<(), SessionError>>,
    mut streams: HashMap<tokio::task::Id, StreamName>,
) -> Result<(), CaptureError> {
    let mut failed = Vec::new();
    while let Some(outcome) = tasks.join_next_with_id().await {
        let (id, error) = match outcome {
            Ok((_, Ok(()))) => continue,
            Ok((id, Err(error))) => (id, Some(error)),
            Err(panic) => (panic.id(), None),
        };
        if let Some(stream) = streams.remove(&id) {
            let failure = SourceFailure { stream, error };
            tracing::error!("{failure}");
            failed.push(failure);
        }
    }
    if failed.is_empty() { Ok(()) } else { Err(CaptureError::Failed(failed)) }
}

/// A stream with more than one source.
fn twice(sources: &[SourceConfig]) -> Option<StreamName> {
    let mut streams = HashSet::new();
    sources.iter().map(|source| &source.stream).find(|stream| !streams.insert(*stream)).cloned()
}

/// Takes the folder of each source's spool, before anything begins.
fn spools(config: &CaptureConfig) -> Result<Vec<Option<Folder>>, CaptureError> {
    let Some(spool) = &config.spool else { return Ok(config.sources.iter().map(|_| None).collect()) };
    if !MAX_BYTES.contains(&spool.max_bytes) {
        return Err(CaptureError::SpoolBytes(spool.max_bytes));
    }
    let lock = |source: &SourceConfig| {
        let stream = &source.stream;
        let folder = Folder::lock(&spool.dir, stream);
        folder.map(Some).map_err(|error| CaptureError::Spool { stream: stream.clone(), error })
    };
    config.sources.iter().map(lock).collect()
}

fn destination(recorder: &RecorderAddress, patience: Duration) -> Result<Destination, CaptureError> {
    let endpoint = recorder.endpoint()?.with(|endpoint| {
        endpoint
            .connect_timeout(patience)
            .tcp_nodelay(true)
            .http2_keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE)
            .keep_alive_while_idle(true)
    });
    Ok(Destination { endpoint, recorder: recorder.clone() })
}

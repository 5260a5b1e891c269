//! The capture role: runs every configured source.

use crate::intake::ports::Ports;
use crate::intake::{Intake, IntakeConfig, IntakeError};
use crate::link::Destination;
use crate::meter::{Meter, Metered};
use crate::metrics;
use crate::session::{Session, SessionError, Timing};
use crate::shape::Shape;
use crate::source_spec::{SourceSpec, SourceSpecError};
use crate::sources::device::{Cards, Device, Wish};
use crate::sources::fallback::{Backup, Fallback};
use crate::sources::file::{Files, Playing};
use crate::sources::relay::{Relay, RelayUrl};
use crate::sources::{Generator, Source, SourceError, Stdin, process_stdin, voice};
use crate::spool::{Folder, MAX_BYTES, SpoolConfig, SpoolError};
use crate::station::Station;
use crate::status::{Status, Statuses};
use livetape_audio::{Instance, SourceName, Spec, StreamName, Title};
use livetape_proto::Opening;
use livetape_proto::{AddressError, RecorderAddress};
use livetape_service::Readiness;
use livetape_service::metrics::{Metrics, MetricsError};
use std::collections::{HashMap, HashSet};
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::Instrument as _;

/// The connection is checked this often while nothing comes, and counts as dead after as long without an answer.
const KEEPALIVE: Duration = Duration::from_secs(5);
/// The bounds of [`CaptureConfig::queue_bytes`]: a while of small audio, and what a machine can spare.
const QUEUE_BYTES: std::ops::RangeInclusive<u64> = 1 << 20..=1 << 36;

/// How much of a source's audio memory holds in any case: what waits for less than a second goes to no spool.
const LEAST_QUEUE: Duration = Duration::from_secs(2);

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

fn opening(source: &SourceConfig, spec: Spec) -> Opening {
    Opening {
        stream: source.stream.clone(),
        source: source.source.name(),
        instance: Instance(uuid::Uuid::new_v4().into_bytes()),
        spec,
        resume: None,
        title: source.title.clone(),
        genre: source.genre.clone(),
        ending: false,
    }
}

async fn run(
    session: Session,
    source: SourceConfig,
    cards: Cards,
    ports: Arc<Ports>,
    shutdown: CancellationToken,
) -> Result<(), SessionError> {
    let spec = session.opening.spec;
    if let SourceSpec::File(path) = &source.source {
        let files = tokio::select! {
            files = Files::open(path, source.playing, source.shape) => files.map_err(SourceError::from)?,
            () = shutdown.cancelled() => return Ok(()),
        };
        return run_source(session, files, source.meter, shutdown).await;
    }
    if let SourceSpec::Device(card) = source.source.clone() {
        let wish = Wish { shape: source.shape, buffer: source.buffer };
        let device = tokio::select! {
            device = Device::open(cards, card, wish, session.status.clone()) => device.map_err(SourceError::from)?,
            () = shutdown.cancelled() => return Ok(()),
        };
        return run_backed(session, device, source, shutdown).await;
    }
    if let SourceSpec::Relay(url) = source.source.clone() {
        return run_relay(session, url, source, shutdown).await;
    }
    if source.source == SourceSpec::Push {
        let (stream, (pushed, running)) = (source.stream.clone(), ports.hold(&source.stream, spec));
        let session = Session { publisher: running.publisher(), ..session };
        let outcome = run_backed(session, pushed, source, shutdown).await;
        ports.over(&stream, &running, &outcome);
        return outcome;
    }
    match voice(&source.source, spec).map_err(SourceError::from)? {
        Some(voice) => run_source(session, Generator::new(voice, spec), source.meter, shutdown).await,
        None => {
            let reader = process_stdin().map_err(SourceError::from)?;
            let stdin = tokio::select! {
                stdin = Stdin::open(reader, spec) => stdin?,
                () = shutdown.cancelled() => return Ok(()),
            };
            run_backed(session, stdin, source, shutdown).await
        }
    }
}

async fn run_relay(
    mut session: Session,
    url: RelayUrl,
    source: SourceConfig,
    shutdown: CancellationToken,
) -> Result<(), SessionError> {
    let relay = match source.fallback {
        Some(_) => tokio::select! {
            relay = Relay::start(url, session.opening.spec) => relay,
            () = shutdown.cancelled() => return Ok(()),
        },
        None => tokio::select! {
            relay = Relay::open(url, source.shape) => relay?,
            () = shutdown.cancelled() => return Ok(()),
        },
    };
    let Opening { title, genre, .. } = session.opening;
    let Station { title, genre } = Station { title, genre }.or(relay.station().clone());
    session.opening = Opening { title, genre, ..session.opening };
    run_backed(session, relay, source, shutdown).await
}

/// With its fallback, if it has one.
async fn run_backed(
    session: Session,
    main: impl Source,
    source: SourceConfig,
    shutdown: CancellationToken,
) -> Result<(), SessionError> {
    let backup = match source.fallback {
        None => return run_source(session, main, source.meter, shutdown).await,
        Some(SourceSpec::File(path)) => {
            let playing = Playing { repeat: true, ..Playing::default() };
            let files = Files::open(&path, playing, main.spec().into()).await;
            Backup::Files(Box::new(files.map_err(SourceError::from)?))
        }
        Some(voice) => Backup::Voice(voice, None),
    };
    run_source(session, Fallback::new(main, backup), source.meter, shutdown).await
}

async fn run_source(
    mut session: Session,
    source: impl Source,
    meter: Option<Meter>,
    shutdown: CancellationToken,
) -> Result<(), SessionError> {
    session.opening.spec = source.spec();
    session.status.send_modify(|status| status.begun = true);
    match meter {
        Some(meter) => session.run(Metered { source, meter }, shutdown).await,
        None => session.run(source, shutdown).await,
    }
}

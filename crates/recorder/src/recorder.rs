//! The recorder role: configuration, recovery, serving, stopping.

use crate::archive::Archive;
use crate::board::Board;
use crate::committer::Committer;
use crate::incoming::{Doors, incoming};
use crate::ingest::Position;
use crate::keeper::Keeper;
use crate::limits::{Limits, NAMES};
use crate::metrics::Instruments;
use crate::open_tape::OpenTape;
use crate::retention::{self, Retention};
use crate::server;
use crate::stream::{SEAL_RETRY, Shared};
use crate::streams::Streams;
use crate::tape;
use crate::waveforms::{self, Waveforms};
use anyhow::Context;
use livetape_access::{Access, Grants};
use livetape_audio::{Durable, Frame, RecordingId, SealReason, StreamRules, Tail};
use livetape_service::{Limiter, Metrics, Proxies, Readiness, Tasks, Tls, TlsFiles};
use livetape_store::{Catalogue, DataDir, Disk, Recording, StreamInfo, TapeWriter, TimelineFollower};
use livetape_tail::Publisher;
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// How long connections may take to end when all calls have ended.
const LINGER: Duration = Duration::from_secs(2);
/// How long the disk may take for what is pending when the recorder stops.
const LAST_COMMIT: Duration = Duration::from_secs(30);

/// What a recorder needs to know.
#[derive(Clone)]
pub struct RecorderConfig {
    /// Where recordings are kept.
    pub data_dir: PathBuf,
    /// Where sources connect.
    pub grpc_addr: SocketAddr,
    /// Who may what. Without it everybody may everything on a loopback address, and no other address is taken.
    pub access: Option<Arc<Access>>,
    /// Certificate and key of the address; without them it is not encrypted.
    pub tls: Option<TlsFiles>,
    /// Time between two sync rounds: how much audio a power cut may cost.
    pub sync_interval: Duration,
    /// How long a source may be away before its recording is sealed.
    pub resume_window: Duration,
    /// A recording rolls into a next one at the first 00:00 UTC after it is this long.
    pub roll_after: Duration,
    /// Which streams sources may open, and when those are recorded.
    pub rules: StreamRules,
    /// How much is kept.
    pub retention: Retention,
    /// Bounds.
    pub limits: Limits,
    /// Proxies that are believed when they say for whom they call. None by default.
    pub proxies: Proxies,
    /// The disk, which tests let fail.
    pub disk: Disk,
}

/// A recorder that has recovered what was there and whose address is known.
pub struct Recorder {
    listener: TcpListener,
    addr: SocketAddr,
    shared: Arc<Shared>,
    open: Vec<OpenTape>,
    unsealed: Vec<Unsealed>,
    retention: Retention,
    doors: Doors,
}

/// A recording that has ended, and that the disk has not let be sealed.
struct Unsealed {
    tape: TapeWriter,
    why: SealReason,
    next: RecordingId,
}

impl Recorder {
    /// Takes the address, locks the data folder, recovers its open recordings and publishes their tails.
    ///
    /// # Errors
    /// If another recorder has the folder, the folder cannot be used, or the address cannot be bound or is open to
    /// other machines although nobody said who may what.
    pub async fn bind(config: RecorderConfig, tails: Arc<dyn Publisher>) -> anyhow::Result<Self> {
        let addr = config.grpc_addr;
        let is_local = addr.ip().to_canonical().is_loopback();
        let access = match config.access {
            Some(access) if is_local || access.lets_somebody_in() => access,
            None if is_local => Access::of_this_machine(Grants::default())?,
            _ => anyhow::bail!(
                "{addr} can be reached from other machines, and nobody said who may record there: use a loopback address, \
                 say who may with LIVETAPE_ACCESS, or say that anybody may with LIVETAPE_ANONYMOUS=publish"
            ),
        };
        let tls =
            config.tls.map(|files| Tls::load(files, &[b"h2"])).transpose().context(livetape_service::tls::SETTINGS)?;
        // Before anything is made; who connects meanwhile waits for the recovery.
        let listener = TcpListener::bind(addr).await;
        let listener = listener.with_context(|| format!("cannot listen on {addr} (LIVETAPE_GRPC_ADDR)"))?;
        let addr = listener.local_addr()?;
        let (path, disk, keep) = (config.data_dir.clone(), config.disk.clone(), config.retention);
        let (dir, recordings) = tokio::task::spawn_blocking(move || {
            let dir = DataDir::open(&path, disk)?;
            keep.check(dir.space()?)?;
            dir.tidy();
            let scan = dir.scan()?;
            for problem in &scan.problems {
                tracing::warn!(path = %problem.path.display(), what = %problem.what, "left as it is: not a recording");
            }
            anyhow::Ok((dir, scan.recordings))
        })
        .await?
        .with_context(|| format!("data folder {} (LIVETAPE_DATA_DIR)", config.data_dir.display()))?;
        let instruments = Arc::new(Instruments::new()?);
        let committer = Committer::start(&dir, config.sync_interval, Arc::clone(&instruments))?;
        let doors = Doors {
            tls,
            limiter: Arc::new(Limiter::new(config.limits.clients.clone(), NAMES, &instruments.rejections)),
            proxies: Arc::new(config.proxies),
            most: config.limits.connections,
            full: instruments.rejections.of("grpc_connections"),
            silent: instruments.rejections.of("silent_connections"),
            idle: instruments.rejections.of("idle_connections"),
        };
        let shared = Arc::new(Shared {
            dir,
            access,
            archive: Arc::new(Archive::default()),
            tails: Board::new(tails),
            committer,
            resume_window: config.resume_window,
            roll_after: config.roll_after,
            rules: config.rules,
            limits: config.limits,
            instruments,
            waveforms: Waveforms::default(),
            unsaid: Default::default(),
            desks: Arc::default(),
        });
        let recovering = Arc::clone(&shared);
        let (open, unsealed) = tokio::task::spawn_blocking(move || recover(&recovering, recordings)).await?;
        Ok(Self { listener, addr, shared, open, unsealed, retention: config.retention, doors })
    }

    /// Where sources connect.
    pub const fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// The recordings, kept up to date while the recorder runs.
    pub fn catalogue(&self) -> Arc<Catalogue> {
        Arc::clone(&self.shared.archive.all)
    }

    /// Ready as soon as it is bound: what there was is recovered then. A full disk is only told: sources have to reach
    /// the recorder to learn of it, and listeners to hear what there is.
    pub fn readiness(&self) -> Readiness {
        let (readiness, instruments) = (Readiness::default(), Arc::clone(&self.shared.instruments));
        readiness.tells("room on the disk", move || instruments.has_room());
        readiness
    }

    /// What it counts.
    pub fn metrics(&self) -> Metrics {
        self.shared.instruments.metrics.clone()
    }

    /// The data folder; the lock lasts as long as a clone of it.
    pub fn data_dir(&self) -> DataDir {
        self.shared.dir.clone()
    }

    /// Serves until `shutdown`; then calls end, and what they brought is committed.
    ///
    /// # Errors
    /// If serving fails or a task ends unasked.
    pub async fn run(self, shutdown: CancellationToken) -> anyhow::Result<()> {
        let tasks = Tasks::new(shutdown.clone());
        let streams = Arc::new(Streams::new(Arc::clone(&self.shared), tasks.clone()));
        for open in self.open {
            streams.resume(open);
        }
        let calls = TaskTracker::new();
        let keeper = Keeper::new(Arc::clone(&self.shared), Arc::clone(&streams));
        let server = server::router(&self.shared, &streams, &keeper, &calls, &shutdown, &self.doors).await?;
        let incoming = incoming(self.listener, self.doors);
        let (stopping, all_ended) = (shutdown.clone(), CancellationToken::new());
        let ended = all_ended.clone();
        tasks.spawn("grpc", async move {
            let served = server.serve_with_incoming_shutdown(incoming, stopping.cancelled_owned());
            // A connection that is open, without a call or with one that takes no answers, ends with the process.
            tokio::select! {
                served = served => Ok(served?),
                () = async { ended.cancelled().await; tokio::time::sleep(LINGER).await } => Ok(()),
            }
        });
        let (access, following) = (Arc::clone(&self.shared.access), shutdown.clone());
        tasks.spawn("access", async move {
            let _ = following.run_until_cancelled_owned(access.follow()).await;
            Ok(())
        });
        let (seals, sealing) = (seal_late(Arc::clone(&self.shared), self.unsealed), shutdown.clone());
        tasks.spawn("late seals", async move { sealing.run_until_cancelled_owned(seals).await.unwrap_or(Ok(())) });
        let (waveforms, making) = (waveforms::run(Arc::clone(&self.shared)), shutdown.clone());
        tasks.spawn("waveforms", async move {
            let _ = making.run_until_cancelled_owned(waveforms).await;
            Ok(())
        });
        let (keep, keeping) = (retention::run(self.retention, self.shared, keeper), shutdown.clone());
        tasks.spawn("retention", async move {
            let _ = keeping.run_until_cancelled_owned(keep).await;
            Ok(())
        });
        tasks.shutdown().cancelled().await;
        calls.close();
        calls.wait().await;
        all_ended.cancel();
        // The streams' tasks end when nobody can send them commands any more.
        streams.stop();
        let finished = tokio::time::timeout(LAST_COMMIT, tasks.finish()).await;
        finished.context("the disk did not take what was pending in time")?
    }
}

/// Fills the catalogue, opens what was open, publishes the tails. A recording that cannot be recovered is left as it
/// is, said, and does not keep the others from going on.
fn recover(shared: &Shared, recordings: Vec<Recording>) -> (Vec<OpenTape>, Vec<Unsealed>) {
    let mut ids: BTreeMap<_, BTreeMap<_, _>> = BTreeMap::new();
    for recording in &recordings {
        ids.entry(recording.stream.clone()).or_default().insert(recording.id, recording.spec);
    }
    for stream in ids.keys() {
        shared.archive.inform(stream, StreamInfo { mode: shared.rules.mode(stream), ..StreamInfo::default() });
    }
    let (mut open, mut unsealed) = (Vec::new(), Vec::new());
    for recording in recordings {
        let later = (Bound::Excluded(recording.id), Bound::Unbounded);
        let next = ids.get(&recording.stream).and_then(|ids| ids.range(later).next()).map(|(&id, &spec)| (id, spec));
        shared.archive.insert(recording.clone());
        if recording.seal.is_none() {
            match (recover_one(shared, recording), next) {
                (None, _) => {}
                (Some(tape), None) => open.push(tape),
                (Some(tape), Some((next, spec))) => {
                    // The process ended between making the next recording and sealing this one.
                    let is_same = spec == tape.recording().spec;
                    let why = if is_same { SealReason::Rolled } else { SealReason::SpecChanged };
                    unsealed.extend(seal_one(shared, Unsealed { tape, why, next }));
                }
            }
        }
    }
    (open.into_iter().map(|tape| reopen(shared, tape)).collect(), unsealed)
}

/// Seals a recording, or gives it back.
fn seal_one(shared: &Shared, mut unsealed: Unsealed) -> Option<Unsealed> {
    match tape::seal(&mut unsealed.tape, unsealed.why, Some(unsealed.next)) {
        Ok(sealed) => {
            tape::announce(shared, sealed);
            None
        }
        Err(error) => {
            let Recording { stream, id, .. } = unsealed.tape.recording();
            tracing::error!(%stream, recording = %id, %error, "cannot be sealed; trying again");
            Some(unsealed)
        }
    }
}

/// Tries for as long as it takes, and never ends.
async fn seal_late(shared: Arc<Shared>, mut unsealed: Vec<Unsealed>) -> anyhow::Result<()> {
    while !unsealed.is_empty() {
        tokio::time::sleep(SEAL_RETRY).await;
        let shared = Arc::clone(&shared);
        let sealing = move || unsealed.into_iter().filter_map(|one| seal_one(&shared, one)).collect();
        unsealed = tokio::task::spawn_blocking(sealing).await?;
    }
    std::future::pending().await
}

/// Opens a recording that was not sealed.
fn recover_one(shared: &Shared, recording: Recording) -> Option<TapeWriter> {
    let (stream, id) = (recording.stream.clone(), recording.id);
    let (tape, recovery) = match TapeWriter::recover(&shared.dir, recording, tape::now()) {
        Ok(recovered) => recovered,
        Err(error) => {
            tracing::error!(%stream, recording = %id, %error, "cannot be recovered and is left as it is");
            shared.archive.remove(id);
            return None;
        }
    };
    tracing::info!(%stream, recording = %id, ?recovery, "recovered");
    shared.tails.publish(id, Tail::open(tape.durable(), shared.dir.generation()));
    Some(tape)
}

/// Goes on with a tape. An empty one goes on where the one before was sealed, so that a gap between them is seen.
fn reopen(shared: &Shared, tape: TapeWriter) -> OpenTape {
    let (id, end) = (tape.recording().id, tape.durable().end());
    let mut open = shared.open_tape(tape);
    let before = shared.archive.all.previous(id).filter(|_| end == Frame::ZERO);
    if let Some(before) = before.filter(|before| before.seal.is_some_and(|seal| seal.next == Some(id)))
        && let Some(tail) = before.sealed_tail(shared.dir.generation())
    {
        let mut follower = TimelineFollower::open(&shared.dir, &before);
        match follower.refresh(&tail) {
            Ok(()) => open.ingest.goes_on_after(Position::of(follower.timeline(), Durable(tail.end)), before.instance),
            Err(error) => tracing::warn!(recording = %before.id, %error, "its timeline cannot be read"),
        }
    }
    open
}

impl std::fmt::Debug for Recorder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Recorder").field("addr", &self.addr).field("open", &self.open.len()).finish_non_exhaustive()
    }
}

//! A role that runs in this process: started by name, stopped by its own token, never lost. And what all of them say
//! and share.

use anyhow::{Context, anyhow};
use livetape_capture::{Capture, CaptureError, SessionError};
use livetape_gateway::Gateway;
use livetape_service::{Metrics, OpsListener, Readiness};
use livetape_tail::redis::{RedisConfig, RedisPublisher};
use std::future::Future;
use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// How long Redis may take for the last tails of a recorder that stops.
const LAST_WORD: Duration = Duration::from_secs(2);

/// A running role.
pub(crate) struct Role {
    name: &'static str,
    shutdown: CancellationToken,
    ended: CancellationToken,
    running: JoinHandle<anyhow::Result<()>>,
}

impl Role {
    /// Runs a role that ends only when it is asked to; ending before that stops everything.
    pub(crate) fn start<F, E>(
        name: &'static str,
        all: &CancellationToken,
        run: impl FnOnce(CancellationToken) -> F,
    ) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<anyhow::Error> + Send + 'static,
    {
        Self::spawn(name, all, run, |asked, outcome| match outcome {
            Ok(()) if !asked => Err(anyhow!("ended unasked")),
            outcome => outcome,
        })
    }

    /// Runs sources, which may also end by themselves; only a failure stops everything.
    pub(crate) fn capture(capture: Capture, all: &CancellationToken) -> Self {
        let run = |shutdown| async { unless_replaced(capture.run(shutdown).await) };
        Self::spawn("capture", all, run, |_, outcome| outcome)
    }

    /// Runs the listener for those who watch the process.
    pub(crate) fn ops(ops: OpsListener, all: &CancellationToken) -> Self {
        Self::start("ops", all, |shutdown| async {
            ops.run(shutdown).await;
            anyhow::Ok(())
        })
    }

    fn spawn<F, E>(
        name: &'static str,
        all: &CancellationToken,
        run: impl FnOnce(CancellationToken) -> F,
        judge: impl FnOnce(bool, anyhow::Result<()>) -> anyhow::Result<()> + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<anyhow::Error> + Send + 'static,
    {
        let (shutdown, ended, all) = (CancellationToken::new(), CancellationToken::new(), all.clone());
        let work = tokio::spawn(run(shutdown.clone()));
        let (asked, end) = (shutdown.clone(), ended.clone().drop_guard());
        let running = tokio::spawn(async move {
            let _end = end;
            let outcome = work.await.map_err(anyhow::Error::from).and_then(|outcome| outcome.map_err(Into::into));
            let outcome = judge(asked.is_cancelled(), outcome);
            if let Err(error) = &outcome {
                tracing::error!("{name}: {error:#}");
                all.cancel();
            }
            outcome
        });
        Self { name, shutdown, ended, running }
    }

    /// Waits until the role has ended.
    pub(crate) fn ended(&self) -> impl Future<Output = ()> + use<> {
        self.ended.clone().cancelled_owned()
    }

    /// Asks the role to end and waits for it. Roles bound their own waiting.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        self.running.await?.context(self.name)
    }
}

/// Another program that takes a stream over is no reason to stop serving it.
fn unless_replaced(outcome: Result<(), CaptureError>) -> Result<(), CaptureError> {
    match outcome {
        Err(CaptureError::Failed(mut failed)) => {
            failed.retain(|source| !matches!(source.error, Some(SessionError::Superseded(_))));
            if failed.is_empty() { Ok(()) } else { Err(CaptureError::Failed(failed)) }
        }
        outcome => outcome,
    }
}

/// Starts telling Redis how far recordings go, if there is one, and shows whether it takes it.
pub(crate) fn publish_to(redis: Option<RedisConfig>, metrics: &Metrics) -> anyhow::Result<Option<Arc<RedisPublisher>>> {
    let Some(config) = redis else { return Ok(None) };
    let publisher = RedisPublisher::start(config);
    let (works, help) = (publisher.probe(), "1 while Redis takes what is said to it.");
    metrics.value("livetape_recorder_redis_works", help, move || f64::from(u8::from(works())))?;
    Ok(Some(Arc::new(publisher)))
}

/// Waits until Redis has heard the last of it, but not for long: gateways ask the recorder, too.
pub(crate) async fn last_word(redis: Option<Arc<RedisPublisher>>) {
    if let Some(redis) = redis {
        redis.flush(LAST_WORD).await;
    }
}

/// A process that stops is not ready.
pub(crate) fn running(readiness: &Readiness, stop: &CancellationToken) {
    let stop = stop.clone();
    readiness.needs("running", move || !stop.is_cancelled());
}

/// Recording goes on without Redis.
pub(crate) fn publishing(readiness: &Readiness, redis: Option<&RedisPublisher>) {
    if let Some(redis) = redis {
        readiness.tells("redis", redis.probe());
    }
}

/// Stops the listener for those who watch the process.
pub(crate) async fn stop_ops(ops: Option<Role>) -> anyhow::Result<()> {
    match ops {
        Some(ops) => ops.stop().await,
        None => Ok(()),
    }
}

/// The address as somebody on this machine reaches it.
pub(crate) fn reachable(addr: SocketAddr) -> SocketAddr {
    let ip = match addr.ip() {
        ip if !ip.is_unspecified() => ip,
        IpAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    SocketAddr::new(ip, addr.port())
}

/// Where somebody on this machine finds what listens there.
pub(crate) fn url(addr: SocketAddr) -> String {
    format!("http://{}", reachable(addr))
}

/// The address of a gateway's page as somebody on this machine reaches it.
pub(crate) fn web(gateway: &Gateway) -> String {
    let scheme = if gateway.is_encrypted() { "https" } else { "http" };
    format!("{scheme}://{}/", reachable(gateway.local_addr()))
}

/// A clock that shows an earlier time than this was never set: the begin of 2024, in seconds since 1970.
const SURELY_PAST: u64 = 1_704_067_200;

/// Warns of a clock that was never set, as on a machine without a battery before it has a network.
pub(crate) fn look_at_the_clock() {
    let now = std::time::UNIX_EPOCH.elapsed().unwrap_or_default();
    if now.as_secs() < SURELY_PAST {
        let now = livetape_audio::WallTime::default().later(now);
        tracing::warn!(%now, "the clock of this machine is not set; times of day are wrong until it is (NTP), audio is not");
    }
}

/// Says where everything is, for people, for programs that started this one, and for service managers.
pub(crate) fn announce(said: &[(&str, String)], stop: &CancellationToken) -> std::io::Result<()> {
    livetape_service::systemd::ready(stop.clone());
    let mut out = std::io::stdout().lock();
    for (what, url) in said {
        writeln!(out, "{what}: {url}")?;
    }
    out.flush()
}

//! `/healthz`, `/readyz` and `/metrics` of a process, on an address of their own.
//!
//! Well means that the process answers at all: whoever restarts it for less would only make a passing trouble worse.
//! Ready means that every condition holds that is needed. Each connection is good for one request and lasts a few seconds, there
//! are few at once, and whatever is not such a request costs no more: when another one comes, the oldest of whoever has most of them goes, so that nobody
//! keeps whoever watches over the process from asking. With TLS only this machine may ask without. On a loopback address only loopback names are
//! answered, so that no web page reads along under a name that it points here. Not here: what a role needs to be ready.

use crate::limits::{Rejections, Silent};
use crate::metrics::{Counter, Metrics, MetricsError};
use crate::tls::{self, Tls, TlsError, TlsFiles};
use axum::Router;
use axum::extract::{Request, State};
use axum::middleware::{Next, from_fn};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::uri::Authority;
use http::{StatusCode, header};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Connections at once.
const CONNECTIONS: usize = 64;
/// For a request to arrive and its answer to leave.
const PATIENCE: Duration = Duration::from_secs(10);
/// After a failed accept, as when there are no more file descriptors.
const BREATH: Duration = Duration::from_millis(100);
/// What bounds are called: of connections, and of the time that each may take.
const LIMITS: [&str; 2] = ["ops_connections", "ops_time"];
/// Bytes of a request's head.
const HEAD: usize = 16 * 1024;

/// What a role says of how it is: conditions with names, looked at whenever somebody asks. Those that are needed decide
/// whether it is ready; the others are only told, because the role goes on without, or because neither a restart nor
/// sending clients elsewhere would mend them. Clones share them.
#[derive(Clone, Default)]
pub struct Readiness(Arc<Mutex<Vec<Condition>>>);

#[derive(Clone)]
struct Condition {
    name: &'static str,
    needed: bool,
    holds: Arc<dyn Fn() -> bool + Send + Sync>,
}

impl Readiness {
    /// It is ready only while this holds.
    pub fn needs(&self, name: &'static str, holds: impl Fn() -> bool + Send + Sync + 'static) {
        self.add(Condition { name, needed: true, holds: Arc::new(holds) });
    }

    /// It tells whether this holds, and goes on without.
    pub fn tells(&self, name: &'static str, holds: impl Fn() -> bool + Send + Sync + 'static) {
        self.add(Condition { name, needed: false, holds: Arc::new(holds) });
    }

    /// Says what `role` says by now, too.
    pub fn include(&self, role: &Self) {
        role.conditions().into_iter().for_each(|condition| self.add(condition));
    }

    fn add(&self, condition: Condition) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push(condition);
    }

    /// What is needed, each with 1 if it holds.
    fn numbers(&self) -> Vec<(String, f64)> {
        let needed = self.conditions().into_iter().filter(|one| one.needed);
        needed.map(|one| (one.name.to_owned(), f64::from(u8::from((one.holds)())))).collect()
    }

    fn conditions(&self) -> Vec<Condition> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The answer to whoever asks at `/readyz`: `ready`, or `not ready` and what is missing; then each condition by itself.
    pub fn answer(&self) -> Response {
        let looked: Vec<_> = self.conditions().into_iter().map(|one| ((one.holds)(), one)).collect();
        let missing = looked.iter().filter(|(holds, one)| one.needed && !holds).map(|(_, one)| one.name);
        let missing = missing.collect::<Vec<_>>().join(", ");
        let (status, mut said) = match missing.is_empty() {
            true => (StatusCode::OK, "ready\n".to_owned()),
            false => (StatusCode::SERVICE_UNAVAILABLE, format!("not ready: {missing}\n")),
        };
        for (holds, Condition { name, needed, .. }) in looked {
            said += &match (holds, needed) {
                (true, _) => format!("{name}: yes\n"),
                (false, true) => format!("{name}: no\n"),
                (false, false) => format!("{name}: no, goes on without\n"),
            };
        }
        text(status, said)
    }
}

impl std::fmt::Debug for Readiness {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<_> = self.conditions().into_iter().map(|one| one.name).collect();
        f.debug_tuple("Readiness").field(&names).finish()
    }
}

/// What is true of every process.
fn declare(readiness: &Readiness, metrics: &Metrics) -> Result<(), MetricsError> {
    let readiness = readiness.clone();
    let conditions = "1 while this condition of readiness holds.";
    metrics.reading("livetape_process_ready", conditions, "condition", move || readiness.numbers())?;
    let version = || vec![(env!("CARGO_PKG_VERSION").to_owned(), 1.0)];
    metrics.reading("livetape_process_info", "The version that runs.", "version", version)
}

/// Where to listen.
#[derive(Clone, Debug)]
pub struct OpsConfig {
    /// The address; port 0 takes a free one.
    pub addr: SocketAddr,
    /// Whether other machines may ask.
    pub anonymous: bool,
    /// Certificate and key: then only connections from this machine may be unencrypted.
    pub tls: Option<TlsFiles>,
}

impl Default for OpsConfig {
    /// 127.0.0.1:9464, for this machine alone.
    fn default() -> Self {
        Self { addr: SocketAddr::from(([127, 0, 0, 1], 9464)), anonymous: false, tls: None }
    }
}

/// Why it cannot listen.
#[derive(Debug, thiserror::Error)]
pub enum OpsError {
    /// An address that others can reach, and nobody said that they may.
    #[error(
        "{0} can be reached from other machines, and whoever reaches it could see how this one is doing: use a loopback \
         address such as 127.0.0.1:9464, or allow it with `--anonymous watch` (LIVETAPE_ANONYMOUS=watch)"
    )]
    Exposed(SocketAddr),
    /// The address cannot be used.
    #[error("cannot listen on {addr} (LIVETAPE_OPS_ADDR): {source}")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// What it would show cannot be declared.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
    /// Certificate or key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Listens already; [`OpsListener::run`] answers.
#[derive(Debug)]
pub struct OpsListener {
    listener: TcpListener,
    addr: SocketAddr,
    router: Router,
    tls: Option<Arc<Tls>>,
    rejections: Rejections,
}

impl OpsListener {
    /// Takes the address.
    ///
    /// # Errors
    /// [`OpsError`]: an address that others can reach without a permission, or one in use.
    pub async fn bind(config: OpsConfig, readiness: Readiness, metrics: Metrics) -> Result<Self, OpsError> {
        let OpsConfig { addr, anonymous, tls } = config;
        if !addr.ip().to_canonical().is_loopback() && !anonymous {
            return Err(OpsError::Exposed(addr));
        }
        let tls = tls.map(|files| Tls::load(files, &[b"http/1.1"])).transpose()?;
        let error = |source| OpsError::Bind { addr, source };
        let listener = TcpListener::bind(addr).await.map_err(error)?;
        declare(&readiness, &metrics)?;
        let rejections = Rejections::new(&metrics, "livetape_process_limit_rejections_total")?;
        LIMITS.iter().for_each(|limit| drop(rejections.of(limit)));
        let router = router(readiness, metrics);
        let router = if anonymous { router } else { router.layer(from_fn(only_local)) };
        Ok(Self { addr: listener.local_addr().map_err(error)?, listener, router, tls, rejections })
    }

    /// The address that it listens on.
    pub const fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Answers until `shutdown`, which should come after the roles' own: they are watched while they stop.
    pub async fn run(self, shutdown: CancellationToken) {
        let (tasks, service) = (TaskTracker::new(), TowerToHyperService::new(self.router));
        let [crowded, slow] = LIMITS.map(|limit| self.rejections.of(limit));
        let mut all = Silent::new(CONNECTIONS, crowded);
        let accepting = async {
            loop {
                match self.listener.accept().await {
                    Ok((stream, peer)) => {
                        let knock = all.one_more(peer.ip());
                        let answering = opened(stream, self.tls.clone(), service.clone(), slow.clone());
                        tasks.spawn(async move {
                            tokio::select! {
                                () = answering => {}
                                () = knock.sent_away() => {}
                            }
                        });
                    }
                    Err(error) => {
                        tracing::warn!(%error, "a connection could not be accepted");
                        tokio::time::sleep(BREATH).await;
                    }
                }
            }
        };
        let following = async {
            match &self.tls {
                Some(tls) => tls.follow().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = accepting => {}
            () = following => {}
            () = shutdown.cancelled() => {}
        }
        drop(self.listener);
        tasks.close();
        drop(tokio::time::timeout(PATIENCE, tasks.wait()).await);
    }
}

/// Answers a connection, in time.
async fn opened(stream: TcpStream, tls: Option<Arc<Tls>>, service: TowerToHyperService<Router>, slow: Counter) {
    if tokio::time::timeout(PATIENCE, served(stream, tls, service)).await.is_err() {
        slow.inc();
    }
}

/// Through TLS, if there is TLS. Only from this machine may be done without.
async fn served(stream: TcpStream, tls: Option<Arc<Tls>>, service: TowerToHyperService<Router>) {
    let Some(tls) = tls else { return answer(stream, service).await };
    match tls::begins(&stream).await {
        Some(true) => match tls.accept(stream).await {
            Ok(stream) => answer(stream, service).await,
            Err(error) => tracing::debug!(%error, "this is no TLS"),
        },
        Some(false) if tls::is_from_here(&stream) => answer(stream, service).await,
        _ => {}
    }
}

async fn answer(stream: impl AsyncRead + AsyncWrite + Unpin, service: TowerToHyperService<Router>) {
    let mut builder = hyper::server::conn::http1::Builder::new();
    builder.keep_alive(false).max_buf_size(HEAD).timer(TokioTimer::new()).header_read_timeout(PATIENCE);
    if let Err(error) = builder.serve_connection(TokioIo::new(stream), service).await {
        tracing::debug!(%error, "not a request for the state of this process");
    }
}

fn router(readiness: Readiness, metrics: Metrics) -> Router {
    Router::new()
        .route("/healthz", get(async || text(StatusCode::OK, "well\n")))
        .route("/readyz", get(async |State(readiness): State<Readiness>| readiness.answer()).with_state(readiness))
        .route("/metrics", get(async |State(metrics): State<Metrics>| exposition(&metrics)).with_state(metrics))
        .fallback(async || text(StatusCode::NOT_FOUND, "there are /healthz, /readyz and /metrics\n"))
}

async fn only_local(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST);
    // HTTP/1.0 has no Host, and no browser speaks it.
    if host.is_none_or(|host| host.to_str().is_ok_and(is_local)) {
        return next.run(request).await;
    }
    text(StatusCode::MISDIRECTED_REQUEST, "ask by a loopback address or by localhost\n")
}

/// Whether a `Host` names this machine, whoever asks: a name server cannot point such names elsewhere.
pub fn is_local(host: &str) -> bool {
    host.parse::<Authority>().is_ok_and(|host| {
        let name = host.host().trim_matches(['[', ']']);
        name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|ip| ip.to_canonical().is_loopback())
    })
}

/// The answer to whoever asks at `/metrics`.
pub fn exposition(metrics: &Metrics) -> Response {
    ([(header::CONTENT_TYPE, prometheus::TEXT_FORMAT), (header::CACHE_CONTROL, "no-store")], metrics.text())
        .into_response()
}

fn text(status: StatusCode, text: impl Into<axum::body::Body>) -> Response {
    let headers = [(header::CONTENT_TYPE, "text/plain; charset=utf-8"), (header::CACHE_CONTROL, "no-store")];
    (status, headers, text.into()).into_response()
}

#[cfg(test)]
mod tests;

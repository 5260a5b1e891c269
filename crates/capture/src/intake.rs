//! Sources of other programs: those that talk to Icecast, and small devices that send WAV or PCM. They connect to an address of
//! their own, because what they send is not always clean HTTP.
//!
//! ```text
//! connection -> head, limits, right -> seat (one for each stream) -> body -> feed -> decoder's thread -> Pushed -> session
//! ```
//!
//! Everything has a bound: connections, heads, how long anybody may be silent, sources, of all and of each client. Nothing is decoded before it is known who
//! sends and that they may. Not here: what becomes of the audio (`sources::pushed`), how the stream's session ends (`ports`).

mod access;
pub(crate) mod body;
mod connection;
pub(crate) mod head;
pub(crate) mod kind;
pub(crate) mod limits;
pub(crate) mod ports;
mod reply;
pub(crate) mod request;

use access::Guard;
use connection::Connection;
pub use limits::IntakeLimits;
use limits::{Limited, told};
use livetape_access::{Access, Grants};
use livetape_audio::{StreamName, StreamRules};
use livetape_service::limits::Silent;
use livetape_service::metrics::{Metrics, MetricsError};
use livetape_service::tls::SETTINGS;
use livetape_service::{Proxies, Seldom, Tls, TlsFiles};
use ports::Ports;
use reply::Reply;
use std::collections::HashSet;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// Of the connections that may have spoken, so many more may not have: one in this many.
const SILENT_SHARE: usize = 4;
/// How many are told at once why they have to go.
const FAREWELLS: usize = 16;
/// Lines about refused requests in the log, in each minute.
const REFUSED_LINES: u32 = 60;
const MINUTE: Duration = Duration::from_secs(60);
/// After a failed accept, as when there are no more file descriptors.
const BREATH: Duration = Duration::from_millis(100);
/// When stopping, for answers.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// Where sources of other programs connect, and who may.
#[derive(Clone, Debug)]
pub struct IntakeConfig {
    /// The address; port 0 takes a free one.
    pub addr: SocketAddr,
    /// Whether going on without it is worse than not starting, when another program has the address.
    pub required: bool,
    /// Who may publish. Without it everybody may on a loopback address, and no other address is taken.
    pub access: Option<Arc<Access>>,
    /// Certificate and key: then only connections from this machine may be unencrypted.
    pub tls: Option<TlsFiles>,
    /// Which streams may be opened, as the recorder has it.
    pub rules: StreamRules,
    /// How much they may take.
    pub limits: IntakeLimits,
    /// Who is believed about whom they connect for.
    pub proxies: Proxies,
}

impl IntakeConfig {
    /// With the usual limits.
    pub fn new(addr: SocketAddr) -> Self {
        Self {
            addr,
            required: true,
            access: None,
            tls: None,
            rules: StreamRules::default(),
            limits: IntakeLimits::default(),
            proxies: Proxies::default(),
        }
    }
}

/// Why nobody can connect.
#[derive(Debug, thiserror::Error)]
pub enum IntakeError {
    /// An address that others can reach, and nobody said that they may.
    #[error(
        "{0} (LIVETAPE_SOURCE_ADDR) can be reached from other machines, and nobody said who may publish there: use a loopback \
         address, say who may with `--access` (LIVETAPE_ACCESS), or allow it to everybody with `--anonymous publish`"
    )]
    Exposed(SocketAddr),
    /// The address cannot be used.
    #[error("cannot listen on {addr} (LIVETAPE_SOURCE_ADDR): {source}")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Out of range.
    #[error("{0} sources at once: 1 to 1000 are possible")]
    Most(usize),
    /// Certificate or key cannot be used.
    #[error("{SETTINGS}: {0}")]
    Tls(#[from] livetape_service::tls::TlsError),
    /// Access cannot be checked.
    #[error(transparent)]
    Access(#[from] livetape_access::AccessError),
    /// Something cannot be counted, which is a bug.
    #[error(transparent)]
    Metrics(#[from] MetricsError),
}

/// Listens already; [`Intake::run`] answers.
pub(crate) struct Intake {
    listener: TcpListener,
    addr: SocketAddr,
    config: IntakeConfig,
    access: Arc<Access>,
    tls: Option<Arc<Tls>>,
    limited: Limited,
}

/// What every connection needs.
pub(crate) struct Context {
    pub(crate) guard: Guard,
    pub(crate) ports: Arc<Ports>,
    /// Streams whose sources run in this process.
    pub(crate) taken: HashSet<StreamName>,
    pub(crate) config: IntakeConfig,
    pub(crate) tls: Option<Arc<Tls>>,
    pub(crate) limited: Limited,
    /// For connections that have said what they want.
    pub(crate) room: Arc<Semaphore>,
    /// Lines about those that are refused.
    pub(crate) refused: Seldom,
    pub(crate) shutdown: CancellationToken,
}

impl Intake {
    /// Takes the address. `None` if another program has it and it is not required.
    ///
    /// # Errors
    /// [`IntakeError`].
    pub(crate) async fn bind(config: IntakeConfig, metrics: &Metrics) -> Result<Option<Self>, IntakeError> {
        let addr = config.addr;
        let is_local = addr.ip().to_canonical().is_loopback();
        let access = match &config.access {
            Some(access) => Arc::clone(access),
            None if is_local => Access::of_this_machine(Grants::default())?,
            None => Access::open(Grants::default())?,
        };
        if !is_local && !access.lets_somebody_in() {
            return Err(IntakeError::Exposed(addr));
        }
        if !(1..=1000).contains(&config.limits.sources) {
            return Err(IntakeError::Most(config.limits.sources));
        }
        let limited = Limited::new(&config.limits, metrics)?;
        let tls = config.tls.clone().map(|files| Tls::load(files, &[b"http/1.1"])).transpose()?;
        let listener = match TcpListener::bind(addr).await {
            Err(error) if !config.required && error.kind() == io::ErrorKind::AddrInUse => {
                tracing::info!(%addr, "another program has the address for sources that are pushed: going on without");
                return Ok(None);
            }
            listener => listener.map_err(|source| IntakeError::Bind { addr, source })?,
        };
        let addr = listener.local_addr().map_err(|source| IntakeError::Bind { addr, source })?;
        Ok(Some(Self { listener, addr, config, access, tls, limited }))
    }

    pub(crate) const fn local_addr(&self) -> SocketAddr {
        self.addr
    }

    /// Most sources at once.
    pub(crate) const fn most(&self) -> usize {
        self.config.limits.sources
    }

    /// Answers until `shutdown`, and until every session is over.
    pub(crate) async fn run(self, ports: Arc<Ports>, taken: HashSet<StreamName>, shutdown: CancellationToken) {
        let Self { listener, addr, config, access, tls, limited } = self;
        let most = config.limits.connections.max(1);
        let guard = Guard { access: Arc::clone(&access), is_local: addr.ip().to_canonical().is_loopback() };
        let tasks = TaskTracker::new();
        let silent = Silent::new(most / SILENT_SHARE, limited.silent.clone());
        let context = Arc::new(Context {
            guard,
            ports: Arc::clone(&ports),
            taken,
            config,
            tls: tls.clone(),
            limited,
            room: Arc::new(Semaphore::new(most)),
            refused: Seldom::new(REFUSED_LINES, MINUTE),
            shutdown: shutdown.clone(),
        });
        let accepting = accept(&listener, &context, silent, &tasks);
        let following = async {
            match &tls {
                Some(tls) => tls.follow().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = accepting => {}
            () = following => {}
            () = access.follow() => {}
            () = shutdown.cancelled() => {}
        }
        drop(listener);
        tasks.close();
        drop(tokio::time::timeout(LAST_WAIT, tasks.wait()).await);
        ports.finish().await;
    }
}

async fn accept(listener: &TcpListener, context: &Arc<Context>, mut silent: Silent, tasks: &TaskTracker) {
    let farewells = Arc::new(Semaphore::new(FAREWELLS));
    loop {
        let (stream, peer) = match listener.accept().await {
            Ok(accepted) => accepted,
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(BREATH).await;
                continue;
            }
        };
        // A proxy's connections are many clients'.
        let is_proxy = context.config.proxies.trust(peer.ip());
        match if is_proxy { Ok(None) } else { context.limited.clients.connection(peer.ip()) } {
            Ok(place) => {
                let knock = silent.one_more(peer.ip());
                let connection = Connection::new(Arc::clone(context), peer);
                tasks.spawn(async move {
                    connection.serve(stream, knock).await;
                    drop(place);
                });
            }
            // Over TLS closing has to do: a handshake would cost more than whoever comes too often is worth.
            Err(exceeded) if context.tls.is_none() => {
                if let Ok(turn) = Arc::clone(&farewells).try_acquire_owned() {
                    let reply = Reply::again(429, told(&exceeded), exceeded.again);
                    tasks.spawn(async move { (turn_away(stream, &reply).await, turn) });
                }
            }
            Err(_) => {}
        }
    }
}

async fn turn_away(mut stream: TcpStream, reply: &Reply) {
    reply.send(&mut stream).await;
}

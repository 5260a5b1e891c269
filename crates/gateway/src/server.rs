//! The server: takes connections, gives each its own task, cuts off who stalls, and ends in good order.

use crate::audience::Audience;
use crate::audit::Audit;
use crate::blocks::Blocks;
use crate::body::discard;
use crate::config::{GatewayConfig, GatewayError, NAMES};
use crate::connection::Connection;
use crate::context::Context;
use crate::edge::Edges;
use crate::endless::Endless;
use crate::levels::{self, Levels};
use crate::library::Library;
use crate::metrics::Instruments;
use crate::problem::retry_seconds;
use crate::pulse::{self, Pulses};
use crate::receive::{AT_ONCE, Sent};
use crate::remote::{Operations, Remote};
use crate::routes;
use crate::socket::Socket;
use crate::wire::Wire;
use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::header::{CONNECTION, EXPECT, HeaderValue};
use http::response::Parts;
use http::{Response, Version};
use http_body_util::{BodyExt, Either, StreamBody};
use hyper::body::{Body as _, Frame, Incoming};
use hyper::service::{Service, service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use livetape_service::metrics::{Held, Metrics};
use livetape_service::{Clients, Exceeded, Limiter, Readiness, Tls};
use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::{AbortOnDropHandle, TaskTracker};

/// How often connections are looked at.
const SWEEP: Duration = Duration::from_millis(500);
/// After a failed accept, as when there are no more file descriptors.
const BREATH: Duration = Duration::from_millis(100);
/// Bytes of a reply that wait for the socket beyond one block.
const BUFFER: usize = 32 * 1024;
/// Requests at once on one HTTP/2 connection.
const STREAMS: u32 = 64;
/// After the drain: for bodies to end at the live edge, and until cut connections are gone.
const LAST_WAIT: Duration = Duration::from_secs(2);

/// A gateway that listens already; [`Gateway::run`] answers.
pub struct Gateway {
    listener: TcpListener,
    local_addr: SocketAddr,
    drain: Duration,
    goes_on: bool,
    connections: Connections,
    context: Arc<Context>,
    remote: Option<Remote>,
}

/// Everybody who is connected, and what they talk to.
struct Connections {
    router: TowerToHyperService<Router>,
    room: Arc<Semaphore>,
    known: Mutex<Vec<Weak<Connection>>>,
    tasks: TaskTracker,
}

impl Gateway {
    /// Checks the configuration and takes the address.
    ///
    /// # Errors
    /// [`GatewayError`]: an address that others can reach without a permission, a bad setting, an address in use.
    pub async fn bind(config: GatewayConfig, library: Arc<dyn Library>) -> Result<Self, GatewayError> {
        Self::over(config, library, None).await
    }

    /// As [`Gateway::bind`], over a recorder elsewhere. It need not be there yet: until it has told what there is, streams
    /// and recordings are answered by 503, and the gateway is not ready.
    ///
    /// # Errors
    /// As [`Gateway::bind`].
    pub async fn bind_remote(config: GatewayConfig, remote: Remote) -> Result<Self, GatewayError> {
        Self::over(config, remote.library(), Some(remote)).await
    }

    async fn over(
        config: GatewayConfig,
        library: Arc<dyn Library>,
        remote: Option<Remote>,
    ) -> Result<Self, GatewayError> {
        let (origins, access) = config.check()?;
        let bind_error = |source| GatewayError::Bind { addr: config.addr, source };
        let listener = TcpListener::bind(config.addr).await.map_err(bind_error)?;
        let (limits, is_local) = (config.limits, config.is_local());
        let room = Clients::Listeners.affordable(limits.connections.max(limits.bodies));
        let (instruments, ready) = (Instruments::new()?, watch::Sender::new(remote.is_none()));
        let context = Arc::new(Context {
            library,
            readiness: remote.as_ref().map_or_else(Readiness::default, |remote| remote.readiness(&ready)),
            is_local,
            edges: Edges::default(),
            blocks: Blocks::new(limits.encoders, instruments.encoding.clone()),
            renditions: config.renditions,
            pulses: Pulses::new(limits.away),
            levels: Levels::default(),
            audience: Audience::default(),
            origins,
            proxies: config.proxies,
            limits,
            limiter: Limiter::new(config.clients, NAMES, &instruments.rejections),
            instruments,
            event_streams: semaphore(limits.event_streams),
            bodies: semaphore(limits.bodies.min(room)),
            operations: config.operations_url.as_ref().map(Operations::new).transpose()?,
            tls: config.tls.map(|files| Tls::load(files, &[b"h2", b"http/1.1"])).transpose()?,
            access,
            audit: Audit::new(),
            receiving: semaphore(AT_ONCE),
            ready,
            stopping: CancellationToken::new(),
            drain: CancellationToken::new(),
        });
        context.pulses.begin(&*context.library);
        if let Some(remote) = &remote {
            context.instruments.metrics.include(remote.metrics());
            if let Some(works) = remote.redis() {
                context.instruments.redis(works)?;
            }
        }
        Ok(Self {
            local_addr: listener.local_addr().map_err(bind_error)?,
            listener,
            drain: config.drain,
            goes_on: config.goes_on,
            connections: Connections {
                router: TowerToHyperService::new(routes::router(context.clone())),
                room: semaphore(limits.connections.min(room)),
                known: Mutex::default(),
                tasks: TaskTracker::new(),
            },
            context,
            remote,
        })
    }

    /// Over a recorder elsewhere: ready as soon as it knows what there is. All else is only told, because what is known and can
    /// be read is served whatever is away. What is added is told on its own listener, too.
    pub fn readiness(&self) -> Readiness {
        self.context.readiness.clone()
    }

    /// What it counts. What is included is shown on its own listener, too.
    pub fn metrics(&self) -> Metrics {
        self.context.instruments.metrics.clone()
    }

    /// Whether it speaks TLS.
    pub fn is_encrypted(&self) -> bool {
        self.context.tls.is_some()
    }

    /// The address that it listens on.
    pub const fn local_addr(&self) -> SocketAddr {
        self.local_addr
    }

    /// Answers until `shutdown`. Then nobody new is let in, and bodies may go on for the configured time; those that follow
    /// a recording are reset at the live edge, at once or, if more audio comes meanwhile, after that time.
    ///
    /// # Errors
    /// When a part of the gateway ended that never should.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), GatewayError> {
        let Self { listener, drain, goes_on, connections, context, remote, .. } = self;
        let pulse = tokio::spawn(pulse::watch(context.clone()));
        let _levels = AbortOnDropHandle::new(tokio::spawn(levels::watch(context.clone())));
        let tls = context.tls.clone();
        let _tls = tls.map(|tls| AbortOnDropHandle::new(tokio::spawn(async move { tls.follow().await })));
        let access = Arc::clone(&context.access);
        let _access = AbortOnDropHandle::new(tokio::spawn(async move { access.follow().await }));
        // Until the end of the drain: listeners may still be told of the last frames.
        let _remote = AbortOnDropHandle::new(tokio::spawn(follow(remote, context.clone())));
        tokio::select! {
            () = shutdown.cancelled() => {}
            () = connections.accept(&listener, &context) => {}
            () = connections.sweep(&context) => {}
            _ = pulse => return Err(GatewayError::Task("the watch over the tails")),
        }
        drop(listener);
        context.stopping.cancel();
        connections.tasks.close();
        if goes_on && connections.drained(drain, &context).await {
            return Ok(());
        }
        context.drain.cancel();
        if !connections.drained(if goes_on { LAST_WAIT } else { drain }, &context).await {
            tracing::warn!(connections = connections.tasks.len(), "still busy after the drain: they are reset");
            connections.each(|connection| {
                context.instruments.broken_off("drain_over");
                connection.abort();
            });
            _ = tokio::time::timeout(LAST_WAIT, connections.tasks.wait()).await;
        }
        Ok(())
    }
}

impl Connections {
    async fn accept(&self, listener: &TcpListener, context: &Arc<Context>) {
        loop {
            match listener.accept().await {
                Ok((stream, peer)) => self.admit(stream, peer, context),
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    tokio::time::sleep(BREATH).await;
                }
            }
        }
    }

    fn admit(&self, stream: TcpStream, peer: SocketAddr, context: &Arc<Context>) {
        let Ok(permit) = self.room.clone().try_acquire_owned() else {
            context.instruments.rejections.of("connections").inc();
            return say(&stream, context, &full());
        };
        // A proxy's connections are many clients'.
        let is_proxy = context.proxies.trust(peer.ip());
        let place = match if is_proxy { Ok(None) } else { context.limiter.connection(peer.ip()) } {
            Ok(place) => place,
            Err(exceeded) => return say(&stream, context, &too_many(&exceeded)),
        };
        let connection = Arc::new(Connection::new(peer.ip()));
        self.known.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::downgrade(&connection));
        let (router, context, tasks) = (self.router.clone(), context.clone(), self.tasks.clone());
        let counted = Held::new(&context.instruments.connections);
        let held = (permit, place, counted);
        self.tasks.spawn(async move {
            match serve(stream, &connection, &router, &context).await {
                // In a task of its own, which is small.
                Ok(Some(endless)) => drop(tasks.spawn(async move {
                    endless.run(&connection).await;
                    drop(held);
                })),
                Ok(None) => {}
                Err(error) => {
                    let http = error.downcast_ref::<hyper::Error>();
                    let io = error.downcast_ref::<std::io::Error>().map(std::io::Error::kind);
                    if http.is_some_and(hyper::Error::is_parse_too_large) {
                        context.instruments.rejections.of("head_size").inc();
                    } else if http.is_some_and(hyper::Error::is_timeout) {
                        context.instruments.rejections.of("head_time").inc();
                    } else if io == Some(std::io::ErrorKind::TimedOut) && context.tls.is_some() {
                        context.instruments.rejections.of("handshake_time").inc();
                    }
                    tracing::debug!(%peer, error = &*error, "a connection ended early");
                }
            }
        });
    }

    /// Whether all of them end within this time.
    async fn drained(&self, limit: Duration, context: &Context) -> bool {
        let drained = async {
            tokio::select! {
                () = self.tasks.wait() => {}
                () = self.sweep(context) => {}
            }
        };
        tokio::time::timeout(limit, drained).await.is_ok()
    }

    async fn sweep(&self, context: &Context) {
        let mut tick = tokio::time::interval(SWEEP);
        loop {
            tick.tick().await;
            self.each(|connection| {
                if connection.sweep(&context.limits.patience) {
                    context.instruments.broken_off("client_stalled");
                }
            });
        }
    }

    fn each(&self, act: impl Fn(&Connection)) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|connection| connection.upgrade().inspect(|c| act(c)).is_some());
    }
}

/// Keeps the library up to date, if it is of a recorder elsewhere.
async fn follow(remote: Option<Remote>, context: Arc<Context>) {
    let Some(remote) = remote else { return };
    let begin = async {
        remote.known().await;
        // What is there now was there before.
        context.pulses.begin(&*context.library);
        context.ready.send_replace(true);
    };
    tokio::join!(remote.follow(), begin);
}

fn semaphore(permits: usize) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(permits.min(Semaphore::MAX_PERMITS)))
}

/// Says something to somebody who has not asked yet. A new socket has room for it; if not, or if only encrypted words would be
/// understood, closing says enough.
fn say(stream: &TcpStream, context: &Context, reply: &str) {
    if context.tls.is_none() {
        _ = stream.try_write(reply.as_bytes());
    }
}

/// What somebody gets for whom there is no room.
fn full() -> String {
    refusal(
        "503 Service Unavailable",
        "there are as many connections as the gateway may have",
        "try again in a while",
        5,
    )
}

/// What somebody gets who has as many connections as it may.
fn too_many(exceeded: &Exceeded) -> String {
    refusal("429 Too Many Requests", &exceeded.to_string(), &exceeded.hint(), retry_seconds(exceeded.again))
}

fn refusal(status: &str, error: &str, hint: &str, seconds: u64) -> String {
    let body = serde_json::json!({ "error": error, "hint": hint }).to_string();
    let head =
        format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nRetry-After: {seconds}\r\nConnection: close");
    format!("{head}\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

/// Answers requests until the connection ends, or one has a body without a length to be gone on with.
async fn serve(
    stream: TcpStream,
    connection: &Arc<Connection>,
    router: &TowerToHyperService<Router>,
    context: &Context,
) -> Result<Option<Endless>, Box<dyn std::error::Error + Send + Sync>> {
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(context.limits.patience.idle);
    builder.http1().max_buf_size(context.limits.head);
    let mut two = builder.http2();
    two.timer(TokioTimer::new())
        .max_header_list_size(u32::try_from(context.limits.head).unwrap_or(u32::MAX))
        .max_send_buf_size(BUFFER);
    two.max_concurrent_streams(STREAMS);
    let plain = context.tls.is_none();
    let service = service_fn(|request: http::Request<Incoming>| {
        let (mut parts, body) = request.into_parts();
        let version = parts.version;
        let in_flight = connection.request(version);
        parts.extensions.insert(connection.clone());
        let wanted = if body.is_end_stream() {
            None
        } else if context.takes(&parts.method) {
            Some(Sent::new(body))
        } else {
            // Who waits to be asked for a body is not asked.
            if !parts.headers.contains_key(EXPECT) {
                tokio::spawn(discard(body));
            }
            None
        };
        let router = router.clone();
        let reply = async move {
            let is_asked_for = !parts.headers.contains_key(EXPECT);
            wanted.clone().map(|sent| parts.extensions.insert(sent));
            let reply = router.call(http::Request::from_parts(parts, Body::empty())).await;
            // Nobody took it, because whoever sent it may not.
            if let Some(body) = wanted.and_then(|sent| sent.take()).filter(|_| is_asked_for) {
                tokio::spawn(discard(body));
            }
            reply
        };
        // Held by the body, so that its request counts until all of it is handed over.
        let hold = move |error: axum::Error| {
            _ = &in_flight;
            error
        };
        let connection = connection.clone();
        async move {
            let (head, body) = reply.await?.into_parts();
            let body = body.map_err(hold);
            Ok::<_, Infallible>(match plain && only_head(&body, version) {
                true => go_on_without(head, body, version, &connection),
                false => Response::from_parts(head, Either::Left(body)),
            })
        }
    });
    let wire = Wire::new(stream, connection.clone());
    let socket = match &context.tls {
        Some(tls) => Socket::Tls(Box::new(tls.accept(wire.clone()).await?), connection.clone()),
        None => Socket::Plain(wire.clone()),
    };
    let mut serving = pin!(builder.serve_connection(TokioIo::new(socket), service));
    let mut asked = pin!(context.stopping.cancelled());
    let mut stopping = false;
    loop {
        tokio::select! {
            served = serving.as_mut() => return served.map(|()| None),
            () = connection.ended() => return Ok(None),
            () = asked.as_mut(), if !stopping => {
                stopping = true;
                serving.as_mut().graceful_shutdown();
            }
            (body, chunked) = connection.taken_over() => return Ok(Some(Endless::new(wire, body, chunked))),
        }
    }
}

/// Of a reply over HTTP/1 whose body has no length, hyper sends the head.
fn only_head(body: &impl hyper::body::Body, version: Version) -> bool {
    version <= Version::HTTP_11 && !body.is_end_stream() && body.size_hint().exact().is_none()
}

/// The head of a reply, with a body that never comes; the body itself goes another way.
fn go_on_without<B, W>(mut head: Parts, body: B, version: Version, connection: &Connection) -> Response<Either<W, Body>>
where
    B: hyper::body::Body<Data = Bytes, Error = axum::Error> + Send + 'static,
{
    head.headers.insert(CONNECTION, HeaderValue::from_static("close"));
    connection.take_over(Body::new(body), version == Version::HTTP_11);
    let never = StreamBody::new(futures::stream::pending::<Result<Frame<Bytes>, Infallible>>());
    Response::from_parts(head, Either::Right(Body::new(never)))
}

//! Connections to Redis, whichever way its servers work together. A connection that failed is thrown away; whoever
//! used it asks for another after a [`Backoff`].

use super::config::{Place, RedisConfig, tcp};
use redis::aio::{MultiplexedConnection, PubSub};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType};
use redis::{AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ErrorKind, RedisError, Value};
use std::future::Future;
use std::time::{Duration, Instant};

/// How long one command may take.
pub(super) const COMMAND_TIMEOUT: Duration = Duration::from_secs(2);
/// How long it may take until commands can be sent: name, connection, login, and who is the master.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(4);
/// When a connection to a cluster is given up.
const LOST: Duration = Duration::from_secs(5);

/// Where commands go. Clones share a connection and its commands do not wait for each other.
#[derive(Clone)]
pub(super) enum Link {
    Server(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Link {
    /// Connects and logs in.
    pub(super) async fn connect(config: &RedisConfig) -> Result<Self, RedisError> {
        limited(CONNECT_TIMEOUT, "connect", async {
            match &config.place {
                Place::Cluster(nodes) => {
                    let nodes = nodes.iter().map(|node| config.server(node)).collect::<Result<Vec<_>, _>>()?;
                    // What failed is refreshed soon anyway: few repetitions, and no hurry.
                    let builder = ClusterClient::builder(nodes);
                    let builder = match config.certificates() {
                        Some(certificates) => builder.certs(certificates),
                        None => builder,
                    };
                    let client = builder
                        .tcp_settings(tcp())
                        .connection_timeout(COMMAND_TIMEOUT)
                        .response_timeout(COMMAND_TIMEOUT)
                        .retries(2)
                        .max_retry_wait(200)
                        .min_retry_wait(20)
                        .build()?;
                    Ok(Self::Cluster(client.get_async_connection().await?))
                }
                Place::Single(_) | Place::Sentinel(..) => {
                    let settings = AsyncConnectionConfig::new()
                        .set_connection_timeout(Some(COMMAND_TIMEOUT))
                        .set_response_timeout(Some(COMMAND_TIMEOUT));
                    let client = client(config, 0).await?;
                    let mut connection = client.get_multiplexed_async_connection_with_config(&settings).await?;
                    // Who is not logged in gets a plain answer to this, but not to a command with many arguments.
                    redis::cmd("PING").query_async::<()>(&mut connection).await?;
                    Ok(Self::Server(connection))
                }
            }
        })
        .await
    }

    /// Sends a command and waits for its answer.
    pub(super) async fn send(&mut self, cmd: &Cmd) -> Result<Value, RedisError> {
        // The cluster's connection repeats what failed, so it needs a limit of its own.
        limited(COMMAND_TIMEOUT * 2, "answer", async {
            match self {
                Self::Server(connection) => cmd.query_async(connection).await,
                Self::Cluster(connection) => cmd.query_async(connection).await,
            }
        })
        .await
    }

    /// Whether another connection may do better after this error. What a server answers to one command says nothing
    /// about the connection, but a replica stays one, and who is not logged in stays so. A cluster's connection finds
    /// its own way around nodes that are away, unless nothing has `worked` for long.
    pub(super) fn is_broken(&self, error: &RedisError, worked: Instant) -> bool {
        if matches!(self, Self::Cluster(_)) {
            return worked.elapsed() > LOST;
        }
        match error.kind() {
            ErrorKind::Server(_) | ErrorKind::Extension => {
                matches!(error.code(), Some("READONLY" | "NOAUTH" | "MASTERDOWN"))
            }
            ErrorKind::UnexpectedReturnType => false,
            _ => true,
        }
    }
}

/// A connection that listens to a channel. In a cluster any node tells everything; `attempt` chooses it.
pub(super) async fn subscribe(config: &RedisConfig, attempt: usize, channel: &str) -> Result<PubSub, RedisError> {
    limited(CONNECT_TIMEOUT, "connect", async {
        let mut pubsub = client(config, attempt).await?.get_async_pubsub().await?;
        pubsub.subscribe(channel).await?;
        Ok(pubsub)
    })
    .await
}

/// The one server, the master that the sentinels name, or one of the nodes.
async fn client(config: &RedisConfig, attempt: usize) -> Result<Client, RedisError> {
    match &config.place {
        Place::Single(server) => server_client(config, server),
        Place::Sentinel(sentinels, master) => master_of(config, sentinels, master)?.async_get_client().await,
        Place::Cluster(nodes) => {
            let node = nodes
                .get(attempt.checked_rem(nodes.len()).unwrap_or(0))
                .ok_or((ErrorKind::InvalidClientConfig, "no node is named"))?;
            server_client(config, node)
        }
    }
}

fn server_client(config: &RedisConfig, server: &ConnectionAddr) -> Result<Client, RedisError> {
    match config.certificates() {
        Some(certificates) => Client::build_with_tls(config.server(server)?, certificates),
        None => Client::open(config.server(server)?),
    }
}

fn master_of(config: &RedisConfig, sentinels: &[ConnectionAddr], name: &str) -> Result<SentinelClient, RedisError> {
    let (user, password, db) = config.login();
    let mut builder = SentinelClientBuilder::new(sentinels.iter().cloned(), name, SentinelServerType::Master)?
        .set_client_to_redis_db(i64::from(db))
        .set_client_to_redis_tcp_settings(tcp())
        .set_client_to_sentinel_tcp_settings(tcp());
    if sentinels.iter().any(|sentinel| matches!(sentinel, ConnectionAddr::TcpTls { .. })) {
        builder = builder.set_client_to_redis_tls_mode(redis::TlsMode::Secure);
    }
    if let Some(certificates) = config.certificates() {
        builder = builder
            .set_client_to_redis_certificates(certificates.clone())
            .set_client_to_sentinel_certificates(certificates);
    }
    if let Some(user) = user {
        builder = builder.set_client_to_redis_username(user);
    }
    if let Some(password) = password {
        builder = builder.set_client_to_redis_password(password);
    }
    builder.build()
}

/// Gives up after `limit`: a server may take a connection and never say a word.
pub(super) async fn limited<T>(
    limit: Duration,
    what: &str,
    work: impl Future<Output = Result<T, RedisError>>,
) -> Result<T, RedisError> {
    tokio::time::timeout(limit, work).await.unwrap_or_else(|_| {
        let error = std::io::Error::new(std::io::ErrorKind::TimedOut, format!("no {what} within {limit:?}"));
        Err(error.into())
    })
}

/// Waits longer after each failure in a row: 100 ms to 2 s.
pub(super) struct Backoff(Duration);

impl Backoff {
    const FIRST: Duration = Duration::from_millis(100);
    const MOST: Duration = Duration::from_secs(2);

    pub(super) const fn new() -> Self {
        Self(Self::FIRST)
    }
    pub(super) const fn reset(&mut self) {
        self.0 = Self::FIRST;
    }
    pub(super) async fn wait(&mut self) {
        tokio::time::sleep(self.0).await;
        self.0 = (self.0 * 2).min(Self::MOST);
    }
}

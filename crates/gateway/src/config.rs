//! What the gateway has to be told, and its limits. Everything has a default but the address.

use crate::connection::Patience;
use crate::guard::{Origins, SettingError};
use crate::rendition::Renditions;
use livetape_access::{Access, AccessError, Grants};
use livetape_proto::RecorderAddress;
use livetape_service::limits::Names;
use livetape_service::tls::{SETTINGS, TlsError};
use livetape_service::{ClientLimits, Networks, Proxies, TlsFiles};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

/// A checked configuration.
#[derive(Clone, Debug)]
pub struct GatewayConfig {
    /// Where to listen; port 0 takes a free one.
    pub addr: SocketAddr,
    /// Host names, besides loopback ones, under which browsers may address the gateway; `*` for any.
    pub hosts: Vec<String>,
    /// Origins whose pages may read replies (`https://radio.example`), or `*`. None by default.
    pub cors_origins: Vec<String>,
    /// Proxies that are believed when they say for whom they ask. None by default.
    pub proxies: Proxies,
    /// Who may what. Without it everybody may everything on a loopback address, and no other address is taken.
    pub access: Option<Arc<Access>>,
    /// Certificate and key for HTTPS; HTTP without them.
    pub tls: Option<TlsFiles>,
    /// Address of the recorder that carries out what operators want, as `http://127.0.0.1:7070`; nothing is changed
    /// through this gateway if absent.
    pub operations_url: Option<RecorderAddress>,
    /// How long bodies in progress may go on after a shutdown was asked for.
    pub drain: Duration,
    /// Whether audio goes on coming while it drains, so that bodies that follow may go on, too.
    pub goes_on: bool,
    /// What is offered beside WAV and PCM.
    pub renditions: Renditions,
    /// Bounds.
    pub limits: Limits,
    /// What each client may take.
    pub clients: ClientLimits,
}

/// Bounds on what clients may use, and how long anything is waited for.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Connections at once; fewer if the limit of open files demands it.
    pub connections: usize,
    /// Bodies of audio at once; fewer if the limit of open files demands it. One HTTP/2 connection may have many.
    pub bodies: usize,
    /// Encoders at once: one for each recording that is heard live in a compressed rendition, and for each other body in one.
    pub encoders: usize,
    /// Event streams at once.
    pub event_streams: usize,
    /// Bytes of a request's head: 8 KiB to 1 MiB.
    pub head: usize,
    /// Bytes of a request's body.
    pub body: usize,
    /// How long a request's body may take.
    pub body_time: Duration,
    /// How long clients may take.
    pub patience: Patience,
    /// How long a request for a range that is about to come is held.
    pub hold: Duration,
    /// After so long without a new frame a live body is reset.
    pub live_silence: Duration,
    /// After so long without a new frame any other body that follows is reset.
    pub growing_silence: Duration,
    /// After so long without a new frame the source of a stream counts as away.
    pub away: Duration,
    /// How long a live listener waits for a next recording where one ends without naming it.
    pub successor: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        let s = Duration::from_secs;
        Self {
            connections: 10_000,
            bodies: 10_000,
            encoders: 64,
            event_streams: 1_000,
            head: 32 << 10,
            body: 64 << 10,
            body_time: s(5),
            patience: Patience { idle: s(15), live: s(10), recording: s(60) },
            hold: s(10),
            live_silence: s(30),
            growing_silence: s(600),
            away: s(5),
            successor: s(2),
        }
    }
}

impl GatewayConfig {
    /// How long bodies in progress may go on after a shutdown was asked for, unless it is said.
    pub const DRAIN: Duration = Duration::from_secs(5);

    /// The defaults, on an address.
    pub fn new(addr: SocketAddr) -> Self {
        Self {
            addr,
            hosts: Vec::new(),
            cors_origins: Vec::new(),
            proxies: Proxies::default(),
            access: None,
            tls: None,
            operations_url: None,
            drain: Self::DRAIN,
            goes_on: false,
            renditions: Renditions::default(),
            limits: Limits::default(),
            clients: Self::clients(),
        }
    }

    /// What each client may take, unless it is said: an office full of listeners behind one address does not notice it.
    pub fn clients() -> ClientLimits {
        ClientLimits {
            connections: 500,
            lasting_per_address: 500,
            lasting_per_identity: 5_000,
            rate_per_address: 200,
            rate_per_identity: 1_000,
            failed_proofs: 30,
            unlimited: Networks::loopback(),
        }
    }

    /// Whether only this machine reaches the address.
    pub(crate) fn is_local(&self) -> bool {
        self.addr.ip().to_canonical().is_loopback()
    }

    pub(crate) fn check(&self) -> Result<(Origins, Arc<Access>), GatewayError> {
        let is_local = self.is_local();
        let access = match &self.access {
            Some(access) if is_local || access.lets_somebody_in() => Arc::clone(access),
            None if is_local => Access::of_this_machine(Grants::default())?,
            _ => return Err(GatewayError::Exposed(self.addr)),
        };
        Ok((Origins::new(&self.hosts, &self.cors_origins, !is_local)?, access))
    }
}

/// What limits are called.
pub(crate) const NAMES: Names = Names {
    connections: "connections_per_address",
    lasting_per_address: "listeners_per_address",
    lasting_per_identity: "listeners_per_identity",
    rate_per_address: "request_rate_per_address",
    rate_per_identity: "request_rate_per_identity",
    failed_proofs: "failed_proofs",
    lasting: "listeners and event streams",
    often: "requests",
};

/// Why a gateway cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum GatewayError {
    /// An address that others can reach, and nobody said that they may.
    #[error(
        "{0} can be reached from other machines, and whoever reaches it could listen: use a loopback address such as \
         127.0.0.1:8080, say who may with `--access FILE` (LIVETAPE_ACCESS), or allow it to everybody with `--anonymous listen` \
         (LIVETAPE_ANONYMOUS=listen)"
    )]
    Exposed(SocketAddr),
    /// Certificate or key.
    #[error("{SETTINGS}: {0}")]
    Tls(#[from] TlsError),
    /// Who may what cannot be told.
    #[error(transparent)]
    Access(#[from] AccessError),
    /// A setting that means nothing.
    #[error(transparent)]
    Setting(#[from] SettingError),
    /// The recorder that carries out operations.
    #[error(transparent)]
    Operations(#[from] crate::remote::RemoteError),
    /// Something cannot be counted, which is a bug.
    #[error(transparent)]
    Metrics(#[from] livetape_service::metrics::MetricsError),
    /// The address cannot be used.
    #[error("cannot listen on {addr} (LIVETAPE_HTTP_ADDR): {source}")]
    Bind {
        /// The address.
        addr: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// A part of the gateway ended that never should.
    #[error("{0} ended unasked")]
    Task(&'static str),
}

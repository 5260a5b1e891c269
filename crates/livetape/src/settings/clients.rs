//! Limits of gateway and recorder on what clients may take, and whom they believe about who their clients are.

use super::pushing::SourceLimitFlags;
use super::{File, Span, span};
use anyhow::ensure;
use bytesize::ByteSize;
use livetape_gateway::GatewayConfig;
use livetape_recorder::RecorderConfig;
use livetape_service::{ClientLimits, Network, Networks, Proxies, ProxyHeader};
use serde::Deserialize;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Proxies before this process.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct ProxyFlags {
    /// Proxies that are believed when they say for whom they ask, as addresses and networks, such as 10.0.0.0/8 [default: none]
    #[arg(long, env = "LIVETAPE_TRUSTED_PROXIES", value_name = "NETWORK", value_delimiter = ',')]
    trusted_proxies: Option<Vec<Network>>,
    /// In which headers they say so: x-forwarded (-For, -Proto, -Host) or forwarded (RFC 7239) [default: x-forwarded]
    #[arg(long, env = "LIVETAPE_PROXY_HEADER", value_name = "KIND", value_parser = header)]
    proxy_header: Option<ProxyHeader>,
}

fn header(text: &str) -> Result<ProxyHeader, String> {
    match text {
        "x-forwarded" => Ok(ProxyHeader::XForwarded),
        "forwarded" => Ok(ProxyHeader::Forwarded),
        _ => Err("write x-forwarded or forwarded".into()),
    }
}

impl ProxyFlags {
    /// Those that are believed.
    pub(crate) fn proxies(&self, file: &File) -> Proxies {
        let trusted = self.trusted_proxies.as_ref().or(file.trusted_proxies.as_ref());
        Proxies {
            trusted: trusted.into_iter().flatten().copied().collect(),
            header: self.proxy_header.or(file.proxy_header).unwrap_or_default(),
        }
    }
}

/// Limits, as flags; [`FileLimits`] has the same as keys.
#[derive(Debug, Default, clap::Args)]
#[command(next_help_heading = "Limits")]
pub(crate) struct LimitFlags {
    /// Addresses and networks whose clients may take what they want, but for failed proofs; none for none [default: 127.0.0.0/8,::1]
    #[arg(long, env = "LIVETAPE_UNLIMITED", value_name = "NETWORK", value_delimiter = ',')]
    unlimited: Option<Vec<Unlimited>>,
    /// Connections to the gateway at once [default: 10000]
    #[arg(long, env = "LIVETAPE_LIMIT_CONNECTIONS", value_name = "N")]
    limit_connections: Option<u32>,
    /// Connections at once from one address, to the gateway and to the recorder [default: 500]
    #[arg(long, env = "LIVETAPE_LIMIT_CONNECTIONS_PER_ADDRESS", value_name = "N")]
    limit_connections_per_address: Option<u32>,
    /// Bodies of audio at once [default: 10000]
    #[arg(long, env = "LIVETAPE_LIMIT_LISTENERS", value_name = "N")]
    limit_listeners: Option<u32>,
    /// Event streams at once [default: 1000]
    #[arg(long, env = "LIVETAPE_LIMIT_EVENT_STREAMS", value_name = "N")]
    limit_event_streams: Option<u32>,
    /// Bodies of audio and event streams at once for one address [default: 500]
    #[arg(long, env = "LIVETAPE_LIMIT_LISTENERS_PER_ADDRESS", value_name = "N")]
    limit_listeners_per_address: Option<u32>,
    /// Bodies of audio and event streams at once for one token, user or signed address [default: 5000]
    #[arg(long, env = "LIVETAPE_LIMIT_LISTENERS_PER_IDENTITY", value_name = "N")]
    limit_listeners_per_identity: Option<u32>,
    /// Requests in a second from one address, ten times as many at once [default: 200]
    #[arg(long, env = "LIVETAPE_LIMIT_REQUEST_RATE_PER_ADDRESS", value_name = "N")]
    limit_request_rate_per_address: Option<u32>,
    /// Requests in a second for one token, user or signed address, ten times as many at once [default: 1000]
    #[arg(long, env = "LIVETAPE_LIMIT_REQUEST_RATE_PER_IDENTITY", value_name = "N")]
    limit_request_rate_per_identity: Option<u32>,
    /// Failed proofs of who one is in a minute from one address, as many at once [default: 30]
    #[arg(long, env = "LIVETAPE_LIMIT_FAILED_PROOFS", value_name = "N")]
    limit_failed_proofs: Option<u32>,
    /// Largest head of a request, 8 KiB to 1 MiB [default: 32KiB]
    #[arg(long, env = "LIVETAPE_LIMIT_HEAD_SIZE", value_name = "SIZE")]
    limit_head_size: Option<ByteSize>,
    /// How long a request's head may take, and a connection be without a request [default: 15s]
    #[arg(long, env = "LIVETAPE_LIMIT_HEAD_TIME", value_name = "TIME")]
    limit_head_time: Option<Span>,
    /// Largest body of a request [default: 64KiB]
    #[arg(long, env = "LIVETAPE_LIMIT_BODY_SIZE", value_name = "SIZE")]
    limit_body_size: Option<ByteSize>,
    /// How long a request's body may take [default: 5s]
    #[arg(long, env = "LIVETAPE_LIMIT_BODY_TIME", value_name = "TIME")]
    limit_body_time: Option<Span>,
    /// How long a live listener may take nothing [default: 10s]
    #[arg(long, env = "LIVETAPE_LIMIT_LIVE_STALL", value_name = "TIME")]
    limit_live_stall: Option<Span>,
    /// How long any other listener may take nothing [default: 60s]
    #[arg(long, env = "LIVETAPE_LIMIT_STALL", value_name = "TIME")]
    limit_stall: Option<Span>,
    /// Connections to the recorder at once [default: 2048]
    #[arg(long, env = "LIVETAPE_LIMIT_GRPC_CONNECTIONS", value_name = "N")]
    limit_grpc_connections: Option<u32>,
    /// Calls of the recorder at once from one address: a gateway has one for each of its listeners, now and then [default: 1024]
    #[arg(long, env = "LIVETAPE_LIMIT_CALLS_PER_ADDRESS", value_name = "N")]
    limit_calls_per_address: Option<u32>,
    /// Calls of the recorder at once by one token, user or certificate [default: 2048]
    #[arg(long, env = "LIVETAPE_LIMIT_CALLS_PER_IDENTITY", value_name = "N")]
    limit_calls_per_identity: Option<u32>,
    /// Calls of the recorder in a second from one address, ten times as many at once [default: 2000]
    #[arg(long, env = "LIVETAPE_LIMIT_CALL_RATE_PER_ADDRESS", value_name = "N")]
    limit_call_rate_per_address: Option<u32>,
    /// Calls of the recorder in a second by one token, user or certificate, ten times as many at once [default: 4000]
    #[arg(long, env = "LIVETAPE_LIMIT_CALL_RATE_PER_IDENTITY", value_name = "N")]
    limit_call_rate_per_identity: Option<u32>,
    /// How long a reader of the recorder may take nothing; after twice as long its connection is closed [default: 60s]
    #[arg(long, env = "LIVETAPE_LIMIT_CALL_STALL", value_name = "TIME")]
    limit_call_stall: Option<Span>,
    /// Streams that have a source, or had one a minute ago [default: 4096]
    #[arg(long, env = "LIVETAPE_LIMIT_STREAMS", value_name = "N")]
    limit_streams: Option<u32>,
    /// Recordings that are kept; at this number none is begun, and what is open goes on [default: 1000000]
    #[arg(long, env = "LIVETAPE_LIMIT_RECORDINGS", value_name = "N")]
    limit_recordings: Option<u32>,
    #[command(flatten)]
    pub(super) sources: SourceLimitFlags,
}

/// The table `[limits]` of the file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileLimits {
    connections: Option<u32>,
    connections_per_address: Option<u32>,
    listeners: Option<u32>,
    event_streams: Option<u32>,
    listeners_per_address: Option<u32>,
    listeners_per_identity: Option<u32>,
    request_rate_per_address: Option<u32>,
    request_rate_per_identity: Option<u32>,
    failed_proofs: Option<u32>,
    head_size: Option<ByteSize>,
    head_time: Option<Span>,
    body_size: Option<ByteSize>,
    body_time: Option<Span>,
    live_stall: Option<Span>,
    stall: Option<Span>,
    grpc_connections: Option<u32>,
    calls_per_address: Option<u32>,
    calls_per_identity: Option<u32>,
    call_rate_per_address: Option<u32>,
    call_rate_per_identity: Option<u32>,
    call_stall: Option<Span>,
    streams: Option<u32>,
    recordings: Option<u32>,
    pub(super) source_connections: Option<u32>,
    pub(super) source_connections_per_address: Option<u32>,
    pub(super) sources: Option<u32>,
    pub(super) sources_per_address: Option<u32>,
    pub(super) sources_per_identity: Option<u32>,
    pub(super) source_rate_per_address: Option<u32>,
    pub(super) source_rate_per_identity: Option<u32>,
    pub(super) source_head_time: Option<Span>,
    pub(super) source_stall: Option<Span>,
}

/// A network without limits, or the word that there is none.
#[derive(Clone, Copy, Debug)]
struct Unlimited(Option<Network>);

impl std::str::FromStr for Unlimited {
    type Err = livetape_service::networks::NetworkError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "none" { Ok(Self(None)) } else { text.parse().map(|network| Self(Some(network))) }
    }
}

/// Most of anything that can be counted.
const MOST: u32 = 10_000_000;

pub(super) fn whole(n: u32) -> usize {
    usize::try_from(n).unwrap_or(usize::MAX)
}

/// The first of flag, file and what is built in, if it is possible.
pub(super) fn number(name: &str, flag: Option<u32>, file: Option<u32>, built_in: u32) -> anyhow::Result<u32> {
    let n = flag.or(file).unwrap_or(built_in);
    let variable = name.to_uppercase();
    ensure!(
        (1..=MOST).contains(&n),
        "limits.{name} (LIVETAPE_LIMIT_{variable}) is {n}; 1 to {MOST} are possible, such as {built_in}"
    );
    Ok(n)
}

fn size(
    name: &str,
    flag: Option<ByteSize>,
    file: Option<ByteSize>,
    built_in: usize,
    possible: RangeInclusive<usize>,
) -> anyhow::Result<usize> {
    let size = flag.or(file).map_or(built_in, |size| usize::try_from(size.as_u64()).unwrap_or(usize::MAX));
    let (least, most, variable) = (possible.start(), possible.end(), name.to_uppercase());
    ensure!(
        possible.contains(&size),
        "limits.{name} (LIVETAPE_LIMIT_{variable}) is {size} bytes; {least} to {most} are possible, such as {built_in}"
    );
    Ok(size)
}

fn time(name: &str, flag: Option<Span>, file: Option<Span>, built_in: Duration) -> anyhow::Result<Duration> {
    let (least, most) = (Duration::from_millis(100), Duration::from_secs(3600));
    span(&format!("limit_{name}"), flag, file, built_in, least..=most)
}

impl LimitFlags {
    fn unlimited(&self, file: &File) -> Networks {
        let flags = self.unlimited.as_ref().map(|all| all.iter().filter_map(|one| one.0).collect());
        let file = || file.unlimited.as_ref().map(|all| all.iter().copied().collect());
        flags.or_else(file).unwrap_or_else(Networks::loopback)
    }

    /// Those of the gateway.
    pub(crate) fn gateway(&self, config: GatewayConfig, file: &File) -> anyhow::Result<GatewayConfig> {
        let (mut limits, built_in, f) = (config.limits, config.clients, &file.limits);
        limits.connections = whole(number("connections", self.limit_connections, f.connections, 10_000)?);
        limits.bodies = whole(number("listeners", self.limit_listeners, f.listeners, 10_000)?);
        limits.event_streams = whole(number("event_streams", self.limit_event_streams, f.event_streams, 1_000)?);
        limits.head = size("head_size", self.limit_head_size, f.head_size, limits.head, 8 << 10..=1 << 20)?;
        limits.body = size("body_size", self.limit_body_size, f.body_size, limits.body, 1 << 10..=16 << 20)?;
        limits.body_time = time("body_time", self.limit_body_time, f.body_time, limits.body_time)?;
        let patience = &mut limits.patience;
        patience.idle = time("head_time", self.limit_head_time, f.head_time, patience.idle)?;
        patience.live = time("live_stall", self.limit_live_stall, f.live_stall, patience.live)?;
        patience.recording = time("stall", self.limit_stall, f.stall, patience.recording)?;
        let clients = ClientLimits {
            lasting_per_address: number(
                "listeners_per_address",
                self.limit_listeners_per_address,
                f.listeners_per_address,
                built_in.lasting_per_address,
            )?,
            lasting_per_identity: number(
                "listeners_per_identity",
                self.limit_listeners_per_identity,
                f.listeners_per_identity,
                built_in.lasting_per_identity,
            )?,
            rate_per_address: number(
                "request_rate_per_address",
                self.limit_request_rate_per_address,
                f.request_rate_per_address,
                built_in.rate_per_address,
            )?,
            rate_per_identity: number(
                "request_rate_per_identity",
                self.limit_request_rate_per_identity,
                f.request_rate_per_identity,
                built_in.rate_per_identity,
            )?,
            ..self.both(built_in, file)?
        };
        Ok(GatewayConfig { limits, clients, ..config })
    }

    /// Those of the recorder.
    pub(crate) fn recorder(&self, config: RecorderConfig, file: &File) -> anyhow::Result<RecorderConfig> {
        let (mut limits, f) = (config.limits, &file.limits);
        limits.connections = whole(number("grpc_connections", self.limit_grpc_connections, f.grpc_connections, 2_048)?);
        limits.streams = whole(number("streams", self.limit_streams, f.streams, 4_096)?);
        limits.stall = time("call_stall", self.limit_call_stall, f.call_stall, limits.stall)?;
        limits.recordings = whole(number("recordings", self.limit_recordings, f.recordings, 1_000_000)?);
        let built_in = limits.clients;
        limits.clients = ClientLimits {
            lasting_per_address: number(
                "calls_per_address",
                self.limit_calls_per_address,
                f.calls_per_address,
                built_in.lasting_per_address,
            )?,
            lasting_per_identity: number(
                "calls_per_identity",
                self.limit_calls_per_identity,
                f.calls_per_identity,
                built_in.lasting_per_identity,
            )?,
            rate_per_address: number(
                "call_rate_per_address",
                self.limit_call_rate_per_address,
                f.call_rate_per_address,
                built_in.rate_per_address,
            )?,
            rate_per_identity: number(
                "call_rate_per_identity",
                self.limit_call_rate_per_identity,
                f.call_rate_per_identity,
                built_in.rate_per_identity,
            )?,
            ..self.both(built_in, file)?
        };
        Ok(RecorderConfig { limits, ..config })
    }

    /// What gateway and recorder have.
    fn both(&self, built_in: ClientLimits, file: &File) -> anyhow::Result<ClientLimits> {
        let f = &file.limits;
        Ok(ClientLimits {
            connections: number(
                "connections_per_address",
                self.limit_connections_per_address,
                f.connections_per_address,
                built_in.connections,
            )?,
            ..self.everywhere(built_in, file)?
        })
    }

    /// What all have.
    pub(super) fn everywhere(&self, built_in: ClientLimits, file: &File) -> anyhow::Result<ClientLimits> {
        let file_says = file.limits.failed_proofs;
        Ok(ClientLimits {
            failed_proofs: number("failed_proofs", self.limit_failed_proofs, file_says, built_in.failed_proofs)?,
            unlimited: self.unlimited(file),
            ..built_in
        })
    }
}

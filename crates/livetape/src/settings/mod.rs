//! Settings of the roles: flags, then the environment, then the file, then what is built in.
//!
//! Each role takes the groups of flags that it needs; `run` takes them all. Every key of every group has a place in the
//! one configuration file, so that one file can serve all roles.

pub(crate) mod access;
pub(crate) mod capture;
pub(crate) mod clients;
pub(crate) mod gateway;
pub(crate) mod pushing;
pub(crate) mod recorder;
pub(crate) mod tls;

use access::Policy;
use anyhow::{Context, ensure};
use bytesize::ByteSize;
use livetape_proto::RecorderAddress;
use livetape_service::TlsFiles;
use livetape_service::ops::OpsConfig;
use livetape_tail::redis::RedisConfig;
use serde::Deserialize;
use std::net::{Ipv4Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// A length of time in words: `100ms`, `5m`, `24h`, `1h 30m`, `90d`; a day has 24 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Span(pub(crate) Duration);

impl FromStr for Span {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let span = s.parse::<jiff::Span>().ok();
        let duration = span.and_then(|span| span.to_duration(jiff::SpanRelativeTo::days_are_24_hours()).ok());
        let duration = duration.and_then(|duration| Duration::try_from(duration).ok());
        duration.map(Self).ok_or_else(|| format!("{s:?} is not a length of time such as 100ms, 5m, 24h or 90d"))
    }
}

impl TryFrom<String> for Span {
    type Error = String;
    fn try_from(s: String) -> Result<Self, String> {
        s.parse()
    }
}

/// The first of flag, file and what is built in, if it is possible.
fn span(
    name: &str,
    flag: Option<Span>,
    file: Option<Span>,
    built_in: Duration,
    possible: RangeInclusive<Duration>,
) -> anyhow::Result<Duration> {
    let Span(value) = flag.or(file).unwrap_or(Span(built_in));
    let (least, most) = (possible.start(), possible.end());
    let variable = name.to_uppercase();
    ensure!(
        possible.contains(&value),
        "{name} (LIVETAPE_{variable}) is {value:?}; {least:?} to {most:?} are possible, such as {built_in:?}"
    );
    Ok(value)
}

/// The same of sizes.
fn bytes(
    name: &str,
    flag: Option<ByteSize>,
    file: Option<ByteSize>,
    built_in: u64,
    possible: RangeInclusive<u64>,
) -> anyhow::Result<u64> {
    let size = flag.or(file).map_or(built_in, |size| size.as_u64());
    let [given, least, most] = [size, *possible.start(), *possible.end()].map(|n| ByteSize(n).display().iec());
    let variable = name.to_uppercase();
    ensure!(possible.contains(&size), "{name} (LIVETAPE_{variable}) is {given}; {least} to {most} are possible");
    Ok(size)
}

const fn local(port: u16) -> SocketAddr {
    SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), port)
}

/// The configuration file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct File {
    http_addr: Option<SocketAddr>,
    grpc_addr: Option<SocketAddr>,
    source_addr: Option<SocketAddr>,
    ops_addr: Option<SocketAddr>,
    ops_tls: Option<bool>,
    data_dir: Option<PathBuf>,
    redis_url: Option<Hidden>,
    redis_password_file: Option<PathBuf>,
    recorder_url: Option<String>,
    token_file: Option<PathBuf>,
    recorder_ca: Option<PathBuf>,
    recorder_cert: Option<PathBuf>,
    recorder_key: Option<PathBuf>,
    tls_cert: Option<PathBuf>,
    tls_key: Option<PathBuf>,
    tls_client_ca: Option<PathBuf>,
    redis_ca: Option<PathBuf>,
    read: Option<gateway::Read>,
    hosts: Option<Vec<String>>,
    cors_origins: Option<Vec<String>>,
    trusted_proxies: Option<Vec<livetape_service::Network>>,
    proxy_header: Option<livetape_service::ProxyHeader>,
    unlimited: Option<Vec<livetape_service::Network>>,
    #[serde(default)]
    limits: clients::FileLimits,
    renditions: Option<Vec<String>>,
    encoders: Option<usize>,
    access: Option<PathBuf>,
    anonymous: Option<Vec<access::Anonymous>>,
    sync_interval: Option<Span>,
    resume_window: Option<Span>,
    roll_after: Option<Span>,
    drain: Option<Span>,
    keep_for: Option<Span>,
    keep_size: Option<ByteSize>,
    keep_free: Option<ByteSize>,
    spool_dir: Option<PathBuf>,
    spool_size: Option<ByteSize>,
    queue_size: Option<ByteSize>,
    pub(crate) allow_streams: Option<Vec<livetape_audio::StreamPattern>>,
    #[serde(default)]
    stream: Vec<recorder::FileStream>,
    #[serde(default)]
    source: Vec<capture::FileSource>,
}

impl File {
    /// Where the gateway listens.
    pub(crate) fn http_addr(&self) -> SocketAddr {
        self.http_addr.unwrap_or(local(8080))
    }
}

/// Which file.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct FileFlag {
    /// Commented example: docs/livetape.toml
    #[arg(long, env = "LIVETAPE_CONFIG", value_name = "FILE", global = true)]
    config: Option<PathBuf>,
}

impl FileFlag {
    /// Reads the file, if there is one.
    pub(crate) fn load(&self) -> anyhow::Result<File> {
        let file = self.config.as_deref().map(livetape_service::config::read_file::<File>).transpose();
        Ok(file.context("LIVETAPE_CONFIG")?.unwrap_or_default())
    }
}

/// Where recordings are.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct DataFlag {
    /// Where recordings are kept [default: ./data]
    #[arg(long, env = "LIVETAPE_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
}

impl DataFlag {
    /// The folder.
    pub(crate) fn folder(&self, file: &File) -> PathBuf {
        self.data_dir.clone().or_else(|| file.data_dir.clone()).unwrap_or_else(|| "./data".into())
    }
}

/// The address for whoever watches the process.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct OpsFlag {
    /// Where /healthz, /readyz and /metrics are served [default: 127.0.0.1:9464]
    #[arg(long, env = "LIVETAPE_OPS_ADDR", value_name = "ADDR")]
    ops_addr: Option<SocketAddr>,
    /// Have that address speak TLS to other machines, by tls_cert and tls_key: true or false [default: false]
    #[arg(long, env = "LIVETAPE_OPS_TLS", value_name = "BOOL", num_args = 0..=1, default_missing_value = "true")]
    ops_tls: Option<bool>,
}

impl OpsFlag {
    /// The certificate of the address, if it is to have one.
    fn tls(&self, tls: Option<TlsFiles>, file: &File) -> Option<TlsFiles> {
        tls.filter(|_| self.ops_tls.or(file.ops_tls).unwrap_or(false))
    }

    /// The address, if one was given.
    pub(crate) fn given(&self, policy: &Policy, tls: Option<TlsFiles>, file: &File) -> Option<OpsConfig> {
        let addr = self.ops_addr.or(file.ops_addr)?;
        Some(OpsConfig { addr, anonymous: policy.lets_watch(), tls: self.tls(tls, file) })
    }

    /// Where the process answers, given or built in.
    pub(crate) fn addr(&self, file: &File) -> SocketAddr {
        self.ops_addr.or(file.ops_addr).unwrap_or(OpsConfig::default().addr)
    }

    /// The address, given or built in.
    pub(crate) fn config(&self, policy: &Policy, tls: Option<TlsFiles>, file: &File) -> OpsConfig {
        self.given(policy, tls, file).unwrap_or_default()
    }
}

/// A text that may have a password in it, and so is not shown.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
struct Hidden(String);

impl FromStr for Hidden {
    type Err = std::convert::Infallible;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Self(text.to_owned()))
    }
}

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

/// The length store.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct RedisFlag {
    /// Redis that tells gateways how far recordings go; also Sentinel and Cluster, see docs/redis.md [default: none]
    #[arg(long, env = "LIVETAPE_REDIS_URL", value_name = "URL", hide_env_values = true)]
    redis_url: Option<Hidden>,
    /// File with the password for Redis, so that it need not stand in the URL [default: none]
    #[arg(long, env = "LIVETAPE_REDIS_PASSWORD_FILE", value_name = "FILE")]
    redis_password_file: Option<PathBuf>,
    /// Authorities of Redis' certificate, in PEM, for rediss:// [default: those of this machine]
    #[arg(long, env = "LIVETAPE_REDIS_CA", value_name = "FILE")]
    redis_ca: Option<PathBuf>,
}

impl RedisFlag {
    /// Where it is, if there is one.
    pub(crate) fn config(&self, file: &File) -> anyhow::Result<Option<RedisConfig>> {
        let url = self.redis_url.as_ref().or(file.redis_url.as_ref()).map(|Hidden(url)| url.as_str());
        let Some(url) = url.filter(|url| !url.is_empty()) else { return Ok(None) };
        let password = match self.redis_password_file.as_ref().or(file.redis_password_file.as_ref()) {
            Some(path) => {
                let text = livetape_service::config::read_secret(path).context("LIVETAPE_REDIS_PASSWORD_FILE")?;
                Some(text.trim().to_owned())
            }
            None => None,
        };
        let config = RedisConfig::parse_with(url, password);
        let config = config.context("redis_url (LIVETAPE_REDIS_URL, such as redis://127.0.0.1:6379)")?;
        match self.redis_ca.as_ref().or(file.redis_ca.as_ref()) {
            Some(path) => {
                let ca = livetape_service::config::read_secret(path).context("LIVETAPE_REDIS_CA")?;
                Ok(Some(config.with_ca(ca)))
            }
            None => Ok(Some(config)),
        }
    }
}

/// The recorder that a role works with.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct RecorderUrlFlag {
    /// Address of the recorder [default: http://127.0.0.1:7070]
    #[arg(long, env = "LIVETAPE_RECORDER_URL", value_name = "URL", global = true)]
    recorder_url: Option<String>,
    /// File with the token or JWT that is shown to the recorder [default: none]
    #[arg(long, env = "LIVETAPE_TOKEN_FILE", value_name = "FILE", global = true)]
    token_file: Option<PathBuf>,
    #[command(flatten)]
    tls: tls::RecorderTlsFlags,
}

impl RecorderUrlFlag {
    /// Its address.
    pub(crate) fn address(&self, file: &File) -> anyhow::Result<RecorderAddress> {
        let url = self.recorder_url.clone().or_else(|| file.recorder_url.clone());
        let address = RecorderAddress::new(url.unwrap_or_else(|| format!("http://{}", local(recorder::PORT))));
        let address = self.tls.on(address, file)?;
        match self.token_file.as_ref().or(file.token_file.as_ref()) {
            Some(path) => Ok(address.with_token_file(path).context("LIVETAPE_TOKEN_FILE")?),
            None => Ok(address),
        }
    }
}

#[cfg(test)]
mod tests;

//! Settings of `livetape run`: flags, then the environment, then the file, then what is built in.

use anyhow::{Context, ensure};
use livetape_audio::{SampleFormat, Spec, StreamName, Title};
use livetape_capture::{SourceConfig, SourceSpec};
use serde::Deserialize;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

/// What only one who knows what it means should say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Anonymous {
    /// Anyone who reaches the address may listen.
    Listen,
    /// Anyone who reaches the address may record.
    Publish,
}

/// A length of time in words: `100ms`, `5m`, `24h`, `1h 30m`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Span(pub(crate) Duration);

impl FromStr for Span {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        let span = s.parse::<jiff::SignedDuration>().ok().and_then(|d| Duration::try_from(d).ok());
        span.map(Self).ok_or_else(|| format!("{s:?} is not a length of time such as 100ms, 5m or 24h"))
    }
}

impl TryFrom<String> for Span {
    type Error = String;
    fn try_from(s: String) -> Result<Self, String> {
        s.parse()
    }
}

/// Flags of `livetape run`. Everything but the sources can also stand in the environment and in the file.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct RunArgs {
    /// Name of the stream that the following --source goes to; once for each source [default: live]
    #[arg(long = "stream", value_name = "NAME")]
    streams: Vec<StreamName>,
    /// time-signal, tone, noise, counting, stdin, or none; once for each stream [default: time-signal]
    #[arg(long = "source", value_name = "SPEC")]
    sources: Vec<SourceSpec>,
    /// Frames per second of the sources, 8000 to 192000 [default: 48000]
    #[arg(long, value_name = "HZ")]
    rate: Option<u32>,
    /// Channels of the sources, 1 to 8 [default: 2]
    #[arg(long)]
    channels: Option<u32>,
    /// Sample format of the sources: s16, s24, s32 or f32, little-endian [default: s16]
    #[arg(long)]
    format: Option<SampleFormat>,
    /// Where listeners connect [default: 127.0.0.1:8080]
    #[arg(long, env = "LIVETAPE_HTTP_ADDR", value_name = "ADDR")]
    http_addr: Option<SocketAddr>,
    /// Where sources of other programs connect [default: 127.0.0.1:7070]
    #[arg(long, env = "LIVETAPE_GRPC_ADDR", value_name = "ADDR")]
    grpc_addr: Option<SocketAddr>,
    /// Where recordings are kept [default: ./data]
    #[arg(long, env = "LIVETAPE_DATA_DIR", value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Host names besides localhost under which the gateway may be asked; * for any
    #[arg(long, env = "LIVETAPE_HOSTS", value_name = "NAME", value_delimiter = ',')]
    hosts: Option<Vec<String>>,
    /// Origins, each as SCHEME://HOST, whose pages may read audio; * for any
    #[arg(long, env = "LIVETAPE_CORS_ORIGINS", value_name = "ORIGIN", value_delimiter = ',')]
    cors_origins: Option<Vec<String>>,
    /// Let anyone who reaches an address that is not a loopback one listen, or publish
    #[arg(long, env = "LIVETAPE_ANONYMOUS", value_enum, value_delimiter = ',')]
    anonymous: Option<Vec<Anonymous>>,
    /// Time between two sync rounds: what a power cut may cost, 10ms to 1s [default: 100ms]
    #[arg(long, env = "LIVETAPE_SYNC_INTERVAL", value_name = "TIME")]
    sync_interval: Option<Span>,
    /// How long a source may be away before its recording is sealed [default: 5m]
    #[arg(long, env = "LIVETAPE_RESUME_WINDOW", value_name = "TIME")]
    resume_window: Option<Span>,
    /// A recording rolls into a next one at the first 00:00 UTC after it is this long [default: 24h]
    #[arg(long, env = "LIVETAPE_ROLL_AFTER", value_name = "TIME")]
    roll_after: Option<Span>,
    /// How long listeners may go on when the process is asked to stop [default: 5s]
    #[arg(long, env = "LIVETAPE_DRAIN", value_name = "TIME")]
    drain: Option<Span>,
    /// Commented example: docs/livetape.toml
    #[arg(long, env = "LIVETAPE_CONFIG", value_name = "FILE")]
    config: Option<PathBuf>,
}

/// The configuration file.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    http_addr: Option<SocketAddr>,
    grpc_addr: Option<SocketAddr>,
    data_dir: Option<PathBuf>,
    hosts: Option<Vec<String>>,
    cors_origins: Option<Vec<String>>,
    anonymous: Option<Vec<Anonymous>>,
    sync_interval: Option<Span>,
    resume_window: Option<Span>,
    roll_after: Option<Span>,
    drain: Option<Span>,
    #[serde(default)]
    source: Vec<FileSource>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct FileSource {
    stream: StreamName,
    source: String,
    rate: Option<u32>,
    channels: Option<u32>,
    format: Option<SampleFormat>,
    title: Option<Title>,
}

/// Checked settings.
#[derive(Debug)]
pub(crate) struct Settings {
    pub(crate) http_addr: SocketAddr,
    pub(crate) grpc_addr: SocketAddr,
    pub(crate) data_dir: PathBuf,
    pub(crate) hosts: Vec<String>,
    pub(crate) cors_origins: Vec<String>,
    pub(crate) anonymous: Vec<Anonymous>,
    pub(crate) sync_interval: Duration,
    pub(crate) resume_window: Duration,
    pub(crate) roll_after: Duration,
    pub(crate) drain: Duration,
    pub(crate) sources: Vec<SourceConfig>,
}

impl Settings {
    /// Puts the layers together and checks every value.
    pub(crate) fn new(args: RunArgs) -> anyhow::Result<Self> {
        let file = args.config.as_deref().map(livetape_service::config::read_file::<File>).transpose()?;
        Self::merge(args, file.unwrap_or_default())
    }

    fn merge(args: RunArgs, file: File) -> anyhow::Result<Self> {
        let local = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        let sources = sources(&args, file.source)?;
        let span = |name, flag: Option<Span>, file: Option<Span>, built_in, limits: [Duration; 2]| {
            let Span(value) = flag.or(file).unwrap_or(Span(built_in));
            let [least, most] = limits;
            ensure!((least..=most).contains(&value), "{name} is {value:?}; {least:?} to {most:?} are possible");
            Ok(value)
        };
        let (ms, s) = (Duration::from_millis, Duration::from_secs);
        let days = |n: u64| s(n * 86_400);
        Ok(Self {
            http_addr: args.http_addr.or(file.http_addr).unwrap_or(local(8080)),
            grpc_addr: args.grpc_addr.or(file.grpc_addr).unwrap_or(local(7070)),
            data_dir: args.data_dir.or(file.data_dir).unwrap_or_else(|| "./data".into()),
            hosts: args.hosts.or(file.hosts).unwrap_or_default(),
            cors_origins: args.cors_origins.or(file.cors_origins).unwrap_or_default(),
            anonymous: args.anonymous.or(file.anonymous).unwrap_or_default(),
            sync_interval: span("sync_interval", args.sync_interval, file.sync_interval, ms(100), [ms(10), s(1)])?,
            resume_window: span("resume_window", args.resume_window, file.resume_window, s(300), [s(0), days(7)])?,
            roll_after: span("roll_after", args.roll_after, file.roll_after, days(1), [s(1), days(365)])?,
            drain: span("drain", args.drain, file.drain, s(5), [s(0), s(3600)])?,
            sources,
        })
    }
}

/// Sources of the flags; without any, those of the file; without any, the time signal.
fn sources(args: &RunArgs, file: Vec<FileSource>) -> anyhow::Result<Vec<SourceConfig>> {
    let spec = |format: Option<SampleFormat>, rate: Option<u32>, channels: Option<u32>| {
        Spec::new(format.unwrap_or(SampleFormat::S16), rate.unwrap_or(48_000), channels.unwrap_or(2))
    };
    let named = !args.streams.is_empty() || !args.sources.is_empty();
    let mut sources: Vec<SourceConfig> = Vec::new();
    if named || file.is_empty() {
        let n = args.streams.len().max(args.sources.len()).max(1);
        let paired = args.streams.len() == n && args.sources.len() == n;
        ensure!(
            paired || n == 1,
            "{} times --stream and {} times --source: say --stream once for each --source",
            args.streams.len(),
            args.sources.len()
        );
        for i in 0..n {
            let stream = args.streams.get(i).cloned().map_or_else(|| "live".parse(), Ok)?;
            let source = args.sources.get(i).cloned().unwrap_or(SourceSpec::TimeSignal);
            let spec = spec(args.format, args.rate, args.channels)?;
            sources.push(SourceConfig { stream, source, spec, title: Title::default() });
        }
    } else {
        for s in file {
            let place = format!("source of stream {}", s.stream);
            let source = s.source.parse::<SourceSpec>().with_context(|| place.clone())?;
            let spec =
                spec(args.format.or(s.format), args.rate.or(s.rate), args.channels.or(s.channels)).context(place)?;
            sources.push(SourceConfig { stream: s.stream, source, spec, title: s.title.unwrap_or_default() });
        }
    }
    Ok(sources)
}

#[cfg(test)]
mod tests;

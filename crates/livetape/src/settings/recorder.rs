//! Flags of the recorder.

use super::access::Policy;
use super::{DataFlag, File, Span, bytes, local, span};
use anyhow::ensure;
use bytesize::ByteSize;
use livetape_audio::{RecordingMode, StreamPattern, StreamRules};
use livetape_recorder::{RecorderConfig, Retention};
use livetape_store::Disk;
use serde::Deserialize;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::time::Duration;

/// Where sources connect, unless told otherwise.
pub(crate) const PORT: u16 = 7070;
const MINUTE: Duration = Duration::from_secs(60);
const DAY: Duration = Duration::from_secs(86_400);

/// Flags of the recorder.
#[derive(Debug, Default, clap::Args)]
pub(crate) struct RecorderFlags {
    /// Where sources connect [default: 127.0.0.1:7070]
    #[arg(long, env = "LIVETAPE_GRPC_ADDR", value_name = "ADDR")]
    grpc_addr: Option<SocketAddr>,
    /// Time between two sync rounds: what a power cut may cost, 10ms to 1s [default: 100ms]
    #[arg(long, env = "LIVETAPE_SYNC_INTERVAL", value_name = "TIME")]
    sync_interval: Option<Span>,
    /// How long a source may be away before its recording is sealed [default: 5m]
    #[arg(long, env = "LIVETAPE_RESUME_WINDOW", value_name = "TIME")]
    resume_window: Option<Span>,
    /// A recording rolls into a next one at the first 00:00 UTC after it is this long [default: 24h]
    #[arg(long, env = "LIVETAPE_ROLL_AFTER", value_name = "TIME")]
    roll_after: Option<Span>,
    /// Streams that sources may open, * for any characters, such as studio-*,live [default: any]
    #[arg(long, env = "LIVETAPE_ALLOW_STREAMS", value_name = "NAME", value_delimiter = ',')]
    allow_streams: Option<Vec<StreamPattern>>,
    /// Remove sealed recordings that ended longer ago, but never locked ones [default: keep]
    #[arg(long, env = "LIVETAPE_KEEP_FOR", value_name = "TIME")]
    keep_for: Option<Span>,
    /// Remove the oldest sealed recordings while all audio together is larger, such as 500GB [default: keep]
    #[arg(long, env = "LIVETAPE_KEEP_SIZE", value_name = "SIZE")]
    keep_size: Option<ByteSize>,
    /// Remove the oldest sealed recordings while the disk has less free space, such as 20GB [default: keep]
    #[arg(long, env = "LIVETAPE_KEEP_FREE", value_name = "SIZE")]
    keep_free: Option<ByteSize>,
}

/// What the configuration file says about streams of this name.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FileStream {
    name: StreamPattern,
    record: RecordingMode,
}

/// Sizes that retention may have.
const KEPT: RangeInclusive<u64> = 1 << 20..=1 << 60;

/// Most patterns: each is looked at when a source connects.
const MOST: usize = 10_000;

/// When streams are recorded, as the file says.
pub(crate) fn modes(file: &File) -> Vec<(StreamPattern, RecordingMode)> {
    file.stream.iter().map(|stream| (stream.name.clone(), stream.record)).collect()
}

/// What is to be kept of something, if anybody has said: no less than a second's audio, no more than there are disks.
fn kept(name: &str, flag: Option<ByteSize>, file: Option<ByteSize>) -> anyhow::Result<Option<u64>> {
    flag.or(file).map(|_| bytes(name, flag, file, 0, KEPT)).transpose()
}

impl RecorderFlags {
    fn addr(&self, file: &File) -> SocketAddr {
        self.grpc_addr.or(file.grpc_addr).unwrap_or(local(PORT))
    }

    /// Streams that sources may open.
    pub(crate) fn allowed(&self, file: &File) -> Option<Vec<StreamPattern>> {
        self.allow_streams.clone().or_else(|| file.allow_streams.clone())
    }

    /// Checked settings.
    pub(crate) fn config(&self, data: &DataFlag, policy: &Policy, file: &File) -> anyhow::Result<RecorderConfig> {
        let keep_for = self.keep_for.or(file.keep_for);
        let max_age = keep_for.map(|_| span("keep_for", self.keep_for, file.keep_for, DAY, MINUTE..=36_500 * DAY));
        let rules = StreamRules { allowed: self.allowed(file), modes: modes(file) };
        let most = rules.modes.len().max(rules.allowed.as_ref().map_or(0, Vec::len));
        ensure!(most <= MOST, "{most} patterns of streams; at most {MOST} are possible");
        let (ms, s) = (Duration::from_millis, Duration::from_secs);
        Ok(RecorderConfig {
            data_dir: data.folder(file),
            grpc_addr: self.addr(file),
            access: Some(policy.at(self.addr(file))?),
            tls: None,
            sync_interval: span("sync_interval", self.sync_interval, file.sync_interval, ms(100), ms(10)..=s(1))?,
            resume_window: span("resume_window", self.resume_window, file.resume_window, s(300), s(0)..=7 * DAY)?,
            roll_after: span("roll_after", self.roll_after, file.roll_after, DAY, s(1)..=365 * DAY)?,
            rules,
            retention: Retention {
                max_age: max_age.transpose()?,
                max_bytes: kept("keep_size", self.keep_size, file.keep_size)?,
                min_free_bytes: kept("keep_free", self.keep_free, file.keep_free)?,
            },
            limits: Default::default(),
            proxies: Default::default(),
            disk: Disk::default(),
        })
    }
}

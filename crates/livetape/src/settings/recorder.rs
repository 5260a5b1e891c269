//! Flags of the recorder.

use super::access::Policy;
use super::{DataFlag, File, Span, local, span};
use bytesize::ByteSize;
use livetape_recorder::{RecorderConfig, Retention};
use livetape_store::Disk;
use std::net::SocketAddr;
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

impl RecorderFlags {
    /// Checked settings.
    pub(crate) fn config(&self, data: &DataFlag, policy: &Policy, file: &File) -> anyhow::Result<RecorderConfig> {
        let keep_for = self.keep_for.or(file.keep_for);
        let max_age = keep_for.map(|_| span("keep_for", self.keep_for, file.keep_for, DAY, MINUTE..=36_500 * DAY));
        let size = |flag: Option<ByteSize>, file: Option<ByteSize>| flag.or(file).map(|size| size.as_u64());
        let (ms, s) = (Duration::from_millis, Duration::from_secs);
        Ok(RecorderConfig {
            data_dir: data.folder(file),
            grpc_addr: self.grpc_addr.or(file.grpc_addr).unwrap_or(local(PORT)),
            anonymous_publish: policy.at_publish(),
            sync_interval: span("sync_interval", self.sync_interval, file.sync_interval, ms(100), ms(10)..=s(1))?,
            resume_window: span("resume_window", self.resume_window, file.resume_window, s(300), s(0)..=7 * DAY)?,
            roll_after: span("roll_after", self.roll_after, file.roll_after, DAY, s(1)..=365 * DAY)?,
            retention: Retention {
                max_age: max_age.transpose()?,
                max_bytes: size(self.keep_size, file.keep_size),
                min_free_bytes: size(self.keep_free, file.keep_free),
            },
            disk: Disk::default(),
        })
    }
}

//! The gateway as a process of its own: a recorder elsewhere, followed and read.
//!
//! What there is comes from the recorder's catalogue (`mirror`), how far it goes from Redis or from the recorder
//! (`follow`), and the audio from its data folder, if that is on this machine, or through its calls (`library`). A
//! recorder that is away is looked for; what is known stays, and what can be read is read.

mod follow;
mod library;
mod link;
mod mirror;
mod operations;
mod wire;

pub use library::RecorderLibrary;
pub use link::RemoteError;
pub use mirror::CatalogueMirror;
pub(crate) use operations::Operations;
pub(crate) use wire::recording as recording_of;

use crate::dir::DirLibrary;
use crate::library::Library;
use link::Contact;
use livetape_proto::{RecorderAddress, RecorderChannel};
use livetape_service::{Metrics, Readiness};
use livetape_store::{DataDir, Disk};
use livetape_tail::redis::{Believed, RedisConfig, RedisFollower};
use livetape_tail::{MemoryTails, Watch};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;

/// How long the tails of what grows may take after the catalogue is known.
const FIRST_TAILS: Duration = Duration::from_secs(3);
/// How often it is looked whether they are there.
const LOOK: Duration = Duration::from_millis(20);

/// Where a gateway reads audio.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reading {
    /// In the recorder's data folder, which is never written to.
    Dir(PathBuf),
    /// Through the recorder.
    Recorder,
}

/// Which recorder, and how it is read.
#[derive(Clone, Debug)]
pub struct RemoteConfig {
    /// Its address, as `http://recorder:7070`.
    pub recorder_url: RecorderAddress,
    /// Where the audio is read.
    pub reading: Reading,
    /// Where the recorder publishes tails, if it does.
    pub redis: Option<RedisConfig>,
}

/// A recorder elsewhere, for [`Gateway::bind_remote`](crate::Gateway::bind_remote).
pub struct Remote {
    mirror: CatalogueMirror,
    library: Arc<dyn Library>,
    channel: RecorderChannel,
    redis: Option<RedisFollower>,
    contact: Contact,
}

impl Remote {
    /// Checks the configuration. Does not connect: the recorder may come later. Needs a tokio runtime.
    ///
    /// # Errors
    /// [`RemoteError`] says which setting is wrong.
    pub fn new(config: RemoteConfig) -> Result<Self, RemoteError> {
        let channel = link::channel(&config.recorder_url)?;
        let tails = Arc::new(MemoryTails::default());
        let mirror = CatalogueMirror::new(tails.clone());
        let watch: Arc<dyn Watch> = tails.clone();
        let library: Arc<dyn Library> = match config.reading {
            Reading::Dir(path) => {
                let dir = DataDir::open_read_only(&path, Disk::default())?;
                Arc::new(DirLibrary::mirrored(dir, mirror.catalogue(), watch))
            }
            Reading::Recorder => Arc::new(RecorderLibrary::new(&config.recorder_url, &mirror, watch)?),
        };
        let redis = config.redis.map(|redis| RedisFollower::start(redis, tails, Believed::Nobody));
        Ok(Self { mirror, library, channel, redis, contact: Contact::new()? })
    }

    /// Its recordings.
    pub fn library(&self) -> Arc<dyn Library> {
        self.library.clone()
    }

    /// Tells whether Redis answers, if there is one.
    pub(crate) fn redis(&self) -> Option<impl Fn() -> bool + Send + Sync + 'static> {
        self.redis.as_ref().map(RedisFollower::probe)
    }

    /// What has to hold for a gateway that is `ready` once it knows what there is, and what is only told.
    pub(crate) fn readiness(&self, ready: &watch::Sender<bool>) -> Readiness {
        let (readiness, ready) = (Readiness::default(), ready.subscribe());
        readiness.needs("catalogue", move || *ready.borrow());
        readiness.tells("recorder", self.contact.probe());
        if let Some(works) = self.redis() {
            readiness.tells("redis", works);
        }
        readiness
    }

    /// What is counted of the way to the recorder.
    pub(crate) fn metrics(&self) -> Metrics {
        self.contact.metrics.clone()
    }

    /// Keeps what is known up to date. Never ends.
    pub async fn follow(&self) {
        tokio::join!(
            follow::catalogue(self.channel.clone(), &self.mirror, self.redis.as_ref(), &self.contact),
            follow::tails(self.channel.clone(), &self.mirror, self.redis.as_ref()),
            follow::traced(self.channel.clone(), &self.mirror),
        );
    }

    /// Waits until it is known what there is, and a short while for how far it goes. Somebody has to [`follow`](Self::follow).
    pub async fn known(&self) {
        self.mirror.complete().await;
        let tails = async {
            while !self.mirror.has_tails() {
                tokio::time::sleep(LOOK).await;
            }
        };
        // A recording that nobody writes has none.
        _ = tokio::time::timeout(FIRST_TAILS, tails).await;
    }
}

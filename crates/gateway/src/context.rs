//! What every request handler needs.

use crate::audience::Audience;
use crate::audit::Audit;
use crate::blocks::Blocks;
use crate::config::Limits;
use crate::edge::Edges;
use crate::guard::Origins;
use crate::levels::Levels;
use crate::library::Library;
use crate::metrics::Instruments;
use crate::problem::Problem;
use crate::pulse::Pulses;
use crate::remote::Operations;
use crate::rendition::Renditions;
use http::Method;
use livetape_access::{Access, Caller};
use livetape_service::limits::Places;
use livetape_service::{Limiter, Proxies, Readiness, Tls};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

pub(crate) struct Context {
    pub(crate) library: Arc<dyn Library>,
    pub(crate) edges: Edges,
    pub(crate) blocks: Blocks,
    /// What is offered beside WAV and PCM.
    pub(crate) renditions: Renditions,
    pub(crate) pulses: Pulses,
    pub(crate) levels: Levels,
    pub(crate) audience: Audience,
    pub(crate) origins: Origins,
    /// Who may ask for others.
    pub(crate) proxies: Proxies,
    pub(crate) limits: Limits,
    /// What each client may take.
    pub(crate) limiter: Limiter,
    pub(crate) instruments: Instruments,
    /// One permit for each event stream.
    pub(crate) event_streams: Arc<Semaphore>,
    /// One permit for each body of media: it may have a file open.
    pub(crate) bodies: Arc<Semaphore>,
    /// Who carries out what operators want, if anybody does.
    pub(crate) operations: Option<Operations>,
    /// How connections are encrypted, if they are.
    pub(crate) tls: Option<Arc<Tls>>,
    /// Who may what.
    pub(crate) access: Arc<Access>,
    /// Who asked for more than to listen.
    pub(crate) audit: Audit,
    /// One permit for each body of a request.
    pub(crate) receiving: Arc<Semaphore>,
    /// What is said of how it is.
    pub(crate) readiness: Readiness,
    /// Whether only this machine reaches the address.
    pub(crate) is_local: bool,
    /// Whether the library knows what there is.
    pub(crate) ready: watch::Sender<bool>,
    /// Cancelled when nobody new is let in.
    pub(crate) stopping: CancellationToken,
    /// Cancelled when bodies that wait for new audio have to end.
    pub(crate) drain: CancellationToken,
}

/// Room for something that lasts, until this is dropped.
#[derive(Debug)]
pub(crate) struct Room {
    _of_all: OwnedSemaphorePermit,
    _of_client: Places,
}

impl Context {
    /// Whether requests of this method may want something changed.
    pub(crate) fn takes(&self, method: &Method) -> bool {
        self.operations.is_some() && matches!(*method, Method::POST | Method::PUT | Method::PATCH | Method::DELETE)
    }

    /// Room for one more body of media.
    pub(crate) fn room_for_body(&self, client: IpAddr, caller: Option<&Caller>) -> Result<Room, Problem> {
        self.room(&self.bodies, client, caller).ok_or_else(|| {
            self.instruments.rejections.of("listeners").inc();
            let error = "there are as many listeners as the gateway may have";
            Problem::later(error, "try again in a while", Duration::from_secs(5))
        })?
    }

    /// Room for one more event stream.
    pub(crate) fn room_for_events(&self, client: IpAddr, caller: Option<&Caller>) -> Result<Room, Problem> {
        self.room(&self.event_streams, client, caller).ok_or_else(|| {
            self.instruments.rejections.of("event_streams").inc();
            let hint = "close some, or ask /streams from time to time";
            Problem::later("there are as many event streams as the gateway may have", hint, Duration::from_secs(10))
        })?
    }

    /// `None` if there is none for anybody.
    fn room(&self, all: &Arc<Semaphore>, client: IpAddr, caller: Option<&Caller>) -> Option<Result<Room, Problem>> {
        let of_client = self.limiter.lasting(client, caller.and_then(|caller| caller.identity().account()));
        let of_client = match of_client {
            Ok(of_client) => of_client,
            Err(exceeded) => return Some(Err(exceeded.into())),
        };
        all.clone().try_acquire_owned().ok().map(|of_all| Ok(Room { _of_all: of_all, _of_client: of_client }))
    }
}

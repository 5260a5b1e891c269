//! What every request handler needs.

use crate::config::Limits;
use crate::edge::Edges;
use crate::guard::Origins;
use crate::health::Watchers;
use crate::library::Library;
use crate::metrics::Instruments;
use crate::problem::Problem;
use crate::pulse::Pulses;
use crate::remote::Operations;
use http::Method;
use livetape_access::Access;
use livetape_service::{Readiness, Tls};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;

pub(crate) struct Context {
    pub(crate) library: Arc<dyn Library>,
    pub(crate) edges: Edges,
    pub(crate) pulses: Pulses,
    pub(crate) origins: Origins,
    pub(crate) limits: Limits,
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
    /// One permit for each body of a request.
    pub(crate) receiving: Arc<Semaphore>,
    /// What is said of how it is.
    pub(crate) readiness: Readiness,
    /// Who may read the figures.
    pub(crate) watchers: Watchers,
    /// Whether the library knows what there is.
    pub(crate) ready: watch::Sender<bool>,
    /// Cancelled when nobody new is let in.
    pub(crate) stopping: CancellationToken,
    /// Cancelled when bodies that wait for new audio have to end.
    pub(crate) drain: CancellationToken,
}

impl Context {
    /// Whether requests of this method may want something changed.
    pub(crate) fn takes(&self, method: &Method) -> bool {
        self.operations.is_some() && matches!(*method, Method::POST | Method::PUT | Method::PATCH | Method::DELETE)
    }

    /// Room for one more body of media, for as long as the permit lives.
    pub(crate) fn room_for_body(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.bodies.clone().try_acquire_owned().map_err(|_| {
            let error = "there are as many listeners as the gateway may have";
            Problem::later(error, "try again in a while", Duration::from_secs(5))
        })
    }
}

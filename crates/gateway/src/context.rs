//! What every request handler needs.

use crate::config::Limits;
use crate::edge::Edges;
use crate::guard::Origins;
use crate::library::Library;
use crate::pulse::Pulses;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

pub(crate) struct Context {
    pub(crate) library: Arc<dyn Library>,
    pub(crate) edges: Edges,
    pub(crate) pulses: Pulses,
    pub(crate) origins: Origins,
    pub(crate) limits: Limits,
    /// One permit for each event stream.
    pub(crate) event_streams: Arc<Semaphore>,
    /// Cancelled when bodies that wait for new audio have to end.
    pub(crate) drain: CancellationToken,
}

//! Floor 1: what every role shares. Configuration files, logging, traces, metrics, health, signals, supervised named
//! tasks.
//!
//! Each role offers the same three words: `Config` (checked) → `bind()` (addresses known) → `run(shutdown)`.
//! Not here: anything about audio.

pub mod config;
pub mod descriptors;
pub mod limits;
pub mod logging;
pub mod metrics;
pub mod networks;
pub mod ops;
pub mod propagation;
pub mod proxies;
pub mod reply;
pub mod seldom;
pub mod signals;
pub mod systemd;
pub mod tasks;
pub mod tls;
pub mod traces;

pub use config::ConfigError;
pub use descriptors::Clients;
pub use limits::{ClientLimits, Exceeded, Limiter, Rejections};
pub use metrics::Metrics;
pub use networks::{Network, Networks};
pub use ops::{OpsListener, Readiness};
pub use propagation::TraceContext;
pub use proxies::{Proxies, ProxyHeader, Reached};
pub use seldom::Seldom;
pub use tasks::Tasks;
pub use tls::{Tls, TlsFiles};

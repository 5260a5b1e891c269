//! Floor 1: what every role shares. Configuration files, logging, traces, metrics, health, signals, supervised named
//! tasks.
//!
//! Each role offers the same three words: `Config` (checked) → `bind()` (addresses known) → `run(shutdown)`.
//! Not here: anything about audio.

pub mod config;
pub mod descriptors;
pub mod logging;
pub mod metrics;
pub mod ops;
pub mod propagation;
pub mod reply;
pub mod signals;
pub mod systemd;
pub mod tasks;
pub mod tls;
pub mod traces;

pub use config::ConfigError;
pub use descriptors::Clients;
pub use metrics::Metrics;
pub use ops::{OpsListener, Readiness};
pub use propagation::TraceContext;
pub use tasks::Tasks;
pub use tls::{Tls, TlsFiles};

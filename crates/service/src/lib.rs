//! Floor 1: what every role shares. Configuration files, logging, signals, supervised named tasks.
//!
//! Each role offers the same three words: `Config` (checked) → `bind()` (addresses known) → `run(shutdown)`.
//! Not here: anything about audio.

pub mod config;
pub mod logging;
pub mod signals;
pub mod tasks;

pub use config::ConfigError;
pub use tasks::Tasks;

//! Logs for people, on standard error.

use std::io::IsTerminal;
use tracing_subscriber::EnvFilter;

/// Starts logging. `filter` is in the form of `tracing`'s directives, such as `info,livetape_store=debug`.
///
/// # Errors
/// If the filter cannot be understood, or logging was started before.
pub fn init(filter: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(filter)?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .try_init()
        .map_err(|error| anyhow::anyhow!("logging cannot start: {error}"))
}

//! Waiting with a limit and a message: no test hangs, and one that gives up says for what it waited.

use anyhow::{Result, bail};
use std::time::{Duration, Instant};

/// Calls `ready` every 20 ms until it gives something, at most for `limit`.
///
/// # Errors
/// What was waited for, when the time is over.
pub fn until<T>(what: &str, limit: Duration, mut ready: impl FnMut() -> Option<T>) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = ready() {
            return Ok(value);
        }
        if Instant::now() >= deadline {
            bail!("{what}: not within {limit:?}");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// [`until`] for tasks.
///
/// # Errors
/// What was waited for, when the time is over.
pub async fn until_async<T>(what: &str, limit: Duration, mut ready: impl FnMut() -> Option<T>) -> Result<T> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(value) = ready() {
            return Ok(value);
        }
        if Instant::now() >= deadline {
            bail!("{what}: not within {limit:?}");
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

//! What a service manager is told, if one asks for it (`Type=notify`): ready, alive, stopping.
//!
//! Not here: `livetape health`, for managers that ask.

use sd_notify::NotifyState;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// All addresses are taken: work has begun. From now on it is said twice in each period of the watchdog that tasks of
/// this process run, and once that it stops.
pub fn ready(stop: CancellationToken) {
    tell(NotifyState::Ready);
    tokio::spawn(async move {
        // Without a watchdog there is nothing to say until the end.
        let period = sd_notify::watchdog_enabled().map_or(Duration::MAX, |period| period / 2);
        while stop.run_until_cancelled(tokio::time::sleep(period)).await.is_some() {
            tell(NotifyState::Watchdog);
        }
        tell(NotifyState::Stopping);
        // Stopping takes its time, too.
        loop {
            tokio::time::sleep(period).await;
            tell(NotifyState::Watchdog);
        }
    });
}

fn tell(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!(%error, "the service manager cannot be told (NOTIFY_SOCKET)");
    }
}

//! SIGTERM and SIGINT: the first asks to stop in order, the second means now.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;

/// Exit code after a second signal: 128 + SIGINT, as shells expect.
const IMMEDIATELY: i32 = 130;

/// Cancels `shutdown` at the first signal and leaves the process at the second.
///
/// # Errors
/// If the handlers cannot be installed.
pub fn watch(shutdown: CancellationToken) -> std::io::Result<()> {
    let mut term = signal(SignalKind::terminate())?;
    let mut int = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        either(&mut term, &mut int).await;
        tracing::info!("stopping in order; a second signal stops at once");
        shutdown.cancel();
        either(&mut term, &mut int).await;
        tracing::warn!("second signal: stopping at once");
        std::process::exit(IMMEDIATELY);
    });
    Ok(())
}

async fn either(a: &mut Signal, b: &mut Signal) {
    tokio::select! { _ = a.recv() => (), _ = b.recv() => () }
}

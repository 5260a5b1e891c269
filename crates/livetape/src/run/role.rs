//! A role that runs in this process: started by name, stopped by its own token, never lost.

use anyhow::{Context, anyhow};
use std::future::Future;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

/// A running role.
pub(crate) struct Role {
    name: &'static str,
    shutdown: CancellationToken,
    running: JoinHandle<anyhow::Result<()>>,
}

impl Role {
    /// Runs a role that ends only when it is asked to; ending before that stops everything.
    pub(crate) fn start<F, E>(
        name: &'static str,
        all: &CancellationToken,
        run: impl FnOnce(CancellationToken) -> F,
    ) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<anyhow::Error> + Send + 'static,
    {
        Self::spawn(name, all, run, |asked, outcome| match outcome {
            Ok(()) if !asked => Err(anyhow!("ended unasked")),
            outcome => outcome,
        })
    }

    /// Runs a role that may also end by itself; only a failure stops everything.
    pub(crate) fn start_finite<F, E>(
        name: &'static str,
        all: &CancellationToken,
        run: impl FnOnce(CancellationToken) -> F,
    ) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<anyhow::Error> + Send + 'static,
    {
        Self::spawn(name, all, run, |_, outcome| outcome)
    }

    fn spawn<F, E>(
        name: &'static str,
        all: &CancellationToken,
        run: impl FnOnce(CancellationToken) -> F,
        judge: impl FnOnce(bool, anyhow::Result<()>) -> anyhow::Result<()> + Send + 'static,
    ) -> Self
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Into<anyhow::Error> + Send + 'static,
    {
        let (shutdown, all) = (CancellationToken::new(), all.clone());
        let (work, asked) = (tokio::spawn(run(shutdown.clone())), shutdown.clone());
        let running = tokio::spawn(async move {
            let outcome = work.await.map_err(anyhow::Error::from).and_then(|outcome| outcome.map_err(Into::into));
            let outcome = judge(asked.is_cancelled(), outcome);
            if let Err(error) = &outcome {
                tracing::error!("{name}: {error:#}");
                all.cancel();
            }
            outcome
        });
        Self { name, shutdown, running }
    }

    /// Asks the role to end and waits for it. Roles bound their own waiting.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        self.shutdown.cancel();
        self.running.await?.context(self.name)
    }
}

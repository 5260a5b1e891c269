//! Tasks with names. One that ends unasked, by an error or by a panic, stops the role with its name.

use anyhow::anyhow;
use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The tasks of one role. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Tasks {
    shutdown: CancellationToken,
    tracker: TaskTracker,
    failure: Arc<Mutex<Option<anyhow::Error>>>,
}

impl Tasks {
    /// No tasks yet. They are asked to end by `shutdown`, which the first failure cancels.
    pub fn new(shutdown: CancellationToken) -> Self {
        Self { shutdown, ..Self::default() }
    }

    /// Runs `task` until it ends. Ending before shutdown was asked for is a failure, whatever its outcome.
    pub fn spawn(&self, name: impl Into<String>, task: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        self.watch(name.into(), false, task);
    }

    /// Runs `task`, which may also end by itself.
    pub fn spawn_finite(
        &self,
        name: impl Into<String>,
        task: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.watch(name.into(), true, task);
    }

    fn watch(&self, name: String, finite: bool, task: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        let tasks = self.clone();
        let running = tokio::spawn(task);
        self.tracker.spawn(async move {
            let outcome = running.await;
            let may_end = finite || tasks.shutdown.is_cancelled();
            match outcome {
                Ok(Ok(())) if may_end => {}
                Ok(Ok(())) => tasks.fail(anyhow!("task {name} ended unasked")),
                Ok(Err(error)) => tasks.fail(error.context(format!("task {name}"))),
                Err(panic) => tasks.fail(anyhow!("task {name}: {panic}")),
            }
        });
    }

    /// Asked for from outside, or because a task failed.
    pub const fn shutdown(&self) -> &CancellationToken {
        &self.shutdown
    }

    fn fail(&self, error: anyhow::Error) {
        tracing::error!("{error:#}");
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        self.shutdown.cancel();
    }

    /// Waits until all tasks have ended.
    ///
    /// # Errors
    /// The first failure.
    pub async fn finish(self) -> anyhow::Result<()> {
        self.tracker.close();
        self.tracker.wait().await;
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).take().map_or(Ok(()), Err)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn outcome(task: impl Future<Output = anyhow::Result<()>> + Send + 'static) -> Result<(), String> {
        let shutdown = CancellationToken::new();
        let tasks = Tasks::new(shutdown.clone());
        tasks.spawn("patient", {
            let shutdown = shutdown.clone();
            async move {
                shutdown.cancelled().await;
                Ok(())
            }
        });
        tasks.spawn("tested", task);
        tasks.finish().await.map_err(|e| format!("{e:#}"))
    }

    #[tokio::test]
    async fn every_way_to_end_is_told_by_name() {
        assert_eq!(outcome(async { Ok(()) }).await, Err("task tested ended unasked".into()));
        assert_eq!(outcome(async { Err(anyhow!("no disk")) }).await, Err("task tested: no disk".into()));
        let panicked = outcome(async { panic!("a bug") }).await.unwrap_err();
        assert!(panicked.starts_with("task tested: ") && panicked.contains("panic"), "{panicked}");
    }

    #[tokio::test]
    async fn asked_to_end_is_no_failure() {
        let shutdown = CancellationToken::new();
        let tasks = Tasks::new(shutdown.clone());
        let token = shutdown.clone();
        tasks.spawn("patient", async move {
            token.cancelled().await;
            Ok(())
        });
        shutdown.cancel();
        assert!(tasks.finish().await.is_ok());
    }
}

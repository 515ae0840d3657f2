//! Parts that run side by side, and are stopped one group after another.

use anyhow::Context as _;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

/// Parts that are stopped together.
pub(crate) struct Stage {
    parts: JoinSet<anyhow::Result<()>>,
    stop: CancellationToken,
}

impl Stage {
    /// None yet.
    pub(crate) fn new() -> Self {
        Self { parts: JoinSet::new(), stop: CancellationToken::new() }
    }

    /// What tells this stage's parts to stop.
    pub(crate) fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Starts a part.
    pub(crate) fn spawn(
        &mut self,
        name: &'static str,
        part: impl Future<Output = anyhow::Result<()>> + Send + 'static,
    ) {
        self.parts.spawn(async move { part.await.with_context(|| format!("the {name} failed")) });
    }

    /// Waits for a part to fail; parts that end well (footage without repetition) do not count.
    pub(crate) async fn failed(&mut self) -> anyhow::Error {
        loop {
            match self.parts.join_next().await {
                Some(Ok(Ok(()))) => {}
                Some(Ok(Err(error))) => return error,
                Some(Err(panicked)) => return panicked.into(),
                None => std::future::pending().await,
            }
        }
    }

    /// Tells all to stop, and waits until they have.
    pub(crate) async fn stop_and_wait(mut self) -> anyhow::Result<()> {
        self.stop.cancel();
        while let Some(part) = self.parts.join_next().await {
            part??;
        }
        Ok(())
    }
}

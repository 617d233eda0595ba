use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use async_trait::async_trait;
use futures_util::FutureExt;

use super::BoxError;
use super::config::JobsConfig;
use crate::db::Wakeups;
use crate::shutdown::Shutdown;
use crate::telemetry::ErrorReport;

/// A module's own delivery loop, for work that is too fine-grained for jobs. The worker runs it beside the queues.
#[async_trait]
pub trait Pump: Send + Sync {
    /// Starts what is due and has room; says how much that was, 0 when idle.
    ///
    /// # Errors
    /// Whatever went wrong; the worker logs it and comes back after a pause.
    async fn pump(&self) -> Result<usize, BoxError>;

    /// Waits until everything started is finished and recorded.
    async fn settle(&self);
}

/// A pump as it was registered.
#[derive(Clone)]
pub(super) struct Station {
    pub(super) name: &'static str,
    pub(super) channel: &'static str,
    pub(super) pump: Arc<dyn Pump>,
}

/// Pumps until the shutdown begins, resting while there is nothing to do, then lets what was started finish.
pub(super) async fn run(station: Station, wakeups: Wakeups, config: JobsConfig, shutdown: Shutdown) {
    let bell = wakeups.subscribe(station.channel);
    while !shutdown.is_begun() {
        if stroke(&station).await > 0 {
            continue;
        }
        tokio::select! {
            () = shutdown.wait() => {}
            () = bell.notified() => {}
            () = tokio::time::sleep(config.poll_interval()) => {}
        }
    }
    if tokio::time::timeout(config.drain(), station.pump.settle()).await.is_err() {
        tracing::warn!(pump = station.name, "stopped before everything started was finished");
    }
}

/// One call, whose failure or panic must not end the loop.
async fn stroke(Station { name, pump, .. }: &Station) -> usize {
    match AssertUnwindSafe(pump.pump()).catch_unwind().await {
        Ok(Ok(started)) => started,
        Ok(Err(error)) => {
            tracing::error!(pump = name, error = %ErrorReport::new(&*error), "a pump failed");
            metrics::counter!("pump_failures_total", "pump" => *name).increment(1);
            0
        }
        Err(_panic) => {
            tracing::error!(pump = name, "a pump panicked");
            metrics::counter!("pump_failures_total", "pump" => *name).increment(1);
            0
        }
    }
}

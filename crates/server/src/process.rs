//! A running process: its listeners, its worker, and how both end.

use std::net::SocketAddr;

use platform::http::{bind, serve};
use platform::shutdown::Shutdown;
use platform::telemetry;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::{Config, House};

/// The bound addresses. Binding comes first, so that a taken port is noticed before anything else starts.
pub struct Listeners {
    /// For the world; `None` in a process that only works.
    pub public: Option<TcpListener>,
    /// For operators.
    pub operations: TcpListener,
}

impl Listeners {
    /// Binds the configured addresses.
    ///
    /// # Errors
    /// When one is taken; the message names it and the key that changes it.
    pub async fn bind(config: &Config, public: bool) -> std::io::Result<Self> {
        let operations = bind(config.http.operations_address, "APP__HTTP__OPERATIONS_ADDRESS").await?;
        let public = if public { Some(bind(config.http.address, "APP__HTTP__ADDRESS").await?) } else { None };
        Ok(Self { public, operations })
    }
}

/// What a process does, and under which addresses.
pub struct Running {
    /// The public address, if this process has one.
    pub public: Option<SocketAddr>,
    /// The operators' address.
    pub operations: SocketAddr,
    tasks: Vec<JoinHandle<()>>,
}

impl Running {
    fn add(&mut self, part: &'static str, work: impl Future<Output = ()> + Send + 'static, shutdown: &Shutdown) {
        let end = EndTogether { part, shutdown: shutdown.clone() };
        self.tasks.push(telemetry::spawn(part, async move {
            let _end = end;
            work.await;
        }));
    }

    /// Waits until everything has ended, which happens after shutdown begins.
    pub async fn finish(self) {
        for task in self.tasks {
            if let Err(error) = task.await {
                tracing::error!(%error, "a part of the process failed");
            }
        }
    }
}

/// A process that lost one of its parts, be it to a panic, is no use half alive: it ends and is started anew.
struct EndTogether {
    part: &'static str,
    shutdown: Shutdown,
}

impl Drop for EndTogether {
    fn drop(&mut self) {
        if !self.shutdown.is_begun() {
            tracing::error!(part = self.part, "a part of the process ended early; shutting down");
            self.shutdown.begin();
        }
    }
}

/// Starts serving, and working when `worker` says so. `developer` adds documents and mailbox to the public port.
///
/// # Errors
/// When the addresses cannot be read back.
pub fn start(
    house: &House,
    config: &Config,
    listeners: Listeners,
    parts: Parts,
    shutdown: &Shutdown,
) -> std::io::Result<Running> {
    let Listeners { public, operations } = listeners;
    let mut running = Running {
        public: public.as_ref().map(TcpListener::local_addr).transpose()?,
        operations: operations.local_addr()?,
        tasks: Vec::new(),
    };
    let server = &config.http.server;
    // Probes answer until the very end, so that a draining process is seen as such.
    let ended = Shutdown::new();
    if let Some(listener) = public {
        let serving = serve(listener, house.public_router(parts.developer), server.clone(), shutdown.clone());
        running.add("api", serving, shutdown);
    }
    if parts.worker {
        let (worker, stop) = (house.worker.clone(), shutdown.clone());
        running.add("worker", async move { worker.run(stop).await }, shutdown);
    }
    // Who serves listens as well: answers are kept only while it is heard that they change.
    let (wakeups, stop) = (house.databases.wakeups().clone(), shutdown.clone());
    running.add("wake-ups", async move { wakeups.listen(stop).await }, shutdown);
    let probes = serve(operations, house.operations_router(), server.without_grace(), ended.clone());
    let probes = telemetry::spawn("operations", probes);
    let busy = std::mem::take(&mut running.tasks);
    running.tasks.push(telemetry::spawn("end", async move {
        Running { public: None, operations: SocketAddr::from(([0, 0, 0, 0], 0)), tasks: busy }.finish().await;
        ended.begin();
        probes.await.ok();
    }));
    house.health.started();
    Ok(running)
}

/// Which parts of the service a process runs.
#[derive(Clone, Copy, Debug)]
pub struct Parts {
    /// Jobs, schedules and deliveries.
    pub worker: bool,
    /// Documents and mailbox on the public port.
    pub developer: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Running {
        Running { public: None, operations: SocketAddr::from(([127, 0, 0, 1], 0)), tasks: Vec::new() }
    }

    #[tokio::test]
    async fn a_process_that_loses_a_part_shuts_down() {
        for panics in [true, false] {
            let (shutdown, mut running) = (Shutdown::new(), empty());
            running.add("frail", async move { assert!(!panics, "on purpose") }, &shutdown);
            let stop = shutdown.clone();
            running.add("sound", async move { stop.wait().await }, &shutdown);
            running.finish().await;
            assert!(shutdown.is_begun());
        }
    }
}

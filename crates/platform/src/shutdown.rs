//! Ending well: one signal lets running work finish, a second one ends the process at once.

use std::io;

use tokio_util::sync::CancellationToken;

use crate::telemetry;

/// What a shell reports for a program ended by ctrl-C (128 + SIGINT).
const INTERRUPTED: i32 = 130;

/// Tells every part of the process that it is time to stop. Clones share the state; it never goes back.
#[derive(Clone, Debug, Default)]
pub struct Shutdown(CancellationToken);

impl Shutdown {
    /// A shutdown that only [`Shutdown::begin`] starts.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// A shutdown that SIGTERM or ctrl-C starts. The second signal ends the process without waiting for anything.
    ///
    /// # Errors
    /// When the signal handlers cannot be installed.
    pub fn on_signals() -> io::Result<Self> {
        let shutdown = Self::new();
        let begun = shutdown.clone();
        let mut signals = Signals::listen()?;
        telemetry::spawn("signals", async move {
            let signal = signals.next().await;
            tracing::info!(signal, "shutting down; a second signal ends the process at once");
            begun.begin();
            let signal = signals.next().await;
            tracing::warn!(signal, "ending at once");
            std::process::exit(INTERRUPTED);
        });
        Ok(shutdown)
    }

    /// Starts the shutdown; further calls change nothing.
    pub fn begin(&self) {
        self.0.cancel();
    }

    /// Returns once the shutdown has begun.
    pub async fn wait(&self) {
        self.0.cancelled().await;
    }

    /// Whether the shutdown has begun.
    #[must_use]
    pub fn is_begun(&self) -> bool {
        self.0.is_cancelled()
    }
}

#[cfg(unix)]
struct Signals {
    terminate: tokio::signal::unix::Signal,
    interrupt: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn listen() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self { terminate: signal(SignalKind::terminate())?, interrupt: signal(SignalKind::interrupt())? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }
}

#[cfg(windows)]
struct Signals {
    ctrl_c: tokio::signal::windows::CtrlC,
    shutdown: tokio::signal::windows::CtrlShutdown,
}

#[cfg(windows)]
impl Signals {
    fn listen() -> io::Result<Self> {
        use tokio::signal::windows::{ctrl_c, ctrl_shutdown};
        Ok(Self { ctrl_c: ctrl_c()?, shutdown: ctrl_shutdown()? })
    }

    async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.ctrl_c.recv() => "ctrl-C",
            _ = self.shutdown.recv() => "system shutdown",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn every_clone_sees_the_shutdown_and_late_waiters_do_not_wait() {
        let shutdown = Shutdown::new();
        let twin = shutdown.clone();
        let waiting = telemetry::spawn("wait", async move { twin.wait().await });
        assert!(!shutdown.is_begun());
        shutdown.begin();
        shutdown.begin();
        waiting.await.expect("woken");
        assert!(shutdown.is_begun());
        shutdown.wait().await;
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn sigterm_begins_the_shutdown_and_does_not_end_the_process() {
        let shutdown = Shutdown::on_signals().expect("handlers can be installed");
        let this_process = std::process::id().to_string();
        let sent = std::process::Command::new("kill").args(["-TERM", &this_process]).status().expect("kill is there");
        assert!(sent.success());
        shutdown.wait().await;
    }
}

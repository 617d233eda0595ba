use std::io::ErrorKind;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sqlx::postgres::{PgListener, PgPool};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout};

use super::changes::Changes;
use crate::shutdown::Shutdown;
use crate::telemetry;

/// The PostgreSQL channel that carries all wake-ups; the payload names ours.
const CHANNEL: &str = "wake";

/// The PostgreSQL channel that says what changed; the payload is `topic:owner`.
const CHANGES: &str = "changes";

/// After so much silence the listening connection is asked for a sign of life, which must come within the same time. A connection
/// that ends is noticed at once; this is about one that was cut without a word, during which changes are missed.
const SILENCE: Duration = Duration::from_secs(2);

/// At most one NOTIFY for each channel in this time: half of it is what a busy process adds to the time from a commit to the start
/// of its work elsewhere, and two hundred a second cost next to nothing as none is part of a transaction that does anything else.
const COALESCE: Duration = Duration::from_millis(5);

/// Wakes idle workers: those of this process at once, those of others through NOTIFY. Only a hint; polling is the safety net.
#[derive(Clone, Debug)]
pub struct Wakeups {
    pool: PgPool,
    /// One connection of its own, so that listening takes none from those who work.
    listening: PgPool,
    sleepers: Arc<Mutex<Vec<Sleeper>>>,
    sent: Arc<Mutex<Vec<Sent>>>,
    changes: Changes,
}

#[derive(Debug)]
struct Sleeper {
    channel: &'static str,
    bell: Arc<Notify>,
}

#[derive(Debug)]
struct Sent {
    channel: &'static str,
    last: Instant,
    pending: bool,
}

impl Wakeups {
    pub(super) fn new(pool: PgPool, listening: PgPool) -> Self {
        Self { pool, listening, sleepers: Arc::default(), sent: Arc::default(), changes: Changes::default() }
    }

    /// A bell that rings when work appears on the channel.
    #[must_use]
    pub fn subscribe(&self, channel: &'static str) -> Arc<Notify> {
        let bell = Arc::new(Notify::new());
        lock(&self.sleepers).push(Sleeper { channel, bell: bell.clone() });
        bell
    }

    /// Wakes this process now, and the others at once or, shortly after the last time, a moment later.
    pub(super) fn send(&self, channel: &'static str) {
        self.ring(channel);
        if let Some(wait) = self.claim_turn(channel) {
            let this = self.clone();
            telemetry::spawn("notify", async move {
                // Even a sleep of no time ends with the next tick of the timer only.
                if !wait.is_zero() {
                    tokio::time::sleep(wait).await;
                }
                this.settle_turn(channel);
                let sent = sqlx::query!("SELECT pg_notify($1, $2)", CHANNEL, channel).fetch_one(&this.pool).await;
                if let Err(error) = sent {
                    tracing::debug!(%error, channel, "a wake-up was lost; polling will find the work");
                }
            });
        }
    }

    pub(super) fn changes(&self) -> &Changes {
        &self.changes
    }

    /// Hears wake-ups and changes of other processes until shutdown; reconnects by itself.
    pub async fn listen(&self, shutdown: Shutdown) {
        while !shutdown.is_begun() {
            let heard = tokio::select! {
                () = shutdown.wait() => Ok(()),
                heard = self.hear() => heard,
            };
            if let Err(error) = heard {
                tracing::warn!(%error, "not listening for wake-ups and changes; trying again in a second");
            }
            tokio::select! {
                () = shutdown.wait() => return,
                () = tokio::time::sleep(Duration::from_secs(1)) => {}
            }
        }
    }

    async fn hear(&self) -> Result<(), sqlx::Error> {
        let mut listener = PgListener::connect_with(&self.listening).await?;
        listener.eager_reconnect(false);
        listener.listen_all([CHANNEL, CHANGES]).await?;
        let _hearing = self.changes.begin();
        loop {
            match timeout(SILENCE, listener.try_recv()).await {
                Ok(Ok(Some(heard))) if heard.channel() == CHANGES => self.changes.hear(heard.payload()),
                Ok(Ok(Some(heard))) => self.ring(heard.payload()),
                Ok(Ok(None)) => return Err(sqlx::Error::Io(ErrorKind::ConnectionReset.into())),
                Ok(Err(error)) => return Err(error),
                // A connection that was cut without a word says nothing either.
                Err(_silent) => {
                    let alive = timeout(SILENCE, sqlx::query("SELECT 1").execute(&mut listener)).await;
                    alive.map_err(|_| sqlx::Error::Io(ErrorKind::TimedOut.into()))??;
                }
            }
        }
    }

    fn ring(&self, channel: &str) {
        for sleeper in lock(&self.sleepers).iter().filter(|sleeper| sleeper.channel == channel) {
            sleeper.bell.notify_one();
        }
    }

    /// How long to wait before sending, or `None` when a message that is still to be sent covers this one.
    fn claim_turn(&self, channel: &'static str) -> Option<Duration> {
        let mut sent = lock(&self.sent);
        if let Some(turn) = sent.iter_mut().find(|turn| turn.channel == channel) {
            if turn.pending {
                return None;
            }
            turn.pending = true;
            return Some(COALESCE.saturating_sub(turn.last.elapsed()));
        }
        sent.push(Sent { channel, last: Instant::now(), pending: true });
        Some(Duration::ZERO)
    }

    fn settle_turn(&self, channel: &'static str) {
        if let Some(turn) = lock(&self.sent).iter_mut().find(|turn| turn.channel == channel) {
            turn.pending = false;
            turn.last = Instant::now();
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

use std::time::Duration;

use hmac::{Hmac, KeyInit, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;
use sqlx::PgConnection;

use super::{Exceeded, RateLimit, RateLimitError, store};
use crate::db::Db;
use crate::jobs::{Job, Jobs};
use crate::secrets::Secrets;

/// Limits that hold over all replicas: kept in the database, by database time. Cheap to clone.
///
/// Whom a limit counts is stored as a keyed hash, so nobody can read addresses from the table or find out who is in it.
#[derive(Clone)]
pub struct RateLimits {
    key: [u8; 32],
}

/// One turn to be taken.
#[derive(Clone, Copy, Debug)]
pub struct Turn<'a> {
    /// What the limit is called, in metrics and in the answer.
    pub name: &'static str,
    /// How often.
    pub limit: RateLimit,
    /// On whom it counts.
    pub of: &'a [u8],
}

impl RateLimits {
    /// Keys grow from the root secret; a rotation of it begins with full buckets.
    #[must_use]
    pub fn new(secrets: &Secrets) -> Self {
        Self { key: secrets.mac_key("rate_limit") }
    }

    /// How somebody is known to the limit of this name.
    ///
    /// # Panics
    /// Never: HMAC takes keys of any length.
    #[must_use]
    pub fn key(&self, name: &str, of: &[u8]) -> [u8; 32] {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("any length will do");
        // The length in front, so that no two pairs look alike.
        mac.update(&(name.len() as u64).to_be_bytes());
        mac.update(name.as_bytes());
        mac.update(of);
        mac.finalize().into_bytes().into()
    }

    /// Takes a turn of every limit in one statement, in the order given, until one refuses: those behind it are not asked, so
    /// that somebody who is refused by their address cannot use up the turns of others.
    ///
    /// The rows stay locked until the transaction ends, so ask before opening one, unless it is short.
    ///
    /// # Errors
    /// [`Exceeded`] for the limit that refused; the database's own.
    pub async fn take(&self, connection: &mut PgConnection, turns: &[Turn<'_>]) -> Result<(), RateLimitError> {
        let turns: Vec<&Turn<'_>> = turns.iter().filter(|turn| turn.limit.is_on()).collect();
        if turns.is_empty() {
            return Ok(());
        }
        let keys: Vec<Vec<u8>> = turns.iter().map(|turn| self.key(turn.name, turn.of).to_vec()).collect();
        let intervals: Vec<i64> = turns.iter().map(|turn| microseconds(turn.limit.interval())).collect();
        let bursts: Vec<i32> = turns.iter().map(|turn| i32::try_from(turn.limit.burst).unwrap_or(i32::MAX)).collect();
        let verdict = store::take(connection, &keys, &intervals, &bursts).await?;
        let refused = verdict.refused.and_then(|place| turns.get(usize::try_from(place).ok()?.checked_sub(1)?));
        match refused {
            Some(turn) => {
                let wait = Duration::from_micros(verdict.wait_us.unwrap_or_default().unsigned_abs());
                Err(Exceeded::new(turn.name, turn.limit, wait).into())
            }
            None => Ok(()),
        }
    }
}

fn microseconds(time: Duration) -> i64 {
    i64::try_from(time.as_nanos().div_ceil(1_000)).unwrap_or(i64::MAX)
}

/// Removes what full buckets leave behind.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct PruneRateLimits {}

impl Job for PruneRateLimits {
    const NAME: &'static str = "platform.prune_rate_limits";
}

/// Keeps the table of limits small: a job every five minutes, which wiring registers once.
pub fn register_pruning(jobs: &mut Jobs, db: &Db) {
    let db = db.clone();
    jobs.register::<PruneRateLimits, _, _>(move |_, _| {
        let db = db.clone();
        async move {
            let mut connection = db.read().await?;
            while store::prune(&mut connection).await? {}
            Ok(())
        }
    });
    jobs.schedule("platform.prune_rate_limits", "*/5 * * * *", &PruneRateLimits {});
}

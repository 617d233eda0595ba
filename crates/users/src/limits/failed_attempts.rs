//! Guessing one account's secret: a number of failures is free, then every attempt has to wait twice as long as the one before,
//! up to a bound. Never for good, or anybody could lock anybody out.

pub(crate) mod store;

use std::time::Duration;

use platform::rate_limit::{Exceeded, RateLimit, RateLimitError};
use serde::{Deserialize, Serialize};
use sqlx::PgConnection;

use crate::{Error, Users};

/// How many failures are free and how long to wait after them. Times in seconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FailureLimit {
    /// Failures before the first wait; 0 switches the limit off.
    pub free: u32,
    /// The waits grow from a second up to this.
    pub longest_wait_seconds: u32,
    /// Failures are forgotten when nothing was tried for this long since the last wait was over.
    pub forgotten_after_seconds: u32,
}

impl FailureLimit {
    pub(super) fn complaint(&self, key: &str) -> Option<(String, String)> {
        let Self { free, longest_wait_seconds, forgotten_after_seconds } = *self;
        let sound = (1..=1_000).contains(&free)
            && (1..=86_400).contains(&longest_wait_seconds)
            && (1..=86_400).contains(&forgotten_after_seconds);
        let complaint = "free must be 0 (off) or up to 1000, the times from 1 to 86400";
        (free != 0 && !sound).then(|| (key.to_owned(), complaint.to_owned()))
    }

    /// When the oldest failures that may still count are forgotten. In seconds.
    pub(super) fn memory(&self) -> u32 {
        self.longest_wait_seconds.saturating_add(self.forgotten_after_seconds)
    }

    /// As clients are told: the free ones, back after a rest.
    fn as_rate(&self) -> RateLimit {
        RateLimit { count: self.free, seconds: self.forgotten_after_seconds, burst: self.free }
    }
}

/// An attempt that counts as failed until [`Users::forgive_attempts`] is told otherwise: counting first leaves no gap for a
/// thousand at once.
#[derive(Debug)]
pub(crate) struct Attempt {
    key: Option<[u8; 32]>,
    /// Whether the next one has to wait, for the first time in this row of failures.
    pub(crate) is_last_free: bool,
}

impl Users {
    /// Begins an attempt of the kind `name` on somebody's secret.
    pub(crate) async fn begin_attempt(
        &self,
        connection: &mut PgConnection,
        name: &'static str,
        limit: &FailureLimit,
        of: &[u8],
    ) -> Result<Attempt, Error> {
        if limit.free == 0 {
            return Ok(Attempt { key: None, is_last_free: false });
        }
        let key = self.0.limits.key(name, of);
        let begun = store::begin(connection, &key, limit).await?;
        let Some(attempts) = begun.attempts else {
            let wait = Duration::from_micros(begun.wait_us.unwrap_or_default().max(1).unsigned_abs());
            return Err(RateLimitError::Exceeded(Exceeded::new(name, limit.as_rate(), wait)).into());
        };
        Ok(Attempt { key: Some(key), is_last_free: u32::try_from(attempts) == Ok(limit.free) })
    }

    /// The attempt succeeded: the failures before it are forgotten.
    pub(crate) async fn forgive_attempts(
        &self,
        connection: &mut PgConnection,
        attempt: &Attempt,
    ) -> Result<(), sqlx::Error> {
        match &attempt.key {
            Some(key) => store::delete(connection, key).await,
            None => Ok(()),
        }
    }
}

//! How often somebody may do something. Limits follow the generic cell rate algorithm (GCRA): of each caller one moment is
//! kept, the theoretical arrival time (`tat`), at which their bucket is full again. A turn moves it one interval into the
//! future; whoever would move it further than a whole bucket ahead has to wait. Nobody ever gets more than
//! `burst + time × rate` turns, and nobody who waits is refused for long.
//!
//! There are two kinds. [`RateLimits`] keeps the moments in the database, so that a limit holds over all replicas: for what is
//! dear or dangerous. The stack counts every request in the memory of its process, which costs far less than the request.

mod buckets;
pub(crate) mod fields;
mod shared;
mod store;

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::http::Problem;

pub(crate) use buckets::Buckets;
pub use shared::{PruneRateLimits, RateLimits, Turn, register_pruning};

/// The longest time a bucket may take to fill, in seconds: a day.
const LONGEST_WINDOW: u64 = 86_400;

/// How often something may happen: `count` times in `seconds` in the long run, `burst` times at once after a rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RateLimit {
    /// So often in the long run; 0 switches the limit off.
    pub count: u32,
    /// In so many seconds.
    pub seconds: u32,
    /// So often at once.
    pub burst: u32,
}

impl RateLimit {
    /// What is wrong with the values under their key.
    #[must_use]
    pub fn complaint(&self, key: &str) -> Option<(String, String)> {
        let Self { count, seconds, burst } = *self;
        let sound = (1..=1_000_000).contains(&count) && (1..=86_400).contains(&seconds);
        let sound = sound && (1..=1_000_000).contains(&burst) && self.window() <= LONGEST_WINDOW;
        let complaint = "count must be 0 (off) or up to 1000000, seconds from 1 to 86400, burst from 1 to 1000000, and a used \
                         up burst must be back within a day";
        (count != 0 && !sound).then(|| (key.to_owned(), complaint.to_owned()))
    }

    /// Whether anything is limited.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.count > 0
    }

    /// The time in which one turn comes back.
    pub(crate) fn interval(&self) -> Duration {
        let (seconds, count) = (u64::from(self.seconds), u64::from(self.count.max(1)));
        Duration::from_nanos((seconds * 1_000_000_000).div_ceil(count))
    }

    /// Seconds until a used up burst is back.
    pub(crate) fn window(&self) -> u64 {
        (u64::from(self.burst) * u64::from(self.seconds)).div_ceil(u64::from(self.count.max(1)))
    }
}

/// What is left of a limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Left {
    /// Turns that may be taken at once.
    pub turns: u32,
    /// When there is one more.
    pub more_in: Duration,
}

/// Somebody did something too often: 429.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the limit {name} is used up")]
pub struct Exceeded {
    name: &'static str,
    limit: RateLimit,
    retry_after: Duration,
}

impl Exceeded {
    /// Counts the refusal under the limit's name, too.
    #[must_use]
    pub fn new(name: &'static str, limit: RateLimit, retry_after: Duration) -> Self {
        metrics::counter!("rate_limited_total", "limit" => name).increment(1);
        Self { name, limit, retry_after }
    }

    /// When to try again.
    #[must_use]
    pub fn retry_after(&self) -> Duration {
        self.retry_after
    }
}

impl From<Exceeded> for Problem {
    fn from(exceeded: Exceeded) -> Self {
        let Exceeded { name, limit, retry_after } = exceeded;
        let left = Left { turns: 0, more_in: retry_after };
        Self::rate_limited(retry_after).rate_limit_fields(fields::policy(name, limit), fields::left(name, left))
    }
}

/// Why a turn was not taken.
#[derive(Debug, thiserror::Error)]
pub enum RateLimitError {
    /// A limit is used up.
    #[error(transparent)]
    Exceeded(#[from] Exceeded),
    /// The database refused or is away.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl From<RateLimitError> for Problem {
    fn from(error: RateLimitError) -> Self {
        match error {
            RateLimitError::Exceeded(exceeded) => exceeded.into(),
            RateLimitError::Database(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn impossible_limits_are_named_and_a_count_of_zero_is_off() {
        let complains = |count, seconds, burst| RateLimit { count, seconds, burst }.complaint("limits.x").is_some();
        assert!(!complains(5, 60, 10) && !complains(600, 60, 600) && !complains(0, 0, 0));
        for (count, seconds, burst) in [(5, 0, 10), (5, 60, 0), (1, 86_400, 2), (2_000_000, 1, 1), (1, 90_000, 1)] {
            assert!(complains(count, seconds, burst), "{count} in {seconds} s, burst {burst}");
        }
        assert!(!RateLimit { count: 0, seconds: 60, burst: 1 }.is_on());
    }
}

//! Room for messages, deliveries and attempts: weekly partitions, made ahead and dropped when they are too old to keep.

mod store;

use std::sync::atomic::{AtomicI64, Ordering};

use platform::ids::new_uuid;
use uuid::Uuid;

use crate::{Error, Webhooks};

/// How far ahead partitions are made.
const WEEKS_AHEAD: i32 = 3;

/// What is left of that when they are made again, in seconds. The daily job comes first; this is for services that
/// slept.
const RESERVE: i64 = 2 * 24 * 60 * 60;

/// Until when partitions are known to exist, in seconds since 1970.
#[derive(Debug, Default)]
pub(crate) struct Partitions(AtomicI64);

impl Partitions {
    /// Ids carry the time of their making, so an id says which partition it needs.
    fn suffice(&self, id: Uuid) -> bool {
        let made_at = id.get_timestamp().map_or(i64::MAX, |at| i64::try_from(at.to_unix().0).unwrap_or(i64::MAX));
        made_at.saturating_add(RESERVE) < self.0.load(Ordering::Relaxed)
    }
}

impl Webhooks {
    /// Makes sure that rows with ids made now can be written. Costs a look at a number, unless partitions run out.
    pub(crate) async fn make_room(&self) -> Result<(), Error> {
        if !self.0.partitions.suffice(new_uuid()) {
            self.make_partitions().await?;
        }
        Ok(())
    }

    /// Makes missing partitions and drops those that are past the retention, after giving up what still waits for them.
    pub(crate) async fn maintain_partitions(&self) -> Result<(), Error> {
        self.make_partitions().await?;
        // Whatever comes of this, old partitions go.
        let given_up = self.give_up_expired().await;
        let dropped = store::drop_partitions(&mut *self.0.db.read().await?, self.0.config.retention_days).await?;
        let given_up = given_up?;
        tracing::info!(given_up, dropped, "partitions are made ahead and old ones dropped");
        Ok(())
    }

    async fn make_partitions(&self) -> Result<(), Error> {
        let until = store::make_partitions(&mut *self.0.db.read().await?, WEEKS_AHEAD).await?;
        self.0.partitions.0.store(until.timestamp(), Ordering::Relaxed);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn partitions_are_made_again_before_they_run_out() {
        let id = new_uuid();
        let now = i64::try_from(id.get_timestamp().expect("a UUIDv7").to_unix().0).expect("small");
        let known = |until: i64| Partitions(AtomicI64::new(until)).suffice(id);
        assert!(!known(0));
        assert!(!known(now + RESERVE));
        assert!(known(now + RESERVE + 1));
    }
}

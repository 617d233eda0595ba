//! Background work of this module.

use platform::jobs::{Job, JobError, Jobs};
use serde::{Deserialize, Serialize};

use crate::{Users, registrations, sessions};

const BATCH: i64 = 1_000;

/// Removes sessions that ended by age and registrations that were never proven.
#[derive(Debug, Serialize, Deserialize)]
struct PruneExpired {}

impl Job for PruneExpired {
    const NAME: &'static str = "users.prune_expired";
}

pub(crate) fn register(users: &Users, jobs: &mut Jobs) {
    let users = users.clone();
    jobs.register::<PruneExpired, _, _>(move |_, _| {
        let users = users.clone();
        async move { users.prune_expired().await }
    });
    jobs.schedule("users.prune_expired", "17 * * * *", &PruneExpired {});
}

impl Users {
    /// In bounded batches, each a transaction of its own, until nothing is left.
    async fn prune_expired(&self) -> Result<(), JobError> {
        loop {
            let mut tx = self.0.db.begin().await?;
            let pruned = registrations::store::delete_expired(&mut tx, BATCH).await?
                + sessions::store::delete_expired(&mut tx, BATCH).await?;
            tx.commit().await?;
            if pruned == 0 {
                return Ok(());
            }
        }
    }
}

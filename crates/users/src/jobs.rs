//! Background work of this module.

use std::sync::Arc;

use chrono::TimeDelta;
use platform::jobs::{Job, JobError, Jobs};
use serde::{Deserialize, Serialize};

use crate::exports::MakeExport;
use crate::limits::failed_attempts;
use crate::password_resets::SendPasswordReset;
use crate::ports::PersonalData;
use crate::registrations::ResendVerification;
use crate::{
    Users, audit, exports, invitations, one_time_secrets, personal_tokens, registrations, sessions, signing_keys,
};

const BATCH: i64 = 1_000;

/// Removes sessions that ended by age, registrations that were never proven, mailed secrets that nobody used, invitations
/// that are long over, failed logins that are forgotten, personal tokens that expired a month ago, exports and entries of the
/// audit log past their time, and signing keys whose last token has expired.
#[derive(Debug, Serialize, Deserialize)]
struct PruneExpired {}

impl Job for PruneExpired {
    const NAME: &'static str = "users.prune_expired";
}

pub(crate) fn register(users: &Users, jobs: &mut Jobs, personal_data: Vec<Arc<dyn PersonalData>>) {
    let door = users.clone();
    jobs.register::<PruneExpired, _, _>(move |_, _| {
        let users = door.clone();
        async move { users.prune_expired().await }
    });
    let door = users.clone();
    jobs.register::<ResendVerification, _, _>(move |job, running| {
        let users = door.clone();
        async move { users.send_verification_again(job, &running).await }
    });
    let door = users.clone();
    jobs.register::<SendPasswordReset, _, _>(move |job, running| {
        let users = door.clone();
        async move { users.send_password_reset(job, &running).await }
    });
    let (door, sources): (_, Arc<[_]>) = (users.clone(), personal_data.into());
    jobs.register::<MakeExport, _, _>(move |job, running| {
        let (users, sources) = (door.clone(), sources.clone());
        async move { users.make_export(job, &sources, &running).await }
    });
    jobs.schedule("users.prune_expired", "17 * * * *", &PruneExpired {});
}

impl Users {
    /// In bounded batches, each a transaction of its own, until nothing is left.
    async fn prune_expired(&self) -> Result<(), JobError> {
        let tokens_before = self.0.clock.now() - TimeDelta::days(personal_tokens::DAYS_KEPT);
        let forgotten_after = self.0.config.limits.failures_forgotten_after();
        loop {
            let mut tx = self.0.db.begin().await?;
            let pruned = registrations::store::delete_expired(&mut tx, BATCH).await?
                + sessions::store::delete_expired(&mut tx, BATCH).await?
                + one_time_secrets::store::delete_expired(&mut tx, BATCH).await?
                + invitations::store::delete_expired(&mut tx, BATCH).await?
                + personal_tokens::store::delete_expired(&mut tx, tokens_before, BATCH).await?
                + exports::store::delete_expired(&mut tx, BATCH).await?
                + audit::store::prune(&mut tx, self.0.config.audit_retention_days, BATCH).await?
                + signing_keys::store::delete_retired(&mut tx, signing_keys::KEPT_FOR).await?
                + failed_attempts::store::delete_forgotten(&mut tx, forgotten_after, BATCH).await?;
            tx.commit().await?;
            if pruned == 0 {
                return Ok(());
            }
        }
    }
}

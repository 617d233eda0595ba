use std::time::Duration;

use chrono::{DateTime, Utc};
use croner::Cron;
use serde_json::Value;
use tokio::time::Instant;

use super::{EnqueueOptions, NewJob, insert, store};
use crate::db::Db;

/// How often a worker says that it still knows its schedules.
const SYNC_EVERY: Duration = Duration::from_hours(1);

/// A job that starts by the clock.
pub(super) struct Schedule {
    pub(super) name: &'static str,
    pub(super) cron: &'static str,
    pub(super) pattern: Cron,
    pub(super) job: &'static str,
    pub(super) queue: &'static str,
    pub(super) max_attempts: i32,
    pub(super) args: Value,
}

impl Schedule {
    /// The first moment after `now`; `None` for patterns like the 30th of February.
    fn next_after(&self, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
        self.pattern.find_next_occurrence(&now, false).ok()
    }
}

/// Enqueues what is due, for as long as the worker lives.
pub(super) async fn run(schedules: &[Schedule], db: &Db, poll_interval: Duration) {
    let mut synced: Option<Instant> = None;
    loop {
        if synced.is_none_or(|at| at.elapsed() >= SYNC_EVERY) {
            match sync(schedules, db).await {
                Ok(()) => synced = Some(Instant::now()),
                Err(error) => tracing::warn!(%error, "the schedules could not be written; trying again"),
            }
        }
        if let Err(error) = enqueue_due(schedules, db).await {
            tracing::warn!(%error, "scheduled jobs could not be enqueued; trying again");
        }
        tokio::time::sleep(poll_interval).await;
    }
}

/// Writes the schedules of this binary. Those of other binaries stay until nobody has known them for a day, so that old and
/// new can run side by side.
pub(super) async fn sync(schedules: &[Schedule], db: &Db) -> Result<(), sqlx::Error> {
    let mut connection = db.read().await?;
    let now = store::now(&mut connection).await?;
    let planned = schedules.iter().filter_map(|schedule| {
        let next_at = schedule.next_after(now)?;
        Some((schedule.name.to_owned(), schedule.cron.to_owned(), next_at))
    });
    store::save_schedules(&mut connection, planned.collect()).await?;
    store::forget_schedules(&mut connection).await
}

/// Enqueues every schedule whose time has come. Of several workers the one that moves `next_at` does it.
pub(super) async fn enqueue_due(schedules: &[Schedule], db: &Db) -> Result<(), sqlx::Error> {
    if schedules.is_empty() {
        return Ok(());
    }
    let names: Vec<String> = schedules.iter().map(|schedule| schedule.name.to_owned()).collect();
    let due = store::due_schedules(&mut *db.read().await?, &names).await?;
    for (name, now) in due {
        let Some(schedule) = schedules.iter().find(|schedule| schedule.name == name) else { continue };
        let Some(next_at) = schedule.next_after(now) else { continue };
        let mut tx = db.begin().await?;
        if store::move_schedule(&mut tx, schedule.name, next_at).await? {
            let options = EnqueueOptions { unique_key: Some(schedule.name.to_owned()), ..EnqueueOptions::default() };
            let Schedule { job: name, queue, max_attempts, .. } = *schedule;
            insert(&mut tx, NewJob { name, queue, args: schedule.args.clone(), max_attempts, options }).await?;
            tx.commit().await?;
        }
    }
    Ok(())
}

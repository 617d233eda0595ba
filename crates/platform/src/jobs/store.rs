use std::collections::BTreeSet;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde_json::Value;
use sqlx::PgConnection;
use sqlx::postgres::types::PgInterval;
use uuid::Uuid;

use super::{MAX_ATTEMPTS, NamedJob, NewJob, Priority};
use crate::ids;
use crate::telemetry::RequestContext;

/// A job whose lease this worker holds.
#[derive(Debug)]
pub(super) struct Claimed {
    pub(super) id: Uuid,
    pub(super) lease: Uuid,
    pub(super) queue: String,
    pub(super) name: String,
    pub(super) args: Value,
    pub(super) priority: i16,
    pub(super) attempts: i32,
    pub(super) max_attempts: i32,
    pub(super) request_id: Option<String>,
    pub(super) traceparent: Option<String>,
}

/// A try that failed, and when to try again: never, if `retry_in` is empty.
pub(super) struct Failure {
    pub(super) id: Uuid,
    pub(super) lease: Uuid,
    pub(super) error: String,
    pub(super) retry_in: Option<Duration>,
}

fn interval(duration: Duration) -> PgInterval {
    PgInterval { months: 0, days: 0, microseconds: i64::try_from(duration.as_micros()).unwrap_or(i64::MAX) }
}

pub(super) async fn now(connection: &mut PgConnection) -> Result<DateTime<Utc>, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT now() AS "now!""#).fetch_one(connection).await
}

pub(super) async fn insert(
    connection: &mut PgConnection,
    new: &NewJob<'_>,
    context: Option<RequestContext>,
) -> Result<(), sqlx::Error> {
    let (request_id, traceparent) = context.map(|context| (context.request_id, context.traceparent)).unzip();
    sqlx::query!(
        "SELECT platform.enqueue_job($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)",
        ids::new_uuid(),
        new.queue,
        new.name,
        new.args,
        new.options.priority.stored(),
        new.options.run_at,
        new.max_attempts,
        new.options.unique_key,
        request_id,
        traceparent.flatten(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Jobs with the usual options.
pub(super) async fn insert_named(connection: &mut PgConnection, jobs: &[NamedJob]) -> Result<(), sqlx::Error> {
    let request_id = |job: &NamedJob| Some(job.context.as_ref()?.request_id.clone());
    let traceparent = |job: &NamedJob| job.context.as_ref()?.traceparent.clone();
    let ids: Vec<Uuid> = jobs.iter().map(|_| ids::new_uuid()).collect();
    let queues: Vec<String> = jobs.iter().map(|job| job.queue.clone()).collect();
    let names: Vec<String> = jobs.iter().map(|job| job.name.clone()).collect();
    let args: Vec<Value> = jobs.iter().map(|job| job.args.clone()).collect();
    let keys: Vec<Option<String>> = jobs.iter().map(|job| job.unique_key.clone()).collect();
    let request_ids: Vec<Option<String>> = jobs.iter().map(request_id).collect();
    let traceparents: Vec<Option<String>> = jobs.iter().map(traceparent).collect();
    sqlx::query!(
        "SELECT platform.enqueue_job(id, queue, name, args, $8, NULL, $9, key, request_id, traceparent)
         FROM unnest($1::uuid[], $2::text[], $3::text[], $4::jsonb[], $5::text[], $6::text[], $7::text[])
             AS job (id, queue, name, args, key, request_id, traceparent)",
        &ids,
        &queues,
        &names,
        &args,
        &keys as &[Option<String>],
        &request_ids as &[Option<String>],
        &traceparents as &[Option<String>],
        Priority::Normal.stored(),
        MAX_ATTEMPTS,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Leases due jobs, for each queue as many as it has room for. One walk along the index for each priority, so that a million
/// jobs that are not due yet cost nothing. Names this binary does not know are left to the one that does.
pub(super) async fn claim(
    connection: &mut PgConnection,
    rooms: &[(String, usize)],
    names: &[String],
    lease: Uuid,
    lease_time: Duration,
) -> Result<Vec<Claimed>, sqlx::Error> {
    let queues: Vec<String> = rooms.iter().map(|(queue, _)| queue.clone()).collect();
    let limits: Vec<i64> = rooms.iter().map(|(_, room)| i64::try_from(*room).unwrap_or(i64::MAX)).collect();
    let mut claimed = sqlx::query_as!(
        Claimed,
        r#"
        WITH due AS MATERIALIZED (
            SELECT picked.id
            FROM unnest($1::text[], $2::bigint[]) AS lane (queue, room)
            CROSS JOIN LATERAL (
                SELECT job.id
                FROM (VALUES (0::smallint), (1::smallint), (2::smallint)) AS level (priority)
                CROSS JOIN LATERAL (
                    SELECT id FROM platform.jobs
                    WHERE queue = lane.queue AND priority = level.priority AND run_at <= now() AND name = ANY ($3)
                    ORDER BY run_at, id
                    LIMIT lane.room
                    FOR UPDATE SKIP LOCKED
                ) AS job
                LIMIT lane.room
            ) AS picked
        )
        UPDATE platform.jobs AS job
        SET lease = $4, run_at = now() + $5::interval, attempts = job.attempts + 1
        FROM due
        WHERE job.id = due.id
        RETURNING job.id, job.lease AS "lease!", job.queue, job.name, job.args, job.priority, job.attempts,
            job.max_attempts, job.request_id, job.traceparent
        "#,
        &queues,
        &limits,
        names,
        lease,
        interval(lease_time),
    )
    .fetch_all(connection)
    .await?;
    claimed.sort_by_key(|job| (job.priority, job.id));
    Ok(claimed)
}

/// Moves the end of the leases that are still held. A row that is being settled right now is locked and needs no more time.
pub(super) async fn extend(
    connection: &mut PgConnection,
    held: &[(Uuid, Uuid)],
    lease_time: Duration,
) -> Result<(), sqlx::Error> {
    let (ids, leases): (Vec<Uuid>, Vec<Uuid>) = held.iter().copied().unzip();
    sqlx::query!(
        "WITH held AS MATERIALIZED (
             SELECT job.id FROM platform.jobs AS job
             JOIN unnest($1::uuid[], $2::uuid[]) AS mine (id, lease) ON job.id = mine.id AND job.lease = mine.lease
             FOR UPDATE OF job SKIP LOCKED
         )
         UPDATE platform.jobs AS job SET run_at = now() + $3::interval FROM held WHERE job.id = held.id",
        &ids,
        &leases,
        interval(lease_time),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Removes jobs that succeeded, where the lease is still held.
pub(super) async fn settle_successes(connection: &mut PgConnection, held: &[(Uuid, Uuid)]) -> Result<u64, sqlx::Error> {
    let (ids, leases): (Vec<Uuid>, Vec<Uuid>) = held.iter().copied().unzip();
    let deleted = sqlx::query!(
        "DELETE FROM platform.jobs AS job USING unnest($1::uuid[], $2::uuid[]) AS mine (id, lease)
         WHERE job.id = mine.id AND job.lease = mine.lease",
        &ids,
        &leases,
    )
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected())
}

/// Puts failed jobs back or among the dead, where the lease is still held.
pub(super) async fn settle_failures(connection: &mut PgConnection, failures: &[Failure]) -> Result<(), sqlx::Error> {
    let ids: Vec<Uuid> = failures.iter().map(|failure| failure.id).collect();
    let leases: Vec<Uuid> = failures.iter().map(|failure| failure.lease).collect();
    let errors: Vec<String> = failures.iter().map(|failure| failure.error.clone()).collect();
    let delays: Vec<Option<PgInterval>> = failures.iter().map(|failure| failure.retry_in.map(interval)).collect();
    sqlx::query!(
        "WITH failed AS MATERIALIZED (
             SELECT id, lease, error, retry_in
             FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::interval[]) AS mine (id, lease, error, retry_in)
         ), again AS (
             UPDATE platform.jobs AS job
             SET run_at = now() + failed.retry_in, lease = NULL, last_error = failed.error
             FROM failed
             WHERE job.id = failed.id AND job.lease = failed.lease AND failed.retry_in IS NOT NULL
         ), died AS (
             DELETE FROM platform.jobs AS job USING failed
             WHERE job.id = failed.id AND job.lease = failed.lease AND failed.retry_in IS NULL
             RETURNING job.*, failed.error
         )
         INSERT INTO platform.dead_jobs
             (id, queue, name, args, priority, attempts, max_attempts, unique_key, request_id, traceparent, error, created_at)
         SELECT id, queue, name, args, priority, attempts, max_attempts, unique_key, request_id, traceparent, error, created_at
         FROM died",
        &ids,
        &leases,
        &errors,
        &delays as &[Option<PgInterval>],
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Gives jobs back that this worker did not finish: due at once, the try not counted.
pub(super) async fn release(connection: &mut PgConnection, held: &[(Uuid, Uuid)]) -> Result<u64, sqlx::Error> {
    let (ids, leases): (Vec<Uuid>, Vec<Uuid>) = held.iter().copied().unzip();
    let released = sqlx::query!(
        "UPDATE platform.jobs AS job SET run_at = now(), lease = NULL, attempts = job.attempts - 1
         FROM unnest($1::uuid[], $2::uuid[]) AS mine (id, lease)
         WHERE job.id = mine.id AND job.lease = mine.lease",
        &ids,
        &leases,
    )
    .execute(connection)
    .await?;
    Ok(released.rows_affected())
}

pub(super) async fn settle_within(connection: &mut PgConnection, id: Uuid, lease: Uuid) -> Result<(), sqlx::Error> {
    sqlx::query!("SELECT platform.settle_job($1, $2)", id, lease).execute(connection).await?;
    Ok(())
}

pub(super) async fn settle_all_within(connection: &mut PgConnection, held: &[(Uuid, Uuid)]) -> Result<(), sqlx::Error> {
    let (ids, leases): (Vec<Uuid>, Vec<Uuid>) = held.iter().copied().unzip();
    sqlx::query!(
        "SELECT platform.settle_job(id, lease) FROM unnest($1::uuid[], $2::uuid[]) AS mine (id, lease)",
        &ids,
        &leases,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Writes schedules as name, pattern and next time; the next time is kept where the pattern has not changed.
pub(super) async fn save_schedules(
    connection: &mut PgConnection,
    planned: Vec<(String, String, DateTime<Utc>)>,
) -> Result<(), sqlx::Error> {
    let (names, crons, next): (Vec<_>, Vec<_>, Vec<_>) = planned.into_iter().collect();
    sqlx::query!(
        "INSERT INTO platform.schedules AS known (name, cron, next_at)
         SELECT name, cron, next_at FROM unnest($1::text[], $2::text[], $3::timestamptz[]) AS new (name, cron, next_at)
         ORDER BY name
         ON CONFLICT (name) DO UPDATE SET
             cron = EXCLUDED.cron,
             next_at = CASE WHEN known.cron = EXCLUDED.cron THEN known.next_at ELSE EXCLUDED.next_at END,
             seen_at = now()",
        &names,
        &crons,
        &next,
    )
    .execute(connection)
    .await?;
    Ok(())
}

pub(super) async fn forget_schedules(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM platform.schedules WHERE seen_at < now() - interval '1 day'").execute(connection).await?;
    Ok(())
}

/// The schedules whose time has come, with the database's time.
pub(super) async fn due_schedules(
    connection: &mut PgConnection,
    names: &[String],
) -> Result<Vec<(String, DateTime<Utc>)>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT name, now() AS "now!" FROM platform.schedules WHERE name = ANY ($1) AND next_at <= now()"#,
        names,
    )
    .fetch_all(connection)
    .await?;
    Ok(rows.into_iter().map(|row| (row.name, row.now)).collect())
}

/// Whether this call, and not another worker's, moved the schedule on; never back, however late the call comes.
pub(super) async fn move_schedule(
    connection: &mut PgConnection,
    name: &str,
    next_at: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let moved = sqlx::query!(
        "UPDATE platform.schedules SET next_at = $2 WHERE name = $1 AND next_at <= now() AND next_at < $2",
        name,
        next_at
    )
    .execute(connection)
    .await?;
    Ok(moved.rows_affected() == 1)
}

/// Samples the gauges of the queues: `jobs_ready` and `jobs_oldest_ready_seconds` by queue, and `jobs_dead`. Queues with jobs
/// that nobody here runs become known, so that the gauges of theirs go back to zero, too.
///
/// # Errors
/// When the database is away.
pub async fn queue_metrics(connection: &mut PgConnection, known: &mut BTreeSet<String>) -> Result<(), sqlx::Error> {
    let queues: Vec<String> = known.iter().cloned().collect();
    let rows = sqlx::query!(
        r#"
        SELECT queue AS "queue!", coalesce(ready.depth, 0)::float8 AS "depth!", coalesce(ready.age, 0)::float8 AS "age!"
        FROM unnest($1::text[]) AS known (queue)
        FULL JOIN (
            SELECT queue, count(*) AS depth, extract(epoch FROM now() - min(run_at)) AS age
            FROM platform.jobs WHERE run_at <= now() GROUP BY queue
        ) AS ready USING (queue)
        "#,
        &queues,
    )
    .fetch_all(&mut *connection)
    .await?;
    for row in rows {
        metrics::gauge!("jobs_ready", "queue" => row.queue.clone()).set(row.depth);
        metrics::gauge!("jobs_oldest_ready_seconds", "queue" => row.queue.clone()).set(row.age);
        known.insert(row.queue);
    }
    let dead = sqlx::query_scalar!(r#"SELECT count(*)::float8 AS "count!" FROM platform.dead_jobs"#)
        .fetch_one(connection)
        .await?;
    metrics::gauge!("jobs_dead").set(dead);
    Ok(())
}

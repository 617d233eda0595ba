use sqlx::PgConnection;
use uuid::Uuid;

use super::{JobEntry, JobFilter, JobState, Outcome};

fn names_of(states: &[JobState]) -> Vec<String> {
    states.iter().map(|state| state.as_str().to_owned()).collect()
}

/// Whether the living are wanted, the dead, or both.
fn halves_of(states: &[JobState]) -> Vec<bool> {
    states.iter().map(|state| *state == JobState::Dead).collect()
}

/// Walks along the primary keys of the living and the dead at once, or along an index of the dead where few are wanted.
pub(super) async fn list(
    connection: &mut PgConnection,
    filter: &JobFilter,
    before: Uuid,
    limit: i64,
) -> Result<Vec<JobEntry>, sqlx::Error> {
    sqlx::query_as!(
        JobEntry,
        r#"SELECT id AS "id!", state AS "state!: JobState", queue AS "queue!", name AS "name!", args AS "args!",
                  priority AS "priority!", attempts AS "attempts!", max_attempts AS "max_attempts!", unique_key, request_id,
                  traceparent, error, created_at AS "created_at!", run_at, died_at
           FROM platform.job_entries
           WHERE id < $1 AND state = ANY ($2) AND is_dead = ANY ($3)
             AND ($4::text IS NULL OR queue = $4) AND ($5::text IS NULL OR name = $5)
             AND ($6::timestamptz IS NULL OR died_at >= $6 OR (died_at IS NULL AND id >= $7))
           ORDER BY id DESC LIMIT $8"#,
        before,
        &names_of(&filter.states),
        &halves_of(&filter.states),
        filter.queue,
        filter.name,
        filter.since,
        filter.oldest_id(),
        limit,
    )
    .fetch_all(connection)
    .await
}

pub(super) async fn count(connection: &mut PgConnection, filter: &JobFilter) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        r#"SELECT count(*) AS "count!"
           FROM platform.job_entries
           WHERE state = ANY ($1) AND is_dead = ANY ($2)
             AND ($3::text IS NULL OR queue = $3) AND ($4::text IS NULL OR name = $4)
             AND ($5::timestamptz IS NULL OR died_at >= $5 OR (died_at IS NULL AND id >= $6))"#,
        &names_of(&filter.states),
        &halves_of(&filter.states),
        filter.queue,
        filter.name,
        filter.since,
        filter.oldest_id(),
    )
    .fetch_one(connection)
    .await
}

pub(super) async fn find(connection: &mut PgConnection, id: Uuid) -> Result<Option<JobEntry>, sqlx::Error> {
    sqlx::query_as!(
        JobEntry,
        r#"SELECT id AS "id!", state AS "state!: JobState", queue AS "queue!", name AS "name!", args AS "args!",
                  priority AS "priority!", attempts AS "attempts!", max_attempts AS "max_attempts!", unique_key, request_id,
                  traceparent, error, created_at AS "created_at!", run_at, died_at
           FROM platform.job_entries
           WHERE id = $1"#,
        id,
    )
    .fetch_optional(connection)
    .await
}

pub(super) async fn find_keyed(
    connection: &mut PgConnection,
    wanted: &[(String, String)],
) -> Result<Vec<JobEntry>, sqlx::Error> {
    let (names, keys): (Vec<String>, Vec<String>) = wanted.iter().cloned().unzip();
    sqlx::query_as!(
        JobEntry,
        r#"SELECT job.id AS "id!", job.state AS "state!: JobState", job.queue AS "queue!", job.name AS "name!",
                  job.args AS "args!", job.priority AS "priority!", job.attempts AS "attempts!",
                  job.max_attempts AS "max_attempts!", job.unique_key, job.request_id, job.traceparent, job.error,
                  job.created_at AS "created_at!", job.run_at, job.died_at
           FROM unnest($1::text[], $2::text[]) AS wanted (name, key)
           CROSS JOIN LATERAL (
               SELECT id, state, queue, name, args, priority, attempts, max_attempts, unique_key, request_id, traceparent,
                      error, created_at, run_at, died_at
               FROM platform.job_entries
               WHERE name = wanted.name AND unique_key = wanted.key
               ORDER BY died_at DESC NULLS FIRST LIMIT 1
           ) job"#,
        &names,
        &keys,
    )
    .fetch_all(connection)
    .await
}

pub(super) async fn list_keyed(
    connection: &mut PgConnection,
    (name, states): (&str, &[JobState]),
    before: &str,
    limit: i64,
) -> Result<Vec<JobEntry>, sqlx::Error> {
    sqlx::query_as!(
        JobEntry,
        r#"SELECT id AS "id!", state AS "state!: JobState", queue AS "queue!", name AS "name!", args AS "args!",
                  priority AS "priority!", attempts AS "attempts!", max_attempts AS "max_attempts!", unique_key, request_id,
                  traceparent, error, created_at AS "created_at!", run_at, died_at
           FROM platform.job_entries
           WHERE name = $1 AND state = ANY ($2) AND is_dead = ANY ($3) AND unique_key < $4
           ORDER BY unique_key DESC LIMIT $5"#,
        name,
        &names_of(states),
        &halves_of(states),
        before,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Brings the dead back and makes the scheduled due. What a worker takes at this moment is left to it.
pub(super) async fn retry(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<(Uuid, Outcome)>, sqlx::Error> {
    let outcomes = sqlx::query!(
        r#"WITH revived AS (
               DELETE FROM platform.dead_jobs WHERE id = ANY ($1)
               RETURNING id, queue, name, args, priority, max_attempts, unique_key, request_id, traceparent, error, created_at
           ), inserted AS (
               INSERT INTO platform.jobs (id, queue, name, args, priority, run_at, max_attempts, unique_key, request_id,
                   traceparent, last_error, created_at)
               SELECT id, queue, name, args, priority, now(), max_attempts, unique_key, request_id,
                   traceparent, error, created_at
               FROM revived
               ON CONFLICT (name, unique_key) WHERE unique_key IS NOT NULL DO NOTHING
           ), hastened AS (
               UPDATE platform.jobs SET run_at = now() WHERE id = ANY ($1) AND lease IS NULL AND run_at > now()
               RETURNING id
           )
           SELECT wanted.id AS "id!",
                  CASE WHEN revived.id IS NOT NULL OR hastened.id IS NOT NULL OR job.run_at <= now() THEN 'done'
                       WHEN job.id IS NOT NULL THEN 'running'
                       ELSE 'missing' END AS "outcome!: Outcome"
           FROM unnest($1::uuid[]) AS wanted (id)
           LEFT JOIN revived ON revived.id = wanted.id
           LEFT JOIN hastened ON hastened.id = wanted.id
           LEFT JOIN platform.jobs job ON job.id = wanted.id"#,
        ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(outcomes.into_iter().map(|row| (row.id, row.outcome)).collect())
}

/// Deletes what no worker has. Of an abandoned try nothing is left that could settle.
pub(super) async fn discard(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<(Uuid, Outcome)>, sqlx::Error> {
    let outcomes = sqlx::query!(
        r#"WITH dead AS (
               DELETE FROM platform.dead_jobs WHERE id = ANY ($1) RETURNING id
           ), alive AS (
               DELETE FROM platform.jobs WHERE id = ANY ($1) AND (lease IS NULL OR run_at <= now()) RETURNING id
           )
           SELECT wanted.id AS "id!",
                  CASE WHEN dead.id IS NOT NULL OR alive.id IS NOT NULL THEN 'done'
                       WHEN job.id IS NOT NULL THEN 'running'
                       ELSE 'missing' END AS "outcome!: Outcome"
           FROM unnest($1::uuid[]) AS wanted (id)
           LEFT JOIN dead ON dead.id = wanted.id
           LEFT JOIN alive ON alive.id = wanted.id
           LEFT JOIN platform.jobs job ON job.id = wanted.id"#,
        ids,
    )
    .fetch_all(connection)
    .await?;
    Ok(outcomes.into_iter().map(|row| (row.id, row.outcome)).collect())
}

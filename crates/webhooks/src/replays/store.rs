use chrono::{DateTime, TimeDelta, Utc};
use platform::caller::OrgId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::{Candidate, Period, Replay, ReplayId};
use crate::endpoints::EndpointId;
use crate::messages::MessageId;

/// An endpoint under our lock, as far as its replay has to know it.
pub(super) struct Target {
    pub(super) event_types: Vec<String>,
    pub(super) enabled: bool,
}

/// Takes the endpoint's place for a replay; says whether it was free. It is when the last one is finished, or when nothing
/// happened to that for so long.
pub(super) async fn insert(
    connection: &mut PgConnection,
    organization: OrgId,
    (id, endpoint): (ReplayId, EndpointId),
    period: Period,
    given_up_after: TimeDelta,
) -> Result<bool, sqlx::Error> {
    let written = sqlx::query!(
        "INSERT INTO webhooks.replays AS last (id, organization_id, endpoint_id, since, until, reached)
         VALUES ($1, $2, $3, $4, $5, webhooks.first_id($4))
         ON CONFLICT (endpoint_id) DO UPDATE
         SET id = EXCLUDED.id, since = EXCLUDED.since, until = EXCLUDED.until, reached = EXCLUDED.reached,
             deliveries = 0, started_at = now(), checked_at = now(), finished_at = NULL
         WHERE last.finished_at IS NOT NULL OR last.checked_at < now() - make_interval(secs => $6)",
        id.uuid(),
        organization.uuid(),
        endpoint.uuid(),
        period.since,
        period.until,
        given_up_after.as_seconds_f64(),
    )
    .execute(connection)
    .await?;
    Ok(written.rows_affected() == 1)
}

/// Locks the endpoint of a replay against whoever deletes or enables it, until the transaction ends.
pub(super) async fn lock_endpoint(
    connection: &mut PgConnection,
    organization: OrgId,
    id: ReplayId,
) -> Result<Option<Target>, sqlx::Error> {
    sqlx::query_as!(
        Target,
        r#"SELECT endpoint.event_types, endpoint.disabled_at IS NULL AS "enabled!"
           FROM webhooks.replays replay
           JOIN webhooks.endpoints endpoint ON endpoint.id = replay.endpoint_id
           WHERE replay.organization_id = $1 AND replay.id = $2
           FOR KEY SHARE OF endpoint"#,
        organization.uuid(),
        id.uuid(),
    )
    .fetch_optional(connection)
    .await
}

/// Locks a replay that is not finished, until the transaction ends.
pub(super) async fn lock(
    connection: &mut PgConnection,
    organization: OrgId,
    id: ReplayId,
) -> Result<Option<Replay>, sqlx::Error> {
    sqlx::query_as!(
        Replay,
        r#"SELECT endpoint_id AS "endpoint: EndpointId", reached, until, now() AS "now!"
           FROM webhooks.replays
           WHERE organization_id = $1 AND id = $2 AND finished_at IS NULL
           FOR UPDATE"#,
        organization.uuid(),
        id.uuid(),
    )
    .fetch_optional(connection)
    .await
}

/// Has the rest of the transaction read in the order of an index. The planner knows little about ranges of ids, and takes a
/// long period for a few rows that are soon read and sorted: each batch would read the whole rest of it.
pub(super) async fn never_sort(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("SELECT set_config('enable_sort', 'off', true)").fetch_one(connection).await?;
    Ok(())
}

/// The organization's messages after an id and from before a moment, the oldest first.
pub(super) async fn list_messages(
    connection: &mut PgConnection,
    organization: OrgId,
    after: Uuid,
    before: DateTime<Utc>,
    limit: i64,
) -> Result<Vec<Candidate>, sqlx::Error> {
    sqlx::query_as!(
        Candidate,
        r#"SELECT id AS "id: MessageId", event_type
           FROM webhooks.messages
           WHERE organization_id = $1 AND id > $2 AND id < webhooks.first_id($3)
           ORDER BY id LIMIT $4"#,
        organization.uuid(),
        after,
        before,
        limit,
    )
    .fetch_all(connection)
    .await
}

/// Writes down how far a replay is and how many more deliveries it began.
pub(super) async fn save(
    connection: &mut PgConnection,
    organization: OrgId,
    id: ReplayId,
    (reached, begun): (Uuid, i64),
    finished: bool,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE webhooks.replays
         SET reached = $3, deliveries = deliveries + $4, checked_at = now(), finished_at = CASE WHEN $5 THEN now() END
         WHERE organization_id = $1 AND id = $2",
        organization.uuid(),
        id.uuid(),
        reached,
        begun,
        finished,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// The unfinished replay of an endpoint, which something happens to now.
pub(super) async fn touch_unfinished(
    connection: &mut PgConnection,
    organization: OrgId,
    endpoint: EndpointId,
) -> Result<Option<ReplayId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"UPDATE webhooks.replays SET checked_at = now()
           WHERE organization_id = $1 AND endpoint_id = $2 AND finished_at IS NULL
           RETURNING id AS "id: ReplayId""#,
        organization.uuid(),
        endpoint.uuid(),
    )
    .fetch_optional(connection)
    .await
}

//! How the delivery loop writes down what it did. It serves every organization at once, so these functions take none.

use std::time::Duration;

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use uuid::Uuid;

use crate::deliveries::DeliveryStatus;
use crate::deliveries::verdict::Outcome;
use crate::endpoints::EndpointId;

/// What changes about an endpoint besides its deliveries.
pub(in crate::deliveries) struct Change {
    pub(in crate::deliveries) endpoint: EndpointId,
    /// Slots taken, or given back when negative.
    pub(in crate::deliveries) slots: i32,
    /// What we know of what waits for it.
    pub(in crate::deliveries) look: Look,
    /// Whether something arrived; none when nothing was tried.
    pub(in crate::deliveries) healthy: Option<bool>,
    /// The endpoint said that it wants no more.
    pub(in crate::deliveries) gone: bool,
}

/// How closely we looked at what is due for an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::deliveries) enum Look {
    /// Not at all.
    None,
    /// We took what we saw, and somebody is adding more.
    Busy,
    /// We took what there was, and nobody can add more before our transaction ends.
    Quiet,
}

/// Outcomes as PostgreSQL takes them: one array for each column.
#[derive(Default)]
struct Columns {
    deliveries: Vec<Uuid>,
    leases: Vec<Uuid>,
    statuses: Vec<String>,
    pauses: Vec<Option<i64>>,
    gone: Vec<bool>,
    attempts: Vec<Uuid>,
    sent: Vec<DateTime<Utc>>,
    durations: Vec<i32>,
    codes: Vec<Option<i16>>,
    errors: Vec<Option<String>>,
    answers: Vec<Option<String>>,
}

impl Columns {
    fn of(outcomes: &[Outcome]) -> Self {
        let mut columns = Self::default();
        for Outcome { delivery, lease, attempt, verdict, .. } in outcomes {
            columns.deliveries.push(delivery.uuid());
            columns.leases.push(*lease);
            columns.statuses.push(verdict.status().as_str().to_owned());
            columns.pauses.push(verdict.pause_ms());
            columns.gone.push(verdict.is_gone());
            columns.attempts.push(attempt.id.uuid());
            columns.sent.push(attempt.sent_at);
            columns.durations.push(attempt.duration_ms);
            columns.codes.push(attempt.http_status);
            columns.errors.push(attempt.error.clone());
            columns.answers.push(attempt.answer.clone());
        }
        columns
    }
}

/// Has the rest of the transaction go through indexes only. The plans of these statements are kept: one that was made while
/// the tables were small would read them whole when they have grown, until their statistics catch up.
pub(in crate::deliveries) async fn prefer_indexes(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("SELECT set_config('enable_seqscan', 'off', true)").fetch_one(connection).await?;
    Ok(())
}

/// Locks endpoints in the order of their ids, as everywhere, so that nobody waits in a circle.
pub(in crate::deliveries) async fn lock(connection: &mut PgConnection, endpoints: &[Uuid]) -> Result<(), sqlx::Error> {
    sqlx::query!("SELECT id FROM webhooks.endpoints WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE", endpoints,)
        .fetch_all(connection)
        .await?;
    Ok(())
}

/// Writes down the outcomes whose lease still holds, in one statement; those that come too late change nothing. Returns
/// what that means for the endpoints.
pub(in crate::deliveries) async fn settle(
    connection: &mut PgConnection,
    outcomes: &[Outcome],
) -> Result<Vec<Change>, sqlx::Error> {
    let columns = Columns::of(outcomes);
    sqlx::query!(
        r#"WITH held AS (
               SELECT outcome.delivery_id, due.endpoint_id, status, pause_ms, gone,
                      attempt_id, sent_at, duration_ms, http_status, error, answer
               FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::boolean[], $6::uuid[],
                           $7::timestamptz[], $8::integer[], $9::smallint[], $10::text[], $11::text[])
                   AS outcome (delivery_id, lease, status, pause_ms, gone, attempt_id,
                               sent_at, duration_ms, http_status, error, answer)
               JOIN webhooks.due_deliveries due
                   ON due.delivery_id = outcome.delivery_id AND due.lease = outcome.lease
           ), waiting AS (
               UPDATE webhooks.due_deliveries due
               SET lease = NULL, leased_until = NULL, attempts = due.attempts + 1,
                   next_at = now() + held.pause_ms * interval '1 millisecond'
               FROM held WHERE due.delivery_id = held.delivery_id AND held.pause_ms IS NOT NULL
           ), ended AS (
               DELETE FROM webhooks.due_deliveries due USING held
               WHERE due.delivery_id = held.delivery_id AND held.pause_ms IS NULL
           ), filed AS (
               UPDATE webhooks.deliveries delivery
               SET status = held.status, finished_at = now()
               FROM held
               WHERE delivery.id = held.delivery_id AND held.pause_ms IS NULL
           ), logged AS (
               INSERT INTO webhooks.delivery_attempts
                   (id, delivery_id, sent_at, duration_ms, http_status, error, answer)
               SELECT attempt_id, delivery_id, sent_at, duration_ms, http_status, error, answer FROM held
           )
           SELECT endpoint_id AS "endpoint!: EndpointId", (-count(*))::integer AS "slots!",
                  bool_or(status = $12) AS "healthy", bool_or(gone) AS "gone!"
           FROM held
           GROUP BY endpoint_id"#,
        &columns.deliveries,
        &columns.leases,
        &columns.statuses,
        &columns.pauses as &[Option<i64>],
        &columns.gone,
        &columns.attempts,
        &columns.sent,
        &columns.durations,
        &columns.codes as &[Option<i16>],
        &columns.errors as &[Option<String>],
        &columns.answers as &[Option<String>],
        DeliveryStatus::Delivered.as_str(),
    )
    .map(|row| Change {
        endpoint: row.endpoint,
        slots: row.slots,
        look: Look::None,
        healthy: row.healthy,
        gone: row.gone,
    })
    .fetch_all(connection)
    .await
}

/// Counts slots, keeps the endpoint's health and decides when to look at it again; says whether one of the endpoints is
/// worth a look at once. The endpoints are locked.
///
/// With every slot taken, that is when the newest lease ends, in case its holder dies: a slot that comes free is
/// noticed here. After a quiet look it is when the next delivery is due, or that. Otherwise something may be waiting
/// that cannot be seen yet, so the time is never put off.
pub(in crate::deliveries) async fn change_endpoints(
    connection: &mut PgConnection,
    changes: &[Change],
    lease_time: Duration,
) -> Result<bool, sqlx::Error> {
    let endpoints: Vec<Uuid> = changes.iter().map(|change| change.endpoint.uuid()).collect();
    let slots: Vec<i32> = changes.iter().map(|change| change.slots).collect();
    let quiet: Vec<bool> = changes.iter().map(|change| change.look == Look::Quiet).collect();
    let busy: Vec<bool> = changes.iter().map(|change| change.look == Look::Busy).collect();
    let healthy: Vec<Option<bool>> = changes.iter().map(|change| change.healthy).collect();
    let gone: Vec<bool> = changes.iter().map(|change| change.gone).collect();
    let ready = sqlx::query_scalar!(
        r#"WITH change AS (
               SELECT endpoint.id, endpoint.in_flight + change.slots AS in_flight, quiet, healthy, gone,
                      busy OR endpoint.in_flight >= endpoint.max_in_flight AS at_once,
                      now() + make_interval(secs => $7) AS lease_end,
                      (SELECT greatest(due.next_at, now())
                       FROM webhooks.due_deliveries due
                       WHERE due.endpoint_id = endpoint.id AND (due.lease IS NULL OR due.leased_until <= now())
                       ORDER BY due.next_at LIMIT 1) AS next_due
               FROM unnest($1::uuid[], $2::integer[], $3::boolean[], $4::boolean[], $5::boolean[], $6::boolean[])
                   AS change (endpoint_id, slots, quiet, busy, healthy, gone)
               JOIN webhooks.endpoints endpoint ON endpoint.id = change.endpoint_id
           )
           UPDATE webhooks.endpoints endpoint
           SET in_flight = change.in_flight,
               next_ready_at = CASE
                   WHEN change.in_flight >= endpoint.max_in_flight THEN change.lease_end
                   WHEN change.quiet
                   THEN least(change.next_due, CASE WHEN change.in_flight > 0 THEN change.lease_end END)
                   WHEN change.at_once THEN now()
                   ELSE least(endpoint.next_ready_at, change.next_due) END,
               failing_since = CASE change.healthy
                   WHEN true THEN NULL
                   WHEN false THEN coalesce(endpoint.failing_since, now())
                   ELSE endpoint.failing_since END,
               disabled_at = CASE WHEN change.gone THEN coalesce(endpoint.disabled_at, now())
                                  ELSE endpoint.disabled_at END,
               updated_at = CASE WHEN change.gone THEN now() ELSE endpoint.updated_at END,
               version = endpoint.version + CASE WHEN change.gone THEN 1 ELSE 0 END
           FROM change
           WHERE endpoint.id = change.id
           RETURNING endpoint.next_ready_at <= now() AND endpoint.disabled_at IS NULL AS "ready""#,
        &endpoints,
        &slots,
        &quiet,
        &busy,
        &healthy as &[Option<bool>],
        &gone,
        lease_time.as_secs_f64(),
    )
    .fetch_all(connection)
    .await?;
    Ok(ready.contains(&Some(true)))
}

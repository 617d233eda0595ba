//! How the delivery loop writes down what it did. It serves every organization at once, so these functions take none.

use std::collections::HashMap;
use std::time::Duration;

use chrono::{DateTime, Utc};
use platform::caller::OrgId;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::deliveries::DeliveryStatus;
use crate::deliveries::health::{Health, PROBES, Signs, Turn};
use crate::deliveries::verdict::Outcome;
use crate::endpoints::EndpointId;

/// What changes about an endpoint besides its deliveries and its health.
pub(in crate::deliveries) struct Change {
    pub(in crate::deliveries) endpoint: EndpointId,
    /// Slots taken, or given back when negative.
    pub(in crate::deliveries) slots: i32,
    /// What we know of what waits for it.
    pub(in crate::deliveries) look: Look,
}

/// What was written down about an endpoint.
pub(in crate::deliveries) struct Settled {
    pub(in crate::deliveries) change: Change,
    pub(in crate::deliveries) signs: Signs,
}

/// How an endpoint is doing; its row is locked.
pub(in crate::deliveries) struct Known {
    pub(in crate::deliveries) health: Health,
    /// The database's time.
    pub(in crate::deliveries) now: DateTime<Utc>,
}

/// An endpoint that was disabled.
pub(in crate::deliveries) struct Disabled {
    pub(in crate::deliveries) endpoint: EndpointId,
    pub(in crate::deliveries) organization: OrgId,
    pub(in crate::deliveries) url: String,
    pub(in crate::deliveries) at: DateTime<Utc>,
    pub(in crate::deliveries) reason: String,
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
    at_fault: Vec<bool>,
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
        for Outcome { delivery, lease, attempt, verdict, at_fault, .. } in outcomes {
            columns.deliveries.push(delivery.uuid());
            columns.leases.push(*lease);
            columns.statuses.push(verdict.status().as_str().to_owned());
            columns.pauses.push(verdict.pause_ms());
            columns.gone.push(verdict.is_gone());
            columns.at_fault.push(*at_fault);
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

/// Locks endpoints in the order of their ids, as everywhere, so that nobody waits in a circle; says how they are doing.
pub(in crate::deliveries) async fn lock(
    connection: &mut PgConnection,
    endpoints: &[Uuid],
) -> Result<HashMap<EndpointId, Known>, sqlx::Error> {
    let rows = sqlx::query!(
        r#"SELECT id AS "id: EndpointId", consecutive_failures, paused_until, pauses, failing_since,
                  disabled_at IS NOT NULL AS "disabled!", now() AS "now!"
           FROM webhooks.endpoints WHERE id = ANY ($1) ORDER BY id FOR NO KEY UPDATE"#,
        endpoints,
    )
    .fetch_all(connection)
    .await?;
    let known = rows.into_iter().map(|row| {
        let health = Health {
            consecutive_failures: row.consecutive_failures,
            paused_until: row.paused_until,
            pauses: row.pauses,
            failing_since: row.failing_since,
            disabled: row.disabled,
        };
        (row.id, Known { health, now: row.now })
    });
    Ok(known.collect())
}

/// Writes down the outcomes whose lease still holds, in one statement; those that come too late change nothing. Returns
/// what that means for the endpoints.
pub(in crate::deliveries) async fn settle(
    connection: &mut PgConnection,
    outcomes: &[Outcome],
) -> Result<Vec<Settled>, sqlx::Error> {
    let columns = Columns::of(outcomes);
    sqlx::query!(
        r#"WITH held AS (
               SELECT outcome.delivery_id, due.endpoint_id, status, pause_ms, gone, at_fault,
                      attempt_id, sent_at, duration_ms, http_status, error, answer
               FROM unnest($1::uuid[], $2::uuid[], $3::text[], $4::bigint[], $5::boolean[], $6::uuid[],
                           $7::timestamptz[], $8::integer[], $9::smallint[], $10::text[], $11::text[],
                           $13::boolean[])
                   AS outcome (delivery_id, lease, status, pause_ms, gone, attempt_id,
                               sent_at, duration_ms, http_status, error, answer, at_fault)
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
                  bool_or(status = $12) AS "delivered!", (count(*) FILTER (WHERE at_fault))::integer AS "failed!",
                  bool_or(gone) AS "gone!"
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
        &columns.at_fault,
    )
    .map(|row| Settled {
        change: Change { endpoint: row.endpoint, slots: row.slots, look: Look::None },
        signs: Signs { delivered: row.delivered, failed: row.failed, gone: row.gone },
    })
    .fetch_all(connection)
    .await
}

/// Writes down how endpoints are doing from now on; returns those that this disables. The endpoints are locked. One whose
/// pause is over for good is looked at again: until now it had a single slot, and whoever found that taken left it alone.
pub(in crate::deliveries) async fn save_health(
    connection: &mut PgConnection,
    turns: &[(EndpointId, Turn)],
) -> Result<Vec<Disabled>, sqlx::Error> {
    let endpoints: Vec<Uuid> = turns.iter().map(|(endpoint, _)| endpoint.uuid()).collect();
    let failures: Vec<i32> = turns.iter().map(|(_, turn)| turn.health.consecutive_failures).collect();
    let until: Vec<Option<DateTime<Utc>>> = turns.iter().map(|(_, turn)| turn.health.paused_until).collect();
    let pauses: Vec<i32> = turns.iter().map(|(_, turn)| turn.health.pauses).collect();
    let failing: Vec<Option<DateTime<Utc>>> = turns.iter().map(|(_, turn)| turn.health.failing_since).collect();
    let reasons: Vec<Option<String>> = turns.iter().map(|(_, turn)| turn.reason().map(str::to_owned)).collect();
    let saved = sqlx::query!(
        r#"UPDATE webhooks.endpoints endpoint
           SET consecutive_failures = turn.consecutive_failures,
               paused_until = turn.paused_until,
               pauses = turn.pauses,
               failing_since = turn.failing_since,
               next_ready_at = CASE WHEN endpoint.paused_until IS NOT NULL AND turn.paused_until IS NULL THEN now()
                                    ELSE endpoint.next_ready_at END,
               disabled_at = CASE WHEN turn.reason IS NULL THEN endpoint.disabled_at ELSE now() END,
               disabled_reason = coalesce(turn.reason, endpoint.disabled_reason),
               updated_at = CASE WHEN turn.reason IS NULL THEN endpoint.updated_at ELSE now() END,
               version = endpoint.version + CASE WHEN turn.reason IS NULL THEN 0 ELSE 1 END
           FROM unnest($1::uuid[], $2::integer[], $3::timestamptz[], $4::integer[], $5::timestamptz[], $6::text[])
               AS turn (endpoint_id, consecutive_failures, paused_until, pauses, failing_since, reason)
           WHERE endpoint.id = turn.endpoint_id
           RETURNING endpoint.id AS "endpoint: EndpointId", endpoint.organization_id AS "organization: OrgId",
                     endpoint.url, endpoint.updated_at AS at, turn.reason AS "reason?""#,
        &endpoints,
        &failures,
        &until as &[Option<DateTime<Utc>>],
        &pauses,
        &failing as &[Option<DateTime<Utc>>],
        &reasons as &[Option<String>],
    )
    .fetch_all(connection)
    .await?;
    let disabled = saved.into_iter().filter_map(|row| {
        let reason = row.reason?;
        Some(Disabled { endpoint: row.endpoint, organization: row.organization, url: row.url, at: row.at, reason })
    });
    Ok(disabled.collect())
}

/// Counts slots and decides when to look at endpoints again; says whether one of them is worth a look at once. They are
/// locked.
///
/// With every slot taken, that is when the newest lease ends, in case its holder dies: a slot that comes free is
/// noticed here. After a quiet look it is when the next delivery is due, or that. Otherwise something may be waiting
/// that cannot be seen yet, so the time is never put off, except to the end of a pause: while one lasts nothing is sent.
pub(in crate::deliveries) async fn change_endpoints(
    connection: &mut PgConnection,
    changes: &[Change],
    lease_time: Duration,
) -> Result<bool, sqlx::Error> {
    let endpoints: Vec<Uuid> = changes.iter().map(|change| change.endpoint.uuid()).collect();
    let slots: Vec<i32> = changes.iter().map(|change| change.slots).collect();
    let quiet: Vec<bool> = changes.iter().map(|change| change.look == Look::Quiet).collect();
    let busy: Vec<bool> = changes.iter().map(|change| change.look == Look::Busy).collect();
    let ready = sqlx::query_scalar!(
        r#"WITH change AS (
               SELECT endpoint.id, endpoint.in_flight + change.slots AS in_flight, width.slots, width.soonest, quiet,
                      busy OR endpoint.in_flight >= width.slots AS at_once,
                      greatest(now() + make_interval(secs => $5), width.soonest) AS lease_end,
                      (SELECT greatest(due.next_at, width.soonest)
                       FROM webhooks.due_deliveries due
                       WHERE due.endpoint_id = endpoint.id AND (due.lease IS NULL OR due.leased_until <= now())
                       ORDER BY due.next_at LIMIT 1) AS next_due
               FROM unnest($1::uuid[], $2::integer[], $3::boolean[], $4::boolean[])
                   AS change (endpoint_id, slots, quiet, busy)
               JOIN webhooks.endpoints endpoint ON endpoint.id = change.endpoint_id
               CROSS JOIN LATERAL (
                   SELECT CASE WHEN endpoint.paused_until IS NULL THEN endpoint.max_in_flight ELSE $6 END AS slots,
                          greatest(now(), endpoint.paused_until) AS soonest
               ) width
           )
           UPDATE webhooks.endpoints endpoint
           SET in_flight = change.in_flight,
               next_ready_at = CASE
                   WHEN change.in_flight >= change.slots THEN change.lease_end
                   WHEN change.quiet
                   THEN least(change.next_due, CASE WHEN change.in_flight > 0 THEN change.lease_end END)
                   WHEN change.at_once THEN change.soonest
                   ELSE least(endpoint.next_ready_at, change.next_due) END
           FROM change
           WHERE endpoint.id = change.id
           RETURNING endpoint.next_ready_at <= now() AND endpoint.disabled_at IS NULL AS "ready""#,
        &endpoints,
        &slots,
        &quiet,
        &busy,
        lease_time.as_secs_f64(),
        PROBES,
    )
    .fetch_all(connection)
    .await?;
    Ok(ready.contains(&Some(true)))
}

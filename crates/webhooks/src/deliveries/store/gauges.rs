//! What the gauges of the delivery loop show. It serves every organization at once, so these functions take none.

use sqlx::PgConnection;

/// What waits, and for whom.
pub(in crate::deliveries) struct Sample {
    pub(in crate::deliveries) due: f64,
    pub(in crate::deliveries) oldest_seconds: f64,
    pub(in crate::deliveries) enabled: f64,
    pub(in crate::deliveries) paused: f64,
    pub(in crate::deliveries) disabled: f64,
}

/// Counted exactly up to so many; beyond, the statistics of the table say how many there are about.
const COUNTED: i32 = 50_000;

/// The age of the oldest is looked for at so many endpoints, those that have waited longest for a look.
const ENDPOINTS: i64 = 1_000;

/// A delivery is as old as the time since it is due; those of endpoints that are paused or disabled are nobody's concern.
pub(in crate::deliveries) async fn sample(connection: &mut PgConnection) -> Result<Sample, sqlx::Error> {
    sqlx::query_as!(
        Sample,
        r#"SELECT due.count AS "due!", oldest.seconds AS "oldest_seconds!", endpoints.enabled AS "enabled!",
                  endpoints.paused AS "paused!", endpoints.disabled AS "disabled!"
           FROM (
               SELECT CASE WHEN count(*) <= $1 THEN count(*)::float8
                           ELSE greatest(count(*)::float8, (SELECT reltuples::float8 FROM pg_catalog.pg_class
                                                            WHERE oid = 'webhooks.due_deliveries'::regclass)) END AS count
               FROM (SELECT FROM webhooks.due_deliveries LIMIT $1 + 1) counted
           ) due, (
               SELECT greatest(coalesce(extract(epoch FROM now() - min(due.next_at)), 0), 0)::float8 AS seconds
               FROM (SELECT id FROM webhooks.endpoints
                     WHERE next_ready_at IS NOT NULL AND disabled_at IS NULL AND paused_until IS NULL
                     ORDER BY next_ready_at LIMIT $2) waiting
               CROSS JOIN LATERAL (SELECT next_at FROM webhooks.due_deliveries
                                   WHERE endpoint_id = waiting.id ORDER BY next_at LIMIT 1) due
           ) oldest, (
               SELECT count(*) FILTER (WHERE disabled_at IS NULL AND paused_until IS NULL)::float8 AS enabled,
                      count(*) FILTER (WHERE disabled_at IS NULL AND paused_until IS NOT NULL)::float8 AS paused,
                      count(*) FILTER (WHERE disabled_at IS NOT NULL)::float8 AS disabled
               FROM webhooks.endpoints
           ) endpoints"#,
        COUNTED,
        ENDPOINTS,
    )
    .fetch_one(connection)
    .await
}

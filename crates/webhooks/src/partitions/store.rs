use chrono::{DateTime, Utc};
use sqlx::PgConnection;

/// Makes what is missing; says until when rows can be written.
pub(super) async fn make_partitions(
    connection: &mut PgConnection,
    weeks_ahead: i32,
) -> Result<DateTime<Utc>, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT webhooks.make_partitions($1) AS "until!""#, weeks_ahead).fetch_one(connection).await
}

/// Says how many were dropped.
pub(super) async fn drop_partitions(connection: &mut PgConnection, older_than_days: i32) -> Result<i32, sqlx::Error> {
    sqlx::query_scalar!(r#"SELECT webhooks.drop_partitions(make_interval(days => $1)) AS "dropped!""#, older_than_days)
        .fetch_one(connection)
        .await
}

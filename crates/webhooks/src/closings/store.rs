use platform::caller::OrgId;
use sqlx::PgConnection;

/// Locks the endpoints of the organization until the transaction ends: nothing is added for them or sent to them meanwhile.
pub(super) async fn lock_endpoints(connection: &mut PgConnection, organization: OrgId) -> Result<(), sqlx::Error> {
    sqlx::query!(
        r#"SELECT count(*) AS "count!" FROM
             (SELECT id FROM webhooks.endpoints WHERE organization_id = $1 ORDER BY id FOR UPDATE) locked"#,
        organization.uuid(),
    )
    .fetch_one(connection)
    .await?;
    Ok(())
}

/// Drops a batch of what waits to be sent; returns how many.
pub(super) async fn delete_due(
    connection: &mut PgConnection,
    organization: OrgId,
    batch: i64,
) -> Result<u64, sqlx::Error> {
    let deleted = sqlx::query!(
        "DELETE FROM webhooks.due_deliveries WHERE delivery_id IN
             (SELECT due.delivery_id FROM webhooks.endpoints e
              JOIN webhooks.due_deliveries due ON due.endpoint_id = e.id
              WHERE e.organization_id = $1 LIMIT $2)",
        organization.uuid(),
        batch,
    )
    .execute(connection)
    .await?;
    Ok(deleted.rows_affected())
}

/// Deletes the endpoints; their secrets go with them.
pub(super) async fn delete_endpoints(connection: &mut PgConnection, organization: OrgId) -> Result<(), sqlx::Error> {
    sqlx::query!("DELETE FROM webhooks.endpoints WHERE organization_id = $1", organization.uuid())
        .execute(connection)
        .await?;
    Ok(())
}

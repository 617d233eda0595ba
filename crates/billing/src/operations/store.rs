use chrono::{DateTime, Utc};
use platform::caller::OrgId;
use platform::once::OnceKey;
use sqlx::PgConnection;

use super::{Change, Operation, OperationId, State};
use crate::ports::CheckoutPage;

pub(crate) async fn find(
    connection: &mut PgConnection,
    organization: OrgId,
    id: OperationId,
) -> Result<Option<Operation>, sqlx::Error> {
    sqlx::query_as!(
        Operation,
        r#"SELECT id AS "id: OperationId", kind, subject, wish, state AS "state: State", error, provider_object_id, url,
                  first_sent_at
           FROM billing.operations
           WHERE organization_id = $1 AND id = $2"#,
        organization.uuid(),
        id.uuid(),
    )
    .fetch_optional(connection)
    .await
}

/// The operation that a client's key led to, and whether the request is the one that the key came with first.
pub(crate) async fn find_by_key(
    connection: &mut PgConnection,
    organization: OrgId,
    key: &OnceKey,
) -> Result<Option<(Operation, bool)>, sqlx::Error> {
    sqlx::query!(
        r#"SELECT o.id AS "id: OperationId", o.kind, o.subject, o.wish, o.state AS "state: State", o.error,
                  o.provider_object_id, o.url, o.first_sent_at, k.request_hash = $3 AS "same!"
           FROM billing.operation_keys k
           JOIN billing.operations o ON o.id = k.operation_id
           WHERE o.organization_id = $1 AND k.scope = $2"#,
        organization.uuid(),
        key.scope.as_slice(),
        key.request_hash.as_slice(),
    )
    .map(|row| {
        let operation = Operation {
            id: row.id,
            kind: row.kind,
            subject: row.subject,
            wish: row.wish,
            state: row.state,
            error: row.error,
            provider_object_id: row.provider_object_id,
            url: row.url,
            first_sent_at: row.first_sent_at,
        };
        (operation, row.same)
    })
    .fetch_optional(connection)
    .await
}

/// The operation about a subject that is not over.
pub(crate) async fn find_open(
    connection: &mut PgConnection,
    organization: OrgId,
    subject: &str,
) -> Result<Option<Operation>, sqlx::Error> {
    sqlx::query_as!(
        Operation,
        r#"SELECT id AS "id: OperationId", kind, subject, wish, state AS "state: State", error, provider_object_id, url,
                  first_sent_at
           FROM billing.operations
           WHERE organization_id = $1 AND subject = $2 AND state IN ('pending', 'in_flight', 'unknown')"#,
        organization.uuid(),
        subject,
    )
    .fetch_optional(connection)
    .await
}

/// What was asked for the organization, newest first.
pub(crate) async fn list(
    connection: &mut PgConnection,
    organization: OrgId,
    limit: i64,
) -> Result<Vec<Operation>, sqlx::Error> {
    sqlx::query_as!(
        Operation,
        r#"SELECT id AS "id: OperationId", kind, subject, wish, state AS "state: State", error, provider_object_id, url,
                  first_sent_at
           FROM billing.operations
           WHERE organization_id = $1
           ORDER BY id DESC LIMIT $2"#,
        organization.uuid(),
        limit,
    )
    .fetch_all(connection)
    .await
}

pub(crate) async fn insert(
    connection: &mut PgConnection,
    organization: OrgId,
    operation: &Operation,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO billing.operations
             (id, organization_id, kind, subject, wish, state, first_sent_at, created_at, updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $8)",
        operation.id.uuid(),
        organization.uuid(),
        operation.kind,
        operation.subject,
        operation.wish,
        operation.state as State,
        operation.first_sent_at,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Remembers for good which operation a client's key leads to.
pub(crate) async fn insert_key(
    connection: &mut PgConnection,
    organization: OrgId,
    operation: OperationId,
    key: &OnceKey,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "INSERT INTO billing.operation_keys (scope, request_hash, operation_id, created_at)
         SELECT $3, $4, id, $5 FROM billing.operations WHERE organization_id = $1 AND id = $2",
        organization.uuid(),
        operation.uuid(),
        key.scope.as_slice(),
        key.request_hash.as_slice(),
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Begins an operation once more, under a new id.
pub(crate) async fn renew(
    connection: &mut PgConnection,
    organization: OrgId,
    old: OperationId,
    now: DateTime<Utc>,
) -> Result<OperationId, sqlx::Error> {
    let new = OperationId::new();
    sqlx::query!(
        "INSERT INTO billing.operations
             (id, organization_id, kind, subject, wish, state, first_sent_at, created_at, updated_at)
         SELECT $3, organization_id, kind, subject, wish, 'in_flight', $4, $4, $4
         FROM billing.operations WHERE organization_id = $1 AND id = $2",
        organization.uuid(),
        old.uuid(),
        new.uuid(),
        now,
    )
    .execute(connection)
    .await?;
    Ok(new)
}

/// Lets every key that led to one operation lead to another.
pub(crate) async fn move_keys(
    connection: &mut PgConnection,
    organization: OrgId,
    from: OperationId,
    to: OperationId,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE billing.operation_keys SET operation_id = $3
         WHERE operation_id = (SELECT id FROM billing.operations WHERE organization_id = $1 AND id = $2)",
        organization.uuid(),
        from.uuid(),
        to.uuid(),
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Gives an operation that is not over another state, with the reason when that is a rejection. One whose page is open stays
/// as it is. Says whether it changed.
pub(crate) async fn save_state(
    connection: &mut PgConnection,
    organization: OrgId,
    id: OperationId,
    change: Change,
    now: DateTime<Utc>,
) -> Result<bool, sqlx::Error> {
    let saved = sqlx::query!(
        "UPDATE billing.operations
         SET state = $3, error = $4, updated_at = $5,
             first_sent_at = CASE WHEN $3 = 'in_flight' THEN coalesce(first_sent_at, $5) ELSE first_sent_at END
         WHERE organization_id = $1 AND id = $2 AND state IN ('pending', 'in_flight', 'unknown')
             AND (url IS NULL OR $3 = 'rejected')",
        organization.uuid(),
        id.uuid(),
        change.state as State,
        change.error,
        now,
    )
    .execute(connection)
    .await?;
    Ok(saved.rows_affected() > 0)
}

/// Remembers the page that an operation opened.
pub(crate) async fn save_page(
    connection: &mut PgConnection,
    organization: OrgId,
    id: OperationId,
    page: &CheckoutPage,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE billing.operations
         SET provider_object_id = $3, url = $4, updated_at = $5,
             state = CASE WHEN state IN ('pending', 'unknown') THEN 'in_flight' ELSE state END
         WHERE organization_id = $1 AND id = $2",
        organization.uuid(),
        id.uuid(),
        page.id,
        page.url,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// What the provider says about what it made: it is done. That counts more than what was believed here.
pub(crate) async fn succeed(
    connection: &mut PgConnection,
    organization: OrgId,
    id: Option<OperationId>,
    object: &str,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE billing.operations
         SET state = 'succeeded', error = NULL, provider_object_id = $3, updated_at = $4
         WHERE organization_id = $1 AND (id = $2 OR provider_object_id = $3) AND state <> 'succeeded'",
        organization.uuid(),
        id.map(OperationId::uuid),
        object,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// What the provider says about what it made: it was not used in time.
pub(crate) async fn expire(
    connection: &mut PgConnection,
    organization: OrgId,
    id: Option<OperationId>,
    object: &str,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "UPDATE billing.operations
         SET state = 'rejected', error = 'expired', provider_object_id = $3, updated_at = $4
         WHERE organization_id = $1 AND (id = $2 OR provider_object_id = $3)
             AND state IN ('pending', 'in_flight', 'unknown')",
        organization.uuid(),
        id.map(OperationId::uuid),
        object,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

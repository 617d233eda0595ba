use chrono::{DateTime, Utc};
use platform::caller::OrgId;
use sqlx::PgConnection;

use super::{BoughtPlan, Status, Subscription, SubscriptionId};
use crate::money::Currency;

/// Makes changes to what one organization has bought follow one another, until the transaction ends.
pub(crate) async fn lock_organization(connection: &mut PgConnection, organization: OrgId) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "SELECT pg_advisory_xact_lock(hashtextextended('billing.organization ' || $1::uuid::text, 0))",
        organization.uuid(),
    )
    .fetch_one(connection)
    .await?;
    Ok(())
}

/// What the organization has and had, what is not over first. A hundred are more than anybody has at a time.
pub(crate) async fn list(connection: &mut PgConnection, organization: OrgId) -> Result<Vec<Subscription>, sqlx::Error> {
    sqlx::query!(
        r#"
        SELECT s.id AS "id: SubscriptionId", s.provider_subscription_id, s.provider_customer_id, s.status,
            s.provider_price_id, s.quantity, s.current_period_end, s.trial_end, s.cancel_at, s.ended_at, s.past_due_since,
            p.code AS "plan?", p.rank AS "rank?", r.currency AS "currency?: Currency"
          FROM billing.subscriptions s
          LEFT JOIN billing.prices r ON r.provider = s.provider AND r.provider_price_id = s.provider_price_id
          LEFT JOIN billing.plans p ON p.code = r.plan
         WHERE s.organization_id = $1
         ORDER BY s.ended_at IS NOT NULL, s.id DESC
         LIMIT 100
        "#,
        organization.uuid(),
    )
    .map(|row| Subscription {
        id: row.id,
        provider_id: row.provider_subscription_id,
        customer: row.provider_customer_id,
        status: Status::named(&row.status),
        price: row.provider_price_id,
        plan: bought(row.plan, row.rank, row.currency),
        quantity: row.quantity,
        current_period_end: row.current_period_end,
        trial_end: row.trial_end,
        cancel_at: row.cancel_at,
        ended_at: row.ended_at,
        past_due_since: row.past_due_since,
    })
    .fetch_all(connection)
    .await
}

fn bought(code: Option<String>, rank: Option<i32>, currency: Option<Currency>) -> Option<BoughtPlan> {
    Some(BoughtPlan { code: code?, rank: rank?, currency: currency? })
}

/// Writes a subscription over what was known of it. It never moves to another organization.
pub(super) async fn save(
    connection: &mut PgConnection,
    organization: OrgId,
    provider: &str,
    seen: &Subscription,
    now: DateTime<Utc>,
) -> Result<(), sqlx::Error> {
    sqlx::query!(
        "
        INSERT INTO billing.subscriptions
            (id, organization_id, provider, provider_subscription_id, provider_customer_id, status, provider_price_id,
             quantity, current_period_end, trial_end, cancel_at, ended_at, past_due_since, created_at, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $14)
            ON CONFLICT ON CONSTRAINT subscriptions_provider_subscription DO UPDATE
           SET provider_customer_id = excluded.provider_customer_id, status = excluded.status,
               provider_price_id = excluded.provider_price_id, quantity = excluded.quantity,
               current_period_end = excluded.current_period_end, trial_end = excluded.trial_end,
               cancel_at = excluded.cancel_at, ended_at = excluded.ended_at, past_due_since = excluded.past_due_since,
               updated_at = excluded.updated_at
        ",
        seen.id.uuid(),
        organization.uuid(),
        provider,
        seen.provider_id,
        seen.customer,
        seen.status.as_str(),
        seen.price,
        seen.quantity,
        seen.current_period_end,
        seen.trial_end,
        seen.cancel_at,
        seen.ended_at,
        seen.past_due_since,
        now,
    )
    .execute(connection)
    .await?;
    Ok(())
}

/// Whose subscription it is: that of the stored one, else of the customer. It serves no organization yet.
pub(super) async fn find_owner(
    connection: &mut PgConnection,
    provider: &str,
    subscription: Option<&str>,
    customer: Option<&str>,
) -> Result<Option<OrgId>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        SELECT coalesce(
            (SELECT organization_id FROM billing.subscriptions WHERE provider = $1 AND provider_subscription_id = $2),
            (SELECT organization_id FROM billing.customers WHERE provider = $1 AND provider_customer_id = $3)
        ) AS "organization: OrgId"
        "#,
        provider,
        subscription,
        customer,
    )
    .fetch_one(connection)
    .await
}

/// The next ticket of an object of the provider. It counts for what is fetched after this is committed.
pub(super) async fn issue_ticket(
    connection: &mut PgConnection,
    provider: &str,
    object: &str,
) -> Result<i64, sqlx::Error> {
    sqlx::query_scalar!(
        "
        INSERT INTO billing.sync_tickets AS known (provider, object_id, issued) VALUES ($1, $2, 1)
            ON CONFLICT (provider, object_id) DO UPDATE SET issued = known.issued + 1
        RETURNING issued
        ",
        provider,
        object,
    )
    .fetch_one(connection)
    .await
}

/// Takes the right to write what was fetched with a ticket; not given once something newer is written.
pub(super) async fn apply_ticket(
    connection: &mut PgConnection,
    provider: &str,
    object: &str,
    ticket: i64,
) -> Result<bool, sqlx::Error> {
    let applied = sqlx::query!(
        "UPDATE billing.sync_tickets SET applied = $3 WHERE provider = $1 AND object_id = $2 AND applied < $3",
        provider,
        object,
        ticket,
    )
    .execute(connection)
    .await?;
    Ok(applied.rows_affected() > 0)
}

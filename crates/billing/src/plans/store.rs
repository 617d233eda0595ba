use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use platform::ids::new_uuid;
use sqlx::PgConnection;
use sqlx::types::Json;

use super::{Interval, Limit, Plan, Price, PriceId, PriceTag, RecordedPrice};
use crate::config::{PlanConfig, PriceConfig};
use crate::money::Currency;

/// The whole catalogue in one statement. Seeding keeps it within `MAX_PLANS`, and each plan within its own bounds.
pub(super) async fn list_plans(connection: &mut PgConnection) -> Result<Vec<Plan>, sqlx::Error> {
    sqlx::query!(
        r#"
        SELECT p.code, p.name, p.rank,
            (SELECT coalesce(jsonb_object_agg(f.feature, coalesce(to_jsonb(f."limit"), 'true')), '{}')
               FROM billing.plan_features f
              WHERE f.plan = p.code) AS "features!: Json<BTreeMap<String, Limit>>",
            (SELECT coalesce(
                    jsonb_agg(
                        jsonb_build_object(
                            'id', r.id,
                            'interval', r."interval",
                            'money', jsonb_build_object('amount', r.unit_amount, 'currency', r.currency))
                        ORDER BY r.currency, r."interval", r.unit_amount, r.id),
                    '[]')
               FROM billing.prices r
              WHERE r.plan = p.code AND r.active) AS "prices!: Json<Vec<Price>>"
          FROM billing.plans p
         WHERE p.active
         ORDER BY p.rank, p.code
         LIMIT 100
        "#
    )
    .map(|row| Plan { code: row.code, name: row.name, rank: row.rank, features: row.features.0, prices: row.prices.0 })
    .fetch_all(connection)
    .await
}

/// What a plan grants, whether it is still on offer or not.
pub(crate) async fn find_features(
    connection: &mut PgConnection,
    plan: &str,
) -> Result<BTreeMap<String, Limit>, sqlx::Error> {
    sqlx::query_scalar!(
        r#"
        SELECT coalesce(jsonb_object_agg(f.feature, coalesce(to_jsonb(f."limit"), 'true')), '{}')
            AS "features!: Json<BTreeMap<String, Limit>>"
          FROM billing.plan_features f
         WHERE f.plan = $1
        "#,
        plan,
    )
    .fetch_one(connection)
    .await
    .map(|Json(features)| features)
}

/// A price, whether it is still on offer or not.
pub(crate) async fn find_price(connection: &mut PgConnection, price: PriceId) -> Result<Option<PriceTag>, sqlx::Error> {
    sqlx::query_as!(
        PriceTag,
        r#"SELECT provider, provider_price_id AS provider_id, currency AS "currency: Currency", active
             FROM billing.prices WHERE id = $1"#,
        price.uuid(),
    )
    .fetch_optional(connection)
    .await
}

/// One seeding at a time; readers are not held up.
pub(super) async fn lock_catalogue(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    sqlx::query!("LOCK TABLE billing.plans IN SHARE ROW EXCLUSIVE MODE").execute(connection).await?;
    Ok(())
}

/// What is on record of the prices these plans name; at most as many as are configured.
pub(super) async fn list_recorded_prices(
    connection: &mut PgConnection,
    plans: &[PlanConfig],
) -> Result<Vec<RecordedPrice>, sqlx::Error> {
    let (providers, ids) = price_names(plans);
    sqlx::query!(
        r#"
        SELECT r.plan, r.provider, r.provider_price_id, r.currency AS "currency: Currency", r.unit_amount,
            r."interval" AS "interval: Interval"
          FROM billing.prices r
          JOIN unnest($1::text[], $2::text[]) AS named (provider, provider_price_id)
            ON named.provider = r.provider AND named.provider_price_id = r.provider_price_id
        "#,
        &providers,
        &ids,
    )
    .map(|row| RecordedPrice {
        plan: row.plan,
        price: PriceConfig {
            id: row.provider_price_id,
            provider: row.provider,
            currency: row.currency,
            amount: row.unit_amount,
            interval: row.interval,
        },
    })
    .fetch_all(connection)
    .await
}

/// Offers exactly these plans. Returns how many rows changed.
pub(super) async fn save_plans(
    connection: &mut PgConnection,
    plans: &[PlanConfig],
    now: DateTime<Utc>,
) -> Result<u64, sqlx::Error> {
    let codes: Vec<String> = plans.iter().map(|plan| plan.code.clone()).collect();
    let names: Vec<String> = plans.iter().map(|plan| plan.name.clone()).collect();
    let ranks: Vec<i32> = plans.iter().map(|plan| plan.rank).collect();
    let saved = sqlx::query!(
        "
        INSERT INTO billing.plans AS known (code, name, rank, active, created_at, updated_at)
        SELECT new.code, new.name, new.rank, true, $4, $4
          FROM unnest($1::text[], $2::text[], $3::integer[]) AS new (code, name, rank)
            ON CONFLICT (code) DO UPDATE
           SET name = excluded.name, rank = excluded.rank, active = true, updated_at = excluded.updated_at
         WHERE (known.name, known.rank, known.active) IS DISTINCT FROM (excluded.name, excluded.rank, true)
        ",
        &codes,
        &names,
        &ranks,
        now,
    )
    .execute(&mut *connection)
    .await?;
    let retired = sqlx::query!(
        "UPDATE billing.plans SET active = false, updated_at = $2 WHERE active AND code <> ALL ($1::text[])",
        &codes,
        now,
    )
    .execute(connection)
    .await?;
    Ok(saved.rows_affected() + retired.rows_affected())
}

/// Makes these plans grant exactly what is configured; retired plans keep what they grant. Returns how many rows
/// changed.
pub(super) async fn save_features(connection: &mut PgConnection, plans: &[PlanConfig]) -> Result<u64, sqlx::Error> {
    let codes: Vec<String> = plans.iter().map(|plan| plan.code.clone()).collect();
    let (mut owners, mut names, mut limits) = (Vec::new(), Vec::new(), Vec::new());
    for plan in plans {
        for (name, limit) in &plan.features {
            owners.push(plan.code.clone());
            names.push(name.clone());
            limits.push(limit.number());
        }
    }
    let saved = sqlx::query!(
        r#"
        INSERT INTO billing.plan_features AS known (plan, feature, "limit")
        SELECT new.plan, new.feature, new.number
          FROM unnest($1::text[], $2::text[], $3::bigint[]) AS new (plan, feature, number)
            ON CONFLICT (plan, feature) DO UPDATE SET "limit" = excluded."limit"
         WHERE known."limit" IS DISTINCT FROM excluded."limit"
        "#,
        &owners,
        &names,
        &limits as &[Option<i64>],
    )
    .execute(&mut *connection)
    .await?;
    let removed = sqlx::query!(
        "
        DELETE FROM billing.plan_features known
         WHERE known.plan = ANY ($1::text[])
           AND NOT EXISTS (SELECT FROM unnest($2::text[], $3::text[]) AS new (plan, feature)
                            WHERE new.plan = known.plan AND new.feature = known.feature)
        ",
        &codes,
        &owners,
        &names,
    )
    .execute(connection)
    .await?;
    Ok(saved.rows_affected() + removed.rows_affected())
}

/// Offers exactly these prices, none of which differs from its record. Returns how many rows changed.
pub(super) async fn save_prices(
    connection: &mut PgConnection,
    plans: &[PlanConfig],
    now: DateTime<Utc>,
) -> Result<u64, sqlx::Error> {
    let (providers, provider_ids) = price_names(plans);
    let prices = || plans.iter().flat_map(|plan| plan.prices.iter().map(move |price| (plan, price)));
    let ids: Vec<_> = prices().map(|_| new_uuid()).collect();
    let owners: Vec<String> = prices().map(|(plan, _)| plan.code.clone()).collect();
    let currencies: Vec<String> = prices().map(|(_, price)| price.currency.code().to_owned()).collect();
    let amounts: Vec<i64> = prices().map(|(_, price)| price.amount).collect();
    let intervals: Vec<String> = prices().map(|(_, price)| price.interval.as_str().to_owned()).collect();
    let saved = sqlx::query!(
        r#"
        INSERT INTO billing.prices AS known
            (id, provider, provider_price_id, plan, currency, unit_amount, "interval", active, created_at, updated_at)
        SELECT new.id, new.provider, new.provider_price_id, new.plan, new.currency, new.unit_amount, new.every, true,
            $8, $8
          FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[], $7::text[])
            AS new (id, provider, provider_price_id, plan, currency, unit_amount, every)
            ON CONFLICT ON CONSTRAINT prices_provider_price DO UPDATE SET active = true, updated_at = excluded.updated_at
         WHERE NOT known.active
        "#,
        &ids,
        &providers,
        &provider_ids,
        &owners,
        &currencies,
        &amounts,
        &intervals,
        now,
    )
    .execute(&mut *connection)
    .await?;
    let retired = sqlx::query!(
        "
        UPDATE billing.prices known SET active = false, updated_at = $3
         WHERE known.active
           AND NOT EXISTS (SELECT FROM unnest($1::text[], $2::text[]) AS named (provider, provider_price_id)
                            WHERE named.provider = known.provider AND named.provider_price_id = known.provider_price_id)
        ",
        &providers,
        &provider_ids,
        now,
    )
    .execute(connection)
    .await?;
    Ok(saved.rows_affected() + retired.rows_affected())
}

/// Providers and their ids of every configured price, side by side.
fn price_names(plans: &[PlanConfig]) -> (Vec<String>, Vec<String>) {
    let prices = plans.iter().flat_map(|plan| &plan.prices);
    prices.map(|price| (price.provider.clone(), price.id.clone())).unzip()
}

//! The plans of the claim: what the loop runs all the time costs no more when much waits.

use sqlx::{AssertSqlSafe, PgConnection};

use crate::house::House;

const CLAIMS: &str = include_str!("../../src/deliveries/store/claims.rs");

/// The statement of a function, as the loop runs it.
fn statement(function: &str) -> &'static str {
    let (_, body) = CLAIMS.split_once(&format!("fn {function}(")).expect("the function");
    let (_, sql) = body.split_once("r#\"").expect("its statement");
    sql.split_once("\"#").expect("its end").0
}

/// How a function's statement would be run with these arguments; both when planned for them and when planned for any.
async fn plan(connection: &mut PgConnection, function: &str, arguments: &str) -> String {
    let mut plans = String::new();
    for mode in ["force_custom_plan", "force_generic_plan"] {
        // The pools of the service forbid whole tables as well.
        let prepare =
            format!("SET enable_seqscan = off; SET plan_cache_mode = {mode}; PREPARE claim AS {}", statement(function));
        sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut *connection).await.expect("prepares");
        let explain = format!("EXPLAIN (COSTS off) EXECUTE claim({arguments})");
        let lines: Vec<String> = sqlx::query_scalar(AssertSqlSafe(explain))
            .persistent(false)
            .fetch_all(&mut *connection)
            .await
            .expect("explains");
        sqlx::raw_sql("DEALLOCATE claim").execute(&mut *connection).await.expect("forgets");
        plans += &lines.join("\n");
        plans += "\n\n";
    }
    plans
}

/// What is wrong with the plan, if it does not go through this index alone.
fn fault(plan: &str, index: &str) -> Option<String> {
    let fine = !plan.contains("Seq Scan") && plan.matches(index).count() >= 2;
    (!fine).then(|| format!("without {index}:\n{plan}"))
}

async fn faults(connection: &mut PgConnection) -> [Option<String>; 2] {
    let ids: String =
        sqlx::query_scalar("SELECT array_agg(id)::text FROM (SELECT id FROM webhooks.endpoints LIMIT 50) chosen")
            .fetch_one(&mut *connection)
            .await
            .expect("endpoints");
    let nobody = "00000000-0000-0000-0000-000000000000";
    let lock_ready = plan(connection, "lock_ready", &format!("'{{{nobody}}}', 50, 1")).await;
    let many = |value: &str| vec![value; 50].join(",");
    let arguments = format!("'{ids}', '{{{}}}', '{{{}}}', '{nobody}', 60, 200", many("t"), many("10"));
    let take = plan(connection, "take", &arguments).await;
    [fault(&lock_ready, "endpoints_ready"), fault(&take, "due_deliveries_endpoint")]
}

#[tokio::test]
async fn a_claim_goes_through_its_indexes_however_much_waits() {
    let house = House::open().await;
    house
        .run_sql(
            "INSERT INTO webhooks.endpoints (id, organization_id, url, description, event_types, max_in_flight, version,
                                             created_at, updated_at, next_ready_at)
             SELECT gen_random_uuid(), gen_random_uuid(), 'http://idle.test/', '', ARRAY['organization.created'], 10, 1,
                    now(), now(), now() - number * interval '1 second'
             FROM generate_series(1, 100) number;
             INSERT INTO webhooks.due_deliveries (delivery_id, endpoint_id, message_id, next_at)
             SELECT gen_random_uuid(), id, gen_random_uuid(), now() - number * interval '1 second'
             FROM webhooks.endpoints, generate_series(1, 100) number;
             ANALYZE webhooks.endpoints, webhooks.due_deliveries",
        )
        .await;
    let mut owner = house.owner().await;
    assert_eq!(faults(&mut owner).await, [None, None]);
    // The guard notices when an index is missing.
    let drop = "DROP INDEX webhooks.endpoints_ready, webhooks.due_deliveries_endpoint";
    sqlx::raw_sql(drop).execute(&mut owner).await.expect("drops");
    let [ready, take] = faults(&mut owner).await;
    assert!(ready.is_some() && take.is_some(), "{ready:?} {take:?}");
}

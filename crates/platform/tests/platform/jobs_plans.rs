//! The plan of the claim: it is made once for each connection, mostly while nothing waits, and has to do when a million jobs do.

use sqlx::{AssertSqlSafe, PgConnection};

use crate::house::House;

const STORE: &str = include_str!("../../src/jobs/store.rs");

/// The plan that a connection makes for any claim while the queue is empty.
async fn plan(connection: &mut PgConnection) -> String {
    let (_, body) = STORE.split_once("fn claim(").expect("the function");
    let statement = body.split_once("r#\"").and_then(|(_, sql)| sql.split_once("\"#")).expect("its statement").0;
    let prepare = format!("SET plan_cache_mode = force_generic_plan; PREPARE claim AS {statement}");
    sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut *connection).await.expect("prepares");
    let explain = "EXPLAIN (COSTS off) EXECUTE claim('{default}', '{200}', '{greet}', gen_random_uuid(), '1 minute')";
    let lines: Vec<String> =
        sqlx::query_scalar(explain).persistent(false).fetch_all(&mut *connection).await.expect("explains");
    lines.join("\n")
}

fn reads_whole_tables(plan: &str) -> bool {
    plan.contains("Seq Scan") || plan.contains("Sort") || !plan.contains("jobs_due")
}

#[tokio::test]
async fn a_claim_that_was_planned_while_nothing_waited_goes_through_the_index_when_much_does() {
    let house = House::build().await;
    house.sql("VACUUM ANALYZE platform.jobs").await;
    let mut connection = house.databases.platform().read().await.expect("connects");
    let ours = plan(&mut connection).await;
    assert!(!reads_whole_tables(&ours), "{ours}");
    // PostgreSQL would do it otherwise.
    let mut owner = house.owner().await;
    let default = plan(&mut owner).await;
    assert!(reads_whole_tables(&default), "{default}");
}

use crate::house::House;
use crate::receiver::Receiver;

const PARTITIONS: &str = "SELECT count(*) FROM pg_inherits WHERE inhparent = 'webhooks.messages'::regclass";

#[tokio::test]
async fn a_service_that_slept_for_months_makes_its_own_room() {
    let house = House::open().await;
    let receiver = Receiver::open().await;
    house.register(&receiver.url).await;
    house
        .run_sql(
            "DO $$
         DECLARE child regclass;
         BEGIN
             FOR child IN
                 SELECT inhrelid FROM pg_inherits JOIN pg_class ON pg_class.oid = inhrelid WHERE relkind = 'r'
             LOOP
                 EXECUTE format('DROP TABLE %s', child);
             END LOOP;
         END $$",
        )
        .await;
    assert_eq!(house.count(PARTITIONS).await, 0);
    house.happen(1).await;
    house.worker.run_due().await;
    assert_eq!(receiver.seen().len(), 1);
    assert_eq!(house.count(PARTITIONS).await, 5, "last week, this week and three ahead");
}

#[tokio::test]
async fn the_daily_job_drops_what_is_older_than_ninety_days() {
    let house = House::open().await;
    // Whoever looks for deliveries makes the partitions that are missing, as they are where a week has begun meanwhile.
    house.worker.run_due().await;
    let made = house.count(PARTITIONS).await;
    house
        .run_sql(
            "CREATE TABLE webhooks.messages_20200106 PARTITION OF webhooks.messages
             FOR VALUES FROM (webhooks.first_id('2020-01-06Z')) TO (webhooks.first_id('2020-01-13Z'));
         UPDATE platform.schedules SET next_at = now() WHERE name = 'webhooks.maintain_partitions'",
        )
        .await;
    assert_eq!(house.count(PARTITIONS).await, made + 1);
    house.worker.run_due().await;
    assert_eq!(house.count(PARTITIONS).await, made);
    assert_eq!(house.count("SELECT count(*) FROM pg_class WHERE relname = 'messages_20200106'").await, 0);
    assert_eq!(house.count("SELECT count(*) FROM platform.dead_jobs").await, 0);
}

#[tokio::test]
async fn the_modules_role_cannot_make_or_drop_tables_by_itself() {
    let house = House::open().await;
    let attempt = async |sql: &'static str| {
        let mut connection = house.db.read().await.expect("connects");
        let refused = sqlx::raw_sql(sql).execute(&mut *connection).await.expect_err(sql);
        refused.to_string()
    };
    for sql in [
        "CREATE TABLE webhooks.mine (id uuid)",
        "DROP TABLE webhooks.messages",
        "ALTER TABLE webhooks.endpoints ADD COLUMN mine text",
    ] {
        let refused = attempt(sql).await;
        assert!(refused.contains("permission denied") || refused.contains("must be owner"), "{sql}: {refused}");
    }
    for sql in ["SELECT webhooks.drop_partitions('29 days')", "SELECT webhooks.make_partitions(1000)"] {
        let refused = attempt(sql).await;
        assert!(refused.contains("days") || refused.contains("weeks"), "{sql}: {refused}");
    }
    assert_eq!(house.count(PARTITIONS).await, 5);
}

#[tokio::test]
async fn a_week_holds_exactly_the_ids_made_in_it() {
    let house = House::open().await;
    let misplaced =
        "SELECT count(*) FROM unnest(ARRAY['2026-11-16T00:00:00Z', '2026-11-22T23:59:59.999Z']::timestamptz[]) at
         WHERE webhooks.first_id(at) < webhooks.first_id('2026-11-16Z')
            OR webhooks.first_id(at) >= webhooks.first_id('2026-11-23Z')";
    assert_eq!(house.count(misplaced).await, 0);
    // RFC 9562, appendix A.6: the example of a UUIDv7.
    let example = "SELECT count(*) WHERE '017f22e2-79b0-7cc3-98c4-dc0c0c07398f'::uuid
        BETWEEN webhooks.first_id('2022-02-22T19:22:22Z') AND webhooks.first_id('2022-02-22T19:22:22.001Z')";
    assert_eq!(house.count(example).await, 1);
}

//! What an endpoint would have been told in a period, told once more.

use chrono::{DateTime, TimeDelta, Utc};
use platform::caller::{OrgId, Role};
use platform::clock::Clock;
use platform::jobs::enqueue;
use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, PgConnection};
use test_support::{Answer, Ask};

use crate::house::{House, Tell};
use crate::receiver::{Receiver, Reply};

const STORE: &str = include_str!("../../src/replays/store.rs");

/// A message with an id that was made so many seconds ago, for the organization of every endpoint.
const MESSAGES: &str = "CREATE FUNCTION public.messages(ago interval, number integer) RETURNS void LANGUAGE sql AS $$
    INSERT INTO webhooks.messages (id, organization_id, event_type, body)
    SELECT encode(substr(uuid_send(webhooks.first_id(now() - ago)), 1, 6)
                  || substr(uuid_send(gen_random_uuid()), 7), 'hex')::uuid, organization_id, 'organization.created', '{}'
    FROM webhooks.endpoints, generate_series(1, number) $$";

/// Everything that carries a time becomes older, as if so much had passed.
const TEN_MINUTES_PASS: &str = "
    CREATE OR REPLACE FUNCTION public.older(id uuid) RETURNS uuid LANGUAGE sql AS $$
        SELECT (lpad(to_hex(('x' || left(encode(uuid_send(id), 'hex'), 12))::bit(48)::bigint - 600000), 12, '0')
                || substr(encode(uuid_send(id), 'hex'), 13))::uuid $$;
    UPDATE webhooks.messages SET id = public.older(id);
    UPDATE webhooks.deliveries SET message_id = public.older(message_id);
    UPDATE webhooks.due_deliveries SET message_id = public.older(message_id);
    UPDATE webhooks.replays SET reached = public.older(reached), since = since - interval '10 minutes',
        until = until - interval '10 minutes', checked_at = checked_at - interval '10 minutes';
    UPDATE platform.jobs SET run_at = run_at - interval '10 minutes' WHERE name = 'webhooks.replay'";

const UNFINISHED: &str = "SELECT count(*) FROM webhooks.replays WHERE finished_at IS NULL";
const BEGUN: &str = "SELECT deliveries FROM webhooks.replays";
const JOBS: &str = "SELECT count(*) FROM platform.jobs WHERE name = 'webhooks.replay'";

fn ago(time: TimeDelta) -> DateTime<Utc> {
    Clock::system().now() - time
}

fn replay(house: &House, endpoint: &Value, wish: &Value) -> Ask {
    let place = format!("webhook-endpoints/{}/replay", endpoint["id"].as_str().expect("an id"));
    house.api.post(&house.path(&place), wish).bearer(&house.member(Role::Owner))
}

/// Asks for the last hour.
async fn start(house: &House, endpoint: &Value) -> Answer {
    replay(house, endpoint, &json!({ "since": ago(TimeDelta::hours(1)) })).send().await
}

/// The ids of the messages that came, in their order.
fn arrived(receiver: &Receiver) -> Vec<String> {
    receiver.seen().iter().map(|seen| seen.header("webhook-id").to_owned()).collect()
}

/// A house with an endpoint that takes everything, and so many messages of ten minutes ago that it was never told.
async fn with_messages(sql: &'static str) -> (House, Receiver, Value) {
    let house = House::open().await;
    let receiver = Receiver::open().await;
    let endpoint = house.register_with(&receiver.url, json!({ "max_in_flight": 100 })).await;
    house.run_sql(MESSAGES).await;
    house.run_sql(sql).await;
    (house, receiver, endpoint)
}

/// More than two batches.
const MANY: &str = "SELECT public.messages('10 minutes', 1200)";
const ONE: &str = "SELECT public.messages('10 minutes', 1)";

/// Every one of the many began once, and arrived once.
async fn everything_was_sent_once(house: &House, receiver: &Receiver) {
    let counts = "SELECT count(*) * 10000 + count(DISTINCT message_id) FROM webhooks.deliveries";
    assert_eq!((house.count(counts).await, house.count(BEGUN).await), (1_200 * 10_000 + 1_200, 1_200));
    let mut ids = arrived(receiver);
    ids.sort();
    ids.dedup();
    assert_eq!((receiver.seen().len(), ids.len()), (1_200, 1_200));
    assert_eq!(house.count("SELECT count(*) FROM platform.dead_jobs").await, 0);
}

#[tokio::test]
async fn everything_of_the_period_that_the_endpoint_wants_is_sent_again_with_its_id() {
    let house = House::open().await;
    let receiver = Receiver::replying([Reply::default(), Reply::default(), Reply::status(500), Reply::default()]).await;
    let endpoint = house.register(&receiver.url).await;
    house.register_with("http://127.0.0.1:9/hook", json!({ "event_types": ["organization.updated"] })).await;
    house.happen(2).await;
    house.worker.run_due().await;
    house.run_sql(TEN_MINUTES_PASS).await;
    house.happen(2).await;
    let mut tx = house.db.begin().await.expect("begins");
    let (event_type, data) = ("organization.updated".to_owned(), json!({ "id": "1", "name": "Ada" }));
    enqueue(&mut tx, &Tell { organization: house.org, event_type, data, fail_afterwards: false })
        .await
        .expect("enqueued");
    tx.commit().await.expect("committed");
    house.worker.run_due().await;
    // One of the two did not arrive and waits. The period begins between both pairs.
    house.run_sql("UPDATE webhooks.due_deliveries SET next_at = now() + interval '1 day'").await;
    house.run_sql(TEN_MINUTES_PASS).await;
    assert_eq!(receiver.seen().len(), 4);
    let wish = json!({ "since": ago(TimeDelta::minutes(15)) });
    assert!(replay(&house, &endpoint, &wish).send().await.expect(202)["id"].is_string());
    house.worker.run_due().await;
    let messages: Vec<_> = house.deliveries(&endpoint).await.iter().map(|one| one["message_id"].clone()).collect();
    let told: Vec<Value> = messages.iter().take(2).rev().cloned().collect();
    let mut sent = arrived(&receiver).split_off(4);
    sent.sort();
    let expected: Vec<_> = told.iter().map(|id| format!("msg_{}", id.as_str().expect("an id"))).collect();
    assert_eq!((messages.len(), &messages[..2], sent), (6, &messages[2..4], expected), "the newer pair, once more");
    assert_eq!((house.count(BEGUN).await, house.count("SELECT count(*) FROM webhooks.messages").await), (2, 5));
    let statuses = "SELECT count(*) FROM webhooks.deliveries WHERE status = 'pending' AND event_type LIKE '%created'";
    assert_eq!(house.count(statuses).await, 1, "what waits goes on waiting");
}

#[tokio::test]
async fn a_replay_has_an_end() {
    let (house, receiver, endpoint) = with_messages(
        "SELECT public.messages(ago, 1) FROM unnest(ARRAY['50 minutes', '40 minutes', '30 minutes']::interval[]) ago",
    )
    .await;
    let period = json!({ "since": ago(TimeDelta::minutes(45)), "until": ago(TimeDelta::minutes(35)) });
    assert_eq!(replay(&house, &endpoint, &period).send().await.status, 202);
    house.worker.run_due().await;
    assert_eq!((receiver.seen().len(), house.count(BEGUN).await), (1, 1));
    assert_eq!((house.count(UNFINISHED).await, house.count(JOBS).await), (0, 0));
}

#[tokio::test]
async fn a_message_that_is_committed_late_is_not_skipped() {
    let (house, receiver, endpoint) = with_messages(ONE).await;
    // Its id was made before that of a message which is committed before it.
    let mut late = house.owner().await;
    sqlx::raw_sql("BEGIN; SELECT public.messages('30 seconds', 1)").execute(&mut late).await.expect("adds");
    house.run_sql("SELECT public.messages('20 seconds', 1)").await;
    assert_eq!(start(&house, &endpoint).await.status, 202);
    house.worker.run_due().await;
    assert_eq!(receiver.seen().len(), 1, "what is young can still change");
    let waits = "SELECT extract(epoch FROM run_at - now())::bigint FROM platform.jobs WHERE name = 'webhooks.replay'";
    assert!((60..=90).contains(&house.count(waits).await), "a run is planned for when it cannot");
    sqlx::raw_sql("COMMIT").execute(&mut late).await.expect("commits");
    house.run_sql(TEN_MINUTES_PASS).await;
    house.worker.run_due().await;
    assert_eq!((receiver.seen().len(), house.count(BEGUN).await), (3, 3));
    assert_eq!((house.count(UNFINISHED).await, house.count(JOBS).await), (0, 0));
}

#[tokio::test]
async fn a_replay_that_is_killed_goes_on_where_it_was() {
    let (house, receiver, endpoint) = with_messages(MANY).await;
    // The second batch is interrupted when all but its commit is done.
    house
        .run_sql(
            "CREATE FUNCTION public.kill() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'killed'; END $$;
             CREATE TRIGGER killed BEFORE UPDATE ON webhooks.replays FOR EACH ROW WHEN (NEW.deliveries > 500)
                 EXECUTE FUNCTION public.kill()",
        )
        .await;
    let until = json!({ "since": ago(TimeDelta::hours(1)), "until": ago(TimeDelta::minutes(5)) });
    assert_eq!(replay(&house, &endpoint, &until).send().await.status, 202);
    house.worker.run_due().await;
    assert_eq!((house.count(BEGUN).await, receiver.seen().len()), (500, 500));
    house.run_sql("DROP TRIGGER killed ON webhooks.replays; UPDATE platform.jobs SET run_at = now()").await;
    house.another_worker().run_due().await;
    everything_was_sent_once(&house, &receiver).await;
    assert_eq!((house.count(UNFINISHED).await, house.count(JOBS).await), (0, 0));
}

#[tokio::test]
async fn runs_at_the_same_time_send_everything_once() {
    let (house, receiver, endpoint) = with_messages(MANY).await;
    assert_eq!(start(&house, &endpoint).await.status, 202);
    house
        .run_sql(
            "INSERT INTO platform.jobs (id, queue, name, args, priority, run_at, max_attempts)
             SELECT gen_random_uuid(), queue, name, args, priority, run_at, max_attempts
             FROM platform.jobs, generate_series(1, 5) WHERE name = 'webhooks.replay'",
        )
        .await;
    let (second, third) = (house.another_worker(), house.another_worker());
    tokio::join!(house.worker.run_due(), second.run_due(), third.run_due());
    // What one of them left because another was looking at it.
    house.worker.run_due().await;
    everything_was_sent_once(&house, &receiver).await;
    assert_eq!(house.count(JOBS).await, 1, "only the run that waits for late commits is left");
}

#[tokio::test]
async fn a_replay_adds_nothing_while_much_waits_for_the_endpoint() {
    let (house, receiver, endpoint) = with_messages(ONE).await;
    house
        .run_sql(
            "INSERT INTO webhooks.due_deliveries (delivery_id, endpoint_id, message_id, next_at)
             SELECT gen_random_uuid(), id, gen_random_uuid(), now() + interval '1 day'
             FROM webhooks.endpoints, generate_series(1, 10000)",
        )
        .await;
    assert_eq!(start(&house, &endpoint).await.status, 202);
    house.worker.run_due().await;
    assert_eq!((receiver.seen().len(), house.count(BEGUN).await, house.count(UNFINISHED).await), (0, 0, 1));
    let soon = "SELECT count(*) FROM platform.jobs
        WHERE name = 'webhooks.replay' AND run_at BETWEEN now() AND now() + interval '5 seconds'";
    assert_eq!(house.count(soon).await, 1, "it looks again");
    house
        .run_sql(
            "DELETE FROM webhooks.due_deliveries WHERE delivery_id IN (SELECT delivery_id FROM webhooks.due_deliveries LIMIT 1);
             UPDATE platform.jobs SET run_at = now()",
        )
        .await;
    house.worker.run_due().await;
    assert_eq!((receiver.seen().len(), house.count(BEGUN).await), (1, 1));
}

#[tokio::test]
async fn an_endpoint_is_replayed_once_at_a_time() {
    let (house, receiver, endpoint) = with_messages(ONE).await;
    let (one, other) = tokio::join!(start(&house, &endpoint), start(&house, &endpoint));
    let refused = if one.status == 202 { other } else { one };
    refused.expect_problem(409, "replay_running");
    let neighbour = house.register("http://127.0.0.1:9/hook").await;
    assert_eq!(start(&house, &neighbour).await.status, 202);
    house.worker.run_due().await;
    house.run_sql(TEN_MINUTES_PASS).await;
    house.worker.run_due().await;
    assert_eq!(start(&house, &endpoint).await.status, 202);
    house.worker.run_due().await;
    assert_eq!(receiver.seen().len(), 2, "the one before was finished");
    start(&house, &endpoint).await.expect_problem(409, "replay_running");
    // Its job died and was discarded: it must not be in the way for ever.
    house
        .run_sql("UPDATE webhooks.replays SET checked_at = now() - interval '25 hours'; DELETE FROM platform.jobs")
        .await;
    assert_eq!(start(&house, &endpoint).await.status, 202);
    house.worker.run_due().await;
    assert_eq!(receiver.seen().len(), 3);
}

#[tokio::test]
async fn a_replay_that_is_asked_for_twice_with_one_key_is_one() {
    let (house, receiver, endpoint) = with_messages(ONE).await;
    let place = house.path(&format!("webhook-endpoints/{}/replay", endpoint["id"].as_str().expect("an id")));
    let (wish, owner) = (json!({ "since": ago(TimeDelta::hours(1)) }), house.member(Role::Owner));
    let ask = || house.api.post(&place, &wish).bearer(&owner).header("idempotency-key", "once").send();
    let (first, again) = (ask().await, ask().await);
    assert_eq!((first.expect(202), again.header("idempotency-replayed")), (again.expect(202), "true"));
    house.worker.run_due().await;
    assert_eq!(receiver.seen().len(), 1);
}

#[tokio::test]
async fn a_replay_rests_while_its_endpoint_is_disabled() {
    let (house, receiver, endpoint) = with_messages(ONE).await;
    assert_eq!(start(&house, &endpoint).await.status, 202);
    house.run_sql("UPDATE webhooks.endpoints SET disabled_at = now(), disabled_reason = 'failing'").await;
    house.worker.run_due().await;
    assert_eq!((receiver.seen().len(), house.count(JOBS).await, house.count(UNFINISHED).await), (0, 0, 1));
    start(&house, &endpoint).await.expect_problem(409, "endpoint_disabled");
    let enable = format!("webhook-endpoints/{}/enable", endpoint["id"].as_str().expect("an id"));
    let ask = house.api.post(&house.path(&enable), &json!({})).bearer(&house.member(Role::Owner));
    assert_eq!(ask.send().await.status, 204);
    house.worker.run_due().await;
    assert_eq!((receiver.seen().len(), house.count(BEGUN).await), (1, 1));
}

#[tokio::test]
async fn a_replay_goes_with_its_endpoint() {
    let (house, receiver, endpoint) = with_messages(ONE).await;
    assert_eq!(start(&house, &endpoint).await.status, 202);
    let place = house.path(&format!("webhook-endpoints/{}", endpoint["id"].as_str().expect("an id")));
    assert_eq!(house.api.delete(&place).bearer(&house.member(Role::Owner)).send().await.status, 204);
    house.worker.run_due().await;
    assert_eq!((receiver.seen().len(), house.count(JOBS).await), (0, 0));
    let left = "SELECT (SELECT count(*) FROM webhooks.replays) + (SELECT count(*) FROM platform.dead_jobs)";
    assert_eq!(house.count(left).await, 0);
}

#[tokio::test]
async fn a_period_is_past_and_its_ends_are_times() {
    let (house, _receiver, endpoint) = with_messages(ONE).await;
    let (hour, day) = (TimeDelta::hours(1), TimeDelta::days(1));
    for (wish, field, code) in [
        (json!({}), "since", "required"),
        (json!({ "since": "yesterday" }), "since", "wrong_type"),
        (json!({ "since": ago(-hour) }), "since", "out_of_range"),
        (json!({ "since": ago(day * 91) }), "since", "out_of_range"),
        (json!({ "since": ago(hour), "until": ago(hour * 2) }), "until", "out_of_range"),
        (json!({ "since": ago(hour), "before": ago(hour) }), "before", "unknown_field"),
    ] {
        let answer = replay(&house, &endpoint, &wish).send().await;
        let expected = [(field.to_owned(), code.to_owned())];
        assert_eq!(answer.expect_problem(422, "invalid_request"), expected, "{wish}");
    }
    assert_eq!(house.count("SELECT count(*) FROM webhooks.replays").await, 0);
    // An end in the future is now.
    assert_eq!(
        replay(&house, &endpoint, &json!({ "since": ago(day * 89), "until": ago(-day) })).send().await.status,
        202
    );
    assert_eq!(house.count("SELECT count(*) FROM webhooks.replays WHERE until > now()").await, 0);
}

#[tokio::test]
async fn only_messages_of_the_organization_are_sent() {
    let (house, receiver, endpoint) = with_messages(ONE).await;
    house.run_sql("UPDATE webhooks.messages SET organization_id = gen_random_uuid()").await;
    assert_eq!(start(&house, &endpoint).await.status, 202);
    house.worker.run_due().await;
    assert_eq!((receiver.seen().len(), house.count(BEGUN).await), (0, 0));
    let other = OrgId::new();
    let stranger = house.people.member(other, Role::Owner);
    let foreign =
        format!("/v1/organizations/{other}/webhook-endpoints/{}/replay", endpoint["id"].as_str().expect("an id"));
    let ask = house.api.post(&foreign, &json!({ "since": ago(TimeDelta::hours(1)) })).bearer(&stranger);
    ask.send().await.expect_problem(404, "not_found");
}

/// How a run reads messages, when planned for its arguments and when planned for any.
async fn plans(owner: &mut PgConnection) -> String {
    let (_, body) = STORE.split_once("fn list_messages(").expect("the function");
    let statement = body.split_once("r#\"").and_then(|(_, sql)| sql.split_once("\"#")).expect("its statement").0;
    let mut plans = String::new();
    for mode in ["force_custom_plan", "force_generic_plan"] {
        let prepare = format!(
            "SET enable_sort = off; SET enable_seqscan = off; SET plan_cache_mode = {mode};
             DEALLOCATE ALL; PREPARE reading AS {statement}"
        );
        sqlx::raw_sql(AssertSqlSafe(prepare)).execute(&mut *owner).await.expect("prepares");
        let explain = "EXPLAIN (COSTS off)
            EXECUTE reading(gen_random_uuid(), webhooks.first_id(now() - interval '1 hour'), now(), 500)";
        let lines: Vec<String> =
            sqlx::query_scalar(explain).persistent(false).fetch_all(&mut *owner).await.expect("explains");
        plans += &lines.join("\n");
    }
    plans
}

#[tokio::test]
async fn the_messages_of_a_period_are_read_along_their_index() {
    let (house, _receiver, _endpoint) = with_messages("SELECT public.messages('10 minutes', 3000)").await;
    house.run_sql("ANALYZE webhooks.messages").await;
    let mut owner = house.owner().await;
    let is_fine = |plans: &str| plans.matches("organization_id_id_idx").count() >= 2 && !plans.contains("Sort");
    let found = plans(&mut owner).await;
    assert!(is_fine(&found), "{found}");
    sqlx::raw_sql("DROP INDEX webhooks.messages_organization").execute(&mut owner).await.expect("drops");
    assert!(!is_fine(&plans(&mut owner).await), "the guard notices that the index is missing");
}

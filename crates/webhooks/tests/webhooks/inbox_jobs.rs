//! What happens to an event after it is stored: the job that hands it on, and the end of its receipt.

use chrono::TimeDelta;
use platform::outbound::AddressRules;
use platform::telemetry::RequestContext;
use test_support::{Statements, start_of_time};
use webhooks::ports::InboundEvent;

use crate::house::House;
use crate::sender::{config, deaf, event, expect_taken, house, send};

const RECEIPTS: &str = "SELECT count(*) FROM webhooks.inbox";
const JOBS: &str = "SELECT count(*) FROM platform.jobs";
const DEAD: &str = "SELECT count(*) FROM platform.dead_jobs";

async fn tell(house: &House, source: &str, id: &str, event_type: &str) {
    expect_taken(&send(&house.api, source, event(id, event_type).to_string()).await);
}

#[tokio::test]
async fn the_handler_gets_what_was_read_on_behalf_of_the_request_that_brought_it() {
    let (house, ear) = house().await;
    tell(&house, "stripe", "evt_1", "customer.subscription.updated").await;
    assert_eq!(ear.heard(), [], "nothing is done while the sender waits");
    house.worker.run_due().await;
    let expected = InboundEvent {
        source: "stripe".to_owned(),
        id: "evt_1".to_owned(),
        event_type: "customer.subscription.updated".to_owned(),
        object_id: Some("sub_1".to_owned()),
        livemode: Some(false),
        occurred_at: start_of_time() - TimeDelta::seconds(5),
    };
    let context = RequestContext { request_id: "from-the-sender".to_owned(), traceparent: None, client: None };
    let heard: Vec<_> =
        ear.heard().into_iter().map(|(event, seen)| (event, seen.map(|seen| seen.request_id))).collect();
    assert_eq!(heard, [(expected, Some(context.request_id))]);
    assert_eq!((house.count(RECEIPTS).await, house.count(JOBS).await), (1, 0));
}

#[tokio::test]
async fn a_handler_that_asks_gets_the_bytes_that_were_signed_and_one_that_does_not_costs_no_reading() {
    let (house, ear) = house().await;
    let body = format!("{:#}\n", event("evt_1", "sample.read_whole"));
    expect_taken(&send(&house.api, "stripe", body.clone()).await);
    house.worker.run_due().await;
    assert_eq!(ear.payloads(), [body.into_bytes()]);

    let cost = async |event_type: &str| {
        tell(&house, "stripe", &format!("of {event_type}"), event_type).await;
        let before = Statements::sent();
        house.worker.run_due().await;
        Statements::sent() - before
    };
    let (without, with) = (cost("invoice.paid").await, cost("sample.read_whole").await);
    assert_eq!(with - without, 1, "one statement reads it");

    // A dead letter that is retried after the retention has ended has nothing to read.
    tell(&house, "stripe", "evt_late", "sample.read_whole").await;
    house.run_sql("DELETE FROM webhooks.inbox").await;
    house.worker.run_due().await;
    let dead = "SELECT count(*) FROM platform.dead_jobs WHERE error LIKE '%past the retention%'";
    assert_eq!((house.count(JOBS).await, house.count(dead).await, ear.payloads().len()), (0, 1, 2));
}

#[tokio::test]
async fn the_job_ends_with_the_transaction_of_its_handler() {
    let (house, ear) = house().await;
    // The job is gone with the commit: that the handler gives up afterwards has nothing left to change.
    tell(&house, "stripe", "evt_1", "sample.settled_then_discarded").await;
    house.worker.run_due().await;
    assert_eq!((house.count(JOBS).await, house.count(DEAD).await), (0, 0));
    // And it stays when the transaction is rolled back.
    tell(&house, "stripe", "evt_2", "sample.rolled_back").await;
    house.worker.run_due().await;
    assert_eq!((house.count(JOBS).await, house.count(DEAD).await), (1, 0));
    assert_eq!(ear.ids(), ["evt_1", "evt_2"]);
}

#[tokio::test]
async fn an_event_that_always_fails_is_dead_in_the_end_and_others_are_handled_meanwhile() {
    let (house, ear) = house().await;
    tell(&house, "stripe", "evt_poison", "sample.failing").await;
    house.run_sql("UPDATE platform.jobs SET max_attempts = 3").await;
    for number in 1..=3 {
        tell(&house, "stripe", &format!("evt_{number}"), "invoice.paid").await;
        house.worker.run_due().await;
        let (waiting, dead) = if number < 3 { (1, 0) } else { (0, 1) };
        assert_eq!((house.count(JOBS).await, house.count(DEAD).await), (waiting, dead), "after try {number}");
        house.run_sql("UPDATE platform.jobs SET run_at = now()").await;
    }
    assert_eq!(ear.ids(), ["evt_1", "evt_2", "evt_3", "evt_poison", "evt_poison", "evt_poison"]);
    let kept = "SELECT count(*) FROM platform.dead_jobs
                WHERE error = 'on purpose' AND request_id = 'from-the-sender' AND args ->> 'id' = 'evt_poison'";
    assert_eq!(house.count(kept).await, 1);
    tell(&house, "stripe", "evt_poison", "sample.failing").await;
    assert_eq!(house.count(JOBS).await, 0, "it is known, however it ended");
}

#[tokio::test]
async fn a_source_whose_events_fail_holds_up_no_other() {
    let (house, ear) = house().await;
    for number in 0..5 {
        tell(&house, "stripe", &format!("evt_bad_{number}"), "sample.failing").await;
    }
    tell(&house, "stripe_test", "evt_good", "invoice.paid").await;
    house.worker.run_due().await;
    assert!(ear.ids().contains(&"evt_good".to_owned()));
    let queues =
        "SELECT count(*) FROM platform.jobs WHERE queue = 'inbound.stripe' AND name = 'webhooks handles stripe'";
    assert_eq!((house.count(JOBS).await, house.count(queues).await), (5, 5));
}

#[tokio::test]
async fn the_daily_job_removes_old_receipts_in_batches_and_leaves_the_jobs() {
    let (house, ear) = house().await;
    house.worker.run_due().await;
    tell(&house, "stripe", "evt_new", "invoice.paid").await;
    // One more than two batches, an hour too old; and one that is not quite old enough.
    house
        .run_sql(
            "INSERT INTO webhooks.inbox (id, source, external_id, event_type, occurred_at, payload)
             SELECT encode(substr(uuid_send(webhooks.first_id(now() - make_interval(days => 90, hours => age))), 1, 8)
                           || substr(uuid_send(gen_random_uuid()), 9), 'hex')::uuid,
                    'stripe', 'evt_' || age || '_' || number, 'invoice.paid', now(), 'x'
             FROM (SELECT 1 AS age, generate_series(1, 1001) AS number UNION ALL SELECT -1, 1) old",
        )
        .await;
    assert_eq!(house.count(RECEIPTS).await, 1_003);
    house
        .run_sql(
            "CREATE TABLE public.batches (size bigint);
             CREATE FUNCTION public.note() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
             BEGIN INSERT INTO public.batches SELECT count(*) FROM gone; RETURN NULL; END $$;
             CREATE TRIGGER noted AFTER DELETE ON webhooks.inbox REFERENCING OLD TABLE AS gone
                 FOR EACH STATEMENT EXECUTE FUNCTION public.note()",
        )
        .await;
    house.run_sql("UPDATE platform.schedules SET next_at = now() WHERE name = 'webhooks.prune_inbox'").await;
    house.run_sql("UPDATE platform.jobs SET run_at = 'infinity'").await;
    house.worker.run_due().await;
    assert_eq!(house.count(RECEIPTS).await, 2);
    assert_eq!(
        house.count("SELECT count(*) FROM public.batches WHERE size IN (500, 1)").await,
        3,
        "never one large one"
    );
    assert_eq!(
        house.count("SELECT count(*) FROM webhooks.inbox WHERE external_id IN ('evt_new', 'evt_-1_1')").await,
        2
    );
    assert_eq!((house.count(JOBS).await, house.count(DEAD).await), (1, 0));
    // What waits carries all it needs, so it can be handled without its receipt.
    house.run_sql("DELETE FROM webhooks.inbox; UPDATE platform.jobs SET run_at = now()").await;
    house.worker.run_due().await;
    assert_eq!(ear.ids(), ["evt_new"]);
}

#[tokio::test]
async fn the_oldest_receipts_are_found_along_the_primary_key() {
    let (house, _) = house().await;
    let mut owner = house.owner().await;
    let setting = "INSERT INTO webhooks.inbox (id, source, external_id, event_type, occurred_at, payload)
                   SELECT encode(substr(uuid_send(webhooks.first_id(now())), 1, 8)
                                 || substr(uuid_send(gen_random_uuid()), 9), 'hex')::uuid,
                          'stripe', 'evt_' || number, 'invoice.paid', now(), 'x'
                   FROM generate_series(1, 5000) number;
                   ANALYZE webhooks.inbox";
    sqlx::raw_sql(setting).execute(&mut owner).await.expect("fills");
    let plan: Vec<String> = sqlx::query_scalar(
        "EXPLAIN SELECT id FROM webhooks.inbox WHERE id < webhooks.first_id(now() - make_interval(days => 90))
         ORDER BY id LIMIT 500",
    )
    .fetch_all(&mut owner)
    .await
    .expect("a plan");
    let plan = plan.join("\n");
    assert!(plan.contains("inbox_pkey") && plan.contains("Index Cond"), "{plan}");
}

#[tokio::test]
#[should_panic(expected = "stripe has no handler")]
async fn a_configured_source_without_a_handler_stops_the_start() {
    House::with_handlers(AddressRules::Any, config(&["whsec_a"]), deaf).await;
}

#[tokio::test]
#[should_panic(expected = "stripe has no secret, or a blank one")]
async fn a_source_with_a_blank_secret_stops_the_start() {
    let (house, _) = house().await;
    let handlers = house.handlers();
    House::with_handlers(AddressRules::Any, config(&["whsec_a", ""]), |_| handlers).await;
}

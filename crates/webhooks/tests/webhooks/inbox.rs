//! Incoming webhooks: what is believed, and that it is stored once.

use futures_util::future::join_all;
use platform::http::Method;
use serde_json::{Value, json};
use sqlx::{Connection, PgConnection};
use test_support::start_of_time;

use crate::house::House;
use crate::sender::{OLD_SECRET, SECRET, SOURCES, config, event, expect_taken, house, send, send_with, signature};

const RECEIPTS: &str = "SELECT count(*) FROM webhooks.inbox";
const JOBS: &str = "SELECT count(*) FROM platform.jobs";

/// How many receipts and jobs there are.
async fn stored(house: &House) -> (i64, i64) {
    (house.count(RECEIPTS).await, house.count(JOBS).await)
}

#[tokio::test]
async fn a_signed_event_is_stored_as_it_was_sent_with_a_job_for_it() {
    let (house, _) = house().await;
    let body = format!("{:#}\n", event("evt_1", "invoice.paid"));
    expect_taken(&send(&house.api, "stripe", body.clone()).await);
    let row =
        "SELECT to_jsonb(inbox) - 'id' - 'received_at' || jsonb_build_object('payload', convert_from(payload, 'UTF8'))
               FROM webhooks.inbox WHERE received_at > now() - interval '1 hour'";
    let row: Value = sqlx::query_scalar(row).fetch_one(&mut house.owner().await).await.expect("one receipt");
    let expected = json!({
        "source": "stripe", "external_id": "evt_1", "event_type": "invoice.paid", "object_id": "sub_1", "livemode": false,
        "api_version": "2025-03-31.basil", "occurred_at": "2025-12-31T23:59:55+00:00", "payload": body,
        "request_id": "from-the-sender",
    });
    assert_eq!(row, expected);
    let job = "SELECT count(*) FROM platform.jobs JOIN webhooks.inbox ON args ->> 'receipt_id' = inbox.id::text
               WHERE name = 'webhooks handles stripe' AND queue = 'inbound.stripe' AND max_attempts = 20";
    assert_eq!(house.count(job).await, 1);
}

#[tokio::test]
async fn twenty_copies_at_once_at_two_processes_are_one_event() {
    let (house, ear) = house().await;
    let apis = [house.api.clone(), house.another_api()];
    let body = event("evt_1", "invoice.paid").to_string();
    let copies = (0..20).map(|number| send(&apis[number % 2], "stripe", body.clone()));
    for answer in join_all(copies).await {
        expect_taken(&answer);
    }
    assert_eq!(stored(&house).await, (1, 1));
    house.worker.run_due().await;
    expect_taken(&send(&house.api, "stripe", body).await);
    assert_eq!(stored(&house).await, (1, 0), "a copy that comes after the handling is known, too");
    assert_eq!(ear.ids(), ["evt_1"]);
    expect_taken(&send(&house.api, "stripe_test", event("evt_1", "invoice.paid").to_string()).await);
    assert_eq!(stored(&house).await, (2, 1), "ids are the sender's own");
}

#[tokio::test]
async fn during_a_rotation_either_secret_is_believed_and_afterwards_only_the_new_one() {
    let (house, _) = house().await;
    let now = start_of_time().timestamp();
    let bodies = [1, 2, 3].map(|number| event(&format!("evt_{number}"), "invoice.paid").to_string());
    let [by_new, by_old, by_other] = ["whsec_new", OLD_SECRET, "whsec_other"]
        .map(|secret| move |body: &str| signature(secret, now, body.as_bytes()));
    expect_taken(&send_with(&house.api, "stripe", &format!("t={now},{}", by_old(&bodies[0])), bodies[0].clone()).await);
    let both = format!("t={now},{},{}", by_other(&bodies[1]), by_new(&bodies[1]));
    expect_taken(&send_with(&house.api, "stripe", &both, bodies[1].clone()).await);
    let other = format!("t={now},{}", by_other(&bodies[2]));
    send_with(&house.api, "stripe", &other, bodies[2].clone()).await.expect_problem(400, "invalid_signature");

    let handlers = house.handlers();
    let rotated = House::with_handlers(platform::outbound::AddressRules::Any, config(&[SECRET]), |_| handlers).await;
    let old = format!("t={now},{}", by_old(&bodies[0]));
    send_with(&rotated.api, "stripe", &old, bodies[0].clone()).await.expect_problem(400, "invalid_signature");
    expect_taken(&send_with(&rotated.api, "stripe", &both, bodies[1].clone()).await);
    assert_eq!((stored(&house).await, stored(&rotated).await), ((2, 2), (1, 1)));
}

#[tokio::test]
async fn what_is_not_believed_is_not_stored() {
    let (house, _) = house().await;
    let now = start_of_time().timestamp();
    let body = event("evt_1", "invoice.paid").to_string();
    let at = |signed_at: i64| format!("t={signed_at},{}", signature(SECRET, signed_at, body.as_bytes()));
    for (header, code) in [
        (String::new(), "invalid_signature"),
        (at(now).replace("v1=", "v0="), "invalid_signature"),
        (format!("t={now},{}", signature("", now, body.as_bytes())), "invalid_signature"),
        (format!("t={now},{}", signature(SECRET, now, b"another body")), "invalid_signature"),
        (at(now - 301).replace(&(now - 301).to_string(), &now.to_string()), "invalid_signature"),
        (at(now - 301), "invalid_timestamp"),
        (at(now + 301), "invalid_timestamp"),
    ] {
        send_with(&house.api, "stripe", &header, body.clone()).await.expect_problem(400, code);
    }
    let unsigned = house.api.ask(Method::POST, "/v1/inbound/stripe").body(body.clone()).send().await;
    unsigned.expect_problem(400, "invalid_signature");
    assert_eq!(stored(&house).await, (0, 0));
    expect_taken(&send_with(&house.api, "stripe", &at(now - 300), body.clone()).await);
    expect_taken(&send_with(&house.api, "stripe", &at(now + 300), body.clone()).await);
    assert_eq!(stored(&house).await, (1, 1));
}

#[tokio::test]
async fn what_is_rightly_signed_but_no_event_is_refused_and_not_stored() {
    let (house, _) = house().await;
    let mut nul = event("evt_1", "invoice.paid");
    nul["id"] = json!("evt_\u{0}");
    let customer = json!({ "id": "cus_1", "object": "customer", "created": 1 });
    for body in
        [String::new(), "{}".to_owned(), "[]".to_owned(), "evt_1".to_owned(), nul.to_string(), customer.to_string()]
    {
        send(&house.api, "stripe", body).await.expect_problem(400, "invalid_event");
    }
    assert_eq!(stored(&house).await, (0, 0));
}

#[tokio::test]
async fn only_configured_sources_exist() {
    let (house, _) = house().await;
    let body = event("evt_1", "invoice.paid").to_string();
    for source in ["github", "Stripe", "stripe%00", "%ff", "..", "stripe/x", ""] {
        send(&house.api, source, body.clone()).await.expect_problem(404, "not_found");
    }
    let bare = House::open().await;
    send(&bare.api, "stripe", body).await.expect_problem(404, "not_found");
    let read = house.api.get("/v1/inbound/stripe").send().await;
    read.expect_problem(405, "method_not_allowed");
    assert_eq!(stored(&house).await, (0, 0));
}

#[tokio::test]
async fn an_event_may_have_a_mebibyte_and_any_media_type() {
    let (house, _) = house().await;
    let padded = |id: &str, size: usize| {
        let mut event = event(id, "invoice.paid");
        event["padding"] = json!("");
        let missing = size - event.to_string().len();
        event["padding"] = json!("x".repeat(missing));
        event.to_string()
    };
    let largest = padded("evt_1", 1024 * 1024);
    assert_eq!(largest.len(), 1024 * 1024);
    expect_taken(&send(&house.api, "stripe", largest).await);
    let larger = padded("evt_2", 1024 * 1024 + 1);
    send(&house.api, "stripe", larger).await.expect_problem(413, "body_too_large");

    let (now, body) = (start_of_time().timestamp(), event("evt_3", "invoice.paid").to_string());
    let header = format!("t={now},{}", signature(SECRET, now, body.as_bytes()));
    let ask = house.api.ask(Method::POST, "/v1/inbound/stripe").header("stripe-signature", &header);
    expect_taken(&ask.header("content-type", "application/cloudevents+json").body(body.clone()).send().await);
    let ask = house.api.ask(Method::POST, "/v1/inbound/stripe").header("stripe-signature", &header);
    expect_taken(&ask.header("authorization", "Bearer nonsense").body(body).send().await);
    assert_eq!(stored(&house).await, (2, 2));
}

#[tokio::test]
async fn what_cannot_be_stored_is_answered_503_and_taken_when_it_can() {
    let (house, _) = house().await;
    let body = event("evt_1", "invoice.paid").to_string();
    // Without the job there is no receipt either.
    house.run_sql("ALTER FUNCTION platform.enqueue_job RENAME TO enqueue_job_away").await;
    send(&house.api, "stripe", body.clone()).await.expect_problem(500, "internal");
    house.run_sql("ALTER FUNCTION platform.enqueue_job_away RENAME TO enqueue_job").await;
    assert_eq!(stored(&house).await, (0, 0));

    let name = house.database.name().to_owned();
    let elsewhere = house.database.url().replace(&name, "postgres");
    let mut operator = PgConnection::connect(&elsewhere).await.expect("connects");
    let mut rename = async |from: &str, to: &str| {
        let sql = format!(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{from}';
             ALTER DATABASE {from} RENAME TO {to}"
        );
        sqlx::raw_sql(sqlx::AssertSqlSafe(sql)).execute(&mut operator).await.expect("renamed");
    };
    let away = format!("{name}_away");
    rename(&name, &away).await;
    let refused = send(&house.api, "stripe", body.clone()).await;
    refused.expect_problem(503, "unavailable");
    assert_eq!(refused.header("retry-after"), "1");
    rename(&away, &name).await;
    expect_taken(&send(&house.api, "stripe", body).await);
    assert_eq!(stored(&house).await, (1, 1));
}

#[tokio::test]
async fn a_receipt_is_never_changed() {
    let (house, _) = house().await;
    for source in SOURCES {
        expect_taken(&send(&house.api, source, event("evt_1", "invoice.paid").to_string()).await);
    }
    let mut connection = house.db.read().await.expect("connects");
    let refused = sqlx::raw_sql("UPDATE webhooks.inbox SET livemode = true").execute(&mut *connection).await;
    let refused = refused.expect_err("a receipt").to_string();
    assert!(refused.contains("never changed"), "{refused}");
    let deleted = sqlx::raw_sql("DELETE FROM webhooks.inbox WHERE source = 'stripe'").execute(&mut *connection).await;
    assert_eq!(deleted.expect("retention may").rows_affected(), 1);
}

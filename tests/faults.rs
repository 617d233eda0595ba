//! What survives when a process is killed: the real binary, real signals, a durable PostgreSQL.

use std::process::Command;

use futures_util::future::join_all;
use platform::clock::Clock;
use reqwest::Method;
use serde_json::json;

use crate::buyer::{Buyer, Records, inbound, stand_in};
use crate::home::{client, send};
use crate::processes::{Durable, Process, eventually};
use crate::receiver::Receiver;

#[tokio::test]
async fn a_fact_whose_process_was_killed_before_delivery_is_delivered_after_a_restart() {
    let durable = Durable::create().await;
    let database = &durable.url;
    let (receiver, url) = Receiver::open().await;

    // `dev` seeds the account; it is gone before the fact happens.
    Process::start("dev", database).await.kill();
    // `serve` has no worker, so it cannot deliver: what it commits is all there is when it is killed.
    let serving = Process::start("serve", database).await;
    let ask =
        |process: &Process, method: Method, path: &str| client().request(method, format!("{}{path}", process.api));
    let credentials = json!({ "email": "ada@example.com", "password": "a-long-walk-by-the-sea" });
    let tokens = send(ask(&serving, Method::POST, "/v1/auth/login").json(&credentials)).await.expect(200);
    let token = tokens["access_token"].as_str().expect("a token");
    let create = ask(&serving, Method::POST, "/v1/organizations").bearer_auth(token).json(&json!({ "name": "Acme" }));
    let organization = send(create).await.expect(201);
    let path = format!("/v1/organizations/{}", organization["id"].as_str().expect("an id"));
    let endpoint = json!({ "url": url, "event_types": ["organization.updated"] });
    let create = ask(&serving, Method::POST, &format!("{path}/webhook-endpoints")).bearer_auth(token).json(&endpoint);
    let secret = send(create).await.expect(201)["secret"].as_str().expect("a secret").to_owned();
    let rename = ask(&serving, Method::PATCH, &path).bearer_auth(token).json(&json!({ "name": "Acme 2" }));
    send(rename).await.expect(200);
    serving.kill();
    assert_eq!(receiver.received().len(), 0, "nothing was delivered before the restart");

    let _restarted = Process::start("dev", database).await;
    eventually("the message arrives", async || !receiver.received().is_empty()).await;
    let arrived = receiver.received();
    arrived[0].verify(&secret);
    assert!(String::from_utf8_lossy(&arrived[0].body).contains("Acme 2"));
    assert!(arrived.iter().all(|again| again.headers["webhook-id"] == arrived[0].headers["webhook-id"]));
}

#[tokio::test]
async fn billing_case_14_an_event_whose_process_was_killed_before_its_job_is_applied_once_after_a_restart() {
    let durable = Durable::create().await;
    let database = &durable.url;
    let payments = stand_in(dev_stripe::Time::machine()).await;
    let provider = [("APP__BILLING__STRIPE__API_URL", payments.url())];
    let (receiver, hook) = Receiver::open().await;
    Process::start_with("dev", database, &provider).await.kill();

    // `serve` has no worker, so it stores events and does nothing about them.
    let serving = Process::start_with("serve", database, &provider).await;
    payments.control().send_events_to(inbound(&serving.api));
    let buyer = Buyer::of_seeded_account(&serving.api).await;
    let (_, secret) = buyer.listen_at(&hook).await;
    let subscription = buyer.subscribe(payments.control()).await;
    payments.control().delivered().await;
    let statuses: Vec<_> = payments.control().attempts().iter().map(|attempt| attempt.status).collect();
    assert_eq!(statuses, [Some(200); 3], "every event is taken at the first attempt");
    serving.kill();
    let mut owner = durable.owner().await;
    let stored = Records::of(&mut owner).await;
    assert_eq!((stored.inbox, stored.subscriptions.len(), stored.messages), (3, 0, 0), "{stored:?}");

    let restarted = Process::start_with("dev", database, &provider).await;
    let buyer = buyer.at(&restarted.api);
    eventually("the subscription is active", async || buyer.plan().await == "team").await;
    eventually("the message arrives", async || !receiver.received().is_empty()).await;
    let applied = settled(&durable).await;
    assert_eq!((applied.inbox, applied.dead, applied.messages), (3, 0, 1), "{applied:?}");
    assert_eq!(applied.subscriptions, [(subscription, "active".to_owned())]);
    let arrived = receiver.received();
    arrived[0].verify(&secret);
    assert!(arrived.iter().all(|again| again.headers["webhook-id"] == arrived[0].headers["webhook-id"]));
}

#[tokio::test]
async fn billing_case_01_twenty_copies_of_an_event_at_two_processes_at_once_have_one_effect() {
    let durable = Durable::create().await;
    let database = &durable.url;
    let payments = stand_in(dev_stripe::Time::machine()).await;
    let provider = [("APP__BILLING__STRIPE__API_URL", payments.url())];
    Process::start_with("dev", database, &provider).await.kill();
    let twins = [
        Process::start_with("serve", database, &provider).await,
        Process::start_with("serve", database, &provider).await,
    ];
    let buyer = Buyer::of_seeded_account(&twins[0].api).await;
    let (receiver, hook) = Receiver::open().await;
    buyer.listen_at(&hook).await;
    payments.control().withhold();
    let subscription = buyer.subscribe(payments.control()).await;
    let events = payments.control().events();
    let event = events.iter().find(|event| event["type"] == "customer.subscription.created").expect("the event");
    let (body, secret) = (event.to_string(), ["whsec_development".to_owned()]);
    let signature = dev_stripe::signature(&secret, Clock::system().now().timestamp(), body.as_bytes());
    let copies = (0..20).map(|number| {
        let copy = client().post(inbound(&twins[number % 2].api)).header("stripe-signature", &signature);
        send(copy.body(body.clone()))
    });
    for answer in join_all(copies).await {
        answer.expect(200);
    }
    let mut owner = durable.owner().await;
    let stored = Records::of(&mut owner).await;
    assert_eq!((stored.inbox, stored.messages), (1, 0), "{stored:?}");

    let _worker = Process::start_with("work", database, &provider).await;
    eventually("the subscription is active", async || buyer.plan().await == "team").await;
    let applied = settled(&durable).await;
    assert_eq!((applied.inbox, applied.dead, applied.messages), (1, 0, 1), "{applied:?}");
    assert_eq!(applied.subscriptions, [(subscription, "active".to_owned())]);
    assert_eq!(applied.tickets, [(1, 1)], "it was fetched once");
    eventually("the message arrives", async || !receiver.received().is_empty()).await;
}

/// What is written down once no job is left.
async fn settled(durable: &Durable) -> Records {
    eventually("every job is done", async || Records::of(&mut durable.owner().await).await.jobs == 0).await;
    Records::of(&mut durable.owner().await).await
}

#[tokio::test]
async fn commands_that_cannot_start_say_why_and_what_to_do() {
    let refused = |command: &str, variables: &[(&str, &str)]| {
        let output = Command::new(env!("CARGO_BIN_EXE_server-under-test"))
            .arg(command)
            .env_remove("DATABASE_URL")
            .envs(variables.iter().copied())
            .output()
            .expect("it runs");
        assert!(!output.status.success(), "{command} {variables:?}");
        String::from_utf8_lossy(&output.stderr).into_owned()
    };
    let production = ("APP_ENVIRONMENT", "production");
    let message = refused("serve", &[production]);
    for key in ["database.url", "secrets.", "service.public_url", "mail.smtp_url"] {
        assert!(message.contains(key), "{key}: {message}");
    }
    let placeholder = ("APP__SECRETS__ROOTS__1", "development-only-root-secret-that-production-refuses");
    assert!(refused("serve", &[production, placeholder]).contains("secrets.roots.1 is a placeholder"));
    for command in ["dev", "serve"] {
        assert!(refused(command, &[("APP__HTTP__ADDRESS", "0.0.0.0:0")]).contains("http.address"), "{command}");
    }
    assert!(refused("dev", &[("DATABASE_URL", "postgres://db.example/app")]).contains("db.example"));
    let misplaced = refused("serve", &[("APP__DATABASE", "postgres://user:hunter2@db.example/app")]);
    assert!(misplaced.contains("database") && !misplaced.contains("hunter2"), "{misplaced}");
    assert!(refused("serve", &[("APP__HTTP__ADRESS", "x")]).contains("adress"));
    assert!(refused("serve", &[("APP_ENVIRONMENT", "staging")]).contains("APP_ENVIRONMENT"));
}

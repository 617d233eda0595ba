//! Payments, of which two processes hear, or one that is killed.

use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream;
use platform::clock::Clock;
use reqwest::Client;
use serde_json::{Value, json};

use crate::buyer::{Buyer, Records, inbound, stand_in};
use crate::home::{client, send};
use crate::processes::{Durable, PATIENT, Process, eventually, eventually_within};
use crate::receiver::Receiver;

use super::scale::{at_scale, found, patience};

/// What every process here is told: where the provider is, that anybody may ask as often as they like, and to be patient.
fn variables(payments: &dev_stripe::Running) -> Vec<(&str, &str)> {
    let here = [("APP__BILLING__STRIPE__API_URL", payments.url()), ("APP__HTTP__STACK__RATE_LIMIT__COUNT", "0")];
    [&here[..], &PATIENT[..]].concat()
}

#[tokio::test]
async fn billing_case_14_an_event_whose_process_was_killed_before_its_job_is_applied_once_after_a_restart() {
    let durable = Durable::create().await;
    let database = &durable.url;
    let payments = stand_in(dev_stripe::Time::machine()).await;
    let variables = variables(&payments);
    let (receiver, hook) = Receiver::open().await;
    Process::start_with("dev", database, &variables).await.kill();

    // `serve` has no worker, so it stores events and does nothing about them.
    let serving = Process::start_with("serve", database, &variables).await;
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

    let restarted = Process::start_with("dev", database, &variables).await;
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
    let variables = variables(&payments);
    Process::start_with("dev", database, &variables).await.kill();
    let twins = [
        Process::start_with("serve", database, &variables).await,
        Process::start_with("serve", database, &variables).await,
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

    let _worker = Process::start_with("work", database, &variables).await;
    eventually("the subscription is active", async || buyer.plan().await == "team").await;
    let applied = settled(&durable).await;
    assert_eq!((applied.inbox, applied.dead, applied.messages), (1, 0, 1), "{applied:?}");
    assert_eq!(applied.subscriptions, [(subscription, "active".to_owned())]);
    assert_eq!(applied.tickets, [(1, 1)], "it was fetched once");
    eventually("the message arrives", async || !receiver.received().is_empty()).await;
}

/// What is written down once no job is left.
async fn settled(durable: &Durable) -> Records {
    let done = async || Records::of(&mut durable.owner().await).await.jobs == 0;
    eventually_within(patience(), "every job is done", done).await;
    Records::of(&mut durable.owner().await).await
}

#[tokio::test]
async fn invariant_06_events_that_come_many_times_to_two_processes_at_once_have_one_row_and_one_effect() {
    let (copies, strangers) = at_scale((8, 12), (50, 100));
    let durable = Durable::create().await;
    let payments = stand_in(dev_stripe::Time::machine()).await;
    let variables = variables(&payments);
    Process::start_with("dev", &durable.url, &variables).await.kill();
    let twins = [
        Process::start_with("serve", &durable.url, &variables).await,
        Process::start_with("serve", &durable.url, &variables).await,
    ];
    // It handles the first copies while the others still come.
    let _worker = Process::start_with("work", &durable.url, &variables).await;
    let buyer = Buyer::of_seeded_account(&twins[0].api).await;
    let (receiver, hook) = Receiver::open().await;
    buyer.listen_at(&hook).await;
    payments.control().withhold();
    let subscription = buyer.subscribe(payments.control()).await;
    let mut events = payments.control().events();
    let told = events.len();
    events.extend((0..strangers).map(stranger));

    let (sender, mut effects) = (client(), Vec::new());
    for _ in 0..2 {
        let all = (0..copies).flat_map(|_| &events).enumerate();
        let sending = stream::iter(all.map(|(number, event)| deliver(&sender, &twins[number % 2].api, event)));
        assert!(sending.buffer_unordered(32).all(async |status| status == 200).await, "every copy is taken");
        effects.push(settled(&durable).await);
    }
    let rows = i64::try_from(events.len()).expect("a count");
    let first = &effects[0];
    assert_eq!((first.inbox, first.dead, first.messages), (rows, 0, 1), "{first:?}");
    assert_eq!(first.subscriptions, [(subscription, "active".to_owned())]);
    assert_eq!(*first, effects[1], "copies that come later have no effect");
    eventually("the message arrives", async || receiver.arrived() > 0).await;
    assert_eq!(receiver.messages(), 1, "whoever listens is told once");
    let heard: i64 = first.tickets.iter().map(|(_, applied)| applied).sum();
    assert!(usize::try_from(heard).is_ok_and(|heard| heard <= told), "{heard} effects of {told} events");
    found(
        6,
        format!(
            "{} events {} times each at two processes: {} rows, {heard} effects of the {told} that have one",
            events.len(),
            2 * copies,
            first.inbox
        ),
    );
}

/// An event of a type that nobody handles.
fn stranger(number: usize) -> Value {
    let object = json!({ "id": format!("file_{number}"), "object": "file" });
    json!({
        "id": format!("evt_stranger_{number}"), "object": "event", "type": "file.created", "livemode": false,
        "created": Clock::system().now().timestamp(), "data": { "object": object },
    })
}

async fn deliver(sender: &Client, api: &str, event: &Value) -> u16 {
    let (body, secret) = (event.to_string(), ["whsec_development".to_owned()]);
    let signature = dev_stripe::signature(&secret, Clock::system().now().timestamp(), body.as_bytes());
    let copy = sender.post(inbound(api)).header("stripe-signature", &signature).body(body);
    send(copy).await.status.as_u16()
}

//! The stand-in over real sockets, as an adapter, a browser and a receiver of events see it.

#[path = "dev_stripe/world.rs"]
mod world;

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use axum::http::StatusCode;
use dev_stripe::{Failure, Options, Release, StartError, StripeServer};
use reqwest::Method;
use serde_json::{Value, json};
use world::{DAY, NOW, SECRET, World, hmac, options, text};

#[test]
fn a_signature_is_the_one_that_stripe_makes() {
    let body = "{\n  \"id\":\"evt_1\",\"object\":\"event\",\"type\":\"invoice.paid\",\"created\":1700000000,\
                \"data\":{\"object\":{\"id\":\"in_1\",\"unicode\":\"é✓\"}}}";
    let known = "t=1700000100,v1=a636051517dded29dade7ac8c40b2e6d082c35b32924c6ce95ecada186b7b819";
    assert_eq!(dev_stripe::signature(&["whsec_a".to_owned()], 1_700_000_100, body.as_bytes()), known);
    assert!(known.ends_with(&hmac("whsec_a", 1_700_000_100, body.as_bytes())));
}

#[tokio::test]
async fn only_loopback_and_whole_options_are_accepted() {
    let start = async |change: fn(&mut Options)| {
        let mut options = options("");
        change(&mut options);
        StripeServer::start(options).await.err()
    };
    let everywhere = start(|options| options.listen = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))).await;
    assert!(matches!(everywhere, Some(StartError::NotLoopback(_))));
    assert!(matches!(start(|options| options.webhook_secret.clear()).await, Some(StartError::Empty(_))));
    assert!(matches!(start(|options| options.api_key.clear()).await, Some(StartError::Empty(_))));
    assert!(matches!(start(|options| options.api_key = "sk_live_1".into()).await, Some(StartError::RealKey)));
    let world = World::new().await;
    let rebound = world.client.get(format!("{}/_control", world.stripe.url())).header("host", "evil.test");
    assert_eq!(rebound.send().await.unwrap().status(), 403);
}

#[tokio::test]
async fn errors_have_the_shape_of_stripe() {
    let world = World::new().await;
    let url = format!("{}/v1/customers", world.stripe.url());
    for call in [world.client.get(&url), world.client.get(&url).bearer_auth("sk_test_y")] {
        let answer = call.send().await.unwrap();
        assert_eq!((answer.status(), answer.headers().contains_key("request-id")), (StatusCode::UNAUTHORIZED, true));
        assert_eq!(answer.json::<Value>().await.unwrap()["error"]["type"], "invalid_request_error");
    }
    let cases = [
        (Method::GET, "/v1/customers/cus_1", "", 404, "resource_missing", "id"),
        (Method::POST, "/v1/customers", "nickname=x", 400, "parameter_unknown", "nickname"),
        (Method::POST, "/v1/checkout/sessions", "", 400, "parameter_missing", "mode"),
        (Method::GET, "/v1/prices?limit=x", "", 400, "parameter_invalid_integer", "limit"),
        (Method::POST, "/v1/refunds", "charge=ch_1", 400, "resource_missing", "charge"),
    ];
    for (method, path, form, status, code, param) in cases {
        let (answered, body) = world.call(method, path, form).await;
        let error = &body["error"];
        assert_eq!(
            (answered, &error["code"], &error["param"]),
            (status, &json!(code), &json!(param)),
            "{path}: {body}"
        );
        assert!(error["message"].as_str().is_some_and(|message| !message.is_empty()));
    }
    let session = "mode=subscription&line_items[0][price]=price_pro&line_items[0][quantity]=1&success_url=javascript:x";
    let (_, refused) = world.call(Method::POST, "/v1/checkout/sessions", session).await;
    assert_eq!(refused["error"]["code"], "url_invalid");
}

#[tokio::test]
async fn forms_with_brackets_become_objects() {
    let world = World::new().await;
    let form = "email=a%40b.test&metadata[org]=org-1&metadata[x%20y]=%C3%A9+1";
    let (_, customer) = world.call(Method::POST, "/v1/customers", form).await;
    assert_eq!(customer["metadata"], json!({ "org": "org-1", "x y": "é 1" }));
    let path = format!("/v1/customers/{}", customer["id"].as_str().unwrap());
    let (_, changed) = world.call(Method::POST, &path, "metadata[org]=&metadata[b]=2").await;
    assert_eq!(changed["metadata"], json!({ "b": "2", "x y": "é 1" }));
    assert_eq!(changed["email"], "a@b.test");
    for _ in 0..3 {
        world.call(Method::POST, "/v1/customers", "email=c%40d.test").await;
    }
    let page = world.get("/v1/customers?limit=2").await;
    let last = page["data"][1]["id"].as_str().unwrap();
    let rest = world.get(&format!("/v1/customers?limit=2&starting_after={last}")).await;
    assert_eq!((&page["has_more"], &rest["has_more"], &rest["data"][1]), (&json!(true), &json!(false), &changed));
}

#[tokio::test]
async fn a_key_gives_its_first_answer_for_a_day() {
    let world = World::new().await;
    let create = async |form: &str, key: &str| {
        let answer = world.send(Method::POST, "/v1/customers", form, Some(key)).await;
        let replayed = answer.headers().get("idempotent-replayed").is_some_and(|value| value == "true");
        (answer.status().as_u16(), replayed, answer.json::<Value>().await.unwrap())
    };
    let first = create("name=a&email=b", "op:1").await;
    assert_eq!(create("email=b&name=a", "op:1").await, (200, true, first.2.clone()));
    let misused = create("name=other", "op:1").await;
    assert_eq!((misused.0, &misused.2["error"]["type"]), (400, &json!("idempotency_error")));
    world.control().advance(DAY).unwrap();
    let later = create("name=a&email=b", "op:1").await;
    assert!(!later.1 && later.2["id"] != first.2["id"]);
}

#[tokio::test]
async fn a_key_remembers_what_happened_once_the_work_had_begun() {
    let world = World::new().await;
    let create = async |key: &str| {
        let answer = world.send(Method::POST, "/v1/customers", "name=a", Some(key)).await;
        (answer.status().as_u16(), answer.headers().contains_key("idempotent-replayed"))
    };
    world.control().fail_next(Failure::ServerError, 1);
    world.control().fail_next(Failure::Outage, 1);
    world.control().fail_next(Failure::RateLimited, 1);
    assert_eq!(create("op:1").await, (500, false));
    assert_eq!(create("op:2").await, (503, false));
    assert_eq!(create("op:3").await, (429, false));
    assert_eq!(world.get("/v1/customers").await["data"], json!([]), "nothing of it is left");
    assert_eq!(create("op:1").await, (500, true));
    assert_eq!((create("op:2").await, create("op:3").await), ((200, false), (200, false)));
    world.control().advance(DAY).unwrap();
    assert_eq!(create("op:1").await, (200, false));
}

#[tokio::test]
async fn a_key_is_in_use_while_its_call_is_being_worked_on() {
    let world = World::new().await;
    let create = async |key: &str| world.send(Method::POST, "/v1/customers", "name=a", Some(key)).await;
    world.control().fail_next(Failure::Slow, 2);
    let url = format!("{}/v1/customers", world.stripe.url());
    let call = || world.client.post(&url).bearer_auth("sk_test_x").form(&[("name", "a")]);
    let (first, _) = tokio::join!(create("op:1"), async {
        world.control().slow_calls(1).await;
        tokio::select! {
            _ = call().header("idempotency-key", "op:2").send() => panic!("it was told to be slow"),
            () = world.control().slow_calls(2) => {}
        }
        for key in ["op:1", "op:2"] {
            let twin = create(key).await;
            assert_eq!(twin.status(), StatusCode::CONFLICT);
            let error = twin.json::<Value>().await.unwrap()["error"].clone();
            assert_eq!(error["code"], "idempotency_key_in_use");
        }
        assert_eq!(create("op:3").await.status(), StatusCode::OK, "others are served meanwhile");
        let finish = world.client.post(format!("{}/_control/failures/finish", world.stripe.url()));
        finish.json(&json!({})).send().await.unwrap()
    });
    let first = first.json::<Value>().await.unwrap();
    let again = create("op:1").await;
    assert_eq!(again.headers()["idempotent-replayed"], "true");
    assert_eq!(again.json::<Value>().await.unwrap(), first);
    // The second caller gave up, and what it asked for is done all the same.
    assert_ne!(create("op:2").await.status(), StatusCode::CONFLICT);
    assert_eq!(world.get("/v1/customers").await["data"].as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn paying_on_the_page_sends_three_signed_events() {
    let mut world = World::new().await;
    let session = world.session("&subscription_data[metadata][org]=org-1").await;
    let page = world.client.get(format!("{}/pay/{session}", world.stripe.url())).send().await.unwrap();
    let page = page.text().await.unwrap();
    for shown in ["Pro &lt;b&gt;", "€36.00", "Quantity 3 × €12.00 per month", "4242 4242 4242 4242"] {
        assert!(page.contains(shown), "{shown} is not on the page");
    }
    let pay = async |card: &str| {
        let url = format!("{}/pay/{session}/pay", world.stripe.url());
        world.client.post(url).form(&[("card", card)]).send().await.unwrap()
    };
    assert!(pay("declined").await.text().await.unwrap().contains("Your card was declined"));
    let paid = pay("good").await;
    assert_eq!(paid.headers()["location"], format!("http://app.test/done?s={session}"));
    assert_eq!(pay("good").await.status(), StatusCode::CONFLICT);
    let completed = world.event().await;
    assert_eq!(world.heard(2).await, ["customer.subscription.created", "invoice.paid"]);
    assert_eq!(completed["data"]["object"]["client_reference_id"], "org-1");
    let path = format!("/v1/checkout/sessions/{session}?expand[]=subscription.latest_invoice.payments");
    let bought = world.get(&path).await;
    let subscription = &bought["subscription"];
    assert_eq!((&bought["status"], &subscription["status"]), (&json!("complete"), &json!("active")));
    assert_eq!(subscription["metadata"]["org"], "org-1");
    assert_eq!(subscription["items"]["data"][0]["current_period_end"], NOW + 30 * DAY);
    let payments = &subscription["latest_invoice"]["payments"]["data"];
    let payment = world.get(&format!("/v1/payment_intents/{}", text(&payments[0]["payment"]["payment_intent"]))).await;
    assert_eq!((&payment["status"], &payment["amount_received"]), (&json!("succeeded"), &json!(3_600)));
}

#[tokio::test]
async fn three_d_secure_waits_for_the_bank() {
    let mut world = World::new().await;
    let session = world.session("").await;
    let send = async |url: String, form: [(&str, &str); 1]| world.client.post(url).form(&form).send().await.unwrap();
    let waiting = send(format!("{}/pay/{session}/pay", world.stripe.url()), [("card", "authenticate")]).await;
    let bank = waiting.headers()["location"].to_str().unwrap().to_owned();
    let listed = world.get("/v1/subscriptions?status=incomplete&expand[]=data.latest_invoice").await;
    assert_eq!(listed["data"][0]["latest_invoice"]["status"], "open");
    let done = send(bank, [("proven", "yes")]).await;
    assert_eq!(done.headers()["location"], format!("http://app.test/done?s={session}"));
    let types = world.heard(5).await;
    let expected = [
        "customer.subscription.created",
        "invoice.payment_action_required",
        "checkout.session.completed",
        "customer.subscription.updated",
        "invoice.paid",
    ];
    assert_eq!(types, expected);
}

#[tokio::test]
async fn the_clock_renews_ends_trials_and_cancels() {
    let mut world = World::new().await;
    let subscription = world.subscribed().await;
    world.control().advance(31 * DAY).unwrap();
    assert_eq!(world.heard(2).await, ["invoice.paid", "customer.subscription.updated"]);
    world.control().decline_renewals(true);
    world.control().advance(31 * DAY).unwrap();
    let failed = world.event().await;
    assert_eq!(failed["type"], "invoice.payment_failed");
    assert_eq!(world.event().await["data"]["object"]["status"], "past_due");
    world.control().pay_invoice(text(&failed["data"]["object"]["id"])).unwrap();
    assert_eq!(world.event().await["data"]["previous_attributes"]["status"], "past_due");
    assert_eq!(world.heard(1).await, ["invoice.paid"]);
    world.control().decline_renewals(false);
    let path = format!("/v1/subscriptions/{subscription}");
    let (_, ending) = world.call(Method::POST, &path, "cancel_at_period_end=true").await;
    assert_eq!(ending["cancel_at"], ending["items"]["data"][0]["current_period_end"]);
    let (_, kept) = world.call(Method::POST, &path, "cancel_at_period_end=false").await;
    assert_eq!(kept["cancel_at"], Value::Null);
    world.call(Method::POST, &path, "cancel_at_period_end=true").await;
    world.heard(3).await;
    world.control().advance(31 * DAY).unwrap();
    assert_eq!(world.heard(1).await, ["customer.subscription.deleted"]);
    let trial = world.session("&subscription_data[trial_period_days]=14").await;
    world.control().pay(&trial).unwrap();
    world.heard(1).await;
    assert_eq!(world.event().await["data"]["object"]["status"], "trialing");
    world.heard(1).await;
    world.control().advance(14 * DAY).unwrap();
    assert_eq!(world.event().await["data"]["object"]["amount_paid"], 3_600);
    assert_eq!(world.event().await["data"]["object"]["status"], "active");
}

#[tokio::test]
async fn failures_come_when_asked_for() {
    let mut world = World::new().await;
    let subscription = world.subscribed().await;
    world.control().fail_next(Failure::ServerError, 1);
    world.control().fail_next(Failure::RateLimited, 1);
    world.control().fail_next(Failure::CardDeclined, 1);
    assert_eq!(world.call(Method::GET, "/v1/prices", "").await.0, 500);
    assert_eq!(world.call(Method::GET, "/v1/prices", "").await.0, 429);
    assert_eq!(world.call(Method::GET, "/v1/prices", "").await.0, 200);
    let item = world.get(&format!("/v1/subscriptions/{subscription}")).await["items"]["data"][0]["id"].clone();
    let form = format!("items[0][id]={}&items[0][price]=price_max", text(&item));
    let change = async || world.call(Method::POST, &format!("/v1/subscriptions/{subscription}"), &form).await;
    let (status, declined) = change().await;
    assert_eq!((status, &declined["error"]["code"]), (402, &json!("card_declined")));
    let (status, changed) = change().await;
    assert_eq!((status, &changed["items"]["data"][0]["price"]["id"]), (200, &json!("price_max")));
    world.control().fail_next(Failure::Timeout, 1);
    let url = format!("{}/v1/customers", world.stripe.url());
    let call = world.client.post(url).bearer_auth("sk_test_x").header("idempotency-key", "op:9").form(&[("name", "x")]);
    let lost = call.timeout(Duration::from_millis(300)).send().await;
    assert!(lost.is_err_and(|error| error.is_timeout()));
    let again = world.send(Method::POST, "/v1/customers", "name=x", Some("op:9")).await;
    assert_eq!(again.headers()["idempotent-replayed"], "true");
}

#[tokio::test]
async fn events_can_be_held_back_reversed_repeated_and_resigned() {
    let mut world = World::new().await;
    world.control().withhold();
    let session = world.session("").await;
    world.control().pay(&session).unwrap();
    world.control().release(Release::Reversed);
    let expected = ["invoice.paid", "customer.subscription.created", "checkout.session.completed"];
    assert_eq!(world.heard(3).await, expected);
    let event = world.control().events()[0]["id"].clone();
    let attempts = world.control().resend(text(&event), 20).await.unwrap();
    assert_eq!(attempts.iter().filter(|attempt| attempt.succeeded()).count(), 20);
    let (_, first) = world.events.recv().await.unwrap();
    for _ in 1..20 {
        assert_eq!(world.events.recv().await.unwrap().1, first);
    }
    world.control().rotate_secret("whsec_new").unwrap();
    world.control().forge("invoice.paid", &json!({ "id": "in_unknown" }));
    let (header, body) = world.events.recv().await.unwrap();
    let both = format!("t={NOW},v1={},v1={}", hmac("whsec_new", NOW, &body), hmac(SECRET, NOW, &body));
    assert_eq!(header, both);
    assert_eq!(world.get("/v1/events?type=invoice.paid&limit=1").await["has_more"], true);
}

#[tokio::test]
async fn events_nobody_takes_are_tried_again_and_given_up() {
    let world = World::with(|options| options.webhook_url = "http://127.0.0.1:1/nobody".to_owned()).await;
    world.control().forge("invoice.paid", &json!({}));
    world.control().delivered().await;
    assert_eq!(world.control().attempts().len(), 3);
}

#[tokio::test]
async fn the_dashboard_changes_refunds_and_deletes() {
    let mut world = World::new().await;
    let subscription = world.subscribed().await;
    let post = async |path: &str, body: Value| {
        let url = format!("{}/_control/{path}", world.stripe.url());
        world.client.post(url).json(&body).send().await.unwrap().json::<Value>().await.unwrap()
    };
    post(&format!("subscriptions/{subscription}"), json!({ "status": "napping" })).await;
    let charge = world.get("/v1/charges").await["data"][0]["id"].clone();
    let refund = post("refunds", json!({ "payment": charge, "amount": 600 })).await;
    assert_eq!(refund["amount"], 600);
    let (_, more) = world.call(Method::POST, "/v1/refunds", &format!("charge={}&amount=3001", text(&charge))).await;
    assert_eq!(more["error"]["param"], "amount");
    let customer = world.get(&format!("/v1/subscriptions/{subscription}")).await["customer"].clone();
    post(&format!("customers/{}/delete", text(&customer)), json!({})).await;
    assert_eq!(world.get(&format!("/v1/customers/{}", text(&customer))).await["deleted"], true);
    let expected = [
        "customer.subscription.updated",
        "refund.created",
        "charge.refunded",
        "customer.subscription.deleted",
        "customer.deleted",
    ];
    assert_eq!(world.heard(5).await, expected);
}

#[tokio::test]
async fn old_versions_see_the_old_shape() {
    let mut world = World::with(|options| options.api_version = "2024-06-20".to_owned()).await;
    let session = world.session("").await;
    world.control().pay(&session).unwrap();
    world.heard(1).await;
    let created = world.event().await["data"]["object"].clone();
    assert_eq!(created["current_period_end"], NOW + 30 * DAY);
    assert_eq!(created["items"]["data"][0].get("current_period_end"), None);
    let invoice = world.event().await["data"]["object"].clone();
    assert_eq!((&invoice["subscription"], &invoice["paid"]), (&created["id"], &json!(true)));
    assert!(text(&invoice["payment_intent"]).starts_with("pi_") && text(&invoice["charge"]).starts_with("ch_"));
    let url = format!("{}/v1/subscriptions/{}", world.stripe.url(), text(&created["id"]));
    let new = world.client.get(url).bearer_auth("sk_test_x").header("stripe-version", "2025-09-30.clover");
    let answer = new.send().await.unwrap();
    assert_eq!(answer.headers()["stripe-version"], "2025-09-30.clover");
    let subscription: Value = answer.json().await.unwrap();
    assert_eq!(subscription.get("current_period_end"), None);
    assert_eq!(subscription["items"]["data"][0]["current_period_end"], NOW + 30 * DAY);
}

#[tokio::test]
async fn a_stopped_server_answers_nothing() {
    let world = World::new().await;
    let url = world.stripe.url().to_owned();
    world.get("/v1/prices").await;
    world.stripe.stop().await;
    assert!(world.client.get(url).send().await.is_err_and(|error| error.is_connect()));
}

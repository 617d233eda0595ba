//! What a customer does, from the first request to the last, over real HTTP.

use platform::telemetry;
use reqwest::Method;
use serde_json::{Value, json};

use crate::buyer::{Buyer, Records};
use crate::home::{Home, PASSWORD, send};
use crate::receiver::Receiver;

const EMAIL: &str = "ada@example.com";

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

/// Somebody registers, verifies the address and logs in.
async fn sign_up(home: &Home) -> Value {
    let wish = json!({ "email": EMAIL, "password": PASSWORD, "name": "Ada" });
    send(home.ask(Method::POST, "/v1/auth/register").json(&wish)).await.expect(202);
    home.work().await;
    let mail = home.house.mailbox.to(EMAIL).first().expect("a mail").mail.text.clone();
    let token = mail.split_once("token=").expect("a link").1.split_whitespace().next().expect("a token");
    send(home.ask(Method::POST, "/v1/auth/verify-email").json(&json!({ "token": token }))).await.expect(204);
    let credentials = json!({ "email": EMAIL, "password": PASSWORD });
    send(home.ask(Method::POST, "/v1/auth/login").json(&credentials)).await.expect(200)
}

/// The session is refreshed and ended, and then no token of it lets anybody in.
async fn leave(home: &Home, tokens: &Value) {
    let refresh = json!({ "refresh_token": tokens["refresh_token"] });
    let fresh = send(home.ask(Method::POST, "/v1/auth/refresh").json(&refresh)).await.expect(200);
    let (old, fresh) = (text(&tokens["access_token"]), text(&fresh["access_token"]));
    send(home.ask(Method::POST, "/v1/auth/logout").bearer_auth(&fresh)).await.expect(204);
    for token in [old, fresh] {
        let (status, code, _) = send(home.ask(Method::GET, "/v1/me").bearer_auth(token)).await.problem();
        assert_eq!((status, code.as_str()), (401, "invalid_token"));
    }
}

#[tokio::test]
async fn a_person_signs_up_subscribes_pays_and_their_receiver_is_told_once() {
    let (home, payments) = Home::open_with_payments().await;
    let control = payments.control();
    let (receiver, hook) = Receiver::open().await;
    let tokens = sign_up(&home).await;
    let access = text(&tokens["access_token"]);
    let create = home.ask(Method::POST, "/v1/organizations").bearer_auth(&access).json(&json!({ "name": "Acme" }));
    let buyer = Buyer::new(&home.api, &access, text(&send(create).await.expect(201)["id"]));
    let (endpoint, secret) = buyer.listen_at(&hook).await;
    home.work().await;

    let operation = pay_on_the_page(&home, &buyer).await;
    control.delivered().await;
    let stored = Records::of(&mut home.owner().await).await;
    assert_eq!((stored.inbox, stored.jobs, stored.subscriptions.len()), (3, 3, 0), "{stored:?}");
    assert_eq!(buyer.plan().await, "free", "only an applied event grants something");

    home.work().await;
    let subscription = buyer.get("/billing/subscription").await;
    assert_eq!((&subscription["plan"], &subscription["status"]), (&json!("team"), &json!("active")), "{subscription}");
    assert_eq!((&subscription["quantity"], &subscription["access"]), (&json!(3), &json!("full")), "{subscription}");
    assert_eq!(buyer.plan().await, "team");
    let operation = buyer.get(&format!("/billing/operations/{operation}")).await;
    assert_eq!(operation["state"], "succeeded", "{operation}");
    let arrived = receiver.received();
    assert_eq!(arrived.len(), 1, "one message for one change");
    arrived[0].verify(&secret);
    let message: Value = serde_json::from_slice(&arrived[0].body).expect("JSON");
    assert_eq!((&message["type"], &message["data"]["plan"]), (&json!("billing.subscription.updated"), &json!("team")));
    let applied = Records::of(&mut home.owner().await).await;
    assert_eq!((applied.inbox, applied.jobs, applied.dead, applied.messages), (3, 0, 0, 1), "{applied:?}");
    assert_eq!(applied.subscriptions.len(), 1, "{applied:?}");

    for event in control.events() {
        let copies = control.resend(&text(&event["id"]), 5).await.expect("a known event");
        assert!(copies.iter().all(|copy| copy.status == Some(200)), "{copies:?}");
    }
    home.work().await;
    assert_eq!(Records::of(&mut home.owner().await).await, applied, "the same events again change nothing");
    assert_eq!(buyer.get("/billing/subscription").await, subscription);
    let deliveries = buyer.get(&format!("/webhook-endpoints/{endpoint}/deliveries")).await;
    assert_eq!(deliveries["data"].as_array().map(Vec::len), Some(1), "{deliveries}");
    assert_eq!(receiver.received().len(), 1);
    leave(&home, &tokens).await;
}

/// Opens a checkout and pays as a browser does. Gives the operation.
async fn pay_on_the_page(home: &Home, buyer: &Buyer) -> String {
    let opened = buyer.open_checkout("first").await.expect(201);
    assert_eq!(buyer.open_checkout("first").await.expect(201), opened, "the same key opens the same page");
    let page = text(&opened["url"]);
    let shown = send(home.client.get(&page)).await;
    assert!(shown.text.contains("Team") && shown.text.contains("€57.00"), "{}", shown.text);
    let form = home.client.post(format!("{page}/pay")).header("content-type", "application/x-www-form-urlencoded");
    let paid = send(form.body("card=good")).await;
    assert_eq!(
        (paid.status.as_u16(), paid.headers["location"].to_str().ok()),
        (303, Some("http://localhost:8080/paid"))
    );
    text(&opened["id"])
}

#[tokio::test]
async fn a_person_signs_up_and_their_receiver_hears_of_a_renamed_organization() {
    let home = Home::open().await;
    let (receiver, url) = Receiver::open().await;

    let tokens = sign_up(&home).await;
    let access = text(&tokens["access_token"]);

    let create = home.ask(Method::POST, "/v1/organizations").bearer_auth(&access).header("idempotency-key", "first");
    let organization = send(create.json(&json!({ "name": "Acme" }))).await.expect(201);
    let path = format!("/v1/organizations/{}", text(&organization["id"]));
    home.work().await;

    let endpoint = json!({ "url": url, "event_types": ["organization.updated"] });
    let create = home.ask(Method::POST, &format!("{path}/webhook-endpoints")).bearer_auth(&access);
    let endpoint = send(create.json(&endpoint)).await.expect(201);
    let secret = text(&endpoint["secret"]);

    let rename = home.ask(Method::PATCH, &path).bearer_auth(&access).header("x-request-id", "rename-1");
    send(rename.json(&json!({ "name": "Acme & Daughters" }))).await.expect(200);
    home.work().await;

    let arrived = receiver.received();
    assert_eq!(arrived.len(), 1, "one message for one fact");
    arrived[0].verify(&secret);
    assert_eq!(arrived[0].headers["x-request-id"], "rename-1");
    let message: Value = serde_json::from_slice(&arrived[0].body).expect("JSON");
    assert_eq!(message["type"], "organization.updated");
    assert_eq!(message["data"]["name"], "Acme & Daughters");

    let deliveries = format!("{path}/webhook-endpoints/{}/deliveries", text(&endpoint["id"]));
    let page = send(home.ask(Method::GET, &deliveries).bearer_auth(&access)).await.expect(200);
    let delivery = format!("{path}/deliveries/{}", text(&page["data"][0]["id"]));
    let shown = send(home.ask(Method::GET, &delivery).bearer_auth(&access)).await.expect(200);
    assert_eq!(shown["attempts"].as_array().map(Vec::len), Some(1), "{shown}");

    leave(&home, &tokens).await;
}

#[tokio::test]
async fn operators_see_probes_metrics_and_documents_that_the_public_does_not() {
    let home = Home::open().await;
    for path in ["/livez", "/readyz", "/startupz", "/metrics", "/docs/", "/openapi/v1.json"] {
        let answer = send(home.client.get(format!("{}{path}", home.operations))).await;
        assert_eq!(answer.status.as_u16(), 200, "{path}");
    }
    for path in ["/livez", "/readyz"] {
        send(home.ask(Method::GET, path)).await.expect(200);
    }
    for path in ["/startupz", "/metrics", "/docs", "/docs/", "/openapi/v1.json", "/dev/mail"] {
        assert_eq!(send(home.ask(Method::GET, path)).await.problem().0, 404, "{path}");
    }
    let metrics = send(home.client.get(format!("{}/metrics", home.operations))).await.text;
    for name in ["http_requests_total", "db_connections", "process_resident_memory_bytes"] {
        assert!(metrics.contains(name), "{name}");
    }
}

#[tokio::test]
async fn a_panic_is_answered_as_a_problem_without_its_text() {
    telemetry::metrics_handle();
    let routes = axum::Router::new().route("/panic", axum::routing::get(panics));
    let client = test_support::ApiClient::new(test_support::stack(test_support::People::default()).wrap(routes));
    let answer = client.get("/panic").send().await;
    answer.expect_problem(500, "internal");
    assert!(!answer.text.contains("the secret cause"));
    assert!(telemetry::render().contains("http_panics_total"));
}

async fn panics() -> &'static str {
    panic!("the secret cause")
}

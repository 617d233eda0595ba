//! What a customer does, from the first request to the last, over real HTTP.

use platform::telemetry;
use reqwest::Method;
use serde_json::{Value, json};

use crate::home::{Home, PASSWORD, send};
use crate::receiver::Receiver;

const EMAIL: &str = "ada@example.com";

fn text(value: &Value) -> String {
    value.as_str().unwrap_or_else(|| panic!("no text: {value}")).to_owned()
}

#[tokio::test]
async fn a_person_signs_up_and_their_receiver_hears_of_a_renamed_organization() {
    let home = Home::open().await;
    let (receiver, url) = Receiver::open().await;

    let wish = json!({ "email": EMAIL, "password": PASSWORD, "name": "Ada" });
    send(home.ask(Method::POST, "/v1/auth/register").json(&wish)).await.expect(202);
    home.work().await;
    let mail = home.house.mailbox.to(EMAIL).first().expect("a mail").mail.text.clone();
    let token = mail.split_once("token=").expect("a link").1.split_whitespace().next().expect("a token");
    send(home.ask(Method::POST, "/v1/auth/verify-email").json(&json!({ "token": token }))).await.expect(204);

    let credentials = json!({ "email": EMAIL, "password": PASSWORD });
    let tokens = send(home.ask(Method::POST, "/v1/auth/login").json(&credentials)).await.expect(200);
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

    let refresh = json!({ "refresh_token": tokens["refresh_token"] });
    let tokens = send(home.ask(Method::POST, "/v1/auth/refresh").json(&refresh)).await.expect(200);
    let fresh = text(&tokens["access_token"]);
    send(home.ask(Method::POST, "/v1/auth/logout").bearer_auth(&fresh)).await.expect(204);
    for token in [access, fresh] {
        let (status, code, _) = send(home.ask(Method::GET, "/v1/me").bearer_auth(token)).await.problem();
        assert_eq!((status, code.as_str()), (401, "invalid_token"));
    }
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

//! What is wrong with a request is said by status, code and field, over real HTTP.

use reqwest::Method;
use serde_json::json;

use crate::home::{Answer, Home, Person, send};

async fn post(home: &Home, person: &Person, path: &str, content_type: &str, body: impl Into<reqwest::Body>) -> Answer {
    let ask = home.ask(Method::POST, path).bearer_auth(&person.token).header("content-type", content_type);
    send(ask.body(body)).await
}

/// Status, code and `(field, code)` of each field at fault.
type Outcome = (u16, String, Vec<(String, String)>);

fn outcome(answer: &Answer) -> Outcome {
    answer.problem()
}

fn expected(status: u16, code: &str, fields: &[(&str, &str)]) -> Outcome {
    let fields = fields.iter().map(|(field, code)| ((*field).to_owned(), (*code).to_owned())).collect();
    (status, code.to_owned(), fields)
}

#[tokio::test]
async fn bad_bodies_are_problems_with_field_and_code() {
    let home = Home::open().await;
    let person = home.person("ada@example.com").await;
    let nested = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let cases: Vec<(&str, &str, Outcome)> = vec![
        ("{\"name\":", "application/json", expected(400, "malformed_json", &[])),
        ("{\"name\":\"x\"} trailing", "application/json", expected(400, "malformed_json", &[])),
        ("{\"name\":1e400}", "application/json", expected(400, "malformed_json", &[])),
        ("{\"name\":\"\\ud800\"}", "application/json", expected(400, "malformed_json", &[])),
        (
            "{\"name\":18446744073709551616}",
            "application/json",
            expected(422, "invalid_request", &[("name", "wrong_type")]),
        ),
        ("{\"name\":5}", "application/json", expected(422, "invalid_request", &[("name", "wrong_type")])),
        ("{}", "application/json", expected(422, "invalid_request", &[("name", "required")])),
        (
            "{\"name\":\"x\",\"name\":\"y\"}",
            "application/json",
            expected(422, "invalid_request", &[("name", "duplicate_field")]),
        ),
        ("{\"name\":\"x\",\"id\":1}", "application/json", expected(422, "invalid_request", &[("id", "unknown_field")])),
        (
            "{\"name\":\"a\\u0000b\"}",
            "application/json",
            expected(422, "invalid_request", &[("name", "control_character")]),
        ),
        ("{\"name\":\"\"}", "application/json", expected(422, "invalid_request", &[("name", "too_short")])),
        ("{\"name\":\"   \"}", "application/json", expected(422, "invalid_request", &[("name", "blank")])),
        ("{\"name\":\"x\"}", "text/plain", expected(415, "unsupported_media_type", &[])),
        ("{\"name\":\"x\"}", "application/json; charset=utf-16", expected(415, "unsupported_media_type", &[])),
    ];
    for (body, content_type, wanted) in cases {
        let answer = post(&home, &person, "/v1/organizations", content_type, body.to_owned()).await;
        assert_eq!(outcome(&answer), wanted, "{body}");
    }
    let answer = post(&home, &person, "/v1/organizations", "application/json", nested).await;
    assert!(matches!(outcome(&answer).0, 400 | 413), "{answer:?}");
}

#[tokio::test]
async fn every_broken_field_is_named_at_once() {
    let home = Home::open().await;
    let body = json!({ "email": "x", "password": "short", "name": "" });
    let answer = send(home.ask(Method::POST, "/v1/auth/register").json(&body)).await;
    let fields = [("email", "too_short"), ("name", "too_short"), ("password", "too_short")];
    assert_eq!(outcome(&answer), expected(422, "invalid_request", &fields));
}

#[tokio::test]
async fn oversized_and_compressed_bodies_are_refused() {
    let home = Home::open().await;
    let person = home.person("ada@example.com").await;
    let body = |size: usize| format!("{{\"name\":\"{}\"}}", "x".repeat(size));
    let too_large = expected(413, "body_too_large", &[]);
    let json = "application/json";
    assert_eq!(outcome(&post(&home, &person, "/v1/organizations", json, body(70_000)).await), too_large);
    assert_eq!(
        outcome(&post(&home, &person, "/v1/auth/login", json, body(9_000)).await),
        too_large,
        "8 KiB below /v1/auth"
    );
    let chunks: Vec<Result<Vec<u8>, std::io::Error>> = (0..80).map(|_| Ok(vec![b' '; 1024])).collect();
    let chunked = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    assert_eq!(outcome(&post(&home, &person, "/v1/organizations", json, chunked).await), too_large, "chunked");
    let ask = home.ask(Method::POST, "/v1/organizations").bearer_auth(&person.token).header("content-type", json);
    let compressed = send(ask.header("content-encoding", "gzip").body("x")).await;
    assert_eq!(outcome(&compressed), expected(415, "unsupported_media_type", &[]));
}

#[tokio::test]
async fn bad_paths_cursors_limits_and_methods_are_refused() {
    let home = Home::open().await;
    let person = home.person("ada@example.com").await;
    let get = |path: String| send(home.ask(Method::GET, &path).bearer_auth(&person.token));
    for path in
        ["/v1/organizations/not-an-id", "/v1/organizations/%00", "/v1/nothing", "/v1/organizations/..%2f..", "//v1/me"]
    {
        assert_eq!(outcome(&get(path.to_owned()).await), expected(404, "not_found", &[]), "{path}");
    }
    let limit = expected(422, "invalid_request", &[("limit", "out_of_range")]);
    for value in ["0", "-1", "101", "1000000000", "abc"] {
        assert_eq!(outcome(&get(format!("/v1/organizations?limit={value}")).await), limit, "{value}");
    }
    let twice = expected(422, "invalid_request", &[("limit", "repeated")]);
    assert_eq!(outcome(&get("/v1/organizations?limit=1&limit=2".to_owned()).await), twice);
    let cursor = expected(400, "invalid_cursor", &[("cursor", "invalid_cursor")]);
    assert_eq!(outcome(&get("/v1/organizations?cursor=AAAA".to_owned()).await), cursor);
    let wrong = send(home.ask(Method::PUT, "/v1/event-types").bearer_auth(&person.token)).await;
    assert_eq!(outcome(&wrong), expected(405, "method_not_allowed", &[]));
    assert_eq!(wrong.headers["allow"], "GET,HEAD");
    let overridden =
        home.ask(Method::GET, "/v1/me").bearer_auth(&person.token).header("x-http-method-override", "DELETE");
    send(overridden).await.expect(200);
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused_by_us() {
    let home = Home::open().await;
    let long = send(home.ask(Method::GET, &format!("/v1/event-types?x={}", "a".repeat(10_000)))).await;
    assert_eq!(outcome(&long), expected(414, "uri_too_long", &[]));
    let mut many = home.ask(Method::GET, "/v1/event-types");
    for number in 0..65 {
        many = many.header(format!("x-{number}"), "1");
    }
    assert_eq!(outcome(&send(many).await), expected(431, "headers_too_large", &[]));
    let large = home.ask(Method::GET, "/v1/event-types").header("x-large", "a".repeat(20_000));
    assert_eq!(outcome(&send(large).await), expected(431, "headers_too_large", &[]));
}

#[tokio::test]
async fn every_answer_carries_the_protective_headers_and_a_request_id() {
    let home = Home::open().await;
    for path in ["/v1/event-types", "/v1/me", "/nothing"] {
        let answer =
            send(home.ask(Method::GET, path).header("x-request-id", "mine-1").header("origin", "https://evil.example"))
                .await;
        assert_eq!(answer.headers["x-request-id"], "mine-1", "{path}");
        assert_eq!(answer.headers["x-content-type-options"], "nosniff", "{path}");
        assert_eq!(answer.headers["referrer-policy"], "no-referrer", "{path}");
        assert_eq!(answer.headers["content-security-policy"], "default-src 'none'; frame-ancestors 'none'", "{path}");
        for absent in ["server", "access-control-allow-origin", "x-powered-by"] {
            assert!(!answer.headers.contains_key(absent), "{path}: {absent}");
        }
    }
}

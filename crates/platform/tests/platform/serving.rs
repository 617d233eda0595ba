//! The serving loop and the stack on real sockets: who stalls, who hangs up, too many at once, and the end.

use std::io;

use chrono::DateTime;
use platform::http::{Deprecation, Document, Problem, Routes};
use platform::telemetry::{self, LogFormat, TelemetryConfig};
use serde_json::Value;
use tokio::sync::mpsc;
use tracing::subscriber::{DefaultGuard, set_default};

use crate::site::{Site, request, until_closed, within};

const PREFACE: &str = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

#[tokio::test]
async fn who_sends_no_request_is_closed_while_others_are_served() {
    let site = Site::open(|server, _| server.read_timeout_ms = 150).await;
    for beginning in ["", "PRI", PREFACE, "GET / HTTP/1.1\r\nhost: loc"] {
        let silent = site.send(beginning).await;
        assert_eq!(site.get("/").await.text, "here", "beside {beginning:?}");
        let answer = until_closed(silent).await;
        assert!(!answer.contains("200"), "{beginning:?} is no request: {answer}");
    }
}

#[tokio::test]
async fn half_a_head_is_closed_by_its_own_deadline() {
    let site = Site::open(|server, _| server.header_timeout_ms = 150).await;
    let slow = site.send("GET / HTTP/1.1\r\nhost: loc").await;
    assert_eq!(site.get("/").await.text, "here");
    assert!(!until_closed(slow).await.contains("200"));
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_its_answer() {
    let site = Site::open(|server, _| server.header_timeout_ms = 150).await;
    let idle = site.send("GET / HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    let answer = until_closed(idle).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("here"), "{answer}");
}

#[tokio::test]
async fn who_does_not_take_the_answer_gives_up_the_place() {
    let site = Site::open(|server, _| (server.write_timeout_ms, server.max_connections) = (150, 1)).await;
    let deaf = site.send("GET /endless HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    // There is one place, so this is answered only once the other is closed.
    assert_eq!(site.get("/").await.text, "here");
    drop(deaf);
}

#[tokio::test]
async fn a_body_that_never_comes_ends_in_503_and_a_closed_connection() {
    let site = Site::open(|_, stack| stack.request_timeout_ms = 150).await;
    let slow = site.send("POST /echo HTTP/1.1\r\nhost: localhost\r\ncontent-length: 10\r\n\r\nhalf").await;
    let answer = until_closed(slow).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    assert!(answer.contains("retry-after: 1\r\n") && answer.contains("\"code\":\"unavailable\""), "{answer}");
}

#[tokio::test]
async fn more_than_fit_are_turned_away_and_probes_still_answer() {
    let mut site = Site::open(|_, stack| stack.max_in_flight = 2).await;
    let wait = "GET /wait HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let mut waiting = Vec::new();
    for _ in 0..2 {
        waiting.push(site.send(wait).await);
        site.entered().await;
    }
    for path in ["/", "/wait", "/nowhere"] {
        let refused = site.get(path).await;
        refused.expect_problem(503, "unavailable");
        assert_eq!(refused.header("retry-after"), "1");
    }
    assert_eq!(site.get("/livez").await.text, "ok");
    assert_eq!(site.get("/readyz").await.expect(200)["status"], "ready");
    for request in waiting {
        site.release.notify_one();
        assert!(until_closed(request).await.ends_with("released"));
    }
    assert_eq!(site.get("/").await.text, "here");
}

#[tokio::test]
async fn a_shutdown_lets_the_running_request_finish_and_takes_no_new_ones() {
    let mut site = Site::open(|_, _| {}).await;
    let idle = site.send("").await;
    let running = site.send("GET /wait HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    site.entered().await;
    site.shutdown.begin();
    site.refuses().await;
    assert_eq!(until_closed(idle).await, "");
    site.release.notify_one();
    let answer = until_closed(running).await;
    assert!(answer.starts_with("HTTP/1.1 200") && answer.ends_with("released"), "{answer}");
    assert!(answer.contains("connection: close\r\n"), "{answer}");
    site.ended().await;
}

#[tokio::test]
async fn readiness_says_no_before_the_listener_closes() {
    let site = Site::open(|server, _| server.readiness_grace_ms = 120_000).await;
    site.shutdown.begin();
    let answer = site.get("/readyz").await;
    assert_eq!(answer.expect(503)["status"], "draining");
    assert_eq!(site.get("/livez").await.text, "ok");
    assert_eq!(site.get("/").await.text, "here");
}

#[tokio::test]
async fn a_request_that_does_not_finish_holds_the_end_up_only_for_the_drain_time() {
    let mut site = Site::open(|server, _| server.drain_ms = 100).await;
    let running = site.send("GET /wait HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    site.entered().await;
    site.shutdown.begin();
    site.ended().await;
    drop(running);
}

#[tokio::test]
async fn head_answers_like_get_without_the_body() {
    let site = Site::open(|_, _| {}).await;
    let (get, head) = (site.get("/").await, site.ask(request("HEAD", "/")).await);
    assert_eq!((head.status, head.text.as_str()), (get.status, ""));
    for name in ["content-length", "content-type", "cache-control", "x-content-type-options"] {
        assert_eq!(head.header(name), get.header(name), "{name}");
    }
}

#[tokio::test]
async fn a_wrong_method_is_told_the_right_ones() {
    let site = Site::open(|_, _| {}).await;
    let refused = site.ask(request("DELETE", "/")).await;
    refused.expect_problem(405, "method_not_allowed");
    assert_eq!(refused.header("allow"), "GET,HEAD");
    site.get("/nowhere").await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn http2_is_spoken_to_who_begins_with_it() {
    let site = Site::open(|_, _| {}).await;
    let (one, other) = site.get_twice_over_http2("/").await;
    for answer in [&one, &other] {
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (200, "here"));
    }
    assert_ne!(one.header("x-request-id"), other.header("x-request-id"));
}

#[tokio::test]
async fn an_invented_method_makes_no_label_of_its_own() {
    telemetry::metrics_handle();
    let site = Site::open(|_, _| {}).await;
    site.ask(request("AAA1", "/")).await.expect_problem(405, "method_not_allowed");
    let page = telemetry::render();
    assert!(page.contains("method=\"other\"") && !page.contains("AAA1"), "{page}");
}

#[tokio::test]
async fn a_request_keeps_its_id_unless_it_is_malformed() {
    let site = Site::open(|_, _| {}).await;
    let answered_with = async |sent: &str| {
        let mut request = request("GET", "/nowhere");
        request.headers_mut().insert("x-request-id", sent.parse().expect("a header"));
        let answer = site.ask(request).await;
        answer.expect_problem(404, "not_found");
        answer.header("x-request-id").to_owned()
    };
    assert_eq!(answered_with("order-17.a_b").await, "order-17.a_b");
    for malformed in ["a b", "a\"b", "{}", &"x".repeat(65)] {
        let made = answered_with(malformed).await;
        assert!(made.len() == 32 && made.bytes().all(|byte| byte.is_ascii_hexdigit()), "{made}");
    }
}

#[tokio::test]
async fn every_request_is_told_once_and_so_is_who_hangs_up() {
    let (mut lines, _logging) = Lines::start();
    let mut site = Site::open(|_, _| {}).await;
    let with_id = |path, id: &'static str| {
        let mut request = request("GET", path);
        request.headers_mut().insert("x-request-id", id.parse().expect("a header"));
        request
    };
    assert_eq!(site.ask(with_id("/", "served")).await.text, "here");
    site.ask(with_id("/nowhere", "lost")).await.expect_problem(404, "not_found");
    let impatient = site.send("GET /wait HTTP/1.1\r\nhost: localhost\r\nx-request-id: impatient\r\n\r\n").await;
    site.entered().await;
    drop(impatient);
    let mut told = Vec::new();
    for _ in 0..3 {
        let line = lines.next_access().await;
        told.push((line["request_id"].clone(), line["route"].clone(), line["status"].clone()));
    }
    let expected = [("served", "/", 200), ("lost", "unmatched", 404), ("impatient", "/wait", 499)];
    assert_eq!(told, expected.map(|(id, route, status)| (id.into(), route.into(), status.into())));
    site.shutdown.begin();
    site.ended().await;
    assert_eq!(lines.rest_of_access(), Vec::<Value>::new());
}

#[tokio::test]
async fn a_deprecated_operation_says_so_in_every_answer_and_in_the_document() {
    let (router, document) = versions().split("test", "1");
    let site = Site::open_with(router, |_, _| {}).await;
    for (path, status) in [("/v1/things", 200), ("/v1/broken", 404)] {
        let answer = site.get(path).await;
        assert_eq!(answer.status.as_u16(), status, "{}", answer.text);
        assert_eq!(answer.header("deprecation"), "@1767225600");
        assert_eq!(answer.header("sunset"), "Fri, 01 Jan 2027 00:00:00 GMT");
        assert_eq!(answer.header("link"), "</v2/things>; rel=\"successor-version\"");
    }
    let successor = site.get("/v2/things").await;
    assert_eq!((successor.header("deprecation"), successor.header("sunset"), successor.header("link")), ("", "", ""));
    let marked = |document: &Document, path: &str| document.value()["paths"][path]["get"]["deprecated"].clone();
    assert_eq!(marked(&document, "/v1/things"), true);
    assert_eq!(marked(&document, "/v1/broken"), true);
    assert_eq!(marked(&document, "/v2/things"), Value::Null);
}

fn versions() -> Routes {
    let deprecation = Deprecation {
        since: test_support::start_of_time(),
        sunset: DateTime::from_timestamp(1_798_761_600, 0).expect("2027-01-01"),
        successor: "/v2/things",
    };
    let old = Routes::new().with(utoipa_axum::routes!(things)).with(utoipa_axum::routes!(broken));
    let new = Routes::new().with(utoipa_axum::routes!(things));
    Routes::new().nest("/v1", old.deprecated(deprecation)).nest("/v2", new)
}

/// Things.
#[utoipa::path(get, path = "/things", responses((status = 200, description = "Things.")))]
async fn things() -> &'static str {
    "things"
}

/// Nothing.
#[utoipa::path(get, path = "/broken", responses((status = 200, description = "Never.")))]
async fn broken() -> Problem {
    Problem::not_found()
}

/// Log lines as they are written.
struct Lines(mpsc::UnboundedReceiver<Value>);

impl Lines {
    /// Reads this thread's lines, on which the whole test runs, until the guard is dropped.
    fn start() -> (Self, DefaultGuard) {
        let (writer, lines) = mpsc::unbounded_channel();
        let filter = "info".to_owned();
        let config = TelemetryConfig { format: LogFormat::Json, filter, otlp_endpoint: None, trace_share: 1.0 };
        let subscriber = telemetry::subscriber(&config, move || Pen(writer.clone())).expect("a valid filter");
        (Self(lines), set_default(subscriber))
    }

    async fn next_access(&mut self) -> Value {
        loop {
            let line = within(self.0.recv()).await.expect("the guard lives");
            if line["target"] == "access" {
                return line;
            }
        }
    }

    fn rest_of_access(&mut self) -> Vec<Value> {
        std::iter::from_fn(|| self.0.try_recv().ok()).filter(|line| line["target"] == "access").collect()
    }
}

/// Writes each line, which comes in one piece, into the channel.
struct Pen(mpsc::UnboundedSender<Value>);

impl io::Write for Pen {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // Nobody reads once the test is over.
        let _ = self.0.send(serde_json::from_slice(line)?);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

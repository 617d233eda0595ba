//! A stand-in with everybody around it: a caller, a browser, a receiver of events.

use std::net::Ipv4Addr;
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use chrono::DateTime;
use dev_stripe::{Control, Interval, Options, PriceSpec, Running, StripeServer, Time};
use reqwest::{Client, Method, Response};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

/// 2023-11-14, for every test.
pub(crate) const NOW: i64 = 1_700_000_000;
pub(crate) const DAY: i64 = 24 * 60 * 60;
pub(crate) const SECRET: &str = "whsec_test";

/// A stand-in, somebody who calls it, and somebody who hears its events.
pub(crate) struct World {
    pub(crate) stripe: Running,
    pub(crate) client: Client,
    pub(crate) events: mpsc::UnboundedReceiver<(String, Vec<u8>)>,
    _receiver: JoinSet<()>,
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Options)) -> Self {
        let (tell, events) = mpsc::unbounded_channel();
        let hear = move |headers: HeaderMap, body: Bytes| {
            let header = headers["stripe-signature"].to_str().expect("a signature").to_owned();
            let heard = tell.send((header, body.to_vec()));
            async move { if heard.is_ok() { StatusCode::OK } else { StatusCode::GONE } }
        };
        let listener = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.expect("a port");
        let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
        let mut receiver = JoinSet::new();
        receiver.spawn(async move {
            axum::serve(listener, Router::new().route("/hook", post(hear))).await.expect("serving");
        });
        let mut options = options(&url);
        change(&mut options);
        let stripe = StripeServer::start(options).await.expect("a stand-in");
        #[expect(clippy::disallowed_methods, reason = "a stranger calls with a client of its own")]
        let client =
            Client::builder().no_proxy().redirect(reqwest::redirect::Policy::none()).build().expect("a client");
        Self { stripe, client, events, _receiver: receiver }
    }

    pub(crate) fn control(&self) -> &Control {
        self.stripe.control()
    }

    pub(crate) async fn send(&self, method: Method, path: &str, form: &str, key: Option<&str>) -> Response {
        let call = self.client.request(method, format!("{}{path}", self.stripe.url())).bearer_auth("sk_test_x");
        let call = call.header("content-type", "application/x-www-form-urlencoded").body(form.to_owned());
        let call = if let Some(key) = key { call.header("idempotency-key", key) } else { call };
        call.send().await.expect("an answer")
    }

    pub(crate) async fn call(&self, method: Method, path: &str, form: &str) -> (u16, Value) {
        let answer = self.send(method, path, form, None).await;
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    }

    pub(crate) async fn get(&self, path: &str) -> Value {
        let (status, body) = self.call(Method::GET, path, "").await;
        assert_eq!(status, 200, "{body}");
        body
    }

    pub(crate) async fn session(&self, more: &str) -> String {
        let form = format!(
            "mode=subscription&line_items[0][price]=price_pro&line_items[0][quantity]=3&client_reference_id=org-1\
             &success_url=http://app.test/done?s={{CHECKOUT_SESSION_ID}}&cancel_url=http://app.test/back{more}"
        );
        let (status, session) = self.call(Method::POST, "/v1/checkout/sessions", &form).await;
        assert_eq!(status, 200, "{session}");
        session["id"].as_str().expect("a text").to_owned()
    }

    /// Buys three of the monthly plan and gives the subscription.
    pub(crate) async fn subscribed(&mut self) -> String {
        let session = self.session("").await;
        self.control().pay(&session).expect("an open session");
        self.heard(3).await;
        self.control().object(&session).expect("the session")["subscription"].as_str().expect("a text").to_owned()
    }

    /// The next events: their types.
    pub(crate) async fn heard(&mut self, count: usize) -> Vec<String> {
        let mut types = Vec::new();
        for _ in 0..count {
            types.push(self.event().await["type"].as_str().expect("a text").to_owned());
        }
        types
    }

    pub(crate) async fn event(&mut self) -> Value {
        let (header, body) = self.events.recv().await.expect("an event");
        assert_eq!(header, format!("t={NOW},v1={}", hmac(SECRET, NOW, &body)));
        serde_json::from_slice(&body).expect("JSON")
    }
}

pub(crate) fn options(url: &str) -> Options {
    let price = |id: &str, product: &str, unit_amount, interval| PriceSpec {
        id: id.to_owned(),
        product: product.to_owned(),
        currency: "eur".to_owned(),
        unit_amount,
        interval,
        active: true,
    };
    let mut options = Options::new(url, SECRET, "sk_test_x");
    options.prices =
        vec![price("price_pro", "Pro <b>", 1_200, Interval::Month), price("price_max", "Max", 9_900, Interval::Month)];
    options.retry_delays = vec![Duration::from_millis(1); 2];
    options.time = Time::from_fn(|| DateTime::from_timestamp(NOW, 0).expect("a date"));
    options
}

/// RFC 2104, written down once more.
pub(crate) fn hmac(secret: &str, timestamp: i64, body: &[u8]) -> String {
    let mut block = [0_u8; 64];
    block[..secret.len()].copy_from_slice(secret.as_bytes());
    let text = [format!("{timestamp}.").as_bytes(), body].concat();
    let inner = Sha256::digest([&block.map(|byte| byte ^ 0x36)[..], &text].concat());
    let outer = Sha256::digest([&block.map(|byte| byte ^ 0x5c)[..], &inner].concat());
    let hex = |byte: &u8| [byte >> 4, byte & 15].map(|digit| char::from_digit(digit.into(), 16).expect("a digit"));
    outer.iter().flat_map(hex).collect()
}

/// A text in an answer.
pub(crate) fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt;
use serde_json::Value;
use tower::ServiceExt;

/// Talks to a router the way a client would, without a socket.
#[derive(Clone)]
pub struct ApiClient {
    router: Router,
}

impl ApiClient {
    /// A client of this router.
    #[must_use]
    pub fn new(router: Router) -> Self {
        Self { router }
    }

    /// A GET.
    #[must_use]
    pub fn get(&self, path: &str) -> Ask {
        self.ask(Method::GET, path)
    }

    /// A POST with a JSON body.
    #[must_use]
    pub fn post(&self, path: &str, body: &Value) -> Ask {
        self.ask(Method::POST, path).json(body)
    }

    /// A PATCH with a JSON body.
    #[must_use]
    pub fn patch(&self, path: &str, body: &Value) -> Ask {
        self.ask(Method::PATCH, path).json(body)
    }

    /// A DELETE.
    #[must_use]
    pub fn delete(&self, path: &str) -> Ask {
        self.ask(Method::DELETE, path)
    }

    /// Any method, without a body; from this machine unless said.
    #[must_use]
    pub fn ask(&self, method: Method, path: &str) -> Ask {
        let request = Request::builder().method(method).uri(path);
        Ask { router: self.router.clone(), request, body: Body::empty() }.from_peer(Ipv4Addr::LOCALHOST.into())
    }
}

/// A request that is being put together.
pub struct Ask {
    router: Router,
    request: axum::http::request::Builder,
    body: Body,
}

impl Ask {
    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.request = self.request.header(name, value);
        self
    }

    /// Comes from another address, as the serving loop would tell.
    #[must_use]
    pub fn from_peer(mut self, address: IpAddr) -> Self {
        self.request = self.request.extension(ConnectInfo(SocketAddr::new(address, 4711)));
        self
    }

    /// Sends an access token along.
    #[must_use]
    pub fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    /// Sends a JSON body.
    #[must_use]
    pub fn json(self, body: &Value) -> Self {
        self.header("content-type", "application/json").body(body.to_string())
    }

    /// Sends any body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Body>) -> Self {
        self.body = body.into();
        self
    }

    /// Sends it and reads the whole answer.
    ///
    /// # Panics
    /// When the request is malformed or the answer cannot be read.
    pub async fn send(self) -> Answer {
        let request = self.request.body(self.body).expect("a well-formed request");
        let response = self.router.oneshot(request).await.expect("routers answer everything");
        let (parts, body) = response.into_parts();
        let bytes = body.collect().await.expect("a readable body").to_bytes();
        let text = String::from_utf8_lossy(&bytes).into_owned();
        Answer { status: parts.status, headers: parts.headers, text }
    }
}

/// An answer, read to its end.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as text.
    pub text: String,
}

impl Answer {
    /// The body as JSON, having checked the status.
    ///
    /// # Panics
    /// When the status is another or the body is not JSON.
    #[must_use]
    #[track_caller]
    pub fn expect(&self, status: u16) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text);
        if self.text.is_empty() { Value::Null } else { self.json() }
    }

    /// The body as JSON.
    ///
    /// # Panics
    /// When it is not JSON.
    #[must_use]
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    /// A header's text, empty when it is missing.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Checks that this is a well-formed problem with the status and code; returns the fields at fault as `(field, code)`.
    ///
    /// # Panics
    /// When it is anything else.
    #[track_caller]
    #[expect(clippy::must_use_candidate, reason = "most tests want the check alone")]
    pub fn expect_problem(&self, status: u16, code: &str) -> Vec<(String, String)> {
        let body = self.expect(status);
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.text);
        assert_eq!(body["code"], code, "{}", self.text);
        assert_eq!(body["status"], status, "{}", self.text);
        assert_eq!(body["request_id"], self.header("x-request-id"), "{}", self.text);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let errors = body["errors"].as_array().cloned().unwrap_or_default();
        errors.iter().map(|error| (text(&error["field"]), text(&error["code"]))).collect()
    }
}

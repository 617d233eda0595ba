use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, HeaderName, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS};
use axum::response::{Html, IntoResponse};
use axum::routing::get;
use axum::{Json, Router};

use super::Mailbox;
use super::page::render;

/// Mailed links let people in, so nothing may be stored, framed or told to the page a link leads to.
const HEADERS: [(HeaderName, &str); 4] = [
    (CACHE_CONTROL, "no-store"),
    (
        CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
    (REFERRER_POLICY, "no-referrer"),
    (X_CONTENT_TYPE_OPTIONS, "nosniff"),
];

impl Mailbox {
    /// The development mailbox for browsers (`/dev/mail`) and scripts (`/dev/mail.json`), both newest first. Never
    /// mount it where strangers reach it: it shows every link that was mailed.
    pub fn routes(&self) -> Router {
        Router::new().route("/dev/mail", get(show)).route("/dev/mail.json", get(list)).with_state(self.clone())
    }
}

async fn show(State(mailbox): State<Mailbox>) -> impl IntoResponse {
    (HEADERS, Html(render(&mailbox.list())))
}

async fn list(State(mailbox): State<Mailbox>) -> impl IntoResponse {
    (HEADERS, Json(mailbox.list()))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::http::{Request, StatusCode};
    use chrono::DateTime;
    use http_body_util::BodyExt;
    use serde_json::json;
    use tower::ServiceExt;

    use super::*;
    use crate::clock::Clock;
    use crate::ids::new_uuid;
    use crate::mail::Mail;

    async fn answer(path: &str) -> (String, String) {
        let mailbox = Mailbox::new(Clock::fixed(DateTime::UNIX_EPOCH));
        for subject in ["first", "second"] {
            let mail = Mail {
                to: "ann@example.com".to_owned(),
                subject: subject.to_owned(),
                text: "hello".to_owned(),
                html: None,
            };
            mailbox.put(new_uuid(), mail, DateTime::UNIX_EPOCH);
        }
        let request = Request::get(path).body(Body::empty()).expect("a request");
        let answer = mailbox.routes().oneshot(request).await.expect("answered");
        assert_eq!(answer.status(), StatusCode::OK);
        let policy = answer.headers()[CONTENT_SECURITY_POLICY].to_str().expect("text").to_owned();
        assert_eq!(answer.headers()[CACHE_CONTROL], "no-store");
        let body = answer.into_body().collect().await.expect("a body").to_bytes();
        (policy, String::from_utf8(body.to_vec()).expect("text"))
    }

    #[tokio::test]
    async fn the_page_shows_mail_under_a_policy_that_runs_nothing() {
        let (policy, page) = answer("/dev/mail").await;
        assert!(policy.starts_with("default-src 'none';"), "{policy}");
        assert!(page.find("second") < page.find("first"), "newest first");
    }

    #[tokio::test]
    async fn scripts_get_the_mail_as_json() {
        let (_, body) = answer("/dev/mail.json").await;
        let list: serde_json::Value = serde_json::from_str(&body).expect("JSON");
        assert_eq!(list[0]["subject"], "second");
        assert_eq!(list[0]["to"], "ann@example.com");
        assert_eq!(list[0]["text"], "hello");
        assert_eq!(list[0]["sent_at"], json!("1970-01-01T00:00:00Z"));
    }
}

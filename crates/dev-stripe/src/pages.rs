//! The pages a customer sees: checkout, the bank, the portal, an invoice. Self-contained, without scripts.

mod checkout;
mod look;
mod portal;

use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{Html, IntoResponse, Redirect, Response};
use axum::routing::{get, post};

use crate::server::Stripe;

/// The routes of the pages.
pub(crate) fn routes(stripe: &Stripe) -> Router {
    Router::new()
        .route("/pay/{session}", get(checkout::show))
        .route("/pay/{session}/pay", post(checkout::pay))
        .route("/pay/{session}/cancel", post(checkout::cancel))
        .route("/authenticate/{payment}", get(checkout::bank).post(checkout::answer_bank))
        .route("/invoices/{invoice}", get(portal::invoice))
        .route("/portal/{session}", get(portal::show))
        .route("/portal/{session}/subscriptions/{subscription}", post(portal::change))
        .with_state(stripe.clone())
}

/// What a handler of a page answers.
enum Shown {
    Page(String),
    /// A page about something that is not there or not possible.
    Refused(StatusCode, String),
    /// The browser goes elsewhere, with GET.
    Elsewhere(String),
}

impl IntoResponse for Shown {
    fn into_response(self) -> Response {
        let mut response = match self {
            Self::Page(page) => Html(page).into_response(),
            Self::Refused(status, page) => (status, Html(page)).into_response(),
            Self::Elsewhere(url) if HeaderValue::from_str(&url).is_ok() => Redirect::to(&url).into_response(),
            Self::Elsewhere(_) => StatusCode::BAD_REQUEST.into_response(),
        };
        let policy =
            "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; frame-ancestors 'none'";
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(policy));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

//! What went wrong, in the words of the port.

use http::StatusCode;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use crate::ports::ProviderError;

/// Our key is no good: a mistake in the configuration, which no customer could mend.
#[derive(Debug, thiserror::Error)]
#[error("Stripe does not accept our key")]
pub(super) struct KeyRefused;

/// The longest code that is passed on.
const LONGEST_CODE: usize = 100;

/// Refusals besides those of a card that are about what the customer gave: an address, a way back, a number of seats. All
/// others are about what we made of it.
const MENDABLE: [&str; 3] = ["amount_too_large", "email_invalid", "url_invalid"];

/// Why an answer is not what Stripe's documentation says. Says where, never what: answers hold personal data.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unfit {
    /// Longer than what is read.
    #[error("the answer is too long")]
    TooLong,
    /// No JSON, or not of the shape that is expected.
    #[error("the answer cannot be read at `{0}`")]
    Shape(String),
    /// A field with a value that makes no sense.
    #[error("`{0}` makes no sense")]
    Value(&'static str),
}

impl Unfit {
    /// Reads a body.
    pub(super) fn check<W: DeserializeOwned>(body: &[u8]) -> Result<W, Self> {
        let mut json = serde_json::Deserializer::from_slice(body);
        let read = serde_path_to_error::deserialize(&mut json);
        let value = read.map_err(|error| Self::Shape(error.path().to_string()))?;
        json.end().map_err(|_| Self::Shape("its end".to_owned()))?;
        Ok(value)
    }
}

/// Stripe's errors (<https://docs.stripe.com/api/errors>).
#[derive(Deserialize)]
struct Envelope {
    error: Explanation,
}

#[derive(Default, Deserialize)]
struct Explanation {
    r#type: Option<String>,
    code: Option<String>,
    decline_code: Option<String>,
    param: Option<String>,
}

/// What an answer means that is no success. One that is `replayed` is kept by the key of the call, and stays the same.
pub(super) fn refusal(status: StatusCode, replayed: bool, body: &[u8]) -> ProviderError {
    let cause = || format!("the answer has the status {}", status.as_u16()).into();
    match status.as_u16() {
        401 | 403 => ProviderError::Unavailable(KeyRefused.into()),
        429 => ProviderError::Unavailable(cause()),
        500.. if replayed => ProviderError::KeySpent,
        // Something broke half-way: it may have happened.
        500.. => ProviderError::Unknown(cause()),
        400..=499 => match Unfit::check::<Envelope>(body) {
            Ok(Envelope { error }) => match explained(status, error) {
                // Whoever mended the configuration shall not meet the old answer for a day.
                ProviderError::BadCall { .. } if replayed => ProviderError::KeySpent,
                error => error,
            },
            // A conflict with something that is running.
            Err(_) if status == StatusCode::CONFLICT => ProviderError::Unknown(cause()),
            // Somebody in between answered.
            Err(_) => ProviderError::Malformed(cause()),
        },
        _ => ProviderError::Malformed(cause()),
    }
}

fn explained(status: StatusCode, error: Explanation) -> ProviderError {
    let Explanation { r#type, code, decline_code, param } = error;
    // What the path names, or the customer that something is for. A price of ours that Stripe does not know is refused.
    let asked_for = matches!(param.as_deref(), None | Some("id" | "customer"));
    let of_the_key = r#type.as_deref() == Some("idempotency_error");
    if code.as_deref() == Some("idempotency_key_in_use") || (of_the_key && status == StatusCode::CONFLICT) {
        return ProviderError::InProgress;
    }
    if status == StatusCode::CONFLICT {
        return ProviderError::Unknown("the call is in conflict with another one".into());
    }
    if of_the_key {
        return ProviderError::KeyReused;
    }
    if code.as_deref() == Some("resource_missing") && asked_for {
        return ProviderError::NotFound;
    }
    let of_the_customer = status == StatusCode::PAYMENT_REQUIRED
        || r#type.as_deref() == Some("card_error")
        || code.as_deref().is_some_and(|code| MENDABLE.contains(&code));
    let code = [code, decline_code, r#type].into_iter().flatten().find(|code| is_name(code, ""));
    let code = code.unwrap_or_else(|| "refused".to_owned());
    if of_the_customer {
        return ProviderError::Rejected { code };
    }
    ProviderError::BadCall { code, param: param.filter(|param| is_name(param, "[].")).unwrap_or_default() }
}

/// Whether a text is made like the names of Stripe's API, which hold nothing personal.
fn is_name(text: &str, also: &str) -> bool {
    let plain = |it: char| it.is_ascii_alphanumeric() || it == '_' || also.contains(it);
    (1..=LONGEST_CODE).contains(&text.len()) && text.chars().all(plain)
}

/// How a call ended, for metrics.
pub(super) fn outcome(error: Option<&ProviderError>) -> &'static str {
    match error {
        None => "done",
        Some(ProviderError::Rejected { .. }) => "rejected",
        Some(ProviderError::Unavailable(_)) => "unavailable",
        Some(ProviderError::Unknown(_)) => "unknown",
        Some(ProviderError::InProgress) => "in_progress",
        Some(ProviderError::NotFound) => "not_found",
        Some(ProviderError::KeyReused) => "key_reused",
        Some(ProviderError::KeySpent) => "key_spent",
        Some(ProviderError::BadCall { .. }) => "bad_call",
        Some(ProviderError::Malformed(_)) => "malformed",
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// The outcome, with the code of a refusal.
    fn means(status: u16, replayed: bool, body: &str) -> String {
        let error = refusal(StatusCode::from_u16(status).expect("a status"), replayed, body.as_bytes());
        match error {
            ProviderError::Rejected { code } => format!("rejected: {code}"),
            ProviderError::BadCall { code, param } => format!("bad call: {code} {param}"),
            error => outcome(Some(&error)).to_owned(),
        }
    }

    #[test]
    fn every_status_has_a_meaning() {
        let error = |error: serde_json::Value| json!({ "error": error }).to_string();
        let missing = |param: &str| error(json!({ "code": "resource_missing", "param": param }));
        let refused = |code: &str| error(json!({ "type": "invalid_request_error", "code": code, "param": "a b" }));
        let declined = json!({ "type": "card_error", "code": "card_declined", "decline_code": "lost_card" });
        for (status, body, meaning) in [
            (404, missing("id"), "not_found"),
            (404, error(json!({ "code": "resource_missing" })), "not_found"),
            (400, missing("customer"), "not_found"),
            (400, missing("line_items[0][price]"), "bad call: resource_missing line_items[0][price]"),
            (404, error(json!({ "type": "invalid_request_error" })), "bad call: invalid_request_error "),
            (400, refused("parameter_unknown"), "bad call: parameter_unknown "),
            (400, refused("email_invalid"), "rejected: email_invalid"),
            (400, refused("url_invalid"), "rejected: url_invalid"),
            (400, refused("amount_too_large"), "rejected: amount_too_large"),
            (404, "<html>no such page</html>".to_owned(), "malformed"),
            (400, error(json!({ "type": "idempotency_error" })), "key_reused"),
            (409, error(json!({ "type": "idempotency_error", "code": "idempotency_key_in_use" })), "in_progress"),
            (409, error(json!({ "type": "idempotency_error" })), "in_progress"),
            (409, refused("idempotency_key_in_use"), "in_progress"),
            (409, refused("lock_timeout"), "unknown"),
            (409, String::new(), "unknown"),
            (429, error(json!({ "code": "rate_limit" })), "unavailable"),
            (500, error(json!({ "type": "api_error" })), "unknown"),
            (502, "<html>".to_owned(), "unknown"),
            (599, String::new(), "unknown"),
            (401, error(json!({ "type": "invalid_request_error" })), "unavailable"),
            (403, String::new(), "unavailable"),
            (402, error(declined), "rejected: card_declined"),
            (402, error(json!({ "type": "card_error", "decline_code": "lost_card" })), "rejected: lost_card"),
            (402, error(json!({ "type": "invalid_request_error" })), "rejected: invalid_request_error"),
            (400, error(json!({ "code": "a b\n", "type": "api_error" })), "bad call: api_error "),
            (400, error(json!({ "message": "no" })), "bad call: refused "),
            (302, String::new(), "malformed"),
            (400, error(json!({ "code": 7 })), "malformed"),
        ] {
            assert_eq!(means(status, false, &body), meaning, "{status} {body}");
            let spent = status >= 500 || meaning.starts_with("bad call");
            let meaning = if spent { "key_spent" } else { meaning };
            assert_eq!(means(status, true, &body), meaning, "{status} {body}, replayed");
        }
    }

    #[test]
    fn a_complaint_about_an_answer_names_the_place_and_not_the_value() {
        let unfit = Unfit::check::<Envelope>(br#"{"error": {"code": {"email": "max@example.com"}}}"#);
        let Err(unfit) = unfit else { panic!("read") };
        assert_eq!(unfit.to_string(), "the answer cannot be read at `error.code`");
    }

    proptest! {
        #[test]
        fn no_answer_makes_it_panic(status in 100_u16..=999, replayed: bool, body: Vec<u8>) {
            means(status, replayed, &String::from_utf8_lossy(&body));
        }
    }
}

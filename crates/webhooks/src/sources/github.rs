//! How GitHub signs: `X-Hub-Signature-256: sha256=<hex>`, HMAC-SHA256 over the body alone
//! (<https://docs.github.com/en/webhooks/using-webhooks/validating-webhook-deliveries>). And what is read of its events.
//!
//! Neither a time nor a header is signed. Whoever gets hold of one delivery can repeat it for ever, as another event and with
//! another name: handlers believe the body only, and what they do twice must be as good as once.

use chrono::{DateTime, Utc};
use http::HeaderMap;
use serde::Deserialize;

use super::fields::{header, if_readable, object, storable};
use super::keys::{Key, hex, made_any};
use super::{Disbelief, Notice};

const SIGNATURE: &str = "x-hub-signature-256";
const ID: &str = "x-github-delivery";
const NAME: &str = "x-github-event";

/// Says that one of the keys signed the bytes; when, nobody knows.
pub(super) fn verify(headers: &HeaderMap, body: &[u8], keys: &[Key]) -> Result<(), Disbelief> {
    let signature = header(headers, SIGNATURE).and_then(|text| text.strip_prefix("sha256="));
    let signature = signature.ok_or(Disbelief::Malformed)?;
    if made_any(keys, &[signature], &[body], hex) { Ok(()) } else { Err(Disbelief::Mismatch) }
}

/// An event, with nothing but what we read of it.
#[derive(Deserialize)]
struct Event {
    /// What was done, for names that cover several deeds.
    #[serde(default, deserialize_with = "if_readable")]
    action: Option<String>,
}

/// What headers and body say: `pull_request` whose action is `opened` is the type `pull_request.opened`.
pub(super) fn read(headers: &HeaderMap, body: &[u8], received_at: DateTime<Utc>) -> Option<Notice> {
    let Event { action } = object(body)?;
    let name = header(headers, NAME).filter(|name| !name.is_empty())?;
    let event_type = match action.filter(|action| !action.is_empty()) {
        Some(action) => format!("{name}.{action}"),
        None => name.to_owned(),
    };
    Some(Notice {
        id: storable(header(headers, ID)?.to_owned())?,
        event_type: storable(event_type)?,
        object_id: None,
        livemode: None,
        api_version: None,
        occurred_at: received_at,
    })
}

#[cfg(test)]
mod tests {
    use platform::config::Secret;
    use proptest::prelude::*;

    use super::*;
    use crate::config::Scheme;

    /// The known answer of GitHub's documentation.
    const SECRET: &str = "It's a Secret to Everybody";
    const BODY: &[u8] = b"Hello, World!";
    const HEX: &str = "757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";

    fn key(secret: &str) -> Key {
        Key::of(Scheme::Github, &Secret::from(secret.to_owned())).expect("a key")
    }

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value"))).collect()
    }

    fn verdict(signature: &str) -> Result<(), Disbelief> {
        verify(&headers(&[(SIGNATURE, signature)]), BODY, &[key("new"), key(SECRET)])
    }

    #[test]
    fn the_known_answer_of_the_documentation_is_believed() {
        assert_eq!(verdict(&format!("sha256={HEX}")), Ok(()));
        let only_new = verify(&headers(&[(SIGNATURE, &format!("sha256={HEX}"))]), BODY, &[key("new")]);
        assert_eq!(only_new, Err(Disbelief::Mismatch));
        let other = verify(&headers(&[(SIGNATURE, &format!("sha256={HEX}"))]), b"Hello, World?", &[key(SECRET)]);
        assert_eq!(other, Err(Disbelief::Mismatch));
    }

    #[test]
    fn a_header_without_one_signature_of_the_scheme_is_not_believed() {
        for malformed in ["", HEX, &format!("sha1={HEX}"), &format!("SHA256={HEX}"), &format!(" sha256={HEX}")] {
            assert_eq!(verdict(malformed), Err(Disbelief::Malformed), "{malformed:?}");
        }
        let wrong = "0".repeat(64);
        let two = format!("sha256={wrong},sha256={HEX}");
        for mismatch in ["sha256=", &format!("sha256={}", &HEX[..63]), &format!("sha256={}", HEX.to_uppercase()), &two]
        {
            assert_eq!(verdict(mismatch), Err(Disbelief::Mismatch), "{mismatch}");
        }
        assert_eq!(verify(&HeaderMap::new(), BODY, &[key(SECRET)]), Err(Disbelief::Malformed));
    }

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_700_000_000, 0).expect("a time")
    }

    fn read_as(name: &str, id: &str, body: &str) -> Option<Notice> {
        read(&headers(&[(NAME, name), (ID, id)]), body.as_bytes(), now())
    }

    #[test]
    fn the_type_is_the_name_and_what_was_done() {
        for (name, body, expected) in [
            ("pull_request", r#"{"action":"opened","number":7}"#, "pull_request.opened"),
            ("push", r#"{"ref":"refs/heads/main"}"#, "push"),
            ("push", r#" {"action":null}"#, "push"),
            ("push", r#"{"action":7}"#, "push"),
            ("push", r#"{"action":""}"#, "push"),
        ] {
            let notice = read_as(name, "72d3162e-cc78-11e3-81ab-4c9367dc0958", body).expect("an event");
            let expected = Notice {
                id: "72d3162e-cc78-11e3-81ab-4c9367dc0958".to_owned(),
                event_type: expected.to_owned(),
                object_id: None,
                livemode: None,
                api_version: None,
                occurred_at: now(),
            };
            assert_eq!(notice, expected, "{body}");
        }
    }

    #[test]
    fn what_is_no_event_is_not_read() {
        assert!(read_as("push", "1", "{}").is_some(), "the control");
        let long = "a".repeat(256);
        for (name, id) in [("", "1"), ("push", ""), (&long, "1"), ("push", &long)] {
            assert_eq!(read_as(name, id, "{}"), None, "{name:?} {id:?}");
        }
        for body in ["", "null", "[]", "[\"opened\"]", "{", "payload=%7B%7D", r#"{"action":"a\u0000"}"#] {
            assert_eq!(read_as("push", "1", body), None, "{body}");
        }
        for missing in [ID, NAME] {
            let mut some = headers(&[(NAME, "push"), (ID, "1")]);
            some.remove(missing);
            assert_eq!(read(&some, b"{}", now()), None, "without {missing}");
        }
    }

    proptest! {
        #[test]
        fn no_header_and_no_body_makes_it_panic(header in "\\PC*|sha256=[0-9a-f]*", body: Vec<u8>) {
            let mut headers = HeaderMap::new();
            for name in [SIGNATURE, ID, NAME] {
                if let Ok(value) = header.parse() {
                    headers.insert(name, value);
                }
            }
            prop_assert!(verify(&headers, &body, &[key(SECRET)]).is_err());
            read(&headers, &body, now());
        }
    }
}

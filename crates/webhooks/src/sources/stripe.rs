//! How Stripe signs: `Stripe-Signature: t=1700000100,v1=<hex>,v1=<hex>`, HMAC-SHA256 over time, dot and body, one signature
//! by each active secret (<https://docs.stripe.com/webhooks/signatures>). And what is read of its events.

use chrono::DateTime;
use http::HeaderMap;
use serde::Deserialize;

use super::fields::{believable, header, if_readable, object, seconds, storable};
use super::keys::{Key, hex, made_any};
use super::{Disbelief, Notice};

const HEADER: &str = "stripe-signature";

/// Says when the bytes were signed, by one of the keys, in seconds since 1970.
pub(super) fn verify(headers: &HeaderMap, body: &[u8], keys: &[Key]) -> Result<i64, Disbelief> {
    let (time, signatures) = header(headers, HEADER).and_then(parse).ok_or(Disbelief::Malformed)?;
    let signed_at = seconds(time).ok_or(Disbelief::Malformed)?;
    let made = made_any(keys, &signatures, &[time.as_bytes(), b".", body], hex);
    if made { Ok(signed_at) } else { Err(Disbelief::Mismatch) }
}

/// The time and the signatures of the scheme v1; others, such as v0 of test events, prove nothing.
fn parse(header: &str) -> Option<(&str, Vec<&str>)> {
    let mut times = Vec::new();
    let mut signatures = Vec::new();
    for item in header.split(',') {
        match item.trim().split_once('=') {
            Some(("t", time)) => times.push(time),
            Some(("v1", signature)) => signatures.push(signature),
            _ => {}
        }
    }
    let [time] = times[..] else { return None };
    (!signatures.is_empty()).then_some((time, signatures))
}

/// An event, with nothing but what we read of it. What Stripe may leave out or change counts as left out.
#[derive(Deserialize)]
struct Event {
    id: String,
    r#type: String,
    created: i64,
    #[serde(default, deserialize_with = "if_readable")]
    object: Option<String>,
    #[serde(default, deserialize_with = "if_readable")]
    livemode: Option<bool>,
    #[serde(default, deserialize_with = "if_readable")]
    api_version: Option<String>,
    #[serde(default, deserialize_with = "if_readable")]
    data: Option<Data>,
}

#[derive(Deserialize)]
struct Data {
    #[serde(default, deserialize_with = "if_readable")]
    object: Option<Subject>,
}

/// What happened to whom.
#[derive(Deserialize)]
struct Subject {
    #[serde(default, deserialize_with = "if_readable")]
    id: Option<String>,
}

/// What the body says, if it is an event: it has an id, a type and a time, and does not say that it is something else.
pub(super) fn read(body: &[u8]) -> Option<Notice> {
    let event: Event = object(body)?;
    if event.object.is_some_and(|kind| kind != "event") {
        return None;
    }
    let subject = event.data.and_then(|data| data.object).and_then(|subject| subject.id);
    Some(Notice {
        id: storable(event.id)?,
        event_type: storable(event.r#type)?,
        object_id: subject.and_then(storable),
        livemode: event.livemode,
        api_version: event.api_version.and_then(storable),
        occurred_at: DateTime::from_timestamp(event.created, 0).and_then(believable)?,
    })
}

#[cfg(test)]
mod tests {
    use platform::config::Secret;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;
    use crate::config::Scheme;

    const BODY: &[u8] = b"{}";

    fn key(text: &str) -> Key {
        Key::of(Scheme::Stripe, &Secret::from(text.to_owned())).expect("a key")
    }

    fn sign(key: &Key, signed_at: &str, body: &[u8]) -> String {
        hex(key.sign(&[signed_at.as_bytes(), b".", body]))
    }

    fn verdict(header: &str, keys: &[Key]) -> Result<i64, Disbelief> {
        let mut headers = HeaderMap::new();
        headers.insert(HEADER, header.parse().expect("a header"));
        verify(&headers, BODY, keys)
    }

    #[test]
    fn any_active_secret_and_any_signature_of_the_header_will_do() {
        let (old, new) = (key("whsec_old"), key("whsec_new"));
        let (by_old, by_new) = (sign(&old, "1", BODY), sign(&new, "1", BODY));
        let both = format!("t=1,v1={by_old},v1={by_new}");
        let wrong = "0".repeat(64);
        for (header, keys, expected) in [
            (both.clone(), vec![old.clone()], Ok(1)),
            (both.clone(), vec![new.clone()], Ok(1)),
            (both.clone(), vec![key("whsec_other")], Err(Disbelief::Mismatch)),
            (format!("t=1,v1={by_old}"), vec![new.clone(), old.clone()], Ok(1)),
            (format!("t=1,v1={by_old}"), vec![new.clone()], Err(Disbelief::Mismatch)),
            (format!("v1={by_new}, v0=x,t=1 , v1={wrong},more"), vec![new.clone()], Ok(1)),
            (format!("t=2,v1={by_new}"), vec![new.clone()], Err(Disbelief::Mismatch)),
            (both, vec![], Err(Disbelief::Mismatch)),
        ] {
            assert_eq!(verdict(&header, &keys), expected, "{header}");
        }
    }

    #[test]
    fn a_header_without_one_time_and_a_signature_is_malformed() {
        let keys = [key("whsec_a")];
        let signature = sign(&keys[0], "1", BODY);
        assert_eq!(verify(&HeaderMap::new(), BODY, &keys), Err(Disbelief::Malformed));
        for times in
            ["", "t=", "t=one,", "t=-1,", "t=+1,", "t= 1,", "t=1.5,", "t=1,t=1,", "T=1,", "t=99999999999999999999,"]
        {
            let header = format!("{times}v1={signature}");
            assert_eq!(verdict(&header, &keys), Err(Disbelief::Malformed), "{header}");
        }
        for signatures in ["", "v1", "v0={signature}", "V1={signature}", "v2={signature}"] {
            let header = format!("t=1,{}", signatures.replace("{signature}", &signature));
            assert_eq!(verdict(&header, &keys), Err(Disbelief::Malformed), "{header}");
        }
        assert_eq!(verdict("t=1,v1=", &keys), Err(Disbelief::Mismatch));
        assert_eq!(verdict(&format!("t=1,v1={signature}"), &keys), Ok(1), "the control");
    }

    fn read_json(event: &Value) -> Option<Notice> {
        read(event.to_string().as_bytes())
    }

    #[test]
    fn an_event_is_read_whatever_else_it_holds() {
        let event = json!({
            "id": "evt_1", "object": "event", "type": "invoice.paid", "created": 1_700_000_000, "livemode": true,
            "api_version": "2025-03-31.basil", "pending_webhooks": 1, "request": null,
            "data": { "object": { "id": "in_1", "lines": [1] }, "previous_attributes": {} },
        });
        let expected = Notice {
            id: "evt_1".to_owned(),
            event_type: "invoice.paid".to_owned(),
            object_id: Some("in_1".to_owned()),
            livemode: Some(true),
            api_version: Some("2025-03-31.basil".to_owned()),
            occurred_at: DateTime::from_timestamp(1_700_000_000, 0).expect("a time"),
        };
        assert_eq!(read_json(&event).as_ref(), Some(&expected));
        for field in ["object", "livemode", "api_version", "data"] {
            for odd in [Value::Null, json!(7), json!([1]), json!({ "object": 7 }), json!({ "object": { "id": 7 } })] {
                let mut event = event.clone();
                event[field] = odd.clone();
                let notice = read_json(&event).unwrap_or_else(|| panic!("{field} {odd} is not read"));
                assert_eq!(notice.id, "evt_1");
            }
        }
        let bare = read_json(&json!({ "id": "evt_1", "type": "a", "created": 1 })).expect("an event");
        assert_eq!((bare.object_id, bare.livemode, bare.api_version), (None, None, None));
    }

    #[test]
    fn what_is_no_event_is_not_read() {
        let event = json!({ "id": "evt_1", "object": "event", "type": "a", "created": 1 });
        assert!(read_json(&event).is_some(), "the control");
        for field in ["id", "type", "created"] {
            let mut less = event.clone();
            less.as_object_mut().expect("fields").remove(field);
            assert_eq!(read_json(&less), None, "without {field}");
            for odd in [json!(null), json!(""), json!({}), json!("a\u{0}"), json!("a".repeat(256)), json!(i64::MAX)] {
                let mut other = event.clone();
                other[field] = odd.clone();
                assert_eq!(read_json(&other), None, "{field} {odd}");
            }
        }
        let mut customer = event.clone();
        customer["object"] = json!("customer");
        assert_eq!(read_json(&customer), None);
        for body in ["", "null", "[]", "[\"evt_1\", \"a\", 1, null, null, null, null]", "\"evt_1\"", "{", "\u{0}"] {
            assert_eq!(read(body.as_bytes()), None, "{body}");
        }
        assert_eq!(read(&[0xff, 0xfe]), None);
    }

    proptest! {
        #[test]
        fn no_header_and_no_body_makes_it_panic(header in "\\PC*|([tv][01]?=[0-9a-z]*,?)*", body: Vec<u8>) {
            let mut headers = HeaderMap::new();
            if let Ok(value) = header.parse() {
                headers.insert(HEADER, value);
            }
            prop_assert!(verify(&headers, &body, &[key("whsec_a")]).is_err());
            read(&body);
        }
    }
}

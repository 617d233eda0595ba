//! How senders sign that keep to Standard Webhooks 1.0 (<https://www.standardwebhooks.com>), as we do ourselves:
//! `webhook-signature: v1,<base64> v1,<base64>`, HMAC-SHA256 over `webhook-id`, `webhook-timestamp` and body with dots
//! between, one signature by each active secret. And what is read of their events.

use chrono::{DateTime, Utc};
use http::HeaderMap;
use serde::Deserialize;

use super::fields::{believable, header, if_readable, object, seconds, storable};
use super::keys::{Key, base64, made_any};
use super::{Disbelief, Notice};

const ID: &str = "webhook-id";
const TIMESTAMP: &str = "webhook-timestamp";
const SIGNATURE: &str = "webhook-signature";

/// Says when the bytes were signed, by one of the keys, in seconds since 1970.
///
/// An id may hold dots. Yet what was signed can be taken apart in one way only: read otherwise, the body would begin within
/// a text of the real one and be no object.
pub(super) fn verify(headers: &HeaderMap, body: &[u8], keys: &[Key]) -> Result<i64, Disbelief> {
    let field = |name| header(headers, name).filter(|text| !text.is_empty()).ok_or(Disbelief::Malformed);
    let (id, timestamp) = (field(ID)?, field(TIMESTAMP)?);
    let signed_at = seconds(timestamp).ok_or(Disbelief::Malformed)?;
    // Others, such as those of the asymmetric v1a, prove nothing to who holds no such key.
    let signatures: Vec<&str> = field(SIGNATURE)?.split(' ').filter_map(|one| one.strip_prefix("v1,")).collect();
    if signatures.is_empty() {
        return Err(Disbelief::Malformed);
    }
    let signed: [&[u8]; 5] = [id.as_bytes(), b".", timestamp.as_bytes(), b".", body];
    if made_any(keys, &signatures, &signed, base64) { Ok(signed_at) } else { Err(Disbelief::Mismatch) }
}

/// An event, with nothing but what we read of it ("Payload structure").
#[derive(Deserialize)]
struct Event {
    r#type: String,
    #[serde(default, deserialize_with = "if_readable")]
    timestamp: Option<DateTime<Utc>>,
    #[serde(default, deserialize_with = "if_readable")]
    data: Option<Data>,
}

/// Thin events name what they are about.
#[derive(Deserialize)]
struct Data {
    #[serde(default, deserialize_with = "if_readable")]
    id: Option<String>,
}

/// What headers and body say, if the body has a type.
pub(super) fn read(headers: &HeaderMap, body: &[u8], received_at: DateTime<Utc>) -> Option<Notice> {
    let Event { r#type, timestamp, data } = object(body)?;
    Some(Notice {
        id: storable(header(headers, ID)?.to_owned())?,
        event_type: storable(r#type)?,
        object_id: data.and_then(|data| data.id).and_then(storable),
        livemode: None,
        api_version: None,
        occurred_at: timestamp.and_then(believable).unwrap_or(received_at),
    })
}

#[cfg(test)]
mod tests {
    use platform::config::Secret;
    use proptest::prelude::*;
    use serde_json::{Map, Value, json};

    use super::*;
    use crate::config::Scheme;

    /// The known answer of the specification's authors.
    const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";
    const MESSAGE: &str = "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk";
    const SIGNED_AT: &str = "1649367553";
    const BODY: &[u8] = br#"{"email":"test@example.com","username":"test_user"}"#;
    const GOOD: &str = "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=";

    fn key(secret: &str) -> Key {
        Key::of(Scheme::StandardWebhooks, &Secret::from(secret.to_owned())).expect("a key")
    }

    fn headers([id, timestamp, signature]: [&str; 3]) -> HeaderMap {
        let pairs = [(ID, id), (TIMESTAMP, timestamp), (SIGNATURE, signature)];
        pairs
            .into_iter()
            .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")))
            .collect()
    }

    fn verdict(sent: [&str; 3], body: &[u8]) -> Result<i64, Disbelief> {
        verify(&headers(sent), body, &[key("AAEC"), key(SECRET)])
    }

    #[test]
    fn the_specifications_known_answer_is_believed_with_and_without_the_prefix() {
        assert_eq!(verdict([MESSAGE, SIGNED_AT, GOOD], BODY), Ok(1_649_367_553));
        let bare = key(SECRET.strip_prefix("whsec_").expect("a prefix"));
        assert_eq!(verify(&headers([MESSAGE, SIGNED_AT, GOOD]), BODY, &[bare]), Ok(1_649_367_553));
        let other = verify(&headers([MESSAGE, SIGNED_AT, GOOD]), BODY, &[key("AAEC")]);
        assert_eq!(other, Err(Disbelief::Mismatch));
    }

    #[test]
    fn id_time_and_body_are_all_signed() {
        for (sent, body) in [
            (["msg_another", SIGNED_AT, GOOD], BODY),
            ([MESSAGE, "1649367554", GOOD], BODY),
            ([MESSAGE, SIGNED_AT, GOOD], &BODY[1..]),
            (["msg_27UH4WbU6Z5A5EzD8u03UvzRbpk.1649367553", SIGNED_AT, GOOD], BODY),
        ] {
            assert_eq!(verdict(sent, body), Err(Disbelief::Mismatch), "{sent:?}");
        }
    }

    #[test]
    fn any_signature_of_the_header_will_do_and_those_of_other_kinds_prove_nothing() {
        let wrong = "v1,AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";
        for several in [format!("{wrong} {GOOD}"), format!("{GOOD} {wrong}"), format!("v1a,MEUCIQ  {GOOD} v2,x")] {
            assert_eq!(verdict([MESSAGE, SIGNED_AT, &several], BODY), Ok(1_649_367_553), "{several}");
        }
        let bare = GOOD.strip_prefix("v1,").expect("a version");
        for malformed in ["", " ", bare, &format!("v1a,{bare}"), &format!("V1,{bare}"), &format!("v1={bare}"), "v1"] {
            assert_eq!(verdict([MESSAGE, SIGNED_AT, malformed], BODY), Err(Disbelief::Malformed), "{malformed}");
        }
        let (truncated, comma) = (&GOOD[..GOOD.len() - 1], format!("{wrong},{GOOD}"));
        for mismatch in [wrong, "v1,", truncated, &comma] {
            assert_eq!(verdict([MESSAGE, SIGNED_AT, mismatch], BODY), Err(Disbelief::Mismatch), "{mismatch}");
        }
    }

    #[test]
    fn a_message_without_id_time_or_signature_is_malformed() {
        for timestamp in ["", "-1", "+1649367553", " ", "1649367553.0", "99999999999999999999", "1e9"] {
            assert_eq!(verdict([MESSAGE, timestamp, GOOD], BODY), Err(Disbelief::Malformed), "{timestamp:?}");
        }
        assert_eq!(verdict(["", SIGNED_AT, GOOD], BODY), Err(Disbelief::Malformed));
        for missing in [ID, TIMESTAMP, SIGNATURE] {
            let mut some = headers([MESSAGE, SIGNED_AT, GOOD]);
            some.remove(missing);
            assert_eq!(verify(&some, BODY, &[key(SECRET)]), Err(Disbelief::Malformed), "without {missing}");
        }
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).expect("a time")
    }

    fn read_json(event: &Value) -> Option<Notice> {
        read(&headers(["msg_1", SIGNED_AT, GOOD]), event.to_string().as_bytes(), at(1_700_000_000))
    }

    #[test]
    fn an_event_is_read_whatever_else_it_holds() {
        let event = json!({
            "type": "contact.created", "timestamp": "2022-11-03T20:26:10.344522Z", "data": { "id": "c_1", "name": "Ada" },
        });
        let notice = read_json(&event).expect("an event");
        assert_eq!((notice.id.as_str(), notice.event_type.as_str()), ("msg_1", "contact.created"));
        assert_eq!((notice.object_id.as_deref(), notice.occurred_at.timestamp()), (Some("c_1"), 1_667_507_170));
        for field in ["timestamp", "data"] {
            for odd in [Value::Null, json!(7), json!("soon"), json!([1]), json!({ "id": 7 }), json!({ "id": "" })] {
                let mut event = event.clone();
                event[field] = odd.clone();
                assert!(read_json(&event).is_some(), "{field} {odd}");
            }
        }
        let bare = read_json(&json!({ "type": "a" })).expect("an event");
        assert_eq!((bare.object_id, bare.livemode, bare.occurred_at), (None, None, at(1_700_000_000)));
        let early = read_json(&json!({ "type": "a", "timestamp": "0001-01-01T00:00:00Z" })).expect("an event");
        assert_eq!(early.occurred_at, at(1_700_000_000), "a time that cannot be meant");
    }

    #[test]
    fn what_is_no_event_is_not_read() {
        for event_type in [json!(null), json!(""), json!(7), json!("a\u{0}"), json!("a".repeat(256))] {
            assert_eq!(read_json(&json!({ "type": event_type })), None, "{event_type}");
        }
        for body in ["", "null", "{}", "[\"a\", null, null]", "{", "\"a\""] {
            assert_eq!(read(&headers(["msg_1", SIGNED_AT, GOOD]), body.as_bytes(), at(0)), None, "{body}");
        }
        let long = "m".repeat(256);
        assert_eq!(read(&headers([&long, SIGNED_AT, GOOD]), br#"{"type":"a"}"#, at(0)), None);
    }

    proptest! {
        #[test]
        fn no_header_and_no_body_makes_it_panic(header in "\\PC*|[0-9]{1,30}|(v1,[a-zA-Z0-9+/=]* ?)*", body: Vec<u8>) {
            let mut headers = HeaderMap::new();
            for name in [ID, TIMESTAMP, SIGNATURE] {
                if let Ok(value) = header.parse() {
                    headers.insert(name, value);
                }
            }
            prop_assert!(verify(&headers, &body, &[key(SECRET)]).is_err());
            read(&headers, &body, at(0));
        }

        /// What was signed is one text; whoever moves the borders in it gets no object out of it.
        #[test]
        fn what_was_signed_can_be_taken_apart_in_one_way_only(
            texts in prop::collection::vec("(\\.[0-9]\\.\\{|[a-z\"\\\\{}:,.0-9])*", 1..4),
        ) {
            let body = json!({ "type": "a", "data": texts }).to_string();
            let signed = format!("msg.1.{body}");
            for (end, _) in signed.match_indices('.').skip(2) {
                let rest = &signed.as_bytes()[end + 1..];
                prop_assert!(object::<Map<String, Value>>(rest).is_none(), "{signed}");
            }
        }
    }
}

//! How fields of headers and events are read: what cannot be stored, or is not as we know it, counts as left out.

use chrono::{DateTime, Datelike, Utc};
use http::HeaderMap;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// The longest id, type and version that is stored.
const MAX_TEXT: usize = 255;

/// The text of a header.
pub(super) fn header<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Seconds since 1970, as headers have them: digits and nothing else.
pub(super) fn seconds(text: &str) -> Option<i64> {
    let digits = text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok())?
}

/// What a JSON object says. A list would do for serde: the fields in order.
pub(super) fn object<'a, T: Deserialize<'a>>(body: &'a [u8]) -> Option<T> {
    body.trim_ascii_start().starts_with(b"{").then(|| serde_json::from_slice(body).ok())?
}

/// A field that senders may leave out or change.
pub(super) fn if_readable<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
) -> Result<Option<T>, D::Error> {
    let raw = <&RawValue>::deserialize(deserializer)?;
    Ok(serde_json::from_str(raw.get()).ok())
}

/// A text, if it can be stored.
pub(super) fn storable(text: String) -> Option<String> {
    let fits = (1..=MAX_TEXT).contains(&text.chars().count()) && !text.chars().any(char::is_control);
    fits.then_some(text)
}

/// A moment, if it can be meant.
pub(super) fn believable(moment: DateTime<Utc>) -> Option<DateTime<Utc>> {
    (1970..=9999).contains(&moment.year()).then_some(moment)
}

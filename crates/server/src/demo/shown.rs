//! What was sent and received, fit for a terminal: short, on narrow lines, and without secrets that could be used.

use serde_json::Value;

/// Columns of a line, its indentation not counted.
const WIDTH: usize = 88;

/// The longest text inside a value.
const LONGEST: usize = 64;

/// The length of a UUID as text.
const ID: usize = 36;

/// The names under which secrets travel.
const SECRETS: [&str; 5] = ["access_token", "password", "refresh_token", "secret", "token"];

/// JSON on one line, with secrets and long texts cut.
pub(super) fn shown(value: &Value) -> String {
    match value {
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| match value.as_str() {
                Some(secret) if SECRETS.contains(&name.as_str()) => format!("\"{name}\":\"{}\"", masked(secret)),
                _ => format!("\"{name}\":{}", shown(value)),
            };
            format!("{{{}}}", fields.iter().map(field).collect::<Vec<_>>().join(","))
        }
        Value::Array(values) => format!("[{}]", values.iter().map(shown).collect::<Vec<_>>().join(",")),
        Value::String(text) => Value::String(cut(text, LONGEST)).to_string(),
        other => other.to_string(),
    }
}

/// Enough of a secret to tell it from others: tokens of one kind begin alike.
pub(super) fn masked(secret: &str) -> String {
    let end = secret.char_indices().rev().nth(5).filter(|_| secret.len() > 20).map_or("", |(at, _)| &secret[at..]);
    format!("{}…{end}", secret.chars().take(4).collect::<String>())
}

/// Ids are long, and their ends tell them apart.
pub(super) fn with_short_ids(text: &str) -> String {
    let mut short = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(first) = rest.chars().next() {
        let (shown, read) = match rest.get(..ID).filter(|id| is_id(id)) {
            Some(id) => (masked(id), ID),
            None => (first.to_string(), first.len_utf8()),
        };
        short.push_str(&shown);
        rest = &rest[read..];
    }
    short
}

fn is_id(text: &str) -> bool {
    text.bytes().enumerate().all(|(at, byte)| match at {
        8 | 13 | 18 | 23 => byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    })
}

/// The beginning of a text that is longer.
fn cut(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    text.chars().take(longest.saturating_sub(1)).chain(['…']).collect()
}

/// A text on lines that end behind a space or a comma, where there is one.
pub(super) fn wrapped(text: &str) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    for piece in text.split_inclusive([' ', ',']) {
        let length = line.chars().count() + piece.trim_end().chars().count();
        if length > WIDTH && !line.is_empty() {
            lines.push(std::mem::take(&mut line).trim_end().to_owned());
        }
        line.push_str(piece);
    }
    lines.push(line.trim_end().to_owned());
    lines
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn secrets_and_long_texts_are_cut() {
        let body =
            json!({ "email": "ada@example.com", "password": "a-long-walk-by-the-sea", "list": ["x".repeat(99)] });
        let line = shown(&body);
        assert!(line.contains("ada@example.com") && line.contains("\"a-lo…he-sea\""), "{line}");
        assert!(!line.contains("walk") && line.chars().count() < 150, "{line}");
        assert_eq!(shown(&json!([{ "secret": null }, { "n": 1 }, true])), r#"[{"secret":null},{"n":1},true]"#);
    }

    #[test]
    fn ids_are_short_wherever_they_stand() {
        let line = "GET /v1/organizations/01a201df-0ec6-7431-83a7-b9573ebb6e9d/members é msg_01a201df-0f11-7288-a545-15cccb7ae8c2";
        assert_eq!(with_short_ids(line), "GET /v1/organizations/01a2…bb6e9d/members é msg_01a2…7ae8c2");
    }

    #[test]
    fn lines_stay_narrow_wherever_they_can_be_broken() {
        let text = "POST /v1/organizations ".to_owned() + &"\"a\":1,".repeat(40) + &"y".repeat(120);
        let lines = wrapped(&text);
        let breakable = &lines[..lines.len() - 1];
        assert!(breakable.iter().all(|line| line.chars().count() <= WIDTH), "{lines:?}");
        assert_eq!(lines.join("").replace(' ', ""), text.replace(' ', ""));
        assert_eq!(wrapped("short"), ["short"]);
    }
}

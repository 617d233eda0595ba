//! How pages look, and how text gets into them.

use axum::http::StatusCode;
use chrono::DateTime;

use super::Shown;

const STYLE: &str = include_str!("style.css");

/// Currencies without decimals, as Stripe counts them.
const WHOLE: [&str; 14] =
    ["bif", "clp", "djf", "gnf", "jpy", "kmf", "krw", "mga", "pyg", "rwf", "vnd", "vuv", "xaf", "xpf"];

/// Currencies with three decimals.
const THOUSANDTHS: [&str; 5] = ["bhd", "jod", "kwd", "omr", "tnd"];

/// A whole page.
pub(super) fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light\">\n<link rel=\"icon\" href=\"data:,\">\n\
         <title>{}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n",
        escape(title)
    )
}

/// A page with one message.
pub(super) fn message(title: &str, text: &str, link: Option<(&str, &str)>) -> String {
    let link = link.map(|(url, label)| format!("<a class=\"button\" href=\"{}\">{}</a>", escape(url), escape(label)));
    let link = link.unwrap_or_default();
    let (heading, text) = (escape(title), escape(text));
    page(title, &format!("<main class=\"single card\"><h1>{heading}</h1><p>{text}</p>{link}{}</main>", notice()))
}

/// The page for an address that leads nowhere.
pub(super) fn not_found(what: &str) -> Shown {
    let text = format!("This {what} does not exist. The stand-in forgets everything when it is restarted.");
    Shown::Refused(StatusCode::NOT_FOUND, message("Not found", &text, None))
}

/// What keeps a stranger from taking the page for the real one.
pub(super) fn notice() -> &'static str {
    "<p class=\"notice\"><span class=\"badge\">Test mode</span> This page belongs to a local stand-in for Stripe. No \
     card is charged and no data leaves this computer.</p>"
}

/// Text that is safe between tags and in quoted attributes.
pub(super) fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ => safe.push(letter),
        }
    }
    safe
}

/// An amount as people write it.
pub(super) fn money(minor: i64, currency: &str) -> String {
    let (one, digits) = match currency {
        whole if WHOLE.contains(&whole) => (1, 0),
        thousandths if THOUSANDTHS.contains(&thousandths) => (1_000, 3),
        _ => (100, 2),
    };
    let number =
        if digits == 0 { grouped(minor) } else { format!("{}.{:0digits$}", grouped(minor / one), minor % one) };
    match currency {
        "usd" => format!("${number}"),
        "eur" => format!("€{number}"),
        "gbp" => format!("£{number}"),
        "jpy" => format!("¥{number}"),
        other => format!("{} {number}", other.to_uppercase()),
    }
}

/// A day as people write it.
pub(super) fn day(timestamp: i64) -> String {
    DateTime::from_timestamp(timestamp, 0).map(|moment| moment.format("%-d %B %Y").to_string()).unwrap_or_default()
}

fn grouped(number: i64) -> String {
    let digits = number.to_string();
    let mut grouped = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_are_written_in_the_decimals_of_their_currency() {
        assert_eq!(money(123_456_789, "usd"), "$1,234,567.89");
        assert_eq!(money(500, "jpy"), "¥500");
        assert_eq!(money(1_230, "kwd"), "KWD 1.230");
        assert_eq!(money(5, "chf"), "CHF 0.05");
    }

    #[test]
    fn markup_in_texts_stays_text() {
        assert_eq!(escape("<a href=\"x\">'&'</a>"), "&lt;a href=&quot;x&quot;&gt;&#39;&amp;&#39;&lt;/a&gt;");
    }
}

use std::fmt::Write;

use chrono::SecondsFormat;

use super::ReceivedMail;

const HEAD: &str = r#"<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Development mailbox</title>
<style>
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem; }
header { display: flex; justify-content: space-between; align-items: baseline; }
h1 { font-size: 1.25rem; }
article { border: 1px solid var(--line); border-radius: .5rem; padding: 1rem 1.25rem; margin: 1rem 0; }
h2 { font-size: 1rem; margin: 0; }
p { margin: 0; font-size: .875rem; opacity: .7; }
details { margin: .75rem 0 0; }
summary { font-size: .875rem; opacity: .7; cursor: pointer; }
iframe { box-sizing: border-box; width: 100%; height: 24rem; margin: .5rem 0 0; background: Canvas; }
iframe { border: 1px solid var(--line); border-radius: .25rem; }
pre { font: .875rem/1.6 ui-monospace, monospace; white-space: pre-wrap; overflow-wrap: anywhere; margin: .75rem 0 0; }
</style>
</head>
<body>
<header><h1>Development mailbox</h1><a href="/dev/mail">Refresh</a></header>
<main>
"#;

const TAIL: &str = "</main>\n</body>\n</html>\n";

/// The mailbox as a page without scripts. Everything that came with a message is escaped; its HTML form stands in a frame
/// that may do nothing: no script, no form, no way out. The newest is open.
pub(super) fn render(received: &[ReceivedMail]) -> String {
    let mut page = String::from(HEAD);
    if received.is_empty() {
        page.push_str("<p>No mail yet.</p>\n");
    }
    for (number, ReceivedMail { mail, sent_at, .. }) in received.iter().enumerate() {
        let sent_at = sent_at.to_rfc3339_opts(SecondsFormat::Secs, true);
        let (subject, to, text) = (escaped(&mail.subject), escaped(&mail.to), linked(&mail.text));
        // Writing to a String cannot fail.
        let _ =
            writeln!(page, "<article>\n<h2>{subject}</h2>\n<p>to {to} · <time>{sent_at}</time></p>\n<pre>{text}</pre>");
        if let Some(html) = &mail.html {
            let (open, html) = (if number == 0 { " open" } else { "" }, escaped(html));
            let _ = writeln!(
                page,
                "<details{open}><summary>as HTML</summary>\n<iframe sandbox title=\"{subject}\" srcdoc=\"{html}\"></iframe>\n\
                 </details>"
            );
        }
        page.push_str("</article>\n");
    }
    page.push_str(TAIL);
    page
}

fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            '\'' => html.push_str("&#39;"),
            other => html.push(other),
        }
    }
    html
}

/// The text with its http and https addresses as links, and no other scheme.
fn linked(text: &str) -> String {
    let mut html = String::new();
    for piece in text.split_inclusive(char::is_whitespace) {
        let word = piece.trim_end();
        let is_link = word.starts_with("https://") || word.starts_with("http://");
        // A full stop or bracket after an address belongs to the sentence.
        let address = if is_link { word.trim_end_matches(['.', ',', ';', ':', '!', '?', ')', ']', '>']) } else { "" };
        if !address.is_empty() {
            let address = escaped(address);
            let _ = write!(html, "<a href=\"{address}\" rel=\"noopener noreferrer\">{address}</a>");
        }
        html.push_str(&escaped(&piece[address.len()..]));
    }
    html
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use uuid::Uuid;

    use super::*;
    use crate::mail::Mail;

    #[test]
    fn nothing_in_a_message_becomes_markup() {
        let hostile = "<script>alert(1)</script>\"'&";
        let mail = Mail { to: hostile.to_owned(), subject: hostile.to_owned(), text: hostile.to_owned(), html: None };
        let page = render(&[ReceivedMail { id: Uuid::nil(), sent_at: DateTime::UNIX_EPOCH, mail }]);
        assert!(!page.contains("<script"), "{page}");
        assert_eq!(page.matches("&lt;script&gt;alert(1)&lt;/script&gt;&quot;&#39;&amp;").count(), 3);
    }

    #[test]
    fn the_html_form_stands_in_a_frame_it_cannot_leave() {
        let html = Some("<p title='x'>Hello</p>\"></iframe><script>alert(1)</script>".to_owned());
        let mail = Mail { to: "a@b.example".to_owned(), subject: "Hi".to_owned(), text: "Hello".to_owned(), html };
        let page = render(&[ReceivedMail { id: Uuid::nil(), sent_at: DateTime::UNIX_EPOCH, mail }]);
        let (_, frame) = page.split_once("<iframe ").expect("a frame");
        let (frame, rest) = frame.split_once('>').expect("its end");
        assert!(frame.starts_with("sandbox title=\"Hi\" srcdoc=\"&lt;p title=&#39;x&#39;&gt;Hello"), "{frame}");
        assert!(rest.starts_with("</iframe>") && !page.contains("<script"), "{page}");
    }

    #[test]
    fn only_web_addresses_become_links() {
        assert_eq!(
            linked("Open https://example.com/verify?token=a&b=c.\nBye"),
            "Open <a href=\"https://example.com/verify?token=a&amp;b=c\" rel=\"noopener noreferrer\">\
             https://example.com/verify?token=a&amp;b=c</a>.\nBye"
        );
        for harmless in ["javascript:alert(1)", "data:text/html,x", "xhttps://example.com", "mailto:a@b.example"] {
            assert_eq!(linked(harmless), harmless);
        }
        let quoted = linked("https://example.com/\"onclick=\"x");
        assert!(!quoted.contains("\"onclick"), "{quoted}");
    }

    #[test]
    fn an_empty_mailbox_says_so() {
        assert!(render(&[]).contains("No mail yet"));
    }
}

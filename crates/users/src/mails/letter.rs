use platform::config::ServiceConfig;
use platform::mail::Mail;

/// What every HTML mail looks like. Mail programs load nothing and run nothing, so the styles stand inline.
const LAYOUT: &str = include_str!("layout.html");
const PARAGRAPH: &str = "<p style=\"margin: 0 0 16px\">{text}</p>\n";
const LINK: &str = "<p style=\"margin: 24px 0\"><a href=\"{address}\" style=\"display: inline-block; padding: 10px 18px; \
                    border-radius: 6px; background: #1d4ed8; color: #ffffff; text-decoration: none\">{label}</a></p>\n";

/// A piece of a template.
enum Piece<'a> {
    Paragraph(&'a str),
    /// `[label](address)`, alone in its paragraph.
    Link {
        label: &'a str,
        address: &'a str,
    },
}

/// Fills a template in: the first line is the subject, the rest paragraphs and links. Both forms of the mail come from the
/// one template. It is taken apart before any value is in it, and everything is escaped afterwards, so no value can
/// become a link, a paragraph or markup. `{product}` and `{url}` are known to every template.
pub(super) fn letter(service: &ServiceConfig, mail_to: &str, template: &str, values: &[(&str, &str)]) -> Mail {
    let ServiceConfig { name, public_url } = service;
    let mut known = vec![("product", name.as_str()), ("url", public_url.as_str())];
    known.extend_from_slice(values);
    let (subject, rest) = template.split_once('\n').unwrap_or((template, ""));
    let subject = fill(subject, &known);
    let (mut text, mut html) = (Vec::new(), String::new());
    for piece in pieces(rest) {
        match piece {
            Piece::Paragraph(paragraph) => {
                let paragraph = fill(paragraph, &known);
                html.push_str(&fill(PARAGRAPH, &[("text", &escaped(&paragraph))]));
                text.push(paragraph);
            }
            Piece::Link { label, address } => {
                let (label, address) = (fill(label, &known), fill(address, &known));
                html.push_str(&fill(LINK, &[("label", &escaped(&label)), ("address", &escaped(&address))]));
                text.push(format!("{label}:\n{address}"));
            }
        }
    }
    let frame =
        [("subject", escaped(&subject)), ("product", escaped(name)), ("url", escaped(public_url)), ("content", html)];
    let html = fill(LAYOUT, &frame.each_ref().map(|(name, value)| (*name, value.as_str())));
    Mail { to: mail_to.to_owned(), subject, text: text.join("\n\n") + "\n", html: Some(html) }
}

fn pieces(text: &str) -> impl Iterator<Item = Piece<'_>> {
    text.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty()).map(|paragraph| {
        let link = paragraph.strip_prefix('[').and_then(|rest| rest.strip_suffix(')'));
        match link.and_then(|link| link.split_once("](")) {
            Some((label, address)) => Piece::Link { label, address },
            None => Piece::Paragraph(paragraph),
        }
    })
}

/// Puts the values in the place of their names. What stands in a value is not looked at again.
fn fill(text: &str, values: &[(&str, &str)]) -> String {
    let mut filled = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('{') {
        filled.push_str(before);
        let named = after.split_once('}').and_then(|(name, after)| {
            let (_, value) = values.iter().find(|(known, _)| *known == name)?;
            Some((*value, after))
        });
        let (piece, after) = named.unwrap_or(("{", after));
        filled.push_str(piece);
        rest = after;
    }
    filled + rest
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

#[cfg(test)]
mod tests {
    use super::*;

    const HOSTILE: &str = "<script>alert(\"1\")</script> & [x](https://evil.example) {token} 'q";

    fn service(name: &str) -> ServiceConfig {
        ServiceConfig { name: name.to_owned(), public_url: "https://app.example".to_owned() }
    }

    #[test]
    fn text_and_html_come_from_one_template() {
        let template = "Hi {name}\n\nfirst\nlines\n\n[Open]({url}/x?token={token})\n";
        let mail = letter(&service("Acme"), "ann@example.com", template, &[("name", "Ann"), ("token", "t&1")]);
        assert_eq!((mail.to.as_str(), mail.subject.as_str()), ("ann@example.com", "Hi Ann"));
        assert_eq!(mail.text, "first\nlines\n\nOpen:\nhttps://app.example/x?token=t&1\n");
        let html = mail.html.expect("HTML");
        assert!(html.contains("<title>Hi Ann</title>") && html.contains(">first\nlines</p>"), "{html}");
        assert!(html.contains("href=\"https://app.example/x?token=t&amp;1\""), "{html}");
    }

    #[test]
    fn no_value_becomes_markup_a_link_or_another_value() {
        let template = "About {name}\n\n{name}\n\n[{name}]({url}/{name})\n";
        let values = [("name", HOSTILE), ("token", "the-secret")];
        let mail = letter(&service(HOSTILE), "ann@example.com", template, &values);
        let html = mail.html.expect("HTML");
        assert!(!html.contains("<script") && !html.contains("\"1\"") && !html.contains("'q"), "{html}");
        assert!(!html.contains("href=\"https://evil.example"), "{html}");
        assert!(!html.contains("the-secret") && !mail.text.contains("the-secret"), "{html}");
        assert_eq!(html.matches("<a href").count(), 1);
    }

    #[test]
    fn a_name_without_a_value_stays_visible() {
        assert_eq!(fill("{a} {b} {", &[("a", "1")]), "1 {b} {");
    }
}

use std::time::SystemTime;

use chrono::{DateTime, Utc};
use lettre::Message;
use lettre::message::header::ContentType;
use lettre::message::{Mailbox as Address, MultiPart, SinglePart};
use uuid::Uuid;

use super::Mail;

/// Why no message can be made. The texts name neither address nor content.
#[derive(Debug, thiserror::Error)]
pub(super) enum ComposeError {
    #[error("the recipient is no mail address")]
    Recipient,
    #[error("the subject holds a control character")]
    Subject,
    #[error("the message cannot be written: {0}")]
    Message(lettre::error::Error),
}

/// Writes the message as it travels (RFC 5322). Addresses are parsed and the subject holds no control characters, so no
/// value can begin a header of its own.
pub(super) fn compose(mail: &Mail, from: &Address, id: Uuid, now: DateTime<Utc>) -> Result<Message, ComposeError> {
    let to: lettre::Address = mail.to.parse().map_err(|_| ComposeError::Recipient)?;
    if mail.subject.contains(char::is_control) {
        return Err(ComposeError::Subject);
    }
    let message = Message::builder()
        .from(from.clone())
        .to(Address::new(None, to))
        .subject(mail.subject.as_str())
        .message_id(Some(format!("<{id}@{}>", from.email.domain())))
        .date(SystemTime::from(now));
    let written = match &mail.html {
        Some(html) => message.multipart(MultiPart::alternative_plain_html(mail.text.clone(), html.clone())),
        None => message.singlepart(SinglePart::builder().header(ContentType::TEXT_PLAIN).body(mail.text.clone())),
    };
    written.map_err(ComposeError::Message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(mail: &Mail) -> Result<String, ComposeError> {
        let from = "House <house@example.com>".parse().expect("an address");
        let letter = compose(mail, &from, Uuid::nil(), DateTime::UNIX_EPOCH)?;
        Ok(String::from_utf8(letter.formatted()).expect("mail is ASCII"))
    }

    fn mail(to: &str, subject: &str) -> Mail {
        Mail {
            to: to.to_owned(),
            subject: subject.to_owned(),
            text: "Grüße\nhttps://example.com/x".to_owned(),
            html: None,
        }
    }

    #[test]
    fn the_message_id_is_the_jobs_and_the_date_is_given() {
        let text = written(&mail("ann@example.com", "Welcome")).expect("written");
        assert!(text.contains("\r\nMessage-ID: <00000000-0000-0000-0000-000000000000@example.com>\r\n"), "{text}");
        assert!(text.contains("\r\nDate: Thu, 01 Jan 1970 00:00:00 +0000\r\n"), "{text}");
        assert!(text.contains("\r\nTo: ann@example.com\r\n"), "{text}");
        assert!(text.contains("\r\nSubject: Welcome\r\n"), "{text}");
    }

    #[test]
    fn html_stands_beside_the_text() {
        let text =
            written(&Mail { html: Some("<p>Hello</p>".to_owned()), ..mail("ann@example.com", "Hi") }).expect("written");
        assert!(
            text.contains("multipart/alternative") && text.contains("text/plain") && text.contains("text/html"),
            "{text}"
        );
    }

    #[test]
    fn no_value_can_begin_a_header_or_add_a_recipient() {
        for to in [
            "ann@example.com\r\nBcc: eve@example.com",
            "ann@example.com\nBcc: eve@example.com",
            "ann@example.com, eve@example.com",
            "ann@example.com>\r\nRCPT TO:<eve@example.com",
            "Ann <ann@example.com>",
            "ann",
            "",
        ] {
            assert!(matches!(written(&mail(to, "Hi")), Err(ComposeError::Recipient)), "{to:?}");
        }
        for subject in ["Hi\r\nBcc: eve@example.com", "Hi\nBcc: eve@example.com", "Hi\rBcc: eve@example.com", "Hi\0"] {
            assert!(matches!(written(&mail("ann@example.com", subject)), Err(ComposeError::Subject)), "{subject:?}");
        }
        let umlauts = written(&mail("ann@example.com", "Grüße aus Köln")).expect("written");
        assert!(umlauts.is_ascii() && umlauts.contains("\r\nSubject: =?utf-8?"), "{umlauts}");
    }
}

use std::error::Error;
use std::time::Duration;

use lettre::transport::smtp::Error as SmtpError;
use lettre::transport::smtp::response::{Category, Code};
use lettre::{AsyncSmtpTransport, AsyncTransport, Message, Tokio1Executor};
use tokio::time::timeout;

use super::MailConfigError;
use crate::config::Secret;
use crate::jobs::JobError;

/// The configured mail server.
#[derive(Clone, Debug)]
pub(super) struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    timeout: Duration,
}

/// Why a try failed. What the server said is not repeated: servers like to quote the recipient.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum HandOverError {
    #[error("the mail server answered {0}")]
    Answered(String),
    #[error("the mail server did not finish in time")]
    Timeout,
    #[error("the mail server could not be reached: {0}")]
    Unreachable(String),
}

impl Smtp {
    pub(super) fn new(url: &Secret, timeout: Duration) -> Result<Self, MailConfigError> {
        let transport = AsyncSmtpTransport::<Tokio1Executor>::from_url(url.expose())
            .map_err(|_| MailConfigError::SmtpUrl)?
            .timeout(Some(timeout))
            .build();
        Ok(Self { transport, timeout })
    }

    /// Whether mail can only leave encrypted.
    pub(super) fn is_encrypted(url: &Secret) -> bool {
        let url = url.expose();
        let (address, query) = url.split_once('?').unwrap_or((url, ""));
        address.starts_with("smtps://") || query.split('&').any(|pair| pair == "tls=required")
    }

    pub(super) async fn hand_over(&self, letter: Message) -> Result<(), JobError> {
        match timeout(self.timeout, self.transport.send(letter)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(verdict(&error)),
            Err(_) => Err(HandOverError::Timeout.into()),
        }
    }
}

fn verdict(error: &SmtpError) -> JobError {
    if let Some(code) = error.status() {
        let failure = HandOverError::Answered(code.to_string());
        return if is_final(error, code) { JobError::Discard(failure.to_string()) } else { failure.into() };
    }
    if error.is_timeout() {
        return HandOverError::Timeout.into();
    }
    // Without a status the failure is the network's or TLS's, whose texts name hosts but no person.
    let cause = error.source().map_or_else(|| "no cause given".to_owned(), ToString::to_string);
    HandOverError::Unreachable(cause).into()
}

/// A 55x is the last word about this message. Other 5xx replies complain about us, for instance about a wrong
/// password (535) or a command (50x): that can be mended, and the mail must not be lost until then.
fn is_final(error: &SmtpError, code: Code) -> bool {
    error.is_permanent() && code.category == Category::MailSystem
}

#[cfg(test)]
mod tests {
    use lettre::message::Mailbox as Address;
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::TcpListener;

    use super::*;
    use crate::telemetry::spawn;

    /// A mail server that greets, accepts everything and answers RCPT as told; an empty reply means it hangs there.
    async fn server(to_recipient: &'static str) -> Smtp {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("smtp://{}", listener.local_addr().expect("bound"));
        spawn("mail-server", async move {
            let (stream, _) = listener.accept().await.expect("a connection");
            let mut stream = BufReader::new(stream);
            stream.write_all(b"220 here\r\n").await.expect("greeted");
            let (mut line, mut in_body) = (String::new(), false);
            while stream.read_line(&mut line).await.unwrap_or(0) > 0 {
                let command = std::mem::take(&mut line);
                let reply = match command.get(..4) {
                    _ if in_body && command != ".\r\n" => continue,
                    Some("RCPT") if to_recipient.is_empty() => std::future::pending().await,
                    Some("RCPT") => to_recipient,
                    Some("DATA") => "354 go on",
                    _ => "250 fine",
                };
                in_body = reply.starts_with("354");
                stream.write_all(format!("{reply}\r\n").as_bytes()).await.expect("answered");
            }
        });
        Smtp::new(&url.into(), Duration::from_millis(if to_recipient.is_empty() { 50 } else { 10_000 })).expect("a URL")
    }

    async fn outcome(to_recipient: &'static str) -> Result<(), JobError> {
        let address: Address = "ann@example.com".parse().expect("an address");
        let letter = Message::builder().from(address.clone()).to(address).body("hello".to_owned()).expect("a letter");
        server(to_recipient).await.hand_over(letter).await
    }

    fn reason(outcome: Result<(), JobError>) -> (bool, String) {
        match outcome.expect_err("not delivered") {
            JobError::Retry(error) => (true, error.to_string()),
            JobError::Discard(reason) => (false, reason),
        }
    }

    #[tokio::test]
    async fn a_server_that_accepts_has_the_mail() {
        outcome("250 fine").await.expect("delivered");
    }

    #[tokio::test]
    async fn a_refused_recipient_is_final_and_every_other_failure_is_tried_again() {
        let answered = |code: &str| format!("the mail server answered {code}");
        for (reply, again, text) in [
            ("550 no such user <ann@example.com>", false, answered("550")),
            ("554 spam", false, answered("554")),
            ("451 busy with ann@example.com", true, answered("451")),
            ("535 who are you", true, answered("535")),
            ("501 what", true, answered("501")),
            ("", true, "the mail server did not finish in time".to_owned()),
        ] {
            assert_eq!(reason(outcome(reply).await), (again, text), "{reply}");
        }
    }

    #[tokio::test]
    async fn a_server_that_is_away_is_tried_again() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("smtp://{}", listener.local_addr().expect("bound"));
        drop(listener);
        let address: Address = "ann@example.com".parse().expect("an address");
        let letter = Message::builder().from(address.clone()).to(address).body("hello".to_owned()).expect("a letter");
        let smtp = Smtp::new(&url.into(), Duration::from_secs(10)).expect("a URL");
        let (again, text) = reason(smtp.hand_over(letter).await);
        assert!(again && text.starts_with("the mail server could not be reached"), "{text}");
    }
}

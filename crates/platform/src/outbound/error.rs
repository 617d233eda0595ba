use std::error::Error;
use std::fmt;
use std::io;
use std::time::Duration;

use super::resolver::AddressRefused;
use super::url::UrlProblem;

/// What kind of failure a call met. The names are kept in databases and used in metrics: never rename one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureClass {
    /// No complete answer within the deadline.
    Timeout,
    /// The name could not be looked up.
    Dns,
    /// No connection.
    Connect,
    /// The URL or every address behind its name is forbidden.
    AddressRefused,
    /// The TLS handshake failed: certificate, name or protocol.
    Tls,
    /// The connection broke or what came was no HTTP.
    Other,
}

impl FailureClass {
    /// The stable name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Timeout => "timeout",
            Self::Dns => "dns",
            Self::Connect => "connect",
            Self::AddressRefused => "address_refused",
            Self::Tls => "tls",
            Self::Other => "other",
        }
    }
}

/// Why there is no answer. The text names the cause but never the URL, whose path or query may hold a secret.
#[derive(Debug, thiserror::Error)]
#[error("the call failed ({class}): {detail}")]
pub struct OutboundError {
    class: FailureClass,
    detail: String,
    duration: Duration,
    never_sent: bool,
}

impl fmt::Display for FailureClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl OutboundError {
    /// The stable name of the kind of failure.
    #[must_use]
    pub fn class(&self) -> &'static str {
        self.class.as_str()
    }

    /// The kind of failure, to decide by.
    #[must_use]
    pub fn kind(&self) -> FailureClass {
        self.class
    }

    /// How long it took to fail.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.duration
    }

    /// Whether it is certain that nothing reached the server: it was not found, let nobody in or proved nobody. After any
    /// other failure the server may have done what it was asked.
    #[must_use]
    pub fn never_sent(&self) -> bool {
        self.never_sent
    }

    pub(super) fn timed_out(duration: Duration) -> Self {
        let detail = "no complete answer in time".to_owned();
        Self { class: FailureClass::Timeout, detail, duration, never_sent: false }
    }

    pub(super) fn bad_user_agent() -> Self {
        let detail = "outbound.user_agent is no valid header value".to_owned();
        Self { class: FailureClass::Other, detail, duration: Duration::ZERO, never_sent: true }
    }

    pub(super) fn refused(problem: UrlProblem) -> Self {
        let detail = format!("the URL {problem}");
        Self { class: FailureClass::AddressRefused, detail, duration: Duration::ZERO, never_sent: true }
    }

    pub(super) fn of(error: &reqwest::Error, duration: Duration) -> Self {
        let mut causes = Vec::new();
        let mut cause = error.source();
        while let Some(error) = cause {
            causes.push(error);
            cause = error.source();
        }
        // Only causes are quoted: the outermost text holds the URL.
        let detail = causes.last().map_or_else(|| "no cause given".to_owned(), ToString::to_string);
        // Names are looked up and handshakes made while connecting; a slow connection is a timeout, but of this kind too.
        let never_sent = error.is_connect() || error.is_builder();
        Self { class: classify(error, &causes), detail, duration, never_sent }
    }
}

fn classify(error: &reqwest::Error, causes: &[&(dyn Error + 'static)]) -> FailureClass {
    if causes.iter().any(|cause| cause.is::<AddressRefused>()) {
        FailureClass::AddressRefused
    } else if error.is_timeout() {
        FailureClass::Timeout
    } else if error.is_dns() {
        FailureClass::Dns
    } else if error.is_connect() && causes.iter().any(|cause| is_handshake(*cause)) {
        FailureClass::Tls
    } else if error.is_connect() {
        FailureClass::Connect
    } else {
        FailureClass::Other
    }
}

/// A failed handshake arrives as an I/O error of these kinds, wrapped in others; TCP itself never fails to connect so.
fn is_handshake(cause: &(dyn Error + 'static)) -> bool {
    cause.downcast_ref::<io::Error>().is_some_and(|error| {
        let own = matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof);
        own || error.get_ref().is_some_and(|inner| is_handshake(inner))
    })
}

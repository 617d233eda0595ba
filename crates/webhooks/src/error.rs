use platform::http::{Problem, StatusCode};
use platform::jobs::JobError;
use platform::once::OnceError;
use platform::outbound::UrlProblem;
use platform::secrets::OpenError;

/// What can go wrong in webhooks.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It does not exist, or it is another organization's.
    #[error("not found")]
    NotFound,
    /// The caller's role does not allow it.
    #[error("forbidden")]
    Forbidden,
    /// The organization has as many endpoints as it may have.
    #[error("an organization may have {0} endpoints")]
    TooManyEndpoints(i64),
    /// The URL is not one that may be called.
    #[error("the URL {0}")]
    InvalidUrl(#[from] UrlProblem),
    /// The endpoint was changed since the client read it.
    #[error("the version does not match")]
    VersionMismatch(Problem),
    /// Nothing is sent to a disabled endpoint.
    #[error("the endpoint is disabled")]
    EndpointDisabled,
    /// As many secrets sign for the endpoint as may.
    #[error("an endpoint may have {0} secrets that sign")]
    TooManySecrets(usize),
    /// Another replay of the endpoint is not finished.
    #[error("a replay is running")]
    ReplayRunning,
    /// A period of which nothing can be replayed.
    #[error("{field} {why}")]
    InvalidPeriod {
        /// Which end of it is wrong.
        field: &'static str,
        /// What is wrong with it.
        why: String,
    },
    /// The message of a delivery is older than what is kept.
    #[error("the message is no longer kept")]
    MessageExpired,
    /// A repeated request that is still running or says something else.
    #[error(transparent)]
    Once(#[from] OnceError),
    /// A message of a type that the public catalogue does not know.
    #[error("no event type is called `{0}`")]
    UnknownEventType(String),
    /// A message whose data is not what the public catalogue promises for its type.
    #[error("the data of a message of type `{0}` differs from its documented schema")]
    UndocumentedData(&'static str),
    /// A message that is larger than any may be.
    #[error("the message has {0} bytes")]
    MessageTooLarge(usize),
    /// A message that cannot be written as JSON.
    #[error("the message cannot be written")]
    UnwritableMessage(#[from] serde_json::Error),
    /// The database was away or too busy when this was to be written together with others, or whoever wrote it was stopped.
    #[error("it was not written together with others")]
    NotWritten,
    /// Something came in that none of the source's secrets signed.
    #[error("no secret of the source made the signature")]
    InvalidSignature,
    /// Something came in that was signed too long ago, or too far ahead of our clock.
    #[error("the signature is older or newer than the tolerance")]
    InvalidTimestamp,
    /// What came in is signed, but it is no event.
    #[error("the signed body is not an event")]
    InvalidEvent,
    /// A source is configured that cannot work.
    #[error("the webhook source {name} {why}")]
    UnusableSource {
        /// The source's name in the configuration.
        name: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// A signing key cannot be unsealed.
    #[error(transparent)]
    Sealed(#[from] OpenError),
    /// The database refused or is away.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl Error {
    /// Whether the database refused because of something that is written (SQLSTATE classes 22 and 23), or because the lease on one
    /// of the jobs was lost: then others may be written without it.
    pub(crate) fn is_a_refusal(&self) -> bool {
        let Self::Database(sqlx::Error::Database(error)) = self else { return false };
        error.code().is_some_and(|code| code.starts_with("22") || code.starts_with("23") || code == "JB001")
    }

    /// What a job makes of it: a message that nobody can send today cannot be sent tomorrow either.
    pub(crate) fn into_job_error(self) -> JobError {
        match self {
            Self::UnknownEventType(_)
            | Self::UndocumentedData(_)
            | Self::MessageTooLarge(_)
            | Self::UnwritableMessage(_) => JobError::Discard(self.to_string()),
            other => other.into(),
        }
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NotFound => Self::not_found(),
            Error::Forbidden => Self::forbidden(),
            Error::TooManyEndpoints(limit) => {
                let detail = format!("An organization may have {limit} endpoints. Delete one that you no longer need.");
                Self::new(StatusCode::CONFLICT, "too_many_endpoints", detail)
            }
            Error::InvalidUrl(problem) => Self::invalid().field("url", "invalid_url", problem.to_string()),
            Error::VersionMismatch(problem) => problem,
            Error::EndpointDisabled => {
                let detail = "Nothing is sent to this endpoint. Enable it first.";
                Self::new(StatusCode::CONFLICT, "endpoint_disabled", detail)
            }
            Error::TooManySecrets(limit) => {
                let detail = format!(
                    "{limit} secrets sign for this endpoint already. Wait until one has expired, or let all end at once."
                );
                Self::new(StatusCode::CONFLICT, "too_many_secrets", detail)
            }
            Error::ReplayRunning => {
                let detail = "Another replay of this endpoint is running.";
                Self::new(StatusCode::CONFLICT, "replay_running", detail)
            }
            Error::InvalidPeriod { field, why } => Self::invalid().field(field, "out_of_range", why),
            Error::MessageExpired => {
                let detail = "The message is older than what is kept, so it cannot be sent again.";
                Self::new(StatusCode::CONFLICT, "message_expired", detail)
            }
            Error::Once(error) => error.into(),
            Error::InvalidSignature => {
                Self::new(StatusCode::BAD_REQUEST, "invalid_signature", "The signature is missing or wrong.")
            }
            Error::InvalidTimestamp => {
                let detail = "This was signed too long ago, or by a clock that is ahead.";
                Self::new(StatusCode::BAD_REQUEST, "invalid_timestamp", detail)
            }
            Error::InvalidEvent => Self::new(StatusCode::BAD_REQUEST, "invalid_event", "The body is not an event."),
            // No request leads to these: they are mistakes of ours.
            Error::UnknownEventType(_)
            | Error::UndocumentedData(_)
            | Error::MessageTooLarge(_)
            | Error::UnwritableMessage(_)
            | Error::UnusableSource { .. }
            | Error::Sealed(_) => Self::internal(error),
            Error::NotWritten => Self::busy(error),
            Error::Database(error) => error.into(),
        }
    }
}

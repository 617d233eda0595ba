use std::time::Duration;

use platform::http::{Problem, StatusCode};
use platform::once::OnceError;

/// Everything that can go wrong in this module.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address and password do not belong together; deliberately says no more.
    #[error("the credentials are wrong")]
    InvalidCredentials,
    /// The refresh token is unknown, spent, expired or revoked.
    #[error("the refresh token is not valid")]
    InvalidRefreshToken,
    /// The access token is forged, expired or revoked.
    #[error("the access token is not valid")]
    InvalidAccessToken,
    /// The one-time token is unknown, spent or expired.
    #[error("the one-time token is not valid")]
    InvalidOneTimeToken,
    /// The address is not one mail can be sent to.
    #[error("not an e-mail address: {0}")]
    InvalidEmail(&'static str),
    /// The password breaks a rule, named by code and sentence.
    #[error("the password is not acceptable: {1}")]
    WeakPassword(&'static str, String),
    /// More passwords wait to be hashed than can be served in time.
    #[error("too many passwords wait to be hashed")]
    HashingBusy,
    /// A stored hash cannot be computed again: its pepper's generation is missing from the configuration.
    #[error("a password hash cannot be checked; was the root secret of its generation removed?")]
    HashingBroken,
    /// It does not exist, or it is not the caller's.
    #[error("not found")]
    NotFound,
    /// The caller's role does not allow it.
    #[error("forbidden")]
    Forbidden,
    /// The resource was changed since the client read it.
    #[error("the version does not match")]
    VersionMismatch(Problem),
    /// The request repeats another one.
    #[error(transparent)]
    Once(#[from] OnceError),
    /// A signing key is missing or cannot be opened.
    #[error("the signing keys cannot be used: {0}")]
    SigningKeys(String),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::InvalidCredentials => {
                Self::unauthorized("invalid_credentials", "The e-mail address or the password is wrong.")
            }
            Error::InvalidRefreshToken => Self::unauthorized("invalid_refresh_token", "Log in again."),
            Error::InvalidAccessToken => Self::invalid_token("The access token is expired, revoked or not ours."),
            Error::InvalidOneTimeToken => Self::new(
                StatusCode::BAD_REQUEST,
                "invalid_token",
                "The link was used before or is too old. Ask for a new one.",
            ),
            Error::InvalidEmail(why) => Self::invalid().field("email", "invalid_email", why),
            Error::WeakPassword(code, message) => Self::invalid().field("password", code, message),
            Error::HashingBusy => {
                Self::unavailable("Many people are logging in, try again shortly.", Duration::from_secs(2))
            }
            Error::NotFound => Self::not_found(),
            Error::Forbidden => Self::forbidden(),
            Error::VersionMismatch(problem) => problem,
            Error::Once(error) => error.into(),
            Error::SigningKeys(_) | Error::HashingBroken => Self::internal(error),
            Error::Database(error) => error.into(),
        }
    }
}

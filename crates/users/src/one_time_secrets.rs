//! Secrets that are mailed, work once and only for what they were made: 256 random bits of which only a hash is kept.

pub(crate) mod store;

use std::time::Duration;

use crate::email::Email;

/// What a secret is good for.
pub(crate) enum Purpose<'a> {
    /// Choosing a new password.
    PasswordReset,
    /// Moving the account to this address.
    EmailChange(&'a Email),
}

impl<'a> Purpose<'a> {
    fn as_str(&self) -> &'static str {
        match self {
            Self::PasswordReset => "password_reset",
            Self::EmailChange(_) => "email_change",
        }
    }

    fn valid_for(&self) -> Duration {
        match self {
            Self::PasswordReset => Duration::from_mins(30),
            Self::EmailChange(_) => Duration::from_hours(1),
        }
    }

    fn email(&self) -> Option<&'a Email> {
        match self {
            Self::PasswordReset => None,
            Self::EmailChange(email) => Some(email),
        }
    }
}

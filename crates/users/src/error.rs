use std::time::Duration;

use platform::http::{Problem, StatusCode};
use platform::once::OnceError;
use platform::rate_limit::RateLimitError;

use crate::external_identities::IssuerError;

/// Everything that can go wrong in this module.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address and password do not belong together; deliberately says no more.
    #[error("the credentials are wrong")]
    InvalidCredentials,
    /// The password is right, and the account wants a second factor as well.
    #[error("a second factor is missing")]
    SecondFactorRequired,
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
    /// A rule is broken by a field that has another name in this request: field, code and sentence.
    #[error("{0} is not acceptable: {2}")]
    InvalidField(&'static str, &'static str, String),
    /// The current password, asked for once more, is another.
    #[error("the current password is wrong")]
    WrongPassword,
    /// The login of this session is too old for something this sensitive.
    #[error("the login was too long ago")]
    RecentLoginRequired,
    /// Only the person themselves may do this, not a token of theirs.
    #[error("a token cannot do this")]
    SessionRequired,
    /// A second factor is in use already.
    #[error("there is a second factor")]
    SecondFactorOn,
    /// The person has as many personal tokens as they may have.
    #[error("the person has {0} tokens already")]
    TooManyTokens(i64),
    /// More passwords wait to be hashed than can be served in time.
    #[error("too many passwords wait to be hashed")]
    HashingBusy,
    /// A stored hash cannot be computed again: its pepper's generation is missing from the configuration.
    #[error("a password hash cannot be checked; was the root secret of its generation removed?")]
    HashingBroken,
    /// The secret of a second factor cannot be opened.
    #[error("a second factor cannot be checked; was the root secret of its generation removed?")]
    SecondFactorBroken,
    /// It does not exist, or it is not the caller's.
    #[error("not found")]
    NotFound,
    /// The caller's role does not allow it.
    #[error("forbidden")]
    Forbidden,
    /// The organization would be left without an owner.
    #[error("the last owner cannot go")]
    LastOwner,
    /// Somebody belongs to too many organizations to leave them all at once.
    #[error("nobody leaves more than {0} organizations at once")]
    TooManyOrganizations(usize),
    /// An export of the person's data is being made.
    #[error("an export is being made")]
    ExportRunning,
    /// A stored export cannot be opened or read.
    #[error("an export cannot be opened; was the root secret of its generation removed?")]
    ExportBroken,
    /// The invited address belongs to a member.
    #[error("already a member")]
    AlreadyMember,
    /// The organization is full.
    #[error("the organization has {0} members already")]
    TooManyMembers(i64),
    /// Too many invitations of the organization wait for an answer.
    #[error("the organization has {0} open invitations already")]
    TooManyInvitations(i64),
    /// The invitation was accepted before.
    #[error("the invitation was used")]
    InvitationUsed,
    /// The invitation was taken back, replaced, or is too old.
    #[error("the invitation has ended")]
    InvitationGone,
    /// The resource was changed since the client read it.
    #[error("the version does not match")]
    VersionMismatch(Problem),
    /// The request repeats another one.
    #[error(transparent)]
    Once(#[from] OnceError),
    /// Somebody tried too often.
    #[error(transparent)]
    RateLimit(#[from] RateLimitError),
    /// A signing key is missing or cannot be opened.
    #[error("the signing keys cannot be used: {0}")]
    SigningKeys(String),
    /// The configured issuer, or what it says of somebody, stands in the way.
    #[error(transparent)]
    Issuer(#[from] IssuerError),
    /// The signing keys cannot be rotated now; only operators rotate.
    #[error("the signing keys were not rotated: {0}")]
    RotationRefused(&'static str),
    /// The database failed.
    #[error(transparent)]
    Database(#[from] sqlx::Error),
}

impl Error {
    /// The same complaint under the name that the field has in this request.
    pub(crate) fn of_field(self, field: &'static str) -> Self {
        match self {
            Self::InvalidEmail(why) => Self::InvalidField(field, "invalid_email", why.to_owned()),
            Self::WeakPassword(code, message) => Self::InvalidField(field, code, message),
            other => other,
        }
    }
}

const SPENT: &str = "The link was used before or is too old. Ask for a new one.";
const EXPORT_RUNNING: &str = "Your data is being gathered. A mail tells you when it is ready.";
const HASHING_BUSY: &str = "Many people are logging in, try again shortly.";
const MEMBER_ALREADY: &str = "This person is a member already.";
const OWNER_NEEDED: &str = "Somebody must own the organization. Make another member its owner first, or delete it.";
const CODE_NEEDED: &str = "Send totp_code, the code that your app shows, or a recovery_code as well.";
const FACTOR_ON: &str = "Codes of an app are in use already. Remove them first.";

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::InvalidCredentials => {
                Self::unauthorized("invalid_credentials", "The e-mail address, the password or the code is wrong.")
            }
            Error::SecondFactorRequired => Self::unauthorized("mfa_required", CODE_NEEDED),
            Error::InvalidRefreshToken => Self::unauthorized("invalid_refresh_token", "Log in again."),
            Error::InvalidAccessToken => Self::invalid_token("The access token is expired, revoked or not ours."),
            Error::InvalidOneTimeToken => Self::new(StatusCode::BAD_REQUEST, "invalid_token", SPENT),
            Error::InvalidEmail(why) => Self::invalid().field("email", "invalid_email", why),
            Error::WeakPassword(code, message) => Self::invalid().field("password", code, message),
            Error::InvalidField(field, code, message) => Self::invalid().field(field, code, message),
            Error::WrongPassword => Self::invalid().field("current_password", "wrong_password", "is not your password"),
            Error::RecentLoginRequired => {
                Self::unauthorized("recent_login_required", "Your login is too long ago for this. Log in again first.")
            }
            Error::SessionRequired => Self::session_required(),
            Error::SecondFactorOn => Self::new(StatusCode::CONFLICT, "mfa_already_enabled", FACTOR_ON),
            Error::TooManyTokens(limit) => {
                let detail = format!("A person may have {limit} tokens. Delete one first.");
                Self::new(StatusCode::CONFLICT, "too_many_tokens", detail)
            }
            Error::HashingBusy => Self::unavailable(HASHING_BUSY, Duration::from_secs(2)),
            Error::NotFound => Self::not_found(),
            Error::Forbidden => Self::forbidden(),
            Error::LastOwner => Self::new(StatusCode::CONFLICT, "last_owner", OWNER_NEEDED),
            Error::TooManyOrganizations(limit) => {
                let detail = format!("You belong to more than {limit} organizations. Leave or delete some first.");
                Self::new(StatusCode::CONFLICT, "too_many_organizations", detail)
            }
            Error::ExportRunning => Self::new(StatusCode::CONFLICT, "export_running", EXPORT_RUNNING),
            Error::AlreadyMember => Self::new(StatusCode::CONFLICT, "already_member", MEMBER_ALREADY),
            Error::TooManyMembers(limit) => {
                let detail = format!("An organization may have {limit} members.");
                Self::new(StatusCode::CONFLICT, "too_many_members", detail)
            }
            Error::TooManyInvitations(limit) => {
                let detail =
                    format!("{limit} invitations may be open. Take one back, or wait until some are answered.");
                Self::new(StatusCode::CONFLICT, "too_many_invitations", detail)
            }
            Error::InvitationUsed => {
                Self::new(StatusCode::CONFLICT, "invitation_used", "This invitation was accepted before.")
            }
            Error::InvitationGone => {
                Self::new(StatusCode::GONE, "invitation_gone", "This invitation has ended. Ask for a new one.")
            }
            Error::VersionMismatch(problem) => problem,
            Error::Once(error) => error.into(),
            Error::RateLimit(error) => error.into(),
            Error::Issuer(error) => error.into(),
            Error::SigningKeys(_)
            | Error::RotationRefused(_)
            | Error::HashingBroken
            | Error::SecondFactorBroken
            | Error::ExportBroken => Self::internal(error),
            Error::Database(error) => error.into(),
        }
    }
}

impl From<IssuerError> for Problem {
    fn from(error: IssuerError) -> Self {
        let refused = |code, detail| Self::new(StatusCode::FORBIDDEN, code, detail);
        match error {
            IssuerError::ExternalLogin => {
                refused("external_login", "People log in elsewhere: get your access token from the issuer.")
            }
            IssuerError::EmailUnproven => {
                refused("email_unverified", "Verify your e-mail address where you log in, then come again.")
            }
            IssuerError::AccountTaken => {
                refused("account_taken", "The account with your e-mail address belongs to somebody else there.")
            }
            IssuerError::Unavailable => {
                Self::unavailable("Your access token cannot be checked at the moment.", Duration::from_secs(1))
            }
        }
    }
}

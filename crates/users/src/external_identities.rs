//! People who log in elsewhere: where an issuer is configured, its access tokens are accepted instead of ours. The issuer says
//! who somebody is; what they may do here is ours, and an account is made when they come for the first time.

pub(crate) mod issuer;
mod key_set;
mod store;
mod token;

use chrono::{DateTime, Utc};
use platform::caller::{Caller, Credential, UserId};
use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::audit::{Action, Deed};
use crate::email::Email;
use crate::registrations::Registration;
use crate::{Error, Users, accounts};
use issuer::Issuer;
use token::Claims;

/// Whose access tokens are accepted. Switched off while `url` is empty.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerConfig {
    /// What its tokens say in `iss`, exactly.
    pub url: String,
    /// What they say in `aud` when they are meant for us.
    pub audience: String,
    /// For whom they may be meant besides.
    pub other_audiences: Vec<String>,
    /// Where its public keys are (RFC 7517).
    pub jwks_url: String,
    /// How they may be signed.
    pub algorithms: Vec<TokenAlgorithm>,
    /// What they say in `typ`.
    pub token_type: String,
}

/// A signature with a public key. There is no choice of others: what a shared secret signs, we could sign as well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum TokenAlgorithm {
    /// Ed25519.
    EdDSA,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// RSA PKCS#1 v1.5 with SHA-256, from 2048 bits on.
    RS256,
}

impl IssuerConfig {
    pub(crate) fn complaints(&self) -> Vec<(String, String)> {
        if self.url.is_empty() {
            return Vec::new();
        }
        let checks = [
            ("audience", !self.audience.is_empty(), "is missing: say what the issuer's tokens for us have in `aud`"),
            ("jwks_url", self.jwks_url.starts_with("http"), "is missing: say where the issuer's public keys are"),
            ("algorithms", !self.algorithms.is_empty(), "must name at least one of EdDSA, ES256, RS256"),
            ("token_type", !self.token_type.is_empty(), "is missing: `at+jwt`, or `JWT` for issuers that say so"),
        ];
        let broken = checks.into_iter().filter(|(_, holds, _)| !holds);
        broken.map(|(key, _, complaint)| (format!("users.issuer.{key}"), complaint.to_owned())).collect()
    }
}

/// Why somebody with a good token of the issuer does not get in, or cannot be checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssuerError {
    /// People log in at the issuer, not here.
    #[error("people log in at the configured issuer")]
    ExternalLogin,
    /// The issuer does not vouch for an address, so there is nobody to make an account for.
    #[error("the issuer's token proves no e-mail address")]
    EmailUnproven,
    /// The address belongs to another person of the issuer.
    #[error("the account belongs to another person of the issuer")]
    AccountTaken,
    /// The issuer's keys cannot be had at the moment.
    #[error("the issuer's keys are not known and cannot be fetched")]
    Unavailable,
}

/// Names a person as an issuer knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct IdentityId(Uuid);

impl IdentityId {
    fn of(issuer: &str, subject: &str) -> Self {
        let digest = Sha256::new().chain_update(issuer).chain_update([0]).chain_update(subject).finalize();
        let mut bytes = [0; 16];
        bytes.copy_from_slice(&digest[..16]);
        Self(uuid::Builder::from_custom_bytes(bytes).into_uuid())
    }

    fn uuid(self) -> Uuid {
        self.0
    }
}

/// What is stored of one.
struct Identity<'a> {
    id: IdentityId,
    issuer: &'a str,
    subject: &'a str,
}

impl Users {
    /// Whose token this is. The first time, an account is made for the address that the issuer proved, or found by it.
    ///
    /// # Errors
    /// [`Error::InvalidAccessToken`]; [`Error::Issuer`].
    pub(crate) async fn authenticate_elsewhere(&self, issuer: &Issuer, access_token: &str) -> Result<Caller, Error> {
        let claims = token::verify(access_token, issuer, self.0.clock.now()).await?;
        let id = IdentityId::of(issuer.url(), &claims.sub);
        let read = async { Ok::<_, Error>(store::find_account(&mut *self.0.db.read().await?, id).await?) };
        let user = match self.0.standing.identities.get_or_read(id.uuid(), (), read).await? {
            Some(known) => known,
            None => self.welcome(Identity { id, issuer: issuer.url(), subject: &claims.sub }, &claims).await?,
        };
        // Without a word about when the person logged in, they did so long ago: what is sensitive stays closed.
        let authenticated_at = claims.auth_time.and_then(|at| DateTime::from_timestamp(at, 0));
        let authenticated_at = authenticated_at.unwrap_or(DateTime::<Utc>::UNIX_EPOCH);
        Ok(Caller { user, credential: Credential::Login { id: id.uuid(), authenticated_at } })
    }

    async fn welcome(&self, identity: Identity<'_>, claims: &Claims) -> Result<UserId, Error> {
        let email =
            claims.proven_email().and_then(|email| Email::parse(email).ok()).ok_or(IssuerError::EmailUnproven)?;
        let registration = Registration {
            name: claims.display_name(&email.mail_to),
            email: email.canonical,
            mail_to: email.mail_to,
            password_hash: self.0.passwords.none().to_owned(),
        };
        let id = UserId::new();
        let mut tx = self.0.db.begin().await?;
        // Of requests that come first together, one makes the account; the others wait here and find it.
        let is_new = accounts::store::insert(&mut tx, id, &registration, self.0.clock.now()).await?;
        let account = if is_new { Some(id) } else { store::lock_account(&mut tx, &registration.email).await? };
        // A disabled account stays closed whoever vouches for its owner.
        let account = account.ok_or(Error::InvalidAccessToken)?;
        match store::find_identity_of(&mut tx, account, identity.issuer).await? {
            Some(same) if same == identity.id.uuid() => return Ok(account),
            Some(_) => return Err(IssuerError::AccountTaken.into()),
            None => {}
        }
        if !store::insert(&mut tx, &identity, account).await? {
            // It is somebody's whose account is disabled, now with another address.
            return Err(Error::InvalidAccessToken);
        }
        let action = if is_new { Action::AccountCreated } else { Action::IdentityLinked };
        let details = json!({ "issuer": identity.issuer });
        self.record(&mut tx, Deed { action, account: Some(account), organization: None, details }).await?;
        tx.commit().await?;
        Ok(account)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn issuer_and_subject_make_the_identity_and_nothing_can_be_shifted_between_them() {
        let id = |issuer, subject| IdentityId::of(issuer, subject);
        assert_eq!(id("https://a.example", "1"), id("https://a.example", "1"));
        assert_ne!(id("https://a.example", "1"), id("https://b.example", "1"));
        assert_ne!(id("https://a.example/1", "2"), id("https://a.example/", "12"));
    }

    #[test]
    fn what_is_missing_is_named_once_an_issuer_is() {
        let off = IssuerConfig {
            url: String::new(),
            audience: String::new(),
            other_audiences: Vec::new(),
            jwks_url: String::new(),
            algorithms: Vec::new(),
            token_type: String::new(),
        };
        assert_eq!(off.complaints(), []);
        let keys: Vec<String> = IssuerConfig { url: "https://login.example".to_owned(), ..off }
            .complaints()
            .into_iter()
            .map(|(key, _)| key)
            .collect();
        let named = ["audience", "jwks_url", "algorithms", "token_type"].map(|key| format!("users.issuer.{key}"));
        assert_eq!(keys, named);
    }
}

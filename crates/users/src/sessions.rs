//! Logging in and staying logged in: a session lives on the server, so ending it ends it at once. Refresh tokens rotate, and
//! one that is used twice gives a thief away.

pub(crate) mod http;
mod own;
mod refresh;
pub(crate) mod store;

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use platform::caller::{Caller, ClientAddress, Credential, LoggedIn, UserId};
use serde::{Deserialize, Serialize};
use serde_json::json;

pub use own::{LiveSession, SessionScope};

use crate::accounts::Login;
use crate::audit::{Action, Deed};
use crate::email::Email;
use crate::limits::Attempt;
use crate::passwords::Verdict;
use crate::second_factors::{Outcome, SecondFactor};
use crate::tokens::{self, Audience, Claims, OneTimeToken, Refusal};
use crate::{Error, Users};

platform::id! {
    /// Names a session: one login on one device.
    pub struct SessionId;
}

/// More sessions of one person end the oldest.
const MAX_SESSIONS: i64 = 50;

/// How long sessions live. Times in seconds.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SessionConfig {
    /// For whom access tokens are (`aud`).
    pub audience: String,
    /// A session unused for this long ends.
    pub idle_seconds: u32,
    /// A session ends this long after its login, used or not.
    pub absolute_seconds: u32,
    /// How long the token before the newest may be used again, for answers that got lost.
    pub reuse_grace_seconds: u32,
    /// What is hard to undo wants a login no older than this.
    pub recent_login_seconds: u32,
}

/// What somebody logs in with. Not `Debug`: it holds a password.
pub struct Credentials {
    /// The address, as typed.
    pub email: String,
    /// The password, exactly as typed.
    pub password: String,
    /// What the person has besides knowing the password.
    pub second_factor: Option<SecondFactor>,
}

/// What a login or refresh gives.
#[derive(Clone)]
pub struct TokenPair {
    /// Proves the login for `expires_in`.
    pub access_token: String,
    /// Buys the next pair, once.
    pub refresh_token: String,
    /// How long the access token is good for.
    pub expires_in: Duration,
}

impl std::fmt::Debug for TokenPair {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenPair").field("expires_in", &self.expires_in).finish_non_exhaustive()
    }
}

/// A session that a token is to be made for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Session {
    pub(crate) id: SessionId,
    pub(crate) account: UserId,
    pub(crate) authenticated_at: DateTime<Utc>,
    /// Whether the login took a second factor.
    pub(crate) with_second_factor: bool,
}

impl Users {
    /// Opens a session. Whatever is wrong, the answer is the same and costs the same; that a second factor is missing is only
    /// told to whoever knows the password.
    ///
    /// # Errors
    /// [`Error::InvalidCredentials`]; [`Error::SecondFactorRequired`]; [`Error::HashingBusy`] when too many log in; [`Error::RateLimit`] when the address or
    /// the account, whoever tried, was tried too often.
    pub async fn log_in(&self, credentials: &Credentials, client: ClientAddress) -> Result<TokenPair, Error> {
        let mut connection = self.0.db.read().await?;
        let attempt = self.limit_login(&mut connection, client, &credentials.email).await?;
        let login = match Email::parse(&credentials.email) {
            Ok(email) => crate::accounts::store::find_login(&mut connection, &email.canonical).await?,
            Err(_) => None,
        };
        // Others may use it while the password is hashed.
        drop(connection);
        let stored = login.as_ref().map(|login| login.password_hash.as_str());
        let verdict = self.0.passwords.verify(&credentials.password, stored).await?;
        match login {
            Some(login) if verdict != Verdict::Wrong && login.disabled_at.is_none() => {
                let renewed = match verdict {
                    // A busy moment is no reason to keep somebody out; the next login renews the hash.
                    Verdict::RightButOld => self.0.passwords.hash(&credentials.password).await.ok(),
                    Verdict::Right | Verdict::Wrong => None,
                };
                let renewed = renewed.as_deref();
                self.open_session(&login, credentials.second_factor.as_ref(), renewed, &attempt).await
            }
            refused => {
                self.note_failed_login(refused.map(|login| login.id), &attempt).await?;
                Err(Error::InvalidCredentials)
            }
        }
    }

    async fn open_session(
        &self,
        login: &Login,
        second_factor: Option<&SecondFactor>,
        renewed_hash: Option<&str>,
        attempt: &Attempt,
    ) -> Result<TokenPair, Error> {
        let mut tx = self.0.db.begin().await?;
        let with_second_factor = match self.check_second_factor(&mut tx, login.id, second_factor).await? {
            Outcome::Passed => true,
            Outcome::NotNeeded => false,
            Outcome::Missing => return Err(Error::SecondFactorRequired),
            Outcome::Wrong => {
                // The failure is counted and written down.
                tx.commit().await?;
                return Err(Error::InvalidCredentials);
            }
        };
        let authenticated_at = self.0.clock.now();
        let session = Session { id: SessionId::new(), account: login.id, authenticated_at, with_second_factor };
        let refresh_token = OneTimeToken::new();
        // The password may have been changed while its hash was computed.
        if !store::insert(&mut tx, &session, login.password_version, &self.0.config.sessions).await? {
            return Err(Error::InvalidCredentials);
        }
        if let Some(hash) = renewed_hash {
            crate::accounts::store::save_renewed_hash(&mut tx, login.id, hash).await?;
        }
        store::revoke_beyond(&mut tx, login.id, MAX_SESSIONS).await?;
        store::insert_refresh_token(&mut tx, session.id, 0, &refresh_token.hash()).await?;
        self.forgive_attempts(&mut tx, attempt).await?;
        self.record(&mut tx, deed(Action::LoginSucceeded, Some(login.id))).await?;
        self.commit_and_forget(tx, login.id).await?;
        self.token_pair(session, &refresh_token).await
    }

    /// The failure after which others have to wait is told apart: once in a row of them.
    pub(crate) async fn note_failed_login(&self, account: Option<UserId>, attempt: &Attempt) -> Result<(), Error> {
        let mut tx = self.0.db.begin().await?;
        self.record(&mut tx, deed(Action::LoginFailed, account)).await?;
        if attempt.is_last_free {
            self.record(&mut tx, deed(Action::LoginThrottled, account)).await?;
        }
        Ok(tx.commit().await?)
    }

    /// Ends the caller's session; its tokens are refused from now on.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn log_out(&self, person: &LoggedIn) -> Result<(), Error> {
        let mut tx = self.0.db.begin().await?;
        store::revoke(&mut tx, SessionId::from(person.login())).await?;
        self.record(&mut tx, deed(Action::LoggedOut, Some(person.user()))).await?;
        self.commit_and_forget(tx, person.user()).await
    }

    /// Whose access token this is; the session is looked up, so logging out counts at once.
    ///
    /// # Errors
    /// [`Error::InvalidAccessToken`] when it is forged, expired or its session has ended.
    pub(crate) async fn authenticate(&self, access_token: &str) -> Result<Caller, Error> {
        if let Some(issuer) = &self.0.issuer {
            return self.authenticate_elsewhere(issuer, access_token).await;
        }
        let now = self.0.clock.now();
        let mut claims = tokens::verify(access_token, &*self.keys()?, self.audience(), now);
        // Another process may have made the key.
        if claims == Err(Refusal::UnknownKey) && self.learn_new_keys().await? {
            claims = tokens::verify(access_token, &*self.keys()?, self.audience(), now);
        }
        let claims = claims.map_err(|_| Error::InvalidAccessToken)?;
        let (session, account) = (SessionId::from(claims.sid), UserId::from(claims.sub));
        let read = async { Ok::<_, Error>(store::find_live(&mut *self.0.db.read().await?, session, account).await?) };
        let live = self.0.standing.sessions.get_or_read(account.uuid(), session, read).await?;
        let authenticated_at = live.ok_or(Error::InvalidAccessToken)?;
        Ok(Caller { user: account, credential: Credential::Login { id: claims.sid, authenticated_at } })
    }

    /// Lets pass who proved a short while ago who they are; a token left lying around does not suffice.
    ///
    /// # Errors
    /// [`Error::RecentLoginRequired`]; [`Error::SessionRequired`] for a personal token.
    pub(crate) fn require_recent_login(&self, caller: &Caller) -> Result<(), Error> {
        let Credential::Login { authenticated_at, .. } = caller.credential else {
            return Err(Error::SessionRequired);
        };
        let age = self.0.clock.now() - authenticated_at;
        let recent = TimeDelta::seconds(self.0.config.sessions.recent_login_seconds.into());
        if age <= recent { Ok(()) } else { Err(Error::RecentLoginRequired) }
    }

    pub(crate) async fn token_pair(&self, session: Session, refresh_token: &OneTimeToken) -> Result<TokenPair, Error> {
        let Audience { issuer, audience } = self.audience();
        let now = self.0.clock.now().timestamp();
        let valid_for = tokens::VALID_FOR;
        let claims = Claims {
            iss: issuer.to_owned(),
            sub: session.account.uuid(),
            aud: audience.to_owned(),
            exp: now.saturating_add_unsigned(valid_for.as_secs()),
            iat: now,
            nbf: now,
            jti: platform::ids::new_uuid(),
            sid: session.id.uuid(),
            auth_time: session.authenticated_at.timestamp(),
            amr: amr(session.with_second_factor),
        };
        Ok(TokenPair {
            access_token: tokens::sign(&claims, self.fresh_keys().await?.current())?,
            refresh_token: refresh_token.reveal().to_owned(),
            expires_in: valid_for,
        })
    }

    fn audience(&self) -> Audience<'_> {
        Audience { issuer: &self.0.service.public_url, audience: &self.0.config.sessions.audience }
    }
}

/// How somebody logged in (RFC 8176).
fn amr(with_second_factor: bool) -> Vec<String> {
    let methods: &[&str] = if with_second_factor { &["pwd", "otp"] } else { &["pwd"] };
    methods.iter().map(|method| (*method).to_owned()).collect()
}

pub(crate) fn deed(action: Action, account: Option<UserId>) -> Deed {
    Deed { action, account, organization: None, details: json!({}) }
}

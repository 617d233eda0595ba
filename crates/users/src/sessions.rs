//! Logging in and staying logged in: a session lives on the server, so ending it ends it at once. Refresh tokens rotate, and
//! one that is used twice gives a thief away.

pub(crate) mod http;
mod refresh;
pub(crate) mod store;

use std::time::Duration;

use chrono::{DateTime, Utc};
use platform::caller::{Caller, UserId};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::accounts::Login;
use crate::audit::{Action, Deed};
use crate::email::Email;
use crate::passwords::Verdict;
use crate::tokens::{self, Audience, Claims, OneTimeToken};
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
}

/// What somebody logs in with. Not `Debug`: it holds a password.
pub struct Credentials {
    /// The address, as typed.
    pub email: String,
    /// The password, exactly as typed.
    pub password: String,
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
}

impl Users {
    /// Opens a session. Whatever is wrong, the answer is the same and costs the same.
    ///
    /// # Errors
    /// [`Error::InvalidCredentials`]; [`Error::HashingBusy`] when too many log in.
    pub async fn log_in(&self, credentials: &Credentials) -> Result<TokenPair, Error> {
        let login = match Email::parse(&credentials.email) {
            Ok(email) => crate::accounts::store::find_login(&mut *self.0.db.read().await?, &email.canonical).await?,
            Err(_) => None,
        };
        let stored = login.as_ref().map(|login| login.password_hash.as_str());
        let verdict = self.0.passwords.verify(&credentials.password, stored).await?;
        match login {
            Some(login) if verdict != Verdict::Wrong && login.disabled_at.is_none() => {
                let renewed = match verdict {
                    // A busy moment is no reason to keep somebody out; the next login renews the hash.
                    Verdict::RightButOld => self.0.passwords.hash(&credentials.password).await.ok(),
                    Verdict::Right | Verdict::Wrong => None,
                };
                self.open_session(&login, renewed.as_deref()).await
            }
            refused => {
                self.note_failed_login(refused.map(|login| login.id)).await?;
                Err(Error::InvalidCredentials)
            }
        }
    }

    async fn open_session(&self, login: &Login, renewed_hash: Option<&str>) -> Result<TokenPair, Error> {
        let now = self.0.clock.now();
        let session = Session { id: SessionId::new(), account: login.id, authenticated_at: now };
        let refresh_token = OneTimeToken::new();
        let mut tx = self.0.db.begin().await?;
        // The password may have been changed while its hash was computed.
        if !store::insert(&mut tx, &session, &login.password_hash, &self.0.config.sessions).await? {
            return Err(Error::InvalidCredentials);
        }
        if let Some(hash) = renewed_hash {
            crate::accounts::store::save_password_hash(&mut tx, login.id, hash).await?;
        }
        store::revoke_beyond(&mut tx, login.id, MAX_SESSIONS).await?;
        store::insert_refresh_token(&mut tx, session.id, 0, &refresh_token.hash()).await?;
        self.record(&mut tx, deed(Action::LoginSucceeded, Some(login.id))).await?;
        tx.commit().await?;
        self.token_pair(session, &refresh_token)
    }

    async fn note_failed_login(&self, account: Option<UserId>) -> Result<(), Error> {
        let mut tx = self.0.db.begin().await?;
        self.record(&mut tx, deed(Action::LoginFailed, account)).await?;
        Ok(tx.commit().await?)
    }

    /// Ends the caller's session; its tokens are refused from now on.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn log_out(&self, caller: &Caller) -> Result<(), Error> {
        let mut tx = self.0.db.begin().await?;
        store::revoke(&mut tx, SessionId::from(caller.login)).await?;
        self.record(&mut tx, deed(Action::LoggedOut, Some(caller.user))).await?;
        Ok(tx.commit().await?)
    }

    /// Whose access token this is; the session is looked up, so logging out counts at once.
    ///
    /// # Errors
    /// [`Error::InvalidAccessToken`] when it is forged, expired or its session has ended.
    pub(crate) async fn authenticate(&self, access_token: &str) -> Result<Caller, Error> {
        let keys = self.keys()?;
        let claims = tokens::verify(access_token, &keys, self.audience(), self.0.clock.now())?;
        let (session, account) = (SessionId::from(claims.sid), UserId::from(claims.sub));
        let live = store::find_live(&mut *self.0.db.read().await?, session, account).await?;
        let authenticated_at = live.ok_or(Error::InvalidAccessToken)?;
        Ok(Caller { user: account, login: claims.sid, authenticated_at })
    }

    pub(crate) fn token_pair(&self, session: Session, refresh_token: &OneTimeToken) -> Result<TokenPair, Error> {
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
            amr: vec!["pwd".to_owned()],
        };
        Ok(TokenPair {
            access_token: tokens::sign(&claims, self.keys()?.current())?,
            refresh_token: refresh_token.reveal().to_owned(),
            expires_in: valid_for,
        })
    }

    fn audience(&self) -> Audience<'_> {
        Audience { issuer: &self.0.service.public_url, audience: &self.0.config.sessions.audience }
    }
}

pub(crate) fn deed(action: Action, account: Option<UserId>) -> Deed {
    Deed { action, account, organization: None, details: json!({}) }
}

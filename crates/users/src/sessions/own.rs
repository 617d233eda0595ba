//! A person's own sessions: seeing them and ending them.

use chrono::{DateTime, Utc};
use platform::caller::LoggedIn;
use platform::http::{Page, PageRequest};
use serde_json::json;

use super::{SessionId, store};
use crate::audit::{Action, Deed};
use crate::{Error, Users, accounts};

/// A session that is still good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LiveSession {
    /// Names it.
    pub id: SessionId,
    /// When it was opened.
    pub created_at: DateTime<Utc>,
    /// When its tokens were last refreshed.
    pub last_used_at: DateTime<Utc>,
    /// When it ends unless it is used before.
    pub expires_at: DateTime<Utc>,
    /// Whether it is the caller's.
    pub current: bool,
}

/// Which of a person's sessions to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionScope {
    /// All but the one that asks.
    Others,
    /// All.
    All,
}

impl Users {
    /// The caller's sessions, newest first.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn list_sessions(&self, person: &LoggedIn, page: &PageRequest) -> Result<Page<LiveSession>, Error> {
        let current = SessionId::from(person.login());
        let rows = store::list_live(&mut *self.0.db.read().await?, person.user(), current, page).await?;
        Ok(Page::of(rows, page, |session| session.id.uuid()))
    }

    /// Ends one of the caller's sessions; its tokens are refused from now on.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it is somebody else's or has ended.
    pub async fn revoke_session(&self, person: &LoggedIn, session: SessionId) -> Result<(), Error> {
        let mut tx = self.0.db.begin().await?;
        if !store::revoke_of(&mut tx, person.user(), session).await? {
            return Err(Error::NotFound);
        }
        self.record(&mut tx, deed(person, json!({ "session": session }))).await?;
        self.commit_and_forget(tx, person.user()).await
    }

    /// Ends the caller's sessions, as after losing a device.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn revoke_sessions(&self, person: &LoggedIn, scope: SessionScope) -> Result<(), Error> {
        let (kept, word) = match scope {
            SessionScope::Others => (Some(SessionId::from(person.login())), "others"),
            SessionScope::All => (None, "all"),
        };
        let mut tx = self.0.db.begin().await?;
        // A login that is just being opened is seen or comes later.
        accounts::store::lock(&mut tx, person.user()).await?.ok_or(Error::NotFound)?;
        store::revoke_all(&mut tx, person.user(), kept).await?;
        self.record(&mut tx, deed(person, json!({ "scope": word }))).await?;
        self.commit_and_forget(tx, person.user()).await
    }
}

fn deed(person: &LoggedIn, details: serde_json::Value) -> Deed {
    Deed { action: Action::SessionRevoked, account: Some(person.user()), organization: None, details }
}

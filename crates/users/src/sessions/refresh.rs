//! Rotation with reuse detection (RFC 9700 section 4.14.2).

use super::store::{self, Presented};
use super::{Session, deed};
use crate::audit::Action;
use crate::tokens::OneTimeToken;
use crate::{Error, TokenPair, Users, mails};

/// What a presented refresh token deserves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Decision {
    /// The newest: spend it and hand out its successor.
    Rotate,
    /// The one before the newest, moments ago: the answer probably got lost, so hand out another successor.
    Repeat,
    /// Spent long ago: somebody holds a copy. End the session.
    Reused,
}

fn decide(presented: i32, newest: i32, within_grace: bool) -> Decision {
    if presented == newest {
        Decision::Rotate
    } else if presented + 1 == newest && within_grace {
        // The successor is the newest, hence unused.
        Decision::Repeat
    } else {
        Decision::Reused
    }
}

impl Users {
    /// Buys a new pair of tokens. Racing requests with one token share one lineage; a token that was spent before ends the
    /// session, and the person is told.
    ///
    /// # Errors
    /// [`Error::InvalidRefreshToken`]; [`Error::RateLimit`].
    pub async fn refresh(&self, refresh_token: &str) -> Result<TokenPair, Error> {
        let mut tx = self.0.db.begin().await?;
        let grace = self.0.config.sessions.reuse_grace_seconds;
        let hash = OneTimeToken::hash_of(refresh_token);
        let session = store::find_session_of(&mut tx, &hash).await?.ok_or(Error::InvalidRefreshToken)?;
        self.limit_refresh(&mut tx, session).await?;
        let presented = store::lock(&mut tx, session, &hash, grace).await?.ok_or(Error::InvalidRefreshToken)?;
        let Presented { account, generation, newest, within_grace, .. } = presented;
        let Presented { authenticated_at, with_second_factor, .. } = presented;
        let session = Session { id: session, account, authenticated_at, with_second_factor };
        let successor = OneTimeToken::new();
        match decide(generation, newest, within_grace) {
            Decision::Rotate => {
                store::insert_refresh_token(&mut tx, session.id, newest + 1, &successor.hash()).await?;
                store::rotate(&mut tx, session.id, self.0.config.sessions.idle_seconds).await?;
            }
            Decision::Repeat => store::insert_refresh_token(&mut tx, session.id, newest, &successor.hash()).await?,
            Decision::Reused => {
                store::revoke(&mut tx, session.id).await?;
                self.record(&mut tx, deed(Action::TokenReused, Some(account))).await?;
                self.0.mailer.send(&mut tx, mails::session_revoked(&self.0.service, &presented.mail_to)).await?;
                self.commit_and_forget(tx, account).await?;
                return Err(Error::InvalidRefreshToken);
            }
        }
        tx.commit().await?;
        self.token_pair(session, &successor).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_newest_token_and_briefly_its_predecessor_are_good() {
        for (presented, newest, within_grace, decision) in [
            (3, 3, true, Decision::Rotate),
            (3, 3, false, Decision::Rotate),
            (2, 3, true, Decision::Repeat),
            (2, 3, false, Decision::Reused),
            (1, 3, true, Decision::Reused),
            (0, 3, false, Decision::Reused),
        ] {
            assert_eq!(
                decide(presented, newest, within_grace),
                decision,
                "{presented} of {newest}, grace {within_grace}"
            );
        }
    }
}

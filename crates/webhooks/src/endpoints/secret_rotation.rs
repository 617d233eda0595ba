//! Rotation: a new secret signs for an endpoint, and the older ones beside it until its owner has had time to tell the receiver.

pub(crate) mod http;
mod store;

use chrono::{DateTime, TimeDelta, Utc};
use platform::caller::Member;
use uuid::Uuid;

use super::EndpointId;
use crate::signatures::SigningKey;
use crate::{Error, Webhooks, policy};

/// How long older secrets go on signing unless said.
const USUAL_OVERLAP: TimeDelta = TimeDelta::days(1);

/// How many secrets may sign for an endpoint at a time: each adds a signature to every message.
const MAX_SECRETS: usize = 3;

/// A secret that signs.
#[derive(Clone, Copy, Debug)]
struct Secret {
    id: Uuid,
    /// Until when, if a newer one took over.
    expires_at: Option<DateTime<Utc>>,
}

/// A new secret, shown only this once.
pub(crate) struct Rotated {
    pub(crate) key: SigningKey,
    /// When the older ones have stopped signing, all of them.
    pub(crate) previous_expires_at: DateTime<Utc>,
}

/// When each of the secrets that sign at the moment stops: after the overlap, or sooner if that was said before.
///
/// # Errors
/// [`Error::TooManySecrets`] when too many would sign beside the new one.
fn ends(signing: &[Secret], now: DateTime<Utc>, overlap: TimeDelta) -> Result<Vec<(Uuid, DateTime<Utc>)>, Error> {
    let last = now + overlap;
    let end = |secret: &Secret| (secret.id, secret.expires_at.map_or(last, |end| end.min(last)));
    let ends: Vec<_> = signing.iter().map(end).collect();
    let remaining = ends.iter().filter(|(_, end)| *end > now).count();
    if remaining < MAX_SECRETS { Ok(ends) } else { Err(Error::TooManySecrets(MAX_SECRETS)) }
}

impl Webhooks {
    /// Makes another secret for an endpoint. It signs from now on; the older ones do as well until the overlap ends.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`], [`Error::TooManySecrets`].
    pub(crate) async fn rotate_secret(
        &self,
        member: &Member,
        id: EndpointId,
        overlap: Option<TimeDelta>,
    ) -> Result<Rotated, Error> {
        let mut tx = self.0.db.begin().await?;
        super::store::lock(&mut tx, member.org(), id).await?.ok_or(Error::NotFound)?;
        if !policy::may_manage_endpoints(member.role()) {
            return Err(Error::Forbidden);
        }
        // Signing compares with the database's time.
        let now = super::store::now(&mut tx).await?;
        let overlap = overlap.unwrap_or(USUAL_OVERLAP);
        store::delete_expired(&mut tx, member.org(), id).await?;
        let ends = ends(&store::list(&mut tx, member.org(), id).await?, now, overlap)?;
        store::save_ends(&mut tx, member.org(), id, &ends).await?;
        let key = SigningKey::generate();
        super::store::insert_secret(&mut tx, member.org(), id, &key.seal(&self.0.secrets), self.0.clock.now()).await?;
        tx.commit().await?;
        Ok(Rotated { key, previous_expires_at: now + overlap })
    }
}

#[cfg(test)]
mod tests {
    use platform::ids::new_uuid;
    use proptest::prelude::*;

    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_767_225_600, 0).expect("a moment")
    }

    fn after(seconds: i64) -> DateTime<Utc> {
        now() + TimeDelta::seconds(seconds)
    }

    fn secrets(ends: &[Option<i64>]) -> Vec<Secret> {
        ends.iter().map(|end| Secret { id: new_uuid(), expires_at: end.map(after) }).collect()
    }

    fn ends_of(signing: &[Option<i64>], overlap: i64) -> Option<Vec<DateTime<Utc>>> {
        let ends = ends(&secrets(signing), now(), TimeDelta::seconds(overlap)).ok()?;
        Some(ends.into_iter().map(|(_, end)| end).collect())
    }

    #[test]
    fn older_secrets_sign_until_the_overlap_ends_or_as_long_as_was_said_before() {
        assert_eq!(ends_of(&[None], 60), Some(vec![after(60)]));
        assert_eq!(ends_of(&[Some(10), None], 60), Some(vec![after(10), after(60)]));
        assert_eq!(ends_of(&[Some(10), Some(20), None], 60), None, "a fourth would sign");
        assert_eq!(ends_of(&[Some(10), Some(20), None], 0), Some(vec![now(); 3]), "a stolen one is stopped at once");
    }

    proptest! {
        #[test]
        fn three_sign_at_most_and_none_for_longer_than_before(
            before in prop::collection::vec(1_i64..=604_800, 0..3),
            overlap in 0_i64..=604_800,
        ) {
            let signing: Vec<Option<i64>> = before.iter().copied().map(Some).chain([None]).collect();
            match ends_of(&signing, overlap) {
                Some(ends) => {
                    let remaining = ends.iter().filter(|end| **end > now()).count();
                    prop_assert!(remaining < MAX_SECRETS);
                    prop_assert!(ends.iter().all(|end| *end <= after(overlap)));
                    prop_assert!(ends.iter().zip(&before).all(|(end, before)| *end <= after(*before)));
                }
                None => prop_assert!(signing.len() == MAX_SECRETS && overlap > 0),
            }
        }
    }
}

//! Retrying and giving up many deliveries at once, of every organization, as operators do.

use std::collections::{BTreeMap, BTreeSet};

use platform::caller::OrgId;
use sqlx::PgConnection;
use uuid::Uuid;

use super::store::standings::{self, Standing};
use super::store::{self, settlements};
use super::{DeliveryStatus, expiry};
use crate::jobs::CHANNEL;
use crate::{Error, Webhooks};

/// What became of a delivery that an operator wanted something of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// What was wanted.
    Done,
    /// Nothing: it is on its way.
    Sending,
    /// Nothing: it does not wait, and can only be given up while it does.
    Finished,
    /// Nothing: its endpoint is disabled.
    EndpointDisabled,
    /// Nothing: its endpoint was deleted.
    EndpointGone,
    /// Nothing: its message is older than what is kept.
    MessageExpired,
    /// Nothing: there is no such delivery.
    Missing,
}

impl Standing {
    /// Why it cannot be retried, if it cannot: as [`Webhooks::retry_delivery`] says of one.
    fn retriable(&self) -> DeliveryOutcome {
        match self {
            _ if self.sending => DeliveryOutcome::Sending,
            Standing { enabled: None, .. } => DeliveryOutcome::EndpointGone,
            Standing { enabled: Some(false), .. } => DeliveryOutcome::EndpointDisabled,
            _ if !self.has_message => DeliveryOutcome::MessageExpired,
            _ => DeliveryOutcome::Done,
        }
    }

    /// Why it cannot be given up, if it cannot.
    fn discardable(&self) -> DeliveryOutcome {
        match self {
            _ if self.sending => DeliveryOutcome::Sending,
            _ if self.status != DeliveryStatus::Pending => DeliveryOutcome::Finished,
            // What waited went with the endpoint.
            Standing { enabled: None, .. } => DeliveryOutcome::EndpointGone,
            _ => DeliveryOutcome::Done,
        }
    }
}

impl Webhooks {
    /// Makes these deliveries due, in one transaction. Those that ended have the whole schedule before them again.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn retry_deliveries(&self, ids: &[Uuid]) -> Result<Vec<(Uuid, DeliveryOutcome)>, Error> {
        let mut tx = self.0.db.begin().await?;
        let standings = lock(&mut tx, ids).await?;
        let (mut wanted, mut endpoints) = (BTreeMap::<OrgId, Vec<Uuid>>::new(), BTreeSet::new());
        for standing in standings.iter().filter(|standing| standing.retriable() == DeliveryOutcome::Done) {
            wanted.entry(standing.organization).or_default().push(standing.id.uuid());
            endpoints.insert(standing.endpoint);
        }
        for (organization, ids) in wanted {
            store::make_due(&mut tx, organization, &ids).await?;
        }
        store::draw_attention(&mut tx, &Vec::from_iter(endpoints)).await?;
        tx.wake(CHANNEL);
        tx.commit().await?;
        Ok(outcomes(ids, &standings, Standing::retriable))
    }

    /// Gives these deliveries up where they wait, in one transaction: they are dead.
    ///
    /// # Errors
    /// When the database is away.
    pub async fn discard_deliveries(&self, ids: &[Uuid]) -> Result<Vec<(Uuid, DeliveryOutcome)>, Error> {
        let mut tx = self.0.db.begin().await?;
        let standings = lock(&mut tx, ids).await?;
        if expiry::give_up(&mut tx, ids).await?.ready {
            tx.wake(CHANNEL);
        }
        tx.commit().await?;
        Ok(outcomes(ids, &standings, Standing::discardable))
    }
}

/// Locks the endpoints of these deliveries, as the delivery loop does, and looks at what is now nobody else's to change.
async fn lock(connection: &mut PgConnection, ids: &[Uuid]) -> Result<Vec<Standing>, sqlx::Error> {
    let endpoints = standings::list_endpoints(connection, ids).await?;
    settlements::lock(connection, &endpoints).await?;
    standings::list(connection, ids).await
}

fn outcomes(
    ids: &[Uuid],
    standings: &[Standing],
    judge: impl Fn(&Standing) -> DeliveryOutcome,
) -> Vec<(Uuid, DeliveryOutcome)> {
    let outcome = |id: &Uuid| {
        let found = standings.iter().find(|standing| standing.id.uuid() == *id);
        (*id, found.map_or(DeliveryOutcome::Missing, &judge))
    };
    ids.iter().map(outcome).collect()
}

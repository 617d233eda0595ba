//! Recording messages, many in one transaction: each is a job of its own, but the jobs that come at the same time share one.

use std::sync::Arc;

use platform::caller::OrgId;
use platform::jobs::Running;

use super::{Message, store};
use crate::deliveries::{self, NewDelivery};
use crate::endpoints::EndpointId;
use crate::jobs::CHANNEL;
use crate::{Error, Webhooks};

/// The most messages recorded at once.
pub(crate) const BATCH: usize = 100;

/// A message that is to be recorded, and the job that wants it.
pub(crate) struct Announcement {
    running: Running,
    organization: OrgId,
    message: Message,
}

/// A message with its deliveries, as they are written.
pub(crate) struct Mailing<'a> {
    pub(crate) organization: OrgId,
    pub(crate) message: &'a Message,
    pub(crate) deliveries: Vec<NewDelivery>,
}

impl Webhooks {
    /// Records a message with its deliveries and settles its job, together with others that come at the same time.
    ///
    /// # Errors
    /// The job was taken over by another worker, or the database refuses or is away.
    pub(super) async fn record(&self, running: &Running, organization: OrgId, message: Message) -> Result<(), Error> {
        let announcement = Announcement { running: running.clone(), organization, message };
        self.0.announcements.write(announcement, |batch| self.record_all(batch)).await
    }

    async fn record_all(&self, batch: Vec<Arc<Announcement>>) -> Result<Vec<()>, Error> {
        self.make_room().await?;
        let mut tx = self.0.db.begin().await?;
        let mut mailings: Vec<Mailing<'_>> = batch.iter().map(|announcement| announcement.mailing()).collect();
        let subscribers = store::list_subscribers(&mut tx, &mailings).await?;
        // Without subscribers nothing is kept. Endpoints that are disabled get no delivery, but what they miss can be replayed.
        let mut wanted = vec![false; mailings.len()];
        for subscriber in subscribers {
            wanted[subscriber.of] = true;
            if subscriber.enabled {
                mailings[subscriber.of].deliveries.push(NewDelivery::to(subscriber.id));
            }
        }
        let mut wanted = wanted.into_iter();
        mailings.retain(|_| wanted.next() == Some(true));
        if !mailings.is_empty() {
            store::insert(&mut tx, &mailings).await?;
            deliveries::store::insert(&mut tx, &mailings).await?;
            let deliveries = mailings.iter().flat_map(|mailing| &mailing.deliveries);
            let endpoints: Vec<EndpointId> = deliveries.map(|delivery| delivery.endpoint).collect();
            deliveries::store::draw_attention(&mut tx, &endpoints).await?;
            tx.wake(CHANNEL);
        }
        Running::settle_all(batch.iter().map(|announcement| &announcement.running), &mut tx).await?;
        tx.commit().await?;
        Ok(vec![(); batch.len()])
    }
}

impl Announcement {
    fn mailing(&self) -> Mailing<'_> {
        Mailing { organization: self.organization, message: &self.message, deliveries: Vec::new() }
    }
}

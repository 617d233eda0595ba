//! Recording messages, many in one transaction: each is a job of its own, but most of what a transaction costs does not grow
//! with what it writes.

use platform::caller::OrgId;
use platform::jobs::Running;
use tokio::sync::oneshot;

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
    recorded: oneshot::Sender<Result<(), Error>>,
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
        let (recorded, outcome) = oneshot::channel();
        let announcement = Announcement { running: running.clone(), organization, message, recorded };
        self.0.announcements.join(announcement, |batch| self.record_all(batch)).await;
        outcome.await.unwrap_or(Err(Error::NotRecorded))
    }

    /// One that cannot be recorded keeps none of the others from it: then each is tried alone.
    async fn record_all(&self, batch: Vec<Announcement>) {
        let failure = match self.write(&batch).await {
            Ok(()) => return batch.into_iter().for_each(|announcement| announcement.tell(Ok(()))),
            Err(error) => error,
        };
        if batch.len() > 1 && failure.is_a_refusal() {
            for announcement in batch {
                let outcome = self.write(std::slice::from_ref(&announcement)).await;
                announcement.tell(outcome);
            }
        } else if let Ok([alone]) = <[Announcement; 1]>::try_from(batch) {
            alone.tell(Err(failure));
        } else {
            tracing::warn!(error = %failure, "messages could not be recorded; their jobs are tried again");
        }
    }

    async fn write(&self, batch: &[Announcement]) -> Result<(), Error> {
        self.make_room().await?;
        let mut tx = self.0.db.begin().await?;
        let mut mailings: Vec<Mailing<'_>> = batch.iter().map(Announcement::mailing).collect();
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
        Ok(())
    }
}

impl Announcement {
    fn mailing(&self) -> Mailing<'_> {
        Mailing { organization: self.organization, message: &self.message, deliveries: Vec::new() }
    }

    fn tell(self, outcome: Result<(), Error>) {
        // Whoever does not wait any more was stopped, and its job runs again.
        self.recorded.send(outcome).ok();
    }
}

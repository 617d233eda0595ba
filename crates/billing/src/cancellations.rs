//! Cancellations: ending a subscription at the provider. It is an operation, remembered with its job in the transaction that
//! wants it, and asked for until the provider says that it is over. Asking twice is harmless: what is over stays over.

use platform::caller::OrgId;
use platform::db::Tx;
use platform::jobs::{self, Job, JobError, Jobs, Running};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::operations::{self, Change, Operation, OperationId, State};
use crate::ports::ProviderError;
use crate::subscriptions::{Fetched, Subscription};
use crate::{Billing, Error};

/// What this kind of operation is called.
const KIND: &str = "cancel";

/// Asks the provider to end a subscription.
#[derive(Debug, Serialize, Deserialize)]
struct CancelSubscription {
    organization: OrgId,
    operation: OperationId,
}

impl Job for CancelSubscription {
    const NAME: &'static str = "billing.cancel_subscription";
    // A provider that hangs holds up other calls to it only.
    const QUEUE: &'static str = "payments";
}

/// Which one, in the provider's words.
#[derive(Serialize, Deserialize)]
struct Wish {
    subscription: String,
}

pub(crate) fn register(billing: &Billing, jobs: &mut Jobs) {
    let door = billing.clone();
    jobs.register::<CancelSubscription, _, _>(move |job, running| {
        let billing = door.clone();
        async move { billing.cancel(job, &running).await }
    });
}

impl Billing {
    /// Has those of an organization's subscriptions canceled that are not over, if nobody asked for that yet. Call it with the
    /// organization locked.
    pub(crate) async fn cancel_all(
        &self,
        tx: &mut Tx,
        organization: OrgId,
        subscriptions: &[Subscription],
    ) -> Result<(), Error> {
        let now = self.0.clock.now();
        for running in subscriptions.iter().filter(|it| !it.status.is_final()) {
            let subject = format!("{KIND}:{}", running.id);
            if operations::store::find_open(tx, organization, &subject).await?.is_some() {
                continue;
            }
            let wish = json!(Wish { subscription: running.provider_id.clone() });
            let asked = Operation::new(KIND, subject, wish, now);
            let waiting = Operation { state: State::Pending, first_sent_at: None, ..asked };
            operations::store::insert(tx, organization, &waiting, now).await?;
            jobs::enqueue(tx, &CancelSubscription { organization, operation: waiting.id }).await?;
        }
        Ok(())
    }

    async fn cancel(&self, job: CancelSubscription, running: &Running) -> Result<(), JobError> {
        let CancelSubscription { organization, operation } = job;
        let mut connection = self.0.db.read().await?;
        let found = operations::store::find(&mut connection, organization, operation).await?;
        let Some(wanted) = found.filter(Operation::is_open) else { return Ok(()) };
        let Wish { subscription } = serde_json::from_value(wanted.wish)?;
        let sent = Change::to(State::InFlight);
        operations::store::save_state(&mut connection, organization, operation, sent, self.0.clock.now()).await?;
        // Others may use it while the provider is asked.
        drop(connection);
        match self.end_subscription(operation, &subscription).await {
            Ok(ended) if ended.is_over() => self.note_cancellation(running, &job, &ended).await,
            Ok(_) => Err(JobError::Retry(format!("the provider canceled {subscription}, and yet it goes on").into())),
            Err(Error::Provider(error)) => Err(self.note_setback(&job, error).await?),
            Err(error) => Err(error.into()),
        }
    }

    async fn note_cancellation(
        &self,
        running: &Running,
        job: &CancelSubscription,
        ended: &Fetched,
    ) -> Result<(), JobError> {
        let CancelSubscription { organization, operation } = *job;
        let now = self.0.clock.now();
        let mut tx = self.0.db.begin().await?;
        self.mirror(&mut tx, organization, ended).await?;
        operations::store::succeed(&mut tx, organization, Some(operation), ended.id(), now).await?;
        running.settle(&mut tx).await?;
        Ok(tx.commit().await?)
    }

    /// What was not done is asked for again; what was refused needs a person, as somebody goes on paying for nothing.
    async fn note_setback(&self, job: &CancelSubscription, error: ProviderError) -> Result<JobError, Error> {
        let CancelSubscription { organization, operation } = *job;
        let change = operations::consequence(&error);
        if let Some(change) = change {
            let (mut connection, now) = (self.0.db.read().await?, self.0.clock.now());
            operations::store::save_state(&mut connection, organization, operation, change, now).await?;
        }
        if change.is_none_or(|change| change.state != State::Rejected) {
            return Ok(error.into());
        }
        tracing::error!(%organization, %operation, %error, "the provider does not cancel a subscription");
        metrics::counter!("billing_alarms_total", "reason" => "cancel_refused").increment(1);
        Ok(JobError::Discard(error.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_of_the_job_keep_their_shape() {
        let id = "0197a3f1-5c4e-7d2a-9b1f-3e8c6a4d2b10";
        let stored = json!({ "organization": id, "operation": id });
        let job: CancelSubscription = serde_json::from_value(stored.clone()).expect("yesterday's row");
        assert_eq!(json!(job), stored);
    }
}

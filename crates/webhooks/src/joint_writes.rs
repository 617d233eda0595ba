//! Writing in one transaction what comes at the same time: most of what a transaction costs does not grow with what it writes.

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use crate::Error;
use crate::batches::Batches;

/// Items of one kind that are written together, each with an outcome of its own.
pub(crate) struct JointWrites<T, O>(Batches<Entry<T, O>>);

type Entry<T, O> = (Arc<T>, oneshot::Sender<Result<O, Error>>);

impl<T, O> JointWrites<T, O> {
    /// At most so many are written at once.
    pub(crate) fn of(size: usize) -> Self {
        Self(Batches::of(size, Duration::ZERO))
    }

    /// Writes an item, at once or together with others that came while something was being written.
    ///
    /// # Errors
    /// Those of the transaction. One that is refused keeps none of the others from it: then each is tried alone. Otherwise
    /// the others get [`Error::NotWritten`].
    pub(crate) async fn write<F, Fut>(&self, item: T, transaction: F) -> Result<O, Error>
    where
        F: Fn(Vec<Arc<T>>) -> Fut,
        Fut: Future<Output = Result<Vec<O>, Error>>,
    {
        let (told, outcome) = oneshot::channel();
        self.0.join((Arc::new(item), told), |batch| write_all(batch, &transaction)).await;
        outcome.await.unwrap_or(Err(Error::NotWritten))
    }
}

async fn write_all<T, O, F, Fut>(batch: Vec<Entry<T, O>>, transaction: &F)
where
    F: Fn(Vec<Arc<T>>) -> Fut,
    Fut: Future<Output = Result<Vec<O>, Error>>,
{
    let items = batch.iter().map(|(item, _)| item.clone()).collect();
    let outcomes = match transaction(items).await {
        Ok(outcomes) => outcomes.into_iter().map(Ok).collect(),
        Err(error) if batch.len() > 1 && error.is_a_refusal() => {
            let mut outcomes = Vec::with_capacity(batch.len());
            for (item, _) in &batch {
                let alone = transaction(vec![item.clone()]).await;
                outcomes.push(alone.and_then(|outcomes| outcomes.into_iter().next().ok_or(Error::NotWritten)));
            }
            outcomes
        }
        Err(error) => {
            tracing::warn!(%error, count = batch.len(), "nothing could be written together");
            vec![Err(error)]
        }
    };
    for ((_, told), outcome) in batch.into_iter().zip(outcomes) {
        // Whoever was stopped meanwhile hears nothing.
        told.send(outcome).ok();
    }
}

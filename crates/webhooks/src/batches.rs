//! What is cheaper together: whoever comes while others are being served joins the next batch.

use std::future::Future;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::time::sleep;

/// Items that wait to be served.
pub(crate) struct Batches<T> {
    waiting: Mutex<Vec<T>>,
    turn: tokio::sync::Mutex<()>,
    size: usize,
    linger: Duration,
}

impl<T> Batches<T> {
    /// None larger than this. The first to come waits so long for company; zero: not at all.
    pub(crate) fn of(size: usize, linger: Duration) -> Self {
        Self { waiting: Mutex::default(), turn: tokio::sync::Mutex::default(), size, linger }
    }

    /// Returns when the item was served, by this call or by the one before it.
    pub(crate) async fn join<F, Fut>(&self, item: T, serve: F)
    where
        F: Fn(Vec<T>) -> Fut,
        Fut: Future<Output = ()>,
    {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(item);
        let _turn = self.turn.lock().await;
        if !self.linger.is_zero() && !self.is_empty() {
            sleep(self.linger).await;
        }
        loop {
            let batch = self.take();
            if batch.is_empty() {
                return;
            }
            serve(batch).await;
        }
    }

    fn is_empty(&self) -> bool {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn take(&self) -> Vec<T> {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        let count = waiting.len().min(self.size);
        waiting.drain(..count).collect()
    }
}

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

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use futures_util::future::join_all;
    use tokio::sync::Notify;
    use tokio::time::timeout;

    use super::*;

    #[tokio::test]
    async fn whoever_comes_while_others_are_served_joins_the_next_batch() {
        let batches = Batches::of(4, Duration::ZERO);
        let (served, gate) = (&RefCell::new(Vec::new()), &Notify::new());
        let serve = |batch: Vec<u32>| async move {
            let is_first = served.borrow().is_empty();
            served.borrow_mut().push(batch);
            if is_first {
                gate.notified().await;
            }
        };
        let all = join_all((1..=6).map(|item| batches.join(item, serve)));
        tokio::join!(all, async { gate.notify_one() });
        assert_eq!(*served.borrow(), [vec![1], vec![2, 3, 4, 5], vec![6]]);
    }

    #[tokio::test]
    async fn the_items_of_somebody_who_was_stopped_are_served_by_the_next() {
        let (batches, served) = (Batches::of(4, Duration::ZERO), &RefCell::new(Vec::new()));
        let serve = |batch: Vec<u32>| async move { served.borrow_mut().extend(batch) };
        let turn = batches.turn.lock().await;
        assert!(timeout(Duration::ZERO, batches.join(1, serve)).await.is_err());
        drop(turn);
        batches.join(2, serve).await;
        assert_eq!(*served.borrow(), [1, 2]);
    }
}

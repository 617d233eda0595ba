//! What is cheaper together: whoever comes while others are being served joins the next batch.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::sleep;

/// Items that wait to be served.
pub(crate) struct Batches<T> {
    waiting: Mutex<Vec<Waiting<T>>>,
    turn: tokio::sync::Mutex<()>,
    size: usize,
    linger: Duration,
}

/// An item, and who is told when it was served.
struct Waiting<T>(T, oneshot::Sender<()>);

impl<T> Batches<T> {
    /// None larger than this. A batch that is smaller waits so long for company; zero: not at all.
    pub(crate) fn of(size: usize, linger: Duration) -> Self {
        Self { waiting: Mutex::default(), turn: tokio::sync::Mutex::default(), size, linger }
    }

    /// Returns when the item was served: by somebody else, or by this call once it has its turn. Nobody serves those who come
    /// later than the own item.
    pub(crate) async fn join<F, Fut>(&self, item: T, serve: F)
    where
        F: Fn(Vec<T>) -> Fut,
        Fut: Future<Output = ()>,
    {
        let (served, mut is_served) = oneshot::channel();
        self.waiting().push(Waiting(item, served));
        let _turn = tokio::select! {
            biased;
            _ = &mut is_served => return,
            turn = self.turn.lock() => turn,
        };
        while is_served.try_recv() == Err(oneshot::error::TryRecvError::Empty) {
            if !self.linger.is_zero() && self.waiting().len() < self.size {
                sleep(self.linger).await;
            }
            let (items, told): (Vec<_>, Vec<_>) =
                self.take().into_iter().map(|Waiting(item, told)| (item, told)).unzip();
            serve(items).await;
            for told in told {
                // Whoever was stopped meanwhile hears nothing.
                told.send(()).ok();
            }
        }
    }

    fn take(&self) -> Vec<Waiting<T>> {
        let mut waiting = self.waiting();
        let count = waiting.len().min(self.size);
        waiting.drain(..count).collect()
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting<T>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
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
    async fn nobody_waits_for_those_who_came_later() {
        let (batches, gate) = (Batches::of(4, Duration::ZERO), &Notify::new());
        let serve = |batch: Vec<u32>| async move {
            gate.notified().await;
            assert_eq!(batch, [1], "the second is never let through");
        };
        let (first, second) = (batches.join(1, serve), batches.join(2, serve));
        tokio::pin!(first, second);
        tokio::select! {
            biased;
            () = &mut first => {}
            () = &mut second => unreachable!("it came later"),
            () = async { gate.notify_one(); std::future::pending().await } => {}
        }
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

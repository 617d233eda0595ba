//! Calls that are worked on until somebody says that it is enough.

use tokio::sync::{oneshot, watch};

/// The calls that are being worked on.
#[derive(Default)]
pub(crate) struct SlowCalls {
    waiting: Vec<oneshot::Sender<()>>,
    count: watch::Sender<usize>,
}

impl SlowCalls {
    /// One more. It is over when the other end is gone.
    pub(crate) fn begin(&mut self) -> oneshot::Receiver<()> {
        let (over, wait) = oneshot::channel();
        self.waiting.push(over);
        self.count.send_replace(self.waiting.len());
        wait
    }

    pub(crate) fn finish(&mut self) {
        self.waiting.clear();
        self.count.send_replace(0);
    }

    /// How many there are, to wait for.
    pub(crate) fn count(&self) -> watch::Receiver<usize> {
        self.count.subscribe()
    }
}

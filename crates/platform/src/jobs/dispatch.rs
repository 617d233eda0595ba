use tokio::sync::mpsc::UnboundedSender;
use tokio::task::{JoinError, JoinSet};
use tokio::time::{Instant, MissedTickBehavior, interval, sleep};

use super::WAKE_CHANNEL;
use super::lanes::Lanes;
use super::run::{self, Finished};
use super::settling::Leases;
use super::worker::Worker;
use crate::shutdown::Shutdown;

/// Claims for free slots, starts what was claimed and passes on what has finished.
pub(super) struct Dispatch<'a> {
    worker: &'a Worker,
    leases: &'a Leases,
    lanes: Lanes,
    running: JoinSet<Finished>,
    finished: UnboundedSender<Finished>,
}

impl<'a> Dispatch<'a> {
    pub(super) fn new(worker: &'a Worker, leases: &'a Leases, finished: UnboundedSender<Finished>) -> Self {
        let config = &worker.config;
        let slots = worker.queues().into_iter().map(|queue| (config.concurrency_of(&queue), queue));
        Self { worker, leases, lanes: Lanes::new(slots, config.batch), running: JoinSet::new(), finished }
    }

    pub(super) async fn run(mut self, shutdown: &Shutdown) {
        let bell = self.worker.wakeups.subscribe(WAKE_CHANNEL);
        let mut poll = interval(self.worker.config.poll_interval());
        poll.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while !shutdown.is_begun() {
            self.start();
            tokio::select! {
                () = shutdown.wait() => break,
                () = bell.notified() => self.lanes.look_again(),
                _ = poll.tick() => {
                    self.give_back_stale().await;
                    self.lanes.look_again();
                }
                Some(ended) = self.running.join_next() => {
                    self.pass_on(ended);
                    while let Some(ended) = self.running.try_join_next() {
                        self.pass_on(ended);
                    }
                }
            }
            self.claim().await;
        }
        self.drain().await;
    }

    async fn claim(&mut self) {
        let rooms = self.lanes.rooms(Instant::now());
        if rooms.is_empty() {
            return;
        }
        match self.worker.claim(&rooms).await {
            Ok(claimed) => {
                self.leases.add(&claimed);
                self.lanes.refill(&rooms, claimed, Instant::now());
            }
            Err(error) => tracing::warn!(%error, "no jobs could be claimed; trying again"),
        }
    }

    fn start(&mut self) {
        while let Some(job) = self.lanes.start() {
            let handler = self.worker.handler(&job.name);
            self.running.spawn(run::run(job, handler));
        }
    }

    /// Frees the slot and hands the try to whoever settles. A try that the drain stopped is given back at the end; one that
    /// panicked outside of its handler would hold its slot for good, so the worker ends and is started anew.
    fn pass_on(&mut self, ended: Result<Finished, JoinError>) {
        match ended {
            Ok(finished) => {
                self.lanes.finish(&finished.queue);
                if self.finished.send(finished).is_err() {
                    tracing::error!("a finished job cannot be settled; it will run again when its lease ends");
                }
            }
            Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
            Err(_stopped) => {}
        }
    }

    async fn give_back_stale(&mut self) {
        let stale = self.lanes.stale(Instant::now());
        if !stale.is_empty() && self.worker.give_back(&stale).await {
            self.leases.remove(&stale);
            self.lanes.forget(&stale);
        }
    }

    /// Gives back what has not begun, lets running jobs finish, and stops those that take longer than the drain time.
    async fn drain(mut self) {
        let waiting = self.lanes.waiting();
        if self.worker.give_back(&waiting).await {
            self.leases.remove(&waiting);
        }
        let mut deadline = std::pin::pin!(sleep(self.worker.config.drain()));
        let mut stopped = false;
        loop {
            tokio::select! {
                ended = self.running.join_next() => match ended {
                    Some(ended) => self.pass_on(ended),
                    None => return,
                },
                () = &mut deadline, if !stopped => {
                    stopped = true;
                    self.running.abort_all();
                }
            }
        }
    }
}

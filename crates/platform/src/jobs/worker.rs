use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::unbounded_channel;
use tokio::task::JoinSet;
use tokio::time::sleep;
use uuid::Uuid;

use super::config::JobsConfig;
use super::dispatch::Dispatch;
use super::registry::{Handler, InvalidJobs, Jobs};
use super::run::{self, Verdict};
use super::settling::{self, Leases};
use super::store::{self, Claimed};
use super::{BoxError, pump, schedules};
use crate::db::{Databases, Db, Wakeups};
use crate::ids;
use crate::shutdown::Shutdown;

/// How often the gauges of the queues are sampled.
const SAMPLE_EVERY: Duration = Duration::from_secs(15);

/// Runs the jobs, schedules and pumps of this binary. Any number of workers may share a database.
#[derive(Clone, Debug)]
pub struct Worker {
    jobs: Arc<Jobs>,
    names: Arc<[String]>,
    db: Db,
    pub(super) wakeups: Wakeups,
    pub(super) config: JobsConfig,
}

impl Worker {
    /// A worker that is ready to run.
    ///
    /// # Errors
    /// When the registered jobs do not fit together; the message lists every mistake.
    pub fn new(jobs: Jobs, databases: &Databases, config: JobsConfig) -> Result<Self, InvalidJobs> {
        jobs.check()?;
        let names = jobs.names().map(str::to_owned).collect();
        let (db, wakeups) = (databases.platform().clone(), databases.wakeups().clone());
        Ok(Self { jobs: Arc::new(jobs), names, db, wakeups, config })
    }

    /// Works until the shutdown begins, then lets running jobs finish within the drain time and gives back the rest.
    pub async fn run(&self, shutdown: Shutdown) {
        // Boxed, as it is large and callers put it into tasks of their own.
        Box::pin(self.work_until(shutdown)).await;
    }

    async fn work_until(&self, shutdown: Shutdown) {
        let leases = Leases::default();
        let (finished, arriving) = unbounded_channel();
        let mut tasks = JoinSet::new();
        tasks.spawn(settling::run(arriving, self.db.clone(), leases.clone(), self.config.poll_interval()));
        for station in &self.jobs.pumps {
            tasks.spawn(pump::run(station.clone(), self.wakeups.clone(), self.config.clone(), shutdown.clone()));
        }
        let work = async {
            Dispatch::new(self, &leases, finished).run(&shutdown).await;
            while let Some(ended) = tasks.join_next().await {
                if let Err(error) = ended {
                    tracing::error!(%error, "a task of the worker failed");
                }
            }
        };
        tokio::select! {
            () = work => {}
            () = self.keep_leases(&leases) => {}
            () = schedules::run(&self.jobs.schedules, &self.db, self.config.poll_interval()) => {}
            () = self.sample_metrics() => {}
        }
        self.give_back(&leases.all()).await;
    }

    /// Runs everything that is due, one after the other, until nothing is; says how much that was. A job that fails is
    /// tried once. This is how tests step through background work.
    ///
    /// # Panics
    /// When the database or a pump fails.
    pub async fn run_due(&self) -> usize {
        self.run_all_due().await.expect("everything due could be run")
    }

    async fn run_all_due(&self) -> Result<usize, BoxError> {
        schedules::sync(&self.jobs.schedules, &self.db).await?;
        let rooms: Vec<(String, usize)> = self.queues().into_iter().map(|queue| (queue, self.config.batch)).collect();
        let mut ran = 0;
        let mut retries = Vec::new();
        loop {
            let ran_before = ran;
            schedules::enqueue_due(&self.jobs.schedules, &self.db).await?;
            for job in self.claim(&rooms).await? {
                let handler = self.handler(&job.name);
                let finished = run::run(job, handler).await;
                ran += 1;
                match finished.verdict {
                    // Settled at the end: until then the lease keeps it from being tried a second time.
                    Verdict::Retry { .. } => retries.push(finished),
                    _ => settling::settle(&self.db, &[finished]).await?,
                }
            }
            for station in &self.jobs.pumps {
                ran += station.pump.pump().await?;
                station.pump.settle().await;
            }
            if ran == ran_before {
                settling::settle(&self.db, &retries).await?;
                return Ok(ran);
            }
        }
    }

    /// The queues this worker serves.
    pub(super) fn queues(&self) -> BTreeSet<String> {
        let queues = self.jobs.handlers.values().map(|handler| &handler.queue);
        queues.filter(|queue| self.config.concurrency_of(queue) > 0).cloned().collect()
    }

    /// What to do with a job of this name; claims bring only names that are registered.
    pub(super) fn handler(&self, name: &str) -> Arc<Handler> {
        self.jobs.handlers[name].clone()
    }

    pub(super) async fn claim(&self, rooms: &[(String, usize)]) -> Result<Vec<Claimed>, sqlx::Error> {
        let mut connection = self.db.read().await?;
        store::claim(&mut connection, rooms, &self.names, ids::new_uuid(), self.config.lease()).await
    }

    /// Makes jobs due again that this worker holds and will not run; says whether that succeeded.
    pub(super) async fn give_back(&self, held: &[(Uuid, Uuid)]) -> bool {
        if held.is_empty() {
            return true;
        }
        let released = async { store::release(&mut *self.db.read().await?, held).await }.await;
        match &released {
            Ok(count) => tracing::info!(count, "jobs were given back"),
            Err(error) => tracing::warn!(%error, "jobs could not be given back; their leases will end by themselves"),
        }
        released.is_ok()
    }

    /// Gives the sign of life that keeps other workers off the running jobs.
    async fn keep_leases(&self, leases: &Leases) {
        loop {
            sleep(self.config.lease() / 3).await;
            let held = leases.all();
            if held.is_empty() {
                continue;
            }
            let extended = async { store::extend(&mut *self.db.read().await?, &held, self.config.lease()).await };
            if let Err(error) = extended.await {
                tracing::warn!(%error, held = held.len(), "leases could not be extended");
            }
        }
    }

    async fn sample_metrics(&self) {
        let mut known = self.queues();
        loop {
            let sampled = async { store::queue_metrics(&mut *self.db.read().await?, &mut known).await };
            if let Err(error) = sampled.await {
                tracing::debug!(%error, "the queues could not be measured");
            }
            sleep(SAMPLE_EVERY).await;
        }
    }
}

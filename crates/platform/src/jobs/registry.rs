use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use croner::Cron;
use serde::de::DeserializeOwned;
use serde_json::Value;

use super::pump::Station;
use super::schedules::Schedule;
use super::{Job, JobError, Pump, Running, TIME_LIMIT};

type Run = Pin<Box<dyn Future<Output = Result<(), JobError>> + Send>>;
type Start = Box<dyn Fn(Value, Running) -> Result<Run, serde_json::Error> + Send + Sync>;

/// What this binary can do with a job of one name.
pub(super) struct Handler {
    pub(super) queue: String,
    pub(super) time_limit: Duration,
    /// Reads the arguments, then starts the work.
    pub(super) start: Start,
}

/// Everything the worker of this binary knows how to do; modules add theirs at wiring.
///
/// Mistakes are collected and reported by [`super::Worker::new`], all at once, so that registering reads like a list.
#[derive(Default)]
pub struct Jobs {
    pub(super) handlers: BTreeMap<String, Arc<Handler>>,
    pub(super) schedules: Vec<Schedule>,
    pub(super) pumps: Vec<Station>,
    mistakes: Vec<String>,
}

/// What was registered does not fit together.
#[derive(Debug, thiserror::Error)]
#[error("the jobs of this binary are inconsistent: {}", .0.join("; "))]
pub struct InvalidJobs(pub(super) Vec<String>);

impl Jobs {
    /// An empty registry.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Says what to do with jobs of type `J`.
    pub fn register<J, F, Fut>(&mut self, handler: F)
    where
        J: Job,
        F: Fn(J, Running) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), JobError>> + Send + 'static,
    {
        self.add(J::NAME.to_owned(), J::QUEUE.to_owned(), J::TIME_LIMIT, handler);
    }

    /// Says what to do with jobs whose name is made of configuration, where a [`Job`] cannot be written down. Rows outlive the
    /// binary: a name that is no longer configured leaves its jobs waiting.
    pub fn register_named<A, F, Fut>(&mut self, name: String, queue: String, handler: F)
    where
        A: DeserializeOwned,
        F: Fn(A, Running) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), JobError>> + Send + 'static,
    {
        self.add(name, queue, TIME_LIMIT, handler);
    }

    /// Enqueues `job` by the clock: `cron` has five fields (minute, hour, day, month, weekday) and means UTC. Of all
    /// replicas one does it, and only if the last run is over. Runs missed while no worker was up are caught up by one.
    pub fn schedule<J: Job>(&mut self, name: &'static str, cron: &'static str, job: &J) {
        if self.schedules.iter().any(|known| known.name == name) {
            self.mistakes.push(format!("two schedules are named {name}"));
            return;
        }
        match (Cron::from_str(cron), serde_json::to_value(job)) {
            (Ok(pattern), Ok(args)) => {
                let (job, queue, max_attempts) = (J::NAME, J::QUEUE, J::MAX_ATTEMPTS);
                self.schedules.push(Schedule { name, cron, pattern, job, queue, max_attempts, args });
            }
            (Err(error), _) => self.mistakes.push(format!("schedule {name}: `{cron}` is no cron pattern: {error}")),
            (_, Err(error)) => self.mistakes.push(format!("schedule {name}: its job is not JSON: {error}")),
        }
    }

    /// Runs a module's own loop beside the queues; a wake-up on `channel` makes it look for work at once.
    pub fn pump(&mut self, name: &'static str, channel: &'static str, pump: Arc<dyn Pump>) {
        if self.pumps.iter().any(|known| known.name == name) {
            self.mistakes.push(format!("two pumps are named {name}"));
        }
        self.pumps.push(Station { name, channel, pump });
    }

    /// The names of all jobs that can run, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.handlers.keys().map(String::as_str)
    }

    pub(crate) fn add<A, F, Fut>(&mut self, name: String, queue: String, time_limit: Duration, handler: F)
    where
        A: DeserializeOwned,
        F: Fn(A, Running) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), JobError>> + Send + 'static,
    {
        let start: Start = Box::new(move |args, running| {
            let args = serde_json::from_value(args)?;
            Ok(Box::pin(handler(args, running)))
        });
        if self.handlers.contains_key(&name) {
            self.mistakes.push(format!("two handlers are registered for {name}"));
        }
        self.handlers.insert(name, Arc::new(Handler { queue, time_limit, start }));
    }

    /// What the worker must not start with.
    pub(super) fn check(&self) -> Result<(), InvalidJobs> {
        let mut mistakes = self.mistakes.clone();
        for schedule in self.schedules.iter().filter(|schedule| !self.handlers.contains_key(schedule.job)) {
            mistakes.push(format!("schedule {} starts {}, which has no handler", schedule.name, schedule.job));
        }
        if mistakes.is_empty() { Ok(()) } else { Err(InvalidJobs(mistakes)) }
    }
}

impl fmt::Debug for Jobs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

#[cfg(test)]
mod tests {
    use serde::{Deserialize, Serialize};

    use super::*;

    #[derive(Serialize, Deserialize)]
    struct Sweep;

    impl Job for Sweep {
        const NAME: &'static str = "test.sweep";
    }

    fn mistakes(build: impl FnOnce(&mut Jobs)) -> String {
        let mut jobs = Jobs::new();
        build(&mut jobs);
        jobs.check().expect_err("mistakes").to_string()
    }

    #[test]
    fn a_sound_registry_is_accepted() {
        let mut jobs = Jobs::new();
        jobs.register::<Sweep, _, _>(|_, _| async { Ok(()) });
        jobs.schedule("sweeping", "0 * * * *", &Sweep);
        jobs.check().expect("no mistakes");
        assert_eq!(jobs.names().collect::<Vec<_>>(), ["test.sweep"]);
    }

    #[test]
    fn every_mistake_is_reported_at_once() {
        let report = mistakes(|jobs| {
            jobs.register::<Sweep, _, _>(|_, _| async { Ok(()) });
            jobs.register::<Sweep, _, _>(|_, _| async { Ok(()) });
            jobs.schedule("sweeping", "0 * * * *", &Sweep);
            jobs.schedule("sweeping", "5 * * * *", &Sweep);
            jobs.schedule("mopping", "every hour", &Sweep);
        });
        for expected in
            ["two handlers are registered for test.sweep", "two schedules are named sweeping", "schedule mopping"]
        {
            assert!(report.contains(expected), "{report}");
        }
    }

    #[test]
    fn a_schedule_needs_a_handler() {
        let report = mistakes(|jobs| jobs.schedule("sweeping", "0 * * * *", &Sweep));
        assert!(report.contains("starts test.sweep, which has no handler"), "{report}");
    }
}

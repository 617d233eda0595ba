use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use serde_json::json;
use sqlx::PgConnection;
use uuid::Uuid;

use crate::bench::generator::{Deed, new_id, now};
use crate::bench::sink::Sink;
use crate::failure::Failure;

/// The job by which the module webhooks hears that an organization was renamed, and where it waits.
const JOB: &str = "webhooks hears users.organization_updated.v1";
const QUEUE: &str = "events.webhooks";

/// How long what was accepted may take to arrive before the measurement gives up.
const PATIENCE: Duration = Duration::from_mins(1);

/// The pause between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Messages on their way: how many were accepted, and whether there is room for more.
pub(in crate::bench) struct Flow {
    sink: Sink,
    organizations: Vec<Uuid>,
    /// How many receivers there are for each message, without those that do not count.
    receivers: u64,
    /// Whether the receiver with the number 0 does not count.
    without_first: bool,
    /// How many deliveries may be on their way.
    bound: u64,
    arrived_before: u64,
    numbers: AtomicU64,
    accepted: AtomicU64,
}

/// A message that is about to be accepted.
pub(in crate::bench) struct Next {
    pub(in crate::bench) organization: Uuid,
    /// Tells its number, as the receiver looks for it.
    pub(in crate::bench) name: String,
}

impl Flow {
    /// To organizations with so many receivers each, which take turns.
    pub(super) fn new(sink: &Sink, organizations: &[Uuid], receivers: u64) -> Self {
        Self {
            sink: sink.clone(),
            organizations: organizations.to_vec(),
            receivers,
            without_first: false,
            bound: u64::MAX,
            arrived_before: sink.arrived(),
            numbers: AtomicU64::new(0),
            accepted: AtomicU64::new(0),
        }
    }

    pub(super) fn bounded(self, bound: u64) -> Self {
        Self { bound, ..self }
    }

    /// Does not count what goes to the receiver with the number 0.
    pub(super) fn without_first(self) -> Self {
        let (receivers, arrived_before) = (self.receivers - 1, self.sink.arrived_at_others());
        Self { without_first: true, receivers, arrived_before, ..self }
    }

    pub(in crate::bench) fn has_room(&self) -> bool {
        self.on_their_way() < self.bound
    }

    pub(in crate::bench) fn next(&self) -> Next {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let turn = usize::try_from(number).unwrap_or_default() % self.organizations.len().max(1);
        Next { organization: self.organizations[turn], name: format!("n{number:08}") }
    }

    /// One more was committed.
    pub(in crate::bench) fn accepted(&self) {
        self.accepted.fetch_add(1, Ordering::Relaxed);
    }

    /// How many messages were accepted and how many deliveries have arrived.
    pub(super) fn counts(&self) -> (u64, u64) {
        let arrived = if self.without_first { self.sink.arrived_at_others() } else { self.sink.arrived() };
        (self.accepted.load(Ordering::Relaxed), arrived.saturating_sub(self.arrived_before))
    }

    pub(super) fn on_their_way(&self) -> u64 {
        let (accepted, arrived) = self.counts();
        (accepted * self.receivers).saturating_sub(arrived)
    }

    /// Waits until everything that was accepted has arrived; says how long that took.
    pub(super) fn drain(&self) -> Result<Duration, Failure> {
        let started = Instant::now();
        while self.on_their_way() > 0 {
            if started.elapsed() > PATIENCE {
                let missing = self.on_their_way();
                return Err(Failure::Finding(format!("{missing} deliveries did not arrive within {PATIENCE:?}")));
            }
            std::thread::sleep(PAUSE);
        }
        Ok(started.elapsed())
    }
}

/// An event is announced exactly as the service does it: one job for the one module that hears it, in a transaction.
pub(super) struct Announce(pub(super) Arc<Flow>);

impl Deed for Announce {
    const BELL: Option<(&'static str, &'static str)> = Some(("wake", "jobs"));

    fn has_room(&self) -> bool {
        self.0.has_room()
    }

    async fn once(&self, connection: &mut PgConnection) -> Result<(), sqlx::Error> {
        let Next { organization, name } = self.0.next();
        let args = json!({ "organization": organization, "name": name, "at": now() });
        sqlx::query("BEGIN").execute(&mut *connection).await?;
        sqlx::query(
            "SELECT platform.enqueue_job(id, queue, name, $4, 1::smallint, NULL, 20, NULL, $5, NULL)
             FROM unnest($1::uuid[], $2::text[], $3::text[]) AS target (id, queue, name)",
        )
        .bind([new_id()])
        .bind([QUEUE])
        .bind([JOB])
        .bind(args)
        .bind(organization.to_string())
        .execute(&mut *connection)
        .await?;
        sqlx::query("COMMIT").execute(connection).await?;
        self.0.accepted();
        Ok(())
    }
}

//! What a delivery costs when much waits, when there are many endpoints, and when much has been done already.

use std::time::{Duration, Instant};

use super::flow::Flow;
use super::outgoing::{self, Round};
use super::stage::{Crowd, Side, Stage};
use crate::bench::Effort;
use crate::bench::figures::per_second;
use crate::failure::Failure;
use crate::progress;
use crate::statistics::median;
use crate::usage;

/// How much waits, and how many endpoints there are.
const WAITING: [u64; 3] = [1_000, 100_000, 1_000_000];
const ENDPOINTS: [u64; 3] = [1, 100, 1_000];

/// Deliveries before the measurement begins, in which everything is cold.
const COLD: usize = 100;

/// How often the smallest case is measured: it is over in a moment.
const REPEATS: u32 = 5;

/// How much was done already, and how many organizations there are beside the one that is looked at.
const FINISHED: u64 = 1_000_000;
const ORGANIZATIONS: u64 = 100_000;

/// How quickly a backlog is worked on.
pub(super) struct Case {
    pub(super) waiting: u64,
    pub(super) endpoints: u64,
    /// Deliveries a second.
    pub(super) delivered: u64,
    pub(super) peak_kibibytes: u64,
}

/// Every combination, the smallest first.
pub(super) fn backlogs(stage: &mut Stage<'_>, effort: Effort) -> Result<Vec<Case>, Failure> {
    let mut cases = Vec::new();
    for endpoints in ENDPOINTS {
        for waiting in WAITING {
            progress(format!("{waiting} deliveries wait for {endpoints} endpoints"));
            let crowd = Crowd { organizations: endpoints, each: 1, in_flight: 100 };
            let known = stage.invite(crowd)?;
            let warm = || Flow::new(&stage.sink, &known, 1).bounded(200);
            outgoing::full_speed(stage, Side::Ours, warm, Duration::from_millis(500))?;
            let repeats = if waiting == WAITING[0] { REPEATS } else { 1 };
            let rates = (0..repeats).map(|_| backlog(stage, waiting, effort.round())).collect::<Result<Vec<_>, _>>()?;
            let peak_kibibytes = usage::peak_kibibytes(stage.deliverer(Side::Ours)).unwrap_or_default();
            let delivered = median(&rates).unwrap_or_default();
            cases.push(Case { waiting, endpoints, delivered, peak_kibibytes });
        }
    }
    Ok(cases)
}

/// Puts so many deliveries before the endpoints, opens the door and counts what arrives in the time.
fn backlog(stage: &Stage<'_>, waiting: u64, duration: Duration) -> Result<u64, Failure> {
    stage.database.run(&fill("pending", waiting))?;
    stage.settle_down()?;
    stage.sink.take_arrivals();
    let before = stage.sink.arrived();
    stage
        .database
        .run("UPDATE webhooks.endpoints SET next_ready_at = now(); SELECT pg_notify('wake', 'deliveries')")?;
    let started = Instant::now();
    while started.elapsed() < duration && stage.sink.arrived() - before < waiting {
        std::thread::sleep(Duration::from_millis(1));
    }
    let times: Vec<Instant> = stage.sink.take_arrivals().into_iter().map(|arrival| arrival.at).collect();
    let warm = times.get(COLD..).unwrap_or_default();
    let (Some(first), Some(last)) = (warm.first(), warm.last()) else {
        return Err(Failure::Finding(format!("of {waiting} deliveries only {} arrived", times.len())));
    };
    Ok(per_second(warm.len() as u64 - 1, *last - *first))
}

/// Deliveries of one message each, in turn to every endpoint: waiting, or long done with an attempt on record.
fn fill(status: &str, count: u64) -> String {
    let done = status != "pending";
    let due = "INSERT INTO webhooks.due_deliveries (delivery_id, endpoint_id, message_id, next_at)
               SELECT id, endpoint_id, id, now() FROM filling;";
    let attempts = "INSERT INTO webhooks.delivery_attempts (id, delivery_id, sent_at, duration_ms, http_status)
                    SELECT id, id, now(), 3, 200 FROM filling;";
    format!(
        "CREATE TEMPORARY TABLE filling AS
             SELECT (left(webhooks.first_id(now())::text, 14) || '7' || substr(md5(random()::text), 1, 3) || '-8000-'
                     || lpad(to_hex(number), 12, '0'))::uuid AS id,
                    number, organization_id, endpoints[1 + number % cardinality(endpoints)] AS endpoint_id
             FROM generate_series(1, {count}) AS number,
                  (SELECT min(organization_id::text)::uuid AS organization_id, array_agg(id) AS endpoints
                   FROM webhooks.endpoints) AS all_of_them;
         INSERT INTO webhooks.messages (id, organization_id, event_type, body)
         SELECT id, organization_id, 'organization.updated',
                convert_to('{{\"type\":\"organization.updated\",\"timestamp\":\"2026-03-01T12:00:00Z\",\"data\":'
                           || '{{\"id\":\"' || organization_id || '\",\"name\":\"n' || lpad(number::text, 8, '0')
                           || '\"}}}}', 'UTF8')
         FROM filling;
         INSERT INTO webhooks.deliveries (id, organization_id, endpoint_id, message_id, event_type, status, finished_at)
         SELECT id, organization_id, endpoint_id, id, 'organization.updated', '{status}', {finished} FROM filling;
         {rest}
         DROP TABLE filling",
        finished = if done { "now()" } else { "NULL" },
        rest = if done { attempts } else { due },
    )
}

/// Ten endpoints of one organization, in an empty database and in one where a thousand endpoints of many organizations have
/// long been told a million times.
pub(super) fn small_and_grown(stage: &mut Stage<'_>, effort: Effort) -> Result<[Vec<Round>; 2], Failure> {
    let small = Crowd { organizations: 1, each: 10, in_flight: 100 };
    let known = stage.invite(small)?;
    let rounds = outgoing::compare(stage, small, &known, effort)?;
    progress(format!("{FINISHED} deliveries are done, {ORGANIZATIONS} organizations exist"));
    stage.invite(Crowd { organizations: 100, ..small })?;
    stage.database.run(&fill("delivered", FINISHED))?;
    stage.database.run(&format!(
        "INSERT INTO users.organizations (id, name, created_at)
         SELECT gen_random_uuid(), 'Organization ' || number, now()
         FROM generate_series(1, {ORGANIZATIONS}) AS number"
    ))?;
    stage.settle_down()?;
    let grown = outgoing::compare(stage, small, &[stage.organization], effort)?;
    let [before, _] = rounds;
    let [after, _] = grown;
    Ok([before, after])
}

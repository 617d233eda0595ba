//! Many endpoints with many messages waiting: taking some of them must cost what it costs when there are few.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::json;
use tokio::sync::Semaphore;

use crate::processes::{eventually, eventually_within};
use crate::receiver::{Manner, Receiver};

use super::scale::{at_scale, found, patience};
use super::scene::{DEADLINE, Scene};

/// How much is taken while nobody answers. One organization gets half of the room for calls.
const TAKEN: usize = 450;
const UNDER_WAY: [(&str, &str); 2] = [("APP__WEBHOOKS__CONCURRENCY", "1000"), DEADLINE];

/// By how much claims may cost more, in thousandths.
const LIMIT: usize = 1_500;

/// The most memory a worker may hold, in KiB.
const MEMORY: u64 = 100 * 1024;

/// The blocks of the tables that claims go through, since the counters were reset.
const BLOCKS: &str = "
    SELECT coalesce(sum(heap_blks_hit + heap_blks_read + idx_blks_hit + idx_blks_read), 0)::bigint
    FROM pg_statio_user_tables
    WHERE schemaname = 'webhooks' AND relname IN ('endpoints', 'due_deliveries', 'endpoint_secrets')";

/// Rows that were read by reading what waits from beginning to end.
const READ_WHOLE: &str = "SELECT coalesce(sum(seq_tup_read), 0)::bigint FROM pg_stat_user_tables
    WHERE schemaname = 'webhooks' AND relname = 'due_deliveries'";

/// The gauges count what waits from its beginning, every quarter of a minute. Without this they are refused, which disturbs
/// nobody: no claim looks there.
const NO_GAUGES: &str = "REVOKE SELECT ON pg_catalog.pg_class FROM PUBLIC";

/// So many endpoints, and so many messages to each of them that are all due.
struct Crowd {
    scene: Scene,
    receiver: Receiver,
    gate: Arc<Semaphore>,
    endpoints: usize,
}

impl Crowd {
    async fn gather(endpoints: usize, messages: usize) -> Self {
        let scene = Scene::open().await;
        let gate = Arc::new(Semaphore::new(0));
        let closed = gate.clone();
        let (receiver, url) = Receiver::counting(move |_| Manner::Wait(closed.clone(), 200)).await;
        let crowd = Self { scene, receiver, gate, endpoints };
        crowd.endpoints_like(&url).await;
        crowd.deliveries(messages).await;
        crowd
    }

    /// Endpoints with the secret of one that was registered, so that what they are sent can be signed.
    async fn endpoints_like(&self, url: &str) {
        let Self { scene, endpoints, .. } = self;
        scene.register(scene.org, url, 10).await;
        scene
            .run(&format!(
                "INSERT INTO webhooks.endpoints (id, organization_id, url, description, event_types, max_in_flight, version,
                                                 created_at, updated_at)
                 SELECT gen_random_uuid(), organization_id, url || '/' || number, '', event_types, 10, 1, now(), now()
                 FROM webhooks.endpoints, generate_series(2, {endpoints}) AS number;
                 INSERT INTO webhooks.endpoint_secrets (id, endpoint_id, sealed, created_at)
                 SELECT gen_random_uuid(), endpoint.id, sealed, now()
                 FROM webhooks.endpoint_secrets, webhooks.endpoints AS endpoint WHERE endpoint.id <> endpoint_id"
            ))
            .await;
    }

    /// Messages to everybody, as if nobody had worked for a while. Ids begin with the time, as they always do.
    async fn deliveries(&self, messages: usize) {
        const ID: &str =
            "overlay(gen_random_uuid()::text placing left(webhooks.first_id(now())::text, 14) from 1 for 14)::uuid";
        let org = self.scene.org;
        let body = json!({ "type": "organization.updated", "data": { "id": org, "name": "Acme" } });
        let settings = "SET statement_timeout = 0; SET synchronous_commit = off";
        self.scene
            .run(&format!(
                "{settings};
                 INSERT INTO webhooks.messages (id, organization_id, event_type, body)
                 SELECT {ID}, '{org}', 'organization.updated', convert_to('{body}', 'UTF8')
                 FROM generate_series(1, {messages});
                 WITH begun AS (
                     SELECT {ID} AS id, endpoint.id AS endpoint, message.id AS message
                     FROM webhooks.messages AS message CROSS JOIN webhooks.endpoints AS endpoint
                 ), filed AS (
                     INSERT INTO webhooks.deliveries (id, organization_id, endpoint_id, message_id, event_type, status)
                     SELECT id, '{org}', endpoint, message, 'organization.updated', 'pending' FROM begun
                 )
                 INSERT INTO webhooks.due_deliveries (delivery_id, endpoint_id, message_id, next_at)
                 SELECT id, endpoint, message, now() FROM begun"
            ))
            .await;
        for table in ["endpoints", "endpoint_secrets", "messages", "deliveries", "due_deliveries"] {
            self.scene.run(&format!("VACUUM ANALYZE webhooks.{table}")).await;
        }
    }

    /// Has a worker take much while nobody answers, and kills it: the blocks that cost for each thousand taken, and the
    /// memory it took.
    async fn cost_of_claims(&self) -> Claims {
        let Self { scene, receiver, .. } = self;
        let worker = scene.work(&UNDER_WAY).await;
        // It looks around once when it starts, which is not what is counted here.
        eventually("it knows what waits", async || worker.metric("webhook_due_deliveries").await > 0).await;
        worker.stall();
        scene.disconnect_others().await;
        scene.run(NO_GAUGES).await;
        scene.run("UPDATE webhooks.endpoints SET next_ready_at = now()").await;
        // Whoever ends tells the counters what it did, and we do now: from here on they count for the worker alone.
        scene.run("SELECT pg_stat_force_next_flush()").await;
        scene.run("SELECT pg_stat_reset()").await;
        let begun = Instant::now();
        worker.go_on();
        eventually("it has taken much", async || receiver.open_calls() >= TAKEN).await;
        let took = begun.elapsed();
        let memory = worker.peak_memory();
        worker.kill();
        scene.back_to(1).await;
        assert_eq!(scene.count(READ_WHOLE).await, 0, "no claim reads all that waits");
        let blocks = scene.count(BLOCKS).await;
        let taken = scene.count("SELECT count(*) FROM webhooks.due_deliveries WHERE lease IS NOT NULL").await;
        assert!(taken <= 10 * self.endpoints, "no more than there are slots");
        Claims { blocks: blocks * 1_000 / taken, took, memory }
    }
}

struct Claims {
    blocks: usize,
    took: Duration,
    memory: Option<u64>,
}

#[tokio::test]
async fn invariant_11_a_million_waiting_deliveries_cost_a_claim_no_more_than_a_thousand_do() {
    // As many endpoints as it takes to have so many calls under way.
    let small = Crowd::gather(50, 20).await;
    let few = small.cost_of_claims().await;
    drop(small);
    let (endpoints, messages, drained) = at_scale((100, 100, 2_000), (1_000, 1_000, 50_000));
    let crowd = Crowd::gather(endpoints, messages).await;
    let many = crowd.cost_of_claims().await;
    assert!(many.blocks * 1_000 <= few.blocks * LIMIT, "{} blocks instead of {}", many.blocks, few.blocks);

    // And a worker that goes on with the rest holds no more than before.
    crowd.gate.close();
    crowd.scene.end_leases().await;
    let (worker, before) = (crowd.scene.work(&[]).await, crowd.receiver.arrived());
    let begun = Instant::now();
    let enough = before + drained;
    eventually_within(patience(), "much is sent", async || crowd.receiver.arrived() >= enough).await;
    let (took, memory) = (begun.elapsed(), worker.peak_memory());
    for held in [many.memory, memory].into_iter().flatten() {
        assert!(held < MEMORY, "{held} KiB");
    }
    let mebibytes = |kibibytes: Option<u64>| kibibytes.map_or_else(|| "?".to_owned(), |kib| (kib / 1024).to_string());
    found(
        11,
        format!(
            "{endpoints} endpoints, {} waiting: {} blocks for 1 000 claimed instead of {} with 1 000 waiting, {TAKEN} calls \
         under way within {:.0?} instead of {:.0?}; what waits was never read whole; a worker that took {drained} more in \
         {took:.1?} held {} MiB at most, one with {TAKEN} calls under way {} MiB",
            endpoints * messages,
            many.blocks,
            few.blocks,
            many.took,
            few.took,
            mebibytes(memory),
            mebibytes(many.memory)
        ),
    );
}

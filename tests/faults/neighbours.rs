//! Endpoints that take our time, beside others that do not.

use std::time::Duration;

use platform::caller::OrgId;
use tokio::time::interval;

use crate::processes::{Process, eventually, eventually_within};
use crate::receiver::{Manner, Received, Receiver};

use super::scale::{at_scale, found, is_full, patience};
use super::scene::{DEADLINE, Scene};

/// Few, so that three sick endpoints could take them all if nothing held them back.
const CALLS_AT_A_TIME: (&str, &str) = ("APP__WEBHOOKS__CONCURRENCY", "40");

/// How many endpoints are well.
const WELL: usize = 3;

/// Sick in three ways.
const SICK: [&str; 3] = ["hangs", "drips", "floods"];

fn manner(received: &Received) -> Manner {
    match received.path.rsplit('/').next() {
        Some("hangs") => Manner::Hang,
        Some("drips") => Manner::Drip,
        Some("floods") => Manner::Flood,
        _ => Manner::Answer(200),
    }
}

/// An organization with sick endpoints beside one whose endpoints are well.
struct Neighbours {
    scene: Scene,
    sick: OrgId,
    ward: Receiver,
    receiver: Receiver,
}

impl Neighbours {
    async fn move_in() -> Self {
        let scene = Scene::open().await;
        let sick = scene.organization().await;
        let (ward, url) = Receiver::counting(manner).await;
        for illness in SICK {
            scene.register(sick, &format!("{url}/{illness}"), 10).await;
        }
        let (receiver, url) = Receiver::counting(manner).await;
        for number in 0..WELL {
            scene.register(scene.org, &format!("{url}/{number}"), 10).await;
        }
        Self { scene, sick, ward, receiver }
    }

    async fn count(&self, org: OrgId, what: &str) -> usize {
        let sql = format!("SELECT count(*) FROM webhooks.deliveries WHERE organization_id = '{org}' AND {what}");
        self.scene.count(&sql).await
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_04_endpoints_that_hang_drip_or_flood_do_not_keep_the_others_waiting() {
    if is_full() { measured().await } else { counted().await }
}

/// Nobody waits for a call that hangs: everything else is delivered while the very first of them is still open.
async fn counted() {
    const MESSAGES: usize = 60;
    let neighbours = Neighbours::move_in().await;
    let scene = &neighbours.scene;
    scene.happen(neighbours.sick, 30).await;
    // Longer than the test takes: whoever waits for such a call is noticed.
    let _working = scene.work(&[CALLS_AT_A_TIME, DEADLINE]).await;
    eventually("the sick take what they may", async || neighbours.ward.open_calls() >= 15).await;
    scene.happen(scene.org, MESSAGES).await;
    eventually("the others are told", async || neighbours.receiver.arrived() == MESSAGES * WELL).await;
    eventually("and that is written down", async || {
        neighbours.count(scene.org, "status = 'delivered'").await == MESSAGES * WELL
    })
    .await;
    let gave_up = "SELECT count(*) FROM webhooks.delivery_attempts WHERE error = 'timeout'";
    assert_eq!(scene.count(gave_up).await, 0, "nobody had to wait for the end of a call");
    assert!(neighbours.ward.open_calls() <= 10 * SICK.len(), "each has its slots and no more");
}

/// How long deliveries take from being written down to being settled, with and without sick neighbours.
async fn measured() {
    let neighbours = Neighbours::move_in().await;
    let scene = &neighbours.scene;
    let working = scene.work(&[CALLS_AT_A_TIME]).await;
    let [warm_up, turns] = at_scale([0, 0], [200, 1_500]);
    tell(&neighbours, warm_up, false).await;
    let undisturbed = tell(&neighbours, turns, false).await;
    let disturbed = tell(&neighbours, turns, true).await;
    assert!(disturbed <= undisturbed * 2, "{disturbed} µs instead of {undisturbed} µs");
    let (sick, well) = (neighbours.ward.arrived(), neighbours.receiver.arrived());
    let sent = attempts(&working).await;
    found(
        4,
        format!(
            "p99 of {turns} messages to {WELL} endpoints: {undisturbed} µs undisturbed, {disturbed} µs beside the three; \
         {well} calls to those that are well, {sick} to the sick, {sent} attempts in all"
        ),
    );
}

async fn attempts(working: &Process) -> usize {
    working.metric("webhook_attempts_total").await
}

/// Tells the well endpoints something at even pauses, and the sick ones a tenth as often; the p99 in microseconds.
async fn tell(neighbours: &Neighbours, turns: usize, disturbed: bool) -> usize {
    let Neighbours { scene, sick, .. } = neighbours;
    let before = neighbours.count(scene.org, "status = 'delivered'").await;
    let mut pace = interval(Duration::from_millis(20));
    for turn in 0..turns {
        pace.tick().await;
        scene.happen(scene.org, 1).await;
        if disturbed && turn % 10 == 0 {
            scene.happen(*sick, 1).await;
        }
    }
    let all = before + turns * WELL;
    eventually_within(patience(), "all is told", async || {
        neighbours.count(scene.org, "status = 'delivered'").await == all
    })
    .await;
    let newest = turns * WELL;
    let slowest = format!(
        "SELECT (percentile_disc(0.99) WITHIN GROUP (ORDER BY took) * 1000000)::bigint
         FROM (SELECT extract(epoch FROM finished_at - created_at) AS took FROM webhooks.deliveries
               WHERE organization_id = '{}' ORDER BY id DESC LIMIT {newest}) AS newest",
        scene.org
    );
    if newest == 0 { 0 } else { scene.count(&slowest).await }
}

//! Processes that get a SIGKILL in the middle of their work.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use crate::home::send;
use crate::processes::{PATIENT, Process, eventually, eventually_within};
use crate::receiver::Receiver;

use super::scale::{at_scale, found, patience};
use super::scene::Scene;

/// What an organization that is gone leaves behind with those who hear of it: who, and how many are done.
pub(super) const LAST_RITES: &[(&str, &str)] = &[
    ("webhooks", "SELECT count(*) FROM webhooks.endpoints WHERE description = 'doomed'"),
    (
        "billing",
        "SELECT count(*) FROM users.audit_log WHERE action = 'organization_deleted'
                 AND organization_id NOT IN (SELECT organization_id FROM billing.closed_organizations)",
    ),
];

#[tokio::test]
async fn invariant_01_a_worker_killed_again_and_again_loses_no_job_and_doubles_no_effect() {
    let (kills, jobs) = at_scale((3, 500), (50, 10_000));
    let scene = Scene::open().await;
    let (receiver, url) = Receiver::open().await;
    scene.register(scene.org, &url, 100).await;
    scene.happen(scene.org, jobs).await;
    let mut interrupted = 0;
    for kill in 1..=kills {
        let connections = scene.connections().await;
        let worker = scene.work(&[]).await;
        let left = jobs - jobs * kill / (kills + 1);
        let got_on = async || scene.unheard().await <= left;
        eventually_within(patience(), "the worker gets on", got_on).await;
        worker.kill();
        scene.back_to(connections).await;
        let held = "SELECT (SELECT count(*) FROM platform.jobs WHERE lease IS NOT NULL)
                         + (SELECT count(*) FROM webhooks.due_deliveries WHERE lease IS NOT NULL)";
        interrupted += scene.count(held).await;
        scene.end_leases().await;
    }
    assert!(interrupted > 0, "a kill that interrupts nothing shows nothing");
    let _worker = scene.work(&[]).await;
    scene.settled().await;

    let told = scene.names_told().await;
    assert_eq!(told.len(), jobs, "the effect that shares the settling transaction is there once");
    assert_eq!(told.iter().collect::<BTreeSet<_>>().len(), jobs, "for every job");
    assert_eq!(scene.count("SELECT count(*) FROM webhooks.deliveries WHERE status = 'delivered'").await, jobs);
    assert_eq!(receiver.messages(), jobs, "every message arrived");
    let twice = receiver.arrived() - jobs;
    assert!(twice <= interrupted, "{twice} were sent again, but only {interrupted} were interrupted");
    found(
        1,
        format!(
            "{kills} kills, {jobs} jobs: {interrupted} leases died with their holders, \
                      {jobs} rows written, {jobs} messages arrived, {twice} of them more than once"
        ),
    );
}

#[tokio::test]
async fn invariant_02_what_was_committed_before_a_kill_is_heard_by_every_subscriber_once_after_a_restart() {
    let (kills, people, each) = at_scale((2, 4, 15), (20, 8, 200));
    let scene = Scene::open().await;
    let (receiver, url) = Receiver::open().await;
    scene.register(scene.org, &url, 100).await;
    let acknowledged = AtomicUsize::new(0);
    for kill in 1..=kills {
        // Nobody works, so what is committed is all there is when the process is killed.
        let serving = scene.serve_with(&PATIENT).await;
        delete_an_organization(&scene, &serving).await;
        let renaming = join_all((0..people).map(|person| {
            let (scene, acknowledged, serving) = (&scene, &acknowledged, &serving);
            async move { rename_until_killed(scene, serving, acknowledged, kill * people + person).await }
        }));
        let killing = async {
            let enough = kill * each;
            eventually("enough is acknowledged", async || acknowledged.load(Ordering::SeqCst) >= enough).await;
            serving.kill_now();
        };
        tokio::join!(renaming, killing);
        scene.at_rest().await;
    }
    assert_eq!((scene.names_told().await.len(), receiver.arrived()), (0, 0), "nobody has heard of it yet");
    let renamed = scene.count("SELECT count(*) FROM users.audit_log WHERE action = 'organization_updated'").await;
    let acknowledged = acknowledged.into_inner();
    assert!(renamed >= acknowledged, "{renamed} facts, but {acknowledged} were acknowledged");

    let _worker = scene.work(&[]).await;
    scene.settled().await;
    let told = scene.names_told().await;
    assert_eq!(told.len(), renamed, "every fact is heard, whether its caller learned of it or not");
    assert_eq!(told.iter().collect::<BTreeSet<_>>().len(), renamed, "once");
    assert_eq!((receiver.messages(), receiver.arrived()), (renamed, renamed));
    for (who, left) in LAST_RITES {
        assert_eq!(scene.count(left).await, 0, "{who} heard of every organization that is gone");
    }
    found(
        2,
        format!(
            "{kills} kills while {people} clients wrote: {acknowledged} facts were acknowledged, \
                      {renamed} committed, {renamed} heard once; of {kills} deleted organizations everybody heard"
        ),
    );
}

/// Makes an organization with an endpoint and deletes it.
async fn delete_an_organization(scene: &Scene, serving: &Process) {
    let path = format!("/v1/organizations/{}", scene.organization().await);
    let wish = json!({ "url": "http://localhost/", "event_types": ["organization.updated"], "description": "doomed" });
    send(scene.ask(serving, Method::POST, &format!("{path}/webhook-endpoints")).json(&wish)).await.expect(201);
    send(scene.ask(serving, Method::DELETE, &path)).await.expect(204);
}

/// Renames the organization again and again, each time otherwise, until the process is gone.
async fn rename_until_killed(scene: &Scene, serving: &Process, acknowledged: &AtomicUsize, person: usize) {
    let path = format!("/v1/organizations/{}", scene.org);
    for turn in 0.. {
        let name = json!({ "name": format!("Acme {person} {turn}") });
        match scene.ask(serving, Method::PATCH, &path).json(&name).send().await {
            Ok(answer) => assert_eq!(answer.status(), 200),
            Err(_) => return,
        }
        acknowledged.fetch_add(1, Ordering::SeqCst);
    }
}

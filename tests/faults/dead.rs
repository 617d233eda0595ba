//! Somebody who hears of something and fails, always.

use serde_json::json;

use crate::processes::eventually;
use crate::receiver::Receiver;
use crate::tree::Tree;

use super::killed::LAST_RITES;
use super::scale::found;
use super::scene::Scene;

/// How often a fact is told to somebody who fails.
const TRIES: usize = 20;

#[tokio::test]
async fn invariant_08_a_subscriber_that_always_fails_is_given_up_and_seen_and_disturbs_nobody() {
    let scene = Scene::open().await;
    let (receiver, url) = Receiver::open().await;
    scene.register(scene.org, &url, 10).await;
    let doomed = scene.organization().await;
    let wish = json!({ "url": url, "event_types": ["organization.updated"], "description": "doomed" });
    let _ = scene.post(doomed, "/webhook-endpoints", &wish).await.expect(201);
    // Webhooks cannot forget an endpoint, so it fails to hear that this organization is gone.
    scene
        .run("CREATE FUNCTION webhooks.refuse() RETURNS trigger LANGUAGE plpgsql AS
                  $$ BEGIN RAISE EXCEPTION 'on purpose'; END $$;
              CREATE TRIGGER refuse BEFORE DELETE ON webhooks.endpoints FOR EACH ROW EXECUTE FUNCTION webhooks.refuse()")
        .await;
    // Every try counts, so none may be taken from a worker that stands still for a moment.
    let worker = scene.work(&[("APP__JOBS__LEASE_MS", "60000")]).await;
    scene.delete(doomed).await;
    scene.happen(scene.org, 5).await;
    eventually("later facts are heard by the same subscriber", async || receiver.arrived() == 5).await;
    eventually("the others have heard", async || {
        let rites = LAST_RITES.iter().filter(|(who, _)| *who != "webhooks");
        for (_, left) in rites {
            if scene.count(left).await > 0 {
                return false;
            }
        }
        scene.unheard().await == 1
    })
    .await;
    let tries = eventually_dead(&scene).await;
    assert_eq!(tries, TRIES, "and no try was skipped");
    assert_eq!(scene.unheard().await, 0);
    let error = "SELECT error FROM platform.dead_jobs WHERE name = 'webhooks hears users.organization_deleted.v1'";
    assert!(scene.durable.texts(error).await[0].contains("on purpose"), "whoever looks sees why");
    scene.happen(scene.org, 5).await;
    eventually("facts after its death are heard", async || receiver.arrived() == 10).await;
    assert!(worker.is_ready().await);

    // Every worker tells it, this one as soon as it starts.
    let other = scene.work(&[]).await;
    eventually("operators see it", async || other.metric("jobs_dead").await == 1).await;
    let alerts = Tree::house().text("ops/alerts.yml").unwrap_or_default();
    assert!(alerts.contains("jobs_dead"), "and an alert looks at it");
    found(
        8,
        format!(
            "given up after {tries} tries and shown by `jobs_dead`; the other subscribers, 5 facts meanwhile and \
                      5 facts later were heard at once"
        ),
    );
}

/// Lets the pauses between tries pass until it is given up; says how often it was tried.
async fn eventually_dead(scene: &Scene) -> usize {
    eventually("it is given up", async || {
        scene.run("UPDATE platform.jobs SET run_at = now() WHERE lease IS NULL AND attempts > 0").await;
        scene.count("SELECT count(*) FROM platform.dead_jobs").await == 1
    })
    .await;
    scene.count("SELECT sum(attempts)::bigint FROM platform.dead_jobs").await
}

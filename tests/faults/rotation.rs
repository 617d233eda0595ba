//! A signing secret that is rotated while messages are being tried again.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::json;

use crate::receiver::{Manner, Received, Receiver};

use super::scale::{at_scale, found};
use super::scene::Scene;

/// Of so many messages one is refused at first: few enough in a row for the endpoint to be thought well.
const ONE_IN: usize = 4;

/// Refuses every fourth message the first time.
fn refuse_some() -> impl Fn(&Received) -> Manner {
    let seen = Arc::new(Mutex::new(BTreeMap::<String, usize>::new()));
    move |received| {
        let mut seen = seen.lock().expect("not poisoned");
        let number = seen.len();
        let known = seen.contains_key(received.id());
        seen.entry(received.id().to_owned()).or_insert(number);
        Manner::Answer(if !known && number.is_multiple_of(ONE_IN) { 500 } else { 200 })
    }
}

#[tokio::test]
async fn invariant_10_during_a_rotation_whoever_holds_either_secret_believes_every_retry() {
    const MESSAGES: usize = 24;
    let rotations = at_scale(1, 50);
    let scene = Scene::open().await;
    let (receiver, url) = Receiver::with_manner(refuse_some()).await;
    let endpoint = scene.register(scene.org, &url, 10).await;
    let _working = scene.work(&[]).await;
    let (mut old, mut believed, mut retries) = (endpoint.secret, 0, 0);
    for rotation in 0..rotations {
        let begun = receiver.arrived();
        scene.happen(scene.org, MESSAGES).await;
        retries += scene.tried_and_postponed().await;
        let before = receiver.arrived();
        let below = format!("/webhook-endpoints/{}/rotate-secret", endpoint.id);
        let rotated = scene.post(scene.org, &below, &json!({ "overlap_seconds": 3_600 })).await.expect(200);
        let new = rotated["secret"].as_str().expect("a secret").to_owned();
        scene.happen(scene.org, MESSAGES).await;
        scene.hurry_until_settled().await;

        let arrived = receiver.received();
        assert!(arrived[begun..before].iter().all(|call| call.verifies(&old) && !call.verifies(&new)), "too early");
        let after = &arrived[before..];
        assert!(after.iter().all(|call| call.verifies(&old)), "whoever has not changed over");
        assert!(after.iter().all(|call| call.verifies(&new)), "whoever has changed over");
        assert!(after.len() > MESSAGES, "retries are among them");
        believed += after.len();

        scene.run("UPDATE webhooks.endpoint_secrets SET expires_at = now() WHERE expires_at IS NOT NULL").await;
        scene.happen(scene.org, 1).await;
        scene.hurry_until_settled().await;
        let last = receiver.received().pop().expect("a message");
        assert!(last.verifies(&new) && !last.verifies(&old), "the overlap of rotation {rotation} is over");
        old = new;
    }
    found(
        10,
        format!(
            "{rotations} rotations while {retries} messages waited for another try: each of {believed} calls \
                       during the overlap verified with the old and with the new secret, by the reference library"
        ),
    );
}

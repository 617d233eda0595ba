//! PostgreSQL crashes while everybody works.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use platform::telemetry::spawn;
use reqwest::{Method, RequestBuilder};
use serde_json::json;
use tokio::task::block_in_place;

use crate::processes::{eventually, eventually_within};
use crate::receiver::Receiver;

use super::scale::{at_scale, found, patience};
use super::scene::Scene;

/// How soon everything works again once PostgreSQL does. It is measured with the full counts, on a machine that does nothing
/// else.
const RECOVERY: Duration = Duration::from_secs(10);

/// Those who write at the same time.
const WRITERS: usize = 4;

/// What was answered 200: the name that was written, and when the answer came.
#[derive(Default)]
struct Diary {
    acknowledged: Mutex<Vec<(usize, String, Instant)>>,
    stop: AtomicBool,
}

impl Diary {
    fn len(&self) -> usize {
        self.acknowledged.lock().expect("not poisoned").len()
    }

    /// When each writer first succeeded after this moment; nothing while one of them has not.
    fn all_succeeded_since(&self, moment: Instant) -> Option<Vec<Duration>> {
        let entries = self.acknowledged.lock().expect("not poisoned");
        let first = |writer: usize| entries.iter().find(|(who, _, at)| *who == writer && *at > moment);
        (0..WRITERS).map(|writer| first(writer).map(|(.., at)| *at - moment)).collect()
    }
}

/// Renames again and again, each time otherwise, whatever is answered.
async fn write(diary: Arc<Diary>, writer: usize, ask: impl Fn() -> RequestBuilder) {
    for turn in 0.. {
        let name = format!("Acme {writer} {turn}");
        let answer = ask().json(&json!({ "name": name })).send().await;
        if answer.is_ok_and(|answer| answer.status() == 200) {
            diary.acknowledged.lock().expect("not poisoned").push((writer, name, Instant::now()));
        }
        if diary.stop.load(Ordering::SeqCst) {
            return;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invariant_03_a_crash_of_the_database_loses_nothing_that_was_acknowledged_and_is_recovered_from() {
    let (crashes, between) = at_scale((1, 40), (10, 400));
    let recovery = at_scale(patience(), RECOVERY);
    let scene = Arc::new(Scene::open().await);
    let (receiver, url) = Receiver::open().await;
    scene.register(scene.org, &url, 100).await;
    let (serving, working) = (Arc::new(scene.serve().await), scene.work(&[]).await);
    let diary = Arc::new(Diary::default());
    let writers = (0..WRITERS).map(|writer| {
        let (scene, serving) = (scene.clone(), serving.clone());
        let path = format!("/v1/organizations/{}", scene.org);
        spawn("writer", write(diary.clone(), writer, move || scene.ask(&serving, Method::PATCH, &path)))
    });
    let writers: Vec<_> = writers.collect();
    let (mut writing_again, mut sending_again) = (Duration::ZERO, Duration::ZERO);
    for _ in 0..crashes {
        let enough = diary.len() + between;
        eventually("enough is written", async || diary.len() >= enough).await;
        block_in_place(|| scene.durable.crash_and_restart());
        let (back, arrived) = (Instant::now(), receiver.arrived());
        eventually_within(recovery, "everybody writes again", async || diary.all_succeeded_since(back).is_some()).await;
        let waits = diary.all_succeeded_since(back).expect("everybody writes");
        writing_again = writing_again.max(waits.into_iter().max().unwrap_or_default());
        eventually_within(recovery.saturating_sub(back.elapsed()), "messages are sent again", async || {
            receiver.arrived() > arrived
        })
        .await;
        sending_again = sending_again.max(back.elapsed());
        let ready = async || serving.is_ready().await && working.is_ready().await;
        eventually("both are ready, and nobody had to start them anew", ready).await;
    }
    diary.stop.store(true, Ordering::SeqCst);
    for writer in writers {
        writer.await.expect("a writer ends");
    }
    leases_end_until_settled(&scene).await;

    let told = scene.names_told().await;
    let once: BTreeSet<&String> = told.iter().collect();
    let acknowledged = diary.acknowledged.lock().expect("not poisoned");
    for (_, name, _) in &*acknowledged {
        assert!(once.contains(name), "{name} was acknowledged and is lost");
    }
    assert_eq!(told.len(), once.len(), "no fact was heard twice");
    assert_eq!(receiver.messages(), told.len(), "every message arrived");
    found(
        3,
        format!(
            "{crashes} crashes under {WRITERS} writers: {} writes were acknowledged and none is lost; after a crash \
         everybody writes again within {writing_again:.1?}, messages arrive within {sending_again:.1?}",
            acknowledged.len()
        ),
    );
}

/// What the crash took from the workers belongs to them for a minute; it is as if that had passed.
async fn leases_end_until_settled(scene: &Scene) {
    eventually("everything is heard", async || scene.unheard().await == 0).await;
    scene.end_leases().await;
    scene.settled().await;
}

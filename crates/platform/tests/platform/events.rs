//! Announcing and hearing.

use std::sync::{Arc, Mutex};

use platform::events::{Event, Events};
use platform::jobs::{JobError, Jobs};
use serde::{Deserialize, Serialize};

use crate::house::House;

#[derive(Serialize, Deserialize)]
struct LampLit {
    lamp: String,
}

impl Event for LampLit {
    const NAME: &'static str = "sample.lamp_lit.v1";
}

#[tokio::test]
async fn every_subscriber_hears_a_fact_and_a_sick_one_disturbs_nobody() {
    let house = House::build().await;
    let events = Events::new();
    let mut jobs = Jobs::new();
    let heard = Arc::new(Mutex::new(Vec::new()));
    for hearer in ["keeper", "neighbour"] {
        let heard = heard.clone();
        events.hear::<LampLit, _, _>(&mut jobs, hearer, move |event, _| {
            let heard = heard.clone();
            async move {
                heard.lock().expect("no panic").push(format!("{hearer} {}", event.lamp));
                Ok(())
            }
        });
    }
    events.hear::<LampLit, _, _>(&mut jobs, "sick", |_, _| async { Err(JobError::Retry("always".into())) });
    assert!(jobs.names().any(|name| name == "keeper hears sample.lamp_lit.v1"));

    let mut tx = house.db.begin().await.expect("a transaction");
    events.announce(&mut tx, &LampLit { lamp: "never".to_owned() }).await.expect("announced");
    drop(tx);
    house.commit(async |tx| events.announce(tx, &LampLit { lamp: "porch".to_owned() }).await).await;

    assert_eq!(house.worker(jobs).run_due().await, 3);
    let mut heard = heard.lock().expect("no panic").clone();
    heard.sort();
    assert_eq!(heard, ["keeper porch", "neighbour porch"]);
    assert_eq!(house.ask("SELECT name FROM platform.jobs").await, "sick hears sample.lamp_lit.v1");
}

#[tokio::test]
async fn a_fact_that_nobody_hears_leaves_no_trace() {
    let house = House::build().await;
    house.commit(async |tx| Events::new().announce(tx, &LampLit { lamp: "porch".to_owned() }).await).await;
    assert_eq!(house.count("platform.jobs").await, "0");
}

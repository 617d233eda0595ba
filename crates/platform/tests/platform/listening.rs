//! Hearing what other processes did, and what probes may cost.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Instant;

use async_trait::async_trait;
use platform::http::{Health, ReadinessCheck};
use platform::shutdown::Shutdown;
use platform::telemetry;
use test_support::ApiClient;

use crate::house::House;

#[tokio::test]
async fn listening_takes_no_connection_from_those_who_work() {
    let house = House::build().await;
    let wakeups = house.databases.wakeups().clone();
    let bell = wakeups.subscribe("sample");
    let shutdown = Shutdown::new();
    let (listening, stop) = (wakeups.clone(), shutdown.clone());
    let listener = telemetry::spawn("wake-ups", async move { listening.listen(stop).await });
    // Heard from outside, so it listens by now.
    let ring = async {
        loop {
            house.sql("SELECT pg_notify('wake', 'sample')").await;
        }
    };
    tokio::select! {
        () = bell.notified() => {}
        () = ring => {}
    }
    let mut all = Vec::new();
    for _ in 0..4 {
        all.push(house.databases.platform().read().await.expect("all four connections of the pool are free"));
    }
    shutdown.begin();
    listener.await.expect("an orderly end");
}

struct Counting(Arc<AtomicUsize>);

#[async_trait]
impl ReadinessCheck for Counting {
    fn name(&self) -> &'static str {
        "counting"
    }

    async fn check(&self) -> Result<(), String> {
        self.0.fetch_add(1, Ordering::SeqCst);
        Ok(())
    }
}

#[tokio::test]
async fn a_flood_of_probes_asks_once_a_second() {
    let asked = Arc::new(AtomicUsize::new(0));
    let health = Health::new(vec![Box::new(Counting(asked.clone()))], Shutdown::new());
    let client = ApiClient::new(health.public_routes());
    let begun = Instant::now();
    for _ in 0..100 {
        assert_eq!(client.get("/readyz").send().await.status.as_u16(), 200);
    }
    // However slow this machine is, each second pays for one question only.
    let seconds = usize::try_from(begun.elapsed().as_secs()).expect("a short test");
    assert!((1..=seconds + 1).contains(&asked.load(Ordering::SeqCst)));
}

//! Messages that are recorded together.

use platform::shutdown::Shutdown;
use platform::telemetry::spawn;
use tokio::task::JoinHandle;

use crate::blocker::Blocker;
use crate::house::House;
use crate::receiver::Receiver;

const MESSAGES: usize = 8;

/// A worker whose jobs have all begun, with the first of them held up while it writes.
struct HeldUp {
    blocker: Blocker,
    worker: JoinHandle<()>,
    shutdown: Shutdown,
}

impl HeldUp {
    async fn begin(house: &House) -> Self {
        house.happen(MESSAGES).await;
        let blocker = Blocker::of(house, "webhooks.messages").await;
        let shutdown = Shutdown::new();
        let (worker, until) = (house.patient_worker(), shutdown.clone());
        let worker = spawn("worker", async move { worker.run(until).await });
        blocker.wait(house).await;
        Self { blocker, worker, shutdown }
    }

    /// Lets them go on until the receiver has so many messages.
    async fn go_on(self, receiver: &mut Receiver, count: usize) {
        self.blocker.end().await;
        receiver.wait_for(count).await;
        self.shutdown.begin();
        self.worker.await.expect("the worker ends");
    }
}

#[tokio::test]
async fn messages_that_come_while_others_are_written_share_a_transaction() {
    let (house, mut receiver) = (House::open().await, Receiver::open().await);
    house.register(&receiver.url).await;
    HeldUp::begin(&house).await.go_on(&mut receiver, MESSAGES).await;
    assert_eq!(house.count("SELECT count(*) FROM webhooks.messages").await, 8);
    assert_eq!(
        house.count("SELECT count(DISTINCT xmin::text) FROM webhooks.messages").await,
        2,
        "the first, and the rest"
    );
    assert_eq!(house.count("SELECT count(*) FROM platform.jobs WHERE name = 'test.tell'").await, 0);
}

#[tokio::test]
async fn one_message_that_cannot_be_recorded_keeps_none_of_the_others_from_it() {
    let (house, mut receiver) = (House::open().await, Receiver::open().await);
    house.register(&receiver.url).await;
    let held_up = HeldUp::begin(&house).await;
    let steal =
        "UPDATE platform.jobs SET lease = gen_random_uuid() WHERE id = (SELECT max(id::text)::uuid FROM platform.jobs)";
    house.run_sql(steal).await;
    held_up.go_on(&mut receiver, MESSAGES - 1).await;
    assert_eq!(house.count("SELECT count(*) FROM webhooks.messages").await, 7);
    let left = "SELECT count(*) FROM platform.jobs WHERE name = 'test.tell' AND lease IS NOT NULL";
    assert_eq!(house.count(left).await, 1, "whoever took it over records it");
}

//! Several processes over one database keep the same answers, each for itself.

use std::sync::atomic::{AtomicUsize, Ordering};

use platform::cache::Cache;
use platform::db::Databases;
use platform::ids::new_uuid;
use platform::shutdown::Shutdown;
use platform::telemetry;
use test_support::eventually;
use uuid::Uuid;

use crate::house::{House, SAMPLE, effect};

/// What modules write in their migrations.
const TRIGGER: &str = "
    CREATE FUNCTION sample.tell() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
        PERFORM pg_notify('changes', 'sample.effects:' || OLD.name);
        RETURN NULL;
    END $$;
    CREATE TRIGGER tell AFTER UPDATE OR DELETE ON sample.effects FOR EACH ROW EXECUTE FUNCTION sample.tell();";

/// A process that listens, with a cache of whether there is an effect of a name.
struct Process {
    databases: Databases,
    cache: Cache<(), bool>,
    reads: AtomicUsize,
}

impl Process {
    async fn start(house: &House) -> Self {
        let databases = Databases::open(&house.config).expect("a valid address");
        let cache = Cache::new(&databases.module(SAMPLE), "sample.effects");
        let wakeups = databases.wakeups().clone();
        telemetry::spawn("listening", async move { wakeups.listen(Shutdown::new()).await });
        let process = Self { databases, cache, reads: AtomicUsize::new(0) };
        process.hears().await;
        process
    }

    async fn hears(&self) {
        eventually("it listens", async || self.databases.hears_changes()).await;
    }

    /// Whether there is such an effect, as far as this process knows.
    async fn knows(&self, name: Uuid) -> bool {
        let read = async {
            self.reads.fetch_add(1, Ordering::SeqCst);
            let mut connection = self.databases.module(SAMPLE).read().await?;
            let query = "SELECT true FROM sample.effects WHERE name = $1";
            sqlx::query_scalar::<_, bool>(query).bind(name.to_string()).fetch_optional(&mut *connection).await
        };
        self.cache.get_or_read(name, (), read).await.expect("an answer").unwrap_or(false)
    }

    /// Asks twice; how many of the answers were read.
    async fn reads_of_two(&self, name: Uuid) -> usize {
        let before = self.reads.load(Ordering::SeqCst);
        self.knows(name).await;
        self.knows(name).await;
        self.reads.load(Ordering::SeqCst) - before
    }
}

async fn house_with(names: &[Uuid]) -> House {
    let house = House::build().await;
    house.sql(TRIGGER).await;
    for name in names {
        house.commit(async |tx| effect(tx, &name.to_string()).await).await;
    }
    house
}

#[tokio::test]
async fn every_process_drops_what_plain_sql_changed_and_nothing_else() {
    let (gone, kept) = (new_uuid(), new_uuid());
    let house = house_with(&[gone, kept]).await;
    let processes = [Process::start(&house).await, Process::start(&house).await];
    for process in &processes {
        assert!(process.knows(gone).await && process.knows(kept).await);
        assert_eq!(process.reads_of_two(gone).await, 0);
    }
    let delete = format!("DELETE FROM sample.effects WHERE name = '{gone}'");
    house.sql(delete.leak()).await;
    for process in &processes {
        eventually("the change is heard", async || !process.knows(gone).await).await;
        assert_eq!(process.reads_of_two(kept).await, 0);
        assert_eq!(process.reads_of_two(gone).await, 2, "that there is nothing is not kept");
    }
}

#[tokio::test]
async fn while_the_listening_connection_is_broken_every_answer_is_read() {
    let name = new_uuid();
    let house = house_with(&[name]).await;
    let process = Process::start(&house).await;
    process.knows(name).await;
    assert_eq!(process.reads_of_two(name).await, 0);
    let kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity
         WHERE application_name = 'listening' AND datname = current_database()";
    // It reconnects after a second; should that pass before all is asked, it is killed again.
    eventually("the process is deaf", async || {
        house.sql(kill).await;
        eventually("it notices", async || !process.databases.hears_changes()).await;
        let reads = process.reads_of_two(name).await;
        let was_deaf = !process.databases.hears_changes();
        assert!(!was_deaf || reads == 2, "{reads} of two answers were read");
        was_deaf
    })
    .await;
    house.sql("UPDATE sample.effects SET name = 'another'").await;
    process.hears().await;
    assert!(!process.knows(name).await, "what it missed while it was deaf is not kept");
}

#[tokio::test]
async fn after_reconnecting_answers_are_kept_again() {
    let name = new_uuid();
    let house = house_with(&[name]).await;
    let process = Process::start(&house).await;
    house
        .sql(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'listening'
         AND datname = current_database()",
        )
        .await;
    eventually("it notices", async || !process.databases.hears_changes()).await;
    process.hears().await;
    assert!(process.knows(name).await);
    assert_eq!(process.reads_of_two(name).await, 0);
}

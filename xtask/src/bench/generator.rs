//! What asks PostgreSQL: many connections at the same time, each doing one thing after the other.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use sqlx::PgConnection;
use sqlx::postgres::{PgPool, PgPoolOptions};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::failure::Failure;

/// How often listeners are woken while something is repeated; the service itself does it at most that often.
const RING_EVERY: Duration = Duration::from_millis(50);

/// How long a connection rests that has nothing to do.
const REST: Duration = Duration::from_millis(1);

/// Something that is done again and again.
pub(super) trait Deed: Send + Sync + 'static {
    /// The channel and the text by which those are woken who wait for it.
    const BELL: Option<(&'static str, &'static str)> = None;

    /// Whether it is to be done now.
    fn has_room(&self) -> bool {
        true
    }

    fn once(&self, connection: &mut PgConnection) -> impl Future<Output = Result<(), sqlx::Error>> + Send;
}

#[expect(clippy::disallowed_methods, reason = "ids come from platform otherwise, which this program has not")]
pub(super) fn new_id() -> Uuid {
    Uuid::now_v7()
}

#[expect(clippy::disallowed_methods, reason = "the clock comes from platform otherwise, which this program has not")]
pub(super) fn now() -> DateTime<Utc> {
    Utc::now()
}

/// Connections that ask.
pub(super) struct Generator {
    pub(super) runtime: Runtime,
    pub(super) pool: PgPool,
    connections: u32,
}

impl Generator {
    pub(super) fn start(database: &str, connections: u32) -> Result<Self, Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.map_err(|source| Failure::Io { doing: "start a runtime".to_owned(), source })?;
        // One more rings the bell.
        let pool = PgPoolOptions::new().max_connections(connections + 1).test_before_acquire(false);
        let pool = runtime.block_on(pool.connect(database))?;
        Ok(Self { runtime, pool, connections })
    }

    /// Does it once and wakes whoever waits for it.
    pub(super) fn once<D: Deed>(&self, deed: &D) -> Result<(), Failure> {
        self.runtime.block_on(async {
            let mut connection = self.pool.acquire().await?;
            deed.once(&mut connection).await?;
            ring::<D>(&mut connection).await?;
            Ok(())
        })
    }

    /// Repeats it on every connection until that is ended.
    pub(super) fn repeat<D: Deed>(&self, deed: &Arc<D>) -> Repeating {
        let stop = Arc::new(AtomicBool::new(false));
        let started = Instant::now();
        let tasks = (0..self.connections).map(|_| {
            let (pool, deed, stop) = (self.pool.clone(), deed.clone(), stop.clone());
            self.runtime.spawn(async move { keep_doing(&pool, &*deed, &stop).await })
        });
        let tasks = tasks.collect();
        let (pool, until) = (self.pool.clone(), stop.clone());
        let bell = self.runtime.spawn(async move { keep_ringing::<D>(&pool, &until).await });
        Repeating { stop, started, tasks, bell }
    }

    /// Repeats it for so long.
    pub(super) fn repeat_for<D: Deed>(&self, deed: &Arc<D>, duration: Duration) -> Result<Repeated, Failure> {
        let repeating = self.repeat(deed);
        std::thread::sleep(duration);
        repeating.finish(&self.runtime)
    }
}

/// Something is being repeated.
pub(super) struct Repeating {
    stop: Arc<AtomicBool>,
    started: Instant,
    tasks: Vec<JoinHandle<Result<Vec<Duration>, sqlx::Error>>>,
    bell: JoinHandle<Result<(), sqlx::Error>>,
}

/// What came of repeating it.
pub(super) struct Repeated {
    pub(super) elapsed: Duration,
    /// How long each took.
    pub(super) times: Vec<Duration>,
}

impl Repeating {
    pub(super) fn finish(self, runtime: &Runtime) -> Result<Repeated, Failure> {
        let Self { stop, started, tasks, bell } = self;
        stop.store(true, Ordering::Relaxed);
        runtime.block_on(async {
            let mut times = Vec::new();
            for task in tasks {
                times.extend(task.await.map_err(|error| Failure::Finding(format!("a connection failed: {error}")))??);
            }
            let elapsed = started.elapsed();
            bell.await.map_err(|error| Failure::Finding(format!("nobody was woken: {error}")))??;
            Ok(Repeated { elapsed, times })
        })
    }
}

async fn keep_doing<D: Deed>(pool: &PgPool, deed: &D, stop: &AtomicBool) -> Result<Vec<Duration>, sqlx::Error> {
    let mut connection = pool.acquire().await?;
    let mut times = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        if !deed.has_room() {
            tokio::time::sleep(REST).await;
            continue;
        }
        let begun = Instant::now();
        deed.once(&mut connection).await?;
        times.push(begun.elapsed());
    }
    Ok(times)
}

/// Rings at even intervals, and once more when all is done.
async fn keep_ringing<D: Deed>(pool: &PgPool, stop: &AtomicBool) -> Result<(), sqlx::Error> {
    let mut connection = pool.acquire().await?;
    loop {
        let last = stop.load(Ordering::Relaxed);
        tokio::time::sleep(RING_EVERY).await;
        ring::<D>(&mut connection).await?;
        if last {
            return Ok(());
        }
    }
}

async fn ring<D: Deed>(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    if let Some((channel, text)) = D::BELL {
        sqlx::query("SELECT pg_notify($1, $2)").bind(channel).bind(text).execute(connection).await?;
    }
    Ok(())
}

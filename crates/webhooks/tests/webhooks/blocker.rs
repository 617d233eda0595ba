//! Holding up whoever writes to a table.

use sqlx::{AssertSqlSafe, Connection, PgConnection};

use crate::house::House;

pub(crate) struct Blocker(PgConnection);

impl Blocker {
    pub(crate) async fn of(house: &House, table: &str) -> Self {
        let mut connection = house.owner().await;
        let lock = format!("BEGIN; LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE");
        sqlx::raw_sql(AssertSqlSafe(lock)).execute(&mut connection).await.expect("locks");
        Self(connection)
    }

    /// Waits until somebody is held up.
    pub(crate) async fn wait(&self, house: &House) {
        const HELD_UP: &str = "SELECT count(*) FROM pg_locks JOIN pg_database ON pg_database.oid = database
                               WHERE datname = current_database() AND locktype = 'relation' AND NOT granted";
        while house.count(HELD_UP).await == 0 {}
    }

    pub(crate) async fn end(mut self) {
        sqlx::raw_sql("COMMIT").execute(&mut self.0).await.expect("unlocks");
        self.0.close().await.expect("closes");
    }
}

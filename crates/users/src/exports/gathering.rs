//! What an export is made of. No list grows without end in memory: one that gets too long stops and says so.

use std::sync::Arc;

use platform::caller::UserId;
use platform::jobs::BoxError;
use serde::Serialize;
use serde_json::{Map, Value, json};
use uuid::Uuid;

use super::store::lists::{self, List};
use crate::ports::PersonalData;
use crate::{Users, accounts};

/// Where a list ends.
const MAX_ENTRIES: usize = 5_000;
const MAX_BYTES: usize = 4 * 1024 * 1024;

/// The most organizations of their own somebody gets the records of.
const MAX_ORGANIZATIONS: usize = 100;

/// A list, the newest first, and whether that is all of it.
#[derive(Debug, Serialize)]
struct Gathered {
    entries: Vec<Value>,
    complete: bool,
    #[serde(skip)]
    bytes: usize,
}

impl Gathered {
    fn new() -> Self {
        Self { entries: Vec::new(), complete: true, bytes: 0 }
    }

    fn push(&mut self, entry: Value) {
        self.bytes += entry.to_string().len();
        if self.entries.len() < MAX_ENTRIES && self.bytes <= MAX_BYTES {
            self.entries.push(entry);
        } else {
            self.complete = false;
        }
    }
}

impl Users {
    /// Everything that is kept about a person, by module; `None` when there is no such person any more. No transaction is open
    /// while others are asked.
    pub(super) async fn gather(
        &self,
        account: UserId,
        sources: &[Arc<dyn PersonalData>],
    ) -> Result<Option<Value>, BoxError> {
        let Some(profile) = accounts::store::find(&mut *self.0.db.read().await?, account).await? else {
            return Ok(None);
        };
        let mut own = Map::new();
        let accounts::Account { id, email, name, created_at, .. } = profile;
        own.insert("account".into(), json!({ "id": id, "email": email, "name": name, "created_at": created_at }));
        for list in List::ALL {
            own.insert(list.name().into(), serde_json::to_value(self.gather_list(account, list).await?)?);
        }
        let limit = MAX_ORGANIZATIONS + 1;
        let mut alone = lists::list_owned_alone(&mut *self.0.db.read().await?, account, limit).await?;
        own.insert("all_own_organizations".into(), json!(alone.len() < limit));
        alone.truncate(MAX_ORGANIZATIONS);
        let mut everything = Map::new();
        everything.insert(crate::MODULE.into(), own.into());
        for source in sources {
            everything.insert(source.name().into(), bounded(source.export(account, &alone).await?));
        }
        Ok(Some(everything.into()))
    }

    async fn gather_list(&self, account: UserId, list: List) -> Result<Gathered, sqlx::Error> {
        let (mut gathered, mut before) = (Gathered::new(), Uuid::max());
        while gathered.complete {
            let page = lists::page(&mut *self.0.db.read().await?, account, list, before).await?;
            let Some(oldest) = page.last() else { break };
            before = oldest.id;
            for row in page {
                gathered.push(row.entry);
            }
        }
        Ok(gathered)
    }
}

/// A module that tells too much is not told at all: the others' data counts more.
fn bounded(value: Value) -> Value {
    if value.to_string().len() <= MAX_BYTES { value } else { json!({ "complete": false }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_ends_by_entries_or_bytes_and_says_so() {
        let mut short = Gathered::new();
        (0..MAX_ENTRIES).for_each(|number| short.push(json!(number)));
        assert!(short.complete);
        short.push(json!("one more"));
        assert_eq!((short.entries.len(), short.complete), (MAX_ENTRIES, false));
        let mut wide = Gathered::new();
        (0..3).for_each(|_| wide.push(json!("x".repeat(MAX_BYTES / 2 - 2))));
        assert_eq!((wide.entries.len(), wide.complete), (2, false));
        assert_eq!(bounded(json!("x".repeat(MAX_BYTES))), json!({ "complete": false }));
    }
}

//! Answers that many requests need again and again, kept in this process for a few seconds, and dropped the moment they
//! change anywhere.
//!
//! Whoever changes what is cached says so in the database: `pg_notify('changes', 'topic:owner')` within the changing
//! transaction, best by a trigger, which nobody can forget. Every process listens. While a process does not hear, because its
//! listening connection is broken, it keeps nothing and each question is read from the database: a revocation counts at once
//! either way. What ends by its age alone changes nothing, so nobody is told: an answer outlives that by 30 seconds at most.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use crate::db::{Changes, Db, Forget};

/// How long an answer is kept at most, should a change ever be missed.
const KEPT: Duration = Duration::from_secs(30);

/// How many owners answers are kept for; when there are more, all are dropped and it begins anew.
const MAX_OWNERS: usize = 10_000;

/// How many answers are kept for one owner.
const MAX_ANSWERS: usize = 64;

/// A cache of answers by owner and key: everything about an owner is dropped together. Cheap to clone.
#[derive(Debug)]
pub struct Cache<K, V>(Arc<Inner<K, V>>);

impl<K, V> Clone for Cache<K, V> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

#[derive(Debug)]
struct Inner<K, V> {
    changes: Changes,
    state: Mutex<State<K, V>>,
}

#[derive(Debug)]
struct State<K, V> {
    /// Counts what was dropped. An answer that was read before something was dropped may be old already.
    epoch: u64,
    owners: HashMap<Uuid, HashMap<K, (V, Instant)>>,
}

impl<K, V> Cache<K, V>
where
    K: Eq + Hash + Send + 'static,
    V: Clone + Send + 'static,
{
    /// A cache whose owners change on `topic`.
    #[must_use]
    pub fn new(db: &Db, topic: &'static str) -> Self {
        let state = State { epoch: 0, owners: HashMap::new() };
        let inner = Arc::new(Inner { changes: db.changes().clone(), state: Mutex::new(state) });
        inner.changes.subscribe(topic, Arc::downgrade(&(inner.clone() as Arc<dyn Forget>)));
        Self(inner)
    }

    /// The kept answer, or the one that `read` brings; only answers that say something are kept.
    ///
    /// # Errors
    /// Those of `read`.
    pub async fn get_or_read<E>(
        &self,
        owner: Uuid,
        key: K,
        read: impl Future<Output = Result<Option<V>, E>>,
    ) -> Result<Option<V>, E> {
        let (kept, epoch) = self.0.find(owner, &key);
        // Asked after looking: what was kept at that moment counted at that moment.
        if !self.0.changes.hears() {
            return read.await;
        }
        if kept.is_some() {
            return Ok(kept);
        }
        let answer = read.await?;
        if let Some(answer) = answer.clone() {
            self.0.lock().keep(epoch, owner, key, answer);
        }
        Ok(answer)
    }

    /// Drops what is known about an owner. For after a commit: the database tells every process, but this one shall not answer
    /// with what it knew until then.
    pub fn forget(&self, owner: Uuid) {
        self.0.forget(owner);
    }

    /// Drops everything, for a change with many owners.
    pub fn forget_all(&self) {
        self.0.forget_all();
    }
}

impl<K, V> Inner<K, V> {
    fn lock(&self) -> MutexGuard<'_, State<K, V>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash, V: Clone> Inner<K, V> {
    /// What is kept, and the epoch of that moment.
    fn find(&self, owner: Uuid, key: &K) -> (Option<V>, u64) {
        let state = self.lock();
        let kept = state.owners.get(&owner).and_then(|answers| answers.get(key));
        let fresh = kept.filter(|(_, until)| Instant::now() < *until).map(|(answer, _)| answer.clone());
        (fresh, state.epoch)
    }
}

impl<K: Eq + Hash, V> State<K, V> {
    fn keep(&mut self, epoch: u64, owner: Uuid, key: K, answer: V) {
        if epoch != self.epoch {
            return;
        }
        if self.owners.len() >= MAX_OWNERS && !self.owners.contains_key(&owner) {
            self.owners.clear();
        }
        let answers = self.owners.entry(owner).or_default();
        if answers.len() >= MAX_ANSWERS {
            answers.clear();
        }
        answers.insert(key, (answer, Instant::now() + KEPT));
    }
}

impl<K: Send, V: Send> Forget for Inner<K, V> {
    fn forget(&self, owner: Uuid) {
        let mut state = self.lock();
        state.epoch += 1;
        state.owners.remove(&owner);
    }

    fn forget_all(&self) {
        let mut state = self.lock();
        state.epoch += 1;
        state.owners.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache(changes: &Changes) -> Cache<u8, &'static str> {
        let state = State { epoch: 0, owners: HashMap::new() };
        let inner = Arc::new(Inner { changes: changes.clone(), state: Mutex::new(state) });
        changes.subscribe("people", Arc::downgrade(&(inner.clone() as Arc<dyn Forget>)));
        Cache(inner)
    }

    async fn ask(cache: &Cache<u8, &'static str>, owner: Uuid, stored: Option<&'static str>) -> Option<&'static str> {
        cache.get_or_read(owner, 1, async { Ok::<_, ()>(stored) }).await.expect("an answer")
    }

    #[tokio::test]
    async fn answers_are_kept_only_while_changes_are_heard() {
        let (changes, ada) = (Changes::default(), Uuid::max());
        let cache = cache(&changes);
        assert_eq!(ask(&cache, ada, Some("deaf")).await, Some("deaf"));
        let hearing = changes.begin();
        assert_eq!(ask(&cache, ada, None).await, None);
        assert_eq!(ask(&cache, ada, Some("first")).await, Some("first"));
        assert_eq!(ask(&cache, ada, Some("second")).await, Some("first"));
        drop(hearing);
        assert_eq!(ask(&cache, ada, Some("second")).await, Some("second"));
        let _hearing = changes.begin();
        assert_eq!(ask(&cache, ada, Some("third")).await, Some("third"), "what was missed while deaf is not kept");
    }

    #[tokio::test]
    async fn a_change_drops_everything_about_its_owner_and_nothing_else() {
        let (changes, ada, bob) = (Changes::default(), Uuid::max(), Uuid::nil());
        let cache = cache(&changes);
        let _hearing = changes.begin();
        ask(&cache, ada, Some("a")).await;
        ask(&cache, bob, Some("b")).await;
        changes.hear(&format!("people:{ada}"));
        assert_eq!(ask(&cache, ada, None).await, None);
        assert_eq!(ask(&cache, bob, None).await, Some("b"));
        for unheard in ["places:ffffffff-ffff-ffff-ffff-ffffffffffff", "people", "people:who", ""] {
            changes.hear(unheard);
        }
        assert_eq!(ask(&cache, bob, None).await, Some("b"));
        cache.forget(bob);
        assert_eq!(ask(&cache, bob, None).await, None);
        ask(&cache, ada, Some("a")).await;
        cache.forget_all();
        assert_eq!(ask(&cache, ada, None).await, None);
    }

    #[tokio::test]
    async fn an_answer_that_was_read_before_the_change_is_not_kept() {
        let (changes, ada) = (Changes::default(), Uuid::max());
        let cache = cache(&changes);
        let _hearing = changes.begin();
        let read = async {
            changes.hear(&format!("people:{ada}"));
            Ok::<_, ()>(Some("old"))
        };
        assert_eq!(cache.get_or_read(ada, 1, read).await, Ok(Some("old")));
        assert_eq!(ask(&cache, ada, None).await, None);
    }

    #[tokio::test]
    async fn the_number_of_answers_is_bounded() {
        let changes = Changes::default();
        let cache = cache(&changes);
        let _hearing = changes.begin();
        for number in 0..MAX_OWNERS as u128 * 2 + 5 {
            ask(&cache, Uuid::from_u128(number), Some("x")).await;
        }
        for key in 0..=u8::MAX {
            cache.get_or_read(Uuid::max(), key, async { Ok::<_, ()>(Some("x")) }).await.expect("an answer");
        }
        let state = cache.0.lock();
        assert!(state.owners.len() <= MAX_OWNERS);
        assert!(state.owners.values().all(|answers| answers.len() <= MAX_ANSWERS));
    }
}

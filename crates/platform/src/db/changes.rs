use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use uuid::Uuid;

/// Keeps something that a change makes worthless.
pub(crate) trait Forget: Send + Sync {
    /// Drops what is kept about an owner.
    fn forget(&self, owner: Uuid);

    /// Drops everything, as changes may have been missed.
    fn forget_all(&self);
}

/// Passes on what other processes, and this one, say has changed: payloads `topic:owner` of the PostgreSQL channel `changes`.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes(Arc<Inner>);

#[derive(Default)]
struct Inner {
    hears: AtomicBool,
    keepers: Mutex<Vec<(&'static str, Weak<dyn Forget>)>>,
}

impl std::fmt::Debug for Inner {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Changes").field("hears", &self.hears).finish_non_exhaustive()
    }
}

impl Changes {
    pub(crate) fn subscribe(&self, topic: &'static str, keeper: Weak<dyn Forget>) {
        self.keepers().push((topic, keeper));
    }

    /// Whether every change is heard at this moment.
    pub(crate) fn hears(&self) -> bool {
        self.0.hears.load(Ordering::Acquire)
    }

    /// From now on every change is heard, until the guard is dropped; what happened before was not.
    pub(crate) fn begin(&self) -> Hearing {
        self.keepers().iter().filter_map(|(_, keeper)| keeper.upgrade()).for_each(|keeper| keeper.forget_all());
        self.0.hears.store(true, Ordering::Release);
        Hearing(self.clone())
    }

    pub(crate) fn hear(&self, payload: &str) {
        let Some((topic, owner)) = payload.split_once(':') else { return };
        let Ok(owner) = owner.parse() else { return };
        let keepers = self.keepers();
        let concerned = keepers.iter().filter(|(known, _)| *known == topic);
        concerned.filter_map(|(_, keeper)| keeper.upgrade()).for_each(|keeper| keeper.forget(owner));
    }

    fn keepers(&self) -> MutexGuard<'_, Vec<(&'static str, Weak<dyn Forget>)>> {
        self.0.keepers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// As long as it lives, changes are heard. However listening ends, be it by a panic, nothing is kept from then on.
#[must_use]
pub(crate) struct Hearing(Changes);

impl Drop for Hearing {
    fn drop(&mut self) {
        self.0.0.hears.store(false, Ordering::Release);
    }
}

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::{Left, RateLimit};

/// Independent parts, so that requests on different cores seldom wait for each other.
const SHARDS: usize = 16;

/// Callers kept in one half of a shard.
const HALF: usize = 2_048;

/// A limit in the memory of this process.
///
/// Memory is bounded by two generations: lookups move a caller into the young half; when that is full, the old half is
/// dropped and the young one becomes old. A caller is forgotten only after thousands of others came since their last request.
pub(crate) struct Buckets {
    interval: u64,
    /// How far a caller's arrival time may lie ahead: a whole bucket.
    depth: u64,
    start: Instant,
    hasher: RandomState,
    shards: [Mutex<Shard>; SHARDS],
}

/// Arrival times in nanoseconds since the start, by a keyed hash of the caller: small entries, and nobody can aim at another's.
#[derive(Default)]
struct Shard {
    young: HashMap<u64, u64>,
    old: HashMap<u64, u64>,
}

impl Buckets {
    pub(crate) fn new(limit: RateLimit) -> Self {
        let interval = nanoseconds(limit.interval());
        Self {
            interval,
            depth: interval.saturating_mul(limit.burst.into()),
            start: Instant::now(),
            hasher: RandomState::new(),
            shards: std::array::from_fn(|_| Mutex::default()),
        }
    }

    /// Takes a turn, or says how long to wait for one.
    pub(crate) fn take(&self, caller: impl Hash) -> Result<Left, Duration> {
        self.take_at(self.hasher.hash_one(caller), self.now())
    }

    /// Undoes a turn that was taken in somebody else's name.
    pub(crate) fn give_back(&self, caller: impl Hash) {
        let id = self.hasher.hash_one(caller);
        if let Some(arrival) = self.shard(id).young.get_mut(&id) {
            *arrival = arrival.saturating_sub(self.interval);
        }
    }

    fn take_at(&self, id: u64, now: u64) -> Result<Left, Duration> {
        let mut shard = self.shard(id);
        let arrival = shard.recall(id);
        let ahead = (*arrival).max(now) - now + self.interval;
        if ahead > self.depth {
            return Err(Duration::from_nanos(ahead - self.depth));
        }
        *arrival = now + ahead;
        let turns = u32::try_from((self.depth - ahead) / self.interval).unwrap_or(u32::MAX);
        Ok(Left { turns, more_in: Duration::from_nanos((ahead - 1) % self.interval + 1) })
    }

    fn now(&self) -> u64 {
        nanoseconds(self.start.elapsed())
    }

    fn shard(&self, id: u64) -> MutexGuard<'_, Shard> {
        let number = usize::from(id.to_be_bytes()[0]) % SHARDS;
        self.shards[number].lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Shard {
    /// The caller's arrival time, young again; 0, long ago, for a new one.
    fn recall(&mut self, id: u64) -> &mut u64 {
        if self.young.len() >= HALF && !self.young.contains_key(&id) {
            self.old = std::mem::take(&mut self.young);
        }
        let Self { young, old } = self;
        young.entry(id).or_insert_with(|| old.remove(&id).unwrap_or_default())
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: u64 = 1_000_000_000;

    fn buckets(count: u32, seconds: u32, burst: u32) -> Buckets {
        Buckets::new(RateLimit { count, seconds, burst })
    }

    fn kept(buckets: &Buckets) -> usize {
        let shards = buckets.shards.iter().map(|shard| shard.lock().expect("no panic"));
        shards.map(|shard| shard.young.len() + shard.old.len()).sum()
    }

    #[test]
    fn a_burst_passes_and_turns_come_back_one_by_one() {
        let buckets = buckets(1, 10, 3);
        let left = |turns, seconds| Ok(Left { turns, more_in: Duration::from_secs(seconds) });
        assert_eq!([(); 3].map(|()| buckets.take_at(7, 0)), [left(2, 10), left(1, 10), left(0, 10)]);
        assert_eq!(buckets.take_at(7, SECOND), Err(Duration::from_secs(9)), "and refusing costs nothing");
        assert_eq!(buckets.take_at(7, 10 * SECOND), left(0, 10));
        assert_eq!(buckets.take_at(7, 29 * SECOND), left(0, 1));
        assert_eq!(buckets.take_at(8, 29 * SECOND), left(2, 10), "others are not affected");
    }

    #[test]
    fn a_turn_that_is_given_back_can_be_taken_again() {
        let buckets = buckets(1, 3_600, 1);
        for _ in 0..3 {
            assert!(buckets.take("somebody").is_ok());
            assert!(buckets.take("somebody").is_err());
            buckets.give_back("somebody");
        }
    }

    #[test]
    fn a_flood_of_callers_takes_bounded_memory_and_forgets_nobody_who_keeps_coming() {
        let buckets = buckets(1, 86_400, 1);
        assert!(buckets.take("the one who keeps coming").is_ok());
        for number in 0..300_000 {
            assert!(buckets.take(number).is_ok());
            if number % 1_000 == 0 {
                assert!(buckets.take("the one who keeps coming").is_err(), "after {number}");
            }
        }
        assert!(kept(&buckets) <= SHARDS * 2 * HALF, "{}", kept(&buckets));
    }

    #[test]
    fn of_many_threads_no_more_than_the_burst_get_through() {
        let buckets = buckets(1, 86_400, 100);
        let count = || (0..200).filter(|_| buckets.take("all").is_ok()).count();
        let passed: usize = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(count)).collect();
            threads.into_iter().map(|thread| thread.join().expect("no panic")).sum()
        });
        assert_eq!(passed, 100);
    }

    proptest! {
        #[test]
        fn never_more_than_the_burst_and_what_came_back_since(
            (count, seconds, burst) in (1_u32..50, 1_u32..100, 1_u32..20),
            pauses in prop::collection::vec(0_u64..30 * SECOND, 1..200),
        ) {
            let buckets = buckets(count, seconds, burst);
            let mut now = 0;
            let mut passed = Vec::new();
            for pause in pauses {
                now += pause;
                match buckets.take_at(1, now) {
                    Ok(_) => passed.push(now),
                    // Who waits as told, and no shorter, gets through.
                    Err(wait) => {
                        let wait = nanoseconds(wait);
                        prop_assert!(buckets.take_at(1, now + wait - 1).is_err());
                    }
                }
            }
            for (first, from) in passed.iter().enumerate() {
                for (last, to) in passed.iter().enumerate().skip(first) {
                    let back = (to - from) / (u64::from(seconds) * SECOND).div_ceil(count.into());
                    let got = u64::try_from(last - first + 1).expect("few");
                    prop_assert!(got <= u64::from(burst) + back, "{got} from {from} to {to}");
                }
            }
        }
    }
}

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use tokio::time::Instant;
use uuid::Uuid;

use super::store::Claimed;

/// A claim that is used up faster than this was too small: the round trip to the database is then the bottleneck.
const QUICK: Duration = Duration::from_millis(50);

/// What was claimed ahead and has waited longer than this is given back, for a worker with free slots.
const STALE: Duration = Duration::from_secs(1);

/// The queues of this worker by name.
pub(super) struct Lanes {
    lanes: BTreeMap<String, Lane>,
    batch: usize,
}

impl Lanes {
    /// One lane for each queue with its number of slots; `batch` bounds every claim.
    pub(super) fn new(slots: impl IntoIterator<Item = (usize, String)>, batch: usize) -> Self {
        Self { lanes: slots.into_iter().map(|(slots, queue)| (queue, Lane::new(slots))).collect(), batch }
    }

    /// Something may have become due.
    pub(super) fn look_again(&mut self) {
        self.lanes.values_mut().for_each(|lane| lane.look = true);
    }

    /// The queues that can take jobs now, and how many.
    pub(super) fn rooms(&mut self, now: Instant) -> Vec<(String, usize)> {
        let rooms = self.lanes.iter_mut().map(|(queue, lane)| (queue.clone(), lane.room(self.batch, now)));
        rooms.filter(|(_, room)| *room > 0).collect()
    }

    /// Takes what a claim for `rooms` brought.
    pub(super) fn refill(&mut self, rooms: &[(String, usize)], claimed: Vec<Claimed>, now: Instant) {
        for job in claimed {
            if let Some(lane) = self.lanes.get_mut(&job.queue) {
                lane.ready.push_back(job);
            }
        }
        for (queue, room) in rooms {
            if let Some(lane) = self.lanes.get_mut(queue) {
                lane.refilled(*room, now);
            }
        }
    }

    /// The next job that has a free slot.
    pub(super) fn start(&mut self) -> Option<Claimed> {
        self.lanes.values_mut().find_map(Lane::start)
    }

    /// A slot of the queue is free again.
    pub(super) fn finish(&mut self, queue: &str) {
        if let Some(lane) = self.lanes.get_mut(queue) {
            lane.running -= 1;
        }
    }

    /// What has waited too long for a slot.
    pub(super) fn stale(&self, now: Instant) -> Vec<(Uuid, Uuid)> {
        let old = |lane: &&Lane| lane.claimed_at.is_some_and(|at| now.duration_since(at) >= STALE);
        let waiting = self.lanes.values().filter(old).flat_map(|lane| &lane.ready);
        waiting.map(|job| (job.id, job.lease)).collect()
    }

    /// Everything that was claimed and has not begun.
    pub(super) fn waiting(&self) -> Vec<(Uuid, Uuid)> {
        self.lanes.values().flat_map(|lane| &lane.ready).map(|job| (job.id, job.lease)).collect()
    }

    /// Forgets what was given back.
    pub(super) fn forget(&mut self, given_back: &[(Uuid, Uuid)]) {
        for lane in self.lanes.values_mut() {
            lane.ready.retain(|job| !given_back.contains(&(job.id, job.lease)));
        }
    }
}

/// One queue: its slots and what was claimed for them.
struct Lane {
    slots: usize,
    running: usize,
    ready: VecDeque<Claimed>,
    /// Claimed beyond the free slots: nothing while jobs are slow, up to a batch while they are quick.
    ahead: usize,
    claimed_at: Option<Instant>,
    /// Whether the last claim filled all the room, so that more is probably waiting.
    filled: bool,
    look: bool,
}

impl Lane {
    fn new(slots: usize) -> Self {
        let ready = VecDeque::new();
        Self { slots, running: 0, ready, ahead: 0, claimed_at: None, filled: false, look: true }
    }

    fn room(&mut self, batch: usize, now: Instant) -> usize {
        let free = self.slots - self.running;
        if free == 0 || !self.ready.is_empty() || !(self.look || self.filled) {
            return 0;
        }
        let quick = self.filled && self.claimed_at.is_some_and(|at| now.duration_since(at) < QUICK);
        self.ahead = if quick { (self.ahead.max(self.slots) * 2).min(batch) } else { 0 };
        (free + self.ahead).min(batch)
    }

    fn refilled(&mut self, room: usize, now: Instant) {
        self.filled = self.ready.len() >= room;
        self.look = false;
        self.claimed_at = Some(now);
    }

    fn start(&mut self) -> Option<Claimed> {
        if self.running == self.slots {
            return None;
        }
        let job = self.ready.pop_front()?;
        self.running += 1;
        Some(job)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids;

    fn lanes(slots: usize, batch: usize) -> Lanes {
        Lanes::new([(slots, "default".to_owned())], batch)
    }

    fn room(lanes: &mut Lanes, now: Instant) -> usize {
        lanes.rooms(now).first().map_or(0, |(_, room)| *room)
    }

    /// As if a claim for `room` jobs found `count`.
    fn refill(lanes: &mut Lanes, room: usize, count: usize, now: Instant) {
        let job = || Claimed {
            id: ids::new_uuid(),
            lease: ids::new_uuid(),
            queue: "default".to_owned(),
            name: "test".to_owned(),
            args: serde_json::Value::Null,
            priority: 1,
            attempts: 1,
            max_attempts: 1,
            request_id: None,
            traceparent: None,
        };
        lanes.refill(&[("default".to_owned(), room)], (0..count).map(|_| job()).collect(), now);
    }

    fn use_up(lanes: &mut Lanes) {
        while let Some(job) = lanes.start() {
            lanes.finish(&job.queue);
        }
    }

    #[test]
    fn slow_jobs_are_claimed_only_for_free_slots() {
        let now = Instant::now();
        let mut lanes = lanes(8, 200);
        assert_eq!(room(&mut lanes, now), 8);
        refill(&mut lanes, 8, 8, now);
        assert!(lanes.start().is_some());
        assert_eq!(room(&mut lanes, now + QUICK), 0, "what is claimed is started first");
        use_up(&mut lanes);
        assert_eq!(room(&mut lanes, now + QUICK), 7, "one is still running");
    }

    #[test]
    fn quick_jobs_are_claimed_in_ever_greater_batches() {
        let now = Instant::now();
        let mut lanes = lanes(8, 100);
        let mut seen = Vec::new();
        for _ in 0..6 {
            let room = room(&mut lanes, now);
            refill(&mut lanes, room, room, now);
            use_up(&mut lanes);
            seen.push(room);
        }
        assert_eq!(seen, [8, 24, 40, 72, 100, 100]);
    }

    #[test]
    fn a_claim_that_found_less_rests_until_something_may_be_due() {
        let now = Instant::now();
        let mut lanes = lanes(8, 200);
        refill(&mut lanes, 8, 3, now);
        use_up(&mut lanes);
        assert_eq!(room(&mut lanes, now), 0);
        lanes.look_again();
        assert_eq!(room(&mut lanes, now), 8);
    }

    #[test]
    fn what_waits_behind_slow_jobs_is_given_back() {
        let now = Instant::now();
        let mut lanes = lanes(1, 200);
        refill(&mut lanes, 3, 3, now);
        assert!(lanes.start().is_some());
        assert_eq!(lanes.stale(now), []);
        let stale = lanes.stale(now + STALE);
        assert_eq!(stale.len(), 2);
        lanes.forget(&stale);
        assert_eq!(lanes.stale(now + STALE), []);
        lanes.finish("default");
        assert_eq!(room(&mut lanes, now + STALE), 1);
    }
}

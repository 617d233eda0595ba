//! How the organizations share the room that this process has for calls.
//!
//! The rule: an organization may have no more calls on their way than there is room left. One whose endpoints all hang gets
//! half of the room at most, and two of them leave a third: the more there are, the less each gets, and whoever has no call on
//! its way finds room as long as there is any. (docs/decisions/0022)

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use platform::caller::OrgId;
use uuid::Uuid;

use super::store::claims::{Portion, Ready};

/// Counts calls by organization.
#[derive(Debug, Default)]
pub(super) struct Shares(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    calls: HashMap<OrgId, usize>,
    /// Something may be due that was left because of the rule.
    held_back: bool,
}

/// A call that is on its way, until it is dropped.
pub(super) struct OnItsWay {
    shares: Arc<Shares>,
    organization: OrgId,
}

impl Shares {
    pub(super) fn begin(self: &Arc<Self>, organization: OrgId) -> OnItsWay {
        *self.state().calls.entry(organization).or_default() += 1;
        OnItsWay { shares: self.clone(), organization }
    }

    /// The organizations that get nothing more while only so much room is left.
    pub(super) fn satisfied(&self, left: usize) -> Vec<Uuid> {
        let mut state = self.state();
        let satisfied: Vec<Uuid> = state
            .calls
            .iter()
            .filter(|(_, calls)| **calls >= left)
            .map(|(organization, _)| organization.uuid())
            .collect();
        state.held_back |= !satisfied.is_empty();
        satisfied
    }

    /// How much may be taken for each of these endpoints while so much room is left. Those that get nothing keep their place
    /// in the line.
    pub(super) fn divide(&self, ready: &[Ready], left: usize) -> Vec<Portion> {
        let state = self.state();
        let mut allowances = HashMap::new();
        let mut portion = |endpoint: &Ready| {
            let allowance = allowances.entry(endpoint.organization).or_insert_with(|| {
                let calls = state.calls.get(&endpoint.organization).copied().unwrap_or_default();
                // After taking it, the organization has no more than is left.
                i32::try_from(left.saturating_sub(calls).div_ceil(2)).unwrap_or(i32::MAX)
            });
            let free = endpoint.slots - endpoint.in_flight;
            // Without a free slot it is ready only because a lease ended.
            let most = if free > 0 { free } else { endpoint.slots }.min(*allowance);
            *allowance -= most;
            Portion { endpoint: endpoint.id, has_free: free > 0, most }
        };
        let portions: Vec<Portion> = ready.iter().map(&mut portion).collect();
        portions.into_iter().filter(|portion| portion.most > 0).collect()
    }

    /// Whether it is worth looking again, as something was left because of the rule. Said once.
    pub(super) fn was_held_back(&self) -> bool {
        std::mem::take(&mut self.state().held_back)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for OnItsWay {
    fn drop(&mut self) {
        let mut state = self.shares.state();
        if let Some(calls) = state.calls.get_mut(&self.organization) {
            *calls -= 1;
            if *calls == 0 {
                state.calls.remove(&self.organization);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::endpoints::EndpointId;

    /// A ready endpoint with ten free slots.
    fn endpoint(organization: OrgId) -> Ready {
        Ready { id: EndpointId::new(), organization, url: String::new(), slots: 10, in_flight: 0 }
    }

    /// Takes for each organization in turn as long as anything may be taken; says how much each has then.
    fn fill(room: usize, organizations: &[OrgId]) -> Vec<usize> {
        let shares = Arc::new(Shares::default());
        let mut calls: Vec<(OrgId, OnItsWay)> = Vec::new();
        loop {
            let before = calls.len();
            for organization in organizations {
                let left = room - calls.len();
                let satisfied = shares.satisfied(left).contains(&organization.uuid());
                let ready: Vec<Ready> = (0..50).map(|_| endpoint(*organization)).collect();
                let portions = if left == 0 || satisfied { Vec::new() } else { shares.divide(&ready, left) };
                let most = portions.iter().map(|portion| usize::try_from(portion.most).expect("some")).sum::<usize>();
                for _ in 0..most.min(left).min(200) {
                    calls.push((*organization, shares.begin(*organization)));
                }
            }
            if calls.len() == before {
                let count = |organization: &OrgId| calls.iter().filter(|(of, _)| of == organization).count();
                return organizations.iter().map(count).collect();
            }
        }
    }

    #[test]
    fn one_organization_gets_half_of_the_room_and_several_leave_some() {
        assert_eq!(fill(500, &[OrgId::new()]), [250]);
        let two = fill(500, &[OrgId::new(), OrgId::new()]);
        assert!(two.iter().sum::<usize>() <= 400, "{two:?}");
        let nine: Vec<OrgId> = (0..9).map(|_| OrgId::new()).collect();
        assert!(fill(500, &nine).iter().sum::<usize>() < 500);
    }

    #[test]
    fn whoever_has_no_call_on_its_way_finds_the_last_room() {
        assert_eq!(fill(1, &[OrgId::new()]), [1]);
        let shares = Arc::new(Shares::default());
        let (busy, quiet) = (OrgId::new(), OrgId::new());
        let _call = shares.begin(busy);
        let portions = shares.divide(&[endpoint(busy), endpoint(quiet), endpoint(quiet)], 1);
        assert_eq!(portions.iter().map(|portion| portion.most).collect::<Vec<_>>(), [1], "one for the quiet one");
    }

    #[test]
    fn a_finished_call_gives_its_share_back_and_says_so_once() {
        let shares = Arc::new(Shares::default());
        let organization = OrgId::new();
        let calls: Vec<OnItsWay> = (0..3).map(|_| shares.begin(organization)).collect();
        assert_eq!(shares.satisfied(4), Vec::<Uuid>::new());
        assert!(!shares.was_held_back());
        assert_eq!(shares.satisfied(3), [organization.uuid()]);
        drop(calls);
        assert_eq!(shares.satisfied(1), Vec::<Uuid>::new());
        assert_eq!((shares.was_held_back(), shares.was_held_back()), (true, false));
        assert!(shares.state().calls.is_empty(), "nothing is kept about those without a call");
    }

    #[test]
    fn only_ended_leases_are_taken_over_without_a_free_slot() {
        let full = Ready { in_flight: 10, ..endpoint(OrgId::new()) };
        let portions = Shares::default().divide(&[full], 500);
        assert_eq!((portions[0].has_free, portions[0].most), (false, 10));
    }

    proptest! {
        #[test]
        fn one_organization_never_gets_more_than_it_leaves(room in 1_usize..1_000) {
            let taken = fill(room, &[OrgId::new()])[0];
            prop_assert!(taken >= 1 && taken <= room.div_ceil(2), "{taken} of {room}");
        }
    }
}

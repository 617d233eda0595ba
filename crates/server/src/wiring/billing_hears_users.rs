//! Billing hears of users that an organization is gone, for which nobody is to go on paying, and that somebody left one, to
//! whom its invoices may have gone.

use billing::Billing;
use platform::events::Events;
use platform::jobs::Jobs;
use users::events::{MemberRemoved, OrganizationDeleted};

const HEARER: &str = "billing";

pub(super) fn wire(events: &Events, jobs: &mut Jobs, billing: &Billing) {
    let hearer = billing.clone();
    events.hear(jobs, HEARER, move |event: OrganizationDeleted, running| {
        let billing = hearer.clone();
        async move { billing.close_organization(&running, event.organization).await }
    });
    let hearer = billing.clone();
    events.hear(jobs, HEARER, move |event: MemberRemoved, _| {
        let billing = hearer.clone();
        async move { billing.renew_contact(event.organization).await }
    });
}

//! Webhooks hears that an organization is gone: there is nobody to tell any more.

use platform::events::Events;
use platform::jobs::Jobs;
use users::events::OrganizationDeleted;
use webhooks::Webhooks;

const HEARER: &str = "webhooks";

pub(super) fn wire(events: &Events, jobs: &mut Jobs, webhooks: &Webhooks) {
    let hearer = webhooks.clone();
    events.hear(jobs, HEARER, move |event: OrganizationDeleted, running| {
        let webhooks = hearer.clone();
        async move { webhooks.close_organization(&running, event.organization).await }
    });
}

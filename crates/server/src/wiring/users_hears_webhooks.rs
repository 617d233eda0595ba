//! Users hears that an endpoint was disabled: the owners of its organization must know, as nothing reaches them there.

use platform::events::Events;
use platform::jobs::Jobs;
use users::{Notice, Users};
use webhooks::events::EndpointDisabled;

const HEARER: &str = "users";

pub(super) fn wire(events: &Events, jobs: &mut Jobs, users: &Users) {
    let hearer = users.clone();
    events.hear(jobs, HEARER, move |event: EndpointDisabled, running| {
        let users = hearer.clone();
        async move { users.notify_owners(&running, event.organization_id, &notice(&event)).await }
    });
}

fn notice(event: &EndpointDisabled) -> Notice {
    let why = if event.reason == "gone" {
        "it answered that it is gone (410)"
    } else {
        "nothing that we sent there has arrived for five days"
    };
    let (id, host) = (event.endpoint_id, host(&event.url));
    Notice {
        subject: format!("The webhook endpoint at {host} is disabled"),
        event: format!("We send nothing more to your webhook endpoint at {host} ({id}): {why}."),
        advice: "Enable it again when it works. What waited for it is sent then, and what it missed can be replayed."
            .to_owned(),
    }
}

/// Host and port of an origin.
fn host(origin: &str) -> &str {
    origin.split_once("://").map_or(origin, |(_, host)| host)
}

#[cfg(test)]
mod tests {
    use platform::caller::OrgId;

    use super::*;

    #[test]
    fn a_notice_says_where_and_why() {
        let at = platform::clock::Clock::fixed("2026-01-01T00:00:00Z".parse().expect("a time")).now();
        let disabled = |reason: &str| EndpointDisabled {
            endpoint_id: uuid::Uuid::nil(),
            organization_id: OrgId::new(),
            reason: reason.to_owned(),
            url: "https://hooks.example.com:8443".to_owned(),
            disabled_at: at,
        };
        for (reason, why) in [("gone", "410"), ("failing", "five days")] {
            let Notice { subject, event, advice } = notice(&disabled(reason));
            let text = format!("{subject}\n{event}\n{advice}");
            assert!(event.contains(why) && event.contains("00000000-0000"), "{text}");
            assert!(subject.contains(" hooks.example.com:8443 ") && !advice.is_empty(), "{text}");
        }
    }
}

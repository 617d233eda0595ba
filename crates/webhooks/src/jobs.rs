//! Background work of this module.

use std::sync::Arc;

use platform::jobs::{Job, Jobs};
use serde::{Deserialize, Serialize};

use crate::Webhooks;
use crate::deliveries::Sending;

/// Rings when there is something to send.
pub(crate) const CHANNEL: &str = "deliveries";

/// Makes partitions ahead and drops old ones.
#[derive(Debug, Serialize, Deserialize)]
struct MaintainPartitions {}

impl Job for MaintainPartitions {
    const NAME: &'static str = "webhooks.maintain_partitions";
}

pub(crate) fn register(webhooks: &Webhooks, jobs: &mut Jobs) {
    jobs.pump("webhooks.send", CHANNEL, Arc::new(Sending::new(webhooks.clone())));
    let webhooks = webhooks.clone();
    jobs.register::<MaintainPartitions, _, _>(move |_, _| {
        let webhooks = webhooks.clone();
        async move { Ok(webhooks.maintain_partitions().await?) }
    });
    jobs.schedule("webhooks.maintain_partitions", "41 3 * * *", &MaintainPartitions {});
}

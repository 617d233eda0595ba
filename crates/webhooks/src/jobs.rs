//! Background work of this module.

use std::sync::Arc;

use platform::caller::OrgId;
use platform::jobs::{Job, Jobs};
use serde::{Deserialize, Serialize};

use crate::deliveries::Sending;
use crate::inbox::{self, Handling};
use crate::ports::Payload;
use crate::replays::ReplayId;
use crate::{Webhooks, sources};

/// Rings when there is something to send.
pub(crate) const CHANNEL: &str = "deliveries";

/// Makes partitions ahead and drops old ones.
#[derive(Debug, Serialize, Deserialize)]
struct MaintainPartitions {}

impl Job for MaintainPartitions {
    const NAME: &'static str = "webhooks.maintain_partitions";
}

/// Removes receipts of the inbox that are too old to keep.
#[derive(Debug, Serialize, Deserialize)]
struct PruneInbox {}

impl Job for PruneInbox {
    const NAME: &'static str = "webhooks.prune_inbox";
}

/// Goes on with a replay: one run, one batch.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ContinueReplay {
    pub(crate) organization: OrgId,
    pub(crate) replay: ReplayId,
}

impl Job for ContinueReplay {
    const NAME: &'static str = "webhooks.replay";
}

pub(crate) fn register(webhooks: &Webhooks, jobs: &mut Jobs) {
    jobs.pump("webhooks.send", CHANNEL, Arc::new(Sending::new(webhooks.clone())));
    let maintainer = webhooks.clone();
    jobs.register::<MaintainPartitions, _, _>(move |_, _| {
        let webhooks = maintainer.clone();
        async move { Ok(webhooks.maintain_partitions().await?) }
    });
    jobs.schedule("webhooks.maintain_partitions", "41 3 * * *", &MaintainPartitions {});
    let pruner = webhooks.clone();
    jobs.register::<PruneInbox, _, _>(move |_, _| {
        let webhooks = pruner.clone();
        async move { Ok(webhooks.prune_inbox().await?) }
    });
    jobs.schedule("webhooks.prune_inbox", "53 3 * * *", &PruneInbox {});
    let replayer = webhooks.clone();
    jobs.register::<ContinueReplay, _, _>(move |replay, running| {
        let webhooks = replayer.clone();
        async move { Ok(webhooks.continue_replay(&running, &replay).await?) }
    });
    webhooks.0.sources.iter().for_each(|(name, source)| hand_on(webhooks, name, source, jobs));
}

/// What comes from a source is handled by the module that is wired to it.
fn hand_on(webhooks: &Webhooks, name: &str, source: &sources::Source, jobs: &mut Jobs) {
    let (webhooks, handler) = (webhooks.clone(), source.handler.clone());
    jobs.register_named(inbox::job_name(name), inbox::queue(name), move |handling: Handling, running| {
        let handler = handler.clone();
        let payload = Payload { webhooks: webhooks.clone(), receipt: handling.receipt_id };
        async move { handler.handle(handling.event, &payload, &running).await }
    });
}

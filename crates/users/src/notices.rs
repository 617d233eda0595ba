//! Notices: what the owners of an organization must know of what happened elsewhere, by mail.

mod store;

use platform::caller::OrgId;
use platform::jobs::{JobError, Running};

use crate::{Users, mails};

/// What is written to them. No part of it becomes a link or markup.
#[derive(Clone, Debug)]
pub struct Notice {
    /// What the mail is about, in a few words.
    pub subject: String,
    /// What happened, in whole sentences.
    pub event: String,
    /// What to do about it, in whole sentences.
    pub advice: String,
}

impl Users {
    /// Mails a notice to every owner of an organization, and settles the job in the same transaction: they get it once, however
    /// often the job runs. An organization that is gone has nobody to tell.
    ///
    /// # Errors
    /// To be tried again.
    pub async fn notify_owners(&self, running: &Running, organization: OrgId, notice: &Notice) -> Result<(), JobError> {
        let mut tx = self.0.db.begin().await?;
        for owner in store::list_owners(&mut tx, organization).await? {
            let mail = mails::notice(&self.0.service, &owner.addressee(), &owner.organization, notice);
            self.0.mailer.send(&mut tx, mail).await?;
        }
        running.settle(&mut tx).await?;
        Ok(tx.commit().await?)
    }
}

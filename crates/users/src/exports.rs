//! Exports: a person takes with them what is kept about them, whichever module keeps it. A job gathers it; the result is sealed
//! and goes after a week.

mod gathering;
pub(crate) mod http;
pub(crate) mod store;

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use platform::caller::{LoggedIn, UserId};
use platform::jobs::{self, Job, JobError, Running};
use platform::rate_limit::Turn;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::audit::{Action, Deed};
use crate::mails::Addressee;
use crate::ports::PersonalData;
use crate::sessions::deed;
use crate::{Error, Users, accounts, mails};

const SEALED_FOR: &str = "users.export";

/// How long an export can be fetched.
const KEPT: Duration = Duration::from_hours(7 * 24);

platform::id! {
    /// Names an export.
    pub struct ExportId;
}

/// How far an export is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub(crate) enum State {
    /// It is being gathered.
    Pending,
    /// It can be fetched.
    Ready,
    /// It could not be gathered.
    Failed,
}

/// An export.
#[derive(Clone, Debug)]
pub(crate) struct Export {
    pub(crate) id: ExportId,
    pub(crate) state: State,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) expires_at: DateTime<Utc>,
    /// Everything, once it is ready.
    pub(crate) data: Option<Value>,
}

/// Gathers the data of a person.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct MakeExport {
    export: ExportId,
    account: UserId,
}

impl Job for MakeExport {
    const NAME: &'static str = "users.make_export";
    // It reads much; quick work does not wait for it.
    const QUEUE: &'static str = "exports";
    const MAX_ATTEMPTS: i32 = 5;
}

impl Users {
    /// Begins an export of the caller's data.
    ///
    /// # Errors
    /// [`Error::RecentLoginRequired`]; [`Error::ExportRunning`]; [`Error::RateLimit`].
    pub(crate) async fn request_export(&self, person: &LoggedIn) -> Result<ExportId, Error> {
        self.require_recent_login(person.caller())?;
        let account = person.user();
        let mut tx = self.0.db.begin().await?;
        accounts::store::lock(&mut tx, account).await?.ok_or(Error::InvalidAccessToken)?;
        if store::has_running(&mut tx, account).await? {
            return Err(Error::ExportRunning);
        }
        let (limit, id) = (self.0.config.limits.exports_by_person, account.uuid());
        self.0.limits.take(&mut tx, &[Turn { name: "exports_by_person", limit, of: id.as_bytes() }]).await?;
        let export = ExportId::new();
        store::insert(&mut tx, account, export, KEPT).await?;
        jobs::enqueue(&mut tx, &MakeExport { export, account }).await?;
        let requested = deed(Action::ExportRequested, Some(account));
        self.record(&mut tx, Deed { details: json!({ "export": export }), ..requested }).await?;
        tx.commit().await?;
        Ok(export)
    }

    /// One of the caller's exports, with the data once it is ready.
    ///
    /// # Errors
    /// [`Error::NotFound`] when it is somebody else's or too old; [`Error::ExportBroken`].
    pub(crate) async fn show_export(&self, person: &LoggedIn, id: ExportId) -> Result<Export, Error> {
        let row = store::find(&mut *self.0.db.read().await?, person.user(), id).await?.ok_or(Error::NotFound)?;
        let store::Row { id, state, created_at, expires_at, sealed_data } = row;
        let open = |sealed: Vec<u8>| {
            let plain = self.0.secrets.open(SEALED_FOR, &sealed).map_err(|_| Error::ExportBroken)?;
            serde_json::from_slice(&plain).map_err(|_| Error::ExportBroken)
        };
        Ok(Export { id, state, created_at, expires_at, data: sealed_data.map(open).transpose()? })
    }

    /// Gathers what was asked for. After the last try in vain the person can see that there is nothing to wait for.
    pub(crate) async fn make_export(
        &self,
        job: MakeExport,
        sources: &[Arc<dyn PersonalData>],
        running: &Running,
    ) -> Result<(), JobError> {
        let gathered = self.gather(job.account, sources).await.map_err(JobError::Retry);
        if gathered.is_err() && running.attempt >= running.max_attempts {
            store::fail(&mut *self.0.db.read().await?, job.account, job.export).await?;
        }
        // Nobody is there any more: the export went with its account.
        let plain = gathered?.map(|data| serde_json::to_vec(&data)).transpose()?.unwrap_or_default();
        let sealed = self.0.secrets.seal(SEALED_FOR, &plain);
        let mut tx = self.0.db.begin().await?;
        if store::save_ready(&mut tx, job.account, job.export, &sealed).await?
            && let Some(account) = accounts::store::find(&mut tx, job.account).await?
        {
            let addressee = Addressee { mail_to: account.email, name: account.name };
            self.0.mailer.send(&mut tx, mails::export_ready(&self.0.service, &addressee)).await?;
        }
        running.settle(&mut tx).await?;
        Ok(tx.commit().await?)
    }
}

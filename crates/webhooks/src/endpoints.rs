//! Endpoints: where an organization wants to be told, and about what.

pub(crate) mod enabling;
pub(crate) mod http;
pub(crate) mod secret_rotation;
pub(crate) mod store;
pub(crate) mod trials;

use chrono::{DateTime, Utc};
use platform::caller::Member;
use platform::http::{IfMatch, Page, PageRequest};
use platform::outbound::check_url;

use crate::signatures::SigningKey;
use crate::{Error, Webhooks, policy};

/// How many messages may be on their way to an endpoint at a time unless its owner says otherwise.
const DEFAULT_MAX_IN_FLIGHT: i32 = 10;

platform::id! {
    /// Names an endpoint.
    pub struct EndpointId;
}

platform::text! {
    /// Where messages are posted to.
    pub struct EndpointUrl(1..=2048, format = "uri");
}

platform::text! {
    /// What an endpoint is for, in its owner's words.
    pub struct Description(0..=255);
}

/// An endpoint.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    pub(crate) id: EndpointId,
    pub(crate) url: String,
    pub(crate) description: String,
    pub(crate) event_types: Vec<String>,
    pub(crate) max_in_flight: i32,
    pub(crate) version: i64,
    pub(crate) created_at: DateTime<Utc>,
    pub(crate) updated_at: DateTime<Utc>,
    pub(crate) disabled_at: Option<DateTime<Utc>>,
    /// None also where the release before this one disabled it.
    pub(crate) disabled_reason: Option<DisabledReason>,
    /// Set while its breaker is not closed.
    pub(crate) paused_until: Option<DateTime<Utc>>,
    pub(crate) failing_since: Option<DateTime<Utc>>,
}

/// Why an endpoint is disabled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, sqlx::Type)]
#[sqlx(type_name = "text", rename_all = "snake_case")]
pub(crate) enum DisabledReason {
    /// It answered that it is gone.
    Gone,
    /// Nothing arrived for days.
    Failing,
}

/// Whether messages go to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EndpointStatus {
    /// They do.
    Enabled,
    /// They wait, as too many failed in a row; one at a time is tried.
    Paused,
    /// None is sent until it is enabled.
    Disabled,
}

/// A wish for an endpoint.
#[derive(Clone, Debug)]
pub(crate) struct NewEndpoint {
    pub(crate) url: EndpointUrl,
    pub(crate) event_types: Vec<String>,
    pub(crate) description: Option<Description>,
    pub(crate) max_in_flight: Option<i32>,
}

/// What to change about an endpoint; what is left out stays.
#[derive(Clone, Debug)]
pub(crate) struct EndpointChange {
    pub(crate) url: Option<EndpointUrl>,
    pub(crate) event_types: Option<Vec<String>>,
    pub(crate) description: Option<Description>,
    pub(crate) max_in_flight: Option<i32>,
}

impl Endpoint {
    fn new(wish: NewEndpoint, now: DateTime<Utc>) -> Self {
        Self {
            id: EndpointId::new(),
            url: wish.url.into(),
            description: wish.description.map(Into::into).unwrap_or_default(),
            event_types: without_repetition(wish.event_types),
            max_in_flight: wish.max_in_flight.unwrap_or(DEFAULT_MAX_IN_FLIGHT),
            version: 1,
            created_at: now,
            updated_at: now,
            disabled_at: None,
            disabled_reason: None,
            paused_until: None,
            failing_since: None,
        }
    }

    /// Whether messages go to it.
    pub(crate) fn status(&self) -> EndpointStatus {
        match (self.disabled_at, self.paused_until) {
            (Some(_), _) => EndpointStatus::Disabled,
            (None, Some(_)) => EndpointStatus::Paused,
            (None, None) => EndpointStatus::Enabled,
        }
    }

    /// Why it is disabled, if it is. Without a reason it was the one that there used to be.
    pub(crate) fn disabled_reason(&self) -> Option<DisabledReason> {
        self.disabled_at.map(|_| self.disabled_reason.unwrap_or(DisabledReason::Gone))
    }

    /// Another URL leads to another receiver: how the former one failed is forgotten.
    fn changed(self, change: EndpointChange, now: DateTime<Utc>) -> Self {
        let url = change.url.map_or_else(|| self.url.clone(), Into::into);
        let is_elsewhere = url != self.url;
        Self {
            failing_since: self.failing_since.filter(|_| !is_elsewhere),
            paused_until: self.paused_until.filter(|_| !is_elsewhere),
            url,
            description: change.description.map_or(self.description, Into::into),
            event_types: change.event_types.map_or(self.event_types, without_repetition),
            max_in_flight: change.max_in_flight.unwrap_or(self.max_in_flight),
            version: self.version + 1,
            updated_at: now,
            ..self
        }
    }
}

impl Webhooks {
    /// Registers an endpoint and gives its signing key, which is shown only this once.
    ///
    /// # Errors
    /// [`Error::Forbidden`], [`Error::InvalidUrl`], [`Error::TooManyEndpoints`].
    pub(crate) async fn create_endpoint(
        &self,
        member: &Member,
        wish: NewEndpoint,
    ) -> Result<(Endpoint, SigningKey), Error> {
        let mut tx = self.0.db.begin().await?;
        // One creation at a time, or two could take the last place.
        store::lock_organization(&mut tx, member.org()).await?;
        let count = store::count(&mut tx, member.org()).await?;
        if !policy::may_manage_endpoints(member.role()) {
            return Err(Error::Forbidden);
        }
        check_url(wish.url.as_str(), self.0.outbound.rules())?;
        let limit = self.0.config.max_endpoints;
        if count >= limit {
            return Err(Error::TooManyEndpoints(limit));
        }
        let endpoint = Endpoint::new(wish, self.0.clock.now());
        let key = SigningKey::generate();
        store::insert(&mut tx, member.org(), &endpoint).await?;
        let sealed = key.seal(&self.0.secrets);
        store::insert_secret(&mut tx, member.org(), endpoint.id, &sealed, endpoint.created_at).await?;
        tx.commit().await?;
        Ok((endpoint, key))
    }

    /// The organization's endpoints, newest first.
    ///
    /// # Errors
    /// [`Error::Forbidden`].
    pub(crate) async fn list_endpoints(&self, member: &Member, page: &PageRequest) -> Result<Page<Endpoint>, Error> {
        if !policy::may_read_endpoints(member.role()) {
            return Err(Error::Forbidden);
        }
        let rows = store::list(&mut *self.0.db.read().await?, member.org(), page).await?;
        Ok(Page::of(rows, page, |endpoint| endpoint.id.uuid()))
    }

    /// One endpoint.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`].
    pub(crate) async fn show_endpoint(&self, member: &Member, id: EndpointId) -> Result<Endpoint, Error> {
        let found = store::find(&mut *self.0.db.read().await?, member.org(), id).await?.ok_or(Error::NotFound)?;
        if !policy::may_read_endpoints(member.role()) {
            return Err(Error::Forbidden);
        }
        Ok(found)
    }

    /// Changes an endpoint, provided nobody changed it since the client read it.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`], [`Error::VersionMismatch`], [`Error::InvalidUrl`].
    pub(crate) async fn update_endpoint(
        &self,
        member: &Member,
        id: EndpointId,
        change: EndpointChange,
        if_match: &IfMatch,
    ) -> Result<Endpoint, Error> {
        let mut tx = self.0.db.begin().await?;
        let found = store::lock(&mut tx, member.org(), id).await?.ok_or(Error::NotFound)?;
        if !policy::may_manage_endpoints(member.role()) {
            return Err(Error::Forbidden);
        }
        if_match.check(found.version).map_err(Error::VersionMismatch)?;
        if let Some(url) = &change.url {
            check_url(url.as_str(), self.0.outbound.rules())?;
        }
        let changed = found.changed(change, self.0.clock.now());
        store::save(&mut tx, member.org(), &changed).await?;
        tx.wake(crate::jobs::CHANNEL);
        tx.commit().await?;
        Ok(changed)
    }

    /// Deletes an endpoint with what waits for it; its deliveries are no longer shown.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Forbidden`], [`Error::VersionMismatch`].
    pub(crate) async fn delete_endpoint(
        &self,
        member: &Member,
        id: EndpointId,
        if_match: &IfMatch,
    ) -> Result<(), Error> {
        let mut tx = self.0.db.begin().await?;
        let found = store::lock(&mut tx, member.org(), id).await?.ok_or(Error::NotFound)?;
        if !policy::may_manage_endpoints(member.role()) {
            return Err(Error::Forbidden);
        }
        if_match.check(found.version).map_err(Error::VersionMismatch)?;
        store::delete(&mut tx, member.org(), id).await?;
        tx.commit().await?;
        Ok(())
    }
}

fn without_repetition(mut names: Vec<String>) -> Vec<String> {
    names.sort();
    names.dedup();
    names
}

use axum::extract::{FromRequestParts, RawPathParams};
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};

use super::problem::Problem;
use super::stack::Shared;
use crate::caller::{Caller, LoggedIn, Member, OrgId, Scope};

impl<S: Send + Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        if let Some(known) = parts.extensions.get::<Caller>() {
            return Ok(known.clone());
        }
        let token = bearer(&parts.headers)?;
        let shared = Shared::of(parts);
        let caller = shared.authority.authenticate(token).await?;
        shared.facts.caller.set(caller.user).ok();
        shared.facts.tally.count_person(caller.user)?;
        let needed = scope_of(&parts.method);
        if !caller.credential.may(needed) {
            return Err(Problem::insufficient_scope(needed));
        }
        parts.extensions.insert(caller.clone());
        Ok(caller)
    }
}

/// What a request does to data, by its method: whatever is not known to only look, changes.
fn scope_of(method: &Method) -> Scope {
    if [Method::GET, Method::HEAD].contains(method) { Scope::Read } else { Scope::Write }
}

impl<S: Send + Sync> FromRequestParts<S> for LoggedIn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        LoggedIn::verified(Caller::from_request_parts(parts, state).await?)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Member {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let caller = Caller::from_request_parts(parts, state).await?;
        let org = organization(parts, state).await.ok_or_else(Problem::not_found)?;
        let role = Shared::of(parts).authority.role_in(&caller, org).await?.ok_or_else(Problem::not_found)?;
        Ok(Member::verified(caller, org, role))
    }
}

/// The `{org_id}` of the route.
async fn organization<S: Send + Sync>(parts: &mut Parts, state: &S) -> Option<OrgId> {
    let path = RawPathParams::from_request_parts(parts, state).await.ok()?;
    path.iter().find(|(name, _)| *name == "org_id").and_then(|(_, value)| value.parse().ok())
}

/// The one bearer token of the request (RFC 6750 section 2.1). Tokens in the query or in a form are never looked at.
fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let mut sent = headers.get_all(AUTHORIZATION).iter();
    let Some(first) = sent.next() else {
        return Err(Problem::invalid_token("Send an access token in the Authorization header."));
    };
    if sent.next().is_some() {
        let detail = "Send one Authorization header.";
        return Err(Problem::new(StatusCode::BAD_REQUEST, "repeated_authorization", detail));
    }
    let (scheme, token) = first.to_str().ok().and_then(|text| text.split_once(' ')).unwrap_or_default();
    if scheme.eq_ignore_ascii_case("bearer") && !token.is_empty() {
        Ok(token)
    } else {
        Err(Problem::invalid_token("Send `Authorization: Bearer <access token>`."))
    }
}

use std::collections::BTreeMap;

use axum::extract::State;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, IF_NONE_MATCH};
use axum::http::{HeaderMap, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use platform::http::{Problem, Routes};
use serde::Serialize;
use sha2::{Digest, Sha256};
use utoipa::openapi::schema::{Object, ObjectBuilder, Type};
use utoipa::{PartialSchema, ToSchema};
use utoipa_axum::routes;

use super::{Interval, Limit, Plan, Price, PriceId};
use crate::Billing;
use crate::money::Money;

/// How long browsers and proxies may keep the catalogue without asking again.
const CACHE_FOR: HeaderValue = HeaderValue::from_static("public, max-age=300");

pub(crate) fn routes() -> Routes<Billing> {
    Routes::new().with(routes!(plan_list))
}

/// The plan catalogue
///
/// Every plan on offer, lowest rank first, with the features it grants and the prices it is offered at. Public.
#[utoipa::path(
    get,
    path = "/plans",
    operation_id = "plan_list",
    params(("if-none-match" = Option<String>, Header, description = "The ETag you hold.", max_length = 256)),
    responses(
        (
            status = 200,
            description = "The catalogue; you may keep it for five minutes.",
            body = PlanList,
            headers(
                ("etag" = String, description = "Changes with the catalogue."),
                ("cache-control" = String, description = "How long it may be kept.")
            )
        ),
        (status = 304, description = "The catalogue you hold is the current one.")
    )
)]
async fn plan_list(State(billing): State<Billing>, headers: HeaderMap) -> Result<Cacheable, Problem> {
    let plans = billing.list_plans().await?;
    Cacheable::new(&PlanList::from(plans), &headers)
}

/// The plan catalogue.
#[derive(Serialize, ToSchema)]
struct PlanList {
    /// Lowest rank first.
    #[schema(max_items = 100)]
    data: Vec<PlanBody>,
}

/// A plan on offer.
#[derive(Serialize, ToSchema)]
struct PlanBody {
    /// Its stable name for programs.
    #[schema(max_length = 64, example = "team")]
    code: String,
    /// Its name for people.
    #[schema(max_length = 100, example = "Team")]
    name: String,
    /// Higher is better.
    #[schema(minimum = 0)]
    rank: i32,
    /// What it grants; a feature that is not named is not granted.
    #[schema(schema_with = features_schema)]
    features: BTreeMap<String, LimitBody>,
    /// What it is offered at; none for a plan that cannot be bought.
    #[schema(max_items = 20)]
    prices: Vec<PriceBody>,
}

/// The derived schema of a map has no bounds.
pub(crate) fn features_schema() -> Object {
    let name = ObjectBuilder::new().schema_type(Type::String).max_length(Some(64));
    ObjectBuilder::new()
        .property_names(Some(name))
        .additional_properties(Some(LimitBody::schema()))
        .max_properties(Some(50))
        .description(Some("What it grants; a feature that is not named is not granted."))
        .build()
}

/// `true` when the plan grants a feature without limit, else how much of it.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum LimitBody {
    Granted(bool),
    AtMost(i64),
}

/// A price for one seat and one interval.
#[derive(Serialize, ToSchema)]
struct PriceBody {
    /// What a checkout is started with.
    id: PriceId,
    /// How often it is due.
    interval: IntervalBody,
    /// How much.
    money: MoneyBody,
}

/// How often a price is due.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = Interval)]
enum IntervalBody {
    Month,
    Year,
}

/// An amount of money.
#[derive(Serialize, ToSchema)]
#[schema(as = Money)]
struct MoneyBody {
    /// In the currency's minor unit: 1999 is 19.99 EUR and 1999 JPY.
    #[schema(minimum = 0, example = 1999)]
    amount: i64,
    /// ISO 4217 code.
    #[schema(min_length = 3, max_length = 3, pattern = "^[A-Z]{3}$", example = "EUR")]
    currency: &'static str,
}

impl From<Vec<Plan>> for PlanList {
    fn from(plans: Vec<Plan>) -> Self {
        Self { data: plans.into_iter().map(PlanBody::from).collect() }
    }
}

impl From<Plan> for PlanBody {
    fn from(plan: Plan) -> Self {
        let Plan { code, name, rank, features, prices } = plan;
        let features = features.into_iter().map(|(feature, limit)| (feature, limit.into())).collect();
        Self { code, name, rank, features, prices: prices.into_iter().map(PriceBody::from).collect() }
    }
}

impl From<Limit> for LimitBody {
    fn from(limit: Limit) -> Self {
        limit.number().map_or(Self::Granted(true), Self::AtMost)
    }
}

impl From<Price> for PriceBody {
    fn from(price: Price) -> Self {
        let interval = match price.interval {
            Interval::Month => IntervalBody::Month,
            Interval::Year => IntervalBody::Year,
        };
        Self { id: price.id, interval, money: price.money.into() }
    }
}

impl From<Money> for MoneyBody {
    fn from(money: Money) -> Self {
        Self { amount: money.minor(), currency: money.currency().code() }
    }
}

/// A public answer that caches may keep; its tag is a hash of the body (RFC 9110 sections 8.8.3 and 13.1.2).
struct Cacheable {
    tag: HeaderValue,
    body: Vec<u8>,
    is_held: bool,
}

impl Cacheable {
    fn new(answer: &impl Serialize, request: &HeaderMap) -> Result<Self, Problem> {
        let body = serde_json::to_vec(answer).map_err(Problem::internal)?;
        let hash = Sha256::digest(&body).iter().take(16).fold(0_u128, |hash, byte| hash << 8 | u128::from(*byte));
        let tag = HeaderValue::try_from(format!("\"{hash:032x}\"")).map_err(Problem::internal)?;
        let is_held = holds(request, &tag);
        Ok(Self { tag, body, is_held })
    }
}

impl IntoResponse for Cacheable {
    fn into_response(self) -> Response {
        let headers = [(CACHE_CONTROL, CACHE_FOR), (ETAG, self.tag)];
        if self.is_held {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        (headers, [(CONTENT_TYPE, HeaderValue::from_static("application/json"))], self.body).into_response()
    }
}

/// Whether the client named this version, weakly or not; proxies weaken the tags of what they compress.
fn holds(request: &HeaderMap, tag: &HeaderValue) -> bool {
    let named = request.get_all(IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let mut tags = named.flat_map(|value| value.split(',')).map(str::trim);
    tags.any(|named| named == "*" || named.strip_prefix("W/").unwrap_or(named) == tag)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{MAX_FEATURES, MAX_PLANS, MAX_PRICES};

    #[test]
    fn the_document_names_the_bounds_that_the_configuration_is_held_to() {
        let list = serde_json::to_value(PlanList::schema()).expect("a schema");
        assert_eq!(list["properties"]["data"]["maxItems"], MAX_PLANS);
        let plan = serde_json::to_value(PlanBody::schema()).expect("a schema");
        assert_eq!(plan["properties"]["prices"]["maxItems"], MAX_PRICES);
        assert_eq!(plan["properties"]["features"]["maxProperties"], MAX_FEATURES);
    }

    #[test]
    fn a_version_is_held_when_any_named_tag_is_it() {
        let tag = HeaderValue::from_static("\"abc\"");
        let held = |values: &[&'static str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(IF_NONE_MATCH, HeaderValue::from_static(value));
            }
            holds(&headers, &tag)
        };
        assert!(held(&["\"abc\""]) && held(&["W/\"abc\""]) && held(&["*"]));
        assert!(held(&["\"x\", \"abc\""]) && held(&["\"x\"", "\"abc\""]));
        assert!(!held(&[]) && !held(&["\"abcd\""]) && !held(&["abc"]) && !held(&["W/\"x\""]));
    }
}

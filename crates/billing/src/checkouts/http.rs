use axum::extract::State;
use axum::http::StatusCode;
use garde::Validate;
use platform::caller::{Member, OrgId};
use platform::http::{Answer, Json, Once, Problem, Routes, invalid};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{Checkout, NewCheckout, ReturnUrl};
use crate::Billing;
use crate::operations::OperationId;
use crate::plans::PriceId;

/// The most seats one checkout sells.
const MAX_QUANTITY: i32 = 10_000;

pub(crate) fn routes() -> Routes<Billing> {
    Routes::new().with(routes!(checkout_open))
}

/// What you want to subscribe to.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct NewCheckoutBody {
    /// A price that is on offer, from `GET /v1/plans`.
    #[garde(skip)]
    price_id: PriceId,
    /// Seats.
    #[garde(dive)]
    quantity: Seats,
    /// Where the browser is sent after paying; on a site of ours. It proves nothing: ask for the subscription there.
    #[garde(dive)]
    success_url: ReturnUrl,
    /// Where the browser is sent without paying; on a site of ours.
    #[garde(dive)]
    cancel_url: ReturnUrl,
}

/// How many people are paid for.
#[derive(Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(minimum = 1, maximum = 10_000)]
struct Seats(i32);

impl Validate for Seats {
    type Context = ();

    fn validate_into(&self, (): &(), parent: &mut dyn FnMut() -> garde::Path, report: &mut garde::Report) {
        if !(1..=MAX_QUANTITY).contains(&self.0) {
            report.append(parent(), invalid("out_of_range", &format!("must be from 1 to {MAX_QUANTITY}")));
        }
    }
}

impl From<NewCheckoutBody> for NewCheckout {
    fn from(body: NewCheckoutBody) -> Self {
        let NewCheckoutBody { price_id, quantity: Seats(quantity), success_url, cancel_url } = body;
        Self { price_id, quantity, success_url, cancel_url }
    }
}

/// A page of the payment provider.
#[derive(Serialize, ToSchema)]
struct CheckoutBody {
    /// The operation; it has succeeded when the subscription is there.
    id: OperationId,
    /// Where to send the browser, within a day.
    #[schema(max_length = 4096, format = "uri")]
    url: String,
}

impl From<Checkout> for CheckoutBody {
    fn from(checkout: Checkout) -> Self {
        let Checkout { id, url } = checkout;
        Self { id, url }
    }
}

/// Open a checkout
///
/// Opens a page of the payment provider on which the organization subscribes. Nothing is bought before the customer pays
/// there. Send an `Idempotency-Key`: after an error 503, or 409 `idempotency_in_progress`, repeat the request with the same one.
/// Asking for the same twice gives the same page. For owners, admins and those who manage billing.
#[utoipa::path(post, path = "/organizations/{org_id}/billing/checkout", operation_id = "checkout_open",
    security(("access_token" = [])),
    params(("org_id" = OrgId, Path, description = "The organization."),
           ("Idempotency-Key" = String, Header, description = "Makes retries safe, for good.", max_length = 255)),
    request_body = NewCheckoutBody,
    responses((status = 201, description = "The page is open.", body = CheckoutBody),
              (status = 400, description = "Not readable, or without a key: `idempotency_key_required`.",
               body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
              (status = 409, description = "The organization has a subscription: `already_subscribed`. Or the request was made \
               before and is too old to be repeated: `operation_expired`. Or the same is being asked for at this moment: \
               `idempotency_in_progress`.",
               body = ref("#/components/schemas/Problem"), content_type = "application/problem+json"),
              (status = 422, description = "Some fields are not valid: `invalid_request`, and `errors` names each. Or the key \
               was used for another request: `idempotency_key_reused`. Or the payment provider refused: `payment_rejected`.",
               body = ref("#/components/schemas/Problem"), content_type = "application/problem+json")))]
async fn checkout_open(
    State(billing): State<Billing>,
    member: Member,
    wish: Once<NewCheckoutBody>,
) -> Result<(StatusCode, Answer<Json<CheckoutBody>>), Problem> {
    let opened = billing.open_checkout(&member, wish.map(NewCheckout::from)).await?;
    Ok((StatusCode::CREATED, opened.map(|checkout| Json(checkout.into()))))
}

#[cfg(test)]
mod tests {
    use utoipa::PartialSchema;

    use super::*;

    #[test]
    fn the_rule_and_the_documented_bounds_are_the_same() {
        let bounds = serde_json::to_value(Seats::schema()).expect("a schema");
        assert_eq!((bounds["minimum"].as_i64(), bounds["maximum"].as_i64()), (Some(1), Some(i64::from(MAX_QUANTITY))));
        for (number, valid) in [(0, false), (1, true), (MAX_QUANTITY, true), (MAX_QUANTITY + 1, false)] {
            assert_eq!(Seats(number).validate().is_ok(), valid, "{number}");
        }
    }
}

//! Refunds.

use serde_json::Value;

use super::call::Call;
use super::error::ApiError;
use super::params::merge_metadata;
use crate::shop::Shop;
use crate::trade::refunds;

pub(crate) fn create(shop: &mut Shop, call: &Call) -> Result<Value, ApiError> {
    let params = &call.params;
    params.only(&["payment_intent", "charge", "amount", "reason", "metadata"])?;
    let ((Some(paid), None) | (None, Some(paid))) = (params.text("payment_intent"), params.text("charge")) else {
        let message = "One of the following params should be provided: payment_intent or charge.";
        return Err(ApiError::invalid(message));
    };
    let reason = params.text("reason");
    if reason.is_some_and(|reason| !["duplicate", "fraudulent", "requested_by_customer"].contains(&reason)) {
        let message = "Invalid reason: must be one of duplicate, fraudulent, or requested_by_customer";
        return Err(ApiError::bad("reason", message));
    }
    let metadata = merge_metadata(&Value::Null, params.metadata("metadata")?);
    refunds::refund(shop, paid, params.integer("amount")?, reason, &metadata)
}

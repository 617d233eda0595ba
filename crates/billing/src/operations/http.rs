use axum::extract::State as Door;
use platform::caller::{Member, OrgId};
use platform::http::{Json, Path, Problem, Routes};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::routes;

use super::{Operation, OperationId, State};
use crate::Billing;

pub(crate) fn routes() -> Routes<Billing> {
    Routes::new().with(routes!(operation_show))
}

/// The place of an operation.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Path)]
struct OperationPath {
    /// The organization.
    #[serde(rename = "org_id")]
    _org_id: OrgId,
    /// The operation.
    id: OperationId,
}

/// Something asked of the payment provider.
#[derive(Serialize, ToSchema)]
struct OperationBody {
    /// Names it.
    id: OperationId,
    /// What was asked.
    #[schema(max_length = 32, example = "checkout")]
    kind: String,
    /// How far it is.
    state: StateBody,
    /// Why it was rejected: `card_declined`, `authentication_required`, `expired`, `superseded`, `refused`. There may be
    /// new words.
    #[schema(max_length = 64)]
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// `pending`: to be asked. `in_flight`: asked, or waiting for the customer. `unknown`: asked, and no answer came.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = OperationState)]
enum StateBody {
    Pending,
    InFlight,
    Unknown,
    Succeeded,
    Rejected,
}

impl From<State> for StateBody {
    fn from(state: State) -> Self {
        match state {
            State::Pending => Self::Pending,
            State::InFlight => Self::InFlight,
            State::Unknown => Self::Unknown,
            State::Succeeded => Self::Succeeded,
            State::Rejected => Self::Rejected,
        }
    }
}

impl From<Operation> for OperationBody {
    fn from(operation: Operation) -> Self {
        let Operation { id, kind, state, error, .. } = operation;
        Self { id, kind, state: state.into(), error }
    }
}

/// Show an operation
///
/// How far something is that was asked of the payment provider. For owners, admins and those who manage billing.
#[utoipa::path(get, path = "/organizations/{org_id}/billing/operations/{id}", operation_id = "operation_show",
    security(("access_token" = [])),
    params(OperationPath),
    responses((status = 200, description = "The operation.", body = OperationBody)))]
async fn operation_show(
    Door(billing): Door<Billing>,
    member: Member,
    Path(place): Path<OperationPath>,
) -> Result<Json<OperationBody>, Problem> {
    Ok(Json(billing.show_operation(&member, place.id).await?.into()))
}

use axum::extract::State as Door;
use axum::http::StatusCode;
use chrono::{DateTime, Utc};
use platform::caller::LoggedIn;
use platform::http::{Json, Path, Problem, Routes};
use serde::Serialize;
use serde_json::Value;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{Export, ExportId, State};
use crate::Users;

pub(crate) fn routes() -> Routes<Users> {
    Routes::new().with(routes!(export_create)).with(routes!(export_show))
}

/// An export that was begun.
#[derive(Serialize, ToSchema)]
struct StartedExportBody {
    /// Names it.
    id: ExportId,
}

/// What is kept about you.
#[derive(Serialize, ToSchema)]
struct ExportBody {
    /// Names it.
    id: ExportId,
    /// How far it is.
    state: StateBody,
    /// When you asked.
    created_at: DateTime<Utc>,
    /// Until when you can fetch it.
    expires_at: DateTime<Utc>,
    /// What each module keeps, by the module's name; there when it is ready. A list that was cut has `complete: false`.
    #[schema(value_type = Option<Object>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<Value>,
}

/// `pending`: it is being gathered. `failed`: it could not be; ask again.
#[derive(Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
#[schema(as = ExportState)]
enum StateBody {
    Pending,
    Ready,
    Failed,
}

impl From<State> for StateBody {
    fn from(state: State) -> Self {
        match state {
            State::Pending => Self::Pending,
            State::Ready => Self::Ready,
            State::Failed => Self::Failed,
        }
    }
}

impl From<Export> for ExportBody {
    fn from(export: Export) -> Self {
        let Export { id, state, created_at, expires_at, data } = export;
        Self { id, state: state.into(), created_at, expires_at, data }
    }
}

/// Export your data
///
/// Gathers what is kept about you, and the records of organizations that are yours alone; you get a mail when it is ready. Wants
/// a login of the last few minutes (401 `recent_login_required`). One at a time (409 `export_running`) and three a day.
#[utoipa::path(post, path = "/me/export", operation_id = "export_create", security(("access_token" = [])),
    responses((status = 202, description = "It is being gathered.", body = StartedExportBody),
              (status = 409, description = "One is being gathered.", content_type = "application/problem+json")))]
async fn export_create(
    Door(users): Door<Users>,
    person: LoggedIn,
) -> Result<(StatusCode, Json<StartedExportBody>), Problem> {
    let id = users.request_export(&person).await?;
    Ok((StatusCode::ACCEPTED, Json(StartedExportBody { id })))
}

/// Show an export of your data
///
/// With the data once it is ready; gone after 7 days.
#[utoipa::path(get, path = "/me/exports/{id}", operation_id = "export_show", security(("access_token" = [])),
    params(("id" = ExportId, Path, description = "The export.")),
    responses((status = 200, description = "The export.", body = ExportBody)))]
async fn export_show(
    Door(users): Door<Users>,
    person: LoggedIn,
    Path(id): Path<ExportId>,
) -> Result<Json<ExportBody>, Problem> {
    Ok(Json(users.show_export(&person, id).await?.into()))
}

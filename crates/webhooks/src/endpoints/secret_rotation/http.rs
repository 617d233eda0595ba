use axum::extract::State;
use chrono::{DateTime, TimeDelta, Utc};
use garde::Validate;
use platform::caller::Member;
use platform::http::{Json, Path, Problem, Routes, invalid};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::Rotated;
use crate::Webhooks;
use crate::endpoints::http::EndpointPath;

/// The longest overlap, in seconds: a week.
const LONGEST_OVERLAP: i64 = 7 * 24 * 60 * 60;

pub(crate) fn routes() -> Routes<Webhooks> {
    Routes::new().with(routes!(endpoint_secret_rotate))
}

/// How to rotate.
#[derive(Deserialize, Validate, ToSchema)]
#[serde(deny_unknown_fields)]
struct RotationBody {
    /// How long the older secrets sign beside the new one, in seconds; a day unless said.
    #[garde(dive)]
    overlap_seconds: Option<OverlapSeconds>,
}

/// How long older secrets sign beside a new one, in seconds.
#[derive(Clone, Copy, Deserialize, ToSchema)]
#[serde(transparent)]
#[schema(minimum = 0, maximum = 604_800)]
struct OverlapSeconds(i64);

impl Validate for OverlapSeconds {
    type Context = ();

    fn validate_into(&self, (): &(), parent: &mut dyn FnMut() -> garde::Path, report: &mut garde::Report) {
        if !(0..=LONGEST_OVERLAP).contains(&self.0) {
            report.append(parent(), invalid("out_of_range", &format!("must be from 0 to {LONGEST_OVERLAP}")));
        }
    }
}

/// A new secret.
#[derive(Serialize, ToSchema)]
struct RotatedSecretBody {
    /// Verifies the signatures from now on. Shown only this once.
    #[schema(max_length = 64, example = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD")]
    secret: String,
    /// When the older secrets have stopped signing.
    previous_expires_at: DateTime<Utc>,
}

impl From<Rotated> for RotatedSecretBody {
    fn from(rotated: Rotated) -> Self {
        let Rotated { key, previous_expires_at } = rotated;
        Self { secret: key.reveal(), previous_expires_at }
    }
}

/// Rotate the secret of a webhook endpoint
///
/// For owners and admins. Until the overlap ends, every message carries a signature by each secret, so a receiver that holds
/// one of them is satisfied. The new one is shown only in this answer. With an overlap of 0 the older ones stop at once.
#[utoipa::path(post, path = "/organizations/{org_id}/webhook-endpoints/{id}/rotate-secret",
    operation_id = "endpoint_secret_rotate",
    security(("access_token" = [])),
    params(EndpointPath),
    request_body = Option<RotationBody>,
    responses((status = 200, description = "The new secret.", body = RotatedSecretBody),
              (status = 409, description = "Three secrets sign already; wait until one has expired: `too_many_secrets`.",
               content_type = "application/problem+json")))]
async fn endpoint_secret_rotate(
    State(webhooks): State<Webhooks>,
    member: Member,
    Path(place): Path<EndpointPath>,
    Json(wish): Json<Option<RotationBody>>,
) -> Result<Json<RotatedSecretBody>, Problem> {
    let overlap = wish.and_then(|RotationBody { overlap_seconds }| overlap_seconds);
    let overlap = overlap.map(|OverlapSeconds(seconds)| TimeDelta::seconds(seconds));
    Ok(Json(webhooks.rotate_secret(&member, place.id, overlap).await?.into()))
}

#[cfg(test)]
mod tests {
    use utoipa::PartialSchema;

    use super::*;

    #[test]
    fn the_rule_and_the_documented_bounds_are_the_same() {
        let bounds = serde_json::to_value(OverlapSeconds::schema()).expect("a schema");
        assert_eq!((bounds["minimum"].as_i64(), bounds["maximum"].as_i64()), (Some(0), Some(LONGEST_OVERLAP)));
        for (seconds, valid) in [(-1, false), (0, true), (LONGEST_OVERLAP, true), (LONGEST_OVERLAP + 1, false)] {
            assert_eq!(OverlapSeconds(seconds).validate().is_ok(), valid, "{seconds}");
        }
    }
}

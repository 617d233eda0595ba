use axum::extract::State;
use axum::http::header::CACHE_CONTROL;
use axum::response::IntoResponse;
use platform::http::{Json, Problem, Routes};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::routes;

use super::{PUBLISHED_FOR, PublishedKey};
use crate::Users;

pub(crate) fn routes() -> Routes<Users> {
    Routes::new().with(routes!(signing_key_list))
}

/// A JSON Web Key Set (RFC 7517).
#[derive(Serialize, ToSchema)]
struct KeySetBody {
    /// Every key an access token may be signed with.
    #[schema(max_items = 100)]
    keys: Vec<KeyBody>,
}

/// An Ed25519 public key (RFC 8037).
#[derive(Serialize, ToSchema)]
struct KeyBody {
    /// Always `OKP`.
    #[schema(max_length = 8)]
    kty: &'static str,
    /// Always `Ed25519`.
    #[schema(max_length = 16)]
    crv: &'static str,
    /// Always `EdDSA`.
    #[schema(max_length = 16)]
    alg: &'static str,
    /// Always `sig`.
    #[serde(rename = "use")]
    #[schema(max_length = 8)]
    usage: &'static str,
    /// Matches the `kid` of a token's header.
    #[schema(max_length = 64)]
    kid: String,
    /// The public key, base64url.
    #[schema(max_length = 64)]
    x: String,
}

impl From<&PublishedKey> for KeyBody {
    fn from(key: &PublishedKey) -> Self {
        let (kid, x) = (key.id.clone(), key.x.clone());
        Self { kty: "OKP", crv: "Ed25519", alg: "EdDSA", usage: "sig", kid, x }
    }
}

/// Public signing keys
///
/// For whoever verifies our access tokens by themselves. May be kept for ten minutes.
#[utoipa::path(get, path = "/.well-known/jwks.json", operation_id = "signing_key_list",
    responses((status = 200, description = "The key set.", body = KeySetBody)))]
async fn signing_key_list(State(users): State<Users>) -> Result<impl IntoResponse, Problem> {
    let keys = users.fresh_keys().await?.published().iter().map(KeyBody::from).collect();
    let kept = format!("public, max-age={}", PUBLISHED_FOR.as_secs());
    Ok(([(CACHE_CONTROL, kept)], Json(KeySetBody { keys })))
}

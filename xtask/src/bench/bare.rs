//! The least that serves the same requests: axum, sqlx, and the check of the token's signature and times. No middleware, no
//! session, no role, no validation, no log, no metrics. What the service costs beyond it is the price of everything else.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::extract::{Query, State};
use axum::http::header::AUTHORIZATION;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::{get, post};
use axum::{Json, Router};
use chrono::{DateTime, Utc};
use jsonwebtoken::{Algorithm, DecodingKey, Validation};
use serde::{Deserialize, Serialize};
use sqlx::postgres::{PgPool, PgPoolOptions};
use uuid::Uuid;

use crate::failure::Failure;

/// As many as the module `users` of the service has.
const CONNECTIONS: u32 = 7;

/// The table that it writes to.
pub(super) const TABLE: &str = "CREATE SCHEMA bare;
    CREATE TABLE bare.rows (
        id uuid PRIMARY KEY, owner uuid NOT NULL, name text NOT NULL, created_at timestamptz NOT NULL
    )";

/// What it is told, as one line on its standard input.
#[derive(Serialize, Deserialize)]
pub(super) struct Settings {
    pub(super) address: SocketAddr,
    pub(super) database: String,
    /// The public key of the service's tokens, base64url.
    pub(super) key: String,
    pub(super) audience: String,
}

struct Bare {
    pool: PgPool,
    key: DecodingKey,
    validation: Validation,
}

/// Serves until it is killed.
pub(crate) fn serve() -> Result<(), Failure> {
    let settings: Settings = serde_json::from_reader(std::io::stdin()).map_err(|error| cannot(&error))?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let runtime = runtime.map_err(|source| Failure::Io { doing: "start a runtime".to_owned(), source })?;
    runtime.block_on(listen(settings))
}

async fn listen(settings: Settings) -> Result<(), Failure> {
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS).test_before_acquire(false);
    let pool = pool.connect(&settings.database).await?;
    let key = DecodingKey::from_ed_components(&settings.key).map_err(|error| cannot(&error))?;
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.set_audience(&[settings.audience]);
    let router = Router::new()
        .route("/readyz", get(|| async { "ok" }))
        .route("/me", get(me))
        .route("/rows", post(insert))
        .route("/organizations", get(list))
        .with_state(Arc::new(Bare { pool, key, validation }));
    let listener = tokio::net::TcpListener::bind(settings.address).await.map_err(|error| cannot(&error))?;
    axum::serve(listener, router).await.map_err(|error| cannot(&error))
}

fn cannot(error: &dyn std::error::Error) -> Failure {
    Failure::Finding(format!("the bare service cannot run: {error}"))
}

#[derive(Deserialize)]
struct Claims {
    sub: Uuid,
}

impl Bare {
    fn caller(&self, headers: &HeaderMap) -> Result<Uuid, StatusCode> {
        let sent = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok());
        let token = sent.and_then(|value| value.strip_prefix("Bearer ")).ok_or(StatusCode::UNAUTHORIZED)?;
        let claims = jsonwebtoken::decode::<Claims>(token, &self.key, &self.validation);
        Ok(claims.map_err(|_| StatusCode::UNAUTHORIZED)?.claims.sub)
    }
}

fn failed(_: sqlx::Error) -> StatusCode {
    StatusCode::INTERNAL_SERVER_ERROR
}

#[derive(Serialize, sqlx::FromRow)]
struct Account {
    id: Uuid,
    email: String,
    name: String,
    created_at: DateTime<Utc>,
}

async fn me(State(bare): State<Arc<Bare>>, headers: HeaderMap) -> Result<Json<Account>, StatusCode> {
    let caller = bare.caller(&headers)?;
    let account = sqlx::query_as("SELECT id, mail_to AS email, name, created_at FROM users.accounts WHERE id = $1")
        .bind(caller)
        .fetch_optional(&bare.pool)
        .await
        .map_err(failed)?;
    account.map(Json).ok_or(StatusCode::NOT_FOUND)
}

#[derive(Serialize, sqlx::FromRow)]
struct Row {
    id: Uuid,
    name: String,
    created_at: DateTime<Utc>,
}

#[derive(Deserialize)]
struct NewRow {
    name: String,
}

async fn insert(
    State(bare): State<Arc<Bare>>,
    headers: HeaderMap,
    Json(row): Json<NewRow>,
) -> Result<(StatusCode, Json<Row>), StatusCode> {
    let caller = bare.caller(&headers)?;
    #[expect(clippy::disallowed_methods, reason = "ids and times come through platform, which a bare service has not")]
    let (id, created_at) = (Uuid::now_v7(), Utc::now());
    let row = Row { id, name: row.name, created_at };
    sqlx::query("INSERT INTO bare.rows (id, owner, name, created_at) VALUES ($1, $2, $3, $4)")
        .bind(row.id)
        .bind(caller)
        .bind(&row.name)
        .bind(row.created_at)
        .execute(&bare.pool)
        .await
        .map_err(failed)?;
    Ok((StatusCode::CREATED, Json(row)))
}

#[derive(Deserialize)]
struct Page {
    limit: i64,
}

async fn list(
    State(bare): State<Arc<Bare>>,
    headers: HeaderMap,
    Query(page): Query<Page>,
) -> Result<Json<Vec<Row>>, StatusCode> {
    let caller = bare.caller(&headers)?;
    let rows = sqlx::query_as(
        "SELECT o.id, o.name, o.created_at
         FROM users.memberships m JOIN users.organizations o ON o.id = m.organization_id
         WHERE m.account_id = $1 AND m.organization_id < $2
         ORDER BY m.organization_id DESC LIMIT $3",
    );
    let rows = rows.bind(caller).bind(Uuid::max()).bind(page.limit).fetch_all(&bare.pool);
    Ok(Json(rows.await.map_err(failed)?))
}

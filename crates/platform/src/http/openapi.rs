use std::future::ready;

use axum::Router;
use axum::extract::{DefaultBodyLimit, Request};
use axum::middleware::{Next, from_fn};
use axum::response::IntoResponse;
use serde_json::{Map, Value, json};
use utoipa::PartialSchema;
use utoipa::openapi::{Deprecated, PathItem};
use utoipa_axum::router::{OpenApiRouter, UtoipaMethodRouter};

use super::problem::{FieldError, Problem, ProblemBody};
use super::versions::{self, Deprecation};

const METHODS: [&str; 7] = ["get", "put", "post", "delete", "patch", "head", "options"];

/// Handlers together with their part of the API document: one cannot be added without the other.
pub struct Routes<S = ()>(OpenApiRouter<S>);

impl<S: Clone + Send + Sync + 'static> Routes<S> {
    /// No routes yet.
    #[must_use]
    pub fn new() -> Self {
        Self(OpenApiRouter::new())
    }

    /// Adds the handlers of one path, from `utoipa_axum::routes!`.
    #[must_use]
    pub fn with(self, handlers: UtoipaMethodRouter<S>) -> Self {
        Self(self.0.routes(handlers))
    }

    /// Adds the routes of another feature.
    #[must_use]
    pub fn merge(self, other: Routes<S>) -> Self {
        Self(self.0.merge(other.0))
    }

    /// Puts every route below a path, as `/v1`.
    #[must_use]
    pub fn nest(self, path: &str, inner: Routes<S>) -> Self {
        Self(self.0.nest(path, inner.0))
    }

    /// Bodies larger than this are refused with 413 (64 KiB unless said).
    #[must_use]
    pub fn body_limit(self, bytes: usize) -> Self {
        Self(self.0.layer(DefaultBodyLimit::max(bytes)))
    }

    /// Marks every route as going away: in the document and on every answer.
    #[must_use]
    pub fn deprecated(mut self, deprecation: Deprecation) -> Self {
        for item in self.0.get_openapi_mut().paths.paths.values_mut() {
            for operation in each_operation(item) {
                operation.deprecated = Some(Deprecated::True);
            }
        }
        Self(self.0.layer(from_fn(move |request, next| versions::announce(deprecation.clone(), request, next))))
    }

    /// Answers every route with this problem instead. The document keeps them: it is the same for every installation.
    #[must_use]
    pub fn closed(self, problem: impl Fn() -> Problem + Clone + Send + Sync + 'static) -> Self {
        Self(self.0.layer(from_fn(move |_: Request, _: Next| ready(problem().into_response()))))
    }

    /// Hands the handlers their front door and files them in the document under the module's name.
    #[must_use]
    pub fn with_state(mut self, module: &str, state: S) -> Routes {
        for item in self.0.get_openapi_mut().paths.paths.values_mut() {
            for operation in each_operation(item) {
                operation.tags = Some(vec![module.to_owned()]);
            }
        }
        Routes(self.0.with_state(state))
    }
}

impl<S: Clone + Send + Sync + 'static> Default for Routes<S> {
    fn default() -> Self {
        Self::new()
    }
}

impl Routes {
    /// The router, and the document that describes it.
    pub fn split(self, title: &str, version: &str) -> (Router, Document) {
        let (router, openapi) = self.0.split_for_parts();
        let document = serde_json::to_value(openapi).unwrap_or_default();
        (router, Document::finish(document, title, version))
    }
}

fn each_operation(item: &mut PathItem) -> impl Iterator<Item = &mut utoipa::openapi::path::Operation> {
    let PathItem { get, put, post, delete, patch, .. } = item;
    [get, put, post, delete, patch].into_iter().filter_map(Option::as_mut)
}

/// The API document (OpenAPI 3.1), generated from the handlers.
#[derive(Clone, Debug, PartialEq)]
pub struct Document(Value);

impl Document {
    /// Pretty JSON with a final newline.
    #[must_use]
    pub fn to_json(&self) -> String {
        let mut text = serde_json::to_string_pretty(&self.0).unwrap_or_default();
        text.push('\n');
        text
    }

    /// The document itself, for tests and generators.
    #[must_use]
    pub fn value(&self) -> &Value {
        &self.0
    }

    /// Swagger UI at `/docs`, with all its assets from this binary, and the document at `/openapi/v1.json`.
    pub fn routes(&self) -> Router {
        let json = self.to_json();
        let document = move || {
            let json = json.clone();
            async move { ([("content-type", "application/json")], json).into_response() }
        };
        let swagger =
            utoipa_swagger_ui::SwaggerUi::new("/docs").config(utoipa_swagger_ui::Config::from("/openapi/v1.json"));
        Router::new()
            .merge(Router::from(swagger))
            .layer(axum::middleware::map_response(allow_page_assets))
            .route("/openapi/v1.json", axum::routing::get(document))
    }

    /// Adds what holds for every operation, in this one place: the problems each may answer with and how to authenticate.
    fn finish(mut document: Value, title: &str, version: &str) -> Self {
        document["info"] = json!({
            "title": title,
            "version": version,
            "description": "Errors are `application/problem+json` (RFC 9457). Lists are pages: `next_cursor` leads on.",
        });
        let schemas = document["components"]["schemas"].as_object().cloned().unwrap_or_default();
        let mut schemas: Map<String, Value> = schemas;
        schemas.insert("Problem".into(), schema::<ProblemBody>());
        schemas.insert("FieldError".into(), schema::<FieldError>());
        document["components"] = json!({
            "schemas": schemas,
            "securitySchemes": { "access_token": {
                "type": "http",
                "scheme": "bearer",
                "description": "The access token of a login (a JWT), or a personal access token: with the scope `read` for GET, \
                                with `write` for everything. What concerns your account and its credentials takes a login.",
            } },
        });
        let paths = document["paths"].as_object_mut();
        for operation in paths.into_iter().flat_map(|paths| paths.values_mut()).flat_map(every_operation) {
            add_problems(operation);
        }
        Self(document)
    }
}

fn schema<T: PartialSchema>() -> Value {
    serde_json::to_value(T::schema()).unwrap_or_default()
}

fn every_operation(item: &mut Value) -> impl Iterator<Item = &mut Value> {
    item.as_object_mut()
        .into_iter()
        .flatten()
        .filter(|(method, _)| METHODS.contains(&method.as_str()))
        .map(|(_, op)| op)
}

fn add_problems(operation: &mut Value) {
    let authenticated = operation["security"].as_array().is_some_and(|schemes| !schemes.is_empty());
    let has_body = operation.get("requestBody").is_some();
    let reads_json = operation["requestBody"]["content"].get("application/json").is_some();
    let parameters = operation["parameters"].as_array().cloned().unwrap_or_default();
    let has = |place: &str| parameters.iter().any(|parameter| parameter["in"] == place);
    let mut problems =
        vec![("500", "Our mistake; the request id finds it."), ("503", "Busy; try again after Retry-After.")];
    problems.push(("429", "Too many requests; try again after Retry-After."));
    if authenticated {
        problems.push(("401", "The access token is missing, expired or revoked."));
    }
    if authenticated {
        problems.push(("403", "Your role or the scope of your token does not allow this, or it takes a login."));
    }
    if has("path") {
        problems.push(("404", "It does not exist, or it is not yours."));
    }
    if has_body || has("query") {
        problems.push(("400", "Not readable: malformed JSON, cursor or key."));
    }
    if reads_json || has("query") {
        problems.push(("422", "Some fields are not valid; `errors` names each."));
    }
    if has_body {
        problems.push(("413", "The body is too large."));
    }
    if reads_json {
        problems.push(("415", "Not JSON in UTF-8."));
    }
    let Some(responses) = operation["responses"].as_object_mut() else { return };
    for (status, description) in problems {
        responses.entry(status).or_insert_with(|| {
            json!({
                "description": description,
                "content": { "application/problem+json": { "schema": { "$ref": "#/components/schemas/Problem" } } },
            })
        });
    }
    responses.sort_keys();
}

/// The page runs its own bundled scripts, so the strict policy of the API does not fit.
async fn allow_page_assets(mut response: axum::response::Response) -> axum::response::Response {
    let policy = "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'";
    let value = axum::http::HeaderValue::from_static(policy);
    response.headers_mut().insert(axum::http::header::CONTENT_SECURITY_POLICY, value);
    response
}

use axum::body::{Bytes, HttpBody};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::header::CONTENT_TYPE;
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use garde::Validate;
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::problem::Problem;

/// A JSON body. As an argument it is read and validated; as an answer it is written.
///
/// Reading: wrong media type 415, too large 413, not JSON 400, wrong type or unknown field 422 with its path, broken rules 422
/// with every field at once. Without a body the request says `null`, which only `Json<Option<T>>` accepts.
#[derive(Clone, Copy, Debug)]
pub struct Json<T>(pub T);

impl<S, T> FromRequest<S> for Json<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Validate<Context = ()>,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        read(request, state).await.map(|(_, value)| Json(value))
    }
}

impl<T: Serialize> IntoResponse for Json<T> {
    fn into_response(self) -> Response {
        axum::Json(self.0).into_response()
    }
}

/// The body of a request, and what it says.
pub(super) async fn read<S, T>(request: Request, state: &S) -> Result<(Bytes, T), Problem>
where
    S: Send + Sync,
    T: DeserializeOwned + Validate<Context = ()>,
{
    if request.body().is_end_stream()
        && let Ok(nothing) = parse(b"null")
    {
        return Ok((Bytes::new(), nothing));
    }
    require_json(request.headers())?;
    let bytes = Bytes::from_request(request, state).await.map_err(|rejection| unreadable(&rejection))?;
    let value = parse(&bytes)?;
    Ok((bytes, value))
}

/// The body cannot be read: it is larger than the limit, or the client went away.
pub(super) fn unreadable(rejection: &axum::extract::rejection::BytesRejection) -> Problem {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "body_too_large", "The body is larger than this operation accepts.")
    } else {
        Problem::new(StatusCode::BAD_REQUEST, "unreadable_body", "The body could not be read.")
    }
}

/// 415 unless the body is JSON in UTF-8, sent without compression.
fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let refuse = |detail: &str| Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "unsupported_media_type", detail));
    if headers.get(axum::http::header::CONTENT_ENCODING).is_some_and(|encoding| encoding != "identity") {
        return refuse("Send the body without compression.");
    }
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let mut parts = content_type.split(';').map(|part| part.trim().to_ascii_lowercase());
    let is_json = parts.next().is_some_and(|media| media == "application/json");
    if is_json && parts.all(|parameter| matches!(&*parameter, "" | "charset=utf-8" | "charset=\"utf-8\"")) {
        Ok(())
    } else {
        refuse("Send application/json in UTF-8.")
    }
}

/// Text to a validated value.
fn parse<T: DeserializeOwned + Validate<Context = ()>>(bytes: &[u8]) -> Result<T, Problem> {
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value: T = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        json_problem(&path, error.inner())
    })?;
    deserializer.end().map_err(|error| json_problem("", &error))?;
    value.validate()?;
    Ok(value)
}

fn json_problem(path: &str, error: &serde_json::Error) -> Problem {
    use serde_json::error::Category;
    match error.classify() {
        Category::Data => {
            let (field, message) = (bounded(&field_of(path, error)), bounded(&without_position(error)));
            Problem::invalid().field(field, field_code(error), message)
        }
        Category::Syntax | Category::Eof | Category::Io => {
            Problem::new(StatusCode::BAD_REQUEST, "malformed_json", format!("The body is not JSON: {error}"))
        }
    }
}

/// Clients choose field names; an answer does not repeat long ones.
fn bounded(text: &str) -> String {
    text.chars().take(256).collect()
}

/// serde reports an unknown or missing field at its parent; a client wants the field itself.
fn field_of(path: &str, error: &serde_json::Error) -> String {
    let message = error.to_string();
    let named = ["unknown field `", "missing field `", "duplicate field `"]
        .iter()
        .find_map(|prefix| message.strip_prefix(prefix)?.split_once('`').map(|(name, _)| name.to_owned()));
    let parent = if path == "." || path == "?" { "" } else { path };
    match named {
        Some(name) if parent.is_empty() || parent == name || parent.ends_with(&format!(".{name}")) => {
            if parent.is_empty() { name } else { parent.to_owned() }
        }
        Some(name) => format!("{parent}.{name}"),
        None => parent.to_owned(),
    }
}

fn field_code(error: &serde_json::Error) -> &'static str {
    let message = error.to_string();
    if message.starts_with("unknown field") {
        "unknown_field"
    } else if message.starts_with("missing field") {
        "required"
    } else if message.starts_with("duplicate field") {
        "duplicate_field"
    } else if message.starts_with("unknown variant") {
        "unknown_value"
    } else {
        "wrong_type"
    }
}

fn without_position(error: &serde_json::Error) -> String {
    let message = error.to_string();
    message.rsplit_once(" at line ").map_or(message.clone(), |(text, _)| text.to_owned())
}

/// Values from the path. A malformed id names nothing, hence 404.
#[derive(Clone, Copy, Debug)]
pub struct Path<T>(pub T);

impl<S: Send + Sync, T: DeserializeOwned + Send> FromRequestParts<S> for Path<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = axum::extract::Path::<T>::from_request_parts(parts, state).await;
        path.map(|axum::extract::Path(value)| Path(value)).map_err(|_| Problem::not_found())
    }
}

/// Filters from the query string, validated. Unknown, repeated or malformed parameters are 422.
#[derive(Clone, Copy, Debug)]
pub struct Query<T>(pub T);

impl<S, T> FromRequestParts<S> for Query<T>
where
    S: Send + Sync,
    T: DeserializeOwned + Validate<Context = ()>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let value: T =
            serde_path_to_error::deserialize(serde_urlencoded::Deserializer::new(pairs(query))).map_err(|error| {
                let (path, message) = (error.path().to_string(), error.inner().to_string());
                Problem::invalid().field(path, "invalid", message)
            })?;
        value.validate()?;
        Ok(Query(value))
    }
}

fn pairs(query: &str) -> form_urlencoded::Parse<'_> {
    form_urlencoded::parse(query.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::text! {
        /// Sample.
        pub struct SampleName(2..=5);
    }

    #[derive(Debug, serde::Deserialize, garde::Validate)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read by the derive")]
    struct Sample {
        #[garde(dive)]
        name: SampleName,
        #[garde(skip)]
        inner: Option<Inner>,
    }

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only read by the derive")]
    struct Inner {
        count: u8,
    }

    fn refusal(body: &str) -> (u16, &'static str, Vec<(String, String)>) {
        let problem = parse::<Sample>(body.as_bytes()).expect_err(body);
        let fields = problem.errors().iter().map(|error| (error.field.clone(), error.code.clone())).collect();
        (problem.status().as_u16(), problem.code(), fields)
    }

    #[test]
    fn every_kind_of_bad_body_names_its_field_and_code() {
        let field = |field: &str, code: &str| vec![(field.to_owned(), code.to_owned())];
        let cases = [
            ("{", 400, "malformed_json", vec![]),
            (r#"{"name":"abc"} x"#, 400, "malformed_json", vec![]),
            (r#"{"name":1}"#, 422, "invalid_request", field("name", "wrong_type")),
            (r#"{"name":"abc","role":"owner"}"#, 422, "invalid_request", field("role", "unknown_field")),
            (r#"{"name":"abc","inner":{"count":1,"x":2}}"#, 422, "invalid_request", field("inner.x", "unknown_field")),
            (r#"{"name":"abc","inner":{"count":256}}"#, 422, "invalid_request", field("inner.count", "wrong_type")),
            (r#"{"inner":{}}"#, 422, "invalid_request", field("inner.count", "required")),
            ("{}", 422, "invalid_request", field("name", "required")),
            (r#"{"name":"abc","name":"abd"}"#, 422, "invalid_request", field("name", "duplicate_field")),
            (r#"{"name":"a"}"#, 422, "invalid_request", field("name", "too_short")),
        ];
        for (body, status, code, fields) in cases {
            assert_eq!(refusal(body), (status, code, fields), "{body}");
        }
    }

    async fn said<T>(body: &'static str, content_type: &str) -> Result<T, (u16, &'static str)>
    where
        T: DeserializeOwned + Validate<Context = ()>,
    {
        let request = Request::builder().header(CONTENT_TYPE, content_type).body(body.into()).expect("a request");
        let read = Json::<T>::from_request(request, &()).await;
        read.map(|Json(value)| value).map_err(|problem| (problem.status().as_u16(), problem.code()))
    }

    #[tokio::test]
    async fn no_body_says_nothing_where_that_will_do() {
        for content_type in ["", "application/json"] {
            assert!(matches!(said::<Option<Sample>>("", content_type).await, Ok(None)), "{content_type}");
        }
        let given = said::<Option<Sample>>(r#"{"name":"abc"}"#, "application/json").await;
        assert_eq!(given.map(|sample| sample.map(|sample| sample.name)), Ok(Some(SampleName::from("abc"))));
        let refusals = [
            (said::<Option<Sample>>("{}", "application/json").await.err(), (422, "invalid_request")),
            (said::<Option<Sample>>(r#"{"name":"abc"}"#, "").await.err(), (415, "unsupported_media_type")),
            (said::<Sample>("", "").await.err(), (415, "unsupported_media_type")),
            (said::<Sample>("", "application/json").await.err(), (400, "malformed_json")),
        ];
        for (got, wanted) in refusals {
            assert_eq!(got, Some(wanted));
        }
    }

    #[test]
    fn only_plain_json_in_utf8_is_read() {
        let verdict = |content_type: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, content_type.parse().expect("a header"));
            require_json(&headers).is_ok()
        };
        assert!(verdict("application/json") && verdict("Application/JSON; charset=UTF-8"));
        for other in
            ["text/plain", "application/xml", "application/json; charset=utf-16", "multipart/form-data", "text/json"]
        {
            assert!(!verdict(other), "{other}");
        }
        assert!(require_json(&HeaderMap::new()).is_err());
    }
}

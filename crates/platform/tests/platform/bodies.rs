//! How large a body may be, on real sockets, announced by its length or in chunks.

use std::convert::Infallible;

use axum::body::{Body, Bytes};
use axum::http::Request;
use futures_util::stream;
use platform::http::{Document, RawBody, Routes};
use test_support::Answer;

use crate::site::{Site, request};

const USUAL: usize = 64 * 1024;
const LARGE: usize = 1024 * 1024;

/// Tell the size
///
/// Of what was sent.
#[utoipa::path(post, path = "/size", request_body(content = inline(RawBody), content_type = "*/*"),
    responses((status = 200, description = "The size.")))]
async fn size(RawBody(body): RawBody) -> String {
    body.len().to_string()
}

fn sizes() -> (axum::Router, Document) {
    let usual = Routes::new().with(utoipa_axum::routes!(size));
    let large = Routes::new().with(utoipa_axum::routes!(size)).body_limit(LARGE);
    Routes::new().nest("/usual", usual).nest("/large", large).split("test", "1")
}

fn announced(path: &str, size: usize) -> Request<Body> {
    let mut request = request("POST", path);
    *request.body_mut() = Body::from(vec![b'x'; size]);
    request
}

fn chunked(path: &str, size: usize) -> Request<Body> {
    let whole = Bytes::from(vec![b'x'; size]);
    let chunks = whole.chunks(16 * 1024).map(|chunk| Ok::<_, Infallible>(whole.slice_ref(chunk))).collect::<Vec<_>>();
    let mut request = request("POST", path);
    *request.body_mut() = Body::from_stream(stream::iter(chunks));
    request
}

#[tokio::test]
async fn a_body_may_be_as_large_as_its_operation_says_and_no_larger() {
    let site = Site::open_with(sizes().0, |_, _| {}).await;
    for (path, limit) in [("/usual/size", USUAL), ("/large/size", LARGE)] {
        for send in [announced, chunked] {
            let taken: Answer = site.ask(send(path, limit)).await;
            assert_eq!((taken.status.as_u16(), taken.text), (200, limit.to_string()), "{path}");
            site.ask(send(path, limit + 1)).await.expect_problem(413, "body_too_large");
        }
    }
}

#[tokio::test]
async fn a_raw_body_may_be_of_any_media_type_and_encoding() {
    let site = Site::open_with(sizes().0, |_, _| {}).await;
    for (name, value) in [("content-type", "application/xml"), ("content-type", "nonsense"), ("content-encoding", "br")]
    {
        let mut request = announced("/usual/size", 3);
        request.headers_mut().insert(name, value.parse().expect("a header"));
        assert_eq!(site.ask(request).await.text, "3", "{value}");
    }
    assert_eq!(site.ask(announced("/usual/size", 0)).await.text, "0", "without a content type");
    let document = sizes().1;
    let answers = &document.value()["paths"]["/usual/size"]["post"]["responses"];
    assert!(answers.get("413").is_some());
    assert!(answers.get("415").is_none() && answers.get("422").is_none(), "{answers}");
}

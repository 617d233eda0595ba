use std::future::pending;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

use super::*;
use crate::telemetry::{RequestContext, spawn, with_context};

fn config(addresses: AddressRules) -> OutboundConfig {
    OutboundConfig {
        connect_timeout_ms: 3_000,
        total_timeout_ms: 10_000,
        answer_cap_bytes: 64 * 1024,
        addresses,
        user_agent: "tests".to_owned(),
    }
}

/// A client that may call this machine. Servers below that never finish are cut off after 50 ms.
fn client(total_timeout_ms: u64) -> Outbound {
    Outbound::new(&OutboundConfig { total_timeout_ms, ..config(AddressRules::Any) }).expect("a valid configuration")
}

/// Serves each connection with `serve` and reports how many there were. Returns the URL.
async fn server<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> (String, mpsc::UnboundedReceiver<()>)
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/hook?token=sesame", listener.local_addr().expect("bound"));
    let (seen, connections) = mpsc::unbounded_channel();
    spawn("server", async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Not every test looks at the count.
            let _ = seen.send(());
            spawn("connection", serve(stream));
        }
    });
    (url, connections)
}

/// Reads the request with its body, so that closing the connection resets nothing. In these tests a GET has none and all
/// others have `{}`.
async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    let whole = |request: &[u8]| {
        request.ends_with(if request.starts_with(b"GET") { b"\r\n\r\n".as_slice() } else { b"\r\n\r\n{}" })
    };
    while !whole(&request) && stream.read_buf(&mut request).await.unwrap_or(0) > 0 {}
    String::from_utf8_lossy(&request).into_owned()
}

/// A server that reads the request, answers with this text and then keeps the connection open.
async fn answering(answer: &'static str) -> (String, mpsc::UnboundedReceiver<()>) {
    server(move |mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(answer.as_bytes()).await;
        pending::<()>().await;
    })
    .await
}

#[tokio::test]
async fn an_answer_of_any_status_is_an_answer() {
    let (url, _) = answering("HTTP/1.1 503 x\r\nretry-after: 7\r\ncontent-length: 4\r\n\r\nbusy").await;
    let answer = client(10_000).post(&url, HeaderMap::new(), "{}").await.expect("answered");
    assert_eq!(answer.status, 503);
    assert_eq!(answer.excerpt, b"busy");
    assert_eq!(answer.retry_after, Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn the_request_carries_body_headers_and_context_and_accepts_no_compression() {
    let (heads, mut head) = mpsc::unbounded_channel();
    let (url, _) = server(move |mut stream| {
        let heads = heads.clone();
        async move {
            let _ = heads.send(read_request(&mut stream).await);
            let _ = stream.write_all(b"HTTP/1.1 204 x\r\n\r\n").await;
        }
    })
    .await;
    let context = RequestContext {
        request_id: "r-1".to_owned(),
        traceparent: Some("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned()),
        client: None,
    };
    let mut headers = HeaderMap::new();
    headers.insert("x-sample", HeaderValue::from_static("sample"));
    let client = client(10_000);
    with_context(context, client.post(&url, headers, "{}")).await.expect("answered");
    let head = head.recv().await.expect("a request").to_ascii_lowercase();
    assert!(head.starts_with("post /hook?token=sesame http/1.1\r\n"), "{head}");
    for line in
        ["x-sample: sample", "x-request-id: r-1", "accept-encoding: identity", "content-length: 2", "user-agent: tests"]
    {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{line} is missing in\n{head}");
    }
    assert!(head.contains("\r\ntraceparent: 00-0af7651916cd43dd8448eb211c80319c-"), "{head}");
    assert!(!head.contains("b7ad6b7169203331"), "the call is a step of its own\n{head}");
}

#[tokio::test]
async fn a_redirect_is_an_answer_and_is_not_followed() {
    let (inner, mut inner_connections) = answering("HTTP/1.1 200 x\r\ncontent-length: 0\r\n\r\n").await;
    let location: &'static str = format!("HTTP/1.1 307 x\r\nlocation: {inner}\r\ncontent-length: 0\r\n\r\n").leak();
    let (url, mut connections) = answering(location).await;
    let answer = client(10_000).post(&url, HeaderMap::new(), "{}").await.expect("answered");
    assert_eq!(answer.status, 307);
    assert!(connections.try_recv().is_ok());
    assert!(inner_connections.try_recv().is_err(), "the redirect was followed");
}

#[tokio::test]
async fn an_endless_answer_is_cut_at_the_cap() {
    let (url, _) = server(|mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 x\r\ncontent-length: 1073741824\r\n\r\n").await;
        while stream.write_all(&[b'a'; 8192]).await.is_ok() {}
    })
    .await;
    let answer = client(10_000).post(&url, HeaderMap::new(), "{}").await.expect("answered");
    assert_eq!(answer.status, 200);
    assert_eq!(answer.excerpt, [b'a'; 4096]);
}

#[tokio::test]
async fn other_methods_are_sent_as_they_are_and_the_whole_answer_is_kept() {
    let (heads, mut head) = mpsc::unbounded_channel();
    let (url, _) = server(move |mut stream| {
        let heads = heads.clone();
        async move {
            let _ = heads.send(read_request(&mut stream).await);
            let answer = "HTTP/1.1 404 x\r\nx-sample: b\r\nretry-after: 7\r\nconnection: close\r\n\r\n".to_owned();
            let _ = stream.write_all((answer + &"a".repeat(10_000)).as_bytes()).await;
        }
    })
    .await;
    for (method, body) in [(Method::GET, ""), (Method::POST, "{}"), (Method::DELETE, "{}")] {
        let name = method.to_string();
        let answer = client(10_000).send(method, &url, HeaderMap::new(), body).await.expect("answered");
        let head = head.recv().await.expect("a request");
        assert!(head.starts_with(&name) && head.ends_with(&format!("\r\n\r\n{body}")), "{head}");
        assert!(head.contains("\r\naccept-encoding: identity\r\n"), "{head}");
        assert_eq!((answer.status.as_u16(), answer.cut), (404, false));
        assert_eq!(answer.headers["x-sample"], "b");
        assert_eq!((answer.body.len(), answer.retry_after), (10_000, Some(Duration::from_secs(7))));
    }
}

#[tokio::test]
async fn an_answer_as_long_as_the_cap_is_whole_and_one_byte_more_is_cut() {
    let (url, _) = answering("HTTP/1.1 200 x\r\ncontent-length: 10\r\n\r\n0123456789").await;
    for (cap, kept, cut) in [(11, "0123456789", false), (10, "0123456789", false), (9, "012345678", true)] {
        let config = OutboundConfig { answer_cap_bytes: cap, ..config(AddressRules::Any) };
        let client = Outbound::new(&config).expect("a valid configuration");
        let answer = client.send(Method::POST, &url, HeaderMap::new(), "{}").await.expect("answered");
        assert_eq!((answer.body.as_slice(), answer.cut), (kept.as_bytes(), cut), "cap {cap}");
    }
}

#[tokio::test]
async fn a_compressed_bomb_is_kept_as_it_came() {
    let (url, _) =
        answering("HTTP/1.1 200 x\r\ncontent-encoding: gzip\r\ncontent-length: 4\r\n\r\n\x1f\x0b\x08\x00").await;
    let answer = client(10_000).post(&url, HeaderMap::new(), "{}").await.expect("answered");
    assert_eq!(answer.excerpt, b"\x1f\x0b\x08\x00");
}

#[tokio::test]
async fn a_server_that_never_answers_or_drips_is_a_timeout() {
    let (silent, _) = answering("").await;
    let (unfinished_head, _) = answering("HTTP/1.1 200 x\r\nx-a: b\r\n").await;
    let (unfinished_body, _) = answering("HTTP/1.1 200 x\r\ncontent-length: 100\r\n\r\na").await;
    let (dripping, _) = server(|mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 x\r\ncontent-length: 1000000\r\n\r\n").await;
        let mut drip = tokio::time::interval(Duration::from_millis(5));
        while stream.write_all(b"a").await.is_ok() {
            drip.tick().await;
        }
    })
    .await;
    for url in [silent, unfinished_head, unfinished_body, dripping] {
        let error = client(50).post(&url, HeaderMap::new(), "{}").await.expect_err("too slow");
        assert_eq!((error.class(), error.never_sent()), ("timeout", false));
        assert!(error.duration() >= Duration::from_millis(50));
    }
}

#[tokio::test]
async fn failures_have_stable_classes_and_do_not_repeat_the_url() {
    let closed = {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        format!("http://{}/?token=sesame", listener.local_addr().expect("bound"))
    };
    let (no_http, _) = answering("SSH-2.0-OpenSSH\r\n\r\n").await;
    let (plain, _) = server(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 x\r\n\r\n").await;
        read_request(&mut stream).await;
    })
    .await;
    let (hanging_up, _) = server(|mut stream| async move { drop(read_request(&mut stream).await) }).await;
    let unknown = "http://no-such-name.example/?token=sesame".to_owned();
    let names = Outbound::with_names(&config(AddressRules::Any), |_| Vec::new()).expect("a valid configuration");
    let (half, _) = server(|mut stream| async move {
        read_request(&mut stream).await;
        let _ = stream.write_all(b"HTTP/1.1 200 x\r\ncontent-length: 4\r\n\r\nab").await;
    })
    .await;
    for (client, url, class, never_sent) in [
        (client(10_000), closed, "connect", true),
        (client(10_000), no_http, "other", false),
        (client(10_000), plain.replace("http:", "https:"), "tls", true),
        (client(10_000), hanging_up, "other", false),
        (client(10_000), half, "other", false),
        (names, unknown, "dns", true),
    ] {
        let error = client.post(&url, HeaderMap::new(), "{}").await.expect_err("fails");
        assert_eq!((error.class(), error.never_sent()), (class, never_sent), "{url}: {error}");
        assert!(!format!("{error} {error:?}").contains("sesame"), "{error:?}");
    }
}

#[tokio::test]
async fn a_name_that_points_inside_is_refused_at_the_connection() {
    let inside: Vec<IpAddr> = ["127.0.0.1", "::1", "169.254.169.254"].map(|ip| ip.parse().expect("an address")).into();
    let look_up = move |_: &str| inside.clone();
    let client = Outbound::with_names(&config(AddressRules::PublicOnly), look_up).expect("a valid configuration");
    let url = "https://hooks.example.com/hook";
    assert!(check_url(url, client.rules()).is_ok(), "the name itself looks public");
    let error = client.post(url, HeaderMap::new(), "{}").await.expect_err("refused");
    assert_eq!((error.class(), error.never_sent()), ("address_refused", true), "{error}");
}

#[tokio::test]
async fn of_several_addresses_only_the_public_ones_are_handed_on() {
    use reqwest::dns::Resolve;
    let mixed: Vec<IpAddr> = ["10.0.0.1", "8.8.8.8", "::1"].map(|ip| ip.parse().expect("an address")).into();
    let resolver = CheckedResolver::new(AddressRules::PublicOnly, Names::Given(Box::new(move |_| mixed.clone())));
    let dialled = resolver.resolve("mixed.example.com".parse().expect("a name")).await.expect("one is public");
    assert_eq!(dialled.map(|address| address.ip().to_string()).collect::<Vec<_>>(), ["8.8.8.8"]);
}

#[tokio::test]
async fn an_inner_address_in_the_url_is_refused_before_anything_is_dialled() {
    let (url, mut connections) = answering("HTTP/1.1 200 x\r\ncontent-length: 0\r\n\r\n").await;
    let client = Outbound::new(&config(AddressRules::PublicOnly)).expect("a valid configuration");
    for url in [url.as_str(), "https://127.1/", "https://[::ffff:127.0.0.1]/", "https://localhost/"] {
        let error = client.post(url, HeaderMap::new(), "{}").await.expect_err("refused");
        assert_eq!((error.class(), error.never_sent()), ("address_refused", true), "{url}: {error}");
    }
    assert!(connections.try_recv().is_err(), "a connection was made");
}

#[test]
fn the_client_can_be_made_ahead_and_bad_settings_show() {
    let outbound = Outbound::new(&config(AddressRules::PublicOnly)).expect("a valid configuration");
    outbound.prepare().expect("TLS is available");
    outbound.prepare().expect("still there");
    let bad = OutboundConfig { user_agent: "a\nb".to_owned(), ..config(AddressRules::PublicOnly) };
    assert_eq!(bad.complaints(true).len(), 1);
    assert!(Outbound::new(&bad).is_err());
}

#[test]
fn production_refuses_rules_that_allow_any_address() {
    assert!(config(AddressRules::PublicOnly).complaints(true).is_empty());
    assert_eq!(config(AddressRules::Any).complaints(true).len(), 1);
    assert!(config(AddressRules::Any).complaints(false).is_empty());
}

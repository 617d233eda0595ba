//! A server that answers what no Stripe would.

use platform::telemetry::spawn;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

/// A server that answers every call with this text and tells what it was asked.
pub(crate) async fn answering(answer: String) -> (String, mpsc::UnboundedReceiver<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("bound"));
    let (asked, questions) = mpsc::unbounded_channel();
    spawn("server", async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let question = read_request(&mut stream).await;
            // Not every test listens.
            let _ = asked.send(question);
            // The caller may have heard enough.
            let _ = stream.write_all(answer.as_bytes()).await;
        }
    });
    (url, questions)
}

/// Head and body of a request.
async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).into_owned();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().expect("a number")) {
                return text;
            }
        }
        assert!(stream.read_buf(&mut request).await.expect("reads") > 0, "the caller hung up");
    }
}

/// An answer without a header that matters.
pub(crate) fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

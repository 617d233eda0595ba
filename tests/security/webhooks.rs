//! Cases 37, 47 and 48: what comes in, where we call, and who answers there.

mod addresses;
mod incoming;
mod receivers;

use std::future::Future;

use platform::telemetry::spawn;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::asking::{get, patch, sql, text};
use crate::home::{Home, send};

/// An organization that wants to be told of its new names.
struct Hooks {
    home: Home,
    token: String,
    /// `/v1/organizations/{id}`
    path: String,
}

impl Hooks {
    async fn of(home: Home) -> Self {
        let owner = home.person("owner@example.com").await;
        let path = format!("/v1/organizations/{}", home.organization(&owner).await);
        Self { home, token: owner.token, path }
    }

    fn create(&self, url: &str) -> RequestBuilder {
        let wish = json!({ "url": url, "event_types": ["organization.updated"] });
        let path = format!("{}/webhook-endpoints", self.path);
        self.home.ask(Method::POST, &path).bearer_auth(&self.token).json(&wish)
    }

    fn change(&self, endpoint: &str, url: &str) -> RequestBuilder {
        let path = format!("{}/webhook-endpoints/{endpoint}", self.path);
        patch(&self.home, &self.token, &path, &json!({ "url": url }))
    }

    /// Registers an endpoint: its id.
    async fn register(&self, url: &str) -> String {
        text(&send(self.create(url)).await.expect(201)["id"])
    }

    /// Makes so many messages; nothing is sent before somebody works.
    async fn happen(&self, count: usize) {
        for number in 0..count {
            let rename = patch(&self.home, &self.token, &self.path, &json!({ "name": format!("Acme {number}") }));
            send(rename).await.expect(200);
        }
    }

    async fn look(&self, below: &str) -> Value {
        send(get(&self.home, &self.token, &format!("{}/{below}", self.path))).await.expect(200)
    }

    /// What an endpoint was sent, newest first.
    async fn deliveries(&self, endpoint: &str) -> Vec<Value> {
        let page = self.look(&format!("webhook-endpoints/{endpoint}/deliveries?limit=100")).await;
        page["data"].as_array().expect("a page").clone()
    }

    /// The only delivery of an endpoint, with its attempts.
    async fn delivery(&self, endpoint: &str) -> Value {
        let [delivery] = &self.deliveries(endpoint).await[..] else { panic!("one delivery") };
        self.look(&format!("deliveries/{}", text(&delivery["id"]))).await
    }

    /// Makes what waits due.
    async fn hurry(&self) {
        sql(
            &self.home,
            "UPDATE webhooks.due_deliveries SET next_at = now() WHERE lease IS NULL;
             UPDATE webhooks.endpoints SET next_ready_at = now()",
        )
        .await;
    }
}

/// Somebody who does not speak HTTP as one should: every connection is served by this. The URL to register.
async fn rogue<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> String
where
    F: Future<Output = ()> + Send + 'static,
{
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
    spawn("rogue", async move {
        while let Ok((stream, _)) = listener.accept().await {
            spawn("connection", serve(stream));
        }
    });
    url
}

/// Answers every request with these bytes and closes.
async fn answering(answer: Vec<u8>) -> String {
    rogue(move |mut stream| {
        let answer = answer.clone();
        async move {
            read_request(&mut stream).await;
            stream.write_all(&answer).await.ok();
            stream.shutdown().await.ok();
        }
    })
    .await
}

/// Reads a request with its body: the head, in lower case.
async fn read_request(stream: &mut TcpStream) -> String {
    let mut request = Vec::new();
    loop {
        let text = String::from_utf8_lossy(&request).to_lowercase();
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
            if body.len() >= length.unwrap_or(0) {
                return head.to_owned();
            }
        }
        if stream.read_buf(&mut request).await.unwrap_or(0) == 0 {
            return text;
        }
    }
}

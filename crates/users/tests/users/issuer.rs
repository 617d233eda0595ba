//! An issuer of access tokens, on a port of its own, that shows whatever keys a test wants.

use std::sync::{Arc, Mutex, PoisonError};

use platform::telemetry;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use users::{Config, IssuerConfig, TokenAlgorithm};

use crate::forge::{Signer, forge};
use crate::house::House;

pub(crate) const URL: &str = "https://login.example";
pub(crate) const AUDIENCE: &str = "our-api";

pub(crate) struct Issuer {
    pub(crate) signer: Signer,
    pub(crate) kid: &'static str,
    jwks_url: String,
    desk: Arc<Mutex<Desk>>,
}

/// What is answered, and how often it was.
struct Desk {
    status: u16,
    document: String,
    asked: usize,
}

impl Issuer {
    /// One with this key.
    pub(crate) async fn open(signer: Signer) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let jwks_url = format!("http://{}/keys", listener.local_addr().expect("bound"));
        let desk = Arc::new(Mutex::new(Desk { status: 200, document: String::new(), asked: 0 }));
        let (issuer, served) = (Self { signer, kid: "key-1", jwks_url, desk: desk.clone() }, desk);
        issuer.publish(&[issuer.signer.jwk(issuer.kid)]);
        telemetry::spawn("issuer", async move {
            while let Ok((stream, _)) = listener.accept().await {
                answer(stream, &served).await;
            }
        });
        issuer
    }

    pub(crate) fn publish(&self, keys: &[Value]) {
        lock(&self.desk).document = json!({ "keys": keys }).to_string();
    }

    /// From now on every answer has this status.
    pub(crate) fn answer_with(&self, status: u16) {
        lock(&self.desk).status = status;
    }

    /// How often somebody asked for the keys.
    pub(crate) fn asked(&self) -> usize {
        lock(&self.desk).asked
    }

    /// A house in which people of this issuer come and go. It has asked for the keys by then.
    pub(crate) async fn house(&self) -> House {
        let house = House::open_with(|config| self.configure(config)).await;
        test_support::eventually("the keys are asked for", async || self.asked() > 0).await;
        house
    }

    pub(crate) fn configure(&self, config: &mut Config) {
        config.issuer = IssuerConfig {
            url: URL.to_owned(),
            audience: AUDIENCE.to_owned(),
            other_audiences: vec!["userinfo".to_owned()],
            jwks_url: self.jwks_url.clone(),
            algorithms: vec![TokenAlgorithm::EdDSA, TokenAlgorithm::ES256, TokenAlgorithm::RS256],
            token_type: "at+jwt".to_owned(),
        };
    }

    pub(crate) fn header(&self) -> Value {
        let algorithm = match self.signer {
            Signer::EdDsa(_) => "EdDSA",
            Signer::Es256(_) => "ES256",
            _ => "RS256",
        };
        json!({ "alg": algorithm, "typ": "at+jwt", "kid": self.kid })
    }

    pub(crate) fn token(&self, claims: &Value) -> String {
        forge(&self.header(), claims, &self.signer)
    }

    /// A token with another header.
    pub(crate) fn token_with(&self, house: &House, field: &str, value: &Value) -> String {
        let mut header = self.header();
        header[field] = value.clone();
        forge(&header, &ada(house), &self.signer)
    }
}

/// What the issuer says of Ada.
pub(crate) fn ada(house: &House) -> Value {
    person(house, "subject-1", "Ada@example.com")
}

pub(crate) fn person(house: &House, subject: &str, email: &str) -> Value {
    let now = house.clock.now().timestamp();
    json!({
        "iss": URL, "sub": subject, "aud": AUDIENCE, "iat": now, "exp": now + 300, "auth_time": now - 60,
        "email": email, "email_verified": true, "name": "Ada Lovelace",
    })
}

async fn answer(mut stream: TcpStream, desk: &Mutex<Desk>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") && stream.read_buf(&mut request).await.unwrap_or(0) > 0 {}
    let text = {
        let mut desk = lock(desk);
        desk.asked += 1;
        let (status, document) = (desk.status, &desk.document);
        format!("HTTP/1.1 {status} x\r\nconnection: close\r\ncontent-length: {}\r\n\r\n{document}", document.len())
    };
    // Whoever hung up needs no answer.
    stream.write_all(text.as_bytes()).await.ok();
}

fn lock(desk: &Mutex<Desk>) -> std::sync::MutexGuard<'_, Desk> {
    desk.lock().unwrap_or_else(PoisonError::into_inner)
}

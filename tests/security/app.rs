//! What makes codes on somebody's phone (RFC 6238).

use aws_lc_rs::hmac::{HMAC_SHA1_FOR_LEGACY_USE_ONLY, Key, sign};
use reqwest::Method;
use serde_json::json;

use super::asking::{post, text};
use crate::home::{Home, send};

pub(super) struct App {
    /// As it was typed into the app.
    pub(super) secret: String,
    key: Key,
}

impl App {
    fn new(secret: String) -> Self {
        let (mut bits, mut count, mut bytes) = (0_u32, 0, Vec::new());
        for letter in secret.bytes() {
            let value = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|known| *known == letter);
            bits = bits << 5 | u32::try_from(value.expect("base32")).expect("five bits");
            count += 5;
            if count >= 8 {
                count -= 8;
                let [.., byte] = (bits >> count).to_be_bytes();
                bytes.push(byte);
            }
        }
        Self { secret, key: Key::new(HMAC_SHA1_FOR_LEGACY_USE_ONLY, &bytes) }
    }

    /// Switches codes on for whoever is logged in, and gives their recovery codes; the clock goes on to the next step.
    pub(super) async fn enrol(home: &Home, token: &str) -> (Self, Vec<String>) {
        let begun = send(home.ask(Method::POST, "/v1/me/mfa/totp").bearer_auth(token)).await.expect(200);
        let app = Self::new(text(&begun["secret"]));
        let confirm = post(home, "/v1/me/mfa/totp/confirm", &json!({ "code": app.code(home, 0) }));
        let confirmed = send(confirm.bearer_auth(token)).await.expect(200);
        home.clock.advance(std::time::Duration::from_secs(30));
        (app, confirmed["recovery_codes"].as_array().into_iter().flatten().map(text).collect())
    }

    /// The code of a step, counted from the current one.
    pub(super) fn code(&self, home: &Home, steps: i64) -> String {
        let step = home.clock.now().timestamp() / 30 + steps;
        let tag = sign(&self.key, &step.to_be_bytes());
        let tag = tag.as_ref();
        let offset = usize::from(tag[19] & 15);
        let four: [u8; 4] = tag[offset..offset + 4].try_into().expect("four bytes");
        format!("{:06}", (u32::from_be_bytes(four) & 0x7fff_ffff) % 1_000_000)
    }

    /// A code that is not good at the moment.
    pub(super) fn wrong_code(&self, home: &Home) -> String {
        let good: Vec<String> = (-1..=1).map(|steps| self.code(home, steps)).collect();
        (0..4).map(|number| format!("{number:06}")).find(|code| !good.contains(code)).expect("three are good")
    }
}

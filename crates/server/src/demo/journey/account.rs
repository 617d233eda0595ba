//! Signing up, coming in, going out.

use serde_json::json;

use super::{Organization, Walk};
use crate::demo::shown::masked;
use crate::dev::client::{Call, Failure, eventually, text};
use crate::dev::seed::ACCOUNT;

/// What a login gives.
pub(super) struct Tokens {
    pub(super) access: String,
    pub(super) refresh: String,
}

impl Walk<'_> {
    pub(super) async fn sign_up(&mut self) -> Result<(), Failure> {
        self.story.step("Ada signs up.");
        let wish = json!({ "email": ACCOUNT.email, "password": ACCOUNT.password, "name": ACCOUNT.name });
        self.call(Call::post("/v1/auth/register", wish), 202, &["message"]).await?;
        self.story.done();
        Ok(())
    }

    /// Gives the token of the link.
    pub(super) async fn read_mail(&mut self) -> Result<String, Failure> {
        self.story.step("A job sends her a mail with a link.");
        let mailbox = Call::get("/dev/mail.json");
        self.story.sent("GET /dev/mail.json", None);
        let mail = eventually("a mail to Ada", async || {
            let list = self.client.send(&mailbox).await?.expect(200)?;
            let mut mails = list.as_array().into_iter().flatten();
            let found = mails.find(|mail| mail["to"] == ACCOUNT.email).cloned();
            Ok(found.ok_or_else(|| format!("the mailbox holds {list}")))
        })
        .await?;
        self.story.came(200, &super::picked(&mail, &["to", "subject"]));
        let text = text(&mail, "/text")?;
        let link = text.split_whitespace().find(|word| word.contains("token="));
        let Some((page, token)) = link.and_then(|link| link.split_once("token=")) else {
            return Err(Failure::otherwise("a link with a token in the mail", format!("it says: {text}")));
        };
        self.story.fact(&format!("{page}token={}", masked(token)));
        self.story.done();
        Ok(token.to_owned())
    }

    pub(super) async fn verify_address(&mut self, token: &str) -> Result<(), Failure> {
        self.story.step("She follows the link, which proves that the address is hers.");
        self.call(Call::post("/v1/auth/verify-email", json!({ "token": token })), 204, &[]).await?;
        self.story.done();
        Ok(())
    }

    pub(super) async fn log_in(&mut self) -> Result<Tokens, Failure> {
        self.story.step("She logs in.");
        let credentials = json!({ "email": ACCOUNT.email, "password": ACCOUNT.password });
        self.tokens(Call::post("/v1/auth/login", credentials)).await
    }

    pub(super) async fn create_organization(&mut self, token: &str) -> Result<Organization, Failure> {
        self.story.step("She creates an organization and owns it.");
        let create = Call::post("/v1/organizations", json!({ "name": "Analytical Engines" })).by(token).once();
        let created = self.call(create, 201, &["id", "name"]).await?;
        let path = format!("/v1/organizations/{}", text(&created, "/id")?);
        self.story.done();
        Ok(Organization { path, token: token.to_owned() })
    }

    pub(super) async fn refresh(&mut self, token: &str) -> Result<Tokens, Failure> {
        self.story.step("Ada's client exchanges its refresh token for a new pair.");
        self.tokens(Call::post("/v1/auth/refresh", json!({ "refresh_token": token }))).await
    }

    pub(super) async fn log_out(&mut self, token: &str) -> Result<(), Failure> {
        self.story.step("She logs out.");
        self.call(Call::bare_post("/v1/auth/logout").by(token), 204, &[]).await?;
        self.story.done();
        Ok(())
    }

    pub(super) async fn knock_with(&mut self, tokens: &[String]) -> Result<(), Failure> {
        self.story.step("Her old access tokens are refused from now on, although they have not expired.");
        for token in tokens {
            self.story.fact(&format!("authorization: Bearer {}", masked(token)));
            self.call(Call::get("/v1/me").by(token), 401, &["code"]).await?;
        }
        self.story.done();
        Ok(())
    }

    async fn tokens(&mut self, call: Call) -> Result<Tokens, Failure> {
        let tokens = self.call(call, 200, &["access_token", "refresh_token", "expires_in"]).await?;
        self.story.done();
        Ok(Tokens { access: text(&tokens, "/access_token")?, refresh: text(&tokens, "/refresh_token")? })
    }
}

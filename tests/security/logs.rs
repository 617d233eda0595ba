//! Case 35: what the house writes down about a journey holds nothing that anybody could use.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::{Arc, Mutex, PoisonError};

use chrono::TimeDelta;
use platform::telemetry::{LogFormat, TelemetryConfig, subscriber};
use reqwest::Method;
use serde_json::json;
use server::{Config, Environment};

use super::app::App;
use super::asking::{
    Tokens, WRONG, get, invite, mailed_token, patch, post, reset_token, text, try_log_in, try_refresh, try_register,
};
use crate::buyer::Buyer;
use crate::home::{Home, Person, send};
use crate::receiver::Receiver;

const EMAIL: &str = "grace.private@example.com";
const MOVED: &str = "grace.moved@example.com";
const INVITED: &str = "ina.invited@example.com";
const SECRET_PASSWORD: &str = "a password nobody may read";
const NEXT_PASSWORD: &str = "the next one, for nobody either";

/// Everything our own code says, and of the database's driver all but the bytes on the wire.
const EVERYTHING: &str =
    "info,platform=trace,users=trace,billing=trace,webhooks=trace,server=trace,house=trace,sqlx=trace";

/// Log lines in memory.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl Lines {
    fn text(&self) -> String {
        String::from_utf8_lossy(&self.0.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
    }
}

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// By name, what no line may hold.
type Secrets = BTreeMap<&'static str, String>;

/// The names of the secrets that stand in the text, as they are or as URLs and JSON write them.
fn found_in(text: &str, secrets: &Secrets) -> Vec<&'static str> {
    let stands = |secret: &str| {
        let written = serde_json::to_string(secret).expect("JSON");
        let in_url = secret.replace(' ', "%20").replace('@', "%40");
        [secret, written.trim_matches('"'), &in_url].iter().any(|spelling| text.contains(spelling))
    };
    secrets.iter().filter(|(_, secret)| stands(secret)).map(|(name, _)| *name).collect()
}

/// Signs up, logs in rightly and wrongly, and forgets the password.
async fn come_in(home: &Home, secrets: &mut Secrets) -> Tokens {
    send(try_register(home, EMAIL, SECRET_PASSWORD)).await.expect(202);
    home.work().await;
    let verify = mailed_token(home, EMAIL);
    send(post(home, "/v1/auth/verify-email", &json!({ "token": verify }))).await.expect(204);
    send(try_log_in(home, EMAIL, WRONG)).await.problem();
    let first = Tokens::of(&send(try_log_in(home, EMAIL, SECRET_PASSWORD)).await);
    let reset = reset_token(home, EMAIL).await;
    let wish = json!({ "token": reset, "password": NEXT_PASSWORD });
    send(post(home, "/v1/auth/password/reset", &wish)).await.expect(204);
    let second = Tokens::of(&send(try_log_in(home, EMAIL, NEXT_PASSWORD)).await);
    let third = Tokens::of(&send(try_refresh(home, &second.refresh)).await);
    secrets.extend([
        ("token to verify", verify),
        ("token to reset", reset),
        ("first access token", first.access),
        ("first refresh token", first.refresh),
        ("refresh token", second.refresh),
        ("next refresh token", third.refresh.clone()),
        ("access token", third.access.clone()),
    ]);
    third
}

/// Codes of an app, a personal token, and another address.
async fn take_credentials(home: &Home, access: &str, secrets: &mut Secrets) {
    let (app, recovery_codes) = App::enrol(home, access).await;
    let spent = recovery_codes[0].clone();
    let login = json!({ "email": EMAIL, "password": NEXT_PASSWORD, "recovery_code": spent });
    let by_code = Tokens::of(&send(post(home, "/v1/auth/login", &login)).await);
    let expires_at = home.clock.now() + TimeDelta::days(1);
    let wish = json!({ "name": "CI", "scopes": ["read"], "expires_at": expires_at });
    let token = send(post(home, "/v1/me/tokens", &wish).bearer_auth(access)).await.expect(201);
    let token = text(&token["token"]);
    send(get(home, &token, "/v1/me")).await.expect(200);
    let change = json!({ "new_email": MOVED });
    send(post(home, "/v1/me/email", &change).bearer_auth(access)).await.expect(202);
    home.work().await;
    let confirm = mailed_token(home, MOVED);
    let confirmation = post(home, "/v1/me/email/confirm", &json!({ "token": confirm }));
    send(confirmation.bearer_auth(access)).await.expect(204);
    secrets.extend([
        ("secret of the app", app.secret.clone()),
        ("spent recovery code", spent),
        ("recovery code", recovery_codes[1].clone()),
        ("access token by recovery code", by_code.access),
        ("personal token", token),
        ("token to confirm an address", confirm),
    ]);
}

/// An organization with an invitation, an endpoint that is called, and a checkout.
async fn do_business(home: &Home, access: &str, secrets: &mut Secrets) {
    let me = send(get(home, access, "/v1/me")).await.expect(200);
    let owner = Person { id: text(&me["id"]).parse().expect("an id"), token: access.to_owned() };
    let org = home.organization(&owner).await;
    let path = format!("/v1/organizations/{org}");
    send(invite(home, &owner, &path, INVITED, "member")).await.expect(201);
    let (receiver, url) = Receiver::open().await;
    let wish = json!({ "url": url, "event_types": ["organization.updated"] });
    let endpoint = post(home, &format!("{path}/webhook-endpoints"), &wish).bearer_auth(access);
    let secret = text(&send(endpoint).await.expect(201)["secret"]);
    send(patch(home, access, &path, &json!({ "name": "Renamed" }))).await.expect(200);
    Buyer::new(&home.api, access, org).open_checkout("first").await.expect(201);
    home.work().await;
    assert_eq!(receiver.received().len(), 1, "the endpoint was called");
    secrets.extend([("token of an invitation", mailed_token(home, INVITED)), ("secret of an endpoint", secret)]);
}

/// Secrets where they do not belong: in queries, in broken bodies, in fields that do not exist.
async fn be_careless(home: &Home, tokens: &Tokens) {
    let Tokens { access, refresh } = tokens;
    let query = format!("/v1/me?access_token={access}&email={EMAIL}&password={NEXT_PASSWORD}");
    send(home.ask(Method::GET, &query)).await.problem();
    send(get(home, access, "/v1/me").header("authorization", format!("Bearer {access}"))).await.problem();
    send(get(home, refresh, "/v1/me")).await.problem();
    send(get(home, access, "/v1/me").header("user-agent", EMAIL)).await.expect(200);
    for body in [
        format!("{{\"email\":\"{EMAIL}\",\"password\":\"{NEXT_PASSWORD}\""),
        json!({ "email": EMAIL, "pasword": NEXT_PASSWORD }).to_string(),
        json!({ "email": EMAIL, "password": [NEXT_PASSWORD] }).to_string(),
        json!({ "email": EMAIL, "password": NEXT_PASSWORD, "refresh_token": refresh }).to_string(),
    ] {
        let ask = home.ask(Method::POST, "/v1/auth/login").header("content-type", "application/json");
        send(ask.body(body)).await.problem();
    }
    let forged =
        post(home, "/v1/inbound/stripe", &json!({ "secret": NEXT_PASSWORD })).header("stripe-signature", "t=1");
    send(forged).await.problem();
}

fn configured() -> Secrets {
    let config = Config::load(Environment::Test, &BTreeMap::new()).expect("a configuration");
    let root = config.secrets.roots.values().next().expect("a root secret").expose().to_owned();
    [
        ("address", EMAIL.to_owned()),
        ("next address", MOVED.to_owned()),
        ("invited address", INVITED.to_owned()),
        ("password", SECRET_PASSWORD.to_owned()),
        ("next password", NEXT_PASSWORD.to_owned()),
        ("wrong password", WRONG.to_owned()),
        ("root secret", root),
        ("secret of the payment provider", "whsec_development".to_owned()),
        ("key of the payment provider", "sk_test_development".to_owned()),
    ]
    .into()
}

#[tokio::test]
async fn case_35_no_log_line_of_a_whole_journey_holds_a_secret_or_an_address() {
    let lines = Lines::default();
    let telemetry = TelemetryConfig {
        format: LogFormat::Json,
        filter: EVERYTHING.to_owned(),
        otlp_endpoint: None,
        trace_share: 1.0,
    };
    let writer = lines.clone();
    let subscriber = subscriber(&telemetry, move || writer.clone()).expect("a filter");
    let (home, _payments) = Home::open_with_payments().await;
    let listening = tracing::subscriber::set_default(subscriber);
    let mut secrets = configured();
    let tokens = come_in(&home, &mut secrets).await;
    take_credentials(&home, &tokens.access, &mut secrets).await;
    do_business(&home, &tokens.access, &mut secrets).await;
    be_careless(&home, &tokens).await;
    send(home.ask(Method::DELETE, "/v1/me").bearer_auth(&tokens.access)).await.expect(204);
    home.work().await;
    let written = lines.text();
    for path in ["/v1/auth/login", "/v1/auth/password/reset", "/v1/me/mfa/totp/confirm", "/v1/me/tokens"] {
        assert!(written.contains(path), "no access line of {path}");
    }
    assert!(written.contains("\"level\":\"DEBUG\"") && written.contains("INSERT INTO users."), "not loud enough");
    assert_eq!(found_in(&written, &secrets), Vec::<&str>::new());

    // A careless line would have been found.
    let id = json!({ "login": EMAIL });
    tracing::info!(target: "users", %id, "somebody came by");
    drop(listening);
    assert_eq!(found_in(&lines.text(), &secrets), ["address"]);
}

#[test]
fn a_secret_in_a_line_is_found_however_it_is_written() {
    let secrets: Secrets =
        [("password", "to \"the\" sea".to_owned()), ("address", "a b@example.com".to_owned())].into();
    assert_eq!(found_in(&json!({ "p": "to \"the\" sea" }).to_string(), &secrets), ["password"]);
    assert_eq!(found_in("GET /?email=a%20b%40example.com", &secrets), ["address"]);
    assert_eq!(found_in("nothing", &secrets), Vec::<&str>::new());
}

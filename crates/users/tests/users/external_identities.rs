use serde_json::{Value, json};
use test_support::{Statements, eventually};

use crate::forge::{Signer, forge, forge_text};
use crate::house::{EMAIL, House, PASSWORD};
use crate::issuer::{Issuer, ada, person};

/// Waits for the keys, which are fetched at the start and kept; until then a token cannot be checked.
async fn first_me(house: &House, token: &str) -> Value {
    eventually("the keys are known", async || house.me(token).await.status != 503).await;
    house.me(token).await.expect(200)
}

async fn refused(house: &House, token: &str, what: &str) {
    let answer = house.me(token).await;
    assert_eq!(answer.status, 401, "{what}: {}", answer.text);
    answer.expect_problem(401, "invalid_token");
    assert!(answer.header("www-authenticate").contains("error=\"invalid_token\""), "{what}");
}

#[tokio::test]
async fn people_of_the_issuer_have_an_account_from_their_first_request_on() {
    for signer in [Signer::ed_dsa(), Signer::es256(), Signer::rs256()] {
        let issuer = Issuer::open(signer).await;
        let house = issuer.house().await;
        house.listen().await;
        let token = issuer.token(&ada(&house));
        let me = first_me(&house, &token).await;
        assert_eq!((me["email"].as_str(), me["name"].as_str()), (Some("Ada@example.com"), Some("Ada Lovelace")));
        house.tick(60);
        let token = issuer.token(&ada(&house));
        let before = Statements::sent();
        assert_eq!(house.me(&token).await.expect(200)["id"], me["id"]);
        assert_eq!(Statements::sent() - before, 1, "the account alone: whose it is, is remembered");
        assert_eq!(house.count("SELECT count(*) FROM users.accounts").await, 1);
        assert_eq!(house.count("SELECT count(*) FROM users.audit_log WHERE action = 'user_created'").await, 1);
        assert_eq!(issuer.asked(), 1);
    }
}

#[tokio::test]
async fn first_requests_that_come_together_make_one_account() {
    let issuer = Issuer::open(Signer::ed_dsa()).await;
    let house = issuer.house().await;
    first_me(&house, &issuer.token(&person(&house, "somebody", "bob@example.com"))).await;
    let token = issuer.token(&ada(&house));
    let answers = futures_util::future::join_all((0..10).map(|_| house.me(&token))).await;
    let first = answers[0].expect(200)["id"].clone();
    assert!(answers.iter().all(|answer| answer.expect(200)["id"] == first));
    assert_eq!(house.count("SELECT count(*) FROM users.external_identities").await, 2);
}

#[tokio::test]
async fn an_address_that_the_issuer_did_not_verify_opens_nothing() {
    let issuer = Issuer::open(Signer::ed_dsa()).await;
    let house = issuer.house().await;
    first_me(&house, &issuer.token(&person(&house, "somebody", "bob@example.com"))).await;
    for (field, value) in [
        ("email_verified", json!(false)),
        ("email_verified", json!("true")),
        ("email_verified", json!(1)),
        ("email_verified", Value::Null),
        ("email", Value::Null),
        ("email", json!("nobody")),
    ] {
        let mut claims = ada(&house);
        claims[field] = value.clone();
        house.me(&issuer.token(&claims)).await.expect_problem(403, "email_unverified");
    }
    assert_eq!(house.count("SELECT count(*) FROM users.accounts").await, 1);
}

#[tokio::test]
async fn an_account_with_the_address_is_taken_over_by_the_first_person_of_the_issuer_and_no_other() {
    let issuer = Issuer::open(Signer::ed_dsa()).await;
    let house = issuer.house().await;
    let id = house.users.seed_account(EMAIL, PASSWORD, "Ada").await.expect("an account");
    let me = first_me(&house, &issuer.token(&ada(&house))).await;
    assert_eq!((me["id"].as_str(), me["name"].as_str()), (Some(id.to_string().as_str()), Some("Ada")));
    assert_eq!(house.count("SELECT count(*) FROM users.audit_log WHERE action = 'user_identity_linked'").await, 1);
    let recycled = issuer.token(&person(&house, "subject-2", EMAIL));
    house.me(&recycled).await.expect_problem(403, "account_taken");
    // The person may get another address there; it stays the same account here.
    let moved = house.me(&issuer.token(&person(&house, "subject-1", "new@example.com"))).await.expect(200);
    assert_eq!((moved["id"].as_str(), moved["email"].as_str()), (me["id"].as_str(), Some(EMAIL)));
}

#[tokio::test]
async fn a_disabled_account_stays_closed_whatever_the_issuer_says() {
    let issuer = Issuer::open(Signer::ed_dsa()).await;
    let house = issuer.house().await;
    house.listen().await;
    let token = issuer.token(&ada(&house));
    first_me(&house, &token).await;
    house.sql("UPDATE users.accounts SET disabled_at = now()").await;
    eventually("it is heard", async || house.me(&token).await.status == 401).await;
    refused(&house, &issuer.token(&person(&house, "subject-1", "other@example.com")), "another address").await;
    refused(&house, &issuer.token(&person(&house, "subject-2", EMAIL)), "another person").await;
    assert_eq!(house.count("SELECT count(*) FROM users.accounts").await, 1);
}

#[tokio::test]
async fn our_own_logins_are_closed_and_our_own_tokens_refused() {
    let issuer = Issuer::open(Signer::ed_dsa()).await;
    let ours = House::with_account().await.log_in().await;
    let house = issuer.house().await;
    let token = issuer.token(&ada(&house));
    first_me(&house, &token).await;
    house.try_log_in(EMAIL, PASSWORD).await.expect_problem(403, "external_login");
    for path in ["/v1/auth/register", "/v1/auth/refresh", "/v1/auth/password/forgot", "/v1/me/password", "/v1/me/email"]
    {
        let ask = house.api.post(path, &json!({})).bearer(&token);
        ask.send().await.expect_problem(403, "external_login");
    }
    house.api.get("/v1/me/sessions").bearer(&token).send().await.expect_problem(403, "external_login");
    refused(&house, &ours.access, "a token of ours").await;
}

#[tokio::test]
async fn what_is_hard_to_undo_wants_to_know_when_the_person_logged_in_there() {
    let issuer = Issuer::open(Signer::ed_dsa()).await;
    let house = issuer.house().await;
    first_me(&house, &issuer.token(&ada(&house))).await;
    let create = house.api.post("/v1/organizations", &json!({ "name": "Acme" }));
    let created = create.bearer(&issuer.token(&ada(&house))).send().await.expect(201);
    let path = format!("/v1/organizations/{}", created["id"].as_str().expect("an id"));
    let now = house.clock.now().timestamp();
    for (auth_time, status) in [(Value::Null, 401), (json!(now - 601), 401), (json!(now - 600), 204)] {
        let mut claims = ada(&house);
        claims["auth_time"] = auth_time.clone();
        let answer = house.api.delete(&path).bearer(&issuer.token(&claims)).send().await;
        assert_eq!(answer.status, status, "{auth_time}: {}", answer.text);
        if status == 401 {
            answer.expect_problem(401, "recent_login_required");
        }
    }
}

#[tokio::test]
async fn every_wrong_claim_of_an_issuers_token_is_refused() {
    let issuer = Issuer::open(Signer::es256()).await;
    let house = issuer.house().await;
    first_me(&house, &issuer.token(&ada(&house))).await;
    let now = house.clock.now().timestamp();
    for (field, value) in [
        ("exp", json!(now)),
        ("exp", json!("9999999999")),
        ("exp", json!(-1)),
        ("exp", json!(1e30)),
        ("exp", json!(i64::MAX)),
        ("exp", json!(now + 86_401)),
        ("exp", Value::Null),
        ("iat", json!(now + 60)),
        ("iat", json!(i64::MIN)),
        ("iat", Value::Null),
        ("nbf", json!(now + 60)),
        ("nbf", json!("0")),
        ("auth_time", json!(now + 60)),
        ("iss", json!("https://evil.example")),
        ("iss", json!("https://login.example/")),
        ("iss", Value::Null),
        ("aud", json!("other")),
        ("aud", json!("userinfo")),
        ("aud", json!(["our-api", "other"])),
        ("aud", json!([])),
        ("aud", Value::Null),
        ("sub", json!("")),
        ("sub", json!("a\0b")),
        ("sub", json!("x".repeat(256))),
        ("sub", json!(7)),
        ("sub", Value::Null),
    ] {
        let mut claims = ada(&house);
        claims[field] = value.clone();
        refused(&house, &issuer.token(&claims), &format!("{field} = {value}")).await;
    }
    for aud in [json!(["our-api"]), json!(["userinfo", "our-api"])] {
        let mut claims = ada(&house);
        claims["aud"] = aud;
        let _ = house.me(&issuer.token(&claims)).await.expect(200);
    }
}

#[tokio::test]
async fn every_wrong_header_of_an_issuers_token_is_refused_without_leaving_the_house() {
    let issuer = Issuer::open(Signer::rs256()).await;
    let (edwards, public) = (Signer::ed_dsa(), issuer.signer.jwk("x")["n"].as_str().expect("a modulus").to_owned());
    issuer.publish(&[issuer.signer.jwk(issuer.kid), edwards.jwk("key-2")]);
    let house = issuer.house().await;
    first_me(&house, &issuer.token(&ada(&house))).await;
    let evil = Issuer::open(Signer::rs256()).await;
    for (field, value) in [
        ("typ", json!("JWT")),
        ("typ", Value::Null),
        ("kid", Value::Null),
        ("kid", json!(7)),
        ("kid", json!("key-2")),
        ("jku", json!("http://127.0.0.1:1/keys")),
        ("x5u", json!("http://127.0.0.1:1/cert")),
        ("jwk", issuer.signer.jwk("key-1")),
        ("x5c", json!(["AA=="])),
        ("crit", json!(["exp"])),
        ("alg", json!("RS384")),
        ("alg", json!("PS256")),
    ] {
        refused(&house, &issuer.token_with(&house, field, &value), &format!("{field} = {value}")).await;
    }
    for (algorithm, kid, signer) in [
        ("none", "key-1", Signer::Nobody),
        ("NoNe", "key-1", Signer::Nobody),
        ("RS256", "key-1", Signer::Nobody),
        ("HS256", "key-1", Signer::Hs256(public.into_bytes())),
        ("ES256", "key-1", Signer::es256()),
        ("EdDSA", "key-1", Signer::ed_dsa()),
        ("EdDSA", "key-2", Signer::ed_dsa()),
        ("RS256", "key-1", evil.signer),
    ] {
        let header = json!({ "alg": algorithm, "typ": "at+jwt", "kid": kid });
        refused(&house, &forge(&header, &ada(&house), &signer), algorithm).await;
    }
    let header = json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": "key-2" });
    let _ = house.me(&forge(&header, &ada(&house), &edwards)).await.expect(200);
    let token = issuer.token(&ada(&house));
    let (message, signature) = token.rsplit_once('.').expect("three parts");
    let twice = ada(&house).to_string().replacen('{', "{\"sub\":\"subject-2\",", 1);
    for bad in [
        message.to_owned(),
        format!("{message}."),
        format!("{token}.{signature}"),
        format!("{token}="),
        format!("{token}AAAA"),
        "x".repeat(10_000),
        forge_text(&issuer.header().to_string(), &twice, &issuer.signer),
    ] {
        refused(&house, &bad, &bad).await;
    }
    assert_eq!(issuer.asked(), 1, "nothing was fetched");
}

#[tokio::test]
async fn an_unknown_key_is_looked_for_at_the_configured_place_every_five_seconds_at_most() {
    let issuer = Issuer::open(Signer::ed_dsa()).await;
    let house = issuer.house().await;
    first_me(&house, &issuer.token(&ada(&house))).await;
    let new = Signer::ed_dsa();
    issuer.publish(&[issuer.signer.jwk("key-1"), new.jwk("key-2")]);
    let renewed = forge(&json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": "key-2" }), &ada(&house), &new);
    refused(&house, &renewed, "the keys were fetched a moment ago").await;
    house.tick(5);
    let _ = house.me(&renewed).await.expect(200);
    assert_eq!(issuer.asked(), 2);
    for kid in ["../../etc/passwd", "' OR 1=1 --", "\0", "http://127.0.0.1:1/keys", &"x".repeat(4_000)] {
        refused(&house, &issuer.token_with(&house, "kid", &json!(kid)), kid).await;
    }
    assert_eq!(issuer.asked(), 2);
}

#[tokio::test]
async fn an_issuer_that_is_away_stops_neither_our_start_nor_those_whose_key_is_known() {
    let issuer = Issuer::open(Signer::ed_dsa()).await;
    issuer.answer_with(500);
    let house = issuer.house().await;
    let me = async |kid: &str| {
        let mut header = issuer.header();
        header["kid"] = kid.into();
        house.me(&forge(&header, &ada(&house), &issuer.signer)).await
    };
    assert_eq!(me("key-1").await.header("retry-after"), "1");
    me("key-1").await.expect_problem(503, "unavailable");
    issuer.answer_with(200);
    house.tick(5);
    let _ = me("key-1").await.expect(200);
    issuer.answer_with(500);
    house.tick(11 * 60);
    let _ = me("key-1").await.expect(200);
    let asked = issuer.asked();
    eventually("fetching again failed", async || me("key-2").await.status == 503).await;
    let _ = me("key-1").await.expect(200);
    assert!(issuer.asked() >= asked);
    house.tick(24 * 3_600);
    me("key-1").await.expect_problem(503, "unavailable");
}

#[tokio::test]
async fn an_issuer_that_keeps_failing_is_left_alone() {
    let issuer = Issuer::open(Signer::ed_dsa()).await;
    issuer.answer_with(500);
    let house = issuer.house().await;
    let try_again = async || {
        house.tick(5);
        eventually("the fetch before is over", async || {
            house.me(&issuer.token(&ada(&house))).await.expect_problem(503, "unavailable");
            true
        })
        .await;
    };
    while issuer.asked() < 5 {
        try_again().await;
    }
    for _ in 0..5 {
        try_again().await;
    }
    assert_eq!(issuer.asked(), 5, "after five failures nobody asks");
    issuer.answer_with(200);
    house.tick(30);
    let _ = house.me(&issuer.token(&ada(&house))).await.expect(200);
    assert_eq!(issuer.asked(), 6);
}

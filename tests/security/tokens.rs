//! Cases 4 to 11: forged, altered and misplaced tokens.

use aws_lc_rs::signature::Ed25519KeyPair;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use reqwest::Method;
use serde_json::{Value, json};
use test_support::Statements;

use super::asking::{Tokens, get, home_of_ada, is_dead, is_problem, problem, try_refresh};
use super::forge::{Forger, es256, hs256, rs256};
use crate::home::{Home, send};
use crate::receiver::Receiver;

/// Ada's house, and who can forge tokens of her session.
async fn forgery() -> (Home, Forger) {
    let (home, Tokens { access, .. }) = home_of_ada().await;
    let forger = Forger::of(&home, &access).await;
    send(get(&home, &forger.sign(&forger.header, &forger.claims), "/v1/me")).await.expect(200);
    (home, forger)
}

/// Refused with the challenge of RFC 6750.
async fn is_refused(home: &Home, token: &str) {
    let answer = send(get(home, token, "/v1/me")).await;
    let (status, code, _) = answer.problem();
    assert_eq!((status, code.as_str()), (401, "invalid_token"), "{token}");
    let challenge = answer.headers["www-authenticate"].to_str().expect("text");
    assert!(challenge.contains("error=\"invalid_token\""), "{challenge}");
}

#[tokio::test]
async fn case_04_a_token_without_a_signature_is_refused_however_none_is_spelled() {
    let (home, forger) = forgery().await;
    for algorithm in ["none", "None", "NONE", "nOnE", "", "EdDSA"] {
        is_refused(&home, &forger.signed_otherwise(algorithm, |_| Vec::new())).await;
    }
}

#[tokio::test]
async fn case_05_no_algorithm_but_ours_is_believed() {
    let (home, forger) = forgery().await;
    let public = forger.public_key();
    let as_text = URL_SAFE_NO_PAD.encode(&public);
    for token in [
        forger.signed_otherwise("HS256", |message| hs256(&public, message)),
        forger.signed_otherwise("HS256", |message| hs256(as_text.as_bytes(), message)),
        forger.signed_otherwise("HS256", |message| hs256(b"", message)),
        forger.signed_otherwise("ES256", es256),
        forger.signed_otherwise("RS256", rs256),
        forger.signed_otherwise("EdDSA", |message| {
            Ed25519KeyPair::generate().expect("a key").sign(message).as_ref().to_vec()
        }),
        forger.with_header("alg", &json!("HS256")),
    ] {
        is_refused(&home, &token).await;
    }
}

#[tokio::test]
async fn case_06_a_made_up_key_id_is_refused_without_a_statement() {
    let (home, forger) = forgery().await;
    for kid in ["../../../../etc/passwd", "' OR 1=1 --", "\0", "", "0", "unknown"] {
        let before = Statements::sent();
        is_refused(&home, &forger.with_header("kid", &json!(kid))).await;
        assert_eq!(Statements::sent(), before, "{kid:?}");
    }
    is_refused(&home, &forger.with_header("kid", &Value::Null)).await;
    let long = send(get(&home, &forger.with_header("kid", &json!("x".repeat(10_000))), "/v1/me")).await;
    assert!(matches!(long.status.as_u16(), 401 | 431), "{long:?}");
}

/// A name of the right form may be a key that another process just made, so the keys are read again, but not each time.
#[tokio::test]
async fn case_06_b_unknown_key_ids_make_nobody_read_the_keys_again_and_again() {
    let (home, forger) = forgery().await;
    let token = |digit: char| forger.with_header("kid", &json!(digit.to_string().repeat(32)));
    is_refused(&home, &token('a')).await;
    let before = Statements::sent();
    for digit in ['b', 'c', 'd'] {
        is_refused(&home, &token(digit)).await;
    }
    assert_eq!(Statements::sent(), before);
}

#[tokio::test]
async fn case_07_keys_that_a_token_brings_along_or_points_to_are_not_looked_at() {
    let (home, forger) = forgery().await;
    let (receiver, url) = Receiver::open().await;
    let stranger = Ed25519KeyPair::generate().expect("a key");
    let x = URL_SAFE_NO_PAD.encode(aws_lc_rs::signature::KeyPair::public_key(&stranger).as_ref());
    let jwk = json!({ "kty": "OKP", "crv": "Ed25519", "kid": forger.header["kid"], "x": x });
    for (name, value) in
        [("jku", json!(url)), ("x5u", json!(url)), ("jwk", jwk), ("x5c", json!(["AA=="])), ("x5t", json!("AA"))]
    {
        is_refused(&home, &forger.with_header(name, &value)).await;
    }
    assert!(receiver.received().is_empty(), "somebody called {url}");
}

#[tokio::test]
async fn case_08_every_claim_that_is_wrong_or_missing_is_noticed_under_a_good_signature() {
    let (home, forger) = forgery().await;
    let now = home.clock.now().timestamp();
    for (name, values) in [
        ("exp", vec![json!(now), json!(now - 1), json!("9999999999"), json!(-1), json!(1e30), json!(u64::MAX)]),
        ("nbf", vec![json!(now + 60), json!(i64::MAX)]),
        ("iat", vec![json!(now + 60), json!(i64::MAX)]),
        ("iss", vec![json!("https://evil.example"), json!([forger.claims["iss"]])]),
        ("aud", vec![json!("other"), json!([forger.claims["aud"], "other"]), json!([])]),
        ("sub", vec![json!("root"), json!(platform::ids::new_uuid())]),
        ("sid", vec![json!(platform::ids::new_uuid())]),
        ("jti", vec![]),
    ] {
        for value in values.into_iter().chain([Value::Null]) {
            is_refused(&home, &forger.with_claim(name, &value)).await;
        }
    }
    for value in [json!("JWT"), json!("dpop+jwt"), Value::Null] {
        is_refused(&home, &forger.with_header("typ", &value)).await;
    }
}

#[tokio::test]
async fn case_09_critical_headers_repeated_claims_and_odd_shapes_are_refused() {
    let (home, forger) = forgery().await;
    is_refused(&home, &forger.with_header("crit", &json!(["exp"]))).await;
    let (header, claims) = (forger.header.to_string(), forger.claims.to_string());
    let twice = |text: &str, field: &str| text.replacen('{', &format!("{{{field},"), 1);
    is_refused(&home, &forger.sign_text(&header, &twice(&claims, r#""exp":9999999999"#))).await;
    is_refused(&home, &forger.sign_text(&twice(&header, r#""alg":"none""#), &claims)).await;
    let token = forger.sign(&forger.header, &forger.claims);
    let (message, signature) = token.rsplit_once('.').expect("three parts");
    for odd in [
        message.to_owned(),
        format!("{message}."),
        format!("{token}.{signature}"),
        format!("{token}="),
        format!("{token}AAAA"),
        "..".to_owned(),
    ] {
        is_refused(&home, &odd).await;
    }
    let huge = send(get(&home, &format!("{token}{}", "A".repeat(65_536)), "/v1/me")).await;
    assert!(matches!(huge.status.as_u16(), 401 | 431), "{huge:?}");
}

#[tokio::test]
async fn case_10_a_token_anywhere_but_in_one_authorization_header_is_not_looked_at() {
    let (home, Tokens { access, .. }) = home_of_ada().await;
    let query = problem(home.ask(Method::GET, &format!("/v1/me?access_token={access}"))).await;
    is_problem(&query, 401, "invalid_token");
    let form = home.ask(Method::POST, "/v1/organizations").header("content-type", "application/x-www-form-urlencoded");
    is_problem(&problem(form.body(format!("name=Acme&access_token={access}"))).await, 401, "invalid_token");
    let twice = get(&home, &access, "/v1/me").header("authorization", format!("Bearer {access}"));
    is_problem(&problem(twice).await, 400, "repeated_authorization");
    let basic = home.ask(Method::GET, "/v1/me").basic_auth("ada@example.com", Some(crate::home::PASSWORD));
    is_problem(&problem(basic).await, 401, "invalid_token");
}

#[tokio::test]
async fn case_11_an_access_token_buys_no_tokens_and_a_refresh_token_proves_no_login() {
    let (home, Tokens { access, refresh }) = home_of_ada().await;
    is_dead(&home, &refresh).await;
    let swapped = send(try_refresh(&home, &access)).await;
    // It is longer than any refresh token, which may be said.
    assert!(matches!(swapped.problem().0, 401 | 422), "{swapped:?}");
    send(get(&home, &access, "/v1/me")).await.expect(200);
    send(try_refresh(&home, &refresh)).await.expect(200);
}

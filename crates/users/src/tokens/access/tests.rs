use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::forge::{Signer, forge, forge_text};
use super::*;

const AUDIENCE: Audience<'_> = Audience { issuer: "https://issuer.example", audience: "api" };
const NOW: i64 = 1_700_000_000;

fn now() -> DateTime<Utc> {
    DateTime::from_timestamp(NOW, 0).expect("a time")
}

fn claims() -> Claims {
    Claims {
        iss: AUDIENCE.issuer.into(),
        sub: uuid::Uuid::nil(),
        aud: AUDIENCE.audience.into(),
        exp: NOW + 600,
        iat: NOW,
        nbf: NOW,
        jti: uuid::Uuid::nil(),
        sid: uuid::Uuid::nil(),
        auth_time: NOW,
        amr: vec!["pwd".into()],
    }
}

fn good_claims() -> Value {
    serde_json::to_value(claims()).expect("JSON")
}

/// A key set, and who signs with its key.
struct Issuer {
    keys: KeySet,
    signer: Signer,
}

impl Issuer {
    fn new() -> Self {
        let pair = aws_lc_rs::signature::Ed25519KeyPair::generate().expect("a key");
        Self { keys: KeySet::for_tests_of(&pair), signer: Signer::EdDsa(Box::new(pair)) }
    }

    fn header(&self) -> Value {
        json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": self.keys.current().id })
    }

    fn with_header(&self, name: &str, value: &Value) -> Value {
        let mut header = self.header();
        header[name] = value.clone();
        header
    }

    fn read(&self, token: &str) -> Result<Claims, Refusal> {
        verify(token, &self.keys, AUDIENCE, now())
    }
}

#[test]
fn our_own_token_is_read_back() {
    let issuer = Issuer::new();
    let token = sign(&claims(), issuer.keys.current()).expect("signs");
    assert_eq!(issuer.read(&token), Ok(claims()));
    assert_eq!(issuer.read(&forge(&issuer.header(), &good_claims(), &issuer.signer)), Ok(claims()));
}

#[test]
fn a_token_that_was_read_before_still_expires_and_counts_with_its_own_keys_only() {
    let issuer = Issuer::new();
    let token = sign(&claims(), issuer.keys.current()).expect("signs");
    assert_eq!(issuer.read(&token), Ok(claims()));
    let read_at = |seconds| verify(&token, &issuer.keys, AUDIENCE, now() + chrono::TimeDelta::seconds(seconds));
    assert_eq!(read_at(599), Ok(claims()));
    assert_eq!(read_at(600), Err(Refusal::Invalid));
    assert_eq!(read_at(-60), Err(Refusal::Invalid));
    let elsewhere = Audience { audience: "other", ..AUDIENCE };
    assert_eq!(verify(&token, &issuer.keys, elsewhere, now()), Err(Refusal::Invalid));
    assert_eq!(Issuer::new().read(&token), Err(Refusal::UnknownKey));
}

#[test]
fn every_wrong_claim_is_refused() {
    let issuer = Issuer::new();
    let wrong = [
        ("exp", json!(NOW)),
        ("exp", json!(NOW - 1)),
        ("exp", json!("9999999999")),
        ("exp", json!(-1)),
        ("exp", json!(1e30)),
        ("exp", json!(u64::MAX)),
        ("exp", Value::Null),
        ("nbf", json!(NOW + 60)),
        ("nbf", json!(i64::MAX)),
        ("nbf", Value::Null),
        ("iat", json!(NOW + 60)),
        ("iat", json!(i64::MAX)),
        ("iat", Value::Null),
        ("iss", json!("https://evil.example")),
        ("iss", json!("https://issuer.example/")),
        ("iss", json!(["https://issuer.example"])),
        ("iss", Value::Null),
        ("aud", json!("other")),
        ("aud", json!(["api", "other"])),
        ("aud", json!([])),
        ("aud", Value::Null),
        ("sub", json!("root")),
        ("sub", Value::Null),
        ("sid", Value::Null),
        ("jti", Value::Null),
    ];
    for (name, value) in wrong {
        let mut forged = good_claims();
        forged[name] = value.clone();
        let token = forge(&issuer.header(), &forged, &issuer.signer);
        assert_eq!(issuer.read(&token), Err(Refusal::Invalid), "{name} = {value}");
        let fields = forged.as_object_mut().expect("an object");
        fields.remove(name);
        let token = forge(&issuer.header(), &forged, &issuer.signer);
        assert_eq!(issuer.read(&token), Err(Refusal::Invalid), "no {name}");
    }
}

#[test]
fn every_wrong_header_is_refused() {
    let issuer = Issuer::new();
    let jwk = issuer.signer.jwk("x");
    let wrong = [
        ("typ", json!("JWT")),
        ("typ", json!("AT+JWT ")),
        ("typ", Value::Null),
        ("kid", json!("../../etc/passwd")),
        ("kid", json!("' OR 1=1 --")),
        ("kid", json!("x".repeat(10_000))),
        ("kid", json!("\0")),
        ("kid", json!(7)),
        ("kid", Value::Null),
        ("jku", json!("https://evil.example/jwks.json")),
        ("x5u", json!("https://evil.example/cert.pem")),
        ("jwk", jwk),
        ("x5c", json!(["AA=="])),
        ("x5t", json!("AA")),
        ("x5t#S256", json!("AA")),
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("enc", json!("A128GCM")),
        ("zip", json!("DEF")),
    ];
    for (name, value) in wrong {
        let token = forge(&issuer.with_header(name, &value), &good_claims(), &issuer.signer);
        assert_eq!(issuer.read(&token), Err(Refusal::Invalid), "{name} = {value}");
    }
}

/// Only such a token makes this process load the keys again.
#[test]
fn only_a_name_of_our_making_is_an_unknown_key() {
    let (issuer, stranger) = (Issuer::new(), Issuer::new());
    let token = forge(&stranger.header(), &good_claims(), &stranger.signer);
    assert_eq!(issuer.read(&token), Err(Refusal::UnknownKey));
    let upper = stranger.keys.current().id.to_uppercase();
    for kid in [upper.as_str(), "019b7a3c-f15c-7d2a-9b1f-3e8c6a4d2b10", "", "0", &"é".repeat(16)] {
        let token = forge(&issuer.with_header("kid", &json!(kid)), &good_claims(), &stranger.signer);
        assert_eq!(issuer.read(&token), Err(Refusal::Invalid), "{kid}");
    }
}

#[test]
fn nothing_but_our_algorithm_is_believed_however_well_it_is_signed() {
    let issuer = Issuer::new();
    let public_key = match &issuer.signer {
        Signer::EdDsa(pair) => aws_lc_rs::signature::KeyPair::public_key(&**pair).as_ref().to_vec(),
        _ => Vec::new(),
    };
    let as_text = URL_SAFE_NO_PAD.encode(&public_key).into_bytes();
    for (algorithm, signer) in [
        ("none", Signer::Nobody),
        ("None", Signer::Nobody),
        ("NONE", Signer::Nobody),
        ("nOnE", Signer::Nobody),
        ("", Signer::Nobody),
        ("EdDSA", Signer::Nobody),
        ("HS256", Signer::Hs256(public_key)),
        ("HS256", Signer::Hs256(as_text)),
        ("HS256", Signer::Hs256(Vec::new())),
        ("ES256", Signer::es256()),
        ("RS256", Signer::rs256()),
        ("EdDSA", Signer::ed_dsa()),
        ("eddsa", Signer::ed_dsa()),
    ] {
        let token = forge(&issuer.with_header("alg", &json!(algorithm)), &good_claims(), &signer);
        assert_eq!(issuer.read(&token), Err(Refusal::Invalid), "{algorithm}");
        // Rightly signed, and only the header lies.
        if algorithm != "EdDSA" {
            let token = forge(&issuer.with_header("alg", &json!(algorithm)), &good_claims(), &issuer.signer);
            assert_eq!(issuer.read(&token), Err(Refusal::Invalid), "{algorithm} over our signature");
        }
    }
}

#[test]
fn every_wrong_shape_is_refused() {
    let issuer = Issuer::new();
    let token = sign(&claims(), issuer.keys.current()).expect("signs");
    let (message, signature) = token.rsplit_once('.').expect("three parts");
    let (head, body) = message.split_once('.').expect("three parts");
    for bad in [
        String::new(),
        ".".to_owned(),
        "..".to_owned(),
        head.to_owned(),
        message.to_owned(),
        format!("{message}."),
        format!(".{body}.{signature}"),
        format!("{head}..{signature}"),
        format!("{token}.x"),
        format!("{token}.{signature}"),
        format!("{head}.{token}"),
        format!("{token}="),
        format!("{head}=.{body}.{signature}"),
        format!("{token} "),
        format!(" {token}"),
        format!("{token}\n"),
        format!("{token}\0"),
        format!("{token}AAAA"),
        "x".repeat(65_536),
        format!("{token}{}", "A".repeat(65_536)),
    ] {
        assert_eq!(issuer.read(&bad), Err(Refusal::Invalid), "{bad}");
    }
}

#[test]
fn what_is_said_twice_is_refused() {
    let issuer = Issuer::new();
    let twice = |text: &str, field: &str| text.replacen('{', &format!("{{{field},"), 1);
    let (header, claims) = (issuer.header().to_string(), good_claims().to_string());
    for field in [r#""sub":"00000000-0000-0000-0000-000000000001""#, r#""exp":9999999999"#, r#""aud":"api""#] {
        let token = forge_text(&header, &twice(&claims, field), &issuer.signer);
        assert_eq!(issuer.read(&token), Err(Refusal::Invalid), "{field}");
    }
    for field in [r#""alg":"none""#, r#""kid":"x""#, r#""typ":"at+jwt""#] {
        let token = forge_text(&twice(&header, field), &claims, &issuer.signer);
        assert_eq!(issuer.read(&token), Err(Refusal::Invalid), "{field}");
    }
    for text in ["", "null", "[]", "{}", "7", "{\"alg\":\"EdDSA\""] {
        assert_eq!(issuer.read(&forge_text(text, &claims, &issuer.signer)), Err(Refusal::Invalid), "header {text}");
        assert_eq!(issuer.read(&forge_text(&header, text, &issuer.signer)), Err(Refusal::Invalid), "claims {text}");
    }
}

proptest! {
    #[test]
    fn one_altered_character_is_noticed(position in 0_usize..400, replacement in "[A-Za-z0-9_-]") {
        let issuer = Issuer::new();
        let token = sign(&claims(), issuer.keys.current()).expect("signs");
        let position = position % token.len();
        let mut altered = token.clone();
        altered.replace_range(position..=position, &replacement);
        prop_assume!(altered != token);
        prop_assert!(issuer.read(&altered).is_err());
    }
}

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use test_support::Statements;
use users::KeyState;

use crate::house::{House, Tokens};

const ANNOUNCED_LONG_AGO: &str =
    "UPDATE users.signing_keys SET created_at = created_at - interval '10 minutes' WHERE state = 'next'";

fn key_of(tokens: &Tokens) -> String {
    let header = tokens.access.split('.').next().expect("a header");
    let header: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(header).expect("base64")).expect("JSON");
    header["kid"].as_str().expect("a kid").to_owned()
}

/// The same token, naming another key.
fn with_key(tokens: &Tokens, kid: &str) -> String {
    let header = json!({ "alg": "EdDSA", "typ": "at+jwt", "kid": kid });
    let (_, rest) = tokens.access.split_once('.').expect("three parts");
    format!("{}.{rest}", URL_SAFE_NO_PAD.encode(header.to_string()))
}

async fn id_of(house: &House, state: KeyState) -> String {
    let keys = house.users.list_signing_keys().await.expect("keys");
    keys.into_iter().find(|key| key.state == state).expect("a key in that state").id
}

async fn published(house: &House) -> Vec<String> {
    let set = house.api.get("/.well-known/jwks.json").send().await.expect(200);
    let keys = set["keys"].as_array().expect("keys");
    keys.iter().map(|key| key["kid"].as_str().expect("a kid").to_owned()).collect()
}

#[tokio::test]
async fn rotating_lets_the_announced_key_sign_and_logs_nobody_out() {
    let house = House::with_account().await;
    let before = house.log_in().await;
    let (old, next) = (id_of(&house, KeyState::Current).await, id_of(&house, KeyState::Next).await);
    assert_eq!(key_of(&before), old);
    let refused = house.users.rotate_signing_keys(false).await.expect_err("the next key is too young");
    assert!(refused.to_string().contains("less than 10 minutes ago"), "{refused}");

    house.sql(ANNOUNCED_LONG_AGO).await;
    let keys = house.users.rotate_signing_keys(false).await.expect("rotated");
    let states: Vec<KeyState> = keys.iter().map(|key| key.state).collect();
    assert_eq!(states, [KeyState::Next, KeyState::Retired, KeyState::Current]);
    assert_eq!((id_of(&house, KeyState::Current).await, id_of(&house, KeyState::Retired).await), (next.clone(), old));
    assert!(
        keys.iter().all(|key| key.root_generation == 1 && key.retired_at.is_some() == (key.state == KeyState::Retired))
    );

    // This process learns of it within half a minute.
    assert_eq!(key_of(&house.log_in().await), key_of(&before));
    house.tick(30);
    let after = house.log_in().await;
    assert_eq!(key_of(&after), next);
    for tokens in [before, after] {
        let _ = house.me(&tokens.access).await.expect(200);
    }
    let mut shown = published(&house).await;
    shown.sort();
    let mut all: Vec<String> = keys.into_iter().map(|key| key.id).collect();
    all.sort();
    assert_eq!(shown, all, "retired keys stay published");
    assert_eq!(house.count("SELECT count(*) FROM users.audit_log WHERE action = 'signing_keys_rotated'").await, 1);
}

#[tokio::test]
async fn of_two_rotations_at_once_one_wins() {
    let house = House::open().await;
    let mut other = house.owner().await;
    sqlx::raw_sql("BEGIN; SELECT pg_advisory_xact_lock(hashtext('users.signing_keys'))")
        .execute(&mut other)
        .await
        .expect("a lock");
    let refused = house.users.rotate_signing_keys(true).await.expect_err("somebody else is at it");
    assert!(refused.to_string().contains("another rotation is under way"), "{refused}");
    sqlx::raw_sql("ROLLBACK").execute(&mut other).await.expect("given back");
    house.users.rotate_signing_keys(true).await.expect("rotated");
}

#[tokio::test]
async fn a_token_of_a_key_that_this_process_does_not_know_yet_is_good_after_loading_again() {
    let house = House::with_account().await;
    let other = house.another().await;
    // Twice, so that a key signs which did not exist when the other process started.
    for _ in 0..2 {
        house.users.rotate_signing_keys(true).await.expect("rotated");
    }
    house.tick(30);
    let tokens = house.log_in().await;
    let _ = other.me(&tokens.access).await.expect(200);
}

#[tokio::test]
async fn made_up_keys_make_nobody_load_again_more_than_every_five_seconds() {
    let house = House::with_account().await;
    let tokens = house.log_in().await;
    let refused = async |kid: &str| {
        let before = Statements::sent();
        house.me(&with_key(&tokens, kid)).await.expect_problem(401, "invalid_token");
        Statements::sent() - before
    };
    let ours = "0".repeat(32);
    house.tick(5);
    assert_eq!((refused(&ours).await, refused(&ours).await, refused(&"f".repeat(32)).await), (1, 0, 0));
    house.tick(5);
    for kid in ["../../etc/passwd", "' OR 1=1 --", "\0", "", &"x".repeat(1_000), &"é".repeat(16)] {
        assert_eq!(refused(kid).await, 0, "{kid:?} is nothing to look for");
    }
    assert_eq!(refused(&ours).await, 1);
    let _ = house.me(&tokens.access).await.expect(200);
}

#[tokio::test]
async fn a_retired_key_goes_when_no_token_of_it_can_be_alive() {
    let house = House::open().await;
    house.users.rotate_signing_keys(true).await.expect("rotated");
    let retired = id_of(&house, KeyState::Retired).await;
    let prune = async || {
        house.work().await;
        house.sql("UPDATE platform.schedules SET next_at = now() WHERE name = 'users.prune_expired'").await;
        house.work().await;
        house.tick(30);
        published(&house).await
    };
    house.sql("UPDATE users.signing_keys SET retired_at = now() - interval '20 minutes' WHERE state = 'retired'").await;
    assert!(prune().await.contains(&retired));
    house.sql("UPDATE users.signing_keys SET retired_at = now() - interval '22 minutes' WHERE state = 'retired'").await;
    let left = prune().await;
    assert_eq!((left.len(), left.contains(&retired)), (2, false));
}

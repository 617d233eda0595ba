//! `server keys` as operators run it: a process of its own, beside those that serve.

use std::process::{Command, Output};

use platform::clock::Clock;
use platform::shutdown::Shutdown;
use server::{House, migrations};
use test_support::database::TestDatabase;

use crate::home::config;

/// Runs the command to its end.
fn keys(database: &TestDatabase, arguments: &[&str]) -> Output {
    let mut binary = Command::new(env!("CARGO_BIN_EXE_server-under-test"));
    binary.arg("keys").args(arguments).env("DATABASE_URL", database.url());
    binary.env("APP__DATABASE__ROLE_PREFIX", database.role_prefix()).output().expect("it runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn operators_list_and_rotate_the_signing_keys() {
    let database = TestDatabase::create(&migrations()).await;
    let empty = keys(&database, &["rotate"]);
    assert!(!empty.status.success());
    assert!(text(&empty.stderr).contains("there is no next key"), "{}", text(&empty.stderr));

    // Whoever starts makes the keys that are missing.
    let house = House::assemble(config(&database), &Clock::system(), &Shutdown::new()).expect("a house");
    house.load().await.expect("keys");
    let early = keys(&database, &["rotate"]);
    assert!(!early.status.success());
    assert!(text(&early.stderr).contains("announced less than 10 minutes ago"), "{}", text(&early.stderr));

    let rotated = keys(&database, &["rotate", "--now", "--json"]);
    assert!(rotated.status.success(), "{}", text(&rotated.stderr));
    let rotated: serde_json::Value = serde_json::from_slice(&rotated.stdout).expect("JSON");
    let states: Vec<_> = rotated.as_array().expect("keys").iter().map(|key| key["state"].clone()).collect();
    assert_eq!(states, ["next", "current", "retired"]);

    let listed = text(&keys(&database, &["list"]).stdout);
    for key in rotated.as_array().expect("keys") {
        assert!(listed.contains(key["id"].as_str().expect("an id")), "{listed}");
    }
    assert_eq!(listed.lines().count(), 4, "{listed}");
}

//! A person takes their data with them.

use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use platform::caller::{OrgId, UserId};
use platform::jobs::BoxError;
use serde_json::{Value, json};
use test_support::{Answer, Ask};
use users::ports::PersonalData;

use crate::house::{EMAIL, House};
use crate::people::{Person, Team, organization, race};

/// Another module that keeps something, or cannot be asked.
#[derive(Clone, Default)]
pub(crate) struct Elsewhere(Arc<Mutex<bool>>);

impl Elsewhere {
    fn break_down(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = true;
    }
}

#[async_trait]
impl PersonalData for Elsewhere {
    fn name(&self) -> &'static str {
        "elsewhere"
    }

    async fn export(&self, account: UserId, organizations: &[OrgId]) -> Result<Value, BoxError> {
        if *self.0.lock().unwrap_or_else(PoisonError::into_inner) {
            return Err("on purpose".into());
        }
        Ok(json!({ "account": account, "organizations": organizations }))
    }
}

fn request(house: &House, token: &str) -> Ask {
    house.api.post("/v1/me/export", &json!({})).bearer(token)
}

async fn show(house: &House, token: &str, id: &Value) -> Answer {
    house.api.get(&format!("/v1/me/exports/{}", id.as_str().expect("an id"))).bearer(token).send().await
}

/// Asks for an export and waits for it.
async fn export(house: &House, token: &str) -> Value {
    let begun = request(house, token).send().await.expect(202);
    assert_eq!(show(house, token, &begun["id"]).await.expect(200)["state"], "pending");
    house.work().await;
    show(house, token, &begun["id"]).await.expect(200)
}

fn names(list: &Value) -> Vec<&str> {
    assert_eq!(list["complete"], true, "{list}");
    let entries = list["entries"].as_array().expect("entries");
    entries.iter().map(|entry| entry["organization"].as_str().or(entry["action"].as_str()).expect("a name")).collect()
}

#[tokio::test]
async fn an_export_holds_what_every_module_keeps_about_the_person_and_nobody_else() {
    let team = Team::open().await;
    let ann = team.join("ann", "admin").await;
    let _ = team.invite(&ann, "new@example.com", "viewer").send().await.expect(201);
    let own = organization(&team.house, &ann).await;
    let export = export(&team.house, &ann.token).await;
    assert_eq!(export["state"], "ready");
    let data = &export["data"];
    assert_eq!(
        (&data["users"]["account"]["email"], &data["users"]["account"]["name"]),
        (&json!(ann.email), &json!("ann"))
    );
    assert_eq!(data["users"]["sessions"]["entries"].as_array().map(Vec::len), Some(1));
    assert_eq!(names(&data["users"]["memberships"]), ["Acme", "Acme"]);
    assert_eq!(names(&data["users"]["invitations_received"]), ["Acme"]);
    let mut done = names(&data["users"]["audit_log"]);
    done.sort_unstable();
    let expected = [
        "authn_login_success",
        "invitation_accepted",
        "invitation_created",
        "organization_created",
        "user_export_requested",
    ];
    assert_eq!(done, expected);
    let own = own.rsplit('/').next().expect("an id");
    assert_eq!(data["elsewhere"], json!({ "account": ann.id, "organizations": [own] }), "theirs alone");
    for other in [team.owner.email.as_str(), "new@example.com"] {
        assert!(!data.to_string().contains(other), "{other}");
    }
    let mails = team.house.mailbox.to(&ann.email);
    assert!(
        mails[0].mail.subject.contains("is ready") && !mails[0].mail.text.contains("Acme\""),
        "{:?}",
        mails[0].mail
    );
}

#[tokio::test]
async fn an_export_is_sealed_shown_to_its_owner_and_gone_after_a_week() {
    let team = Team::open().await;
    let export = export(&team.house, &team.owner.token).await;
    let readable = "SELECT count(*) FROM users.exports WHERE encode(sealed_data, 'escape') LIKE '%example.com%'";
    assert_eq!(team.house.count(readable).await, 0);
    let stranger = team.stranger("eve").await;
    show(&team.house, &stranger.token, &export["id"]).await.expect_problem(404, "not_found");
    team.house.sql("UPDATE users.exports SET expires_at = now()").await;
    show(&team.house, &team.owner.token, &export["id"]).await.expect_problem(404, "not_found");
    prune(&team.house).await;
    assert_eq!(team.house.count("SELECT count(*) FROM users.exports").await, 0);
}

async fn prune(house: &House) {
    house.work().await;
    house.sql("UPDATE platform.schedules SET next_at = now() WHERE name = 'users.prune_expired'").await;
    house.work().await;
}

#[tokio::test]
async fn one_export_is_made_at_a_time_and_three_a_day() {
    let team = Team::open_with(|config| config.limits.exports_by_person = often(3)).await;
    let (house, owner) = (&team.house, &team.owner);
    team.warm_up().await;
    assert_eq!(race((0..6).map(|_| request(house, &owner.token))).await, [202, 409, 409, 409, 409, 409]);
    house.work().await;
    for _ in 0..2 {
        export(house, &owner.token).await;
    }
    let refused = request(house, &owner.token).send().await;
    refused.expect_problem(429, "rate_limited");
    assert!(!refused.header("retry-after").is_empty());
    let Person { token, .. } = team.stranger("ann").await;
    let _ = request(house, &token).send().await.expect(202);
}

fn often(count: u32) -> platform::rate_limit::RateLimit {
    platform::rate_limit::RateLimit { count, seconds: 86_400, burst: count }
}

#[tokio::test]
async fn an_export_that_cannot_be_made_fails_visibly_and_blocks_nobody() {
    let house = House::with_account().await;
    let token = house.log_in().await.access;
    house.elsewhere.break_down();
    let begun = request(&house, &token).send().await.expect(202);
    for _ in 0..5 {
        house.work().await;
        house.sql("UPDATE platform.jobs SET run_at = now()").await;
    }
    assert_eq!(show(&house, &token, &begun["id"]).await.expect(200)["state"], "failed");
    assert_eq!(house.count("SELECT count(*) FROM platform.dead_jobs").await, 1);
    assert!(house.mailbox.to(EMAIL).is_empty());
    let _ = request(&house, &token).send().await.expect(202);
    request(&house, &token).send().await.expect_problem(409, "export_running");
    // Its worker vanished in every try.
    house.sql("UPDATE users.exports SET created_at = now() - interval '2 hours' WHERE state = 'pending'").await;
    let _ = request(&house, &token).send().await.expect(202);
}

#[tokio::test]
async fn an_export_of_somebody_who_erased_their_account_is_not_made() {
    let house = House::with_account().await;
    let token = house.log_in().await.access;
    let _ = request(&house, &token).send().await.expect(202);
    let _ = house.api.delete("/v1/me").bearer(&token).send().await.expect(204);
    house.work().await;
    let left = "SELECT (SELECT count(*) FROM platform.jobs WHERE name = 'users.make_export')
        + (SELECT count(*) FROM platform.dead_jobs) + (SELECT count(*) FROM users.exports)";
    assert_eq!(house.count(left).await, 0);
    assert_eq!(house.mailbox.to(EMAIL).len(), 1, "the farewell only");
}

#[tokio::test]
async fn asking_for_an_export_wants_a_recent_login() {
    let team = Team::open().await;
    let late = team.much_later(&team.owner).await;
    request(&team.house, &late.token).send().await.expect_problem(401, "recent_login_required");
}

#[tokio::test]
async fn a_long_history_is_cut_and_says_so() {
    let house = House::with_account().await;
    let token = house.log_in().await.access;
    house
        .sql(
            "INSERT INTO users.audit_log (id, account_id, action, at)
             SELECT gen_random_uuid(), (SELECT id FROM users.accounts), 'a', now() FROM generate_series(1, 5100)",
        )
        .await;
    let log = &export(&house, &token).await["data"]["users"]["audit_log"];
    assert_eq!((log["entries"].as_array().map(Vec::len), &log["complete"]), (Some(5_000), &json!(false)));
}

#[tokio::test]
async fn the_audit_log_forgets_after_the_configured_days_and_never_before_thirty() {
    let house = House::with_account().await;
    house
        .sql(
            "INSERT INTO users.audit_log (id, action, at)
             SELECT (lpad(to_hex((extract(epoch FROM at) * 1000)::bigint), 12, '0') || '70008000' || lpad(n::text, 12, '0'))::uuid,
                    'old', at
             FROM (SELECT n, now() - make_interval(days => 399 + n % 3) AS at FROM generate_series(1, 3000) n) spread",
        )
        .await;
    prune(&house).await;
    assert_eq!(house.count("SELECT count(*) FROM users.audit_log WHERE action = 'old'").await, 1_000);
    let mut module = house.owner().await;
    let become_module = "SELECT set_config('role', grantee::text, false) FROM information_schema.role_table_grants
        WHERE table_schema = 'users' AND table_name = 'audit_log' AND grantee <> current_user LIMIT 1";
    sqlx::query(become_module).fetch_one(&mut module).await.expect("the module's role");
    for (statement, complaint) in [
        ("SELECT users.prune_audit_log(interval '29 days', 10)", "for 30 days at least"),
        ("SELECT users.prune_audit_log(NULL, 10)", "for 30 days at least"),
        ("SET users.pruning_audit_log = 'on'; DELETE FROM users.audit_log", "append-only"),
        ("UPDATE users.audit_log SET action = 'x'", "append-only"),
    ] {
        let refused = sqlx::raw_sql(statement).execute(&mut module).await.expect_err(statement);
        assert!(refused.to_string().contains(complaint), "{statement}: {refused}");
    }
}

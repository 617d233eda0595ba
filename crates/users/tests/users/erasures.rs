//! A person erases their account.

use serde_json::json;
use test_support::Ask;

use crate::house::{House, PASSWORD};
use crate::people::{Person, Team, data, organization, person, race};

fn erase(house: &House, person: &Person) -> Ask {
    house.api.delete("/v1/me").bearer(&person.token)
}

async fn rows_about(house: &House, person: &Person) -> i64 {
    let query = "SELECT (SELECT count(*) FROM users.accounts WHERE id = $1)
        + (SELECT count(*) FROM users.sessions WHERE account_id = $1)
        + (SELECT count(*) FROM users.memberships WHERE account_id = $1)
        + (SELECT count(*) FROM users.one_time_secrets WHERE account_id = $1)
        + (SELECT count(*) FROM users.registrations WHERE email = $2)
        + (SELECT count(*) FROM users.invitations WHERE email = $2)
        + (SELECT count(*) FROM users.personal_tokens WHERE account_id = $1)
        + (SELECT count(*) FROM users.second_factors WHERE account_id = $1)
        + (SELECT count(*) FROM users.exports WHERE account_id = $1)";
    let id: uuid::Uuid = person.id.parse().expect("an id");
    let count = sqlx::query_scalar(query).bind(id).bind(&person.email).fetch_one(&mut house.owner().await).await;
    count.expect("a count")
}

#[tokio::test]
async fn who_erases_their_account_is_forgotten_and_may_come_again() {
    let team = Team::open().await;
    let (house, ann) = (&team.house, team.join("ann", "admin").await);
    let own = organization(house, &ann).await;
    let move_away = house.api.post("/v1/me/email", &json!({ "new_email": "ann@elsewhere.example" }));
    let _ = move_away.bearer(&ann.token).send().await.expect(202);
    let wish = json!({ "email": ann.email, "password": PASSWORD, "name": "Ann" });
    let _ = house.api.post("/v1/auth/register", &wish).send().await.expect(202);
    let _ = house.api.post("/v1/me/export", &json!({})).bearer(&ann.token).send().await.expect(202);
    house.work().await;
    house.heard.take();
    assert!(rows_about(house, &ann).await >= 6);
    let _ = erase(house, &ann).send().await.expect(204);
    assert_eq!(rows_about(house, &ann).await, 0);
    house.me(&ann.token).await.expect_problem(401, "invalid_token");
    house.refresh(&ann.refresh).await.expect_problem(401, "invalid_refresh_token");
    house.try_log_in(&ann.email, PASSWORD).await.expect_problem(401, "invalid_credentials");
    house.work().await;
    let mut heard = house.heard.take();
    heard.sort_unstable();
    let told = ["users.account_erased.v1", "users.member_removed.v1", "users.organization_deleted.v1"];
    assert_eq!(heard, told);
    assert!(house.mailbox.to(&ann.email)[0].mail.subject.contains("is erased"));
    let log = data(&team.get(&team.owner, "/audit-log?action=member_removed").send().await);
    assert_eq!((&log[0]["actor"], &log[0]["details"]["user"]), (&json!(ann.id), &json!(ann.id)), "ids stay");
    let named = "SELECT count(*) FROM users.audit_log WHERE audit_log::text ILIKE '%ann@%'";
    assert_eq!(house.count(named).await, 0, "names do not");
    assert_eq!(data(&team.get(&team.owner, "/members").send().await).len(), 1);
    let _ = house.api.post("/v1/auth/register", &wish).send().await.expect(202);
    house.work().await;
    let token = house.mailed_token(&ann.email);
    let _ = house.api.post("/v1/auth/verify-email", &json!({ "token": token })).send().await.expect(204);
    let back = house.try_log_in(&ann.email, PASSWORD).await.expect(200);
    let shown = house.api.get(&own).bearer(back["access_token"].as_str().expect("a token")).send().await;
    shown.expect_problem(404, "not_found");
}

#[tokio::test]
async fn nobody_leaves_an_organization_of_others_without_an_owner() {
    let team = Team::open().await;
    let (house, admin) = (&team.house, team.join("admin", "admin").await);
    let own = organization(house, &team.owner).await;
    erase(house, &team.owner).send().await.expect_problem(409, "last_owner");
    assert!(rows_about(house, &team.owner).await > 0);
    let _ = house.api.get(&own).bearer(&team.owner.token).send().await.expect(200);
    let _ = team.make(&team.owner, &admin, "owner").send().await.expect(200);
    let _ = erase(house, &team.owner).send().await.expect(204);
    assert_eq!(data(&team.get(&admin, "/members").send().await).len(), 1);
    assert_eq!(house.count("SELECT count(*) FROM users.organizations").await, 1);
}

/// Security case 24, with everything gone.
#[tokio::test]
async fn of_two_last_owners_who_erase_themselves_at_once_one_stays() {
    let team = Team::open().await;
    let viewer = team.join("viewer", "viewer").await;
    team.warm_up().await;
    let mut owner = person(&team.house, "olga").await;
    for round in 0..4 {
        let other = team.stranger(&format!("other{round}")).await;
        let token = invitation_by(&team, &owner, &other).await;
        let _ = team.accept(&other, &token).await.expect(200);
        let gone = race([erase(&team.house, &owner), erase(&team.house, &other)]).await;
        assert_eq!(gone, [204, 409], "round {round}");
        let left = "SELECT count(*) FROM users.memberships WHERE role = 'owner'";
        assert_eq!(team.house.count(left).await, 1);
        if team.house.me(&owner.token).await.status != 200 {
            owner = other;
        }
    }
    assert_eq!(data(&team.get(&viewer, "/members").send().await).len(), 2);
}

async fn invitation_by(team: &Team, owner: &Person, invited: &Person) -> String {
    let _ = team.invite(owner, &invited.email, "owner").send().await.expect(201);
    team.house.work().await;
    team.house.mailed_token(&invited.email)
}

#[tokio::test]
async fn of_two_owners_without_others_both_go_and_so_does_their_organization() {
    let team = Team::open().await;
    let other = team.join("other", "owner").await;
    team.warm_up().await;
    assert_eq!(race([erase(&team.house, &team.owner), erase(&team.house, &other)]).await, [204, 204]);
    assert_eq!(team.house.count("SELECT count(*) FROM users.organizations").await, 0);
}

#[tokio::test]
async fn an_account_is_erased_once() {
    let team = Team::open().await;
    team.warm_up().await;
    let asks = (0..8).map(|_| erase(&team.house, &team.owner));
    assert_eq!(race(asks).await, [204, 401, 401, 401, 401, 401, 401, 401]);
    team.house.work().await;
    assert_eq!(team.house.heard.take(), ["users.organization_deleted.v1", "users.account_erased.v1"]);
}

#[tokio::test]
async fn who_founds_an_organization_while_they_erase_their_account_leaves_none_behind() {
    let team = Team::open().await;
    team.warm_up().await;
    for round in 0..5 {
        let founder = team.stranger(&format!("founder{round}")).await;
        let found = || team.house.api.post("/v1/organizations", &json!({ "name": "Mine" })).bearer(&founder.token);
        let done = race([found(), found(), erase(&team.house, &founder), found()]).await;
        assert!(done.contains(&204) && done.iter().all(|status| [201, 204, 401].contains(status)), "{done:?}");
        let ownerless = "SELECT count(*) FROM users.organizations o WHERE NOT EXISTS
            (SELECT FROM users.memberships m WHERE m.organization_id = o.id)";
        assert_eq!(team.house.count(ownerless).await, 0, "round {round}: {done:?}");
    }
}

#[tokio::test]
async fn erasing_wants_a_recent_login_and_the_profile_that_was_read() {
    let team = Team::open().await;
    let late = team.much_later(&team.owner).await;
    erase(&team.house, &late).send().await.expect_problem(401, "recent_login_required");
    let fresh = person(&team.house, "olga").await;
    erase(&team.house, &fresh).header("if-match", "\"7\"").send().await.expect_problem(412, "version_mismatch");
    let _ = erase(&team.house, &fresh).header("if-match", "\"1\"").send().await.expect(204);
}

#[tokio::test]
async fn who_belongs_to_hundreds_of_organizations_leaves_some_first() {
    let team = Team::open().await;
    team.house
        .sql(
            "WITH made AS (INSERT INTO users.organizations (id, name, created_at)
                 SELECT gen_random_uuid(), 'Acme', now() FROM generate_series(1, 200) RETURNING id)
             INSERT INTO users.memberships (organization_id, account_id, role, created_at)
                 SELECT made.id, a.id, 'owner', now() FROM made, users.accounts a",
        )
        .await;
    erase(&team.house, &team.owner).send().await.expect_problem(409, "too_many_organizations");
    let _ = team.house.api.delete(&team.path).bearer(&team.owner.token).send().await.expect(204);
    let _ = erase(&team.house, &team.owner).send().await.expect(204);
    assert_eq!(team.house.count("SELECT count(*) FROM users.organizations").await, 0);
}

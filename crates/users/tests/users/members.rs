use serde_json::json;
use test_support::Statements;

use crate::people::{Team, data, organization, race};

#[tokio::test]
async fn members_see_one_another_and_only_those_who_manage_them_see_addresses() {
    let team = Team::open().await;
    let people = team.one_in_each_role().await;
    for (reader, sees) in people.iter().zip([true, false, false, false]) {
        let members = data(&team.get(reader, "/members").send().await);
        assert_eq!(members.len(), 5);
        let owner = members.iter().find(|member| member["user_id"] == team.owner.id.as_str()).expect("the owner");
        assert_eq!((owner["name"].as_str(), owner["role"].as_str()), (Some("olga"), Some("owner")));
        assert_eq!(owner["email"].as_str(), sees.then_some("olga@example.com"), "{}", reader.email);
        let shown = team.house.api.get(&team.place(&team.owner)).bearer(&reader.token).send().await;
        assert_eq!((&shown.expect(200), shown.header("etag")), (owner, "\"1\""));
    }
    let stranger = team.stranger("eve").await;
    team.get(&stranger, "/members").send().await.expect_problem(404, "not_found");
}

#[tokio::test]
async fn members_are_listed_in_pages_at_a_price_that_does_not_grow() {
    let team = Team::open().await;
    let cost = async |limit: &str| {
        let before = Statements::sent();
        let page = team.get(&team.owner, &format!("/members?limit={limit}")).send().await;
        (Statements::sent() - before, page)
    };
    let (alone, _) = cost("100").await;
    team.one_in_each_role().await;
    let (together, _) = cost("100").await;
    assert_eq!(alone, together, "one more statement for each member");
    let (_, first) = cost("3").await;
    let next = first.json()["next_cursor"].as_str().expect("more").to_owned();
    let rest = data(&team.get(&team.owner, &format!("/members?limit=3&cursor={next}")).send().await);
    assert_eq!((data(&first).len(), rest.len()), (3, 2));
    assert!(data(&first).iter().all(|member| !rest.contains(member)));
    let elsewhere = organization(&team.house, &team.owner).await;
    let foreign = team.house.api.get(&format!("{elsewhere}/members?cursor={next}")).bearer(&team.owner.token);
    foreign.send().await.expect_problem(400, "invalid_cursor");
}

/// Security case 21.
#[tokio::test]
async fn those_below_admin_change_nobody_and_invite_nobody() {
    let team = Team::open().await;
    let people = team.one_in_each_role().await;
    for caller in &people[1..] {
        for member in people.iter().chain([&team.owner]) {
            team.make(caller, member, "admin").send().await.expect_problem(403, "forbidden");
            if member.id != caller.id {
                team.remove(caller, member).send().await.expect_problem(403, "forbidden");
            }
        }
        team.invite(caller, "new@example.com", "viewer").send().await.expect_problem(403, "forbidden");
        team.house.api.delete(&team.path).bearer(&caller.token).send().await.expect_problem(403, "forbidden");
    }
    assert_eq!(data(&team.get(&team.owner, "/members").send().await).len(), 5);
}

/// Security case 23.
#[tokio::test]
async fn an_admin_neither_makes_nor_touches_an_owner() {
    let team = Team::open().await;
    let (admin, member) = (team.join("admin", "admin").await, team.join("member", "member").await);
    for promoted in [&admin, &member] {
        team.make(&admin, promoted, "owner").send().await.expect_problem(403, "forbidden");
    }
    team.invite(&admin, "new@example.com", "owner").send().await.expect_problem(403, "forbidden");
    team.make(&admin, &team.owner, "viewer").send().await.expect_problem(403, "forbidden");
    team.remove(&admin, &team.owner).send().await.expect_problem(403, "forbidden");
    let _ = team.make(&admin, &member, "admin").send().await.expect(200);
    let _ = team.make(&admin, &member, "billing").send().await.expect(200);
    let _ = team.remove(&admin, &member).send().await.expect(204);
    let _ = team.make(&admin, &admin, "viewer").send().await.expect(200);
    team.make(&admin, &admin, "admin").send().await.expect_problem(403, "forbidden");
    let invitation = team.invite(&team.owner, "new@example.com", "owner").send().await.expect(201);
    let revoke = format!("{}/invitations/{}", team.path, invitation["id"].as_str().expect("an id"));
    let _ = team.make(&team.owner, &admin, "admin").send().await.expect(200);
    team.house.api.delete(&revoke).bearer(&admin.token).send().await.expect_problem(403, "forbidden");
    assert_eq!(team.role_of(&team.owner).await.as_deref(), Some("owner"));
}

/// Security case 23.
#[tokio::test]
async fn the_last_owner_neither_leaves_nor_steps_down_before_giving_the_organization_away() {
    let team = Team::open().await;
    let admin = team.join("admin", "admin").await;
    team.remove(&team.owner, &team.owner).send().await.expect_problem(409, "last_owner");
    team.make(&team.owner, &team.owner, "admin").send().await.expect_problem(409, "last_owner");
    let _ = team.make(&team.owner, &admin, "owner").send().await.expect(200);
    let _ = team.make(&team.owner, &team.owner, "viewer").send().await.expect(200);
    team.remove(&admin, &admin).send().await.expect_problem(409, "last_owner");
    let _ = team.remove(&team.owner, &team.owner).send().await.expect(204);
    assert_eq!(data(&team.get(&admin, "/members").send().await).len(), 1);
}

#[tokio::test]
async fn an_owner_who_cannot_log_in_does_not_count() {
    let team = Team::open().await;
    team.join("other", "owner").await;
    team.house.sql("UPDATE users.accounts SET disabled_at = now() WHERE email = 'other@example.com'").await;
    team.remove(&team.owner, &team.owner).send().await.expect_problem(409, "last_owner");
}

/// Security case 24.
#[tokio::test]
async fn of_two_last_owners_who_leave_at_once_one_stays() {
    let team = Team::open().await;
    let second = team.join("second", "owner").await;
    for round in 0..5 {
        let first = &team.owner;
        let left = race([team.remove(first, first), team.remove(&second, &second)]).await;
        assert_eq!(left, [204, 409], "round {round}");
        assert_eq!(team.house.count("SELECT count(*) FROM users.memberships WHERE role = 'owner'").await, 1);
        team.house.sql("INSERT INTO users.memberships (organization_id, account_id, role, created_at) SELECT o.id, a.id, 'owner', now() FROM users.organizations o, users.accounts a ON CONFLICT DO NOTHING").await;
    }
}

#[tokio::test]
async fn of_two_owners_who_act_against_each_other_one_wins() {
    let team = Team::open().await;
    let other = team.join("other", "owner").await;
    for round in 0..5 {
        let demoted = race([team.make(&team.owner, &other, "viewer"), team.make(&other, &team.owner, "viewer")]).await;
        assert_eq!(demoted, [200, 403], "the second is no owner any more, round {round}");
        assert_eq!(team.house.count("SELECT count(*) FROM users.memberships WHERE role = 'owner'").await, 1);
        team.house.sql("UPDATE users.memberships SET role = 'owner'").await;
    }
    let removed = race([team.remove(&team.owner, &other), team.remove(&other, &team.owner)]).await;
    assert_eq!(removed, [204, 404], "the second is a stranger");
}

/// Security case 26.
#[tokio::test]
async fn a_removed_members_live_token_is_refused_at_once() {
    let team = Team::open().await;
    let admin = team.join("admin", "admin").await;
    let _ = team.get(&admin, "").send().await.expect(200);
    let _ = team.remove(&team.owner, &admin).send().await.expect(204);
    for below in ["", "/members", "/invitations", "/audit-log"] {
        team.get(&admin, below).send().await.expect_problem(404, "not_found");
    }
    team.invite(&admin, "new@example.com", "viewer").send().await.expect_problem(404, "not_found");
    team.remove(&team.owner, &admin).send().await.expect_problem(404, "not_found");
    let _ = team.house.me(&admin.token).await.expect(200);
}

/// Security case 52.
#[tokio::test]
async fn a_lost_update_of_a_role_is_refused() {
    let team = Team::open().await;
    let member = team.join("member", "member").await;
    let make =
        |role: &'static str, tag: &'static str| team.make(&team.owner, &member, role).header("if-match", tag).send();
    let changed = make("viewer", "\"1\"").await;
    assert_eq!((changed.expect(200)["role"].as_str(), changed.header("etag")), (Some("viewer"), "\"2\""));
    make("billing", "\"1\"").await.expect_problem(412, "version_mismatch");
    let same = make("viewer", "\"2\"").await;
    assert_eq!((same.status.as_u16(), same.header("etag")), (200, "\"2\""), "nothing changed");
    let remove = team.remove(&team.owner, &member).header("if-match", "\"1\"").send().await;
    remove.expect_problem(412, "version_mismatch");
    let delete = team.house.api.delete(&team.path).bearer(&team.owner.token).header("if-match", "\"9\"");
    delete.send().await.expect_problem(412, "version_mismatch");
    assert_eq!(team.role_of(&member).await.as_deref(), Some("viewer"));
}

/// Security case 28.
#[tokio::test]
async fn giving_the_organization_away_or_deleting_it_needs_a_recent_login() {
    let team = Team::open().await;
    let admin = team.join("admin", "admin").await;
    let owner = team.much_later(&team.owner).await;
    let delete = team.house.api.delete(&team.path).bearer(&owner.token).send().await;
    for refused in [
        team.make(&owner, &admin, "owner").send().await,
        team.invite(&owner, "new@example.com", "owner").send().await,
        delete,
    ] {
        refused.expect_problem(401, "recent_login_required");
    }
    let _ = team.make(&owner, &admin, "viewer").send().await.expect(200);
    let _ = team.invite(&owner, "new@example.com", "admin").send().await.expect(201);
}

/// Security case 20.
#[tokio::test]
async fn ids_of_another_organization_are_not_found_and_nothing_changes() {
    let team = Team::open().await;
    let member = team.join("member", "member").await;
    let invitation = team.invite(&team.owner, "new@example.com", "viewer").send().await.expect(201);
    let invitation = invitation["id"].as_str().expect("an id");
    let eve = team.stranger("eve").await;
    let hers = organization(&team.house, &eve).await;
    let api = &team.house.api;
    let role = json!({ "role": "owner" });
    for path in [&team.path, &hers] {
        let place = format!("{path}/members/{}", member.id);
        for ask in [
            api.get(&place),
            api.patch(&place, &role),
            api.delete(&place),
            api.delete(&format!("{path}/invitations/{invitation}")),
        ] {
            ask.bearer(&eve.token).send().await.expect_problem(404, "not_found");
        }
    }
    let invite = json!({ "email": "x@example.com", "role": "viewer" });
    for ask in [
        api.get(&format!("{}/members", team.path)),
        api.get(&format!("{}/invitations", team.path)),
        api.get(&format!("{}/audit-log", team.path)),
        api.post(&format!("{}/invitations", team.path), &invite),
        api.delete(&team.path),
    ] {
        ask.bearer(&eve.token).send().await.expect_problem(404, "not_found");
    }
    assert_eq!(team.role_of(&member).await.as_deref(), Some("member"));
    assert_eq!(data(&team.get(&team.owner, "/invitations").send().await).len(), 1);
}

/// Security case 22.
#[tokio::test]
async fn unknown_roles_and_fields_are_refused() {
    let team = Team::open().await;
    let member = team.join("member", "member").await;
    let bad = team.make(&team.owner, &member, "god").send().await;
    assert_eq!(bad.expect_problem(422, "invalid_request"), [("role".to_owned(), "unknown_value".to_owned())]);
    for field in ["is_admin", "org_id", "user_id", "id", "created_at"] {
        let mut change = json!({ "role": "viewer" });
        change[field] = json!("x");
        let change = team.house.api.patch(&team.place(&member), &change).bearer(&team.owner.token).send().await;
        assert_eq!(change.expect_problem(422, "invalid_request"), [(field.to_owned(), "unknown_field".to_owned())]);
        let mut wish = json!({ "email": "new@example.com", "role": "viewer" });
        wish[field] = json!("x");
        let path = format!("{}/invitations", team.path);
        let wish = team.house.api.post(&path, &wish).bearer(&team.owner.token).send().await;
        assert_eq!(wish.expect_problem(422, "invalid_request"), [(field.to_owned(), "unknown_field".to_owned())]);
    }
    assert_eq!(team.role_of(&member).await.as_deref(), Some("member"));
}

#[tokio::test]
async fn a_deleted_organization_takes_its_memberships_and_invitations_along() {
    let team = Team::open().await;
    let member = team.join("member", "member").await;
    let token = team.invited("eve@example.com", "viewer").await;
    let eve = team.stranger("eve").await;
    team.house.heard.take();
    let _ = team.house.api.delete(&team.path).bearer(&team.owner.token).send().await.expect(204);
    for person in [&team.owner, &member] {
        team.get(person, "").send().await.expect_problem(404, "not_found");
    }
    team.accept(&eve, &token).await.expect_problem(404, "not_found");
    let left = "SELECT (SELECT count(*) FROM users.memberships) + (SELECT count(*) FROM users.invitations)";
    assert_eq!(team.house.count(left).await, 0);
    team.house.work().await;
    assert_eq!(team.house.heard.take(), ["users.organization_deleted.v1"]);
    let logged = "SELECT count(*) FROM users.audit_log WHERE action = 'organization_deleted'";
    assert_eq!(team.house.count(logged).await, 1);
}

#[tokio::test]
async fn others_hear_who_joins_and_who_leaves() {
    let team = Team::open().await;
    let member = team.join("member", "member").await;
    let _ = team.make(&team.owner, &member, "viewer").send().await.expect(200);
    let _ = team.remove(&member, &member).send().await.expect(204);
    team.house.work().await;
    assert_eq!(team.house.heard.take(), ["users.member_added.v1", "users.member_removed.v1"]);
}

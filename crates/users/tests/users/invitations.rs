use platform::rate_limit::RateLimit;
use serde_json::{Value, json};
use test_support::Statements;

use crate::people::{Person, Team, data, organization, race};

#[tokio::test]
async fn an_invited_person_follows_the_mail_and_belongs_to_the_organization() {
    let team = Team::open().await;
    let ann = team.stranger("ann").await;
    let created = team.invite(&team.owner, "ann@example.com", "billing").send().await.expect(201);
    team.house.work().await;
    let mail = team.house.mailbox.to("ann@example.com")[0].mail.clone();
    assert!(mail.subject.contains("Acme"), "{}", mail.subject);
    assert!(mail.text.contains("https://app.example/invitations/accept?token="), "{}", mail.text);
    let token = team.house.mailed_token("ann@example.com");
    assert_eq!(data(&team.get(&team.owner, "/invitations").send().await), [created]);
    let accepted = team.accept(&ann, &token).await.expect(200);
    assert!(team.path.ends_with(accepted["organization_id"].as_str().expect("an id")));
    assert_eq!(accepted["role"], "billing");
    let _ = team.get(&ann, "").send().await.expect(200);
    assert!(data(&team.get(&team.owner, "/invitations").send().await).is_empty());
    let mut owner = team.house.owner().await;
    let stored: Vec<String> = sqlx::query_scalar(
        "SELECT i::text FROM users.invitations i UNION ALL SELECT a::text FROM users.audit_log a
         UNION ALL SELECT j::text FROM platform.jobs j UNION ALL SELECT k::text FROM platform.idempotency_keys k",
    )
    .fetch_all(&mut owner)
    .await
    .expect("rows");
    assert!(stored.iter().all(|row| !row.contains(&token)), "the token stands in the mail only");
}

/// Security case 3.
#[tokio::test]
async fn an_invitation_looks_the_same_whether_the_address_has_an_account_or_not() {
    let team = Team::open().await;
    team.stranger("known").await;
    let mut answers = Vec::new();
    for email in ["known@example.com", "blank@example.com"] {
        let before = Statements::sent();
        let answer = team.invite(&team.owner, email, "member").send().await;
        let cost = Statements::sent() - before;
        let body = answer.expect(201);
        let mut fields: Vec<&String> = body.as_object().expect("an object").keys().collect();
        fields.sort_unstable();
        assert_eq!(fields, ["created_at", "email", "expires_at", "id", "role"]);
        assert_eq!(body["email"], email);
        let same = json!({ "role": body["role"], "cost": cost });
        answers.push((same, answer.headers.keys().cloned().collect::<Vec<_>>()));
    }
    assert_eq!(answers[0], answers[1]);
    team.house.work().await;
    let texts = ["known@example.com", "blank@example.com"].map(|email| {
        let mail = team.house.mailbox.to(email)[0].mail.clone();
        mail.text.replace(&team.house.mailed_token(email), "")
    });
    assert_eq!(texts[0], texts[1]);
}

/// Security case 25.
#[tokio::test]
async fn only_the_invited_account_can_accept_and_only_once() {
    let team = Team::open().await;
    let (ann, eve) = (team.stranger("ann").await, team.stranger("eve").await);
    let token = team.invited("ann@example.com", "member").await;
    team.accept(&eve, &token).await.expect_problem(404, "not_found");
    team.accept(&team.owner, &token).await.expect_problem(404, "not_found");
    team.accept(&ann, "unknown").await.expect_problem(404, "not_found");
    let _ = team.accept(&ann, &token).await.expect(200);
    team.accept(&ann, &token).await.expect_problem(409, "invitation_used");
    team.accept(&eve, &token).await.expect_problem(404, "not_found");
    let _ = team.remove(&team.owner, &ann).send().await.expect(204);
    team.accept(&ann, &token).await.expect_problem(409, "invitation_used");
    assert_eq!(team.role_of(&ann).await, None);
}

/// Security case 25.
#[tokio::test]
async fn an_expired_revoked_or_replaced_invitation_is_gone() {
    let team = Team::open().await;
    let ann = team.stranger("ann").await;
    let replaced = team.invited("ann@example.com", "member").await;
    let revoked = team.invited("ann@example.com", "viewer").await;
    team.accept(&ann, &replaced).await.expect_problem(410, "invitation_gone");
    let open = data(&team.get(&team.owner, "/invitations").send().await);
    assert_eq!((open.len(), open[0]["role"].as_str()), (1, Some("viewer")));
    let path = format!("{}/invitations/{}", team.path, open[0]["id"].as_str().expect("an id"));
    let revoke = || team.house.api.delete(&path).bearer(&team.owner.token).send();
    let _ = revoke().await.expect(204);
    revoke().await.expect_problem(404, "not_found");
    team.accept(&ann, &revoked).await.expect_problem(410, "invitation_gone");
    let expired = team.invited("ann@example.com", "viewer").await;
    team.house.sql("UPDATE users.invitations SET expires_at = now() - interval '1 second'").await;
    team.accept(&ann, &expired).await.expect_problem(410, "invitation_gone");
    assert!(data(&team.get(&team.owner, "/invitations").send().await).is_empty());
    let fresh = team.invited("ann@example.com", "viewer").await;
    let _ = team.accept(&ann, &fresh).await.expect(200);
}

/// Security case 25.
#[tokio::test]
async fn of_many_who_accept_at_once_one_joins() {
    let team = Team::open().await;
    let ann = team.stranger("ann").await;
    for round in 0..3 {
        let token = team.invited("ann@example.com", "member").await;
        let accept = || team.house.api.post("/v1/invitations/accept", &json!({ "token": token })).bearer(&ann.token);
        assert_eq!(race([accept(), accept(), accept(), accept()]).await, [200, 409, 409, 409], "round {round}");
        let _ = team.remove(&ann, &ann).send().await.expect(204);
    }
    let joined = "SELECT count(*) FROM users.audit_log WHERE action = 'invitation_accepted'";
    assert_eq!(team.house.count(joined).await, 3);
}

#[tokio::test]
async fn of_accepting_and_taking_back_at_once_one_wins() {
    let team = Team::open().await;
    let ann = team.stranger("ann").await;
    for round in 0..5 {
        let token = team.invited("ann@example.com", "member").await;
        let open = data(&team.get(&team.owner, "/invitations").send().await);
        let path = format!("{}/invitations/{}", team.path, open[0]["id"].as_str().expect("an id"));
        let accept = team.house.api.post("/v1/invitations/accept", &json!({ "token": token })).bearer(&ann.token);
        let revoke = team.house.api.delete(&path).bearer(&team.owner.token);
        match race([accept, revoke]).await[..] {
            [200, 404] => drop(team.remove(&ann, &ann).send().await.expect(204)),
            [204, 410] => assert_eq!(team.role_of(&ann).await, None),
            ref other => panic!("round {round}: {other:?}"),
        }
    }
}

#[tokio::test]
async fn an_address_of_a_member_cannot_be_invited_in_any_spelling() {
    let team = Team::open().await;
    team.join("ann", "member").await;
    for email in ["ann@example.com", "ANN@EXAMPLE.com", " Ann@example.com "] {
        team.invite(&team.owner, email, "viewer").send().await.expect_problem(409, "already_member");
    }
    let bad = team.invite(&team.owner, "not an address", "viewer").send().await;
    assert_eq!(bad.expect_problem(422, "invalid_request"), [("email".to_owned(), "invalid_email".to_owned())]);
}

/// Security case 39.
#[tokio::test]
async fn the_mail_goes_to_the_address_as_its_owner_wrote_it() {
    let team = Team::open().await;
    team.stranger("ann").await;
    let _ = team.invite(&team.owner, "ANN@example.com", "viewer").send().await.expect(201);
    team.house.work().await;
    assert_eq!(team.house.mailbox.to("ann@example.com").len(), 1);
    assert!(team.house.mailbox.list().iter().all(|received| received.mail.to == "ann@example.com"));
}

#[tokio::test]
async fn somebody_who_joined_meanwhile_is_told_so() {
    let team = Team::open().await;
    let ann = team.stranger("ann").await;
    let token = team.invited("ann@example.com", "viewer").await;
    team.house.sql("INSERT INTO users.memberships (organization_id, account_id, role, created_at) SELECT o.id, a.id, 'member', now() FROM users.organizations o, users.accounts a WHERE a.email = 'ann@example.com'").await;
    team.accept(&ann, &token).await.expect_problem(409, "already_member");
    assert_eq!(team.role_of(&ann).await.as_deref(), Some("member"), "an invitation does not change a role");
}

#[tokio::test]
async fn the_last_open_places_go_to_as_many_as_there_are() {
    let team = Team::open().await;
    let (ann, bob) = (team.join("ann", "admin").await, team.join("bob", "admin").await);
    let inviters = [&team.owner, &ann, &bob].into_iter().cycle();
    let emails = ["a1", "a2", "a3", "a4", "a5", "a6"].map(|name| format!("{name}@example.com"));
    team.warm_up().await;
    let invited = race(emails.iter().zip(inviters).map(|(email, by)| team.invite(by, email, "viewer"))).await;
    assert_eq!(invited, [201, 201, 201, 409, 409, 409]);
    let open = data(&team.get(&team.owner, "/invitations").send().await);
    let again = open[0]["email"].as_str().expect("an address").to_owned();
    let _ = team.invite(&team.owner, &again, "member").send().await.expect(201);
    let full = team.invite(&team.owner, "more@example.com", "member").send().await;
    full.expect_problem(409, "too_many_invitations");
    assert_eq!(data(&team.get(&team.owner, "/invitations").send().await).len(), 3);
}

#[tokio::test]
async fn nobody_is_mailed_again_and_again_nor_everybody_once() {
    let often = |count| RateLimit { count, seconds: 3_600, burst: count };
    let team = Team::open_with(|config| {
        (config.limits.mail_by_account, config.limits.invitations_by_person) = (often(2), often(4));
    })
    .await;
    let admin = team.join("admin", "admin").await;
    let invite = async |inviter, email| team.invite(inviter, email, "viewer").send().await;
    for email in ["ann@example.com", "Ann@example.com"] {
        let _ = invite(&team.owner, email).await.expect(201);
    }
    invite(&team.owner, "ann@example.com").await.expect_problem(429, "rate_limited");
    let _ = invite(&admin, "ann@example.com").await.expect(201);
    let _ = invite(&team.owner, "bob@example.com").await.expect(201);
    invite(&team.owner, "cyd@example.com").await.expect_problem(429, "rate_limited");
    let other = organization(&team.house, &team.owner).await;
    let wish = json!({ "email": "dan@example.com", "role": "viewer" });
    let elsewhere = team.house.api.post(&format!("{other}/invitations"), &wish).bearer(&team.owner.token);
    elsewhere.send().await.expect_problem(429, "rate_limited");
    assert_eq!(team.house.count("SELECT count(*) FROM users.invitations").await, 5, "what is refused mails nobody");
}

#[tokio::test]
async fn a_full_organization_takes_nobody_in() {
    let team = Team::open().await;
    team.one_in_each_role().await;
    let mut waiting = Vec::new();
    for name in ["ann", "bob", "cyd"] {
        let person = team.stranger(name).await;
        let token = team.invited(&person.email, "viewer").await;
        waiting.push((person, json!({ "token": token })));
    }
    team.warm_up().await;
    for round in 0..8 {
        let accept = |(person, token): &(Person, Value)| {
            team.house.api.post("/v1/invitations/accept", token).bearer(&person.token)
        };
        assert_eq!(race(waiting.iter().map(accept)).await, [200, 409, 409], "round {round}");
        assert_eq!(data(&team.get(&team.owner, "/members").send().await).len(), 6);
        team.house.sql("DELETE FROM users.memberships WHERE account_id IN (SELECT id FROM users.accounts WHERE name IN ('ann', 'bob', 'cyd'))").await;
        team.house.sql("UPDATE users.invitations SET accepted_at = NULL WHERE email ~ '^(ann|bob|cyd)@'").await;
    }
}

#[tokio::test]
async fn a_repeated_invitation_is_answered_again_and_mailed_once() {
    let team = Team::open().await;
    let invite = || team.invite(&team.owner, "ann@example.com", "viewer").header("idempotency-key", "k1").send();
    let (first, again) = (invite().await, invite().await);
    assert_eq!(first.expect(201), again.expect(201));
    assert_eq!(again.header("idempotency-replayed"), "true");
    team.house.work().await;
    assert_eq!(team.house.mailbox.to("ann@example.com").len(), 1);
}

#[tokio::test]
async fn an_invitation_lets_into_its_own_organization_only() {
    let team = Team::open().await;
    let ann = team.stranger("ann").await;
    let elsewhere = organization(&team.house, &team.owner).await;
    let token = team.invited("ann@example.com", "member").await;
    let _ = team.accept(&ann, &token).await.expect(200);
    team.house.api.get(&elsewhere).bearer(&ann.token).send().await.expect_problem(404, "not_found");
    let mine = team.house.api.get("/v1/organizations").bearer(&ann.token).send().await;
    let names: Vec<Value> = data(&mine).iter().map(|organization| organization["id"].clone()).collect();
    assert!(names.len() == 1 && team.path.ends_with(names[0].as_str().expect("an id")));
}

#[tokio::test]
async fn invitations_that_ended_long_ago_are_removed() {
    let team = Team::open().await;
    for email in ["old@example.com", "older@example.com"] {
        let _ = team.invite(&team.owner, email, "viewer").send().await.expect(201);
    }
    team.house.work().await;
    team.house.sql("UPDATE users.invitations SET expires_at = now() - interval '29 days'").await;
    team.house
        .sql("UPDATE users.invitations SET expires_at = now() - interval '31 days' WHERE email LIKE 'older%'")
        .await;
    team.house.sql("UPDATE platform.schedules SET next_at = now() WHERE name = 'users.prune_expired'").await;
    team.house.work().await;
    assert_eq!(team.house.count("SELECT count(*) FROM users.invitations").await, 1);
}

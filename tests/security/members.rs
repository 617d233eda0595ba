//! Cases 21 and 23 to 26: colleagues who want more than they may, and those who are none any more.

use platform::caller::Role;
use reqwest::Method;
use serde_json::{Value, json};

use super::asking::{
    at_once, delete, get, invite, is_problem, mailed_token, patch, post, problem, sql, statuses, text,
};
use crate::home::{Home, Person, send};

/// An organization with an owner, an admin and a member.
struct Team {
    home: Home,
    owner: Person,
    admin: Person,
    member: Person,
    path: String,
}

impl Team {
    async fn open() -> Self {
        let home = Home::open().await;
        let [owner, admin, member] = [
            home.person("olga@example.com").await,
            home.person("adam@example.com").await,
            home.person("mia@example.com").await,
        ];
        let org = home.organization(&owner).await;
        home.join(&admin, org, Role::Admin).await;
        home.join(&member, org, Role::Member).await;
        Self { home, owner, admin, member, path: format!("/v1/organizations/{org}") }
    }

    fn place(&self, person: &Person) -> String {
        format!("{}/members/{}", self.path, person.id)
    }

    async fn gives_role(&self, caller: &Person, person: &Person, role: &str) -> (u16, String) {
        problem(patch(&self.home, &caller.token, &self.place(person), &json!({ "role": role }))).await
    }

    async fn role_of(&self, person: &Person) -> Value {
        send(get(&self.home, &self.owner.token, &self.place(person))).await.expect(200)["role"].clone()
    }

    /// The token of an invitation.
    async fn invited(&self, email: &str) -> String {
        send(invite(&self.home, &self.owner, &self.path, email, "member")).await.expect(201);
        self.home.work().await;
        mailed_token(&self.home, email)
    }

    async fn accept(&self, person: &Person, token: &str) -> crate::home::Answer {
        let ask = post(&self.home, "/v1/invitations/accept", &json!({ "token": token }));
        send(ask.bearer_auth(&person.token)).await
    }
}

/// Every operation is in the authorization table; this is what a member with bad intentions would begin with.
#[tokio::test]
async fn case_21_a_member_gets_nowhere_with_what_owners_and_admins_do() {
    let team = Team::open().await;
    let (mia, adam) = (team.place(&team.member), team.place(&team.admin));
    let path = |below: &str| format!("{}{below}", team.path);
    let endpoint = json!({ "url": "http://127.0.0.1:9/hook", "event_types": ["organization.updated"] });
    for (method, path, body) in [
        (Method::PATCH, path(""), Some(json!({ "name": "Mine" }))),
        (Method::DELETE, path(""), None),
        (Method::GET, path("/audit-log"), None),
        (Method::GET, path("/invitations"), None),
        (Method::POST, path("/invitations"), Some(json!({ "email": "x@example.com", "role": "viewer" }))),
        (Method::POST, path("/webhook-endpoints"), Some(endpoint)),
        (Method::GET, path("/billing/subscription"), None),
        (Method::PATCH, mia.clone(), Some(json!({ "role": "admin" }))),
        (Method::PATCH, mia, Some(json!({ "role": "owner" }))),
        (Method::DELETE, adam, None),
    ] {
        let mut ask = team.home.ask(method.clone(), &path).bearer_auth(&team.member.token);
        if let Some(body) = body {
            ask = ask.json(&body);
        }
        assert_eq!(problem(ask).await, (403, "forbidden".to_owned()), "{method} {path}");
    }
    assert_eq!(team.role_of(&team.member).await, "member");
}

#[tokio::test]
async fn case_23_an_admin_makes_no_owner_and_removes_none() {
    let team = Team::open().await;
    let (owner, admin) = (&team.owner, &team.admin);
    for person in [admin, &team.member] {
        is_problem(&team.gives_role(admin, person, "owner").await, 403, "forbidden");
    }
    is_problem(&team.gives_role(admin, owner, "viewer").await, 403, "forbidden");
    is_problem(&problem(invite(&team.home, admin, &team.path, "x@example.com", "owner")).await, 403, "forbidden");
    is_problem(&problem(delete(&team.home, &admin.token, &team.place(owner))).await, 403, "forbidden");
    // Nor does the last owner go, by whatever way.
    is_problem(&team.gives_role(owner, owner, "admin").await, 409, "last_owner");
    is_problem(&problem(delete(&team.home, &owner.token, &team.place(owner))).await, 409, "last_owner");
    is_problem(&problem(delete(&team.home, &owner.token, "/v1/me")).await, 409, "last_owner");
    assert_eq!((team.role_of(owner).await, team.role_of(admin).await), (json!("owner"), json!("admin")));
}

#[tokio::test]
async fn case_24_of_two_last_owners_who_leave_at_once_one_stays() {
    let team = Team::open().await;
    let promoted = patch(&team.home, &team.owner.token, &team.place(&team.admin), &json!({ "role": "owner" }));
    send(promoted).await.expect(200);
    // Everybody's connection is open, so that neither is late.
    let members = format!("{}/members", team.path);
    let both = [&team.owner, &team.admin];
    at_once((0..16).map(|at| get(&team.home, &both[at % 2].token, &members))).await;
    let leave = both.map(|person| delete(&team.home, &person.token, &team.place(person)));
    let answers = at_once(leave).await;
    assert_eq!(statuses(&answers), [204, 409]);
    let refused = answers.iter().find(|answer| answer.status.as_u16() == 409).expect("one");
    assert_eq!(refused.problem().1, "last_owner");
    let listed = send(get(&team.home, &team.member.token, &members)).await.expect(200);
    let owners = listed["data"].as_array().into_iter().flatten().filter(|member| member["role"] == "owner");
    assert_eq!(owners.count(), 1);
}

#[tokio::test]
async fn case_25_an_invitation_lets_in_whom_it_went_to_and_once() {
    let team = Team::open().await;
    let (ina, eve) = (team.home.person("ina@example.com").await, team.home.person("eve@example.com").await);
    let token = team.invited("ina@example.com").await;
    assert_eq!(team.accept(&eve, &token).await.problem().0, 404);
    let unknown = team.accept(&eve, "unknown").await;
    assert_eq!((unknown.problem().0, unknown.problem().1.as_str()), (404, "not_found"));
    team.accept(&ina, &token).await.expect(200);
    assert_eq!(team.accept(&ina, &token).await.problem().1, "invitation_used");
    assert_eq!(team.accept(&ina, &token).await.problem().0, 409);
    is_problem(&problem(get(&team.home, &eve.token, &team.path)).await, 404, "not_found");
}

#[tokio::test]
async fn case_25_b_an_invitation_that_was_taken_back_or_is_too_old_is_gone() {
    let team = Team::open().await;
    let ina = team.home.person("ina@example.com").await;
    let revoked = team.invited("ina@example.com").await;
    let invitations = format!("{}/invitations", team.path);
    let open = send(get(&team.home, &team.owner.token, &invitations)).await.expect(200);
    let revoke = format!("{invitations}/{}", text(&open["data"][0]["id"]));
    send(delete(&team.home, &team.owner.token, &revoke)).await.expect(204);
    let expired = team.invited("ina@example.com").await;
    sql(&team.home, "UPDATE users.invitations SET expires_at = now() - interval '1 second'").await;
    for token in [revoked, expired] {
        let gone = team.accept(&ina, &token).await;
        assert_eq!((gone.problem().0, gone.problem().1.as_str()), (410, "invitation_gone"));
    }
    is_problem(&problem(get(&team.home, &ina.token, &team.path)).await, 404, "not_found");
}

#[tokio::test]
async fn case_26_a_removed_member_and_a_degraded_admin_lose_what_they_had_at_once() {
    let team = Team::open().await;
    let audit_log = format!("{}/audit-log", team.path);
    send(get(&team.home, &team.admin.token, &audit_log)).await.expect(200);
    send(get(&team.home, &team.member.token, &team.path)).await.expect(200);
    let degrade = patch(&team.home, &team.owner.token, &team.place(&team.admin), &json!({ "role": "viewer" }));
    send(degrade).await.expect(200);
    is_problem(&problem(get(&team.home, &team.admin.token, &audit_log)).await, 403, "forbidden");
    for person in [&team.admin, &team.member] {
        send(delete(&team.home, &team.owner.token, &team.place(person))).await.expect(204);
        is_problem(&problem(get(&team.home, &person.token, &team.path)).await, 404, "not_found");
        let rename = patch(&team.home, &person.token, &team.path, &json!({ "name": "Mine" }));
        is_problem(&problem(rename).await, 404, "not_found");
        send(get(&team.home, &person.token, "/v1/me")).await.expect(200);
    }
}

use serde_json::{Value, json};
use sqlx::AssertSqlSafe;

use crate::people::{Person, Team, data, organization};

async fn log(team: &Team, reader: &Person, query: &str) -> Vec<Value> {
    data(&team.get(reader, &format!("/audit-log{query}")).send().await)
}

fn actions(entries: &[Value]) -> Vec<&str> {
    entries.iter().map(|entry| entry["action"].as_str().expect("an action")).collect()
}

#[tokio::test]
async fn every_change_is_logged_with_who_did_it_and_what_changed() {
    let team = Team::open().await;
    team.house.tick(1);
    let ann = team.join("ann", "member").await;
    team.house.tick(1);
    let _ = team.make(&team.owner, &ann, "admin").header("x-request-id", "promote-1").send().await.expect(200);
    team.house.tick(1);
    let _ = team.invite(&ann, "new@example.com", "viewer").send().await.expect(201);
    let open = data(&team.get(&ann, "/invitations").send().await);
    let path = format!("{}/invitations/{}", team.path, open[0]["id"].as_str().expect("an id"));
    team.house.tick(1);
    let _ = team.house.api.delete(&path).bearer(&ann.token).send().await.expect(204);
    team.house.tick(1);
    let _ = team.remove(&ann, &ann).send().await.expect(204);
    let entries = log(&team, &team.owner, "").await;
    let expected = ["member_removed", "invitation_revoked", "invitation_created", "privilege_permissions_changed"];
    assert_eq!(actions(&entries)[..4], expected);
    let mut earlier = actions(&entries)[4..].to_vec();
    earlier.sort_unstable();
    assert_eq!(earlier, ["invitation_accepted", "invitation_created", "organization_created"]);
    let promoted = &entries[3];
    assert_eq!((&promoted["actor"], &promoted["request_id"]), (&json!(team.owner.id), &json!("promote-1")));
    assert_eq!(promoted["ip"], "127.0.0.1");
    let change = json!({ "user": ann.id, "before": { "role": "member" }, "after": { "role": "admin" } });
    assert_eq!(promoted["details"], change);
    assert_eq!(entries[0]["details"], json!({ "user": ann.id, "before": { "role": "admin" } }));
    assert!(entries.iter().all(|entry| !entry.to_string().contains("@example.com")), "no addresses in what never goes");
}

#[tokio::test]
async fn the_log_is_filtered_by_actor_action_and_time() {
    let team = Team::open().await;
    let ann = team.join("ann", "admin").await;
    for (number, person) in [&team.owner, &ann, &team.owner, &ann].into_iter().enumerate() {
        team.house.tick(60);
        let rename = team.house.api.patch(&team.path, &json!({ "name": format!("No. {number}") }));
        let _ = rename.bearer(&person.token).send().await.expect(200);
    }
    let elsewhere = organization(&team.house, &ann).await;
    let renamed = log(&team, &team.owner, "?action=organization_updated").await;
    let after = |entry: &Value| entry["details"]["after"]["name"].as_str().expect("a name").to_owned();
    assert_eq!(renamed.iter().map(after).collect::<Vec<_>>(), ["No. 3", "No. 2", "No. 1", "No. 0"]);
    let at = |entry: &Value| entry["at"].as_str().expect("a time").to_owned();
    let (first, last) = (at(&renamed[2]), at(&renamed[0]));
    let window = log(&team, &team.owner, &format!("?from={first}&to={last}")).await;
    assert_eq!(window.iter().map(after).collect::<Vec<_>>(), ["No. 2", "No. 1"], "from then on, before then");
    let hers = log(&team, &team.owner, &format!("?actor={}&action=organization_updated", ann.id)).await;
    assert_eq!(hers.iter().map(after).collect::<Vec<_>>(), ["No. 3", "No. 1"]);
    let hers = log(&team, &ann, &format!("?actor={}", ann.id)).await;
    assert_eq!(actions(&hers), ["organization_updated", "organization_updated", "invitation_accepted"]);
    assert!(log(&team, &ann, "?action=nothing").await.is_empty());
    let first = team.get(&ann, "/audit-log?action=organization_updated&limit=3").send().await;
    let cursor = first.json()["next_cursor"].as_str().expect("more").to_owned();
    let rest = log(&team, &ann, &format!("?action=organization_updated&limit=3&cursor={cursor}")).await;
    assert_eq!(rest.iter().map(after).collect::<Vec<_>>(), ["No. 0"]);
    let foreign = team.house.api.get(&format!("{elsewhere}/audit-log?cursor={cursor}")).bearer(&ann.token);
    foreign.send().await.expect_problem(400, "invalid_cursor");
    for bad in ["?actor=me", "?from=yesterday", "?action=", "?who=me", "?to=1"] {
        team.get(&ann, &format!("/audit-log{bad}")).send().await.expect_problem(422, "invalid_request");
    }
}

/// The statements of the store with their parameters written out, on a log that is large and mostly of others. Where one
/// organization fills the table, PostgreSQL may read all of it for an action that hardly occurs.
#[tokio::test]
async fn the_log_of_one_organization_among_many_is_read_along_an_index() {
    let team = Team::open().await;
    let mut owner = team.house.owner().await;
    let fill = "INSERT INTO users.audit_log (id, organization_id, account_id, action, at)
         SELECT gen_random_uuid(), ('00000000-0000-7000-8000-' || lpad((n % 50)::text, 12, '0'))::uuid,
                ('00000000-0000-7000-8000-' || lpad((n % 997)::text, 12, '0'))::uuid, 'a' || n % 20, now()
         FROM generate_series(1, 50000) n";
    for statement in [fill, "ANALYZE users.audit_log"] {
        sqlx::raw_sql(statement).execute(&mut owner).await.expect(statement);
    }
    let id = "'00000000-0000-7000-8000-000000000007'";
    for filter in ["", "AND action = 'a7'", &format!("AND account_id = {id}")] {
        let statement = format!(
            "EXPLAIN SELECT id, account_id, action, request_id, details, at FROM users.audit_log
             WHERE organization_id = {id} AND id >= '00000000-0000-0000-0000-000000000000'
               AND id < 'ffffffff-ffff-ffff-ffff-ffffffffffff' {filter}
             ORDER BY id DESC LIMIT 21"
        );
        let plan: Vec<String> =
            sqlx::query_scalar(AssertSqlSafe(statement)).fetch_all(&mut owner).await.expect("a plan");
        let plan = plan.join("\n");
        assert!(plan.contains("Index Scan") && !plan.contains("Seq Scan"), "{filter}: {plan}");
    }
}

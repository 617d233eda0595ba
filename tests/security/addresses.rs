//! Cases 1, 2, 3, 17, 39 and 55: what strangers learn about addresses, and whose mail goes where.

use serde_json::{Value, json};
use test_support::Statements;

use super::asking::{
    EMAIL, WRONG, home_of_ada, invite, is_problem, mailed_token, post, problem, sql, try_log_in, try_register,
    without_request_id,
};
use crate::home::{Answer, Home, PASSWORD, send};

/// Sends `{field: address}` to a path for each address: the answers are alike to the byte.
#[track_caller]
fn are_alike(answers: &[Answer], status: u16) {
    for answer in answers {
        assert_eq!(answer.status.as_u16(), status, "{}", answer.text);
        assert_eq!(without_request_id(answer), without_request_id(&answers[0]));
    }
}

fn mails_with_links(home: &Home, address: &str) -> usize {
    home.house.mailbox.to(address).iter().filter(|mail| mail.mail.text.contains("token=")).count()
}

#[tokio::test]
async fn case_01_a_failed_login_tells_nothing_and_costs_the_same_whatever_was_wrong() {
    let (home, _) = home_of_ada().await;
    home.house.users.seed_account("off@example.com", PASSWORD, "Off").await.expect("an account");
    sql(&home, "UPDATE users.accounts SET disabled_at = now() WHERE email = 'off@example.com'").await;
    send(try_register(&home, "waiting@example.com", PASSWORD)).await.expect(202);
    let (mut answers, mut costs) = (Vec::new(), Vec::new());
    for (email, password) in [
        ("nobody@example.com", PASSWORD),
        (EMAIL, WRONG),
        ("waiting@example.com", PASSWORD),
        ("off@example.com", PASSWORD),
        ("off@example.com", WRONG),
        ("not an address", PASSWORD),
    ] {
        let before = Statements::sent();
        answers.push(send(try_log_in(&home, email, password)).await);
        costs.push(Statements::sent() - before);
    }
    assert_eq!(answers[0].problem().1, "invalid_credentials");
    are_alike(&answers, 401);
    // What is no address is nobody's; looking for it would be work for nothing.
    assert_eq!(costs[..5], [costs[0]; 5], "statements");
}

#[tokio::test]
async fn case_02_registering_an_address_is_answered_alike_whether_it_is_taken_or_not() {
    let (home, _) = home_of_ada().await;
    let new = "new@example.com";
    let answers = [
        send(try_register(&home, EMAIL, PASSWORD)).await,
        send(try_register(&home, "ADA@Example.com", PASSWORD)).await,
        send(try_register(&home, new, PASSWORD)).await,
    ];
    are_alike(&answers, 202);
    home.work().await;
    assert_eq!((mails_with_links(&home, EMAIL), home.house.mailbox.to(EMAIL).len()), (0, 2));
    assert_eq!((mails_with_links(&home, new), home.house.mailbox.list().len()), (1, 3));
}

#[tokio::test]
async fn case_02_b_forgetting_and_resending_are_answered_alike_and_mail_goes_where_it_is_due() {
    let (home, _) = home_of_ada().await;
    let ask = |path: &'static str, email: &'static str| send(post(&home, path, &json!({ "email": email })));
    let forgot = "/v1/auth/password/forgot";
    are_alike(&[ask(forgot, EMAIL).await, ask(forgot, "nobody@example.com").await], 202);
    home.work().await;
    assert_eq!((mails_with_links(&home, EMAIL), home.house.mailbox.list().len()), (1, 1));

    send(try_register(&home, "waiting@example.com", PASSWORD)).await.expect(202);
    home.work().await;
    let resend = "/v1/auth/verify-email/resend";
    let known = [ask(resend, "waiting@example.com").await, ask(resend, EMAIL).await];
    are_alike(&known, 202);
    are_alike(&[ask(resend, "nobody@example.com").await], 202);
    home.work().await;
    assert_eq!((mails_with_links(&home, "waiting@example.com"), home.house.mailbox.list().len()), (2, 3));
}

#[tokio::test]
async fn case_02_c_moving_to_an_address_is_answered_alike_whether_it_is_taken_or_not() {
    let (home, tokens) = home_of_ada().await;
    home.house.users.seed_account("eve@example.com", PASSWORD, "Eve").await.expect("an account");
    let mut answers = Vec::new();
    for email in ["eve@example.com", "free@example.com"] {
        let ask = post(&home, "/v1/me/email", &json!({ "new_email": email }));
        answers.push(send(ask.bearer_auth(&tokens.access)).await);
    }
    are_alike(&answers, 202);
    home.work().await;
    assert_eq!((mails_with_links(&home, "eve@example.com"), mails_with_links(&home, "free@example.com")), (0, 1));
}

#[tokio::test]
async fn case_03_an_invitation_tells_nothing_about_the_address() {
    let home = Home::open().await;
    let owner = home.person("owner@example.com").await;
    let registered = home.person("known@example.com").await;
    let path = format!("/v1/organizations/{}", home.organization(&owner).await);
    let mut answers = Vec::new();
    for email in ["known@example.com", "never@example.com"] {
        let invited = send(invite(&home, &owner, &path, email, "member")).await;
        assert!(!invited.text.contains(&registered.id.to_string()), "{}", invited.text);
        let mut body = invited.expect(201);
        assert_eq!(body["email"], email);
        for field in ["id", "email", "created_at", "expires_at"] {
            assert!(body[field].is_string(), "{field}: {body}");
            body[field] = Value::Null;
        }
        answers.push(body);
    }
    assert_eq!(answers[0], answers[1]);
    home.work().await;
    assert_eq!((mails_with_links(&home, "known@example.com"), mails_with_links(&home, "never@example.com")), (1, 1));
}

#[tokio::test]
async fn case_17_links_in_mails_lead_to_the_configured_address_whatever_the_request_says() {
    let (home, _) = home_of_ada().await;
    for (name, value) in [
        ("host", "evil.example"),
        ("x-forwarded-host", "evil.example"),
        ("forwarded", "host=evil.example;proto=https"),
        ("x-forwarded-proto", "ftp"),
        ("origin", "https://evil.example"),
    ] {
        let forgot = post(&home, "/v1/auth/password/forgot", &json!({ "email": EMAIL }));
        send(forgot.header(name, value)).await.expect(202);
    }
    home.work().await;
    let mails = home.house.mailbox.to(EMAIL);
    assert_eq!(mails.len(), 5);
    for sent in mails {
        assert!(sent.mail.text.contains("http://localhost:8080/reset-password?token="), "{}", sent.mail.text);
        assert!(!sent.mail.text.contains("evil"), "{}", sent.mail.text);
        assert!(!sent.mail.html.unwrap_or_default().contains("evil"));
    }
}

#[tokio::test]
async fn case_39_spellings_of_one_address_are_one_account_and_its_mail_goes_to_the_stored_one() {
    let (stored, decomposed) = ("\u{e9}va@example.com", "E\u{301}VA@EXAMPLE.com");
    let home = Home::open().await;
    home.house.users.seed_account(stored, PASSWORD, "Eva").await.expect("an account");
    for spelling in [decomposed, " \u{e9}va@example.com ", "\u{c9}va@Example.COM"] {
        send(try_register(&home, spelling, WRONG)).await.expect(202);
        send(post(&home, "/v1/auth/password/forgot", &json!({ "email": spelling }))).await.expect(202);
        send(try_log_in(&home, spelling, PASSWORD)).await.expect(200);
    }
    home.work().await;
    assert_eq!(home.house.mailbox.list().len(), 6);
    assert_eq!(home.house.mailbox.to(stored).len(), 6, "all mail goes where the account says");
    assert_eq!(mails_with_links(&home, stored), 3, "for new passwords only");
}

#[tokio::test]
async fn case_39_b_addresses_that_only_look_alike_are_strangers_to_each_other() {
    let home = Home::open().await;
    home.house.users.seed_account("admin@example.com", PASSWORD, "Admin").await.expect("an account");
    let lookalikes = ["adm\u{131}n@example.com", "\u{430}dmin@example.com", "admin@ex\u{430}mple.com"];
    for email in lookalikes {
        send(post(&home, "/v1/auth/password/forgot", &json!({ "email": email }))).await.expect(202);
        is_problem(&problem(try_log_in(&home, email, PASSWORD)).await, 401, "invalid_credentials");
    }
    for invisible in ["ad\u{200b}min@example.com", "admin\u{ad}@example.com", "admin@exam\u{2060}ple.com"] {
        is_problem(&problem(try_register(&home, invisible, PASSWORD)).await, 422, "invalid_request");
        let forgot = send(post(&home, "/v1/auth/password/forgot", &json!({ "email": invisible }))).await;
        assert!(matches!(forgot.status.as_u16(), 202 | 422), "{forgot:?}");
    }
    home.work().await;
    assert!(home.house.mailbox.list().is_empty(), "{:?}", home.house.mailbox.list().len());
}

#[tokio::test]
async fn case_55_who_signs_up_with_anothers_address_first_plants_no_password() {
    let home = Home::open().await;
    let (victim, planted) = ("victim@example.com", "planted-by-somebody-else");
    send(try_register(&home, victim, planted)).await.expect(202);
    home.work().await;
    let attackers = mailed_token(&home, victim);
    send(try_register(&home, victim, PASSWORD)).await.expect(202);
    home.work().await;
    let verify = |token: String| post(&home, "/v1/auth/verify-email", &json!({ "token": token }));
    send(verify(mailed_token(&home, victim))).await.expect(204);
    is_problem(&problem(verify(attackers)).await, 400, "invalid_token");
    is_problem(&problem(try_log_in(&home, victim, planted)).await, 401, "invalid_credentials");
    send(try_log_in(&home, victim, PASSWORD)).await.expect(200);
}

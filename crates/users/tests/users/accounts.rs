use serde_json::{Value, json};
use test_support::Answer;

use crate::house::{EMAIL, House, PASSWORD};

async fn rename(house: &House, token: &str, name: &str, tag: &str) -> Answer {
    let ask = house.api.patch("/v1/me", &json!({ "name": name })).bearer(token);
    if tag.is_empty() { ask.send().await } else { ask.header("if-match", tag).send().await }
}

#[tokio::test]
async fn people_rename_themselves_and_a_lost_update_is_refused() {
    let house = House::with_account().await;
    let token = house.log_in().await.access;
    let me = house.me(&token).await;
    assert_eq!((me.expect(200)["name"].as_str(), me.header("etag")), (Some("Ada"), "\"1\""));
    let renamed = rename(&house, &token, "Ada Lovelace", "\"1\"").await;
    assert_eq!((renamed.expect(200)["name"].as_str(), renamed.header("etag")), (Some("Ada Lovelace"), "\"2\""));
    rename(&house, &token, "Ada King", "\"1\"").await.expect_problem(412, "version_mismatch");
    assert_eq!(rename(&house, &token, "Ada King", "").await.header("etag"), "\"3\"");
    let me = house.me(&token).await.expect(200);
    assert_eq!((me["name"].as_str(), me["email"].as_str()), (Some("Ada King"), Some(EMAIL)));
    assert_eq!(house.count("SELECT count(*) FROM users.audit_log WHERE action = 'user_updated'").await, 2);
    assert_eq!(house.count("SELECT count(*) FROM users.audit_log WHERE details::text LIKE '%Ada%'").await, 0);
}

#[tokio::test]
async fn names_that_cannot_be_shown_are_refused() {
    let house = House::with_account().await;
    let token = house.log_in().await.access;
    let long = "x".repeat(101);
    for (name, code) in
        [("", "too_short"), ("   ", "blank"), ("Ada\r\nBcc: x", "control_character"), (&long, "too_long")]
    {
        let refused = rename(&house, &token, name, "").await.expect_problem(422, "invalid_request");
        assert_eq!(refused, [("name".to_owned(), code.to_owned())], "{name:?}");
    }
}

#[tokio::test]
async fn markup_in_a_name_stays_text_in_every_mail() {
    let house = House::with_account().await;
    let token = house.log_in().await.access;
    let name = "<script>alert('x')</script><a href=\"https://evil.example\">";
    let _ = rename(&house, &token, name, "").await.expect(200);
    let body: Value = json!({ "current_password": PASSWORD, "new_password": "another walk, by the river" });
    let _ = house.api.post("/v1/me/password", &body).bearer(&token).send().await.expect(204);
    let _ = house.api.post("/v1/auth/password/forgot", &json!({ "email": EMAIL })).send().await.expect(202);
    house.work().await;
    let mails = house.mailbox.to(EMAIL);
    assert_eq!(mails.len(), 2);
    for received in mails {
        let html = received.mail.html.expect("HTML");
        assert!(html.contains("Hello &lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt;&lt;a href=&quot;"), "{html}");
        assert!(received.mail.text.contains(name), "{}", received.mail.text);
    }
}

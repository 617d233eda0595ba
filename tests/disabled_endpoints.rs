//! An endpoint is disabled, and everybody whom it concerns hears of it: a fact of one module that another and the module itself
//! hear, through the wiring.

use reqwest::Method;
use serde_json::{Value, json};

use crate::home::{Home, send};
use crate::receiver::{Manner, Receiver};

const OWNER: &str = "olga@example.com";

#[tokio::test]
async fn owners_and_other_endpoints_hear_that_an_endpoint_is_disabled() {
    let home = Home::open().await;
    let owner = home.person(OWNER).await;
    let path = format!("/v1/organizations/{}", home.organization(&owner).await);
    let register = async |url: &str, event_type: &str| -> Value {
        let wish = json!({ "url": url, "event_types": [event_type] });
        let ask = home.ask(Method::POST, &format!("{path}/webhook-endpoints")).bearer_auth(&owner.token);
        send(ask.json(&wish)).await.expect(201)["id"].clone()
    };
    let (gone, gone_url) = Receiver::with_manner(|_| Manner::Answer(410)).await;
    let (other, other_url) = Receiver::open().await;
    let endpoint = register(&format!("{gone_url}?token=hunter2"), "organization.updated").await;
    register(&other_url, "webhook_endpoint.disabled").await;
    home.work().await;
    let rename = home.ask(Method::PATCH, &path).bearer_auth(&owner.token).json(&json!({ "name": "Acme & Sons" }));
    send(rename).await.expect(200);
    home.work().await;
    home.work().await;
    assert_eq!(gone.arrived(), 1);

    let [received] = &other.received()[..] else { panic!("{} messages", other.received().len()) };
    let message: Value = serde_json::from_slice(&received.body).expect("JSON");
    assert_eq!(message["type"], "webhook_endpoint.disabled");
    assert_eq!((&message["data"]["endpoint_id"], &message["data"]["reason"]), (&endpoint, &json!("gone")));
    let mails = home.house.mailbox.to(OWNER);
    let [kept] = &mails[..] else { panic!("{} mails", mails.len()) };
    let (subject, text) = (&kept.mail.subject, &kept.mail.text);
    assert!(subject.contains("disabled") && text.contains("410") && text.contains("Acme & Sons"), "{subject}\n{text}");
    let html = kept.mail.html.as_deref().expect("HTML");
    assert!(!format!("{subject}{text}{html}").contains("hunter2"), "the rest of the URL may be a secret");
}

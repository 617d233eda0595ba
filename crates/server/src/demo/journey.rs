//! The journey of a customer, step by step: each looks at what it brought about, and the first that brought about something else
//! ends it.

mod account;
mod paying;
mod telling;

use serde_json::{Map, Value};

use super::records::Records;
use super::stage::Stage;
use super::story::Story;
use crate::dev::client::{Call, Client, Failure};

/// Where the journey is, and what it is told with.
struct Walk<'a> {
    stage: &'a Stage,
    story: &'a mut Story,
    client: Client,
    records: Records,
}

/// Walks from the first request to the last.
pub(super) async fn travel(stage: &Stage, story: &mut Story) -> Result<(), Failure> {
    let records = Records::open(&stage.database_url).await?;
    let mut walk = Walk { stage, story, client: Client::new(&stage.api)?, records };
    walk.sign_up().await?;
    let token = walk.read_mail().await?;
    walk.verify_address(&token).await?;
    let tokens = walk.log_in().await?;
    let organization = walk.create_organization(&tokens.access).await?;
    let endpoint = walk.register_endpoint(&organization).await?;
    let page = walk.open_checkout(&organization).await?;
    walk.pay(&page).await?;
    let event = walk.see_events_applied().await?;
    let subscribed = walk.see_what_was_bought(&organization).await?;
    walk.see_the_customer_told(&organization, &endpoint).await?;
    walk.repeat(&event, &organization, &endpoint, &subscribed).await?;
    let fresh = walk.refresh(&tokens.refresh).await?;
    walk.log_out(&fresh.access).await?;
    walk.knock_with(&[tokens.access, fresh.access]).await
}

/// An organization, and who acts for it.
struct Organization {
    /// Its address: `/v1/organizations/{id}`.
    path: String,
    token: String,
}

impl Organization {
    /// Reads something of it.
    fn get(&self, below: &str) -> Call {
        Call::get(format!("{}/{below}", self.path)).by(&self.token)
    }

    fn post(&self, below: &str, body: Value) -> Call {
        Call::post(format!("{}/{below}", self.path), body).by(&self.token)
    }
}

impl Walk<'_> {
    /// Makes a call that is shown with these fields of its answer, and must be answered with this status.
    async fn call(&mut self, call: Call, status: u16, fields: &[&str]) -> Result<Value, Failure> {
        self.story.sent(&format!("{} {}", call.method, call.path), call.body.as_ref());
        let answer = self.client.send(&call).await?;
        let as_expected = answer.status.as_u16() == status;
        let fields = if as_expected { fields } else { &["code", "detail"] };
        self.story.came(answer.status.as_u16(), &picked(&answer.body, fields));
        answer.expect(status)
    }
}

/// These fields of an object, null when there are none.
fn picked(body: &Value, fields: &[&str]) -> Value {
    let found = fields.iter().filter_map(|field| Some(((*field).to_owned(), body.get(field)?.clone())));
    let found: Map<String, Value> = found.collect();
    if found.is_empty() { Value::Null } else { Value::Object(found) }
}

/// Says what is wrong unless two values are the same.
fn require(what: &str, expected: &Value, came: &Value) -> Result<(), Failure> {
    if expected == came {
        return Ok(());
    }
    Err(Failure::otherwise(format!("{what} to be {expected}"), format!("it is {came}")))
}

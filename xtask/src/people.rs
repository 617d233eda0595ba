use serde_json::{Value, json};

use crate::client::{Client, Request};
use crate::database::ScratchDatabase;
use crate::failure::{Failure, io};
use crate::service::Service;

/// The password of everybody here.
pub(crate) const PASSWORD: &str = "a-long-walk-by-the-sea";

/// Variables that raise every limit that measuring would run into.
pub(crate) const WITHOUT_LIMITS: [(&str, &str); 4] = [
    ("APP__HTTP__STACK__RATE_LIMIT__COUNT", "0"),
    ("APP__USERS__LIMITS__LOGIN_BY_ADDRESS__COUNT", "0"),
    ("APP__USERS__LIMITS__LOGIN_FAILURES__FREE", "1000"),
    ("APP__USERS__LIMITS__REGISTER_BY_ADDRESS__COUNT", "0"),
];

/// The address of the person with a number.
pub(crate) fn email(number: usize) -> String {
    format!("person-{number}@bench.test")
}

/// Signs up so many people. What the mail would bring them is put into the database beforehand.
pub(crate) fn sign_up(service: &Service, database: &ScratchDatabase, count: usize) -> Result<(), Failure> {
    let mut client = connect(service)?;
    for number in 0..count {
        let wish = json!({ "email": email(number), "password": PASSWORD, "name": format!("Person {number}") });
        post(&mut client, "/v1/auth/register", &wish, 202)?;
    }
    database.run("UPDATE users.registrations SET token_hash = sha256(convert_to(email, 'UTF8'))")?;
    for number in 0..count {
        post(&mut client, "/v1/auth/verify-email", &json!({ "token": email(number) }), 204)?;
    }
    Ok(())
}

/// The access token of a new login.
pub(crate) fn log_in(service: &Service, number: usize) -> Result<String, Failure> {
    let answer = post(&mut connect(service)?, "/v1/auth/login", &credentials(&email(number), PASSWORD), 200)?;
    Ok(answer["access_token"].as_str().unwrap_or_default().to_owned())
}

pub(crate) fn credentials(email: &str, password: &str) -> Value {
    json!({ "email": email, "password": password })
}

pub(crate) fn connect(service: &Service) -> Result<Client, Failure> {
    Client::connect(service.address)
        .map_err(|source| Failure::Io { doing: "connect to the service".to_owned(), source })
}

fn post(client: &mut Client, path: &str, body: &Value, status: u16) -> Result<Value, Failure> {
    let request = Request::new("POST", path).json(body).bytes();
    client.ask(&request).map_err(io("ask the service for", path.as_ref()))?.expect(status)
}

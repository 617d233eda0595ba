//! The mails of this module. Links lead where the configuration says, never where a request says.

use platform::config::ServiceConfig;
use platform::mail::Mail;

use crate::tokens::OneTimeToken;

pub(crate) fn verify(service: &ServiceConfig, mail_to: &str, token: &OneTimeToken) -> Mail {
    let ServiceConfig { name, public_url } = service;
    let token = token.reveal();
    text(
        mail_to,
        format!("Verify your address for {name}"),
        format!(
            "Welcome to {name}.\n\n\
             Follow this link within 24 hours to verify your address:\n\n\
             {public_url}/verify-email?token={token}\n\n\
             If you did not sign up, ignore this mail; nothing happens then.\n"
        ),
    )
}

pub(crate) fn already_registered(service: &ServiceConfig, mail_to: &str) -> Mail {
    let ServiceConfig { name, public_url } = service;
    text(
        mail_to,
        format!("You already have an account with {name}"),
        format!(
            "Somebody, probably you, signed up to {name} with this address, but it already has an account.\n\n\
             Log in here: {public_url}/login\n\n\
             If it was not you, ignore this mail; nothing has changed.\n"
        ),
    )
}

pub(crate) fn session_revoked(service: &ServiceConfig, mail_to: &str) -> Mail {
    let ServiceConfig { name, public_url } = service;
    Mail {
        to: mail_to.to_owned(),
        subject: format!("We ended one of your sessions at {name}"),
        text: format!(
            "Somebody used a login of yours at {name} that had already been replaced. That happens when a copy of it was\n\
             stolen, so we ended that session.\n\n\
             Log in again: {public_url}/login\n\n\
             If this comes as a surprise, change your password.\n"
        ),
        html: None,
    }
}

fn text(mail_to: &str, subject: String, text: String) -> Mail {
    Mail { to: mail_to.to_owned(), subject, text, html: None }
}

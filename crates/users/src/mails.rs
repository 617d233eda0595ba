//! The mails of this module. Their words stand in `mails/*.txt`, their links lead where the configuration says, never where
//! a request says. A person's name only goes to an address that person has proven: a stranger's mailbox is no billboard.

mod letter;

use platform::config::ServiceConfig;
use platform::mail::Mail;

use crate::notices::Notice;
use crate::tokens::OneTimeToken;
use letter::letter;

/// Somebody with an account, as mail speaks to them.
#[derive(Clone)]
pub(crate) struct Addressee {
    pub(crate) mail_to: String,
    pub(crate) name: String,
}

pub(crate) fn verify(service: &ServiceConfig, mail_to: &str, token: &OneTimeToken) -> Mail {
    letter(service, mail_to, include_str!("mails/verify.txt"), &[("token", token.reveal())])
}

pub(crate) fn sign_up_again(service: &ServiceConfig, mail_to: &str) -> Mail {
    letter(service, mail_to, include_str!("mails/sign_up_again.txt"), &[])
}

pub(crate) fn already_registered(service: &ServiceConfig, mail_to: &str) -> Mail {
    letter(service, mail_to, include_str!("mails/already_registered.txt"), &[])
}

pub(crate) fn session_revoked(service: &ServiceConfig, mail_to: &str) -> Mail {
    letter(service, mail_to, include_str!("mails/session_revoked.txt"), &[])
}

pub(crate) fn password_reset(service: &ServiceConfig, to: &Addressee, token: &OneTimeToken) -> Mail {
    let values = [("name", to.name.as_str()), ("token", token.reveal())];
    letter(service, &to.mail_to, include_str!("mails/password_reset.txt"), &values)
}

pub(crate) fn password_changed(service: &ServiceConfig, to: &Addressee) -> Mail {
    letter(service, &to.mail_to, include_str!("mails/password_changed.txt"), &[("name", &to.name)])
}

pub(crate) fn confirm_address(service: &ServiceConfig, mail_to: &str, token: &OneTimeToken) -> Mail {
    letter(service, mail_to, include_str!("mails/confirm_address.txt"), &[("token", token.reveal())])
}

pub(crate) fn address_taken(service: &ServiceConfig, mail_to: &str) -> Mail {
    letter(service, mail_to, include_str!("mails/address_taken.txt"), &[])
}

pub(crate) fn address_changed(service: &ServiceConfig, to: &Addressee) -> Mail {
    letter(service, &to.mail_to, include_str!("mails/address_changed.txt"), &[("name", &to.name)])
}

pub(crate) fn invitation(service: &ServiceConfig, mail_to: &str, organization: &str, token: &OneTimeToken) -> Mail {
    let values = [("organization", plain(organization)), ("token", token.reveal())];
    letter(service, mail_to, include_str!("mails/invitation.txt"), &values)
}

pub(crate) fn second_factor_on(service: &ServiceConfig, to: &Addressee) -> Mail {
    letter(service, &to.mail_to, include_str!("mails/second_factor_on.txt"), &[("name", &to.name)])
}

pub(crate) fn second_factor_off(service: &ServiceConfig, to: &Addressee) -> Mail {
    letter(service, &to.mail_to, include_str!("mails/second_factor_off.txt"), &[("name", &to.name)])
}

pub(crate) fn recovery_code_used(service: &ServiceConfig, to: &Addressee, left: i64) -> Mail {
    let values = [("name", to.name.as_str()), ("left", &left.to_string())];
    letter(service, &to.mail_to, include_str!("mails/recovery_code_used.txt"), &values)
}

pub(crate) fn personal_token_created(service: &ServiceConfig, to: &Addressee) -> Mail {
    letter(service, &to.mail_to, include_str!("mails/personal_token_created.txt"), &[("name", &to.name)])
}

pub(crate) fn export_ready(service: &ServiceConfig, to: &Addressee) -> Mail {
    letter(service, &to.mail_to, include_str!("mails/export_ready.txt"), &[("name", &to.name)])
}

pub(crate) fn farewell(service: &ServiceConfig, to: &Addressee) -> Mail {
    letter(service, &to.mail_to, include_str!("mails/farewell.txt"), &[("name", &to.name)])
}

pub(crate) fn notice(service: &ServiceConfig, to: &Addressee, organization: &str, notice: &Notice) -> Mail {
    let Notice { subject, event, advice } = notice;
    let values = [
        ("name", to.name.as_str()),
        ("organization", organization),
        ("subject", subject),
        ("event", event),
        ("advice", advice),
    ];
    letter(service, &to.mail_to, include_str!("mails/notice.txt"), &values)
}

/// A name that a mail program would not turn into a link: invitations reach people who know nobody here.
fn plain(name: &str) -> &str {
    let letters: Vec<char> = name.chars().collect();
    let joins = |some: &[char]| some[0].is_alphanumeric() && some[1] == '.' && some[2].is_alphanumeric();
    let leads = name.contains(['/', '@', ':', '\\']) || letters.windows(3).any(joins);
    if leads { "an organization" } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mail_is_complete_in_both_forms_and_links_to_the_configured_address() {
        let service = ServiceConfig { name: "Acme".to_owned(), public_url: "https://app.example".to_owned() };
        let to = Addressee { mail_to: "ann@example.com".to_owned(), name: "<script>".to_owned() };
        let token = OneTimeToken::new();
        let news = |subject: &str| Notice {
            subject: subject.to_owned(),
            event: "[Click](https://evil.example) <script>".to_owned(),
            advice: "Enable it.".to_owned(),
        };
        let mails = [
            verify(&service, &to.mail_to, &token),
            sign_up_again(&service, &to.mail_to),
            already_registered(&service, &to.mail_to),
            session_revoked(&service, &to.mail_to),
            password_reset(&service, &to, &token),
            password_changed(&service, &to),
            confirm_address(&service, &to.mail_to, &token),
            address_taken(&service, &to.mail_to),
            address_changed(&service, &to),
            invitation(&service, &to.mail_to, "<script>", &token),
            second_factor_on(&service, &to),
            second_factor_off(&service, &to),
            recovery_code_used(&service, &to, 9),
            personal_token_created(&service, &to),
            export_ready(&service, &to),
            farewell(&service, &to),
            notice(&service, &to, "<script>", &news("Acme: an endpoint is disabled")),
        ];
        for mail in mails {
            let html = mail.html.expect("HTML");
            for part in [&mail.subject, &mail.text, &html] {
                assert!(!part.contains(['{', '}']), "a value is missing: {part}");
            }
            assert!(mail.subject.contains("Acme") && !mail.subject.contains(char::is_control), "{}", mail.subject);
            assert!(!html.contains("<script>"), "{html}");
            let links = html.matches("href=\"").count();
            assert_eq!(html.matches("href=\"https://app.example/").count(), links, "{html}");
        }
    }

    #[test]
    fn a_name_that_looks_like_a_link_is_not_mailed_to_strangers() {
        for link in ["win.example", "see https://x", "www.example.com", "a@b", "\\\\host"] {
            assert_eq!(plain(link), "an organization", "{link}");
        }
        for name in ["Acme Inc.", "St. Mary's", "Müller & Söhne", "Acme, since 1.", "N.O."] {
            let shown = if name == "N.O." { "an organization" } else { name };
            assert_eq!(plain(name), shown);
        }
    }
}

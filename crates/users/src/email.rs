//! Addresses: one canonical form for each person, so that no spelling makes a second account.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use platform::jobs::JobError;
use platform::secrets::Secrets;
use serde::{Deserialize, Serialize};
use unicode_normalization::UnicodeNormalization;

use crate::Error;

platform::text! {
    /// An e-mail address as somebody wrote it.
    pub struct EmailText(3..=254, format = "email");
}

/// An address mail can be sent to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Email {
    /// Trimmed, NFC, domain in ASCII (IDNA), all lower case: what is unique.
    pub(crate) canonical: String,
    /// Trimmed and NFC, domain in ASCII, otherwise as written: where mail goes.
    pub(crate) mail_to: String,
}

const MAX_BYTES: usize = 254;
const MAX_LOCAL_BYTES: usize = 64;

impl Email {
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let mail_to: String = text.trim().nfc().collect();
        if mail_to.chars().any(|c| c.is_control() || c.is_whitespace() || is_invisible(c)) {
            return Err(Error::InvalidEmail("must not contain spaces or invisible characters"));
        }
        let (local, domain) = mail_to.rsplit_once('@').ok_or(Error::InvalidEmail("must look like name@example.com"))?;
        let domain =
            idna::domain_to_ascii_strict(domain).map_err(|_| Error::InvalidEmail("the domain is not valid"))?;
        let plain = |c: char| c.is_alphanumeric() || "!#$%&'*+-/=?^_`{|}~.".contains(c);
        if local.is_empty() || local.len() > MAX_LOCAL_BYTES || !local.chars().all(plain) || has_stray_dot(local) {
            return Err(Error::InvalidEmail("the part before the @ is not valid"));
        }
        if !domain.contains('.') {
            return Err(Error::InvalidEmail("the domain is not complete"));
        }
        let canonical = format!("{}@{domain}", local.to_lowercase().nfc().collect::<String>());
        if canonical.len() > MAX_BYTES || mail_to.len() > MAX_BYTES {
            return Err(Error::InvalidEmail("is too long"));
        }
        Ok(Self { canonical, mail_to: format!("{local}@{domain}") })
    }
}

/// A canonical address that waits in a job, sealed so that nobody reads it in the database.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct SealedEmail(String);

const SEALED_FOR: &str = "users.waiting_email";

impl SealedEmail {
    pub(crate) fn seal(email: &Email, secrets: &Secrets) -> Self {
        Self(STANDARD.encode(secrets.seal(SEALED_FOR, email.canonical.as_bytes())))
    }

    pub(crate) fn open(&self, secrets: &Secrets) -> Result<String, JobError> {
        let sealed = STANDARD.decode(&self.0)?;
        Ok(String::from_utf8(secrets.open(SEALED_FOR, &sealed)?)?)
    }
}

fn has_stray_dot(local: &str) -> bool {
    local.starts_with('.') || local.ends_with('.') || local.contains("..")
}

/// Characters without a shape (zero-width, direction marks, fillers, variation selectors, tags), which make two addresses
/// look alike.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn canonical(text: &str) -> Option<String> {
        Email::parse(text).ok().map(|email| email.canonical)
    }

    #[test]
    fn spellings_of_one_address_have_one_canonical_form() {
        for spelling in [" Ada@Example.COM ", "ada@example.com", "ADA@EXAMPLE.COM"] {
            assert_eq!(canonical(spelling).as_deref(), Some("ada@example.com"), "{spelling}");
        }
        assert_eq!(canonical("ada@bücher.example"), canonical("ada@xn--bcher-kva.example"));
        assert_eq!(canonical("e\u{301}va@example.com"), canonical("\u{e9}va@example.com"));
    }

    #[test]
    fn what_no_mail_can_reach_is_refused() {
        for bad in [
            "",
            "@",
            "ada",
            "ada@",
            "@example.com",
            "a b@example.com",
            "ada@example",
            "a\r\nbcc:x@example.com",
            ".a@example.com",
            "a..b@example.com",
            "a\u{200b}b@example.com",
            "ada\u{3164}@example.com",
            "ada\u{e0061}@example.com",
            "ada@exam\u{ad}ple.com",
            "\"a\"@example.com",
            "ada@exa mple.com",
            "ada@-example.com",
        ] {
            assert!(Email::parse(bad).is_err(), "{bad:?}");
        }
        assert!(Email::parse(&format!("{}@example.com", "a".repeat(65))).is_err());
    }

    #[test]
    fn a_dotless_i_is_another_letter_not_another_spelling() {
        assert_ne!(canonical("adm\u{131}n@example.com"), canonical("admin@example.com"));
    }

    proptest! {
        #[test]
        fn canonical_forms_are_stable(text in "\\PC{0,40}@[a-z]{1,10}\\.[a-z]{2,5}") {
            if let Some(once) = canonical(&text) {
                prop_assert_eq!(canonical(&once), Some(once.clone()));
            }
        }
    }
}

//! What sources sign with, and the comparison that all schemes share.

use base64::Engine;
use base64::alphabet;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig, STANDARD};
use platform::config::Secret;
use subtle::ConstantTimeEq;

use crate::config::Scheme;
use crate::signatures::{PREFIX, hmac_sha256};

/// Some senders leave out the padding, too.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A key that a source signs with. Never printed.
#[derive(Clone)]
pub(crate) struct Key(Vec<u8>);

impl Key {
    /// Reads a secret as its scheme has it; none where that cannot be or nothing would remain, as anybody could sign with
    /// that.
    pub(crate) fn of(scheme: Scheme, secret: &Secret) -> Option<Self> {
        let text = secret.expose();
        let bytes = match scheme {
            Scheme::Stripe | Scheme::Github => text.as_bytes().to_vec(),
            // Some senders leave out the prefix.
            Scheme::StandardWebhooks => BASE64.decode(text.strip_prefix(PREFIX).unwrap_or(text)).ok()?,
        };
        (!bytes.is_empty()).then_some(Self(bytes))
    }

    pub(super) fn sign(&self, signed: &[&[u8]]) -> [u8; 32] {
        hmac_sha256(&self.0, signed)
    }
}

/// Whether any of the keys made any of the signatures over these bytes, one part after the other. `write` turns a signature
/// into the text that the source sends; texts are compared in constant time.
pub(super) fn made_any(keys: &[Key], signatures: &[&str], signed: &[&[u8]], write: fn([u8; 32]) -> String) -> bool {
    let expected: Vec<String> = keys.iter().map(|key| write(key.sign(signed))).collect();
    let is_ours = |signature: &&str| expected.iter().any(|ours| ours.as_bytes().ct_eq(signature.as_bytes()).into());
    signatures.iter().any(is_ours)
}

/// A signature as lower case digits.
pub(super) fn hex(signature: [u8; 32]) -> String {
    signature.map(|byte| format!("{byte:02x}")).concat()
}

/// A signature in base64 with padding.
pub(super) fn base64(signature: [u8; 32]) -> String {
    STANDARD.encode(signature)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(scheme: Scheme, secret: &str) -> Option<Vec<u8>> {
        Key::of(scheme, &Secret::from(secret.to_owned())).map(|key| key.0)
    }

    #[test]
    fn a_secret_is_text_or_base64_as_its_scheme_has_it() {
        for scheme in [Scheme::Stripe, Scheme::Github] {
            assert_eq!(key(scheme, "whsec_AAEC").as_deref(), Some(&b"whsec_AAEC"[..]), "all of it");
            assert_eq!(key(scheme, ""), None);
        }
        for secret in ["whsec_AAECAw==", "AAECAw==", "whsec_AAECAw", "AAECAw"] {
            assert_eq!(key(Scheme::StandardWebhooks, secret).as_deref(), Some(&[0, 1, 2, 3][..]), "{secret}");
        }
        for secret in ["", "whsec_", "whsec_whsec_AAEC", "whsk_AAEC", "AAEC AAEC", "A", "_-8=", "whsec_AAEC\n"] {
            assert_eq!(key(Scheme::StandardWebhooks, secret), None, "{secret:?}");
        }
    }

    #[test]
    fn every_key_is_held_against_every_signature() {
        let [old, new, other] = ["old", "new", "other"].map(|text| Key(text.as_bytes().to_vec()));
        let signed: &[&[u8]] = &[b"1", b".", b"{}"];
        let [by_old, by_new, by_other] = [&old, &new, &other].map(|key| hex(key.sign(signed)));
        let keys = [new, old];
        let made = |signatures: &[&str]| made_any(&keys, signatures, signed, hex);
        assert!(made(&[&by_old]) && made(&[&by_new]) && made(&[&by_other, &by_old]) && made(&["", &by_new]));
        assert!(
            !made(&[&by_other])
                && !made(&[])
                && !made(&[""])
                && !made(&[&by_old[1..]])
                && !made(&[&by_old.to_uppercase()])
        );
        assert!(!made_any(&keys, &[&by_old], &[b"1", b".", b"{} "], hex), "other bytes");
        assert!(made_any(&keys, &[&by_old], &[b"1.{}"], hex), "parts are one text");
        assert!(!made_any(&[], &[&by_old], signed, hex));
    }
}

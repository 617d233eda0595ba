//! Sources: those who may tell us things, and how we know that it is them. A source is a section of the configuration and
//! a handler that the wiring names for it.

mod fields;
mod github;
mod keys;
mod standard_webhooks;
mod stripe;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use http::HeaderMap;

use crate::Error;
use crate::config::{Scheme, SourceConfig};
use crate::ports::InboundHandler;
pub(crate) use keys::Key;

/// Every configured source by name.
pub(crate) struct Sources(BTreeMap<String, Source>);

/// One who may tell us things.
pub(crate) struct Source {
    pub(crate) handler: Arc<dyn InboundHandler>,
    scheme: Scheme,
    tolerance_seconds: i64,
    keys: Vec<Key>,
}

/// What is read of an event: enough to know it again and to ask its sender about it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Notice {
    pub(crate) id: String,
    pub(crate) event_type: String,
    pub(crate) object_id: Option<String>,
    pub(crate) livemode: Option<bool>,
    pub(crate) api_version: Option<String>,
    pub(crate) occurred_at: DateTime<Utc>,
}

/// Why what came in is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Disbelief {
    /// The signature is missing, or not of the scheme's form.
    Malformed,
    /// No secret made any of the signatures.
    Mismatch,
    /// Rightly signed, but too long ago or in the future: perhaps somebody repeats what they once overheard.
    Stale,
}

impl Sources {
    /// Brings configuration and handlers together.
    pub(crate) fn new(
        configured: &BTreeMap<String, SourceConfig>,
        handlers: &BTreeMap<&'static str, Arc<dyn InboundHandler>>,
    ) -> Result<Self, Error> {
        let unusable = |name: &str, why| Error::UnusableSource { name: name.to_owned(), why };
        let mut sources = BTreeMap::new();
        for (name, SourceConfig { scheme, tolerance_seconds, secrets }) in configured {
            let handler = handlers.get(name.as_str()).cloned().ok_or_else(|| unusable(name, "has no handler"))?;
            if secrets.is_empty() || secrets.values().any(|secret| secret.expose().trim().is_empty()) {
                return Err(unusable(name, "has no secret, or a blank one"));
            }
            let (scheme, tolerance_seconds) = (*scheme, *tolerance_seconds);
            let keys = secrets.values().map(|secret| Key::of(scheme, secret)).collect::<Option<_>>();
            let keys = keys.ok_or_else(|| unusable(name, "has a secret that is not base64"))?;
            sources.insert(name.clone(), Source { handler, scheme, tolerance_seconds, keys });
        }
        Ok(Self(sources))
    }

    /// The source of this name.
    pub(crate) fn find(&self, name: &str) -> Option<&Source> {
        self.0.get(name)
    }

    /// Every source with its name.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&str, &Source)> {
        self.0.iter().map(|(name, source)| (name.as_str(), source))
    }
}

impl Source {
    /// Whether the source itself sent these bytes, and lately.
    ///
    /// # Errors
    /// [`Error::InvalidSignature`], [`Error::InvalidTimestamp`].
    pub(crate) fn verify(&self, headers: &HeaderMap, body: &[u8], now: DateTime<Utc>) -> Result<(), Error> {
        let fresh = |signed_at| self.is_fresh(signed_at, now);
        let verdict = match self.scheme {
            Scheme::Stripe => stripe::verify(headers, body, &self.keys).and_then(fresh),
            Scheme::StandardWebhooks => standard_webhooks::verify(headers, body, &self.keys).and_then(fresh),
            // When it was signed is not said.
            Scheme::Github => github::verify(headers, body, &self.keys),
        };
        verdict.map_err(|disbelief| match disbelief {
            Disbelief::Malformed | Disbelief::Mismatch => Error::InvalidSignature,
            Disbelief::Stale => Error::InvalidTimestamp,
        })
    }

    /// Whether its signature covers when it was made.
    pub(crate) fn signs_time(&self) -> bool {
        match self.scheme {
            Scheme::Stripe | Scheme::StandardWebhooks => true,
            Scheme::Github => false,
        }
    }

    /// What headers and body say; ask only once they are verified.
    ///
    /// # Errors
    /// [`Error::InvalidEvent`].
    pub(crate) fn read(&self, headers: &HeaderMap, body: &[u8], received_at: DateTime<Utc>) -> Result<Notice, Error> {
        let notice = match self.scheme {
            Scheme::Stripe => stripe::read(body),
            Scheme::StandardWebhooks => standard_webhooks::read(headers, body, received_at),
            Scheme::Github => github::read(headers, body, received_at),
        };
        notice.ok_or(Error::InvalidEvent)
    }

    /// Both ways: a signature of tomorrow could be repeated until then.
    fn is_fresh(&self, signed_at: i64, now: DateTime<Utc>) -> Result<(), Disbelief> {
        let apart = now.timestamp().abs_diff(signed_at);
        let near = i64::try_from(apart).is_ok_and(|apart| apart <= self.tolerance_seconds);
        if near { Ok(()) } else { Err(Disbelief::Stale) }
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use platform::config::Secret;
    use platform::jobs::{JobError, Running};
    use serde_json::Value;

    use super::*;
    use crate::ports::{InboundEvent, Payload};

    struct Nobody;

    #[async_trait]
    impl InboundHandler for Nobody {
        async fn handle(&self, _: InboundEvent, _: &Payload, _: &Running) -> Result<(), JobError> {
            Ok(())
        }
    }

    fn configured(secrets: &[&str], tolerance_seconds: i64) -> BTreeMap<String, SourceConfig> {
        let named = |(at, secret): (usize, &&str)| (at.to_string(), Secret::from((*secret).to_owned()));
        let secrets = secrets.iter().enumerate().map(named).collect();
        [("stripe".to_owned(), SourceConfig { scheme: Scheme::Stripe, tolerance_seconds, secrets })].into()
    }

    fn signing_as(scheme: Scheme, secrets: &[&str]) -> BTreeMap<String, SourceConfig> {
        let mut configured = configured(secrets, 300);
        for source in configured.values_mut() {
            source.scheme = scheme;
        }
        configured
    }

    fn handlers(name: &'static str) -> BTreeMap<&'static str, Arc<dyn InboundHandler>> {
        BTreeMap::from([(name, Arc::new(Nobody) as Arc<dyn InboundHandler>)])
    }

    fn refusal(secrets: &[&str], handler: &'static str) -> String {
        let refused = Sources::new(&configured(secrets, 300), &handlers(handler)).err();
        refused.expect("an unusable source").to_string()
    }

    #[test]
    fn a_source_without_handler_or_secret_is_refused() {
        assert!(Sources::new(&configured(&["whsec_a"], 300), &handlers("stripe")).is_ok());
        assert!(Sources::new(&BTreeMap::new(), &handlers("stripe")).is_ok(), "not every house has the source");
        assert!(refusal(&["whsec_a"], "github").contains("stripe has no handler"));
        for secrets in [&[][..], &[""], &[" "], &["whsec_a", ""]] {
            assert!(refusal(secrets, "stripe").contains("stripe has no secret"), "{secrets:?}");
        }
    }

    #[test]
    fn a_secret_that_its_scheme_cannot_read_is_refused() {
        let open = |scheme, secret| Sources::new(&signing_as(scheme, &[secret]), &handlers("stripe"));
        for secret in ["whsec_AAEC", "AAEC"] {
            assert!(open(Scheme::StandardWebhooks, secret).is_ok(), "{secret}");
        }
        for secret in ["whsec_not base64", "whsec_", "A"] {
            let refused = open(Scheme::StandardWebhooks, secret).err().expect("no key").to_string();
            assert!(refused.contains("stripe has a secret that is not base64"), "{refused}");
            assert!(open(Scheme::Github, secret).is_ok(), "others take it as it is");
        }
    }

    /// What is signed too long ago or in the future, by the same secret over the same bytes.
    #[test]
    fn a_time_counts_in_both_directions_where_one_is_signed() {
        let sources =
            Sources::new(&signing_as(Scheme::StandardWebhooks, &["AAEC"]), &handlers("stripe")).expect("usable");
        let source = sources.find("stripe").expect("configured");
        let now = DateTime::from_timestamp(1_700_000_000, 0).expect("a time");
        for (apart, fresh) in
            [(0, true), (300, true), (-300, true), (301, false), (-301, false), (-now.timestamp(), false)]
        {
            let time = (now.timestamp() + apart).to_string();
            let signed: [&[u8]; 5] = [b"msg_1", b".", time.as_bytes(), b".", b"{}"];
            let signature = format!("v1,{}", keys::base64(source.keys[0].sign(&signed)));
            let mut headers = HeaderMap::new();
            for (name, value) in
                [("webhook-id", "msg_1"), ("webhook-timestamp", &time), ("webhook-signature", &signature)]
            {
                headers.insert(name, value.parse().expect("a header"));
            }
            let refused = source.verify(&headers, b"{}", now).err().map(|error| format!("{error:?}"));
            assert_eq!(refused.as_deref(), (!fresh).then_some("InvalidTimestamp"), "{apart}");
        }
    }

    /// Known answers: twelve headers with the verdict of Stripe's own library and ours, which differ in one: we refuse
    /// what is signed in the future.
    #[test]
    fn every_known_signature_is_judged_as_expected() {
        let vectors: Vec<Value> =
            serde_json::from_str(include_str!("sources/stripe_signature_vectors.json")).expect("JSON");
        assert_eq!(vectors.len(), 12);
        for vector in vectors {
            let text = |key: &str| vector[key].as_str().expect("a text");
            let number = |key: &str| vector[key].as_i64().expect("a number");
            let secrets: Vec<&str> =
                vector["secrets"].as_array().expect("a list").iter().filter_map(Value::as_str).collect();
            let sources =
                Sources::new(&configured(&secrets, number("tolerance")), &handlers("stripe")).expect("usable");
            let source = sources.find("stripe").expect("configured");
            let mut headers = HeaderMap::new();
            headers.insert("stripe-signature", text("header").parse().expect("a header"));
            let now = DateTime::from_timestamp(number("now"), 0).expect("a time");
            let body = text("payload").as_bytes();
            let precise = stripe::verify(&headers, body, &source.keys).and_then(|at| source.is_fresh(at, now));
            let (verdict, answer) = match text("expect") {
                "ok" => (Ok(()), None),
                "header" => (Err(Disbelief::Malformed), Some("InvalidSignature")),
                "mismatch" => (Err(Disbelief::Mismatch), Some("InvalidSignature")),
                "stale" | "stale-or-ok(stripe-node accepts)" => (Err(Disbelief::Stale), Some("InvalidTimestamp")),
                other => panic!("{other} is no verdict"),
            };
            assert_eq!(precise, verdict, "{}", text("name"));
            let answered = source.verify(&headers, body, now).err().map(|error| format!("{error:?}"));
            assert_eq!(answered.as_deref(), answer, "{}", text("name"));
        }
    }
}

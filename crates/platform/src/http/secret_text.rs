use std::fmt;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use utoipa::PartialSchema;
use utoipa::openapi::schema::{KnownFormat, ObjectBuilder, Schema, SchemaFormat, Type};

use super::problem::invalid;

/// A password or token on the wire: bounded like every text, taken exactly as sent, and never printed.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct SecretText<const MIN: usize, const MAX: usize>(SecretString);

impl<const MIN: usize, const MAX: usize> SecretText<MIN, MAX> {
    /// The text itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.0.expose_secret()
    }
}

impl<const MIN: usize, const MAX: usize> From<&str> for SecretText<MIN, MAX> {
    fn from(text: &str) -> Self {
        Self(text.to_owned().into())
    }
}

impl<const MIN: usize, const MAX: usize> fmt::Debug for SecretText<MIN, MAX> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl<const MIN: usize, const MAX: usize> garde::Validate for SecretText<MIN, MAX> {
    type Context = ();

    fn validate_into(&self, (): &(), parent: &mut dyn FnMut() -> garde::Path, report: &mut garde::Report) {
        let length = self.expose().chars().count();
        if length < MIN {
            report.append(parent(), invalid("too_short", &format!("must have at least {MIN} characters")));
        } else if length > MAX {
            report.append(parent(), invalid("too_long", &format!("must have at most {MAX} characters")));
        }
    }
}

impl<const MIN: usize, const MAX: usize> PartialSchema for SecretText<MIN, MAX> {
    fn schema() -> utoipa::openapi::RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::KnownFormat(KnownFormat::Password)))
            .min_length(Some(MIN))
            .max_length(Some(MAX))
            .into()
    }
}

impl<const MIN: usize, const MAX: usize> utoipa::ToSchema for SecretText<MIN, MAX> {
    fn name() -> std::borrow::Cow<'static, str> {
        format!("SecretText{MIN}To{MAX}").into()
    }
}

#[cfg(test)]
mod tests {
    use garde::Validate;

    use super::*;

    #[test]
    fn the_rule_and_the_documented_bounds_are_the_same_and_nothing_is_printed() {
        type Sample = SecretText<2, 4>;
        let schema = serde_json::to_value(Sample::schema()).expect("a schema");
        assert_eq!((schema["minLength"].as_u64(), schema["maxLength"].as_u64()), (Some(2), Some(4)));
        for (text, valid) in [("a", false), ("éé", true), ("    ", true), ("abcde", false)] {
            assert_eq!(Sample::from(text).validate().is_ok(), valid, "{text:?}");
        }
        assert_eq!(format!("{:?}", Sample::from("abc")), "***");
    }
}

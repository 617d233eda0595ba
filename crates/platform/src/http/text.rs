use super::problem::invalid;

/// Declares a bounded text: a newtype whose limits stand once and reach both the validation and the API document.
///
/// Lengths count Unicode code points. Control characters are refused, and so is text that is nothing but white space.
///
/// ```
/// platform::text! {
///     /// The name of a thing.
///     pub struct ThingName(1..=100);
/// }
/// use platform::__private::garde::Validate;
/// assert!(ThingName::from("a good name").validate().is_ok());
/// assert!(ThingName::from("").validate().is_err());
/// ```
#[macro_export]
macro_rules! text {
    ($(#[$meta:meta])* pub struct $name:ident($min:literal..=$max:literal $(, format = $format:literal)?);) => {
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq, Eq, $crate::__private::serde::Serialize, $crate::__private::serde::Deserialize)]
        #[serde(crate = "platform::__private::serde", transparent)]
        pub struct $name(String);

        impl $name {
            /// The shortest and the longest accepted, in code points.
            pub const BOUNDS: (usize, usize) = ($min, $max);

            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(text: $name) -> Self {
                text.0
            }
        }

        impl $crate::__private::garde::Validate for $name {
            type Context = ();

            fn validate_into(
                &self,
                (): &(),
                parent: &mut dyn FnMut() -> $crate::__private::garde::Path,
                report: &mut $crate::__private::garde::Report,
            ) {
                if let Err(error) = $crate::http::check_text(&self.0, $min, $max) {
                    report.append(parent(), error);
                }
            }
        }

        impl $crate::__private::utoipa::PartialSchema for $name {
            fn schema() -> $crate::__private::utoipa::openapi::RefOr<$crate::__private::utoipa::openapi::Schema> {
                use $crate::__private::utoipa::openapi::schema::{ObjectBuilder, Type};
                let schema = ObjectBuilder::new().schema_type(Type::String).min_length(Some($min)).max_length(Some($max));
                $(let schema = schema.format(Some($crate::__private::utoipa::openapi::SchemaFormat::Custom($format.to_owned())));)?
                schema.into()
            }
        }

        impl $crate::__private::utoipa::ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                std::borrow::Cow::Borrowed(stringify!($name))
            }
        }
    };
}

/// The rule behind `text!`.
///
/// # Errors
/// `too_short`, `too_long`, `blank` or `control_character`, with the bound in words.
pub fn check_text(text: &str, min: usize, max: usize) -> Result<(), garde::Error> {
    let length = text.chars().count();
    if length < min {
        return Err(invalid("too_short", &format!("must have at least {min} characters")));
    }
    if length > max {
        return Err(invalid("too_long", &format!("must have at most {max} characters")));
    }
    if min > 0 && text.trim().is_empty() {
        return Err(invalid("blank", "must not be blank"));
    }
    if text.chars().any(char::is_control) {
        return Err(invalid("control_character", "must not contain control characters"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use garde::Validate;
    use proptest::prelude::*;
    use utoipa::PartialSchema;

    crate::text! {
        /// Sample.
        pub struct Sample(2..=5);
    }

    #[test]
    fn the_rule_and_the_documented_bounds_are_the_same() {
        let schema = serde_json::to_value(Sample::schema()).expect("a schema");
        assert_eq!((schema["minLength"].as_u64(), schema["maxLength"].as_u64()), (Some(2), Some(5)));
        for (length, valid) in [(1, false), (2, true), (5, true), (6, false)] {
            let text = "é".repeat(length);
            assert_eq!(Sample::from(text.as_str()).validate().is_ok(), valid, "{length} code points");
        }
    }

    proptest! {
        #[test]
        fn no_accepted_text_can_forge_a_line(text in "\\PC*|.*") {
            if Sample::from(text.as_str()).validate().is_ok() {
                let forging = text.contains(['\n', '\r', '\0', '\x1b']);
                prop_assert!(!forging);
            }
        }
    }
}

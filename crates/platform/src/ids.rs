//! Identifiers and randomness, the only place both come from.
//!
//! Every id is a UUIDv7 (RFC 9562): ordered by the time of its making, so that "newest first" is an index scan on the key.

use uuid::Uuid;

/// A new UUIDv7.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place that makes ids")]
pub fn new_uuid() -> Uuid {
    Uuid::now_v7()
}

/// Bytes from the system's cryptographic random generator.
///
/// # Panics
/// If the operating system cannot give random bytes; nothing secure can be done then.
#[must_use]
pub fn random_bytes<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    aws_lc_rs::rand::fill(&mut bytes).expect("the operating system gives random bytes");
    bytes
}

/// A number in `0.0..1.0` for jitter; not for secrets.
#[must_use]
pub fn random_fraction() -> f64 {
    let bits = u32::from_le_bytes(random_bytes());
    #[expect(clippy::float_arithmetic, reason = "jitter is not money")]
    {
        f64::from(bits) / (f64::from(u32::MAX) + 1.0)
    }
}

/// Declares an id: a `Copy` newtype over a UUIDv7 that the database, the wire and the API document all understand.
///
/// ```
/// platform::id! {
///     /// Names an invoice.
///     pub struct InvoiceId;
/// }
/// let id = InvoiceId::new();
/// assert_eq!(id.to_string().parse::<InvoiceId>(), Ok(id));
/// ```
#[macro_export]
macro_rules! id {
    ($(#[$meta:meta])* pub struct $name:ident;) => {
        $(#[$meta])*
        #[derive(
            Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
            $crate::__private::serde::Serialize, $crate::__private::serde::Deserialize, $crate::__private::sqlx::Type,
        )]
        #[serde(crate = "platform::__private::serde", transparent)]
        #[sqlx(transparent)]
        pub struct $name($crate::__private::Uuid);

        impl $name {
            /// A new id, greater than every id this process made before.
            #[must_use]
            #[expect(clippy::new_without_default, reason = "an id made by accident would be a bug")]
            pub fn new() -> Self {
                Self($crate::ids::new_uuid())
            }

            /// The UUID itself, as a query parameter.
            #[must_use]
            pub fn uuid(self) -> $crate::__private::Uuid {
                self.0
            }
        }

        impl From<$crate::__private::Uuid> for $name {
            fn from(uuid: $crate::__private::Uuid) -> Self {
                Self(uuid)
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                self.0.fmt(f)
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::__private::UuidError;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                text.parse().map(Self)
            }
        }

        impl $crate::__private::utoipa::PartialSchema for $name {
            fn schema() -> $crate::__private::utoipa::openapi::RefOr<$crate::__private::utoipa::openapi::Schema> {
                use $crate::__private::utoipa::openapi::schema::{KnownFormat, ObjectBuilder, SchemaFormat, Type};
                let format = SchemaFormat::KnownFormat(KnownFormat::Uuid);
                ObjectBuilder::new().schema_type(Type::String).format(Some(format)).into()
            }
        }

        impl $crate::__private::utoipa::ToSchema for $name {
            fn name() -> std::borrow::Cow<'static, str> {
                std::borrow::Cow::Borrowed(stringify!($name))
            }
        }
    };
}

//! Identifiers and randomness, the only place both come from.
//!
//! Every id is a UUIDv7 (RFC 9562): ordered by the time of its making, so that "newest first" is an index scan on the key.

use chrono::{DateTime, Utc};
use uuid::{Builder, Uuid};

/// A new UUIDv7.
#[must_use]
#[expect(clippy::disallowed_methods, reason = "the one place that makes ids")]
pub fn new_uuid() -> Uuid {
    Uuid::now_v7()
}

/// A UUIDv7 of a moment, for rows that are listed and searched by the time they carry. It keeps microseconds (RFC 9562 section
/// 6.2, method 3), so ids stand in the order of their moments.
#[must_use]
pub fn uuid_at(moment: DateTime<Utc>) -> Uuid {
    uuid_of(moment, random_bytes())
}

/// The smallest id of a moment: those of [`uuid_at`] from then on are not smaller, those of any time before are.
#[must_use]
pub fn first_uuid_at(moment: DateTime<Utc>) -> Uuid {
    uuid_of(moment, [0; 10])
}

fn uuid_of(moment: DateTime<Utc>, mut rest: [u8; 10]) -> Uuid {
    const LAST_MILLISECOND: u64 = (1 << 48) - 1;
    let milliseconds = u64::try_from(moment.timestamp_millis()).unwrap_or_default().min(LAST_MILLISECOND);
    // The twelve bits after the milliseconds count 1/4096 of one.
    let [.., high, low] = (moment.timestamp_subsec_micros() % 1000 * 4096 / 1000).to_be_bytes();
    [rest[0], rest[1]] = [high, low];
    Builder::from_unix_timestamp_millis(milliseconds, &rest).into_uuid()
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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn ids_of_moments_stand_in_their_order(one in 0_i64..4_102_444_800_000_000, apart in 1_i64..3_000_000) {
            let moment = |micros| DateTime::from_timestamp_micros(micros).expect("a moment");
            let (first, id, next) = (first_uuid_at(moment(one)), uuid_at(moment(one)), first_uuid_at(moment(one + apart)));
            prop_assert!(first <= id && id < next);
            prop_assert_eq!(id.get_version_num(), 7);
        }
    }

    #[test]
    fn moments_out_of_reach_are_the_first_or_the_last() {
        assert!(
            first_uuid_at(DateTime::<Utc>::MIN_UTC) < first_uuid_at(DateTime::UNIX_EPOCH + chrono::TimeDelta::days(1))
        );
        assert!(first_uuid_at(DateTime::<Utc>::MAX_UTC) > new_uuid());
    }
}

use axum::extract::{FromRequestParts, MatchedPath};
use axum::http::StatusCode;
use axum::http::request::Parts;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use sha2::Sha256;
use uuid::Uuid;

use super::problem::Problem;
use super::stack::Shared;
use crate::caller::Caller;

/// The most entries one page holds.
pub const MAX_LIMIT: i64 = 100;
const DEFAULT_LIMIT: i64 = 20;
const MAC_BYTES: usize = 16;

/// Which page of a list: `?limit=` (1..=100, 20 unless said) and `?cursor=`, the opaque place where the last page ended.
///
/// Lists run newest first along their UUIDv7 key, so a cursor is the last id seen. It is authenticated together with the
/// path, so one from another list or another organization is refused (400), as is an altered one.
#[derive(Clone, Debug)]
pub struct PageRequest {
    /// How many entries.
    pub limit: i64,
    /// Only entries with a smaller id; the greatest UUID on the first page.
    pub before: Uuid,
    signer: CursorSigner,
}

impl PageRequest {
    /// How many rows the store fetches: one more than shown tells whether there is a next page.
    #[must_use]
    pub fn fetch(&self) -> i64 {
        self.limit + 1
    }

    /// The first page, for callers inside the house.
    #[must_use]
    pub fn first(limit: i64) -> Self {
        Self { limit: limit.clamp(1, MAX_LIMIT), before: Uuid::max(), signer: CursorSigner::default() }
    }
}

/// One page of a list.
#[derive(Clone, Debug, Serialize, utoipa::ToSchema)]
pub struct Page<T> {
    /// The entries, newest first.
    #[schema(max_items = 100)]
    pub data: Vec<T>,
    /// Where the next page begins; null on the last one.
    #[schema(max_length = 128)]
    pub next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// A page from rows fetched with [`PageRequest::fetch`].
    #[must_use]
    pub fn of(mut rows: Vec<T>, request: &PageRequest, id: impl Fn(&T) -> Uuid) -> Self {
        let limit = usize::try_from(request.limit).unwrap_or_default();
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next_cursor = rows.last().filter(|_| more).map(|last| request.signer.write(id(last)));
        Self { data: rows, next_cursor }
    }

    /// The same page of something else, usually domain type to wire type.
    #[must_use]
    pub fn map<U>(self, convert: impl FnMut(T) -> U) -> Page<U> {
        Page { data: self.data.into_iter().map(convert).collect(), next_cursor: self.next_cursor }
    }
}

impl<T: Serialize> axum::response::IntoResponse for Page<T> {
    fn into_response(self) -> axum::response::Response {
        super::Json(self).into_response()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for PageRequest {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        // Below an organization the path says whose list it is; elsewhere the caller does. Handlers name the caller first.
        let is_shared = parts.extensions.get::<MatchedPath>().is_some_and(|route| route.as_str().contains("{org_id}"));
        let caller = parts.extensions.get::<Caller>().filter(|_| !is_shared);
        let list = format!("{} {}", caller.map(|caller| caller.user.to_string()).unwrap_or_default(), parts.uri.path());
        let signer = CursorSigner { key: Shared::of(parts).cursor_key, list };
        read(parts.uri.query().unwrap_or_default(), signer)
    }
}

fn read(query: &str, signer: CursorSigner) -> Result<PageRequest, Problem> {
    let parameters = |wanted: &'static str| {
        form_urlencoded::parse(query.as_bytes()).filter(move |(name, _)| name == wanted).map(|(_, value)| value)
    };
    for name in ["limit", "cursor"] {
        if parameters(name).nth(1).is_some() {
            return Err(Problem::invalid().field(name, "repeated", "must be given once"));
        }
    }
    let limit = match parameters("limit").next() {
        None => DEFAULT_LIMIT,
        Some(text) => text.parse().ok().filter(|limit| (1..=MAX_LIMIT).contains(limit)).ok_or_else(|| {
            Problem::invalid().field("limit", "out_of_range", format!("must be a whole number from 1 to {MAX_LIMIT}"))
        })?,
    };
    let before =
        match parameters("cursor").next() {
            None => Uuid::max(),
            Some(cursor) => signer.read(&cursor).ok_or_else(|| {
                Problem::new(StatusCode::BAD_REQUEST, "invalid_cursor", "The cursor does not belong to this list.")
                    .field("cursor", "invalid_cursor", "use next_cursor of the page before, unchanged")
            })?,
        };
    Ok(PageRequest { limit, before, signer })
}

#[derive(Clone, Debug, Default)]
struct CursorSigner {
    key: [u8; 32],
    list: String,
}

impl CursorSigner {
    fn write(&self, last: Uuid) -> String {
        let mut bytes = last.as_bytes().to_vec();
        bytes.extend_from_slice(&self.mac(last).finalize().into_bytes()[..MAC_BYTES]);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    fn read(&self, cursor: &str) -> Option<Uuid> {
        let bytes = URL_SAFE_NO_PAD.decode(cursor).ok()?;
        let (id, mac) = bytes.split_at_checked(16)?;
        let id = Uuid::from_slice(id).ok()?;
        if mac.len() != MAC_BYTES {
            return None;
        }
        self.mac(id).verify_truncated_left(mac).ok()?;
        Some(id)
    }

    fn mac(&self, id: Uuid) -> Hmac<Sha256> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.key).expect("HMAC takes a key of any length");
        mac.update(id.as_bytes());
        mac.update(self.list.as_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn signer(list: &str) -> CursorSigner {
        CursorSigner { key: [7; 32], list: list.to_owned() }
    }

    fn status(query: &str) -> u16 {
        read(query, signer("/v1/things")).map_or_else(|problem| problem.status().as_u16(), |_| 200)
    }

    #[test]
    fn limits_outside_1_to_100_are_422() {
        for bad in ["limit=0", "limit=-1", "limit=101", "limit=1000000000", "limit=abc", "limit=1&limit=2", "limit="] {
            assert_eq!(status(bad), 422, "{bad}");
        }
        assert_eq!(read("limit=100", signer("/")).map(|page| page.limit).ok(), Some(100));
        assert_eq!(read("", signer("/")).map(|page| page.limit).ok(), Some(DEFAULT_LIMIT));
    }

    #[test]
    fn a_cursor_serves_only_the_list_that_made_it() {
        let id = crate::ids::new_uuid();
        let cursor = signer("/v1/things").write(id);
        assert_eq!(signer("/v1/things").read(&cursor), Some(id));
        assert_eq!(signer("/v1/others").read(&cursor), None);
        assert_eq!(status("cursor=nonsense"), 400);
    }

    #[test]
    fn a_page_says_whether_there_is_more() {
        let request = PageRequest::first(2);
        let rows: Vec<Uuid> = (0..3).map(|_| crate::ids::new_uuid()).collect();
        let page = Page::of(rows.clone(), &request, |id| *id);
        assert_eq!(page.data, rows[..2]);
        assert_eq!(page.next_cursor.and_then(|cursor| request.signer.read(&cursor)), Some(rows[1]));
        assert_eq!(Page::of(rows[..2].to_vec(), &request, |id| *id).next_cursor, None);
    }

    proptest! {
        #[test]
        fn one_flipped_bit_is_noticed(byte in 0_usize..32, bit in 0_u8..8) {
            let signer = signer("/v1/things");
            let mut bytes = URL_SAFE_NO_PAD.decode(signer.write(crate::ids::new_uuid())).expect("our own cursor");
            bytes[byte] ^= 1 << bit;
            prop_assert_eq!(signer.read(&URL_SAFE_NO_PAD.encode(bytes)), None);
        }
    }
}

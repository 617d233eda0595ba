use std::time::Duration;

use chrono::DateTime;
use http::StatusCode;
use http::header::{DATE, HeaderMap, HeaderName, RETRY_AFTER};

/// How much of an answer is kept for people to look at.
pub(super) const EXCERPT: usize = 4 * 1024;

/// The longest absence a server is believed to ask for.
const LONGEST_ABSENCE: Duration = Duration::from_hours(24);

/// What a server answered, for those who only look at it.
#[derive(Clone, Debug)]
pub struct OutboundAnswer {
    /// The status, redirects included.
    pub status: StatusCode,
    /// The first 4 KiB of the body, as it came.
    pub excerpt: Vec<u8>,
    /// How long the server asks us to stay away, one day at most.
    pub retry_after: Option<Duration>,
    /// From the start of the call to the last byte that was read.
    pub duration: Duration,
}

/// What a server answered, for those who read it.
#[derive(Clone, Debug)]
pub struct WholeAnswer {
    /// The status, redirects included.
    pub status: StatusCode,
    /// The headers.
    pub headers: HeaderMap,
    /// The body as it came, up to the cap.
    pub body: Vec<u8>,
    /// Whether there was more of it than the cap lets through.
    pub cut: bool,
    /// How long the server asks us to stay away, one day at most.
    pub retry_after: Option<Duration>,
    /// From the start of the call to the last byte that was read.
    pub duration: Duration,
}

impl WholeAnswer {
    pub(super) fn into_excerpt(self) -> OutboundAnswer {
        let Self { status, body, retry_after, duration, .. } = self;
        OutboundAnswer { status, excerpt: body, retry_after, duration }
    }
}

/// Reads until there is more than `cap` bytes and keeps the first `keep` of those. What is longer than the cap is cut and
/// its connection closed; the status stands either way.
pub(super) async fn read_answer(
    mut response: reqwest::Response,
    keep: usize,
    cap: usize,
) -> Result<WholeAnswer, reqwest::Error> {
    let status = response.status();
    let retry_after = retry_after(response.headers());
    let headers = std::mem::take(response.headers_mut());
    let keep = keep.min(cap);
    let (mut body, mut read, mut cut) = (Vec::new(), 0_usize, false);
    // Reading on beyond what is kept, up to the cap, lets an ordinary connection be used again.
    while let Some(chunk) = response.chunk().await? {
        read = read.saturating_add(chunk.len());
        let missing = keep.saturating_sub(body.len());
        body.extend_from_slice(&chunk[..missing.min(chunk.len())]);
        if read > cap {
            cut = true;
            break;
        }
    }
    Ok(WholeAnswer { status, headers, body, cut, retry_after, duration: Duration::ZERO })
}

/// Reads `Retry-After` (RFC 9110, section 10.2.3): seconds, or a date, which is compared with the answer's own `Date`
/// so that neither clock has to be right.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = |name: HeaderName| headers.get(name)?.to_str().ok();
    let wanted = text(RETRY_AFTER)?;
    if wanted.bytes().all(|byte| byte.is_ascii_digit()) {
        return wanted.parse().map(|seconds| Duration::from_secs(seconds).min(LONGEST_ABSENCE)).ok();
    }
    let until = DateTime::parse_from_rfc2822(wanted).ok()?;
    let answered = DateTime::parse_from_rfc2822(text(DATE)?).ok()?;
    Some((until - answered).to_std().unwrap_or(Duration::ZERO).min(LONGEST_ABSENCE))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn read(retry: &str, date: Option<&str>) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(RETRY_AFTER, HeaderValue::from_str(retry).expect("a header value"));
        if let Some(date) = date {
            headers.insert(DATE, HeaderValue::from_str(date).expect("a header value"));
        }
        retry_after(&headers)
    }

    #[test]
    fn retry_after_is_read_as_seconds_or_as_a_date() {
        let date = Some("Wed, 21 Oct 2026 07:28:00 GMT");
        assert_eq!(read("120", None), Some(Duration::from_mins(2)));
        assert_eq!(read("0", None), Some(Duration::ZERO));
        assert_eq!(read("Wed, 21 Oct 2026 07:30:00 GMT", date), Some(Duration::from_mins(2)));
        assert_eq!(read("Wed, 21 Oct 2026 07:00:00 GMT", date), Some(Duration::ZERO));
        assert_eq!(read("Wed, 21 Oct 2026 07:30:00 GMT", None), None);
        assert_eq!(read("18446744073709551615", None), Some(LONGEST_ABSENCE));
        assert_eq!(read("Wed, 21 Oct 2099 07:30:00 GMT", date), Some(LONGEST_ABSENCE));
        for nonsense in ["", "-1", "1.5", "soon", "99999999999999999999999"] {
            assert_eq!(read(nonsense, date), None, "{nonsense}");
        }
    }
}

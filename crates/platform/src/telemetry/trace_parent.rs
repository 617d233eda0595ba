use std::fmt;

use crate::ids::random_bytes;

/// The flags version 00 and its successor define: sampled and random trace id. All others must be sent as zero.
const KNOWN_FLAGS: u8 = 0b11;

/// A position in a distributed trace, as carried by the `traceparent` header (<https://www.w3.org/TR/trace-context/>).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceParent {
    trace_id: [u8; 16],
    span_id: [u8; 8],
    flags: u8,
}

impl TraceParent {
    /// The start of a trace of our own, not sampled until an exporter decides otherwise.
    #[expect(clippy::new_without_default, reason = "a random value is no default")]
    #[must_use]
    pub fn new() -> Self {
        Self { trace_id: not_zero(random_bytes), span_id: not_zero(random_bytes), flags: 0 }
    }

    /// Reads a header. Anything the specification calls invalid is `None`, and a new trace begins.
    #[must_use]
    pub fn parse(header: &str) -> Option<Self> {
        let bytes = header.as_bytes();
        let [version] = hex(bytes.get(0..2)?)?;
        // A later version may append fields after another dash; version 00 may not, and ff is forbidden.
        let complete = match version {
            0 => bytes.len() == 55,
            0xff => false,
            _ => bytes.len() == 55 || bytes.get(55) == Some(&b'-'),
        };
        let dashes = [2, 35, 52].iter().all(|at| bytes.get(*at) == Some(&b'-'));
        if !complete || !dashes {
            return None;
        }
        let trace_id = hex(bytes.get(3..35)?)?;
        let span_id = hex(bytes.get(36..52)?)?;
        let [flags] = hex(bytes.get(53..55)?)?;
        let valid = trace_id != [0; 16] && span_id != [0; 8];
        valid.then_some(Self { trace_id, span_id, flags: flags & KNOWN_FLAGS })
    }

    /// The next step of the same trace: a new span id below this one.
    #[must_use]
    pub fn child(&self) -> Self {
        Self { span_id: not_zero(random_bytes), ..*self }
    }

    pub(super) fn from_parts(trace_id: [u8; 16], span_id: [u8; 8], flags: u8) -> Self {
        Self { trace_id, span_id, flags: flags & KNOWN_FLAGS }
    }

    pub(super) fn parts(&self) -> ([u8; 16], [u8; 8], u8) {
        (self.trace_id, self.span_id, self.flags)
    }
}

/// The header's value, always version 00.
impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (trace_id, span_id) = (u128::from_be_bytes(self.trace_id), u64::from_be_bytes(self.span_id));
        write!(f, "00-{trace_id:032x}-{span_id:016x}-{:02x}", self.flags)
    }
}

/// Reads exactly `2 * N` lower-case hexadecimal digits.
fn hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    if digits.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = (digit(pair[0])? << 4) | digit(pair[1])?;
    }
    Some(bytes)
}

fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

fn not_zero<const N: usize>(make: fn() -> [u8; N]) -> [u8; N] {
    loop {
        let bytes = make();
        if bytes != [0; N] {
            return bytes;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const EXAMPLE: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn the_specifications_example_is_read_and_written_alike() {
        assert_eq!(TraceParent::parse(EXAMPLE).expect("valid").to_string(), EXAMPLE);
    }

    #[test]
    fn a_later_version_is_read_as_far_as_we_know_it() {
        let known = EXAMPLE.replacen("00", "01", 1);
        assert_eq!(TraceParent::parse(&known).expect("valid").to_string(), EXAMPLE);
        assert_eq!(TraceParent::parse(&format!("{known}-more")).expect("valid").to_string(), EXAMPLE);
        let unknown_flags = EXAMPLE.replace("-01", "-ff");
        assert_eq!(TraceParent::parse(&unknown_flags).expect("valid").to_string(), EXAMPLE.replace("-01", "-03"));
    }

    #[test]
    fn what_the_specification_calls_invalid_is_refused() {
        for invalid in [
            String::new(),
            "00".to_owned(),
            EXAMPLE.to_uppercase(),
            EXAMPLE.replacen("00", "ff", 1),
            EXAMPLE.replacen("00", "0x", 1),
            EXAMPLE.replace('-', "_"),
            format!("{EXAMPLE}-more"),
            format!("{EXAMPLE} "),
            format!(" {EXAMPLE}"),
            format!("{}more", EXAMPLE.replacen("00", "01", 1)),
            EXAMPLE.replace("0af7651916cd43dd8448eb211c80319c", "00000000000000000000000000000000"),
            EXAMPLE.replace("b7ad6b7169203331", "0000000000000000"),
            EXAMPLE.replace("b7ad6b7169203331", "b7ad6b716920333g"),
            EXAMPLE[..54].to_owned(),
        ] {
            assert_eq!(TraceParent::parse(&invalid), None, "{invalid}");
        }
    }

    #[test]
    fn a_child_stays_in_the_trace_under_a_new_span() {
        let parent = TraceParent::parse(EXAMPLE).expect("valid");
        let child = parent.child();
        assert_eq!(child.trace_id, parent.trace_id);
        assert_ne!(child.span_id, parent.span_id);
        assert_eq!(child.flags, parent.flags);
        assert_ne!(TraceParent::new(), TraceParent::new());
    }

    proptest! {
        #[test]
        fn any_text_is_refused_or_survives_the_round_trip(
            header in "\\PC{0,80}|[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}"
        ) {
            if let Some(parsed) = TraceParent::parse(&header) {
                prop_assert_eq!(TraceParent::parse(&parsed.to_string()), Some(parsed));
            }
        }
    }
}

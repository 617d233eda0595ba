use std::error::Error;
use std::fmt;

use sha2::{Digest, Sha256};

/// An error as it is logged: its whole chain of causes, and a fingerprint that equal errors share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErrorReport {
    /// The error and its causes, outermost first, joined by `: `.
    pub chain: String,
    /// Twelve hexadecimal digits; ids and numbers inside the text do not change them.
    pub fingerprint: String,
}

impl ErrorReport {
    /// Reports an error with its causes.
    #[must_use]
    pub fn new(error: &(dyn Error + 'static)) -> Self {
        let chain = chain(error);
        let fingerprint = fingerprint(&chain);
        Self { chain, fingerprint }
    }
}

impl fmt::Display for ErrorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.chain)
    }
}

/// The error and its causes. A cause whose text the error above it already ends with is not said twice.
pub(super) fn chain(error: &(dyn Error + 'static)) -> String {
    let mut chain = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !chain.ends_with(&text) {
            chain.push_str(": ");
            chain.push_str(&text);
        }
        cause = error.source();
    }
    chain
}

fn fingerprint(chain: &str) -> String {
    let digest = Sha256::digest(without_variables(chain).as_bytes());
    let start = digest.iter().take(6).fold(0, |bits, byte| (bits << 8) | u64::from(*byte));
    format!("{start:012x}")
}

/// Replaces every word that looks like an id or a number by `#`.
fn without_variables(chain: &str) -> String {
    let is_word = |c: char| c.is_alphanumeric() || c == '-';
    let mut text = String::with_capacity(chain.len());
    let mut rest = chain;
    while let Some(first) = rest.chars().next() {
        let end = if is_word(first) { rest.find(|c| !is_word(c)).unwrap_or(rest.len()) } else { first.len_utf8() };
        let (word, after) = rest.split_at(end);
        text.push_str(if is_variable(word) { "#" } else { word });
        rest = after;
    }
    text
}

fn is_variable(word: &str) -> bool {
    word.bytes().any(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{text}")]
    struct Layer {
        text: String,
        source: Option<Box<Layer>>,
    }

    fn error(texts: &[&str]) -> Layer {
        let (first, rest) = texts.split_first().expect("at least one");
        let source = if rest.is_empty() { None } else { Some(Box::new(error(rest))) };
        Layer { text: (*first).to_owned(), source }
    }

    #[test]
    fn the_chain_names_every_cause_once() {
        assert_eq!(ErrorReport::new(&error(&["saving failed", "disk full"])).chain, "saving failed: disk full");
        assert_eq!(
            ErrorReport::new(&error(&["saving failed: disk full", "disk full"])).chain,
            "saving failed: disk full"
        );
    }

    #[test]
    fn errors_that_differ_in_ids_and_numbers_share_a_fingerprint() {
        let print = |text: &str| ErrorReport::new(&error(&[text])).fingerprint;
        let first = print("no row 0192f0c1-7e3a-7bbb-8000-a1b2c3d4e5f6 after 31 ms");
        assert_eq!(first, print("no row 0192aaaa-0000-7bbb-9000-ffffffffffff after 7 ms"));
        assert_ne!(first, print("no table 0192f0c1-7e3a-7bbb-8000-a1b2c3d4e5f6 after 31 ms"));
        assert_eq!(first.len(), 12);
    }

    #[test]
    fn the_fingerprint_covers_the_causes() {
        let print = |texts: &[&str]| ErrorReport::new(&error(texts)).fingerprint;
        assert_ne!(print(&["saving failed", "disk full"]), print(&["saving failed", "connection reset"]));
    }
}

/// The sizes of one formatted Rust file.
///
/// This is no parser: in a file that rustfmt has formatted, the brace that closes an item stands under the item's first
/// letter, and nothing else does.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Source {
    /// Lines outside of tests, blank ones and comments included.
    pub(super) lines: usize,
    pub(super) test_lines: usize,
    /// Each function outside of tests, with its lines from signature to closing brace.
    pub(super) functions: Vec<(String, usize)>,
}

impl Source {
    pub(super) fn read(text: &str) -> Self {
        let lines: Vec<&str> = text.lines().collect();
        let mut source = Self::default();
        let mut at = 0;
        while let Some(line) = lines.get(at) {
            if line.trim_start() == "#[cfg(test)]" {
                let end = end_of_item(&lines, at);
                source.test_lines += end - at;
                at = end;
                continue;
            }
            if let Some(name) = function_in(line) {
                source.functions.push((name.to_owned(), end_of_item(&lines, at) - at));
            }
            source.lines += 1;
            at += 1;
        }
        source
    }
}

/// The name of the function that begins in this line.
fn function_in(line: &str) -> Option<&str> {
    const BEFORE: [&str; 6] = ["async", "const", "default", "extern", "pub", "unsafe"];
    let code = line.trim_start();
    if code.starts_with("//") {
        return None;
    }
    let (before, after) = code.split_once("fn ")?;
    let is_keyword = |word: &str| BEFORE.contains(&word) || word.starts_with("pub(") || word == "\"C\"";
    if !before.split_whitespace().all(is_keyword) || !(before.is_empty() || before.ends_with(' ')) {
        return None;
    }
    let end = after.find(|letter: char| !letter.is_alphanumeric() && letter != '_')?;
    (end > 0).then(|| &after[..end])
}

/// The line after the item that begins here, attributes first.
fn end_of_item(lines: &[&str], start: usize) -> usize {
    let level = indentation(lines[start]);
    let mut is_first = true;
    for (at, line) in lines.iter().enumerate().skip(start) {
        let code = line.trim();
        if code.starts_with("#[") || code.is_empty() || indentation(line) != level {
            continue;
        }
        let fits_in_line = is_first && (code.ends_with('}') || code.ends_with(';'));
        let ends_here = code == "}" || (code.starts_with(')') && code.ends_with(';'));
        if fits_in_line || ends_here {
            return at + 1;
        }
        is_first = false;
    }
    lines.len()
}

fn indentation(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    // Indented, or this file would look like the sample to the code that it tests.
    const SAMPLE: &str = "
    //! fn in_a_comment() {}

    pub(crate) const fn answer() -> u8 { 42 }

    trait Speaker {
        fn say(&self);
        async fn shout(
            &self,
        ) {
            if true {
                noise();
            }
        }
    }

    #[cfg(test)]
    mod tests {
        fn hidden() {
        }
    }

    #[cfg(test)]
    mod more_tests;

    fn last() {
        let f: fn (u8) = drop;
    }
    ";

    #[test]
    fn functions_and_tests_are_told_apart() {
        let sample = SAMPLE.trim_end().replace("\n    ", "\n");
        let source = Source::read(&sample);
        let functions: Vec<_> = source.functions.iter().map(|(name, lines)| (name.as_str(), *lines)).collect();
        assert_eq!(functions, [("answer", 1), ("say", 1), ("shout", 7), ("last", 3)]);
        assert_eq!(source.test_lines, 5 + 2);
        assert_eq!(source.lines, sample.lines().count() - 7);
    }
}

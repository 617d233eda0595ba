use std::fs;
use std::path::Path;

use crate::failure::{Failure, io};
use crate::progress;
use crate::workspace::files_below;

/// A place where a word may stay.
pub(super) struct Exception {
    /// The beginning of its path.
    pub(super) below: &'static str,
    /// What the text around the word must be there; empty permits all.
    pub(super) within: &'static str,
}

/// Fails unless neither a path nor a text below the directory holds the word, whatever its case.
pub(super) fn none(directory: &Path, word: &str, exceptions: &[Exception]) -> Result<(), Failure> {
    progress(format!("looking for {word} in {}", directory.display()));
    let mut found = Vec::new();
    for path in files_below(directory, "")? {
        let short = path.strip_prefix(directory).unwrap_or(&path).to_string_lossy().replace('\\', "/");
        if !short.starts_with(".git/") {
            let text = fs::read(&path).map_err(io("read", &path))?;
            found.extend(places(&short, &String::from_utf8_lossy(&text), word, exceptions));
        }
    }
    if found.is_empty() {
        return Ok(());
    }
    Err(Failure::Finding(format!("{word} is still named {} times:\n  {}", found.len(), found.join("\n  "))))
}

fn places(path: &str, text: &str, word: &str, exceptions: &[Exception]) -> Vec<String> {
    let word = word.to_lowercase();
    let here: Vec<&Exception> = exceptions.iter().filter(|exception| path.starts_with(exception.below)).collect();
    if here.iter().any(|exception| exception.within.is_empty()) {
        return Vec::new();
    }
    let remains = |line: &str| {
        let permitted = here.iter().fold(line.to_owned(), |line, exception| line.replace(exception.within, ""));
        permitted.to_lowercase().contains(&word)
    };
    let in_path = path.to_lowercase().contains(&word).then(|| path.to_owned());
    let lines = (1..).zip(text.lines()).filter(|(_, line)| remains(line));
    in_path.into_iter().chain(lines.map(|(number, line)| format!("{path}:{number}: {}", line.trim()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_found_in_paths_and_texts_in_any_case() {
        assert_eq!(places("docs/Acme.md", "a\nof ACME\n", "Acme", &[]), ["docs/Acme.md", "docs/Acme.md:2: of ACME"]);
        let exceptions = [Exception { below: "src/", within: "Role::Acme" }, Exception { below: "docs/", within: "" }];
        assert_eq!(places("docs/a.md", "acme", "Acme", &exceptions), [""; 0]);
        assert_eq!(places("src/a.rs", "Role::Acme", "Acme", &exceptions), [""; 0]);
        assert_eq!(places("src/a.rs", "Role::Acme acme", "Acme", &exceptions), ["src/a.rs:1: Role::Acme acme"]);
        assert_eq!(places("a.rs", "Role::Acme", "Acme", &exceptions), ["a.rs:1: Role::Acme"]);
    }

    #[test]
    fn what_is_left_over_fails_the_check() {
        let directory = tempfile::tempdir().expect("a directory");
        fs::create_dir(directory.path().join(".git")).expect("creates");
        fs::write(directory.path().join(".git/config"), "acme").expect("writes");
        none(directory.path(), "Acme", &[]).expect("git's own files do not count");
        fs::write(directory.path().join("a.bin"), b"\xff acme").expect("writes");
        let failure = none(directory.path(), "Acme", &[]).expect_err("finds it");
        assert!(failure.to_string().contains("a.bin:1"), "{failure}");
    }
}

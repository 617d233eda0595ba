use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use crate::failure::{Failure, io};
use crate::workspace::files_below;

/// What became of a query since its data was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Change {
    New,
    Changed,
    Gone,
}

/// How two directories of offline data differ. Each query has a file of its own, named after the query's text.
#[derive(Debug)]
pub(super) struct Difference {
    /// By name of the file: the change, and the query.
    changes: BTreeMap<String, (Change, String)>,
    queries: usize,
}

impl Difference {
    pub(super) fn between(committed: &Path, fresh: &Path) -> Result<Self, Failure> {
        let mut old = read(committed)?;
        let new = read(fresh)?;
        let queries = new.len();
        let mut changes = BTreeMap::new();
        for (name, data) in new {
            let change = match old.remove(&name) {
                Some(before) if before == data => continue,
                Some(_) => Change::Changed,
                None => Change::New,
            };
            changes.insert(name, (change, query_in(&data)));
        }
        changes.extend(old.into_iter().map(|(name, data)| (name, (Change::Gone, query_in(&data)))));
        Ok(Self { changes, queries })
    }

    pub(super) fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }

    /// How many queries there are now.
    pub(super) fn queries(&self) -> usize {
        self.queries
    }

    /// Brings the committed directory up to date. New data arrives before old data goes, each file in one step, so that
    /// a build meanwhile finds the query it looks for.
    pub(super) fn apply(&self, committed: &Path, fresh: &Path) -> Result<(), Failure> {
        fs::create_dir_all(committed).map_err(io("create", committed))?;
        for (name, (change, _)) in &self.changes {
            if *change != Change::Gone {
                let arriving = committed.join(format!("{name}.new"));
                fs::copy(fresh.join(name), &arriving).map_err(io("write", &arriving))?;
                fs::rename(&arriving, committed.join(name)).map_err(io("rename", &arriving))?;
            }
        }
        for (name, (change, _)) in &self.changes {
            if *change == Change::Gone {
                let path = committed.join(name);
                fs::remove_file(&path).map_err(io("delete", &path))?;
            }
        }
        Ok(())
    }
}

impl fmt::Display for Difference {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.changes.values().map(|(change, query)| {
            let sign = match change {
                Change::New => '+',
                Change::Changed => '~',
                Change::Gone => '-',
            };
            format!("  {sign} {query}")
        });
        let mut lines: Vec<String> = lines.collect();
        lines.sort();
        formatter.write_str(&lines.join("\n"))
    }
}

/// Every query's file, without carriage returns, which a checkout on Windows may have added.
fn read(directory: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let files = if directory.exists() { files_below(directory, ".json")? } else { Vec::new() };
    files
        .into_iter()
        .map(|path| {
            let data = fs::read_to_string(&path).map_err(io("read", &path))?.replace('\r', "");
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            Ok((name, data))
        })
        .collect()
}

/// The query as one short line.
fn query_in(data: &str) -> String {
    const WIDTH: usize = 100;
    let data: serde_json::Value = serde_json::from_str(data).unwrap_or_default();
    let words: Vec<&str> = data["query"].as_str().unwrap_or_default().split_whitespace().collect();
    let line = words.join(" ");
    match line.char_indices().nth(WIDTH) {
        Some((cut, _)) => format!("{}…", &line[..cut]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(files: &[(&str, &str)]) -> tempfile::TempDir {
        let directory = tempfile::tempdir().expect("makes a directory");
        for (name, query) in files {
            let data = format!("{{\"query\": \"{query}\"}}\n");
            fs::write(directory.path().join(name), data).expect("writes");
        }
        directory
    }

    #[test]
    fn what_changed_is_named_and_applied() {
        let committed = directory(&[("same.json", "SELECT 1"), ("other.json", "SELECT  2"), ("gone.json", "SELECT 3")]);
        let fresh = directory(&[("same.json", "SELECT 1"), ("other.json", "SELECT 2"), ("new.json", "SELECT 4")]);
        let difference = Difference::between(committed.path(), fresh.path()).expect("compares");
        assert_eq!(difference.to_string(), "  + SELECT 4\n  - SELECT 3\n  ~ SELECT 2");
        assert_eq!(difference.queries(), 3);

        difference.apply(committed.path(), fresh.path()).expect("applies");
        let again = Difference::between(committed.path(), fresh.path()).expect("compares");
        assert!(again.is_empty());
        assert_eq!(fs::read_dir(committed.path()).expect("lists").count(), 3);
    }

    #[test]
    fn data_that_was_never_committed_is_new() {
        let fresh = directory(&[("new.json", "SELECT 1")]);
        let committed = fresh.path().join("nothing here");
        let difference = Difference::between(&committed, fresh.path()).expect("compares");
        assert!(!difference.is_empty());
        difference.apply(&committed, fresh.path()).expect("applies");
        assert!(committed.join("new.json").is_file());
    }

    #[test]
    fn a_long_query_is_cut() {
        let data = serde_json::json!({ "query": "SELECT ä,\n ".repeat(50) }).to_string();
        assert_eq!(query_in(&data).chars().count(), 101);
    }
}

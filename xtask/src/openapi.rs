use std::fs;

use crate::cargo::Cargo;
use crate::failure::{Failure, io};
use crate::progress;
use crate::workspace::Workspace;

/// Writes the contract as the handlers describe it, or only compares it with the committed one.
pub(crate) fn run(workspace: &Workspace, only_check: bool) -> Result<(), Failure> {
    let path = workspace.root.join("openapi/v1.json");
    progress("asking the server for its contract");
    let printed = Cargo::new(workspace, &["run", "--quiet", "--package", "server", "--", "openapi"]).output()?;
    let described = String::from_utf8_lossy(&printed);
    let described = format!("{}\n", described.trim_end());
    if serde_json::from_str::<serde_json::Value>(&described).is_err() {
        return Err(Failure::Finding("`server openapi` did not print JSON".to_owned()));
    }
    let committed = fs::read_to_string(&path).unwrap_or_default().replace("\r\n", "\n");
    let Some(difference) = first_difference(&committed, &described) else {
        println!("openapi/v1.json is up to date");
        return Ok(());
    };
    if only_check {
        return Err(Failure::Finding(format!(
            "openapi/v1.json is not what the handlers describe; run `cargo xtask openapi` and commit it\n{difference}"
        )));
    }
    let directory = path.parent().unwrap_or(&workspace.root);
    fs::create_dir_all(directory).map_err(io("create", directory))?;
    fs::write(&path, described).map_err(io("write", &path))?;
    println!("openapi/v1.json renewed");
    Ok(())
}

/// The first line in which two texts differ, for people.
fn first_difference(committed: &str, described: &str) -> Option<String> {
    if committed == described {
        return None;
    }
    let same = committed.lines().zip(described.lines()).take_while(|(one, other)| one == other).count();
    let line = |text: &str| text.lines().nth(same).unwrap_or("(the end)").trim().to_owned();
    Some(format!("  line {}: committed {}, described {}", same + 1, line(committed), line(described)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_difference_is_named() {
        assert_eq!(first_difference("a\nb\n", "a\nb\n"), None);
        let difference = first_difference("a\nb\n", "a\n  c\n");
        assert_eq!(difference.as_deref(), Some("  line 2: committed b, described c"));
        let difference = first_difference("", "{}\n");
        assert_eq!(difference.as_deref(), Some("  line 1: committed (the end), described {}"));
    }
}

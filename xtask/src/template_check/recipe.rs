use std::fs;
use std::path::Path;

use crate::failure::{Failure, io};

/// What a page says to do: its blocks of shell commands, from the first to the last, for one shell.
pub(super) fn script(page: &Path) -> Result<String, Failure> {
    let text = fs::read_to_string(page).map_err(io("read", page))?;
    let commands = commands(&text);
    if commands.is_empty() {
        return Err(Failure::Finding(format!("{} says nothing to do", page.display())));
    }
    Ok(commands)
}

/// The lines of the blocks that are marked as `sh`.
fn commands(page: &str) -> String {
    let mut commands = String::new();
    let mut inside = false;
    for line in page.lines() {
        match line.trim_start() {
            "```sh" => inside = true,
            "```" => inside = false,
            _ if inside => commands.extend([line, "\n"]),
            _ => {}
        }
    }
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_shell_commands_are_followed_and_in_order() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let page = "Do:\n```sh\na\nb\n```\nthen see\n```text\nc\n```\nand\n```sh\nd\n```\n";
        fs::write(&file, page).expect("writes");
        assert_eq!(script(file.path()).expect("reads"), "a\nb\nd\n");
        fs::write(&file, "nothing").expect("writes");
        assert!(script(file.path()).is_err());
    }
}

//! Markdown pages: sections, code spans, links.

/// What stands between a heading of the second level and the next.
pub(crate) fn section<'a>(page: &'a str, title: &str) -> Option<&'a str> {
    let heading = format!("## {title}");
    let mut at = 0;
    let mut start = None;
    for line in page.split_inclusive('\n') {
        if line.starts_with("## ") {
            if let Some(start) = start {
                return page.get(start..at);
            }
            if line.trim_end() == heading {
                start = Some(at + line.len());
            }
        }
        at += line.len();
    }
    start.and_then(|start| page.get(start..))
}

/// The headings of the second level.
pub(crate) fn titles(page: &str) -> Vec<&str> {
    prose(page).into_iter().filter_map(|(_, line)| line.strip_prefix("## ")).map(str::trim).collect()
}

/// What stands in single backticks.
pub(crate) fn code_spans(text: &str) -> Vec<&str> {
    prose(text).into_iter().flat_map(|(_, line)| line.split('`').skip(1).step_by(2)).collect()
}

/// The code span that each list item or table row starts with.
pub(crate) fn entries(text: &str) -> Vec<&str> {
    let starts = ["- `", "* `", "| `"];
    let after = |line: &'_ str| starts.iter().find_map(|mark| line.strip_prefix(mark)).map(str::len);
    let lines = prose(text).into_iter().map(|(_, line)| line.trim_start());
    lines.filter_map(|line| line[line.len() - after(line)?..].split('`').next()).collect()
}

/// The targets of the links, with their lines.
pub(crate) fn links(page: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    for (number, line) in prose(page) {
        if let Some((_, target)) = line.strip_prefix('[').and_then(|rest| rest.split_once("]: ")) {
            found.push((number, target.trim()));
        }
        let outside = line.split('`').step_by(2);
        for piece in outside.flat_map(|text| text.split("](").skip(1)) {
            let target = piece.split([')', ' ']).next().unwrap_or_default();
            found.push((number, target.trim_matches(['<', '>'])));
        }
    }
    found
}

/// The cells of the table rows, heading and ruler left out.
pub(crate) fn rows(page: &str) -> Vec<(usize, Vec<&str>)> {
    let lines = prose(page);
    let is_row = |line: &str| line.trim_start().starts_with('|');
    let is_ruler =
        |line: &str| is_row(line) && line.contains("--") && line.chars().all(|letter| "|-: ".contains(letter));
    let mut found = Vec::new();
    for (at, (number, line)) in lines.iter().enumerate() {
        let heads = lines.get(at + 1).is_some_and(|(_, next)| is_ruler(next.trim()));
        if is_row(line) && !is_ruler(line.trim()) && !heads {
            found.push((*number, line.trim().trim_matches('|').split('|').map(str::trim).collect()));
        }
    }
    found
}

/// The code blocks in this language.
pub(crate) fn blocks(page: &str, language: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let (mut fenced, mut wanted) = (false, false);
    for line in page.lines() {
        if let Some(opens) = line.strip_prefix("```") {
            fenced = !fenced;
            wanted = fenced && opens == language;
            found.extend(wanted.then(String::new));
        } else if let Some(block) = found.last_mut().filter(|_| wanted) {
            block.push_str(line);
            block.push('\n');
        }
    }
    found
}

/// The lines outside of code blocks, with their numbers.
fn prose(page: &str) -> Vec<(usize, &str)> {
    let mut fenced = false;
    let mut lines = Vec::new();
    for (at, line) in page.lines().enumerate() {
        let fence = line.trim_start().starts_with("```");
        fenced ^= fence;
        if !fenced && !fence {
            lines.push((at + 1, line));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str =
        "# T\n## One\n`a` and `b c`\n```\n## No `x` [y](z)\n```\n[l](one.md#two)\n## Two\n| h |\n|---|\n| `c` |\n";

    #[test]
    fn a_page_is_read_without_its_code_blocks() {
        assert_eq!(titles(PAGE), ["One", "Two"]);
        assert_eq!(code_spans(PAGE), ["a", "b c", "c"]);
        assert_eq!(entries(PAGE), ["c"]);
        assert_eq!(links(PAGE), [(7, "one.md#two")]);
        assert_eq!(rows(PAGE), [(11, vec!["`c`"])]);
    }

    #[test]
    fn code_blocks_are_found_by_their_language() {
        let page = "```sh\na\n\nb\n```\n```\nc\n```\nd\n```shell\ne\n```\n```sh\n```\n";
        assert_eq!(blocks(page, "sh"), ["a\n\nb\n", ""]);
        assert_eq!(blocks(page, "shell"), ["e\n"]);
        assert!(blocks(page, "python").is_empty());
    }
}

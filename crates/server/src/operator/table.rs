//! Text for a terminal: columns, facts, and nothing that a stranger could smuggle in.

use std::fmt;

/// The longest cell of a list.
const LONGEST: usize = 60;

/// Rows below their heads, each column as wide as its widest cell.
pub(super) struct Table {
    heads: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new<const N: usize>(heads: [&str; N], rows: impl Iterator<Item = [String; N]>) -> Self {
        let rows = rows.map(|row| row.map(|cell| cut(&clean(&cell), LONGEST)).to_vec()).collect();
        Self { heads: heads.map(str::to_owned).to_vec(), rows }
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<&Vec<String>> = std::iter::once(&self.heads).chain(&self.rows).collect();
        let width = |column: usize| lines.iter().map(|line| line[column].chars().count()).max().unwrap_or_default();
        let widths: Vec<usize> = (0..self.heads.len()).map(width).collect();
        for (number, line) in lines.iter().enumerate() {
            let cells = line.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}"));
            let line = cells.collect::<Vec<_>>().join("  ");
            let end = if number + 1 < lines.len() { "\n" } else { "" };
            write!(f, "{}{end}", line.trim_end())?;
        }
        Ok(())
    }
}

/// What is known about one thing, a line each; what is not known has none.
#[derive(Default)]
pub(super) struct Facts(Vec<(&'static str, String)>);

impl Facts {
    pub(super) fn add(&mut self, name: &'static str, fact: impl Into<String>) {
        self.0.push((name, fact.into()));
    }

    pub(super) fn add_known(&mut self, name: &'static str, fact: Option<impl Into<String>>) {
        self.0.extend(fact.map(|fact| (name, fact.into())));
    }
}

impl fmt::Display for Facts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.0.iter().map(|(name, _)| name.chars().count()).max().unwrap_or_default();
        for (number, (name, fact)) in self.0.iter().enumerate() {
            let end = if number + 1 < self.0.len() { "\n" } else { "" };
            write!(f, "{name:<width$}  {}{end}", clean(fact))?;
        }
        Ok(())
    }
}

/// On one line, and harmless.
fn clean(text: &str) -> String {
    harmless(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Harmless line by line.
pub(super) fn clean_lines(text: &str) -> String {
    text.lines().map(harmless).collect::<Vec<_>>().join("\n")
}

/// Without the characters that steer terminals: errors and answers quote strangers.
fn harmless(text: &str) -> String {
    text.chars().map(|letter| if letter.is_control() { ' ' } else { letter }).collect()
}

/// The beginning of a text that is longer.
pub(super) fn cut(text: &str, longest: usize) -> String {
    if text.chars().count() <= longest {
        return text.to_owned();
    }
    text.chars().take(longest.saturating_sub(1)).chain(['…']).collect()
}

/// `1 job`, `2 jobs`.
pub(super) fn counted(count: u64, (one, many): (&str, &str)) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell_and_lines_end_where_they_end() {
        let rows = [["dead", "é", ""], ["scheduled", "b", "refused"]].map(|row| row.map(str::to_owned));
        let table = Table::new(["state", "name", "error"], rows.into_iter()).to_string();
        assert_eq!(table, "state      name  error\ndead       é\nscheduled  b     refused");
    }

    #[test]
    fn long_cells_are_cut_and_nothing_steers_the_terminal() {
        let error = format!("\u{1b}[31mred\nand {}", "long ".repeat(20));
        let table = Table::new(["error"], [[error]].into_iter()).to_string();
        let line = table.lines().nth(1).expect("a row");
        assert_eq!((table.lines().count(), line.chars().count()), (2, LONGEST));
        assert!(line.starts_with("[31mred and long") && line.ends_with('…'), "{line}");
        let mut facts = Facts::default();
        facts.add("error", "a\r\u{7}b");
        facts.add_known("unique key", None::<String>);
        facts.add("id", "7");
        assert_eq!(facts.to_string(), "error  a b\nid     7");
    }

    #[test]
    fn one_is_not_many() {
        assert_eq!([0, 1, 2].map(|count| counted(count, ("job", "jobs"))), ["0 jobs", "1 job", "2 jobs"]);
    }
}

//! Migrations read as text: enough SQL to know statements, tables and columns.

/// A statement of a migration, on one line, without comments, function bodies and what its string literals say.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) line: usize,
    /// As written, every run of blanks one space.
    pub(crate) text: String,
}

/// A table as the migrations leave it.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Table {
    /// As written: `schema.table`.
    pub(crate) name: String,
    /// Name and the rest of the definition.
    pub(crate) columns: Vec<(String, String)>,
}

impl Table {
    pub(crate) fn short_name(&self) -> &str {
        self.name.rsplit('.').next().unwrap_or_default()
    }

    pub(crate) fn has_column(&self, name: &str) -> bool {
        self.columns.iter().any(|(column, _)| column == name)
    }
}

/// The text without comments. Lines stay where they are.
pub(crate) fn without_comments(text: &str) -> String {
    cut(text, false)
}

/// The statements of a migration.
pub(crate) fn statements(text: &str) -> Vec<Statement> {
    let mut found = Vec::new();
    let (mut line, mut start) = (1, 1);
    let mut written = String::new();
    for letter in cut(text, true).chars() {
        if letter == ';' {
            push(&mut found, start, &written);
            written.clear();
        } else {
            if written.trim().is_empty() {
                start = line;
            }
            written.push(letter);
        }
        line += usize::from(letter == '\n');
    }
    push(&mut found, start, &written);
    found
}

/// The tables that a series of migrations leaves behind.
pub(crate) fn tables<'a>(migrations: impl Iterator<Item = &'a str>) -> Vec<Table> {
    let mut tables: Vec<Table> = Vec::new();
    for statement in migrations.flat_map(statements) {
        let words: Vec<&str> = statement.text.split([' ', '(']).filter(|word| !word.is_empty()).collect();
        let upper: Vec<String> = words.iter().map(|word| word.to_uppercase()).collect();
        let starts =
            |with: &[&str]| upper.len() > with.len() && upper.iter().zip(with).all(|(word, like)| word == like);
        let name = |skip: usize| {
            let words = words[skip..]
                .iter()
                .filter(|word| !["IF", "NOT", "EXISTS", "ONLY"].contains(&word.to_uppercase().as_str()));
            words.map(|word| word.trim_matches(',').to_owned()).next().unwrap_or_default()
        };
        if starts(&["CREATE", "TABLE"]) || starts(&["CREATE", "UNLOGGED", "TABLE"]) {
            let skip = if upper[1] == "TABLE" { 2 } else { 3 };
            tables.push(Table { name: name(skip), columns: columns(&statement.text) });
        } else if starts(&["DROP", "TABLE"]) {
            let gone = name(2);
            tables.retain(|table| table.name != gone);
        } else if starts(&["ALTER", "TABLE"]) {
            let (altered, added) = (name(2), added_columns(&statement.text));
            tables
                .iter_mut()
                .filter(|table| table.name == altered)
                .for_each(|table| table.columns.extend(added.clone()));
        }
    }
    tables
}

/// Cuts a text at the commas outside of parentheses.
pub(crate) fn outer_parts(text: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut depth = 0;
    for letter in text.chars() {
        depth += i32::from(letter == '(') - i32::from(letter == ')');
        match (letter, depth) {
            (',', 0) => parts.push(String::new()),
            _ => parts.last_mut().expect("never empty").push(letter),
        }
    }
    parts.into_iter().map(|part| part.trim().to_owned()).filter(|part| !part.is_empty()).collect()
}

fn columns(statement: &str) -> Vec<(String, String)> {
    const NO_COLUMN: [&str; 7] = ["CONSTRAINT", "PRIMARY", "UNIQUE", "CHECK", "FOREIGN", "EXCLUDE", "LIKE"];
    let inner = statement.split_once('(').and_then(|(_, rest)| rest.rsplit_once(')')).map_or("", |(inner, _)| inner);
    let column = |part: String| {
        let (name, rest) = part.split_once(' ')?;
        (!NO_COLUMN.contains(&name.to_uppercase().as_str())).then(|| (name.to_owned(), rest.to_owned()))
    };
    outer_parts(inner).into_iter().filter_map(column).collect()
}

/// The columns an `ALTER TABLE` adds.
pub(crate) fn added_columns(statement: &str) -> Vec<(String, String)> {
    let upper = statement.to_uppercase();
    let cut = upper.match_indices("ADD COLUMN ").map(|(at, found)| &statement[at + found.len()..]);
    let clean = |rest: &str| {
        let rest = rest.trim_start();
        let rest =
            if rest.to_uppercase().starts_with("IF NOT EXISTS ") { &rest["IF NOT EXISTS ".len()..] } else { rest };
        let part = outer_parts(rest).into_iter().next()?;
        part.split_once(' ').map(|(name, rest)| (name.to_owned(), rest.to_owned()))
    };
    cut.filter_map(clean).collect()
}

fn push(found: &mut Vec<Statement>, line: usize, written: &str) {
    let text = written.split_whitespace().collect::<Vec<_>>().join(" ");
    if !text.is_empty() {
        found.push(Statement { line, text });
    }
}

/// Leaves out comments, and on demand everything quoted too.
fn cut(text: &str, quoted_too: bool) -> String {
    let mut kept = String::new();
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let dollar = if letter == '$' { dollar_quote(rest) } else { None };
        let (length, keep) = match (letter, dollar) {
            (_, Some(tag)) => (past(rest, tag.len(), tag), !quoted_too),
            ('-', _) if rest.starts_with("--") => (rest.find('\n').unwrap_or(rest.len()), false),
            ('/', _) if rest.starts_with("/*") => (past(rest, 2, "*/"), false),
            ('\'', _) => (past(rest, 1, "'"), !quoted_too),
            _ => (letter.len_utf8(), true),
        };
        let (piece, more) = rest.split_at(length);
        if keep && dollar.is_some() {
            kept.push_str(&cut(piece.trim_matches('$'), false));
        } else if keep {
            kept.push_str(piece);
        } else {
            kept.push_str(if letter == '\'' { "''" } else { " " });
            kept.extend(piece.chars().filter(|letter| *letter == '\n'));
        }
        rest = more;
    }
    kept
}

/// The opening `$$` or `$tag$` at the start of the text; not the `$1` of a parameter.
fn dollar_quote(text: &str) -> Option<&str> {
    let end = text[1..].find('$')? + 2;
    let tag = &text[1..end - 1];
    let name = tag.chars().all(|letter| letter.is_alphabetic() || letter == '_');
    name.then(|| &text[..end])
}

fn past(text: &str, from: usize, end: &str) -> usize {
    text[from..].find(end).map_or(text.len(), |at| from + at + end.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statements_lose_comments_and_bodies_and_keep_their_lines() {
        let text =
            "-- CREATE TABLE no;\nCREATE TABLE a.b (\n  c text /* ; */ DEFAULT ';'\n);\n\nDO $x$ BEGIN; END $x$;";
        let found: Vec<(usize, String)> = statements(text).into_iter().map(|found| (found.line, found.text)).collect();
        assert_eq!(found[0].0, 2);
        assert_eq!(found[1], (6, "DO".to_owned()));
        assert_eq!(found.len(), 2, "{found:?}");
    }

    #[test]
    fn tables_are_what_the_migrations_leave_behind() {
        let first = "CREATE TABLE shop.orders (id uuid PRIMARY KEY, price numeric(1, 2), CHECK (price > 0));\n\
            CREATE TABLE shop.gone (a int);";
        let second = "ALTER TABLE shop.orders ADD COLUMN IF NOT EXISTS note text; DROP TABLE IF EXISTS shop.gone;";
        let tables = tables([first, second].into_iter());
        assert_eq!(tables.len(), 1);
        let columns: Vec<&str> = tables[0].columns.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!((tables[0].short_name(), columns), ("orders", vec!["id", "price", "note"]));
    }
}

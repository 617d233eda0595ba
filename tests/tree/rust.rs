//! What the guards want to know of one Rust file, read with the grammar of the language instead of patterns: text in
//! comments and strings never passes for code.

mod items;
mod tokens;

use std::ops::Range;

pub(crate) use items::{Definition, Function, Shows};
pub(crate) use tokens::{Kind, Token};

/// A Rust file: its tokens, and the items made of them.
pub(crate) struct Rust {
    /// How many lines the file has.
    pub(crate) lines: usize,
    /// The flat list of tokens, groups opened and closed by marks.
    pub(crate) tokens: Vec<Token>,
    /// Every function, method and trait function with a body or without.
    pub(crate) functions: Vec<Function>,
    /// Types, modules, traits, constants, macros: everything with a name that is no function.
    pub(crate) definitions: Vec<Definition>,
    /// What `pub use` at the top of the file shows to others.
    pub(crate) shown: Vec<String>,
    /// The inline `#[cfg(test)]` modules.
    pub(crate) tests: Vec<Range<usize>>,
    /// Comments that are not documentation, by line.
    pub(crate) comments: Vec<(usize, String)>,
    text: String,
}

impl Rust {
    pub(super) fn read(path: &str, text: &str) -> Rust {
        let stream: proc_macro2::TokenStream = text.parse().unwrap_or_else(|error| panic!("{path}: {error}"));
        let tokens = tokens::flat(stream.clone());
        let file: syn::File = syn::parse2(stream).unwrap_or_else(|error| panic!("{path}: {error}"));
        let items = items::read(text, &file);
        Rust {
            lines: text.lines().count(),
            comments: tokens::comments(text, &tokens),
            tokens,
            functions: items.functions,
            definitions: items.definitions,
            shown: items.shown,
            tests: items.tests,
            text: text.to_owned(),
        }
    }

    /// The source between two places.
    pub(crate) fn source(&self, at: &Range<usize>) -> &str {
        &self.text[at.clone()]
    }

    /// The tokens between two places, such as those of one function.
    pub(crate) fn within(&self, at: &Range<usize>) -> &[Token] {
        let start = self.tokens.partition_point(|token| token.at.start < at.start);
        let end = self.tokens.partition_point(|token| token.at.start < at.end);
        &self.tokens[start..end]
    }

    /// Whether a place lies in an inline test module.
    pub(crate) fn is_test(&self, at: usize) -> bool {
        self.tests.iter().any(|range| range.contains(&at))
    }

    /// The lines of the file without its inline tests.
    pub(crate) fn lines_without_tests(&self) -> usize {
        self.lines - self.tests.iter().map(|at| self.source(at).lines().count()).sum::<usize>()
    }

    /// The string literals of code: neither documentation nor attributes.
    pub(crate) fn strings(&self) -> impl Iterator<Item = &Token> {
        self.tokens.iter().filter(|token| token.kind == Kind::Text && !token.attribute)
    }

    /// The names of the test functions, those inside macros included.
    pub(crate) fn test_names(&self) -> Vec<&str> {
        let mut names = Vec::new();
        let mut marked = false;
        for some in self.tokens.windows(2) {
            let (before, this) = (&some[0], &some[1]);
            marked |= this.attribute && this.text == "test" && matches!(before.text.as_str(), "[" | ":");
            if marked && before.text == "fn" && before.kind == Kind::Word {
                names.push(this.text.as_str());
                marked = false;
            }
        }
        names
    }
}

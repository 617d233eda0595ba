//! The tokens of a Rust file in one flat list.

use std::ops::Range;

use proc_macro2::{Delimiter, Group, Span, TokenStream, TokenTree};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// An identifier or keyword.
    Word,
    /// A string literal; the token's text is what the string says.
    Text,
    /// Documentation; the token's text is what it says.
    Doc,
    /// A number, a mark, an opening or closing delimiter.
    Mark,
}

/// One token.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) text: String,
    pub(crate) line: usize,
    /// Where it stands in the file, in bytes.
    pub(crate) at: Range<usize>,
    /// Whether it stands in an attribute.
    pub(crate) attribute: bool,
}

/// Flattens a file.
pub(super) fn flat(stream: TokenStream) -> Vec<Token> {
    let mut tokens = Vec::new();
    flatten(stream, false, &mut tokens);
    tokens
}

/// The comments of a file: what lies between the tokens and is not blank.
pub(super) fn comments(text: &str, tokens: &[Token]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    let (mut end, mut line) = (0, 1);
    let rest = text.len()..text.len();
    for at in tokens.iter().map(|token| &token.at).chain([&rest]) {
        for part in text.get(end..at.start).unwrap_or_default().split_inclusive('\n') {
            if part.contains("//") || part.contains("/*") {
                found.push((line, part.trim().to_owned()));
            }
            line += part.matches('\n').count();
        }
        line += text.get(end.max(at.start)..at.end).unwrap_or_default().matches('\n').count();
        end = end.max(at.end);
    }
    found
}

fn flatten(stream: TokenStream, attribute: bool, tokens: &mut Vec<Token>) {
    let mut after_hash = false;
    for tree in stream {
        let hash = matches!(&tree, TokenTree::Punct(mark) if mark.as_char() == '#');
        let bang = matches!(&tree, TokenTree::Punct(mark) if mark.as_char() == '!');
        match tree {
            TokenTree::Group(group) => {
                let starts_attribute = after_hash && group.delimiter() == Delimiter::Bracket;
                nested(&group, attribute || starts_attribute, starts_attribute, tokens);
            }
            TokenTree::Ident(word) => {
                let text = word.to_string();
                tokens.push(token(Kind::Word, text.trim_start_matches("r#").to_owned(), word.span(), attribute));
            }
            TokenTree::Literal(literal) => {
                let (kind, text) = said(&literal);
                tokens.push(token(kind, text, literal.span(), attribute));
            }
            TokenTree::Punct(mark) => {
                tokens.push(token(Kind::Mark, mark.as_char().to_string(), mark.span(), attribute));
            }
        }
        after_hash = hash || (after_hash && bang);
    }
}

fn nested(group: &Group, attribute: bool, starts_attribute: bool, tokens: &mut Vec<Token>) {
    let (open, close) = match group.delimiter() {
        Delimiter::Parenthesis => ("(", ")"),
        Delimiter::Brace => ("{", "}"),
        Delimiter::Bracket => ("[", "]"),
        Delimiter::None => ("", ""),
    };
    tokens.push(token(Kind::Mark, open.to_owned(), group.span_open(), attribute));
    let first = tokens.len();
    flatten(group.stream(), attribute, tokens);
    if starts_attribute && tokens.get(first).is_some_and(|token| token.text == "doc") {
        tokens[first..].iter_mut().filter(|token| token.kind == Kind::Text).for_each(|token| token.kind = Kind::Doc);
    }
    tokens.push(token(Kind::Mark, close.to_owned(), group.span_close(), attribute));
}

fn said(literal: &proc_macro2::Literal) -> (Kind, String) {
    match syn::parse_str::<syn::Lit>(&literal.to_string()) {
        Ok(syn::Lit::Str(text)) => (Kind::Text, text.value()),
        _ => (Kind::Mark, literal.to_string()),
    }
}

fn token(kind: Kind, text: String, span: Span, attribute: bool) -> Token {
    Token { kind, text, line: span.start().line, at: span.byte_range(), attribute }
}

//! The items of a Rust file.

use std::ops::Range;

use proc_macro2::Span;
use syn::visit::{self, Visit};
use syn::{Attribute, Visibility};

/// Who may see an item.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Shows {
    /// `pub`
    Everybody,
    /// `pub(crate)`, `pub(super)`
    Relatives,
    /// No visibility written.
    Nobody,
}

/// A function or method.
pub(crate) struct Function {
    pub(crate) name: String,
    /// The type whose `impl` holds it, outside of trait implementations.
    pub(crate) owner: Option<String>,
    pub(crate) shows: Shows,
    pub(crate) line: usize,
    /// From the `fn` to the closing brace.
    pub(crate) at: Range<usize>,
    /// From the `fn` to the end of what it returns.
    pub(crate) signature: Range<usize>,
    /// Each as written, the name and its type.
    pub(crate) parameters: Vec<String>,
    /// Written inside a trait or the implementation of one: its shape is decided elsewhere.
    pub(crate) of_trait: bool,
}

/// Something with a name that is no function.
pub(crate) struct Definition {
    /// The keyword: `struct`, `enum`, `mod`, `trait`, `type`, `const`, `static`, `macro_rules`.
    pub(crate) keyword: &'static str,
    pub(crate) name: String,
    /// For a constant of an `impl`: the trait (empty without one), and the type.
    pub(crate) of_trait: Option<String>,
    pub(crate) owner: Option<String>,
    pub(crate) shows: Shows,
    /// Stands at the top of the file, not inside a module or function.
    pub(crate) top: bool,
    pub(crate) line: usize,
    /// From the first attribute or line of documentation to the end.
    pub(crate) at: Range<usize>,
    /// Its attributes as written, documentation left out.
    pub(crate) attributes: String,
    /// For a string constant: what it says.
    pub(crate) says: Option<String>,
    /// For a structure: whether it has named fields.
    pub(crate) named_fields: bool,
}

/// Everything found in a file.
#[derive(Default)]
pub(super) struct Items {
    pub(super) functions: Vec<Function>,
    pub(super) definitions: Vec<Definition>,
    pub(super) shown: Vec<String>,
    pub(super) tests: Vec<Range<usize>>,
}

/// Reads the items of a parsed file.
pub(super) fn read(text: &str, file: &syn::File) -> Items {
    let mut reader = Reader { text, items: Items::default(), owner: None, of_trait: None, depth: 0 };
    reader.visit_file(file);
    reader.items
}

struct Reader<'a> {
    text: &'a str,
    items: Items,
    owner: Option<String>,
    of_trait: Option<String>,
    depth: usize,
}

impl Reader<'_> {
    fn function(&mut self, shows: Shows, signature: &syn::Signature, body: Option<&syn::Block>) {
        let start = signature.fn_token.span.byte_range().start;
        let inputs = signature.paren_token.span;
        let signed =
            body.map_or(inputs.close().byte_range().end, |body| body.brace_token.span.open().byte_range().start);
        let signed =
            if body.is_none() { self.text[signed..].find(';').map_or(signed, |more| signed + more) } else { signed };
        let end = body.map_or(signed, |body| body.brace_token.span.close().byte_range().end);
        self.items.functions.push(Function {
            name: signature.ident.to_string(),
            owner: self.owner.clone(),
            shows,
            line: signature.fn_token.span.start().line,
            at: start..end,
            signature: start..signed,
            parameters: split(&self.text[inputs.open().byte_range().end..inputs.close().byte_range().start]),
            of_trait: self.of_trait.is_some(),
        });
    }

    fn definition(&mut self, keyword: &'static str, ident: &syn::Ident, from: (&Visibility, &[Attribute]), last: Span) {
        let (visibility, attributes) = from;
        let at = ident.span().byte_range();
        let start = attributes.iter().map(|attribute| attribute.pound_token.span.byte_range().start).min();
        let written = attributes.iter().filter(|attribute| !attribute.path().is_ident("doc"));
        self.items.definitions.push(Definition {
            keyword,
            name: ident.to_string(),
            of_trait: None,
            owner: None,
            shows: shows(visibility),
            top: self.depth == 0,
            line: ident.span().start().line,
            at: start.unwrap_or(at.start).min(at.start)..last.byte_range().end.max(at.end),
            attributes: written.map(|attribute| &self.text[attribute.bracket_token.span.join().byte_range()]).collect(),
            says: None,
            named_fields: false,
        });
    }
}

impl<'ast> Visit<'ast> for Reader<'_> {
    fn visit_item_fn(&mut self, item: &'ast syn::ItemFn) {
        self.function(shows(&item.vis), &item.sig, Some(&item.block));
        self.depth += 1;
        visit::visit_item_fn(self, item);
        self.depth -= 1;
    }

    fn visit_impl_item_fn(&mut self, item: &'ast syn::ImplItemFn) {
        self.function(shows(&item.vis), &item.sig, Some(&item.block));
        visit::visit_impl_item_fn(self, item);
    }

    fn visit_trait_item_fn(&mut self, item: &'ast syn::TraitItemFn) {
        self.function(Shows::Everybody, &item.sig, item.default.as_ref());
        visit::visit_trait_item_fn(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.definition("trait", &item.ident, (&item.vis, &item.attrs), item.brace_token.span.close());
        let before = self.of_trait.replace(String::new());
        self.depth += 1;
        visit::visit_item_trait(self, item);
        self.depth -= 1;
        self.of_trait = before;
    }

    fn visit_item_impl(&mut self, item: &'ast syn::ItemImpl) {
        let last = |path: &syn::Path| path.segments.last().map(|segment| segment.ident.to_string());
        let owner = if let syn::Type::Path(path) = &*item.self_ty { last(&path.path) } else { None };
        let of_trait = item.trait_.as_ref().and_then(|(path, _)| last(path));
        let before = (std::mem::replace(&mut self.owner, owner), std::mem::replace(&mut self.of_trait, of_trait));
        self.depth += 1;
        visit::visit_item_impl(self, item);
        self.depth -= 1;
        (self.owner, self.of_trait) = before;
    }

    fn visit_impl_item_const(&mut self, item: &'ast syn::ImplItemConst) {
        self.definition("const", &item.ident, (&item.vis, &item.attrs), item.semi_token.span);
        if let Some(definition) = self.items.definitions.last_mut() {
            definition.of_trait = Some(self.of_trait.clone().unwrap_or_default());
            definition.owner.clone_from(&self.owner);
            definition.says = text_of(&item.expr);
        }
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        let last = match &item.fields {
            syn::Fields::Named(fields) => fields.brace_token.span.close(),
            syn::Fields::Unnamed(fields) => fields.paren_token.span.close(),
            syn::Fields::Unit => item.ident.span(),
        };
        self.definition("struct", &item.ident, (&item.vis, &item.attrs), last);
        if let Some(definition) = self.items.definitions.last_mut() {
            definition.named_fields = matches!(item.fields, syn::Fields::Named(_));
        }
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.definition("enum", &item.ident, (&item.vis, &item.attrs), item.brace_token.span.close());
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.definition("type", &item.ident, (&item.vis, &item.attrs), item.semi_token.span);
    }

    fn visit_item_const(&mut self, item: &'ast syn::ItemConst) {
        self.definition("const", &item.ident, (&item.vis, &item.attrs), item.semi_token.span);
        if let Some(definition) = self.items.definitions.last_mut() {
            definition.says = text_of(&item.expr);
        }
    }

    fn visit_item_static(&mut self, item: &'ast syn::ItemStatic) {
        self.definition("static", &item.ident, (&item.vis, &item.attrs), item.semi_token.span);
    }

    fn visit_item_macro(&mut self, item: &'ast syn::ItemMacro) {
        if let Some(ident) = &item.ident {
            let exported = item.attrs.iter().any(|attribute| attribute.path().is_ident("macro_export"));
            self.definition("macro_rules", ident, (&Visibility::Inherited, &item.attrs), ident.span());
            if let (true, Some(definition)) = (exported, self.items.definitions.last_mut()) {
                definition.shows = Shows::Everybody;
            }
        }
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        let last = item.content.as_ref().map_or(item.ident.span(), |(brace, _)| brace.span.close());
        self.definition("mod", &item.ident, (&item.vis, &item.attrs), last);
        if let (Some(definition), Some(_)) = (self.items.definitions.last(), &item.content)
            && definition.attributes.contains("cfg(test)")
        {
            self.items.tests.push(definition.at.clone());
        }
        self.depth += 1;
        visit::visit_item_mod(self, item);
        self.depth -= 1;
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if self.depth == 0 && shows(&item.vis) == Shows::Everybody {
            leaves(&item.tree, &mut self.items.shown);
        }
    }
}

fn shows(visibility: &Visibility) -> Shows {
    match visibility {
        Visibility::Public(_) => Shows::Everybody,
        Visibility::Inherited => Shows::Nobody,
        Visibility::Restricted(_) => Shows::Relatives,
    }
}

fn text_of(value: &syn::Expr) -> Option<String> {
    match value {
        syn::Expr::Lit(syn::ExprLit { lit: syn::Lit::Str(text), .. }) => Some(text.value()),
        _ => None,
    }
}

fn leaves(tree: &syn::UseTree, shown: &mut Vec<String>) {
    match tree {
        syn::UseTree::Path(path) => leaves(&path.tree, shown),
        syn::UseTree::Name(name) => shown.push(name.ident.to_string()),
        syn::UseTree::Rename(name) => shown.push(name.rename.to_string()),
        syn::UseTree::Group(group) => group.items.iter().for_each(|tree| leaves(tree, shown)),
        syn::UseTree::Glob(_) => shown.push("*".to_owned()),
    }
}

/// Cuts a list of parameters at its outer commas.
fn split(list: &str) -> Vec<String> {
    let mut parts = vec![String::new()];
    let (mut depth, mut before) = (0, ' ');
    for letter in list.chars() {
        match letter {
            '(' | '[' | '{' | '<' => depth += 1,
            '>' if before == '-' => {}
            ')' | ']' | '}' | '>' => depth -= 1,
            _ => {}
        }
        match (letter, depth) {
            (',', 0) => parts.push(String::new()),
            _ => parts.last_mut().expect("never empty").push(letter),
        }
        before = letter;
    }
    parts
        .iter()
        .map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|part| !part.is_empty())
        .collect()
}

//! What clients send is read strictly.

use crate::tree::{Findings, Rust, Tree};

/// Every structure of an `http.rs` that is read from a request refuses fields it does not know.
pub(super) fn requests_refuse_unknown_fields(tree: &Tree) -> Findings {
    let mut findings = Findings::default();
    for module in tree.modules() {
        let files = tree
            .rust_in(&format!("crates/{module}/src"))
            .map(|(path, rust)| (path.to_owned(), rust))
            .collect::<Vec<_>>();
        for (path, rust) in files.iter().filter(|(path, _)| path.ends_with("/http.rs") || path.contains("/http/")) {
            let read = rust.definitions.iter().filter(|it| it.named_fields && it.attributes.contains("Deserialize"));
            for structure in read.filter(|it| !is_path(rust, &it.name)) {
                findings.saw_one();
                if !structure.attributes.contains("deny_unknown_fields") {
                    let (line, name) = (structure.line, &structure.name);
                    findings.broken(format!("{path}:{line}: {name} lacks #[serde(deny_unknown_fields)]"));
                }
            }
        }
    }
    findings
}

/// Whether the structure is read from the path, which holds what the route says and maybe more than the handler needs.
fn is_path(rust: &Rust, name: &str) -> bool {
    rust.tokens.windows(3).any(|some| some[0].text == "Path" && some[1].text == "<" && some[2].text == name)
}

#[test]
fn every_request_body_refuses_unknown_fields() {
    requests_refuse_unknown_fields(Tree::house()).hold();
}

#[test]
fn a_request_body_that_takes_unknown_fields_is_found() {
    let request = |attribute: &str| {
        let text = format!(
            "/// deny_unknown_fields\n#[derive(Debug, Deserialize)]{attribute}\nstruct NewCart {{ name: String }}"
        );
        Tree::of(&[("crates/orders/src/carts/http.rs", &text)])
    };
    requests_refuse_unknown_fields(&request("")).only_name("NewCart lacks");
    requests_refuse_unknown_fields(&request("\n#[serde(deny_unknown_fields)]")).hold();
    let path = request(
        "\n#[serde(deny_unknown_fields)] struct A { b: u8 }\nfn f(cart: Path<NewCart>) {}\n#[derive(Deserialize)]",
    );
    requests_refuse_unknown_fields(&path).hold();
}

//! The files of the repository as the guards see them: read once from the disk, or made of a few lines as a negative
//! control. A guard is a function from a [`Tree`] to [`Findings`], so both go through the same code.

mod findings;
pub(crate) mod markdown;
mod rust;
pub(crate) mod sql;
pub(crate) mod words;

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::sync::LazyLock;
use std::thread;

pub(crate) use findings::Findings;
pub(crate) use rust::{Definition, Function, Kind, Rust, Shows, Token};

/// Packages that are not modules. Every other folder of `crates/` is one and keeps the rules of modules.
const NOT_MODULES: &[&str] = &["platform", "server", "dev-postgres", "dev-stripe", "test-support"];

/// Directories without sources of ours.
const NOT_READ: [&str; 5] = ["target", "node_modules", ".git", ".data", ".sqlx"];

/// What a file must end with to be read; of the others only the names count.
const TEXT: [&str; 11] =
    [".rs", ".toml", ".sql", ".md", ".json", ".yml", ".yaml", ".liquid", ".sh", "Dockerfile", "/run"];

/// Files by their path from the root of the repository, Rust files parsed.
#[derive(Default)]
pub(crate) struct Tree {
    files: BTreeMap<String, String>,
    rust: BTreeMap<String, Rust>,
}

impl Tree {
    /// This repository.
    pub(crate) fn house() -> &'static Tree {
        static HOUSE: LazyLock<Tree> = LazyLock::new(|| {
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the repository");
            let mut files = BTreeMap::new();
            read(root, root, &mut files);
            Tree::new(files)
        });
        &HOUSE
    }

    /// A tree made of a few files, for negative controls.
    pub(crate) fn of(files: &[(&str, &str)]) -> Tree {
        Tree::new(files.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect())
    }

    fn new(files: BTreeMap<String, String>) -> Tree {
        let sources: Vec<(&String, &String)> = files.iter().filter(|(path, _)| is_a("rs", path)).collect();
        let read = |(path, text): &(&String, &String)| ((*path).clone(), Rust::read(path, text));
        let rust = thread::scope(|scope| {
            let share = sources.len().div_ceil(thread::available_parallelism().map_or(1, usize::from)).max(1);
            let shares =
                sources.chunks(share).map(|share| scope.spawn(move || share.iter().map(read).collect::<Vec<_>>()));
            let readers: Vec<_> = shares.collect();
            readers.into_iter().flat_map(|reader| reader.join().expect("every source is Rust")).collect()
        });
        Tree { files, rust }
    }

    /// The text of one file.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// Whether the path is a file or a folder with files.
    pub(crate) fn has(&self, path: &str) -> bool {
        self.files.contains_key(path) || self.files.keys().any(|file| inside(file, path))
    }

    /// Every file, with its text.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// The names of every test function.
    pub(crate) fn tests(&self) -> BTreeSet<&str> {
        self.rust.values().flat_map(Rust::test_names).collect()
    }

    /// Every Rust file.
    pub(crate) fn rust(&self) -> impl Iterator<Item = (&str, &Rust)> {
        self.rust.iter().map(|(path, rust)| (path.as_str(), rust))
    }

    /// The Rust files of a folder.
    pub(crate) fn rust_in(&self, folder: &str) -> impl Iterator<Item = (&str, &Rust)> {
        self.rust().filter(move |(path, _)| inside(path, folder))
    }

    /// One Rust file.
    pub(crate) fn rust_file(&self, path: &str) -> Option<&Rust> {
        self.rust.get(path)
    }

    /// The packages of the workspace: the folder of each and its manifest.
    pub(crate) fn packages(&self) -> Vec<(String, toml::Table)> {
        let manifest = |(path, text): (&str, &str)| {
            let folder = path.strip_suffix("/Cargo.toml")?;
            Some((folder.to_owned(), text.parse().unwrap_or_else(|error| panic!("{path}: {error}"))))
        };
        self.files().filter_map(manifest).collect()
    }

    /// The names of the business modules.
    pub(crate) fn modules(&self) -> Vec<String> {
        let mut modules: Vec<String> =
            self.files.keys().filter_map(|path| path.strip_prefix("crates/")?.split_once('/')).map(first).collect();
        modules.dedup();
        modules.retain(|name| !NOT_MODULES.contains(&name.as_str()));
        modules
    }

    /// The migrations of a module in their order: path and text.
    pub(crate) fn migrations(&self, module: &str) -> Vec<(&str, &str)> {
        let folder = format!("migrations/{module}");
        self.files().filter(|(path, _)| inside(path, &folder) && is_a("sql", path)).collect()
    }

    /// The tables that the migrations of a module leave behind.
    pub(crate) fn tables(&self, module: &str) -> Vec<sql::Table> {
        sql::tables(self.migrations(module).into_iter().map(|(_, text)| text))
    }
}

/// Whether the path has this extension.
pub(crate) fn is_a(extension: &str, path: &str) -> bool {
    Path::new(path).extension().is_some_and(|found| found == extension)
}

fn first((folder, _): (&str, &str)) -> String {
    folder.to_owned()
}

fn inside(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.starts_with('/'))
}

fn read(root: &Path, folder: &Path, files: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display())) {
        let path = entry.expect("a readable directory entry").path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if !NOT_READ.contains(&name.as_str()) {
                read(root, &path, files);
            }
            continue;
        }
        let inner = path.strip_prefix(root).expect("a path below the root").to_string_lossy().replace('\\', "/");
        let is_text = TEXT.iter().any(|end| inner.ends_with(end));
        let text = if is_text { fs::read_to_string(&path).unwrap_or_default() } else { String::new() };
        files.insert(inner, text);
    }
}

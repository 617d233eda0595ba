mod leftovers;
mod recipe;
mod tracked;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::cargo::Cargo;
use crate::failure::{Failure, io};
use crate::progress;
use crate::workspace::{Workspace, empty_directory};

use leftovers::Exception;

/// The project that is generated: its folder, and what its product is called.
const PROJECT: &str = "bright-harbor";
const PRODUCT: &str = "Bright Harbor";

/// Where the product's name stands.
const NAME: &str = "config/product.toml";

/// The page that is followed word by word, and what it removes: a module and the stand-in for its provider.
const RECIPE: &str = "docs/removing-a-module.md";
const REMOVED: [&str; 3] = ["billing", "dev-stripe", "dev_stripe"];

/// The version that the template was tried with.
const CARGO_GENERATE: &str = "0.23.8";

/// Where those words stay: in what tells of the removal, in what was decided once, and where they mean the role of a member,
/// which belongs to users and is stored in their rows.
const KEPT: [Exception; 14] = [
    Exception { below: RECIPE, within: "" },
    Exception { below: "xtask/src/template_check.rs", within: "" },
    Exception { below: "docs/decisions/", within: "" },
    Exception { below: "crates/platform/src/caller.rs", within: "" },
    Exception { below: "docs/adding-a-permission.md", within: "" },
    Exception { below: "docs/permissions.md", within: "| billing |" },
    Exception { below: "tests/authorization/", within: "viewer, billing, member" },
    Exception { below: "migrations/users/", within: "'billing'" },
    Exception { below: "", within: "Role::Billing" },
    Exception { below: "", within: "\"billing\"" },
    Exception { below: "crates/webhooks/", within: "role billing" },
    Exception { below: "crates/webhooks/", within: "all_but_billing" },
    Exception { below: "crates/webhooks/tests/", within: "let billing" },
    Exception { below: "crates/webhooks/tests/", within: "&billing" },
];

/// Generates a project of another name and tests it; then removes a module from it by the recipe and tests what is left.
pub(crate) fn run(workspace: &Workspace) -> Result<(), Failure> {
    let _turn = workspace.take_turn()?;
    let began = Instant::now();
    let project = Project::generate(workspace)?;
    let ours = product_name(&workspace.root)?;
    if product_name(&project.directory)? != PRODUCT {
        return Err(Failure::Finding(format!("the generated project is not called {PRODUCT}")));
    }
    leftovers::none(&project.directory, &ours, &[])?;
    project.test()?;
    let generated = began.elapsed();
    project.follow(RECIPE)?;
    REMOVED.iter().try_for_each(|word| leftovers::none(&project.directory, word, &KEPT))?;
    project.test()?;
    // What nothing uses any more is a warning, and would fail the next check of whoever followed the page.
    project.cargo("linting it", &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"])?;
    let removed = began.elapsed().saturating_sub(generated);
    println!("{PROJECT} was generated and passes its tests: {}", minutes(generated));
    println!("without {} it passes them, too: {}", REMOVED[0], minutes(removed));
    Ok(())
}

/// The generated project, and where it is built: one directory for all of it, kept for the next time.
struct Project {
    directory: PathBuf,
    build: PathBuf,
}

impl Project {
    /// Generates it in an empty directory, from what git knows of this working tree.
    fn generate(workspace: &Workspace) -> Result<Self, Failure> {
        if !workspace.root.join("cargo-generate.toml").is_file() {
            return Err(Failure::Finding("this project is no template: it has no cargo-generate.toml".to_owned()));
        }
        require_cargo_generate()?;
        let place = workspace.target.join("template");
        let source = empty_directory(&place.join("source"))?;
        let destination = empty_directory(&place.join("generated"))?;
        tracked::copy(&workspace.root, &source)?;
        progress(format!("generating {PROJECT}"));
        // Around it lies this repository, which is neither its workspace nor its history.
        let arguments =
            ["generate", "--name", PROJECT, "--silent", "--no-workspace", "--force-git-init", "--vcs", "git"];
        Cargo::in_directory(&place, &arguments)
            .path("--path", &source)
            .path("--destination", &destination)
            // It wants to know who is at work, though no twin says so.
            .env("CARGO_NAME", "nobody")
            .run()?;
        Ok(Self { directory: destination.join(PROJECT), build: place.join("target") })
    }

    fn test(&self) -> Result<(), Failure> {
        self.cargo("testing it", &["test", "--workspace", "--locked"])
    }

    fn cargo(&self, what: &str, arguments: &[&str]) -> Result<(), Failure> {
        progress(what);
        let mut cargo = Cargo::in_directory(&self.directory, arguments);
        for (variable, value) in self.environment() {
            cargo = cargo.env(variable, value);
        }
        cargo.run()
    }

    /// Does what one of its pages says, in one shell, as a person would; the first command that fails ends it.
    fn follow(&self, page: &str) -> Result<(), Failure> {
        progress(format!("following {page}"));
        let status = Command::new("sh")
            .args(["-eux", "-c", &recipe::script(&self.directory.join(page))?])
            .current_dir(&self.directory)
            .envs(self.environment())
            .stdin(Stdio::null())
            .status()
            .map_err(io("run `sh` in", &self.directory))?;
        if status.success() { Ok(()) } else { Err(Failure::Command(format!("sh, following {page}"))) }
    }

    /// One build of everything gains nothing from being incremental, and it doubles what is written.
    fn environment(&self) -> [(&'static str, &Path); 2] {
        [("CARGO_TARGET_DIR", &self.build), ("CARGO_INCREMENTAL", Path::new("0"))]
    }
}

fn require_cargo_generate() -> Result<(), Failure> {
    let mut cargo = Command::new("cargo");
    cargo.args(["generate", "--version"]).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    if cargo.status().is_ok_and(|status| status.success()) {
        return Ok(());
    }
    let install = format!("cargo install cargo-generate --locked --version {CARGO_GENERATE}");
    Err(Failure::Finding(format!("cargo-generate is missing: `{install}`")))
}

/// What the product of a repository is called.
fn product_name(root: &Path) -> Result<String, Failure> {
    let path = root.join(NAME);
    let text = fs::read_to_string(&path).map_err(io("read", &path))?;
    let name = text.lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    name.map(str::to_owned).ok_or_else(|| Failure::Finding(format!("{NAME} names nothing")))
}

fn minutes(time: Duration) -> String {
    let tenths = time.as_secs() / 6;
    format!("{}.{} minutes", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_told_in_minutes() {
        assert_eq!(minutes(Duration::from_secs(5)), "0.0 minutes");
        assert_eq!(minutes(Duration::from_secs(252)), "4.2 minutes");
    }
}

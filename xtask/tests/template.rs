//! This repository is a template: where a generated project must differ, a twin `NAME.liquid` stands beside `NAME`. A twin
//! says what its original says, and no other file names the product. A generated project has neither twins nor this file.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;

/// What cargo-generate reads, where the product's name stands, and how a twin ends.
const SETTINGS: &str = "cargo-generate.toml";
const NAME: &str = "config/product.toml";
const TWIN: &str = ".liquid";

/// A generated project begins with the beginning of these, and has nothing of the rest.
const BEGINNINGS: [&str; 1] = ["CHANGELOG.md"];

/// Another product, to see that a twin names the one it is rendered for.
const ANOTHER: &str = "bright-harbor";

/// What may lie in a working tree without being part of the repository.
const NOT_OURS: [&str; 3] = [".git", ".data", "target"];

/// Files by their path from the root.
type Files = BTreeMap<String, String>;

/// Everything that is wrong with the template.
fn faults(files: &Files) -> Vec<String> {
    let product = files[NAME].lines().find_map(|line| line.strip_prefix("name = \"")?.strip_suffix('"'));
    let product = product.unwrap_or_default();
    let project = product.to_lowercase().replace(' ', "-");
    let twins: BTreeMap<&str, &str> =
        files.iter().filter_map(|(path, text)| Some((path.strip_suffix(TWIN)?, text.as_str()))).collect();
    let mut faults = faults_of_settings(files, &twins);
    for (path, twin) in &twins {
        let original = files.get(*path).map_or("", String::as_str);
        match render(twin, &project) {
            Err(unknown) => {
                faults.push(format!("{path}{TWIN}: only names and conditions are known here, not {unknown}"));
            }
            Ok(text) if text == original => {}
            Ok(text) if BEGINNINGS.contains(path) && original.starts_with(&text) => {}
            Ok(text) => faults.push(format!("{path}{TWIN}: {}", first_difference(original, &text))),
        }
        if render(twin, ANOTHER).is_ok_and(|text| names(&text, product)) {
            faults.push(format!("{path}{TWIN}: names {product} in another project"));
        }
    }
    let left_out = listed(files, "ignore");
    let stays =
        |path: &str| path != SETTINGS && !path.ends_with(TWIN) && !left_out.iter().any(|out| path.starts_with(out));
    for (path, text) in files.iter().filter(|(path, _)| stays(path)) {
        if names(path, product) || (!twins.contains_key(path.as_str()) && names(text, product)) {
            faults.push(format!("{path}: names {product}; say it in other words, or read {NAME}"));
        }
    }
    faults
}

/// cargo-generate renders what it is told to: a twin that it is not told of would be copied with its braces.
fn faults_of_settings(files: &Files, twins: &BTreeMap<&str, &str>) -> Vec<String> {
    let told = listed(files, "include");
    let real: BTreeSet<String> = twins.keys().map(|path| format!("/{path}")).collect();
    let untold = real.difference(&told).map(|path| format!("{SETTINGS}: include lacks {path}"));
    let without = told.difference(&real).map(|path| format!("{SETTINGS}: {path} has no twin"));
    let is_there = |path: &String| NOT_OURS.contains(&path.as_str()) || files.contains_key(path);
    let left_out = listed(files, "ignore");
    let gone = left_out.iter().filter(|path| !is_there(path)).map(|path| format!("{SETTINGS}: {path} does not exist"));
    untold.chain(without).chain(gone).collect()
}

/// A list of the settings.
fn listed(files: &Files, key: &str) -> BTreeSet<String> {
    let settings: toml::Table = files[SETTINGS].parse().expect("the settings are TOML");
    let list = settings["template"].get(key).and_then(toml::Value::as_array).cloned().unwrap_or_default();
    list.iter().filter_map(|path| path.as_str().map(str::to_owned)).collect()
}

/// The part of Liquid that twins may use: the project's name, as it is and as a title, and conditions on it.
/// cargo-generate puts nothing where it knows no variable; here that is an error.
fn render(twin: &str, project: &str) -> Result<String, String> {
    let Some(at) = twin.find("{{").into_iter().chain(twin.find("{%")).min() else { return Ok(twin.to_owned()) };
    let (before, rest) = twin.split_at(at);
    let (tag, rest) = rest.split_once('}').unwrap_or((rest, ""));
    let rest = rest.strip_prefix('}').unwrap_or(rest);
    let (rendered, rest) = match tag.trim_end_matches('%').split_once(' ').map_or("", |(_, inner)| inner.trim()) {
        "project-name" => (project.to_owned(), rest),
        "project-name | title_case" => (title(project), rest),
        condition => {
            let wanted = condition.strip_prefix("if project-name == \"").and_then(|name| name.strip_suffix('"'));
            let (wanted, (inner, rest)) =
                wanted.zip(rest.split_once("{% endif %}")).ok_or_else(|| format!("{tag}}}"))?;
            (if wanted == project { render(inner, project)? } else { String::new() }, rest)
        }
    };
    Ok(format!("{before}{rendered}{}", render(rest, project)?))
}

fn title(project: &str) -> String {
    let capital = |word: &str| word[..1].to_uppercase() + &word[1..];
    project.split('-').map(capital).collect::<Vec<_>>().join(" ")
}

fn names(text: &str, product: &str) -> bool {
    text.to_lowercase().contains(&product.to_lowercase())
}

fn first_difference(original: &str, twin: &str) -> String {
    let same = original.lines().zip(twin.lines()).take_while(|(one, other)| one == other).count();
    let line = |text: &str| text.lines().nth(same).unwrap_or("(the end)").to_owned();
    format!("line {} of the original is {:?}, the twin says {:?}", same + 1, line(original), line(twin))
}

fn read(root: &Path, folder: &Path, files: &mut Files) {
    for entry in fs::read_dir(folder).expect("a readable folder") {
        let path = entry.expect("a readable entry").path();
        let inner = path.strip_prefix(root).expect("below the root").to_string_lossy().replace('\\', "/");
        if path.is_dir() {
            if !NOT_OURS.contains(&inner.as_str()) {
                read(root, &path, files);
            }
            continue;
        }
        let text = fs::read(&path).expect("a readable file");
        files.insert(inner, String::from_utf8_lossy(&text).replace("\r\n", "\n"));
    }
}

#[test]
fn twins_say_what_their_originals_say_and_no_other_file_names_the_product() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the repository");
    let mut files = Files::new();
    read(root, root, &mut files);
    assert!(files.keys().any(|path| path.ends_with(TWIN)), "there are no twins");
    let faults = faults(&files);
    assert!(faults.is_empty(), "{} faults:\n  {}", faults.len(), faults.join("\n  "));
}

mod controls {
    use super::*;

    const SOUND: [(&str, &str); 9] = [
        (
            SETTINGS,
            "[template]\ninclude = [\"/CHANGELOG.md\", \"/README.md\", \"/config/product.toml\"]\nignore = [\"docs/a.md\"]",
        ),
        (NAME, "name = \"Old Mill\"\n"),
        ("config/product.toml.liquid", "name = \"{{ project-name | title_case }}\"\n"),
        ("README.md", "# Old Mill\n\nFork it.\n\nRun old-mill.\n"),
        (
            "README.md.liquid",
            "# {{ project-name | title_case }}\n{% if project-name == \"old-mill\" %}\nFork it.\n{% endif %}\nRun {{ project-name }}.\n",
        ),
        ("CHANGELOG.md", "# Changes\n\n- The mill was built.\n"),
        ("CHANGELOG.md.liquid", "# Changes\n"),
        ("docs/a.md", "How the Old Mill becomes another."),
        ("docs/b.md", "It turns."),
    ];

    /// The sound template with one file written anew.
    fn faults_with(path: &str, text: &str) -> Vec<String> {
        let mut files: Files = SOUND.iter().map(|(path, text)| ((*path).to_owned(), (*text).to_owned())).collect();
        files.insert(path.to_owned(), text.to_owned());
        faults(&files)
    }

    #[track_caller]
    fn only_fault(path: &str, text: &str, what: &str) {
        let faults = faults_with(path, text);
        assert!(faults.len() == 1 && faults[0].contains(what), "{faults:?} is not only {what:?}");
    }

    #[test]
    fn a_sound_template_has_no_fault_and_renders_for_another() {
        assert_eq!(faults_with("docs/b.md", "It turns {{ still }}."), [""; 0]);
        let readme = SOUND[4].1;
        assert_eq!(render(readme, ANOTHER).as_deref(), Ok("# Bright Harbor\n\nRun bright-harbor.\n"));
    }

    #[test]
    fn a_twin_that_drifts_is_found() {
        only_fault("README.md", "# Old Mill\n\nFork it!\n\nRun old-mill.\n", "line 3 of the original is \"Fork it!\"");
        only_fault("CHANGELOG.md", "# News\n", "CHANGELOG.md.liquid: line 1");
        only_fault("README.md.liquid", &format!("{} ", SOUND[4].1), "README.md.liquid: line 6");
    }

    #[test]
    fn a_twin_without_its_original_or_its_place_in_the_settings_is_found() {
        only_fault("docs/b.md.liquid", "It turns.", "include lacks /docs/b.md");
        let settings = SOUND[0].1;
        only_fault(SETTINGS, &settings.replace("\"/README.md\", ", ""), "include lacks /README.md");
        only_fault(
            SETTINGS,
            &settings.replace("\"/README.md\"", "\"/README.md\", \"/docs/b.md\""),
            "/docs/b.md has no twin",
        );
        only_fault(
            SETTINGS,
            &settings.replace("[\"docs/a.md\"]", "[\"docs/a.md\", \"docs/c.md\"]"),
            "docs/c.md does not exist",
        );
    }

    #[test]
    fn what_twins_may_not_use_is_found() {
        for tag in ["{{ product }}", "{{ project-name | upcase }}", "{% unless a %}", "{% if project-name == \"a\" %}"]
        {
            assert!(render(tag, ANOTHER).is_err(), "{tag}");
        }
    }

    #[test]
    fn another_place_that_names_the_product_is_found() {
        only_fault("docs/b.md", "of the OLD MILL", "docs/b.md: names Old Mill");
        only_fault("docs/old mill.md", "", "docs/old mill.md: names Old Mill");
        let named = SOUND[4].1.replace("Run", "{% if project-name == \"bright-harbor\" %}Old Mill{% endif %}Run");
        only_fault("README.md.liquid", &named, "README.md.liquid: names Old Mill in another project");
    }
}

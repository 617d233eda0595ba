mod source;

use std::fs;

use crate::failure::{Failure, io};
use crate::statistics::{median, percentile};
use crate::workspace::{Package, Workspace, files_below};

use source::Source;

/// The sizes of one package.
#[derive(Default)]
struct Sizes {
    files: usize,
    lines: usize,
    test_lines: usize,
}

/// Something long and where it stands.
type Long = (usize, String);

/// Everything that is measured.
#[derive(Default)]
struct Survey {
    packages: Vec<(String, Sizes)>,
    files: Vec<Long>,
    functions: Vec<Long>,
}

/// Prints how large everything is.
pub(crate) fn run(workspace: &Workspace) -> Result<(), Failure> {
    let mut survey = Survey::default();
    for package in &workspace.packages {
        let sizes = survey.measure(workspace, package)?;
        survey.packages.push((package.name.clone(), sizes));
    }
    survey.print_packages();
    print_lengths("lines of a file", &survey.files);
    print_lengths("lines of a function", &survey.functions);
    let lock = workspace.root.join("Cargo.lock");
    let locked = fs::read_to_string(&lock).map_err(io("read", &lock))?;
    println!("packages in Cargo.lock: {}", locked.matches("[[package]]").count());
    Ok(())
}

impl Survey {
    /// Counts one package. Test lines are those of its tests, wherever they stand, and of a package of tests alone.
    fn measure(&mut self, workspace: &Workspace, package: &Package) -> Result<Sizes, Failure> {
        let mut sizes = Sizes::default();
        for path in files_below(&package.directory, ".rs")? {
            let text = fs::read_to_string(&path).map_err(io("read", &path))?;
            let within = path.strip_prefix(&package.directory).unwrap_or(&path);
            if !within.starts_with("src") || within.ends_with("tests.rs") {
                sizes.test_lines += text.lines().count();
                continue;
            }
            let source = Source::read(&text);
            sizes.files += 1;
            sizes.lines += source.lines;
            sizes.test_lines += source.test_lines;
            let place = workspace.short(&path);
            self.files.push((source.lines, place.to_string()));
            let functions = source.functions.into_iter();
            self.functions.extend(functions.map(|(name, lines)| (lines, format!("{place} {name}"))));
        }
        Ok(sizes)
    }

    fn print_packages(&self) {
        println!("{:<16}{:>7}{:>8}{:>12}", "package", "files", "lines", "test lines");
        let mut all = Sizes::default();
        for (name, sizes) in &self.packages {
            println!("{name:<16}{:>7}{:>8}{:>12}", sizes.files, sizes.lines, sizes.test_lines);
            all.files += sizes.files;
            all.lines += sizes.lines;
            all.test_lines += sizes.test_lines;
        }
        println!("{:<16}{:>7}{:>8}{:>12}", "all", all.files, all.lines, all.test_lines);
    }
}

fn print_lengths(what: &str, all: &[Long]) {
    let lengths: Vec<usize> = all.iter().map(|(length, _)| *length).collect();
    if let (Some(middle), Some(high), Some((longest, place))) =
        (median(&lengths), percentile(&lengths, 90), all.iter().max())
    {
        println!("{what}: median {middle}, p90 {high}, longest {longest} ({place})");
    }
}

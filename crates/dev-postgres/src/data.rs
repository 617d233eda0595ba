//! Makes and removes PostgreSQL's data directory.

use std::fs;
use std::hash::{BuildHasher, RandomState};

use crate::Kind;
use crate::account::{command, run};
use crate::binaries::Binaries;
use crate::error::Error;
use crate::place::Place;

/// The major version that made the data; nothing when there is no data.
pub(crate) fn made_by(place: &Place) -> Option<String> {
    let content = fs::read_to_string(place.data().join("PG_VERSION")).ok()?;
    Some(content.trim().to_owned())
}

/// Makes the data under another name first, so that `data` is complete whenever it exists.
pub(crate) fn initialize(place: &Place, kind: Kind, binaries: &Binaries) -> Result<(), Error> {
    clear_unfinished(place)?;
    let name = format!("unfinished-{}", std::process::id());
    let unfinished = place.directory().join(name);
    fs::create_dir(&unfinished).map_err(Error::io("create a directory for the data"))?;
    place.hand_over(&unfinished)?;
    let mut initdb = command(&binaries.program("initdb"), place.account.as_ref());
    initdb.args(["--username=postgres", "--encoding=UTF8", "--locale=C"]);
    if kind == Kind::Development {
        let password = place.password();
        place.write_private(&password, &random_password())?;
        initdb.args(["--auth=scram-sha-256", "--pwfile"]).arg(password);
    } else {
        initdb.arg("--auth=trust");
    }
    if kind == Kind::Test {
        initdb.arg("--no-sync");
    }
    run("initdb", initdb.arg("-D").arg(&unfinished))?;
    fs::rename(&unfinished, place.data()).map_err(Error::io("put the data in its place"))
}

/// Removes the data where there is any.
pub(crate) fn discard(place: &Place) -> Result<(), Error> {
    let data = place.data();
    if !data.exists() {
        return Ok(());
    }
    fs::remove_dir_all(&data).map_err(Error::io(format!("remove {}", data.display())))
}

/// Removes what a killed process left half made.
fn clear_unfinished(place: &Place) -> Result<(), Error> {
    let doing = || format!("clear {}", place.directory().display());
    for entry in fs::read_dir(place.directory()).map_err(Error::io(doing()))? {
        let entry = entry.map_err(Error::io(doing()))?;
        if entry.file_name().to_string_lossy().starts_with("unfinished-") {
            fs::remove_dir_all(entry.path()).map_err(Error::io(doing()))?;
        }
    }
    Ok(())
}

/// 128 bits from the generator that keys the standard library's hash maps, which the operating system seeds: enough
/// to keep other users of this machine away from a developer's data, and no dependency.
fn random_password() -> String {
    let word = |index: u8| RandomState::new().hash_one(index);
    format!("{:016x}{:016x}", word(0), word(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_differ_and_need_no_escaping() {
        let one = random_password();
        assert_eq!(one.len(), 32);
        assert!(one.chars().all(|character| character.is_ascii_hexdigit()));
        assert_ne!(one, random_password());
    }
}

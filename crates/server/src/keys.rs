//! `server keys`: the keys that sign access tokens, for operators. Rotate them now and then, and at once when one may be in wrong
//! hands.

use clap::Subcommand;
use users::SigningKeyEntry;

use crate::check::StartError;
use crate::cli::say;
use crate::operator::Desk;

#[derive(Debug, Subcommand)]
pub(crate) enum KeysCommand {
    /// List the keys: which one signs, which will, which did
    List {
        /// Print JSON instead of a table
        #[arg(long)]
        json: bool,
    },
    /// Let the next key sign, retire the current one and announce another; nobody is logged out
    Rotate {
        /// Do not wait until everybody knows the next key: services that verify our tokens themselves may refuse them for ten
        /// minutes
        #[arg(long)]
        now: bool,
        /// Print JSON instead of a table
        #[arg(long)]
        json: bool,
    },
}

pub(crate) async fn run(command: KeysCommand) -> Result<(), StartError> {
    let Desk { house, .. } = &Desk::open().await?;
    let (keys, json) = match command {
        KeysCommand::List { json } => (house.users.list_signing_keys().await, json),
        KeysCommand::Rotate { now, json } => (house.users.rotate_signing_keys(now).await, json),
    };
    let keys = keys.map_err(crate::wiring::WiringError::from)?;
    say(&if json { serde_json::to_string_pretty(&keys).unwrap_or_default() } else { table(&keys) });
    Ok(())
}

fn table(keys: &[SigningKeyEntry]) -> String {
    let line = |[state, id, made, retired, root]: [&str; 5]| {
        format!("{state:<8}  {id:<32}  {made:<20}  {retired:<20}  {root}").trim_end().to_owned()
    };
    let time = |at: &chrono::DateTime<chrono::Utc>| at.format("%Y-%m-%dT%H:%M:%SZ").to_string();
    let mut lines = vec![line(["state", "id", "made", "retired", "root secret"])];
    for key in keys {
        let (made, retired) = (time(&key.created_at), key.retired_at.as_ref().map(time).unwrap_or_default());
        lines.push(line([key.state.as_str(), &key.id, &made, &retired, &key.root_generation.to_string()]));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use users::KeyState;

    use super::*;

    #[test]
    fn the_table_has_a_line_for_each_key() {
        let at = DateTime::from_timestamp(1_767_225_600, 0).expect("a time");
        let key = |state, retired_at| SigningKeyEntry {
            id: "019b7a3cf15c7d2a9b1f3e8c6a4d2b10".to_owned(),
            state,
            created_at: at,
            retired_at,
            root_generation: 1,
        };
        let table = table(&[key(KeyState::Next, None), key(KeyState::Retired, Some(at))]);
        let lines: Vec<&str> = table.lines().collect();
        assert_eq!(lines.len(), 3);
        assert!(lines[0].starts_with("state     id  "), "{table}");
        let next = "next      019b7a3cf15c7d2a9b1f3e8c6a4d2b10  2026-01-01T00:00:00Z                        1";
        assert_eq!(lines[1], next);
        assert!(lines[2].starts_with("retired   "), "{table}");
    }
}

mod page;
mod security;
mod webhooks;

use crate::database::ScratchDatabase;
use crate::failure::Failure;
use crate::people;
use crate::release;
use crate::service::Program;
use crate::workspace::Workspace;

use page::Proof;

/// Proves what cases of security promise and only a release build at full counts can show.
pub(crate) fn security(workspace: &Workspace) -> Result<(), Failure> {
    if !release::IS_RELEASE {
        return release::run_again(workspace);
    }
    let _turn = workspace.take_turn()?;
    let database = ScratchDatabase::create_durable(workspace, "proofs_security")?;
    let mut program = Program::build(workspace, &database)?;
    program.migrate()?;
    program.settings = people::WITHOUT_LIMITS.to_vec();
    let mut proofs = security::known_and_unknown(&program, &database)?;
    proofs.extend(security::storm(&program)?);
    let date = database.ask("SELECT current_date::text")?;
    page::write(workspace, "Security", &date, &proofs)?;
    Proof::all_hold(&proofs)
}

/// Proves the invariants of background work and webhooks: the tests of tests/faults, at full counts.
pub(crate) fn webhooks(workspace: &Workspace) -> Result<(), Failure> {
    let _turn = workspace.take_turn()?;
    let proofs = webhooks::invariants(workspace)?;
    let database = ScratchDatabase::create(workspace, "proofs_webhooks")?;
    let date = database.ask("SELECT current_date::text")?;
    page::write(workspace, "Webhooks", &date, &proofs)?;
    Proof::all_hold(&proofs)
}

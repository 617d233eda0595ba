//! What the operating system knows about a process.

use std::path::Path;

/// Whether a process with this id exists, whoever it belongs to.
///
/// Where the system offers no simple way to ask (Windows) the answer is yes, so that nothing in use is cleared away.
#[must_use]
pub fn process_exists(id: u32) -> bool {
    #[cfg(target_os = "linux")]
    return Path::new("/proc").join(id.to_string()).exists();
    #[cfg(all(unix, not(target_os = "linux")))]
    return ps(id, "pid=").is_some();
    #[cfg(not(unix))]
    return id != 0;
}

/// Whether the process is the PostgreSQL server of this data directory, and not a stranger that was given the
/// process id of a server that died.
pub(crate) fn serves(id: u32, data: &Path) -> bool {
    #[cfg(target_os = "linux")]
    let command_line =
        std::fs::read(format!("/proc/{id}/cmdline")).ok().map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    #[cfg(all(unix, not(target_os = "linux")))]
    let command_line = ps(id, "command=");
    #[cfg(not(unix))]
    let command_line = Some(data.to_string_lossy().into_owned());

    command_line.is_some_and(|line| line.contains(&*data.to_string_lossy()))
}

/// Asks `ps` for one column about one process.
#[cfg(all(unix, not(target_os = "linux")))]
fn ps(id: u32, column: &str) -> Option<String> {
    let output = std::process::Command::new("ps").args(["-ww", "-o", column, "-p", &id.to_string()]).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_exists_and_serves_no_data_directory() {
        let own = std::process::id();
        assert!(process_exists(own));
        assert!(!serves(own, Path::new("/no/such/data")));
    }

    #[test]
    #[cfg(unix)]
    fn a_process_that_ended_does_not_exist() {
        let mut child = std::process::Command::new("true").spawn().expect("runs `true`");
        let id = child.id();
        child.wait().expect("`true` ends");
        assert!(!process_exists(id));
    }
}

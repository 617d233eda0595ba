//! Stops a server that nobody uses any more, also when its users were killed.

use std::time::Duration;

use crate::error::Error;
use crate::place::Place;

/// Leaves a watchdog behind that outlives this process and ends with the server.
///
/// It is a shell script, because it has to be a program of its own on any Unix, and it holds none of the caller's
/// files: a test runner waits until the last holder of its pipes is gone. A newer watchdog relieves an older one.
#[cfg(unix)]
pub(crate) fn leave_behind(place: &Place, idle_after: Duration) -> Result<(), Error> {
    use std::os::unix::process::CommandExt;
    use std::process::{Command, Stdio};
    use std::sync::atomic::{AtomicU32, Ordering};

    static COUNT: AtomicU32 = AtomicU32::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("{}-{count}", std::process::id());
    let script = place.directory().join("watchdog.sh");
    std::fs::write(place.directory().join("watchdog"), &name)
        .and_then(|()| std::fs::write(&script, include_str!("watchdog.sh")))
        .map_err(Error::io("write the watchdog's files"))?;
    let seconds = idle_after.as_secs().max(1);
    let pause = seconds.min(5);
    Command::new("/bin/sh")
        .arg(script)
        .arg(place.directory())
        .args([&name, &pause.to_string(), &seconds.div_ceil(pause).to_string()])
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .status()
        .map(drop)
        .map_err(Error::io("start the watchdog"))
}

/// Elsewhere nothing watches: the server of a killed process runs on until the next one uses and leaves it.
#[cfg(not(unix))]
pub(crate) fn leave_behind(_place: &Place, _idle_after: Duration) -> Result<(), Error> {
    Ok(())
}

//! What processes use, as Linux tells in /proc; nothing elsewhere.

use std::fs;
use std::time::Duration;

/// The unit of processor time in /proc, which is the same on every architecture in use.
const TICK: Duration = Duration::from_millis(10);

/// What the line `/proc/<pid>/stat` says.
#[derive(Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    /// User and system time of the process itself.
    own: Duration,
    /// The same of its children that have ended.
    ended_children: Duration,
}

impl Stat {
    fn of(process: u32) -> Option<Self> {
        Self::parse(&fs::read_to_string(format!("/proc/{process}/stat")).ok()?)
    }

    /// The second field is the program's name in parentheses, which may hold anything.
    fn parse(line: &str) -> Option<Self> {
        let (_, rest) = line.rsplit_once(") ")?;
        let fields: Vec<&str> = rest.split(' ').collect();
        let ticks = |place: usize| fields.get(place).and_then(|field| field.parse::<u32>().ok());
        let time = |places: [usize; 2]| Some(TICK * (ticks(places[0])? + ticks(places[1])?));
        Some(Self { parent: ticks(1)?, own: time([11, 12])?, ended_children: time([13, 14])? })
    }
}

/// The processor time that a process has used so far.
pub(crate) fn cpu_time(process: u32) -> Option<Duration> {
    Some(Stat::of(process)?.own)
}

/// The same of a process with its children, whether they live or have ended.
pub(crate) fn cpu_time_of_family(process: u32) -> Option<Duration> {
    let head = Stat::of(process)?;
    let processes = fs::read_dir("/proc").ok()?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    let children = processes.filter_map(Stat::of).filter(|stat| stat.parent == process);
    Some(head.own + head.ended_children + children.map(|stat| stat.own).sum::<Duration>())
}

pub(crate) fn parent_of(process: u32) -> Option<u32> {
    Some(Stat::of(process)?.parent)
}

/// The memory that a process holds.
pub(crate) fn resident_kibibytes(process: u32) -> Option<u64> {
    status(process, "VmRSS:")
}

/// The most memory that a process has held.
pub(crate) fn peak_kibibytes(process: u32) -> Option<u64> {
    status(process, "VmHWM:")
}

fn status(process: u32, field: &str) -> Option<u64> {
    kibibytes(&fs::read_to_string(format!("/proc/{process}/status")).ok()?, field)
}

fn kibibytes(status: &str, field: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// What measures: the processor and how much of it there is.
pub(crate) fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let known = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = known.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": ").map(|(_, name)| name));
    format!("{cores} cores, {}", model.unwrap_or("an unknown processor"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_mislead() {
        let line = "42 (a ) 7 (b) S 7 42 42 0 -1 4194560 100 0 0 0 150 50 20 10 20 0 3 0 99 1 2";
        let stat = Stat::parse(line).expect("a stat line");
        assert_eq!((stat.parent, stat.own), (7, Duration::from_secs(2)));
        assert_eq!(stat.ended_children, Duration::from_millis(300));
        assert_eq!(Stat::parse("42 (x) S"), None);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn this_process_is_seen() {
        let own = std::process::id();
        let time = cpu_time(own);
        assert!(time.is_some() && cpu_time_of_family(own) >= time);
        assert!(parent_of(own).is_some());
        assert!(resident_kibibytes(own) > Some(0) && peak_kibibytes(own) > Some(0));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn the_peak_is_never_below_what_is_resident() {
        // Both of one reading: between two of them the kernel may give memory back before it counts the peak.
        let status = fs::read_to_string("/proc/self/status").expect("Linux has it");
        let (peak, resident) = (kibibytes(&status, "VmHWM:"), kibibytes(&status, "VmRSS:"));
        assert!(peak.is_some() && peak >= resident, "{peak:?}, {resident:?}");
    }
}

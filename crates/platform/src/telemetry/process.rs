//! The process's memory, time and files as Linux shows them under /proc, under the names Prometheus clients use.
//! Elsewhere these metrics are absent.

use std::fmt::Write;
use std::fs;

/// Adds what is known about this process.
pub(super) fn describe(page: &mut String) {
    if let Some(stat) = read("/proc/self/stat").as_deref().and_then(Stat::parse) {
        add(page, "process_cpu_seconds_total", "counter", &seconds(stat.cpu_ticks));
        add(page, "process_threads", "gauge", &stat.threads.to_string());
        if let Some(boot) = read("/proc/stat").as_deref().and_then(|text| number_after(text, "btime ")) {
            let started = boot.saturating_mul(TICKS_PER_SECOND).saturating_add(stat.start_ticks);
            add(page, "process_start_time_seconds", "gauge", &seconds(started));
        }
    }
    let status = read("/proc/self/status").unwrap_or_default();
    for (name, label) in [("process_resident_memory_bytes", "VmRSS:"), ("process_virtual_memory_bytes", "VmSize:")] {
        if let Some(kibibytes) = number_after(&status, label) {
            add(page, name, "gauge", &kibibytes.saturating_mul(1024).to_string());
        }
    }
    if let Ok(entries) = fs::read_dir("/proc/self/fd") {
        add(page, "process_open_fds", "gauge", &entries.count().to_string());
    }
    if let Some(limit) = read("/proc/self/limits").as_deref().and_then(|text| number_after(text, "Max open files")) {
        add(page, "process_max_fds", "gauge", &limit.to_string());
    }
}

/// Adds which build this is.
pub(super) fn describe_build(page: &mut String, service: &str, version: &str) {
    let (service, version) = (escaped(service), escaped(version));
    add(page, &format!("build_info{{service=\"{service}\",version=\"{version}\"}}"), "gauge", "1");
}

/// The unit of time in /proc: 1/100 s on every Linux, whatever the kernel's own clock rate (`USER_HZ`).
const TICKS_PER_SECOND: u64 = 100;

struct Stat {
    cpu_ticks: u64,
    threads: u64,
    start_ticks: u64,
}

impl Stat {
    /// Reads `proc_pid_stat(5)`. The second field is the program's name and may itself hold spaces and parentheses.
    fn parse(text: &str) -> Option<Self> {
        let fields: Vec<&str> = text.rsplit_once(')')?.1.split_ascii_whitespace().collect();
        // The first field after the name is number 3 in the manual.
        let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
        Some(Self { cpu_ticks: field(14)?.saturating_add(field(15)?), threads: field(20)?, start_ticks: field(22)? })
    }
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok()
}

fn number_after(text: &str, label: &str) -> Option<u64> {
    let (_, rest) = text.split_once(label)?;
    rest.split_ascii_whitespace().next()?.parse().ok()
}

fn seconds(ticks: u64) -> String {
    format!("{}.{:02}", ticks / TICKS_PER_SECOND, ticks % TICKS_PER_SECOND)
}

fn add(page: &mut String, series: &str, kind: &str, value: &str) {
    let name = series.split('{').next().unwrap_or(series);
    // Writing to a String cannot fail.
    let _ = writeln!(page, "# TYPE {name} {kind}\n{series} {value}\n");
}

fn escaped(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_name_with_parentheses_does_not_shift_the_fields() {
        let line = "42 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 250 50 0 0 20 0 7 0 123 1000 200";
        let stat = Stat::parse(line).expect("readable");
        assert_eq!((stat.cpu_ticks, stat.threads, stat.start_ticks), (300, 7, 123));
        assert_eq!(seconds(stat.cpu_ticks), "3.00");
        assert!(Stat::parse("42 (cut").is_none());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn linux_shows_memory_time_and_files() {
        let mut page = String::new();
        describe(&mut page);
        for name in [
            "process_cpu_seconds_total",
            "process_resident_memory_bytes",
            "process_virtual_memory_bytes",
            "process_open_fds",
            "process_max_fds",
            "process_threads",
            "process_start_time_seconds",
        ] {
            assert!(page.contains(&format!("\n{name} ")), "{name} is missing in\n{page}");
        }
    }

    #[test]
    fn labels_are_escaped() {
        let mut page = String::new();
        describe_build(&mut page, "a\"b\\c\nd", "1");
        assert!(page.contains(r#"build_info{service="a\"b\\c\nd",version="1"} 1"#), "{page}");
    }
}

//! What is known of the process by the usual names (`process_*`), and which build it is. Read from
//! /proc when asked; a figure that is not there is left out.

use std::fmt;

use super::scrape::{Figures, Page};

/// The unit of times in /proc/PID/stat: 100 a second to every user space of Linux but that of Alpha.
const TICKS_PER_SECOND: f64 = 100.0;

/// Fields of /proc/self/stat as proc(5) numbers them.
const USER_TIME: usize = 14;
const SYSTEM_TIME: usize = 15;
const START_TIME: usize = 22;
/// The first field after the name, which may hold spaces and brackets.
const FIRST_AFTER_NAME: usize = 3;

/// Reads them when asked.
#[derive(Debug)]
pub(crate) struct ProcessFigures;

/// A moment's figures.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Found {
    cpu_seconds: Option<f64>,
    start_seconds: Option<f64>,
    resident_bytes: Option<i64>,
    open_files: Option<i64>,
}

impl Found {
    fn now() -> Self {
        let text = |path| std::fs::read_to_string(path).ok();
        let stat = text("/proc/self/stat");
        let status = text("/proc/self/status");
        let machine = text("/proc/stat");
        let files = std::fs::read_dir("/proc/self/fd").ok();
        Self {
            cpu_seconds: stat.as_deref().and_then(cpu_seconds),
            start_seconds: stat
                .as_deref()
                .zip(machine.as_deref())
                .and_then(|(stat, machine)| start_seconds(stat, machine)),
            resident_bytes: status.as_deref().and_then(resident_bytes),
            // One of them is open for this count only.
            open_files: files.and_then(|files| i64::try_from(files.count().saturating_sub(1)).ok()),
        }
    }
}

impl Figures for ProcessFigures {
    fn write(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let labels = [("version", env!("CARGO_PKG_VERSION"))];
        page.gauges(
            "tidegate_build_info",
            "1, with the version of this build",
            [(labels, 1_i64)],
        )?;
        let found = Found::now();
        if let Some(seconds) = found.cpu_seconds {
            page.counter(
                "process_cpu_seconds",
                "CPU time used, in user and system mode",
                seconds,
            )?;
        }
        if let Some(seconds) = found.start_seconds {
            page.gauge(
                "process_start_time_seconds",
                "When the process started, in seconds since 1970",
                seconds,
            )?;
        }
        if let Some(bytes) = found.resident_bytes {
            page.gauge(
                "process_resident_memory_bytes",
                "Memory of the process that is resident",
                bytes,
            )?;
        }
        if let Some(files) = found.open_files {
            page.gauge("process_open_fds", "Open file descriptors", files)?;
        }
        Ok(())
    }
}

fn cpu_seconds(stat: &str) -> Option<f64> {
    Some((field(stat, USER_TIME)? + field(stat, SYSTEM_TIME)?) / TICKS_PER_SECOND)
}

fn start_seconds(stat: &str, machine: &str) -> Option<f64> {
    let booted = value(machine, "btime ")?.parse::<f64>().ok()?;
    Some(booted + field(stat, START_TIME)? / TICKS_PER_SECOND)
}

fn resident_bytes(status: &str) -> Option<i64> {
    let kilobytes = value(status, "VmRSS:")?.strip_suffix("kB")?;
    let kilobytes: i64 = kilobytes.trim().parse().ok()?;
    kilobytes.checked_mul(1024)
}

fn field(stat: &str, number: usize) -> Option<f64> {
    let (_, rest) = stat.rsplit_once(')')?;
    let index = number.checked_sub(FIRST_AFTER_NAME)?;
    rest.split_ascii_whitespace().nth(index)?.parse().ok()
}

fn value<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let found = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(found.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    const STAT: &str = "4242 (tide) gate) S 1 4242 4242 0 -1 4194560 900 0 0 0 150 50 0 0 20 0 9 0 \
                        12345 1000000 2000 18446744073709551615\n";

    #[test]
    fn figures_are_read_from_proc_texts() {
        let close = |found: Option<f64>, expected: f64| (found.unwrap() - expected).abs() < 1e-6;
        assert!(close(cpu_seconds(STAT), 2.0));
        assert!(close(
            start_seconds(STAT, "cpu 1 2 3\nbtime 1700000000\n"),
            1_700_000_123.45
        ));
        let status = "Name:\ttidegate\nVmRSS:\t   20480 kB\n";
        assert_eq!(resident_bytes(status), Some(20 << 20));
        assert_eq!(cpu_seconds("cut"), None);
        assert_eq!(resident_bytes("VmRSS:\tmany kB\n"), None);
    }

    #[test]
    fn this_process_has_every_figure() {
        let found = Found::now();
        assert!(found.resident_bytes.unwrap() > 1 << 20, "{found:?}");
        assert!(found.open_files.unwrap() >= 3, "{found:?}");
        assert!(found.start_seconds.unwrap() > 1.6e9, "{found:?}");
        assert!(found.cpu_seconds.unwrap() >= 0.0, "{found:?}");
    }
}

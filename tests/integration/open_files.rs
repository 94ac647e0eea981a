//! Few open files: silent connections must not take the descriptors that the journal needs.

use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use rustix::process::{Pid, Resource, Rlimit, prlimit};
use tidegate_tests::load::Load;
use tidegate_tests::records::{assert_holds, journal, message_ids};
use tidegate_tests::{Config, Gateway, eventually, turn};

/// Of it, half is the gateway's and 64 are the admin listener's.
const LIMIT: u64 = 256;

#[test]
fn with_more_silent_connections_than_open_files_events_stay_durable_and_the_admin_port_answers() {
    let _turn = turn();
    let config = Config::new()
        .set("journal", "segment_bytes", "\"4MiB\"")
        .set("edge", "header_timeout", "\"60s\"");
    // As `ulimit -n` of a shell sets it: for the soft limit and the hard one.
    let few_files = &mut |serve: Command, _: &Path| {
        let script = format!("ulimit -n {LIMIT}; exec \"$@\"");
        let mut shell = Command::new("sh");
        shell.args(["-c", &script, "sh"]);
        shell.arg(serve.get_program()).args(serve.get_args());
        shell
    };
    let mut gateway = Gateway::start_by(&config, few_files);
    assert!(gateway.log().contains("too few open files"));
    let load = Load::start(&gateway.target(), 16);
    load.wait_for(100);
    let address = gateway.addresses().http;
    let silent: Vec<_> = (0..2 * LIMIT)
        .map(|_| TcpStream::connect(address).unwrap())
        .collect();
    eventually("all places taken", || {
        let open = gateway.metric("tidegate_edge_connections", "")?;
        (open >= 60.0).then_some(())
    });
    // Each further segment is a file to open.
    let before = segments(&gateway);
    eventually("two further segments", || {
        (segments(&gateway) >= before + 2).then_some(())
    });
    assert!(gateway.admin("/healthz").status.is_success());
    let report = load.stop();
    report.assert_answered_only(&[200]);
    drop(silent);
    assert!(gateway.terminate().success(), "{}", gateway.log());
    let records = journal(&gateway);
    assert_holds("the journal", &message_ids(&records), &report.acked, true);
}

fn segments(gateway: &Gateway) -> usize {
    let files = std::fs::read_dir(gateway.data_dir().join("journal")).unwrap();
    let names = files.map(|file| file.unwrap().file_name());
    let begun = names.filter(|name| name.to_string_lossy().ends_with(".seg"));
    begun.count()
}

#[test]
fn a_probe_is_answered_when_no_file_is_left() {
    let _turn = turn();
    let mut gateway = Gateway::start(&Config::new());
    let number = gateway.process().pid();
    let pid = Pid::from_raw(i32::try_from(number).unwrap()).unwrap();
    let hard = hard_limit(number);
    let set = |current: Option<u64>| {
        let limit = Rlimit {
            current,
            maximum: hard,
        };
        prlimit(Some(pid), Resource::Nofile, limit).unwrap()
    };
    let (files, highest) = open_files(number);
    let before = set(Some(highest + 1));
    // They take the numbers that are left below it; the others wait in the queue.
    let http = gateway.addresses().http;
    let _clients: Vec<_> = (files..highest + 10)
        .map(|_| TcpStream::connect(http).unwrap())
        .collect();
    eventually("no connection accepted", || {
        gateway
            .log()
            .contains("no connection accepted")
            .then_some(())
    });
    assert!(gateway.admin("/healthz").status.is_success());
    set(before.current);
    assert!(gateway.terminate().success(), "{}", gateway.log());
}

/// How many there are, and the highest of their numbers.
fn open_files(pid: u32) -> (u64, u64) {
    let files = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let numbers: Vec<u64> = files
        .map(|file| file.unwrap().file_name())
        .map(|name| name.to_string_lossy().parse().unwrap())
        .collect();
    (numbers.len() as u64, numbers.iter().copied().max().unwrap())
}

/// None: no limit.
fn hard_limit(pid: u32) -> Option<u64> {
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", pid)).unwrap();
    let files = limits
        .lines()
        .find(|line| line.starts_with("Max open files"));
    files
        .unwrap()
        .split_whitespace()
        .nth(4)
        .unwrap()
        .parse()
        .ok()
}

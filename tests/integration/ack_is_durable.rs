//! Invariant 1, seen from outside: no 200 leaves before the fdatasync that covers its event.

use std::path::Path;
use std::process::Command;

use serde_json::json;
use tidegate_tests::load::Load;
use tidegate_tests::process::mutant_without_sync;
use tidegate_tests::trace::Unproven;
use tidegate_tests::{Config, Gateway, trace, turn};

#[test]
fn every_200_is_written_after_the_fdatasync_that_covers_it() {
    let _turn = turn();
    if !trace::available() {
        return;
    }
    let traced = &mut |serve, dir: &Path| trace::under_strace(&serve, dir, &[]);
    let mut gateway = Gateway::start_by(&Config::new(), traced);
    trace::signal_the_tracee(&mut gateway);

    let load = Load::start(&gateway.target(), 4);
    load.wait_for(200);
    let report = load.stop();
    assert!(gateway.terminate().success());

    let unproven = trace::unproven(&trace::read(&gateway), &report.acked);
    assert_eq!(
        unproven,
        [],
        "of {} acknowledged events",
        report.acked.len()
    );
}

/// The same source with one call left out: the check above has to fail on it, for every event.
#[test]
fn a_build_without_the_fdatasync_is_found_out() {
    let _turn = turn();
    if !trace::available() {
        return;
    }
    let traced = &mut |serve: Command, dir: &Path| {
        let mut mutant = Command::new(mutant_without_sync());
        mutant.args(serve.get_args());
        trace::under_strace(&mutant, dir, &[])
    };
    let mut gateway = Gateway::start_by(&Config::new(), traced);
    trace::signal_the_tracee(&mut gateway);
    let log = gateway.log();
    assert!(log.contains("ACKS ARE NOT DURABLE"), "{log}");

    let load = Load::start(&gateway.target(), 4);
    load.wait_for(50);
    let report = load.stop();
    assert!(gateway.terminate().success());

    let unproven = trace::unproven(&trace::read(&gateway), &report.acked);
    let not_synced = |id: &String| Unproven::NotSynced(id.clone());
    let expected: Vec<_> = report.acked.iter().map(not_synced).collect();
    assert!(!expected.is_empty());
    assert_eq!(unproven, expected);
}

#[test]
fn a_batch_waits_for_its_last_event() {
    let _turn = turn();
    if !trace::available() {
        return;
    }
    let traced = &mut |serve, dir: &Path| trace::under_strace(&serve, dir, &[]);
    let mut gateway = Gateway::start_by(&Config::new(), traced);
    trace::signal_the_tracee(&mut gateway);
    let ids: Vec<String> = (0..20).map(|n| format!("batch-{n}")).collect();
    let event = |id: &String| json!({"type": "page", "messageId": id, "anonymousId": "a-1"});
    let batch: Vec<_> = ids.iter().map(event).collect();
    let answer = gateway.post(&json!({ "batch": batch }));
    assert_eq!(answer.outcomes(), vec!["accepted"; 20]);
    assert!(gateway.terminate().success());
    assert_eq!(trace::unproven(&trace::read(&gateway), &ids), []);
}

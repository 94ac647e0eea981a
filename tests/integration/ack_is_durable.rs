//! Invariant 1, seen from outside: no 200 leaves before the fdatasync that covers its event.

use serde_json::json;
use tidegate_tests::load::Load;
use tidegate_tests::{Config, Gateway, trace, turn};

#[test]
fn every_200_is_written_after_the_fdatasync_that_covers_it() {
    let _turn = turn();
    if !trace::available() {
        return;
    }
    let traced = &mut |serve, dir: &std::path::Path| trace::under_strace(&serve, dir, &[]);
    let mut gateway = Gateway::start_by(&Config::new(), traced);
    trace::signal_the_tracee(&mut gateway);

    let load = Load::start(gateway.target(), 4);
    load.wait_for(200);
    let report = load.stop();
    assert!(gateway.terminate().success());

    let text = trace::read(&gateway);
    let unproven = trace::unproven(&text, &report.acked);
    assert_eq!(
        unproven,
        [],
        "of {} acknowledged events",
        report.acked.len()
    );

    let without_sync: Vec<_> = text
        .lines()
        .filter(|line| !line.contains("fdatasync"))
        .collect();
    let unproven = trace::unproven(&without_sync.join("\n"), &report.acked);
    assert_eq!(
        unproven.len(),
        report.acked.len(),
        "the check sees a missing fdatasync"
    );
}

#[test]
fn a_batch_waits_for_its_last_event() {
    let _turn = turn();
    if !trace::available() {
        return;
    }
    let traced = &mut |serve, dir: &std::path::Path| trace::under_strace(&serve, dir, &[]);
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

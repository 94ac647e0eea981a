//! A disk that fails: after an I/O error of the journal there is no further ack, and the process
//! ends with an error instead of retrying what proves nothing.

use tidegate_tests::load::Load;
use tidegate_tests::records::{assert_holds, journal, message_ids};
use tidegate_tests::{Config, Gateway, trace, turn};

#[test]
fn a_failed_fdatasync_ends_the_process_honestly() {
    ends_honestly("inject=fdatasync:error=EIO:when=60+");
}

#[test]
fn a_failed_write_ends_the_process_honestly() {
    // Each thread counts for itself: preparing the first small segment takes fewer writes.
    ends_honestly("inject=pwrite64:error=EIO:when=200+");
}

fn ends_honestly(fault: &str) {
    let _turn = turn();
    if !trace::available() {
        return;
    }
    let config = Config::new().set("journal", "segment_bytes", "\"4MiB\"");
    let failing =
        &mut |serve, dir: &std::path::Path| trace::under_strace(&serve, dir, &["-e", fault]);
    let mut gateway = Gateway::start_by(&config, failing);
    let load = Load::start(&gateway.target(), 4);
    let status = gateway.process().wait();
    let report = load.stop();
    assert!(!status.success(), "{status}:\n{}", gateway.log());
    let log = gateway.log();
    assert!(log.contains("tidegate: ended: cannot "), "it ran: {log}");

    gateway.start_again();
    let records = journal(&gateway);
    assert_holds("the journal", &message_ids(&records), &report.acked, true);
}

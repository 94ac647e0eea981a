//! A full disk: 503 with Retry-After, no crash, no corruption, and back to work by itself.

use serde_json::json;
use tidegate_tests::disk::SmallDisk;
use tidegate_tests::load::Load;
use tidegate_tests::records::{assert_contiguous, assert_holds, journal, message_ids};
use tidegate_tests::{Config, Gateway, eventually, turn};

#[test]
fn a_full_disk_is_a_503_until_there_is_room_again() {
    let _turn = turn();
    let Some(disk) = SmallDisk::mount(96) else {
        return;
    };
    let config = Config::new()
        .data_dir(&disk.path().join("data"))
        .set("journal", "segment_bytes", "\"4MiB\"")
        .set("journal", "disk_budget", "\"1GiB\"");
    let mut gateway = Gateway::start(&config);
    let load = Load::start(&gateway.target(), 16);
    load.wait_for(500);
    let filler = disk.fill();
    eventually("a 503 on the full disk", || {
        load.report().by_status.get(&503).map(|_| ())
    });
    // The first 503 may only have met a segment that was still being prepared.
    let answer = eventually("a 503 that is not made good", || {
        let answer = gateway.post(&json!({"type": "page", "anonymousId": "a"}));
        (answer.status == 503).then_some(answer)
    });
    assert!(
        answer
            .header("retry-after")
            .parse::<u32>()
            .is_ok_and(|seconds| seconds > 0)
    );
    assert_eq!(gateway.process().ended(), None, "a full disk ends nothing");

    disk.free(&filler);
    load.wait_for(500);
    let report = load.stop();
    report.assert_answered_only(&[200, 503]);
    assert!(gateway.terminate().success());
    let records = journal(&gateway);
    assert_contiguous(&records);
    assert_holds("the journal", &message_ids(&records), &report.acked, true);
}

//! A full disk: 503 with Retry-After, no crash, no corruption, and back to work by itself: hits,
//! callbacks and checkpoint.

use serde_json::json;
use tidegate_tests::disk::SmallDisk;
use tidegate_tests::load::Load;
use tidegate_tests::records::{assert_contiguous, assert_holds, journal, message_ids};
use tidegate_tests::{Config, Gateway, Receiver, eventually, turn};

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

#[test]
fn callbacks_and_checkpoint_go_on_by_themselves_after_a_full_disk() {
    let _turn = turn();
    let Some(disk) = SmallDisk::mount(160) else {
        return;
    };
    let receiver = Receiver::start();
    let config = Config::new()
        .segment("anybody", "session.page_views >= 1")
        .webhook("ads", &receiver.url(), &["anybody"])
        .data_dir(&disk.path().join("data"))
        .set("journal", "segment_bytes", "\"4MiB\"")
        .set("journal", "disk_budget", "\"1GiB\"")
        .set("checkpoint", "lag_records", "1000");
    let mut gateway = Gateway::start(&config);
    let page = |visitor: String| json!({"type": "page", "anonymousId": visitor});
    assert_eq!(gateway.post(&page("first".to_owned())).status, 200);
    let _first = receiver.wait_for(1);
    let filler = disk.fill();
    // What has room in the journal is acknowledged; outbox and profiles find none.
    let mut acked = 1;
    eventually("the store to have failed", || {
        let answer = gateway.post(&page(format!("full-{acked}")));
        acked += usize::from(answer.status == 200);
        let log = gateway.log();
        (log.contains("the outbox failed") || log.contains("checkpoint was not written"))
            .then_some(())
    });
    assert_eq!(gateway.process().ended(), None, "a full disk ends nothing");

    disk.free(&filler);
    eventually("profiles and outbox to be open again", || {
        let log = gateway.log();
        log.contains("are open again").then_some(())
    });
    eventually("a hit to be taken", || {
        (gateway.post(&page("after".to_owned())).status == 200).then_some(())
    });
    let called: std::collections::BTreeSet<_> = receiver
        .wait_for(acked + 1)
        .iter()
        .map(|callback| callback.field("anonymous_id").to_owned())
        .collect();
    assert_eq!(called.len(), acked + 1, "a callback for each visitor");
    let written = || gateway.metric("tidegate_checkpoint_offset", "");
    let before = written().expect("a position");
    let load = Load::start(&gateway.target(), 4);
    eventually("the checkpoint to move on", || {
        (written()? > before).then_some(())
    });
    load.stop().assert_answered_only(&[200, 503]);
}

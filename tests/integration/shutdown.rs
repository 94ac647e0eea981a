//! SIGTERM: what is in flight is answered, what is answered is kept, and the exit code is 0.

use tidegate_tests::load::Load;
use tidegate_tests::records::{assert_holds, journal, message_ids};
use tidegate_tests::{Broker, Config, Gateway, turn};

#[test]
fn sigterm_under_load_exits_0_and_loses_nothing() {
    let _turn = turn();
    let mut gateway = Gateway::start(&Config::new());
    let load = Load::start(&gateway.target(), 32);
    load.wait_for(2_000);
    let status = gateway.terminate();
    let report = load.stop();
    assert!(status.success(), "{status}:\n{}", gateway.log());
    let records = journal(&gateway);
    assert_holds("the journal", &message_ids(&records), &report.acked, true);

    gateway.start_again();
    let again = Load::start(&gateway.target(), 4);
    again.wait_for(10);
    let _ = again.stop();
    assert!(gateway.terminate().success());
}

#[test]
fn sigterm_hands_kafka_what_is_in_flight() {
    let _turn = turn();
    let broker = Broker::start();
    let mut gateway = Gateway::start(&Config::new().kafka(broker.address(), "shutdown"));
    let load = Load::start(&gateway.target(), 8);
    load.wait_for(1_000);
    let status = gateway.terminate();
    let _ = load.stop();
    assert!(status.success(), "{status}:\n{}", gateway.log());
    let before: usize = broker.read("shutdown").len();
    assert!(before > 0);
    gateway.start_again();
    let records = journal(&gateway).len();
    let messages = broker.read_until("shutdown", |messages| messages.len() >= records);
    assert_eq!(
        messages.len(),
        records,
        "nothing is sent twice over a clean restart"
    );
}

#[test]
fn a_second_process_is_refused_with_the_holders_pid() {
    let _turn = turn();
    let mut gateway = Gateway::start(&Config::new());
    let pid = gateway.process().pid().to_string();
    let refused = gateway.cli(&["serve"]).unwrap_err();
    assert!(refused.contains(&pid), "{refused}");
}

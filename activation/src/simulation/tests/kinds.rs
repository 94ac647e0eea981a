//! A kind that only its folder knows is delivered to like any other.

use super::operations::Bench;
use crate::dead_letter::DeadReason;
use crate::destinations::stub;
use crate::intent::tests::intent;
use crate::settings::{DestinationConfig, RetryPolicy, Settings};

#[test]
fn a_kind_is_delivered_to_by_its_own_rules() {
    let kind = stub::kind("https://stub.example", "a-long-token");
    let mut config = DestinationConfig::new("stubbed", kind, &["buyers"]);
    config.retry = RetryPolicy {
        base_ms: 1,
        ..RetryPolicy::default()
    };
    let mut bench = Bench::new(Settings::default(), &[config]);
    assert_eq!(bench.activation.list()[0].kind, "stub");

    bench.activation.hand_in(&[intent(1, 1, 1)], 2).unwrap();
    while bench.engine.flights().is_empty() {
        bench.engine.look("stubbed");
        bench.engine.store_step();
    }
    let sent = &bench.engine.flights()[0];
    assert_eq!(sent.header("authorization"), "Bearer a-long-token");
    bench.run(|_| 200);
    assert_eq!(bench.activation.list()[0].delivered, 1);

    bench.activation.hand_in(&[intent(2, 1, 2)], 3).unwrap();
    bench.run(|_| 404);
    let letters = bench.activation.dead_letters("stubbed", 10).unwrap();
    let letter = &letters[0];
    assert_eq!(letter.reason, DeadReason::Refused, "404 is final here");
    let id = "stubbed/buyers/00000000-0000-0000-0000-000000000002/1";
    assert_eq!(letter.delivery_id, id);
    assert_eq!(letter.request.method, "PUT");
    assert!(!format!("{letter:?}").contains("a-long-token"));
}

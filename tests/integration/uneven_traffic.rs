//! Light, uneven traffic: single requests one after the other, short bursts, pauses of up to two
//! seconds. No cursor may stay behind in a pause, whatever the destinations answer.

use std::collections::BTreeSet;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use serde_json::json;
use tidegate_tests::patience::{during, eventually, long, now};
use tidegate_tests::{Config, Gateway, Receiver, turn};

const VISITORS: u32 = 60;
const SEGMENTS: [(&str, &str); 2] = [
    ("seen", "count(event.type == \"page\", \"1h\") >= 1"),
    ("returned", "count(event.type == \"page\", \"1h\") >= 2"),
];
/// A cursor has caught up so long after the last request.
const CAUGHT_UP_WITHIN: Duration = Duration::from_secs(2);

fn started(good: &Receiver, failing: &Receiver, slow: &Receiver) -> Gateway {
    let mut config = Config::new();
    for (name, when) in SEGMENTS {
        config = config.segment(name, when);
    }
    let destinations = [("good", good), ("failing", failing), ("slow", slow)];
    for (name, receiver) in destinations {
        config = config.webhook(name, &receiver.url(), &["seen", "returned"]);
    }
    Gateway::start(&config)
}

/// The activation cursor's lag is 0 within its bound. The checkpoint lags by design.
fn assert_caught_up(gateway: &Gateway) {
    let begun = now();
    loop {
        let lag = gateway.metric("tidegate_cursor_lag_records", "cursor=\"activation\"");
        let lag = lag.expect("the cursor has a lag");
        if lag == 0.0 {
            return;
        }
        assert!(
            begun.elapsed() < CAUGHT_UP_WITHIN,
            "{lag} records are waiting"
        );
        during(Duration::from_millis(20));
    }
}

#[test]
fn no_cursor_stays_behind_in_a_pause() {
    let _turn = turn();
    let length = Duration::from_secs(if long() { 1_200 } else { 30 });
    let (good, failing, slow) = (Receiver::start(), Receiver::start(), Receiver::start());
    failing.answer_always(500, Duration::ZERO);
    slow.answer_always(200, Duration::from_millis(300));
    let gateway = started(&good, &failing, &slow);
    let mut random = SmallRng::seed_from_u64(9);
    let mut expected = BTreeSet::new();
    let (begun, mut round) = (now(), 0);
    while begun.elapsed() < length {
        for visitor in 0..VISITORS {
            let visitor = format!("v-{round}-{visitor}");
            for (segment, _) in SEGMENTS {
                let page = json!({"type": "page", "anonymousId": visitor});
                assert_eq!(gateway.post(&page).outcomes(), ["accepted"]);
                expected.insert((visitor.clone(), segment.to_owned()));
            }
            if random.random_bool(0.15) {
                during(Duration::from_millis(random.random_range(0..=2_000)));
                assert_caught_up(&gateway);
            }
        }
        round += 1;
    }
    assert_caught_up(&gateway);
    eventually("each change called back", || {
        let callbacks = good.callbacks();
        let entered = callbacks.iter().map(|callback| {
            let field = |name| callback.field(name).to_owned();
            (field("anonymous_id"), field("segment"))
        });
        (entered.collect::<BTreeSet<_>>() == expected).then_some(())
    });
    println!("{} changes of {round} rounds", expected.len());
}

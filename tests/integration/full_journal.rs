//! A journal that is full for hours, because a required cursor cannot move: the gateway's own
//! records still find room for a while, what finds none is refused at once, and every signal is
//! heard.

use std::fs;
use std::time::Duration;

use rustix::process::Signal;
use serde_json::json;
use tidegate_tests::patience::now;
use tidegate_tests::{Config, Gateway, eventually, turn};

/// A reload waits five seconds for room in the journal, then it is refused.
const REFUSED_WITHIN: Duration = Duration::from_secs(15);
/// `drain.deadline` below, and a margin for a busy machine.
const ENDED_WITHIN: Duration = Duration::from_secs(20);

/// Nobody listens at its broker, so that its cursor holds every segment.
fn config(segment: &str) -> Config {
    Config::new()
        .set("journal", "segment_bytes", "\"4MiB\"")
        .set("journal", "disk_budget", "\"16MiB\"")
        .set("reload", "watch_interval", "\"0s\"")
        .set("drain", "deadline", "\"15s\"")
        .kafka("127.0.0.1:9", "full")
        .segment("viewers", segment)
}

fn viewers(round: usize) -> Config {
    config(&format!("count(event.type == \"page\", \"1h\") >= {round}"))
}

fn filled() -> Gateway {
    let gateway = Gateway::start(&viewers(1));
    let event =
        json!({"type": "page", "anonymousId": "a", "properties": {"filler": "x".repeat(8_000)}});
    let batch = json!({"batch": vec![event; 200]});
    let small = json!({"type": "page", "anonymousId": "a"});
    eventually("a journal without room", || {
        // Where no large event fits, small ones take the rest.
        let _any = gateway.post(&batch);
        let refused = gateway.post(&small).status == 503;
        let full = gateway.admin("/readyz").text().contains("no room");
        (full && refused).then_some(())
    });
    gateway
}

#[test]
fn a_full_journal_takes_catalog_changes_then_refuses_them() {
    let _turn = turn();
    let gateway = filled();
    let mut applied = 0;
    let refused = loop {
        let catalog = gateway.write_catalog(&viewers(2 + applied));
        let started = now();
        match gateway.ctl(&["apply", &catalog]) {
            Ok(_) => applied += 1,
            Err(refused) => {
                assert!(
                    started.elapsed() < REFUSED_WITHIN,
                    "{:?}",
                    started.elapsed()
                );
                break refused;
            }
        }
        assert!(applied < 1_000, "the headroom has no end");
    };
    assert!(applied >= 5, "only {applied} changes found room");
    assert!(refused.contains("no room"), "{refused}");
    assert_eq!(gateway.admin("/healthz").status, 200);
}

#[test]
fn sigterm_is_heard_while_a_reload_waits_for_room() {
    let _turn = turn();
    let mut gateway = filled();
    for round in 0.. {
        let catalog = gateway.write_catalog(&viewers(2 + round));
        if gateway.ctl(&["apply", &catalog]).is_err() {
            break;
        }
    }
    fs::write(gateway.dir().join("catalog.toml"), viewers(5_000).catalog()).unwrap();
    gateway.process().signal(Signal::HUP);
    let started = now();
    let status = gateway.terminate();
    assert!(started.elapsed() < ENDED_WITHIN, "{:?}", started.elapsed());
    assert!(status.success(), "{status}:\n{}", gateway.log());
    let log = gateway.log();
    let stopped = log.lines().find(|line| line.contains("unwritten_state"));
    let stopped = stopped.unwrap_or_else(|| panic!("no last line:\n{log}"));
    assert!(stopped.contains("\"unwritten_state\":false"), "{stopped}");
}

//! Journal records as `tidegate journal cat` and Kafka give them, and what must hold of them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use serde_json::Value;

use crate::gateway::Gateway;
use crate::patience::eventually;

/// Every record of the gateway's journal, read by the command. Beside a running gateway the command
/// is up to 50 ms behind: then all that is durable by now is waited for.
///
/// # Panics
/// Where the command fails or prints something else.
#[must_use]
pub fn journal(gateway: &Gateway) -> Vec<Value> {
    let durable = gateway.durable_offset().unwrap_or(0);
    eventually("the journal to be read to its durable end", || {
        let records = printed(gateway);
        let next = |record: &Value| record["offset"].as_u64().map(|offset| offset + 1);
        let end = records.iter().filter_map(next).max().unwrap_or(0);
        (end >= durable).then_some(records)
    })
}

fn printed(gateway: &Gateway) -> Vec<Value> {
    let text = gateway.cli(&["journal", "cat"]);
    let text = text.unwrap_or_else(|error| unreachable!("journal cat: {error}"));
    let parse = |line| serde_json::from_str(line).expect("a record is one JSON object");
    text.lines().map(parse).collect()
}

/// messageIds of the received events (not of the generated ones), in order.
#[must_use]
pub fn message_ids(records: &[Value]) -> Vec<&str> {
    let received = records.iter().filter(|record| record["type"] != "system");
    received
        .filter_map(|record| record["message_id"].as_str())
        .collect()
}

/// Asserts that each acknowledged id is there; and, with `once`, that no id is there twice.
///
/// # Panics
/// Where one is missing or doubled: the message names a few.
pub fn assert_holds(place: &str, ids: &[&str], acked: &[String], once: bool) {
    let there: HashSet<&str> = ids.iter().copied().collect();
    let missing: Vec<_> = acked
        .iter()
        .filter(|id| !there.contains(id.as_str()))
        .collect();
    assert!(
        missing.is_empty(),
        "{} of {} acknowledged events are not in {place}: {:?} ...",
        missing.len(),
        acked.len(),
        &missing[..missing.len().min(5)]
    );
    if once {
        assert_eq!(ids.len(), there.len(), "some events are in {place} twice");
    }
}

/// Asserts that each visitor's events, repetitions aside, come in the order they were sent
/// (`properties.n`), per key.
///
/// # Panics
/// Where one overtook another.
pub fn assert_in_order(messages: &[(Option<String>, Value)]) {
    let mut newest: HashMap<(&str, &str), u64> = HashMap::new();
    for (key, value) in messages {
        let (Some(key), Some(n)) = (key, value["properties"]["n"].as_u64()) else {
            continue;
        };
        let visitor = value["anonymous_id"].as_str().unwrap_or("");
        let next = newest.entry((key, visitor)).or_insert(0);
        assert!(n <= *next, "{visitor}: event {n} came before event {next}");
        *next = (*next).max(n + 1);
    }
}

/// Asserts that offsets grow by one from the first to the last, and that `decided_at` never falls.
///
/// # Panics
/// Where they do not.
pub fn assert_contiguous(records: &[Value]) {
    let offsets: BTreeSet<u64> = records
        .iter()
        .filter_map(|r| r["offset"].as_u64())
        .collect();
    assert_eq!(offsets.len(), records.len(), "offsets are unique");
    let mut decided: Vec<(u64, &str)> = records
        .iter()
        .filter_map(|r| Some((r["offset"].as_u64()?, r["decided_at"].as_str()?)))
        .collect();
    decided.sort_unstable();
    assert!(decided.is_sorted_by_key(|(_, at)| *at), "decided_at fell");
}

/// How many records there are of each `event` among the generated ones.
#[must_use]
pub fn system_events(records: &[Value]) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for record in records.iter().filter(|record| record["type"] == "system") {
        let event = record["event"].as_str().unwrap_or("").to_owned();
        *counts.entry(event).or_default() += 1;
    }
    counts
}

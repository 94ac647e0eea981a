//! What each destination must get, and what became of it.

use std::collections::{BTreeMap, BTreeSet};

use crate::intent::{Intent, Key};
use crate::simulation::Sent;

/// A change for a destination, by its offset.
type Item = (String, Key, u64);

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    expected: BTreeSet<Item>,
    accepted: BTreeSet<Item>,
    /// The newest offset of each key accepted since the outbox was opened.
    newest: BTreeMap<(String, Key), u64>,
    /// The offset of each key accepted last.
    last: BTreeMap<(String, Key), u64>,
    ids: BTreeMap<Item, String>,
    /// Dead letters and replays that were dropped by rule and counted.
    pub(super) dropped: u64,
    /// Changes that gave way to a newer one and were counted.
    pub(super) replaced: u64,
}

impl Ledger {
    pub(super) fn expect(&mut self, destination: &str, change: &Intent) {
        let item = (destination.to_owned(), change.key(), change.offset());
        self.expected.insert(item);
    }

    /// The destination was not configured when the outbox was opened: its rows are dropped, those
    /// too that were accepted and came back with a loss of power.
    pub(super) fn forget(&mut self, destination: &str) {
        self.expected.retain(|(of, ..)| of != destination);
        self.accepted.retain(|(of, ..)| of != destination);
    }

    pub(super) fn sent(&mut self, sent: &Sent) {
        let item = (
            sent.destination.clone(),
            sent.change.key(),
            sent.change.offset(),
        );
        let id = self
            .ids
            .entry(item)
            .or_insert_with(|| sent.header("webhook-id").to_owned());
        assert_eq!(
            *id,
            sent.header("webhook-id"),
            "the id of a change is stable"
        );
    }

    /// Results that were not written are lost: their rows are sent again, in order.
    pub(super) fn reopened(&mut self) {
        self.newest.clear();
    }

    /// Acceptances come in order. Only a life that begins again repeats earlier ones.
    pub(super) fn accepted(&mut self, sent: &Sent) {
        let key = sent.change.key();
        let offset = sent.change.offset();
        let of = (sent.destination.clone(), key);
        self.accepted.insert((of.0.clone(), key, offset));
        let newest = self.newest.entry(of.clone()).or_default();
        assert!(
            offset > *newest,
            "{}: {key:?} was sent offset {offset} after {newest}",
            sent.destination
        );
        *newest = offset;
        self.last.insert(of, offset);
    }

    /// All that was expected is delivered, stored as a dead letter, or was dropped by rule.
    pub(super) fn settle(&self, dead: &BTreeSet<Item>) {
        for item in &self.accepted {
            let (destination, key, offset) = item;
            let last = self.last[&(destination.clone(), *key)];
            // Sent again after a loss of power, it may be refused, or a newer one in its place.
            let newest = (destination.clone(), *key, u64::MAX);
            let refused = dead.range(item.clone()..=newest).next().is_some();
            assert!(
                last >= *offset || refused,
                "{destination}: {key:?} ends at {last}"
            );
        }
        let accounted = |item: &Item| self.accepted.contains(item) || dead.contains(item);
        let missing: Vec<_> = self
            .expected
            .iter()
            .filter(|item| !accounted(item))
            .collect();
        let has_later = |(destination, key, offset): &&&Item| {
            let later = (destination.clone(), *key, offset + 1);
            let end = (destination.clone(), *key, u64::MAX);
            self.expected.range(later..=end).next().is_some()
        };
        let replaced = missing.iter().filter(has_later).count() as u64;
        let lost = missing.len() as u64 - replaced;
        assert!(
            lost <= self.dropped && missing.len() as u64 <= self.dropped + self.replaced,
            "lost: {missing:?}; dropped {} and replaced {}",
            self.dropped,
            self.replaced
        );
    }
}

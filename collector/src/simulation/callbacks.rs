//! What each destination must get by the journal, and what it got.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use tidegate_activation::destinations::webhook::webhook_id;
use tidegate_activation::simulation::Sent;
use tidegate_activation::{Activation, Intent, Metrics};
use tidegate_event::ProfileId;

/// What is delivered in order.
type Key = (ProfileId, String);
/// A change for a destination, by its offset.
type Item = (String, Key, u64);

/// See the module. It outlives the process.
#[derive(Debug, Default)]
pub(super) struct Callbacks {
    /// Changes of the journal that are not assigned to destinations yet.
    changes: VecDeque<Intent>,
    /// All changes of the journal.
    journal: BTreeMap<(Key, u64), Intent>,
    /// Changes below each offset, and above the one before it, went to these destinations.
    spans: Vec<(u64, Vec<&'static str>)>,
    expected: BTreeMap<Item, Intent>,
    sent: BTreeMap<Item, Intent>,
    accepted: BTreeSet<Item>,
    /// The newest offset of each key accepted since the outbox was opened, and the last one.
    newest: BTreeMap<(String, Key), u64>,
    last: BTreeMap<(String, Key), u64>,
    /// Changes that gave way to a newer one, as counted.
    replaced: u64,
    /// Dead letters that were dropped, as counted.
    dropped: u64,
}

fn key(intent: &Intent) -> Key {
    let Intent::AudienceChange(change) = intent;
    (change.head.profile, change.segment.clone())
}

impl Callbacks {
    /// A durable record changed a membership.
    pub(super) fn add(&mut self, change: Intent) {
        self.journal
            .insert((key(&change), change.offset()), change.clone());
        self.changes.push_back(change);
    }

    /// Every change below `offset` was handed in; those not passed before went to `destinations`.
    pub(super) fn passed(&mut self, offset: u64, destinations: &[&'static str]) {
        if self.spans.last().is_none_or(|(to, _)| *to < offset) {
            self.spans.push((offset, destinations.to_vec()));
        }
    }

    /// The outbox was opened. Results that were not written are lost: their rows are sent again, in
    /// order. Rows of a destination that is not listed are dropped.
    pub(super) fn reopened(&mut self, listed: &[&'static str]) {
        self.assign();
        self.newest.clear();
        let is_listed = |name: &str| listed.contains(&name);
        for (_, destinations) in &mut self.spans {
            destinations.retain(|name| is_listed(name));
        }
        self.expected.retain(|(name, ..), _| is_listed(name));
        self.accepted.retain(|(name, ..)| is_listed(name));
    }

    /// Assigns the changes that were handed in to their destinations.
    pub(super) fn assign(&mut self) {
        while let Some(change) = self.changes.front() {
            let at = self.spans.partition_point(|(to, _)| *to <= change.offset());
            let Some((_, destinations)) = self.spans.get(at) else {
                return;
            };
            for name in destinations {
                let item = ((*name).to_owned(), key(change), change.offset());
                self.expected.insert(item, change.clone());
            }
            self.changes.pop_front();
        }
    }

    /// What the outbox counted up to its end.
    pub(super) fn count(&mut self, metrics: &Metrics) {
        for one in &metrics.destinations {
            self.replaced += one.coalesced + one.superseded;
            self.dropped += one.dead_dropped + one.dead_aged;
        }
    }

    /// A request left.
    ///
    /// # Errors
    /// Its id is not the change's.
    pub(super) fn sent(&mut self, sent: &Sent) -> Result<(), String> {
        let name = &sent.destination;
        if sent.header("webhook-id") != webhook_id(name, &sent.change) {
            return Err(format!("{name} got {:?} under another id", sent.change));
        }
        let item = (name.clone(), key(&sent.change), sent.change.offset());
        self.sent.insert(item, sent.change.clone());
        Ok(())
    }

    /// It was accepted.
    ///
    /// # Errors
    /// An older change comes behind a newer one of its key.
    pub(super) fn accepted(&mut self, sent: &Sent) -> Result<(), String> {
        let (key, offset) = (key(&sent.change), sent.change.offset());
        let of = (sent.destination.clone(), key.clone());
        self.accepted.insert((of.0.clone(), key, offset));
        if let Some(newest) = self.newest.insert(of.clone(), offset)
            && newest >= offset
        {
            return Err(format!("{of:?} got offset {offset} after {newest}"));
        }
        self.last.insert(of, offset);
        Ok(())
    }

    /// At rest: all that was expected is delivered, a dead letter with its cause, or gave way to a
    /// newer change of its key; nothing else was sent.
    ///
    /// # Errors
    /// What does not hold.
    pub(super) fn settle(&mut self, activation: &Activation) -> Result<(), String> {
        self.assign();
        self.ids_are_unique()?;
        self.sent_is_of_the_journal()?;
        let dead = dead_letters(activation, self.expected.keys())?;
        let is_there = |(name, _, _): &Item, change: &Intent| {
            dead.contains(&(name.clone(), webhook_id(name, change)))
        };
        for item in &self.accepted {
            let (name, key, offset) = item;
            let last = self.last[&(name.clone(), key.clone())];
            // Sent again after a loss of power, it may be refused, or a newer one in its place.
            let refused = || {
                let newest = (name.clone(), key.clone(), u64::MAX);
                let mut newer = self.sent.range(item.clone()..=newest);
                newer.any(|(item, sent)| is_there(item, sent))
            };
            if last < *offset && !refused() {
                return Err(format!("{name}: {key:?} ends at {last}, not at {offset}"));
            }
        }
        let missing = self
            .expected
            .iter()
            .filter(|(item, change)| !self.accepted.contains(*item) && !is_there(item, change));
        let missing: Vec<_> = missing.map(|(item, _)| item).collect();
        let dead_later = |item: &Item| {
            let key = &item.1;
            let later = (key.clone(), item.2 + 1)..=(key.clone(), u64::MAX);
            let mut later = self.journal.range(later);
            later.any(|(_, change)| is_there(item, change))
        };
        let (replaced, lost): (Vec<_>, Vec<_>) = missing
            .into_iter()
            .partition(|item| self.has_later(item) || dead_later(item));
        let mut counted = self.replaced;
        for one in activation.metrics().destinations {
            counted += one.coalesced + one.superseded;
        }
        if !lost.is_empty() || replaced.len() as u64 > counted || self.dropped > 0 {
            return Err(format!(
                "callbacks are lost: {lost:?}; {counted} of {replaced:?} gave way to newer ones"
            ));
        }
        Ok(())
    }

    /// Whether a newer change of its key is expected too, or was sent: after a kill a destination may
    /// get changes that were passed over while it was not configured.
    fn has_later(&self, (name, key, offset): &Item) -> bool {
        let later = (name.clone(), key.clone(), offset + 1);
        let end = (name.clone(), key.clone(), u64::MAX);
        let range = later..=end;
        let expected = self.expected.range(range.clone()).next();
        expected.or(self.sent.range(range).next()).is_some()
    }

    /// Receivers take two changes with one id for one.
    fn ids_are_unique(&self) -> Result<(), String> {
        let mut seen = BTreeMap::new();
        for ((key, offset), intent) in &self.journal {
            let Intent::AudienceChange(change) = intent;
            let id = (key, change.epoch, change.change.as_str());
            if let Some(other) = seen.insert(id, offset) {
                return Err(format!("offsets {other} and {offset} share an id: {id:?}"));
            }
        }
        Ok(())
    }

    fn sent_is_of_the_journal(&self) -> Result<(), String> {
        for ((name, key, offset), change) in &self.sent {
            if self.journal.get(&(key.clone(), *offset)) != Some(change) {
                return Err(format!("{name} got what no record says: {change:?}"));
            }
        }
        Ok(())
    }
}

/// Destination and id of each dead letter.
fn dead_letters<'i>(
    activation: &Activation,
    items: impl Iterator<Item = &'i Item>,
) -> Result<BTreeSet<(String, String)>, String> {
    let names: BTreeSet<&String> = items.map(|(name, ..)| name).collect();
    let mut found = BTreeSet::new();
    for name in names {
        let letters = activation.dead_letters(name, usize::MAX);
        for letter in letters.map_err(|error| error.to_string())? {
            found.insert((name.clone(), letter.delivery_id));
        }
    }
    Ok(found)
}

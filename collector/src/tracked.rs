//! Accounting of hits: every received event ends in exactly one outcome (invariant 4), and the
//! sum of the outcomes equals what was received. Counts only; decides nothing.

use std::sync::Arc;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tidegate_event::Outcome;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabel {
    outcome: &'static str,
}

/// How the events of one source ended, in the order of [`Outcome::ALL`].
#[derive(Debug, Default)]
pub struct Ended([Counter; Outcome::ALL.len()]);

impl Ended {
    /// How many ended in `outcome` so far.
    #[must_use]
    pub fn in_outcome(&self, outcome: Outcome) -> u64 {
        self.0[outcome as usize].get()
    }
}

/// The two counters that must agree, the second split by outcome.
#[derive(Debug, Default)]
pub struct Outcomes {
    received: Counter,
    /// Of events whose source is not known.
    of_none: Arc<Ended>,
    /// In the order of [`Outcome::ALL`]; resolved once, so that counting takes no look-up.
    ended: [Counter; Outcome::ALL.len()],
}

impl Outcomes {
    /// Registers both with every outcome at 0, so that a rate exists before the first hit.
    pub fn register(registry: &mut Registry) -> Arc<Self> {
        let received = Counter::default();
        registry.register(
            "tidegate_received_events",
            "Events received; equals the sum of tidegate_events_total",
            received.clone(),
        );
        let family = Family::<OutcomeLabel, Counter>::default();
        registry.register(
            "tidegate_events",
            "Events by the one outcome each of them ended in",
            family.clone(),
        );
        let ended = Outcome::ALL.map(|outcome| {
            family.get_or_create_owned(&OutcomeLabel {
                outcome: outcome.as_str(),
            })
        });
        Arc::new(Self {
            received,
            of_none: Arc::default(),
            ended,
        })
    }

    /// How events ended whose source is not known: no key, or one that no source has.
    #[must_use]
    pub fn of_none(&self) -> &Ended {
        &self.of_none
    }

    /// Events received so far.
    #[must_use]
    pub fn received(&self) -> u64 {
        self.received.get()
    }

    /// Events that ended in `outcome` so far.
    #[must_use]
    pub fn ended(&self, outcome: Outcome) -> u64 {
        self.ended[outcome as usize].get()
    }
}

/// The open events of one request. Whatever is still open when it is dropped ends as `internal`.
#[derive(Debug)]
pub struct Tracked {
    outcomes: Arc<Outcomes>,
    source: Arc<Ended>,
    open: u64,
}

impl Tracked {
    /// Counts `events` as received; each waits for its end from now on.
    #[must_use]
    pub fn received(outcomes: &Arc<Outcomes>, events: usize) -> Self {
        let open = events as u64;
        outcomes.received.inc_by(open);
        Self {
            outcomes: Arc::clone(outcomes),
            source: Arc::clone(&outcomes.of_none),
            open,
        }
    }

    /// Counts their ends for this source too.
    #[must_use]
    pub fn of(mut self, source: &Arc<Ended>) -> Self {
        self.source = Arc::clone(source);
        self
    }

    /// Ends one open event. More ends than events are a fault of ours: ignored, so that the sum
    /// still holds.
    pub fn end(&mut self, outcome: Outcome) {
        self.end_many(outcome, 1);
    }

    /// Ends `events` open events alike.
    pub fn end_many(&mut self, outcome: Outcome, events: usize) {
        let events = events as u64;
        debug_assert!(events <= self.open, "more ends than events");
        let events = events.min(self.open);
        if events > 0 {
            self.open -= events;
            self.count(outcome, events);
        }
    }

    fn count(&self, outcome: Outcome, events: u64) {
        self.outcomes.ended[outcome as usize].inc_by(events);
        self.source.0[outcome as usize].inc_by(events);
    }

    /// Events that have no end yet.
    #[must_use]
    pub fn open(&self) -> u64 {
        self.open
    }
}

impl Drop for Tracked {
    fn drop(&mut self) {
        if self.open > 0 {
            self.count(Outcome::Internal, self.open);
            tracing::warn!(events = self.open, "events dropped unfinished");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sum(outcomes: &Outcomes) -> u64 {
        Outcome::ALL.iter().map(|o| outcomes.ended(*o)).sum()
    }

    #[test]
    fn the_index_of_an_outcome_is_its_place_in_the_list() {
        for (index, outcome) in Outcome::ALL.into_iter().enumerate() {
            assert_eq!(outcome as usize, index);
        }
    }

    #[test]
    fn every_outcome_is_exported_at_zero_before_the_first_hit() {
        let mut registry = Registry::default();
        let outcomes = Outcomes::register(&mut registry);
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        assert!(text.contains("tidegate_received_events_total 0"), "{text}");
        for outcome in Outcome::ALL {
            let line = format!(
                "tidegate_events_total{{outcome=\"{}\"}} 0",
                outcome.as_str()
            );
            assert!(text.contains(&line), "{line} in {text}");
        }
        assert_eq!(outcomes.received(), 0);
    }

    #[test]
    fn what_is_dropped_unfinished_counts_as_internal() {
        let outcomes = Arc::new(Outcomes::default());
        let mut tracked = Tracked::received(&outcomes, 5);
        tracked.end(Outcome::Accepted);
        tracked.end_many(Outcome::Invalid, 2);
        assert_eq!(tracked.open(), 2);
        drop(tracked);
        assert_eq!(outcomes.ended(Outcome::Internal), 2);
        assert_eq!(outcomes.received(), sum(&outcomes));
    }

    #[test]
    fn events_count_for_their_source_or_for_none() {
        let outcomes = Arc::new(Outcomes::default());
        let shop = Arc::new(Ended::default());
        let mut tracked = Tracked::received(&outcomes, 3).of(&shop);
        tracked.end(Outcome::Accepted);
        drop(tracked);
        Tracked::received(&outcomes, 1).end(Outcome::Unauthorized);
        assert_eq!(shop.in_outcome(Outcome::Accepted), 1);
        assert_eq!(shop.in_outcome(Outcome::Internal), 2);
        assert_eq!(outcomes.of_none().in_outcome(Outcome::Unauthorized), 1);
        assert_eq!(outcomes.of_none().in_outcome(Outcome::Internal), 0);
        assert_eq!(outcomes.received(), sum(&outcomes));
    }

    #[test]
    fn a_finished_request_leaves_nothing_internal() {
        let outcomes = Arc::new(Outcomes::default());
        let mut tracked = Tracked::received(&outcomes, 1);
        tracked.end(Outcome::Duplicate);
        drop(tracked);
        assert_eq!(outcomes.ended(Outcome::Internal), 0);
        assert_eq!(outcomes.received(), sum(&outcomes));
    }
}

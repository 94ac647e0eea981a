//! Figures of the core. Counted where things happen; gauges are read when asked.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

/// Upper bounds of the rule-time buckets, seconds.
const RULE_SECONDS: [f64; 10] = [
    2e-6, 4e-6, 8e-6, 16e-6, 32e-6, 64e-6, 128e-6, 512e-6, 2e-3, 16e-3,
];

/// Counters of steps 5 to 7.
#[derive(Debug)]
pub struct CoreMetrics {
    /// Conditions and segments of one event, seconds.
    pub rule_seconds: Histogram,
    /// Evaluations that a rule module failed.
    pub rule_traps: Counter,
    /// Events over 60 minutes late.
    pub late_events: Counter,
    /// Sessions opened.
    pub sessions_started: Counter,
    /// Sessions ended.
    pub sessions_ended: Counter,
    /// Wake-ups evaluated.
    pub wake_ups: Counter,
    /// Profiles merged into another.
    pub merges: Counter,
    /// Identifiers left out because a guard was reached.
    pub identity_dropped: Counter,
    /// Traits left out because the profile's were at their limit.
    pub traits_dropped: Counter,
    /// Requests that `ack = "kafka"` made wait in vain.
    pub ack_timeouts: Counter,
    /// Rows the checkpoint wrote.
    pub checkpoint_rows: Counter,
    /// Profiles let go from memory.
    pub evictions: Counter,
}

impl CoreMetrics {
    /// Makes the counters known under their names.
    #[expect(clippy::too_many_lines, reason = "a table of names and texts")]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            rule_seconds: Histogram::new(RULE_SECONDS),
            rule_traps: Counter::default(),
            late_events: Counter::default(),
            sessions_started: Counter::default(),
            sessions_ended: Counter::default(),
            wake_ups: Counter::default(),
            merges: Counter::default(),
            identity_dropped: Counter::default(),
            traits_dropped: Counter::default(),
            ack_timeouts: Counter::default(),
            checkpoint_rows: Counter::default(),
            evictions: Counter::default(),
        };
        registry.register(
            "tidegate_rule_seconds",
            "Time that conditions and segments of one event took",
            metrics.rule_seconds.clone(),
        );
        for (name, help, counter) in [
            (
                "tidegate_rule_traps",
                "Evaluations that a rule module failed",
                &metrics.rule_traps,
            ),
            (
                "tidegate_late_events",
                "Events over 60 minutes late",
                &metrics.late_events,
            ),
            (
                "tidegate_sessions_started",
                "Sessions opened",
                &metrics.sessions_started,
            ),
            (
                "tidegate_sessions_ended",
                "Sessions ended",
                &metrics.sessions_ended,
            ),
            ("tidegate_wake_ups", "Wake-ups evaluated", &metrics.wake_ups),
            (
                "tidegate_profile_merges",
                "Profiles merged into another",
                &metrics.merges,
            ),
            (
                "tidegate_identifiers_dropped",
                "Identifiers left out because an identity guard was reached",
                &metrics.identity_dropped,
            ),
            (
                "tidegate_traits_dropped",
                "Traits left out because the profile's were at profiles.traits_bytes_max",
                &metrics.traits_dropped,
            ),
            (
                "tidegate_ack_timeouts",
                "Requests answered 503 because Kafka did not acknowledge within edge.ack_timeout",
                &metrics.ack_timeouts,
            ),
            (
                "tidegate_checkpoint_rows",
                "Rows written behind",
                &metrics.checkpoint_rows,
            ),
            (
                "tidegate_profile_evictions",
                "Profiles let go from memory",
                &metrics.evictions,
            ),
        ] {
            registry.register(name, help, counter.clone());
        }
        metrics
    }

    pub(super) fn decided(&self, took_us: u64, late: bool) {
        // Exact to 2^53 us, which no evaluation reaches.
        let seconds = f64::from(u32::try_from(took_us).unwrap_or(u32::MAX)) / 1e6;
        self.rule_seconds.observe(seconds);
        if late {
            self.late_events.inc();
        }
    }
}

//! Figures of the core. Counted where things happen; gauges are read when asked.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::decide::Traps;

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
    pub rule_traps: Traps,
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
    /// Events refused because memory had no place for their profile.
    pub profiles_refused: Counter,
    /// Events refused because their address made as many new profiles as it may.
    pub profiles_limited: Counter,
    /// Events refused because others changed the same profiles at every try.
    pub profiles_contended: Counter,
    /// Stored profiles removed after `profiles.retention`.
    pub expired_retention: Counter,
    /// Stored profiles removed to keep within `profiles.disk_max`.
    pub expired_disk: Counter,
    /// Rows of the due index, and timers of profiles, that were passed over.
    pub timers_unreadable: Counter,
    /// Events and timers that an error of the profile store stopped.
    pub store_errors: Counter,
}

impl CoreMetrics {
    /// Makes the counters known under their names.
    #[expect(clippy::too_many_lines, reason = "a table of names and texts")]
    pub fn register(registry: &mut Registry) -> Self {
        let metrics = Self {
            rule_seconds: Histogram::new(RULE_SECONDS),
            rule_traps: Traps::register(registry),
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
            profiles_refused: Counter::default(),
            profiles_contended: Counter::default(),
            profiles_limited: Counter::default(),
            store_errors: Counter::default(),
            expired_retention: Counter::default(),
            expired_disk: Counter::default(),
            timers_unreadable: Counter::default(),
        };
        registry.register(
            "tidegate_rule_seconds",
            "Time that conditions and segments of one event took",
            metrics.rule_seconds.clone(),
        );
        for (name, help, counter) in [
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
            (
                "tidegate_profiles_refused",
                "Events refused because profiles.live_max and its slack were in memory",
                &metrics.profiles_refused,
            ),
            (
                "tidegate_profiles_limited",
                "Events refused because their address makes more new profiles than profiles.new_per_address_rate",
                &metrics.profiles_limited,
            ),
            (
                "tidegate_profiles_contended",
                "Events refused because others changed the same profiles at every try",
                &metrics.profiles_contended,
            ),
            (
                "tidegate_timers_unreadable",
                "Timers passed over because their row, or their profile's, does not parse",
                &metrics.timers_unreadable,
            ),
            (
                "tidegate_profiles_expired",
                "Stored profiles removed: not seen for profiles.retention",
                &metrics.expired_retention,
            ),
            (
                "tidegate_profiles_displaced",
                "Stored profiles removed, oldest first, to keep within profiles.disk_max",
                &metrics.expired_disk,
            ),
            (
                "tidegate_profile_store_errors",
                "Events, timers and rows that an error of the profile store stopped",
                &metrics.store_errors,
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

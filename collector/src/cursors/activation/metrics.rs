//! What the outbox and each destination say of themselves.

use std::fmt;

use tidegate_activation::{Activation, DestinationMetrics, LATENCY_BUCKETS_MS, Latency};

use crate::telemetry::scrape::{Buckets, Figures, Page, signed};

/// Reads the outbox when asked.
#[derive(Clone, Debug)]
pub struct OutboxFigures(pub Activation);

impl Figures for OutboxFigures {
    fn write(&self, page: &mut Page<'_, '_>) -> fmt::Result {
        let metrics = self.0.metrics();
        page.gauge(
            "tidegate_outbox_rows",
            "Callbacks waiting",
            signed(metrics.outbox_rows),
        )?;
        page.counter(
            "tidegate_outbox_orphaned",
            "Callbacks, dead letters included, dropped at start because their destination was gone",
            metrics.outbox_orphaned,
        )?;
        let all = &metrics.destinations;
        for (name, help, read) in COUNTERS {
            page.counters(name, help, all.iter().map(|it| (labels(it), read(it))))?;
        }
        for (name, help, read) in GAUGES {
            page.gauges(
                name,
                help,
                all.iter().map(|it| (labels(it), signed(read(it)))),
            )?;
        }
        page.counters(
            "tidegate_destination_failures",
            "Requests that failed, by what went wrong",
            all.iter().flat_map(|it| {
                let failures = it.failures.iter();
                failures.map(move |(kind, count)| {
                    let [destination] = labels(it);
                    ([destination, ("reason", kind.as_str())], *count)
                })
            }),
        )?;
        latencies(page, all)
    }
}

fn latencies(page: &mut Page<'_, '_>, all: &[DestinationMetrics]) -> fmt::Result {
    type Read = fn(&DestinationMetrics) -> &Latency;
    let kinds: [(&str, &str, Read); 2] = [
        (
            "tidegate_destination_attempt_seconds",
            "Time from sending a request to its answer, or to giving it up",
            |it| &it.attempt_latency,
        ),
        (
            "tidegate_destination_delivery_seconds",
            "Time from the decision of a change to its delivery, waiting and retries included",
            |it| &it.change_latency,
        ),
    ];
    for (name, help, read) in kinds {
        page.histograms(
            name,
            help,
            all.iter().map(|it| (labels(it), buckets(read(it)))),
        )?;
    }
    Ok(())
}

fn buckets(latency: &Latency) -> Buckets<'_> {
    Buckets {
        bounds: &LATENCY_BUCKETS_MS,
        counts: &latency.counts,
        sum: latency.sum_ms,
        per_second: 1e3,
    }
}

fn labels(of: &DestinationMetrics) -> [(&'static str, &str); 1] {
    [("destination", of.status.name.as_str())]
}

type Read = fn(&DestinationMetrics) -> u64;

const COUNTERS: [(&str, &str, Read); 8] = [
    (
        "tidegate_destination_delivered",
        "Callbacks delivered",
        |it| it.status.delivered,
    ),
    ("tidegate_destination_attempts", "Requests sent", |it| {
        it.attempts
    }),
    (
        "tidegate_destination_dead",
        "Callbacks that became dead letters",
        |it| it.dead_total,
    ),
    (
        "tidegate_destination_dead_dropped",
        "Dead letters dropped because activation.dead_letters_max was reached",
        |it| it.dead_dropped,
    ),
    (
        "tidegate_destination_dead_aged",
        "Dead letters dropped because activation.dead_letters_max_age had passed",
        |it| it.dead_aged,
    ),
    (
        "tidegate_destination_unreadable",
        "Reads of stored callbacks and dead letters that failed",
        |it| it.unreadable,
    ),
    (
        "tidegate_destination_superseded",
        "Replays skipped as superseded",
        |it| it.superseded,
    ),
    (
        "tidegate_destination_coalesced",
        "Changes replaced by a newer one of the same visitor and segment, waiting or as dead letters",
        |it| it.coalesced,
    ),
];

const GAUGES: [(&str, &str, Read); 4] = [
    ("tidegate_destination_queued", "Callbacks waiting", |it| {
        it.status.queued
    }),
    (
        "tidegate_destination_in_flight",
        "Requests without an answer yet",
        |it| it.status.in_flight,
    ),
    (
        "tidegate_destination_dead_letters",
        "Dead letters kept",
        |it| it.status.dead_letters,
    ),
    (
        "tidegate_destination_oldest_queued_milliseconds",
        "Age of the oldest callback waiting",
        |it| it.status.oldest_queued_ms.unwrap_or(0),
    ),
];

//! What the limits did and measured.

use std::sync::atomic::AtomicU64;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use super::admission::Measured;
use crate::edge::metrics::{by_reason, counter, gauge};
use crate::edge::refusal::Refusal;
use crate::edge::unsent::Unsent;

/// The limits' metrics.
#[derive(Clone, Debug)]
pub(in crate::edge) struct LimitMetrics {
    refused: [Counter; 3],
    /// Connections closed at `edge.connections_per_address_max`.
    pub(in crate::edge) connections_refused: Counter,
    /// Connections closed because they only waited.
    pub(in crate::edge) connections_idle: Counter,
    /// Answers given up because their client did not take them.
    pub(in crate::edge) answers_cut: Counter,
    /// Requests whose body has not arrived.
    pub(in crate::edge) bodies_awaited: Gauge,
    /// Events over `edge.address_event_rate`.
    pub(in crate::edge) address_limited_events: Counter,
    /// Answers that clients have not taken.
    pub(in crate::edge) unsent: Unsent,
    rate_addresses: Gauge,
    read_delay_seconds: Gauge<f64, AtomicU64>,
    delay_seconds: Gauge<f64, AtomicU64>,
    overloaded: Gauge,
}

impl LimitMetrics {
    /// Registers all of them at 0.
    pub(in crate::edge) fn register(registry: &mut Registry) -> Self {
        let name = "tidegate_edge_refused_requests";
        let help = "Requests refused at their head, by reason";
        let reasons = ["in_flight", "delay", "address_rate"];
        let refused = by_reason(registry, name, help, reasons);
        Self {
            refused,
            connections_refused: counter(
                registry,
                "tidegate_edge_connections_refused",
                "Connections closed at edge.connections_per_address_max",
            ),
            answers_cut: counter(
                registry,
                "tidegate_edge_answers_cut",
                "Answers ended because their client did not take them within edge.body_timeout",
            ),
            connections_idle: counter(
                registry,
                "tidegate_edge_connections_idle",
                "Connections closed because they only waited, for a head or a request",
            ),
            address_limited_events: counter(
                registry,
                "tidegate_edge_address_limited_events",
                "Events refused because their address sends more than edge.address_event_rate",
            ),
            unsent: Unsent::register(registry),
            bodies_awaited: gauge(
                registry,
                "tidegate_edge_bodies_awaited",
                "Requests in work whose body has not arrived",
            ),
            rate_addresses: gauge(
                registry,
                "tidegate_edge_rate_addresses",
                "Client addresses whose rate is remembered",
            ),
            read_delay_seconds: real(
                registry,
                "tidegate_edge_read_delay_seconds",
                "How long requests wait to be read, on average",
            ),
            delay_seconds: real(
                registry,
                "tidegate_edge_delay_seconds",
                "How long the oldest record waits for the disk",
            ),
            overloaded: gauge(
                registry,
                "tidegate_edge_overloaded",
                "1 while requests are refused because of a delay",
            ),
        }
    }

    /// Counts a request refused at its head; others are counted where they are refused.
    pub(in crate::edge) fn refused(&self, refusal: &Refusal) {
        let index = match refusal {
            Refusal::Busy => 0,
            Refusal::Behind => 1,
            Refusal::AddressRate(_) => 2,
            Refusal::Body(_) | Refusal::Unreadable(_) | Refusal::Unauthorized => return,
        };
        self.refused[index].inc();
    }

    /// What admission measured, and does.
    pub(super) fn measured(&self, measured: &Measured) {
        self.read_delay_seconds
            .set(measured.read_delay.as_secs_f64());
        self.delay_seconds.set(measured.sync_delay.as_secs_f64());
        self.overloaded.set(i64::from(measured.overloaded));
        self.rate_addresses
            .set(i64::try_from(measured.addresses).unwrap_or(i64::MAX));
    }
}

fn real(registry: &mut Registry, name: &str, help: &str) -> Gauge<f64, AtomicU64> {
    let gauge = Gauge::<f64, AtomicU64>::default();
    registry.register(name, help, gauge.clone());
    gauge
}

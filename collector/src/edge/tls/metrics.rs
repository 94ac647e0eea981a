//! What TLS counts beside handshakes, which the listeners count: certificates read, and until when
//! they hold.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct File {
    certificate: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabel {
    result: &'static str,
}

/// The metrics of the certificates.
#[derive(Clone, Debug)]
pub struct TlsMetrics {
    expiry: Family<File, Gauge>,
    reloaded: Counter,
    refused: Counter,
    orders: Family<ResultLabel, Counter>,
    next_order: Gauge,
}

/// How an order of a certificate may end.
const ORDER_RESULTS: [&str; 6] = [
    "ok",
    "refused",
    "unproven",
    "rate_limited",
    "unreachable",
    "failed",
];

impl TlsMetrics {
    /// Registers all of them at 0.
    pub fn register(registry: &mut Registry) -> Self {
        let expiry = Family::<File, Gauge>::default();
        let reloads = Family::<ResultLabel, Counter>::default();
        registry.register(
            "tidegate_tls_certificate_expiry_timestamp_seconds",
            "When each certificate in use ends, in seconds since 1970",
            expiry.clone(),
        );
        registry.register(
            "tidegate_tls_reloads",
            "Changed certificate files, taken or refused",
            reloads.clone(),
        );
        let orders = Family::<ResultLabel, Counter>::default();
        registry.register(
            "tidegate_acme_orders",
            "Orders of a certificate by ACME, by how they ended",
            orders.clone(),
        );
        for result in ORDER_RESULTS {
            let _ = orders.get_or_create(&ResultLabel { result });
        }
        let next_order = Gauge::default();
        registry.register(
            "tidegate_acme_next_order_timestamp_seconds",
            "When the next one is due, in seconds since 1970; 0 where ACME is off",
            next_order.clone(),
        );
        Self {
            expiry,
            orders,
            next_order,
            reloaded: reloads.get_or_create_owned(&ResultLabel { result: "ok" }),
            refused: reloads.get_or_create_owned(&ResultLabel { result: "failed" }),
        }
    }

    pub(super) fn reloaded(&self) {
        self.reloaded.inc();
    }

    pub(super) fn refused(&self) {
        self.refused.inc();
    }

    pub(super) fn ordered(&self, result: &'static str) {
        self.orders.get_or_create(&ResultLabel { result }).inc();
    }

    pub(super) fn next_order(&self, at_s: i64) {
        self.next_order.set(at_s);
    }

    /// What was in use is not any more.
    pub(super) fn forget_certificates(&self) {
        self.expiry.clear();
    }

    pub(super) fn expires(&self, certificate: &str, at_s: i64) {
        let file = File {
            certificate: certificate.to_owned(),
        };
        self.expiry.get_or_create(&file).set(at_s);
    }
}

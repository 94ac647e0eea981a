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
#[derive(Debug)]
pub struct TlsMetrics {
    expiry: Family<File, Gauge>,
    reloaded: Counter,
    refused: Counter,
}

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
        Self {
            expiry,
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

    pub(super) fn expires(&self, certificate: &str, at_s: i64) {
        let file = File {
            certificate: certificate.to_owned(),
        };
        self.expiry.get_or_create(&file).set(at_s);
    }
}

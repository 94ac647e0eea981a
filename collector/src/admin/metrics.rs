//! `/metrics`: the shared registry as OpenMetrics text, which Prometheus reads.

use http::StatusCode;
use prometheus_client::registry::Registry;

use super::reply::{Reply, error, text};

const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Every metric, each read as it is now.
pub fn metrics(registry: &Registry) -> Reply {
    let mut body = String::new();
    match prometheus_client::encoding::text::encode(&mut body, registry) {
        Ok(()) => text(StatusCode::OK, CONTENT_TYPE, body),
        Err(_) => error(
            StatusCode::INTERNAL_SERVER_ERROR,
            "internal",
            "the metrics could not be written",
        ),
    }
}

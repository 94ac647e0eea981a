//! `/healthz`: every thread and task moves on; a restart may help where one does not. `/readyz`: hits
//! can be made durable, whatever Kafka and the destinations do.

use http::StatusCode;
use serde_json::json;

use super::control::Control;
use super::reply::{Reply, json};

/// 200 while every thread and task moves on, else 503 with those that do not.
pub fn health(control: &impl Control) -> Reply {
    let stalls = control.stalls();
    if stalls.is_empty() {
        return json(StatusCode::OK, &json!({ "status": "ok" }));
    }
    let body = json!({ "status": "stalled", "reasons": stalls });
    json(StatusCode::SERVICE_UNAVAILABLE, &body)
}

/// 200 while the journal takes records and its disk answers, else 503 with the reasons. `verbose`
/// adds each thread, task and cursor, without a say in the status.
pub fn readiness(control: &impl Control, verbose: bool) -> Reply {
    let readiness = control.readiness();
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    if !verbose {
        return json(status, &readiness);
    }
    let report = control.liveness();
    let body = json!({
        "ready": readiness.ready,
        "reasons": readiness.reasons,
        "durable_lag_ms": report.durable_lag_ms,
        "parts": report.parts,
        "cursors": report.cursors,
    });
    json(status, &body)
}

/// `?verbose`, as Kubernetes writes it, or `?verbose=1`.
#[must_use]
pub fn is_verbose(query: &str) -> bool {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.any(|(key, value)| key == "verbose" && value != "0" && value != "false")
}

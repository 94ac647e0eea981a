//! `/healthz`: the process answers. `/readyz`: hits can be made durable, whatever Kafka does.

use http::StatusCode;
use serde_json::json;

use super::control::Control;
use super::reply::{Reply, json};

/// Always 200: that it answers is the answer.
#[must_use]
pub fn health() -> Reply {
    json(StatusCode::OK, &json!({ "status": "ok" }))
}

/// 200 while the journal takes records, else 503 with the reasons.
pub fn readiness(control: &impl Control) -> Reply {
    let readiness = control.readiness();
    let status = if readiness.ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    json(status, &readiness)
}
